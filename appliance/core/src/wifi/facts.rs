//! What the kernel says about a radio, as far as the decision needs it.
//!
//! Not here: the bytes it says it in; see [`super::nl80211`].
//! Absent on purpose: the radio's own address.

use super::Country;

/// Radios that are looked at; a box with more keeps the first.
pub const MOST_RADIOS: usize = 8;
/// Channels of one band that are looked at; 6 GHz, which we do not use, has the most with 59.
pub const MOST_CHANNELS: usize = 64;
/// Combinations of interfaces that are looked at, and limits in each.
pub const MOST_COMBINATIONS: usize = 16;

/// A band that an access point of ours can be on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Band {
    /// 2.4 GHz.
    Band2,
    /// 5 GHz.
    Band5,
}

impl std::fmt::Display for Band {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Band2 => "2.4 GHz",
            Self::Band5 => "5 GHz",
        })
    }
}

/// One channel of 20 MHz, with what the regulatory domain of this moment says about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Channel {
    /// Centre in MHz.
    pub frequency: u16,
    /// Not to be used at all.
    pub disabled: bool,
    /// "No initiating radiation": stations may follow others there, an access point may not begin.
    pub no_ir: bool,
    /// Radars have priority: a minute of listening before, and leaving at once when one is heard.
    pub radar: bool,
    /// Allowed within buildings only.
    pub indoor: bool,
    /// No second channel above.
    pub no_ht40_plus: bool,
    /// No second channel below.
    pub no_ht40_minus: bool,
    /// Not as part of 80 MHz.
    pub no_80mhz: bool,
    /// In hundredths of dBm; 0 where the kernel does not say.
    pub power: u32,
}

impl Channel {
    /// Its number (IEEE 802.11, annex E), where it is on a band of ours.
    #[must_use]
    pub const fn number(&self) -> Option<u8> {
        number(self.frequency)
    }

    /// Whether an access point may begin to send there without further ado.
    #[must_use]
    pub const fn free(&self) -> bool {
        !self.disabled && !self.no_ir && !self.radar
    }
}

/// The number of the channel around `frequency` MHz, where it is on a band of ours.
#[must_use]
pub const fn number(frequency: u16) -> Option<u8> {
    // The ranges give 1 to 13, and 7 to 177.
    match frequency {
        2412..=2472 if (frequency - 2407).is_multiple_of(5) => Some(((frequency - 2407) / 5) as u8),
        2484 => Some(14),
        5035..=5885 if (frequency - 5000).is_multiple_of(5) => Some(((frequency - 5000) / 5) as u8),
        _ => None,
    }
}

/// One band of a radio.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BandFacts {
    /// In the order of their frequencies; at most [`MOST_CHANNELS`].
    pub channels: Vec<Channel>,
    /// 802.11n.
    pub ht: bool,
    /// 802.11n with 40 MHz.
    pub ht40: bool,
    /// 802.11ac.
    pub vht: bool,
    /// 802.11ax as an access point.
    pub he: bool,
}

impl BandFacts {
    /// The channel of this number.
    #[must_use]
    pub fn channel(&self, number: u8) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.number() == Some(number))
    }
}

/// So many interfaces of these types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How many.
    pub most: u16,
    /// Access points may be among them.
    pub access_point: bool,
    /// Stations may be among them.
    pub station: bool,
}

/// Interfaces that may exist at the same time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Combination {
    /// All of these hold; at most [`MOST_COMBINATIONS`].
    pub limits: Vec<Limit>,
    /// All together.
    pub most: u16,
    /// On how many channels at a time.
    pub channels: u16,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
}

/// What a radio is found again by after its driver was reloaded, which gives it other numbers and perhaps
/// another name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RadioId {
    /// The driver, such as `brcmfmac`.
    pub driver: String,
    /// The device on its bus, such as `mmc1:0001:1`.
    pub device: String,
}

/// What is known about a radio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RadioFacts {
    /// The kernel's number of it at the moment.
    pub phy: u32,
    /// What it is found again by.
    pub id: RadioId,
    /// Its first interface, where it has one.
    pub interface: Option<Interface>,
    /// It can be an access point at all.
    pub access_point: bool,
    /// What it can be at the same time; at most [`MOST_COMBINATIONS`].
    pub combinations: Vec<Combination>,
    /// 2.4 GHz.
    pub band2: Option<BandFacts>,
    /// 5 GHz.
    pub band5: Option<BandFacts>,
    /// CCMP-128, without which there is no WPA2.
    pub ccmp: bool,
    /// BIP-CMAC-128, without which management frames cannot be protected.
    pub bip: bool,
    /// The driver authenticates stations by itself (full-MAC), so that hostapd cannot do SAE for it.
    pub own_sme: bool,
    /// The driver does SAE as an access point when it is given the password.
    pub sae_offload: bool,
    /// Stations at most, where the driver says.
    pub stations: Option<u16>,
    /// The radio makes its own regulatory domain and ignores ours (Intel).
    pub self_managed: bool,
    /// The regulatory domain it is in; `None` is the world's.
    pub country: Option<Country>,
    /// Switched off by software; can be undone.
    pub soft_blocked: bool,
    /// Switched off by a switch of the machine.
    pub hard_blocked: bool,
}

impl RadioFacts {
    /// One of its bands.
    #[must_use]
    pub const fn band(&self, band: Band) -> Option<&BandFacts> {
        match band {
            Band::Band2 => self.band2.as_ref(),
            Band::Band5 => self.band5.as_ref(),
        }
    }

    /// Whether an access point shares its channel with any other interface (Intel since Linux 6.11).
    #[must_use]
    pub fn one_channel_only(&self) -> bool {
        let mut with = self
            .combinations
            .iter()
            .filter(|combination| combination.limits.iter().any(|limit| limit.access_point))
            .peekable();
        with.peek().is_none() || with.all(|combination| combination.channels <= 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequencies_have_the_numbers_of_the_standard() {
        for (frequency, channel) in
            [(2412, 1), (2437, 6), (2462, 11), (2472, 13), (2484, 14), (5180, 36), (5240, 48), (5825, 165)]
        {
            assert_eq!(number(frequency), Some(channel), "{frequency}");
        }
        for frequency in [0, 2411, 2413, 2477, 5034, 5181, 5890, 5955, u16::MAX] {
            assert_eq!(number(frequency), None, "{frequency}");
        }
    }
}
