//! What time it is at least: a box without a battery clock wakes up in 1970.
//!
//! The floor is the latest of the moment of the build and the moment last saved on this machine.
//! Only certificates and expiry dates use this wall clock; every deadline uses `base::Instant`.
//! Invariant: the clock that this module hands out never goes below its floor, and nothing here
//! refuses to work because a clock is wrong.

use base::UnixSeconds;
use std::time::Duration;

/// A day, as certificates count it.
pub const DAY: Duration = Duration::from_secs(86_400);

/// A saved time further than this after the build is taken for damage and ignored:
/// believing it would push every certificate into a future that no phone accepts.
pub const LATEST_SAVED_AFTER_BUILD: Duration = DAY.saturating_mul(30 * 365);

/// The machine's clock, corrected upwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    floor: UnixSeconds,
}

/// What the machine's clock said, and what is used instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The time to use.
    pub now: UnixSeconds,
    /// By how many seconds the machine's clock lags behind the floor; 0 when it is plausible.
    pub behind: u64,
}

impl Clock {
    /// A clock that never says less than `build`, nor than `saved` where that is plausible.
    #[must_use]
    pub fn new(build: UnixSeconds, saved: Option<UnixSeconds>) -> Self {
        let plausible = saved.filter(|saved| *saved <= build.plus(LATEST_SAVED_AFTER_BUILD));
        Self { floor: plausible.map_or(build, |saved| saved.max(build)) }
    }

    /// The earliest moment that it can be.
    #[must_use]
    pub const fn floor(&self) -> UnixSeconds {
        self.floor
    }

    /// Correct what the machine says.
    #[must_use]
    pub fn read(&self, machine: UnixSeconds) -> Reading {
        Reading { now: machine.max(self.floor), behind: self.floor.0.saturating_sub(machine.0) }
    }

    /// Raise the floor to a moment that is known to have passed. Never lowers it.
    pub fn raise(&mut self, to: UnixSeconds) {
        self.floor = self.floor.max(to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILD: UnixSeconds = UnixSeconds(1_795_000_000);

    #[test]
    fn a_clock_in_1970_reads_as_the_build_date() {
        let reading = Clock::new(BUILD, None).read(UnixSeconds(12));
        assert_eq!(reading, Reading { now: BUILD, behind: BUILD.0 - 12 });
    }

    #[test]
    fn a_saved_time_after_the_build_is_the_floor() {
        let clock = Clock::new(BUILD, Some(BUILD.plus(DAY)));
        assert_eq!(clock.read(BUILD).now, BUILD.plus(DAY));
        assert_eq!(clock.read(BUILD.plus(2 * DAY)), Reading { now: BUILD.plus(2 * DAY), behind: 0 });
    }

    #[test]
    fn a_saved_time_before_the_build_or_absurdly_late_is_ignored() {
        assert_eq!(Clock::new(BUILD, Some(UnixSeconds(0))).floor(), BUILD);
        assert_eq!(Clock::new(BUILD, Some(UnixSeconds(u64::MAX))).floor(), BUILD);
    }

    #[test]
    fn the_floor_never_goes_down() {
        let mut clock = Clock::new(BUILD, None);
        clock.raise(BUILD.plus(DAY));
        clock.raise(BUILD);
        assert_eq!(clock.floor(), BUILD.plus(DAY));
    }
}
