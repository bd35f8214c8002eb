//! `bulle invite`: makes a join link with a fresh secret, and shows it as a QR code.
//!
//! Not part of the daemon: the secret is made here, shown once, and kept nowhere. The node never learns it.

use crate::http::headers::Host;
use appliance_core::card::{Qr, half_blocks};
use appliance_core::pki::Fingerprint;
use rand_core::{OsRng, RngCore};
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use wire::{BubbleSecret, Invite, JoinLink, Pin};
use zeroize::Zeroizing;

/// How each of the files is given.
const CA: &str = "ca.crt of the state directory with --ca";
const PEER: &str = "peer.pem of the state directory with --peer";

/// Why no invitation was made.
#[derive(Debug)]
#[non_exhaustive]
pub enum InviteError {
    /// Not the address of a page.
    Url,
    /// A certificate cannot be read.
    Certificate {
        /// Which file.
        file: PathBuf,
        /// Where one is to be found, and how it is given.
        wanted: &'static str,
        /// What the system said; `None` when it holds no certificate.
        source: Option<io::Error>,
    },
    /// It could not be written out.
    Output(io::Error),
}

impl fmt::Display for InviteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str(
                "--url must be the address of the page, as `bulle serve` prints it: https://bulle.local:8443/",
            ),
            Self::Certificate { file, source: Some(source), .. } => {
                write!(f, "cannot read {}: {source}", file.display())
            }
            Self::Certificate { file, wanted, source: None } => {
                write!(f, "{} holds no certificate; give the file {wanted}", file.display())
            }
            Self::Output(source) => write!(f, "cannot write the invitation: {source}"),
        }
    }
}

impl std::error::Error for InviteError {}

/// The join link of a bubble at `page`, an address as the card shows it; `peer` is of the certificate that the box
/// shows as a WebRTC peer; whether its members `broadcast` is said there too.
#[must_use]
pub fn link(page: &str, secret: &[u8; 32], peer: Option<Fingerprint>, broadcast: bool) -> Zeroizing<String> {
    let pin = peer.map(|fingerprint| Pin(fingerprint.0));
    let invite = Invite { secret: BubbleSecret::from_random(*secret), pin, broadcast };
    Zeroizing::new(JoinLink { page: page.to_owned().into(), invite }.to_link())
}

/// Makes an invitation to the bubble at `url` and writes it for a person to use; `colours` for a terminal.
///
/// # Errors
/// When the address or the certificate is wrong.
pub fn invite(
    url: &str,
    ca: Option<&Path>,
    peer: Option<&Path>,
    broadcast: bool,
    out: &mut impl Write,
    colours: bool,
) -> Result<(), InviteError> {
    let page = page(url).ok_or(InviteError::Url)?;
    let peer = peer.map(|file| fingerprint(file, PEER)).transpose()?;
    let ca = ca.map(|file| fingerprint(file, CA)).transpose()?;
    let mut secret = Zeroizing::new([0; 32]);
    OsRng.fill_bytes(secret.as_mut());
    let text = link(&page, &secret, peer, broadcast);
    write(&text, ca, out, colours).map_err(InviteError::Output)
}

fn write(
    link: &str,
    fingerprint: Option<Fingerprint>,
    out: &mut impl Write,
    colours: bool,
) -> io::Result<()> {
    writeln!(out, "Whoever has this link can join. Give it to nobody else.\n\n  {link}\n")?;
    if let Ok(code) = Qr::new(link) {
        out.write_all(half_blocks(&code, colours).as_bytes())?;
    }
    if let Some(fingerprint) = fingerprint {
        writeln!(out, "\nThe box's certificate authority, SHA-256:\n  {fingerprint}")?;
    }
    out.flush()
}

/// `https://host[:port]/`, whatever of that was typed.
fn page(url: &str) -> Option<String> {
    let rest = url.trim().strip_prefix("https://")?;
    let host = Host::parse(rest.strip_suffix('/').unwrap_or(rest))?;
    Some(format!("https://{host}/"))
}

fn fingerprint(file: &Path, wanted: &'static str) -> Result<Fingerprint, InviteError> {
    let error = |source| InviteError::Certificate { file: file.to_owned(), wanted, source };
    let pem = Zeroizing::new(std::fs::read(file).map_err(|source| error(Some(source)))?);
    Fingerprint::of_pem(&pem).ok_or_else(|| error(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_brought_into_one_form() {
        for typed in ["https://Bulle.local:8443", "https://bulle.local:8443/", " https://bulle.local:8443 "] {
            assert_eq!(page(typed).as_deref(), Some("https://bulle.local:8443/"));
        }
        for wrong in
            ["", "bulle.local", "http://bulle.local", "https://", "https://a/b", "https://a#b", "https://u@a"]
        {
            assert_eq!(page(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_invitation_holds_a_link_that_can_be_read_back() {
        let mut out = Vec::new();
        invite("https://bulle.local:8443", None, None, false, &mut out, false).expect("an invitation");
        let text = String::from_utf8(out).expect("text");
        let link = text.split_whitespace().find(|word| word.starts_with("https://")).expect("a link");
        let read = JoinLink::parse(link).expect("a join link");
        assert_eq!(read.page.expose(), "https://bulle.local:8443/");
        assert!(!read.invite.broadcast);
    }

    #[test]
    fn an_invitation_says_whether_the_bubble_broadcasts() {
        let mut out = Vec::new();
        invite("https://bulle.local", None, None, true, &mut out, false).expect("an invitation");
        let text = String::from_utf8(out).expect("text");
        let link = text.split_whitespace().find(|word| word.starts_with("https://")).expect("a link");
        assert!(JoinLink::parse(link).expect("a join link").invite.broadcast);
    }

    #[test]
    fn two_invitations_have_different_secrets() {
        let (mut one, mut two) = (Vec::new(), Vec::new());
        invite("https://a", None, None, false, &mut one, false).expect("an invitation");
        invite("https://a", None, None, false, &mut two, false).expect("an invitation");
        assert_ne!(one, two);
    }
}
