//! The decision: one radio, one policy, one plan; or the reason why there is none.

mod channel;
mod choice;
mod security;
#[cfg(test)]
mod tests;
mod words;

pub use choice::{Choice, Merit, choose};
pub use security::{Pmf, Security};

use super::facts::Channel;
use super::{Band, Country, Policy, RadioFacts, RadioId};

/// Stations that a radio carries whose driver does everything in software, as far as we promise.
pub const SOFTMAC_STATIONS: u16 = 50;
/// Stations that a radio carries of which we know nothing.
pub const UNKNOWN_STATIONS: u16 = 8;
/// Notices that a plan can hold; every kind once.
pub const MOST_NOTICES: usize = 8;

/// What is known beside the radio itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The version of hostapd, such as (2, 10); `None` when it could not be asked.
    pub hostapd: Option<(u16, u16)>,
    /// How busy channels are, where that was measured; at most one entry per channel.
    pub surveys: Vec<Survey>,
    /// Whether another network of the same name was heard.
    pub name_heard: bool,
}

/// How busy a channel is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Centre in MHz.
    pub frequency: u16,
    /// Thousandths of the time in which somebody was sending, where the radio can tell.
    pub busy: Option<u16>,
    /// Networks heard there. Whose is not kept.
    pub networks: u16,
}

/// How wide the channel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 20 MHz.
    Mhz20,
    /// 40 MHz, with the second channel above.
    Mhz40Above,
    /// 40 MHz, with the second channel below.
    Mhz40Below,
    /// 80 MHz around this channel number.
    Mhz80 {
        /// The number of the centre.
        centre: u8,
        /// Whether the second channel is above.
        above: bool,
    },
}

/// What the access point will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Which radio.
    pub radio: RadioId,
    /// Its interface at the moment of the decision; `None` when one has to be made.
    pub interface: Option<String>,
    /// The regulatory domain to ask for.
    pub country: Option<Country>,
    /// The band.
    pub band: Band,
    /// The number of the channel.
    pub channel: u8,
    /// Its width.
    pub width: Width,
    /// 802.11n, 802.11ac, 802.11ax.
    pub modes: Modes,
    /// How stations prove themselves.
    pub security: Security,
    /// Stations at most.
    pub stations: u16,
    /// Whether stations are kept from each other.
    pub isolation: bool,
    /// Whether the driver, rather than hostapd, speaks with stations before they are let in.
    pub own_sme: bool,
    /// What the owner should know; at most [`MOST_NOTICES`].
    pub notices: Vec<Notice>,
    /// Why this radio and no other.
    pub choice: Choice,
}

/// Generations of 802.11 beyond the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modes {
    /// 802.11n.
    pub ht: bool,
    /// 802.11ac.
    pub vht: bool,
    /// 802.11ax.
    pub he: bool,
}

/// Something that is not as wished or not as good as it could be, and what would change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// No country is set: only what is allowed everywhere is used.
    CountryUnset,
    /// The country that was asked for is not the one the radio follows.
    CountryIgnored {
        /// Because the radio makes its own rules.
        self_managed: bool,
    },
    /// 5 GHz was asked for and is not possible.
    No5Ghz(Band5Obstacle),
    /// The channel that was asked for cannot be used; another is.
    ChannelNotPossible {
        /// As asked.
        asked: u8,
        /// Why.
        obstacle: ChannelObstacle,
    },
    /// WPA3 is not offered.
    NoWpa3(Wpa3Obstacle),
    /// Management frames are not protected.
    NoManagementProtection,
    /// More stations were asked for than the radio carries.
    StationsCapped {
        /// As asked.
        asked: u16,
        /// What it carries.
        most: u16,
    },
    /// The driver does not say how many stations it carries; a careful number is used.
    StationsAssumed {
        /// The number.
        most: u16,
    },
    /// Another network near has the same name.
    NameHeard,
}

/// Why 5 GHz is not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Band5Obstacle {
    /// The radio has no 5 GHz.
    NotThere,
    /// No country is set.
    CountryUnset,
    /// The radio makes its own rules, and forbids it.
    SelfManaged,
    /// The country's rules leave no channel there.
    NotAllowed,
}

/// Why a channel cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelObstacle {
    /// The radio has no such channel on the band.
    NotThere,
    /// The country's rules forbid it.
    Disabled,
    /// An access point may not begin there.
    NoIr,
    /// Radars have priority there.
    Radar,
    /// Without a country only channels 1, 6 and 11 are used.
    CountryUnset,
}

/// Why WPA3 is not offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wpa3Obstacle {
    /// The driver cannot, and hostapd cannot do it in its place.
    Driver,
    /// The driver could, with a newer hostapd.
    Hostapd,
    /// WPA3 needs protected management frames, which the radio has not.
    ManagementProtection,
}

/// Why there is no access point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no radio at all.
    NoRadio,
    /// The radio cannot be an access point.
    NoAccessPointMode,
    /// A switch of the machine keeps the radio off.
    SwitchedOff,
    /// The radio cannot do WPA2.
    NoWpa2,
    /// Nothing less than WPA3 was wanted, and the radio cannot do it.
    NoWpa3(Wpa3Obstacle),
    /// No channel may be used until a country is set.
    CountryNeeded,
    /// No channel may be used.
    NoChannel {
        /// Because the radio makes its own rules.
        self_managed: bool,
    },
}

/// Decides what the access point on this radio will be.
///
/// # Errors
/// When it cannot be one, or not one that is as safe as was asked for.
pub fn decide(facts: &RadioFacts, around: &Surroundings, policy: &Policy) -> Result<Plan, Refusal> {
    if facts.hard_blocked {
        return Err(Refusal::SwitchedOff);
    }
    if !facts.access_point {
        return Err(Refusal::NoAccessPointMode);
    }
    let mut notices = Vec::with_capacity(MOST_NOTICES);
    let security = security::decide(facts, around, policy.security, &mut notices)?;
    let spot = channel::decide(facts, around, policy, &mut notices)?;
    let stations = stations(facts, policy, &mut notices);
    if around.name_heard {
        notices.push(Notice::NameHeard);
    }
    Ok(Plan {
        radio: facts.id.clone(),
        interface: facts.interface.as_ref().map(|interface| interface.name.clone()),
        country: policy.country,
        band: spot.band,
        channel: spot.number,
        width: spot.width,
        modes: spot.modes,
        security,
        stations,
        isolation: policy.isolation,
        own_sme: facts.own_sme,
        notices,
        choice: Choice::default(),
    })
}

impl Plan {
    /// Whether this plan can be carried out on `facts`: the same place may hold another radio after a while.
    #[must_use]
    pub fn fits(&self, facts: &RadioFacts) -> bool {
        let channel = facts.band(self.band).and_then(|band| band.channel(self.channel));
        facts.id == self.radio
            && facts.access_point
            && !facts.hard_blocked
            && facts.own_sme == self.own_sme
            && security::fits(self.security, facts)
            && channel.is_some_and(Channel::free)
    }
}

/// How many stations are let in.
fn stations(facts: &RadioFacts, policy: &Policy, notices: &mut Vec<Notice>) -> u16 {
    let (most, assumed) = match (facts.stations.filter(|most| *most > 0), known_capacity(&facts.id.driver)) {
        (Some(said), Some(known)) => (said.min(known), false),
        (Some(said), None) => (said, false),
        (None, Some(known)) => (known, false),
        (None, None) if facts.own_sme => (UNKNOWN_STATIONS, true),
        (None, None) => (SOFTMAC_STATIONS, false),
    };
    if assumed {
        notices.push(Notice::StationsAssumed { most });
    }
    match policy.stations {
        Some(asked) if asked > most => {
            notices.push(Notice::StationsCapped { asked, most });
            most
        }
        Some(asked) => asked.max(1),
        None => most,
    }
}

/// Tables of stations that firmware or driver hold, for drivers that do not tell the kernel.
fn known_capacity(driver: &str) -> Option<u16> {
    match driver {
        // Owners of Raspberry Pis report 8 with the usual firmware; others carry 19 and more, but nothing
        // tells them apart, and a station too many makes the firmware drop one that was in.
        "brcmfmac" => Some(8),
        // 20 entries, of which the interfaces and one reserve take five.
        "mt7921e" | "mt7921u" | "mt7921s" | "mt7925e" | "mt7925u" => Some(15),
        // 16 entries, of which broadcast and auxiliary ones take two.
        "iwlwifi" => Some(14),
        // 8 entries, of which the interface takes one.
        "ath9k_htc" => Some(7),
        // 32 identifiers, of which the interface takes one. The drivers have changed their names once.
        _ if driver.starts_with("rtw88_") || driver.starts_with("rtw_8") => Some(31),
        _ => None,
    }
}
