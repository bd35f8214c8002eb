//! The join card: everything that a person needs to join a box, as a value, and the forms it is shown in.
//!
//! [`text`] for a file, [`console`] for a screen, [`svg`] for paper, [`png`] for whoever opens pictures only.
//! Not here: where the card is written, and when it is taken away.
//! Invariant: whatever holds a secret is `Zeroizing`, and a card cannot be printed by accident.

mod console;
mod font;
mod png;
mod qr;
mod svg;
#[cfg(test)]
mod tests;
mod text;

pub use console::console;
pub use png::png;
pub use qr::{Qr, QrError, half_blocks};
pub use svg::svg;
pub use text::text;

use crate::pki::Fingerprint;
use std::fmt;
use std::net::IpAddr;
use zeroize::Zeroizing;

/// Addresses that are shown; a box with more is found by its name.
pub const MOST_ADDRESSES: usize = 4;
/// Remarks that are shown.
pub const MOST_REMARKS: usize = 24;

/// What the card says.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Card {
    /// What the box is called.
    pub name: String,
    /// The network to join; `None` where the box is on a cable.
    pub wifi: Option<Wifi>,
    /// The page without the secret, such as `https://bulle.internal/`.
    pub page: String,
    /// Where the page is by address, most useful first.
    pub addresses: Vec<IpAddr>,
    /// What only the first administrator needs.
    pub invitation: Option<Invitation>,
    /// The box's certificate authority.
    pub fingerprint: Option<Fingerprint>,
    /// Sentences about why the box does what it does, most important first.
    pub remarks: Vec<String>,
    /// How many of them have to be seen, whatever else there is no room for.
    pub urgent: usize,
}

/// A network to join.
#[derive(Clone, PartialEq, Eq)]
pub struct Wifi {
    /// Its name.
    pub ssid: String,
    /// Its key.
    pub key: Zeroizing<String>,
}

/// What is taken away when the box has been claimed.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The page with the secret of the bubble in its fragment.
    pub link: Zeroizing<String>,
    /// The code that makes its reader the administrator.
    pub claim_code: Zeroizing<String>,
}

impl Wifi {
    /// What the QR code says, in the form that phones have agreed upon.
    #[must_use]
    pub fn uri(&self) -> Zeroizing<String> {
        let mut uri = Zeroizing::new(String::with_capacity(32 + 2 * (self.ssid.len() + self.key.len())));
        uri.push_str("WIFI:T:WPA;S:");
        escape(&self.ssid, &mut uri);
        uri.push_str(";P:");
        escape(&self.key, &mut uri);
        uri.push_str(";;");
        uri
    }
}

/// A backslash before whatever means something in there.
fn escape(text: &str, to: &mut String) {
    for c in text.chars() {
        if matches!(c, '\\' | ';' | ',' | '"' | ':') {
            to.push('\\');
        }
        to.push(c);
    }
}

impl Card {
    /// What the QR code of the page says.
    #[must_use]
    pub fn link(&self) -> &str {
        self.invitation.as_ref().map_or(&self.page, |invitation| &invitation.link)
    }

    /// Where the claim code is entered.
    fn claim_page(&self) -> String {
        format!("{}/claim", self.page.trim_end_matches('/'))
    }

    /// The page by address, for networks that do not know its name.
    fn pages_by_address(&self) -> impl Iterator<Item = String> {
        self.addresses.iter().take(MOST_ADDRESSES).map(|address| match address {
            IpAddr::V4(v4) => format!("https://{v4}/"),
            IpAddr::V6(v6) => format!("https://[{v6}]/"),
        })
    }

    fn remarks(&self) -> impl Iterator<Item = &str> {
        self.remarks.iter().take(MOST_REMARKS).map(String::as_str)
    }
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Card")
            .field("wifi", &self.wifi.is_some())
            .field("invitation", &self.invitation.is_some())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Wifi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wifi(..)")
    }
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Invitation(..)")
    }
}
