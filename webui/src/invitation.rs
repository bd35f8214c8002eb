//! What a person pastes to get in, and what they hand to others.
//!
//! The secret stands in the fragment of the link, which browsers do not send.

use wire::{Invite, InviteError, JoinLink};

/// A readable invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Into the bubble.
    pub invite: Invite,
    /// The link's page, when it is not served from where we are: perhaps another box, perhaps this one by
    /// another of its names.
    pub elsewhere: Option<String>,
}

/// Reads a whole link, or only what stands after its `#`, on a page of `origin`.
///
/// # Errors
/// When there is no invitation in it, or a damaged one.
pub fn read(text: &str, origin: &str) -> Result<Invitation, InviteError> {
    let text = text.trim();
    if text.contains("://") {
        let JoinLink { page, invite } = JoinLink::parse(text)?;
        let page = page.expose();
        let elsewhere = (!is_same(page, origin)).then(|| origin_of(page).to_owned());
        Ok(Invitation { invite, elsewhere })
    } else {
        Ok(Invitation { invite: Invite::from_fragment(text)?, elsewhere: None })
    }
}

/// The link that lets others into the bubble, through the box at `origin`.
pub fn link(origin: &str, invite: &Invite) -> String {
    JoinLink { page: format!("{origin}/").into(), invite: invite.clone() }.to_link()
}

/// Scheme, host and port of an address.
pub fn origin_of(page: &str) -> &str {
    let host = page.find("://").map_or(0, |at| at + 3);
    let end = page.get(host..).and_then(|rest| rest.find(['/', '?'])).map_or(page.len(), |at| host + at);
    page.get(..end).unwrap_or(page)
}

fn is_same(page: &str, origin: &str) -> bool {
    let bare = |text: &str| origin_of(text).trim_end_matches(":443").to_ascii_lowercase();
    bare(page) == bare(origin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{BubbleSecret, Pin};

    const HERE: &str = "https://bulle.internal:8443";

    fn invite() -> Invite {
        Invite { secret: BubbleSecret::from_random([5; 32]), pin: Some(Pin([6; 32])), broadcast: true }
    }

    #[test]
    fn a_link_of_this_box_is_read_whole_or_in_part() {
        let link = link(HERE, &invite());
        let expected = Invitation { invite: invite(), elsewhere: None };
        assert_eq!(read(&format!("  {link}\n"), HERE), Ok(expected.clone()));
        let fragment = link.split_once('#').unwrap().1;
        assert_eq!(read(fragment, HERE), Ok(expected.clone()));
        assert_eq!(read(&format!("#{fragment}"), HERE), Ok(expected));
    }

    #[test]
    fn a_link_of_another_address_says_so() {
        let link = link("https://10.77.0.1:8443", &invite());
        assert_eq!(read(&link, HERE).unwrap().elsewhere.as_deref(), Some("https://10.77.0.1:8443"));
    }

    #[test]
    fn the_same_address_may_be_written_in_two_ways() {
        let link = format!("https://Box.Internal/#{}", invite().to_fragment());
        assert_eq!(read(&link, "https://box.internal:443").unwrap().elsewhere, None);
        assert_eq!(read(&link, "https://box.internal").unwrap().elsewhere, None);
    }

    #[test]
    fn what_is_no_invitation_is_refused() {
        assert_eq!(read("", HERE), Err(InviteError::Missing));
        assert_eq!(read("https://bulle.internal:8443/", HERE), Err(InviteError::Missing));
        assert_eq!(read("hello there", HERE), Err(InviteError::Damaged));
        let plain = format!("http://bulle.internal/#{}", invite().to_fragment());
        assert_eq!(read(&plain, HERE), Err(InviteError::NotHttps));
    }
}
