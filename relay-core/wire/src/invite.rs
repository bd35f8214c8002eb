//! The join link: where the bubble is, the secret that opens its directory, and by what the box is known.
//!
//! Both stand in the fragment of the URL, which browsers do not send: the node never sees the secret.

use core::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The first byte of the fragment's bytes: the version of its layout. This one has the secret alone.
const WITHOUT_PIN: u8 = 1;

/// This one has the box's pin behind the secret.
const WITH_PIN: u8 = 2;

/// As these, of a bubble that broadcasts. The checksum is over the version as well, so that no wrong character makes it
/// one that does not, or the other way round.
const BROADCAST: u8 = 3;
const BROADCAST_WITH_PIN: u8 = 4;

/// Bytes of the checksum that tells a damaged link from a foreign bubble.
const CHECKSUM: usize = 4;

/// Version, secret, pin, checksum.
const MAX_LEN: usize = 1 + 32 + 32 + CHECKSUM;

/// Known to every member of the bubble, and never to the node.
///
/// It opens the directory and seals envelopes from the node's eyes. It opens no conversation: those are keyed
/// by MLS between their members.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct BubbleSecret([u8; 32]);

impl BubbleSecret {
    /// A secret out of 32 bytes of a cryptographic random source.
    pub const fn from_random(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for deriving keys.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for BubbleSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BubbleSecret(..)")
    }
}

/// SHA-256 of the certificate that the box shows where it is a WebRTC peer itself: by it a client knows the box,
/// whatever the certificates of its page say. It is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Pin(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 32]);

/// What stands in the fragment of a join link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// Opens the bubble's directory.
    pub secret: BubbleSecret,
    /// Of the box. Links that were made without the box at hand have none.
    pub pin: Option<Pin>,
    /// Whether its members send to all, always, so that the node does not see who writes to whom.
    pub broadcast: bool,
}

impl Invite {
    /// The fragment of a join link, without `#`.
    pub fn to_fragment(&self) -> String {
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LEN));
        bytes.push(match (self.broadcast, self.pin) {
            (false, None) => WITHOUT_PIN,
            (false, Some(_)) => WITH_PIN,
            (true, None) => BROADCAST,
            (true, Some(_)) => BROADCAST_WITH_PIN,
        });
        bytes.extend_from_slice(self.secret.expose());
        bytes.extend(self.pin.iter().flat_map(|pin| pin.0));
        let from = usize::from(!self.broadcast);
        let checksum = checksum_of(bytes.get(from..).unwrap_or_default());
        bytes.extend_from_slice(&checksum);
        Base64UrlUnpadded::encode_string(&bytes)
    }

    /// Reads the fragment of a join link, with or without `#`.
    ///
    /// # Errors
    /// When it is not one, was cut short or mistyped, or is of another version.
    pub fn from_fragment(text: &str) -> Result<Self, InviteError> {
        let text = text.strip_prefix('#').unwrap_or(text);
        if text.is_empty() {
            return Err(InviteError::Missing);
        }
        let mut buffer = Zeroizing::new([0; MAX_LEN]);
        let bytes = Base64UrlUnpadded::decode(text, &mut *buffer).map_err(|_| InviteError::Damaged)?;
        let (known, checksum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(InviteError::Damaged)?;
        let (version, rest) = known.split_first().ok_or(InviteError::Damaged)?;
        let (secret, pin) = rest.split_first_chunk::<32>().ok_or(InviteError::Damaged)?;
        let broadcast = match *version {
            WITHOUT_PIN | WITH_PIN => false,
            BROADCAST | BROADCAST_WITH_PIN => true,
            _ => return Err(InviteError::Version),
        };
        if *checksum != checksum_of(if broadcast { known } else { rest }) {
            return Err(InviteError::Damaged);
        }
        let pin = match (*version, <[u8; 32]>::try_from(pin)) {
            (WITHOUT_PIN | BROADCAST, Err(_)) if pin.is_empty() => None,
            (WITH_PIN | BROADCAST_WITH_PIN, Ok(pin)) => Some(Pin(pin)),
            (_, _) => return Err(InviteError::Damaged),
        };
        Ok(Self { secret: BubbleSecret(*secret), pin, broadcast })
    }
}

fn checksum_of(known: &[u8]) -> [u8; CHECKSUM] {
    let hash = Sha256::new().chain_update(b"bulle/1 invite checksum\0").chain_update(known).finalize();
    let mut checksum = [0; CHECKSUM];
    checksum.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    checksum
}

/// A join link, as printed on a card or shown as a QR code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinLink {
    /// The page's address without its fragment.
    pub page: base::Private<String>,
    /// What its fragment says.
    pub invite: Invite,
}

impl JoinLink {
    /// The longest link that is looked at, in bytes.
    pub const MAX_LEN: usize = 1024;

    /// Reads a link.
    ///
    /// # Errors
    /// When it is too long, is no `https:` address, or its fragment holds no invitation.
    pub fn parse(text: &str) -> Result<Self, InviteError> {
        let text = text.trim();
        if text.len() > Self::MAX_LEN {
            return Err(InviteError::Damaged);
        }
        let (page, fragment) = text.split_once('#').ok_or(InviteError::Missing)?;
        if !page.starts_with("https://") {
            return Err(InviteError::NotHttps);
        }
        Ok(Self { page: page.to_owned().into(), invite: Invite::from_fragment(fragment)? })
    }

    /// The whole link.
    pub fn to_link(&self) -> String {
        format!("{}#{}", self.page.expose(), self.invite.to_fragment())
    }
}

/// Why a text is no join link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InviteError {
    /// There is nothing after the `#`.
    Missing,
    /// Cut short, mistyped, or something else altogether.
    Damaged,
    /// Made by another version of Bulle.
    Version,
    /// The address does not begin with `https://`.
    NotHttps,
}

impl fmt::Display for InviteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => {
                "the link has no invitation in it: the part after # is missing; copy the whole link"
            }
            Self::Damaged => "the invitation is damaged or incomplete; scan or copy it again",
            Self::Version => "the invitation was made by another version of Bulle; ask for a new one",
            Self::NotHttps => "the link does not begin with https://",
        })
    }
}

impl core::error::Error for InviteError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn invites() -> [Invite; 4] {
        let secret = || BubbleSecret::from_random(core::array::from_fn(|i| i as u8));
        [(None, false), (Some(Pin([200; 32])), false), (None, true), (Some(Pin([200; 32])), true)]
            .map(|(pin, broadcast)| Invite { secret: secret(), pin, broadcast })
    }

    #[test]
    fn a_link_survives_printing_and_reading() {
        for invite in invites() {
            let link = JoinLink { page: "https://bulle.internal:8443/".to_owned().into(), invite };
            assert_eq!(JoinLink::parse(&link.to_link()), Ok(link));
        }
    }

    #[test]
    fn a_link_from_before_there_were_pins_is_read() {
        // Printed by the first version: the secret is 32 times 9.
        let old = "AQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJ";
        let invite = Invite { secret: BubbleSecret::from_random([9; 32]), pin: None, broadcast: false };
        assert!(invite.to_fragment().starts_with(old), "{}", invite.to_fragment());
        assert_eq!(Invite::from_fragment(&invite.to_fragment()), Ok(invite));
    }

    #[test]
    fn every_single_wrong_character_is_noticed() {
        for fragment in invites().map(|invite| invite.to_fragment()) {
            for at in 0..fragment.len() {
                let mut bytes = fragment.clone().into_bytes();
                bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
                let text = String::from_utf8(bytes).unwrap();
                assert!(Invite::from_fragment(&text).is_err(), "position {at}");
            }
        }
    }

    #[test]
    fn nothing_is_taken_away_or_put_on_by_changing_the_version() {
        for invite in invites() {
            let mut bytes = Base64UrlUnpadded::decode_vec(&invite.to_fragment()).unwrap();
            let own = bytes[0];
            for version in [WITHOUT_PIN, WITH_PIN, BROADCAST, BROADCAST_WITH_PIN] {
                bytes[0] = version;
                let read = Invite::from_fragment(&Base64UrlUnpadded::encode_string(&bytes));
                assert_eq!(read.is_ok(), version == own, "{own} {version}");
            }
            bytes[0] = 9;
            let text = Base64UrlUnpadded::encode_string(&bytes);
            assert_eq!(Invite::from_fragment(&text), Err(InviteError::Version));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(JoinLink::parse("https://bulle.internal/"), Err(InviteError::Missing));
        assert_eq!(JoinLink::parse("https://bulle.internal/#"), Err(InviteError::Missing));
        assert_eq!(JoinLink::parse("https://bulle.internal/#abc"), Err(InviteError::Damaged));
        assert_eq!(JoinLink::parse("http://bulle.internal/#abc"), Err(InviteError::NotHttps));
    }
}
