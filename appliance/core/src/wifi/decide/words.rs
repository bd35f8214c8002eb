//! The decision in words for the person who owns the box: what is, why, and what would change it.

use super::{
    Band5Obstacle, ChannelObstacle, Choice, Merit, Notice, Plan, Pmf, Refusal, Security, Width, Wpa3Obstacle,
};
use std::fmt;

impl fmt::Display for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wpa2(Pmf::Off) => "WPA2 with a long key",
            Self::Wpa2(Pmf::Optional) => "WPA2 with a long key and protected management frames",
            Self::Wpa2AndWpa3 => "WPA3, and WPA2 for older phones",
            Self::Wpa3 => "WPA3 only",
        })
    }
}

impl fmt::Display for Width {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mhz20 => "20 MHz",
            Self::Mhz40Above | Self::Mhz40Below => "40 MHz",
            Self::Mhz80 { .. } => "80 MHz",
        })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, channel {} ({} wide), {}, at most {} devices at a time",
            self.band, self.channel, self.width, self.security, self.stations
        )
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.radios, self.merit) {
            (0 | 1, _) => f.write_str("the only radio of this box"),
            (radios, Merit::OnlyOne) => write!(f, "the only one of {radios} radios that can do this"),
            (radios, Merit::Security) => write!(f, "the safest of {radios} radios"),
            (radios, Merit::BandWish) => write!(f, "of {radios} radios the one that can be on 5 GHz"),
            (radios, Merit::Stations) => write!(f, "of {radios} radios the one that carries most devices"),
            (radios, Merit::Bands) => write!(f, "of {radios} radios the one with most bands"),
            (radios, Merit::First) => write!(f, "the first of {radios} radios, others are as good"),
        }
    }
}

impl fmt::Display for Band5Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotThere => "this radio has no 5 GHz",
            Self::CountryUnset => {
                "without a country there is no permission for it; set `country` in bulle.toml"
            }
            Self::SelfManaged => {
                "this radio makes its own rules and forbids it to access points; another radio, for \
                 instance on USB, can do it"
            }
            Self::NotAllowed => "the rules of the country, or the radio, leave no channel for it",
        })
    }
}

impl fmt::Display for ChannelObstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotThere => "this radio does not have it on this band",
            Self::Disabled => "the rules of the country forbid it",
            Self::NoIr => "an access point may not begin there",
            Self::Radar => "radars have priority there",
            Self::CountryUnset => "without a country only 1, 6 and 11 are used; set `country` in bulle.toml",
        })
    }
}

impl fmt::Display for Wpa3Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Driver => "the driver of this radio cannot do it as an access point",
            Self::Hostapd => "the driver of this radio needs hostapd 2.11 for it",
            Self::ManagementProtection => "this radio cannot protect management frames",
        })
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CountryUnset => f.write_str(
                "No country is set, so only what is allowed everywhere is used: 2.4 GHz, channels 1, 6 and \
                 11. Setting `country` in bulle.toml opens 5 GHz where the radio can.",
            ),
            Self::CountryIgnored { self_managed: true } => {
                f.write_str("This radio makes its own rules and does not follow the country that is set.")
            }
            Self::CountryIgnored { self_managed: false } => f.write_str(
                "The kernel does not follow the country that is set. Check the two letters of `country` in \
                 bulle.toml.",
            ),
            Self::No5Ghz(obstacle) => write!(f, "The Wi-Fi is on 2.4 GHz and not on 5 GHz: {obstacle}."),
            Self::ChannelNotPossible { asked, obstacle } => {
                write!(f, "Channel {asked} cannot be used: {obstacle}. Another one was chosen.")
            }
            Self::NoWpa3(obstacle) => {
                write!(f, "WPA3 is not offered: {obstacle}. The long key makes WPA2 safe.")
            }
            Self::NoManagementProtection => f.write_str(
                "Somebody near can throw devices out of this Wi-Fi for a moment, since this radio does not \
                 protect management frames. They can read nothing.",
            ),
            Self::StationsCapped { asked, most } => {
                write!(f, "This radio carries {most} devices at a time, not {asked}.")
            }
            Self::StationsAssumed { most } => write!(
                f,
                "This radio does not say how many devices it carries at a time; {most} are let in, which is \
                 careful."
            ),
            Self::NameHeard => f.write_str(
                "Another Wi-Fi near this box has the same name, so phones may join the wrong one. Give this box \
                 another `name` or `wifi.ssid` in bulle.toml.",
            ),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRadio => f.write_str(
                "This box has no Wi-Fi radio, or none whose driver is on it. Use the cable, or plug a Wi-Fi \
                 adapter into USB.",
            ),
            Self::NoAccessPointMode => f.write_str(
                "The Wi-Fi radio of this box cannot be an access point. Use the cable, or plug another \
                 Wi-Fi adapter into USB.",
            ),
            Self::SwitchedOff => f.write_str(
                "A switch, a key or the firmware of this machine keeps its Wi-Fi off. Switch it on there.",
            ),
            Self::NoWpa2 => f.write_str(
                "The Wi-Fi radio of this box cannot do WPA2, and less is not safe. Use the cable, or plug \
                 another Wi-Fi adapter into USB.",
            ),
            Self::NoWpa3(obstacle) => write!(
                f,
                "`wifi.security` in bulle.toml asks for WPA3 only, and {obstacle}. Set it to \"auto\", or \
                 plug another Wi-Fi adapter into USB."
            ),
            Self::CountryNeeded => f.write_str(
                "This radio may not send before it knows the country. Set `country` in bulle.toml, for \
                 instance `country = \"FR\"`.",
            ),
            Self::NoChannel { self_managed: true } => f.write_str(
                "This radio makes its own rules and allows an access point no channel here. Use the cable, \
                 or plug another Wi-Fi adapter into USB.",
            ),
            Self::NoChannel { self_managed: false } => f.write_str(
                "The rules of the country leave this radio no channel for an access point. Check `country` \
                 in bulle.toml.",
            ),
        }
    }
}

impl std::error::Error for Refusal {}
