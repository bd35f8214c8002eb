//! Failures in words for the person who owns the box.

use super::{Complaint, Failure};
use std::fmt;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RadioGone => f.write_str(
                "The Wi-Fi radio is gone. If it is an adapter on USB, plug it in again; the Wi-Fi comes back \
                 by itself.",
            ),
            Self::RadioSilent => {
                f.write_str("The Wi-Fi radio does not answer. Its driver is being started again.")
            }
            Self::RadioDead => f.write_str(
                "The Wi-Fi radio does not answer, and starting its driver again did not help. Take the box \
                 off its power for ten seconds.",
            ),
            Self::HostapdEnded(complaint) => write!(f, "The Wi-Fi has stopped: {complaint}."),
            Self::HostapdSilent => {
                f.write_str("The Wi-Fi service of this box hangs. It is being started again.")
            }
            Self::NotEnabled(complaint) => write!(f, "The Wi-Fi does not come up: {complaint}."),
            Self::HostapdMissing => f.write_str(
                "The Wi-Fi service of this box cannot be started safely, so there is no Wi-Fi. Its system is not \
                 complete: flash it again.",
            ),
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "its service does not say why; it is being started again",
            Self::Channel => "the channel may not be used here; check `country` in bulle.toml",
            Self::Driver => "the driver of the radio refuses; perhaps another program uses it",
            Self::SwitchedOff => "a switch of this machine keeps the radio off",
            Self::NoInterface => "the radio has no network interface",
            Self::Configuration => "its service does not understand its settings, which is a bug of Bulle",
        })
    }
}
