//! How stations prove themselves: from what the radio can do and what the owner asks, never less than asked.

use super::{Notice, Refusal, Surroundings, Wpa3Obstacle};
use crate::wifi::{RadioFacts, SecurityWish};

/// The first version of hostapd that hands SAE passwords to the driver.
const HOSTAPD_WITH_SAE_OFFLOAD: (u16, u16) = (2, 11);

/// Whether management frames are protected (802.11w).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pmf {
    /// Not at all: the firmware stumbles over it, or there is no cipher for it.
    Off,
    /// With stations that can.
    Optional,
}

/// How stations prove themselves, from the weakest to the safest. Always CCMP; TKIP and WEP do not exist here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Security {
    /// WPA2 with the long key of this box.
    Wpa2(Pmf),
    /// WPA2 and WPA3-SAE side by side; with WPA3, management frames must be protected.
    Wpa2AndWpa3,
    /// WPA3-SAE only, with protected management frames.
    Wpa3,
}

impl Security {
    /// Whether WPA3-SAE is offered.
    #[must_use]
    pub const fn sae(self) -> bool {
        match self {
            Self::Wpa2(_) => false,
            Self::Wpa2AndWpa3 | Self::Wpa3 => true,
        }
    }

    /// Whether WPA2-PSK is offered.
    #[must_use]
    pub const fn psk(self) -> bool {
        match self {
            Self::Wpa3 => false,
            Self::Wpa2AndWpa3 | Self::Wpa2(_) => true,
        }
    }
}

pub(super) fn decide(
    facts: &RadioFacts,
    around: &Surroundings,
    wish: SecurityWish,
    notices: &mut Vec<Notice>,
) -> Result<Security, Refusal> {
    if !facts.ccmp {
        return Err(Refusal::NoWpa2);
    }
    // Chips that answer stations by themselves say that they can protect management frames, and then
    // keep phones out when an access point offers it.
    let pmf = if facts.bip && !facts.own_sme { Pmf::Optional } else { Pmf::Off };
    match (wish, wpa3_obstacle(facts, around)) {
        (SecurityWish::Wpa3, None) => Ok(Security::Wpa3),
        (SecurityWish::Wpa3, Some(obstacle)) => Err(Refusal::NoWpa3(obstacle)),
        (SecurityWish::Auto | SecurityWish::Wpa2AndWpa3, None) => Ok(Security::Wpa2AndWpa3),
        (SecurityWish::Auto | SecurityWish::Wpa2AndWpa3, Some(obstacle)) => {
            notices.push(Notice::NoWpa3(obstacle));
            Ok(wpa2(pmf, notices))
        }
        (SecurityWish::Wpa2, _) => Ok(wpa2(pmf, notices)),
    }
}

/// Whether a radio can still do what was decided for the one in its place.
pub(super) const fn fits(security: Security, facts: &RadioFacts) -> bool {
    let protected = match security {
        Security::Wpa2(pmf) => matches!(pmf, Pmf::Off) || facts.bip,
        Security::Wpa2AndWpa3 | Security::Wpa3 => facts.bip && (!facts.own_sme || facts.sae_offload),
    };
    facts.ccmp && protected
}

fn wpa2(pmf: Pmf, notices: &mut Vec<Notice>) -> Security {
    if pmf == Pmf::Off {
        notices.push(Notice::NoManagementProtection);
    }
    Security::Wpa2(pmf)
}

/// Why this radio cannot do WPA3-SAE as an access point; `None` when it can.
fn wpa3_obstacle(facts: &RadioFacts, around: &Surroundings) -> Option<Wpa3Obstacle> {
    if !facts.bip {
        Some(Wpa3Obstacle::ManagementProtection)
    } else if !facts.own_sme {
        None
    } else if !facts.sae_offload {
        Some(Wpa3Obstacle::Driver)
    } else if around.hostapd.is_none_or(|version| version < HOSTAPD_WITH_SAE_OFFLOAD) {
        Some(Wpa3Obstacle::Hostapd)
    } else {
        None
    }
}
