//! `bulle invite`: makes a join link with a fresh secret, and shows it as a QR code.
//!
//! Not part of the daemon: the secret is made here, shown once, and kept nowhere. The node never learns it.

use crate::http::headers::Host;
use appliance_core::pki::Fingerprint;
use fast_qr::qr::QRBuilder;
use fast_qr::{ECL, QRCode};
use rand_core::{OsRng, RngCore};
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use wire::{BubbleSecret, JoinLink};
use zeroize::{Zeroize, Zeroizing};

/// Light modules around a QR code (ISO/IEC 18004 asks for four; every reader takes two).
const QUIET: usize = 2;

/// Why no invitation was made.
#[derive(Debug)]
#[non_exhaustive]
pub enum InviteError {
    /// Not the address of a page.
    Url,
    /// The certificate cannot be read.
    Ca {
        /// Which file.
        file: PathBuf,
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
            Self::Ca { file, source: Some(source) } => write!(f, "cannot read {}: {source}", file.display()),
            Self::Ca { file, source: None } => write!(
                f,
                "{} holds no certificate; give the file ca.crt of the state directory with --ca",
                file.display()
            ),
            Self::Output(source) => write!(f, "cannot write the invitation: {source}"),
        }
    }
}

impl std::error::Error for InviteError {}

/// Makes an invitation to the bubble at `url` and writes it for a person to use; `colours` for a terminal.
///
/// # Errors
/// When the address or the certificate is wrong.
pub fn invite(url: &str, ca: Option<&Path>, out: &mut impl Write, colours: bool) -> Result<(), InviteError> {
    let page = page(url).ok_or(InviteError::Url)?;
    let fingerprint = ca.map(fingerprint).transpose()?;
    let mut secret = [0; 32];
    OsRng.fill_bytes(&mut secret);
    let link = JoinLink { page: page.into(), secret: BubbleSecret::from_random(secret) };
    secret.zeroize();
    let text = Zeroizing::new(link.to_link());
    write(&text, fingerprint, out, colours).map_err(InviteError::Output)
}

fn write(
    link: &str,
    fingerprint: Option<Fingerprint>,
    out: &mut impl Write,
    colours: bool,
) -> io::Result<()> {
    writeln!(out, "Whoever has this link can join. Give it to nobody else.\n\n  {link}\n")?;
    if let Ok(code) = QRBuilder::new(link).ecl(ECL::L).build() {
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

fn fingerprint(file: &Path) -> Result<Fingerprint, InviteError> {
    let pem = std::fs::read(file)
        .map_err(|source| InviteError::Ca { file: file.to_owned(), source: Some(source) })?;
    Fingerprint::of_pem(&pem).ok_or_else(|| InviteError::Ca { file: file.to_owned(), source: None })
}

/// Two modules per character. With colours it is black on white on every terminal; without, light modules are
/// drawn, as fits a dark terminal, and readers take it inverted too.
fn half_blocks(code: &QRCode, colours: bool) -> Zeroizing<String> {
    let light = |x: usize, y: usize| {
        let inside = |at: usize| at.checked_sub(QUIET).filter(|at| *at < code.size);
        match (inside(x), inside(y)) {
            (Some(x), Some(y)) => !code.data.get(y * code.size + x).is_some_and(|module| module.value()),
            (_, _) => true,
        }
    };
    let side = code.size + 2 * QUIET;
    let mut text = Zeroizing::new(String::with_capacity(side * side * 2));
    for y in (0..side).step_by(2) {
        text.push_str(if colours { "\u{1b}[97;40m" } else { "" });
        for x in 0..side {
            text.push(match (light(x, y), y + 1 < side && light(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        text.push_str(if colours { "\u{1b}[0m\n" } else { "\n" });
    }
    text
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
        invite("https://bulle.local:8443", None, &mut out, false).expect("an invitation");
        let text = String::from_utf8(out).expect("text");
        let link = text.split_whitespace().find(|word| word.starts_with("https://")).expect("a link");
        let read = JoinLink::parse(link).expect("a join link");
        assert_eq!(read.page.expose(), "https://bulle.local:8443/");
    }

    #[test]
    fn two_invitations_have_different_secrets() {
        let (mut one, mut two) = (Vec::new(), Vec::new());
        invite("https://a", None, &mut one, false).expect("an invitation");
        invite("https://a", None, &mut two, false).expect("an invitation");
        assert_ne!(one, two);
    }

    #[test]
    fn a_code_is_square_with_a_quiet_zone_around_it() {
        let code = QRBuilder::new("https://bulle.local:8443/").ecl(ECL::L).build().expect("a code");
        let text = half_blocks(&code, false);
        let side = code.size + 2 * QUIET;
        assert_eq!(text.lines().count(), side.div_ceil(2));
        for line in text.lines() {
            assert_eq!(line.chars().count(), side);
            // The last line is half a line when the side is odd.
            assert!(
                ["██", "▀▀"].iter().any(|quiet| line.starts_with(quiet) && line.ends_with(quiet)),
                "{line}"
            );
        }
    }
}
