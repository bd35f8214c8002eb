//! Signs of life, and what they mean together.
//!
//! Drivers differ in what they tell: a sign counts as missing only after this radio has shown it once.

use crate::wifi::hostapd::Phase;
use base::Instant;
use std::time::Duration;

/// For so long frames may fail without a single one getting through.
const STUCK: Duration = Duration::from_secs(30);
/// So many frames have to fail in that time: fewer happen when the last phone walks away.
const STUCK_FRAMES: u64 = 20;

/// The signs of life of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// What hostapd answered; `None` when it did not.
    pub hostapd: Option<Phase>,
    /// Stations that are in, as hostapd counts.
    pub stations: u16,
    /// The radio; `None` when its interface is gone.
    pub radio: Option<RadioPulse>,
}

/// The signs of life of the radio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RadioPulse {
    /// The driver says on which channel it sends.
    pub sends: bool,
    /// The driver answers a question that it passes on to the firmware.
    pub answers: bool,
    /// What went through.
    pub traffic: Traffic,
}

/// Counters of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Frames that were sent.
    pub sent: u64,
    /// Frames that could not be sent: errors, and those that were dropped.
    pub failed: u64,
}

/// What this radio has shown so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct History {
    has_sent: bool,
    has_answered: bool,
    still: Option<(Instant, Traffic)>,
}

impl History {
    /// Whether the radio is alive, as far as this pulse and those before it tell.
    pub(super) fn judge(&mut self, pulse: RadioPulse, stations: u16, now: Instant) -> bool {
        let silent = (self.has_sent && !pulse.sends) || (self.has_answered && !pulse.answers);
        self.has_sent |= pulse.sends;
        self.has_answered |= pulse.answers;
        !silent && !self.stuck(pulse.traffic, stations, now)
    }

    /// Frames fail, and none gets through.
    fn stuck(&mut self, traffic: Traffic, stations: u16, now: Instant) -> bool {
        match self.still {
            Some((since, before)) if before.sent == traffic.sent && stations > 0 => {
                now.saturating_duration_since(since) >= STUCK
                    && traffic.failed.saturating_sub(before.failed) >= STUCK_FRAMES
            }
            _ => {
                self.still = Some((now, traffic));
                false
            }
        }
    }
}
