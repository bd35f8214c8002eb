//! Modes and reasons as sentences for the owner.

use super::{Cable, Decision, Mode, Reason};
use std::fmt;

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wifi => "wifi",
            Self::Lan => "lan",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asked(Mode::Wifi) => "`mode` in bulle.toml asks for it.",
            Self::Asked(Mode::Lan) => "`mode` in bulle.toml asks for it; no Wi-Fi is made.",
            Self::SettingsWrong => {
                "there are mistakes in bulle.toml, so no Wi-Fi is made until they are repaired."
            }
            Self::CableHasNetwork => {
                "a network answers on it. To make a Wi-Fi all the same, set `mode` in bulle.toml."
            }
            Self::CableHasNone(Cable::Absent) => "this box has no socket for a cable.",
            Self::CableHasNone(Cable::Unplugged) => "no cable is plugged in.",
            Self::CableHasNone(Cable::Silent | Cable::Network) => "no network answers on the cable.",
            Self::PhonesOn => "phones are on it. It serves the network of the cable once they are gone.",
            Self::NoRadio => "no Wi-Fi radio was found. An adapter that is plugged in later is used.",
            Self::RadioUnable => {
                "the Wi-Fi radio cannot make a network. Another adapter that is plugged in is used."
            }
            Self::RadioFailed => "the Wi-Fi radio has failed and did not come back.",
        })
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mode {
            Mode::Wifi => write!(f, "This box makes its own Wi-Fi: {}", self.reason),
            Mode::Lan => write!(f, "This box serves the network of its cable: {}", self.reason),
        }
    }
}
