//! What the owner asks of the access point.

use std::fmt;

/// A country by its two letters (ISO 3166-1), as regulatory databases name them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// Takes two letters, in capitals or not.
    #[must_use]
    pub const fn new(letters: &str) -> Option<Self> {
        match letters.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Some(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => None,
        }
    }

    /// The two capital letters.
    #[must_use]
    pub const fn letters(self) -> [u8; 2] {
        self.0
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = self.0;
        write!(f, "{}{}", char::from(a), char::from(b))
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which band the owner wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BandWish {
    /// The band that reaches everybody: 2.4 GHz.
    #[default]
    Auto,
    /// 2.4 GHz.
    Band2,
    /// 5 GHz, where the country and the radio allow it; else 2.4 GHz, and the box says so.
    Band5,
}

/// Which channel the owner wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelWish {
    /// The least busy one.
    #[default]
    Auto,
    /// This one, where it is allowed; else the least busy one, and the box says so.
    Number(u8),
}

/// Which security the owner wants. Less than this is never given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecurityWish {
    /// WPA2 and WPA3 side by side where the radio proves it, else WPA2 with a long key.
    #[default]
    Auto,
    /// WPA3 only: old phones cannot join.
    Wpa3,
    /// Both side by side.
    Wpa2AndWpa3,
    /// WPA2 only.
    Wpa2,
}

/// What the owner asks of the access point; `Default` is what a box does that nobody has configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Where the box stands.
    pub country: Option<Country>,
    /// Which band.
    pub band: BandWish,
    /// Which channel.
    pub channel: ChannelWish,
    /// Which security.
    pub security: SecurityWish,
    /// Whether stations are kept from reaching each other directly.
    pub isolation: bool,
    /// How many stations at most, when the owner wants fewer than the radio can carry.
    pub stations: Option<u16>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            country: None,
            band: BandWish::Auto,
            channel: ChannelWish::Auto,
            security: SecurityWish::Auto,
            isolation: true,
            stations: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_is_two_letters() {
        assert_eq!(Country::new("fr").map(Country::letters), Some(*b"FR"));
        for wrong in ["", "F", "FRA", "00", "F1", "é"] {
            assert_eq!(Country::new(wrong), None, "{wrong}");
        }
    }
}
