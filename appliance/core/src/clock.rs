//! What time it is at least: a box without a battery clock wakes up in 1970.
//!
//! The floor is the latest of the moment of the build, the moment last saved on this machine, and the moment at
//! which its own newest certificate was made.
//! Where somebody who knows has set the machine's clock ([`Source::Told`]: a time server on Ethernet, an
//! administrator), it is believed down to the build, so that one wrong date, once saved, does not last for ever.
//! Nothing comes from phones: whoever joins may claim any time.
//! Only certificates and expiry dates use this wall clock; every deadline uses `base::Instant`.
//! Invariant: the clock that this module hands out never goes below the build, nor below the floor unless it was
//! told; and nothing here refuses to work because a clock is wrong.

use base::UnixSeconds;
use std::time::Duration;

/// A day, as certificates count it.
pub const DAY: Duration = Duration::from_secs(86_400);

/// A saved time further than this after the build is taken for damage and ignored:
/// believing it would push every certificate into a future that no phone accepts.
pub const LATEST_SAVED_AFTER_BUILD: Duration = DAY.saturating_mul(30 * 365);

/// The saved time is renewed when it is this old: a card is written once a month, not once an hour. After a power cut
/// a box without a battery goes back by no more than that, and its certificates begin twice as far in the past.
pub const SAVE_EVERY: Duration = DAY.saturating_mul(30);
/// At an orderly end the time is saved when it is this much later than what is saved.
pub const SAVE_AT_END: Duration = Duration::from_secs(3600);

/// Where the machine has its time from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody knows: it may have begun to count when the power came.
    Unknown,
    /// Somebody who knows has set it.
    Told,
}

/// The machine's clock, corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    build: UnixSeconds,
    floor: UnixSeconds,
}

/// An administrator whose device is further than this after the build is not believed: one wrong date would make
/// certificates that no other phone accepts.
pub const LATEST_TOLD_AFTER_BUILD: Duration = DAY.saturating_mul(10 * 365);
/// So far the device of an administrator and the machine's clock may be apart and still mean the same.
const SAME: Duration = Duration::from_secs(60);

/// What follows when an administrator says what time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// The machine's clock is set to that moment, and believed from then on.
    Set(UnixSeconds),
    /// The machine's clock is right, and believed from now on.
    Right,
    /// Nothing: nobody sets a clock back, nor far ahead.
    Ignored,
}

/// Weighs what an administrator's device says against the machine's clock. A clock is set forward and never back: a
/// certificate that was made already must not begin in the future.
#[must_use]
pub fn weigh(told: UnixSeconds, machine: UnixSeconds, build: UnixSeconds) -> Advice {
    if told < build || told > build.plus(LATEST_TOLD_AFTER_BUILD) {
        Advice::Ignored
    } else if told > machine.plus(SAME) {
        Advice::Set(told)
    } else if told.plus(SAME) >= machine {
        Advice::Right
    } else {
        Advice::Ignored
    }
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
        let mut clock = Self { build, floor: build };
        if let Some(saved) = saved {
            clock.raise(saved);
        }
        clock
    }

    /// The earliest moment that it can be.
    #[must_use]
    pub const fn floor(&self) -> UnixSeconds {
        self.floor
    }

    /// Correct what the machine says.
    pub fn read(&mut self, machine: UnixSeconds, source: Source) -> Reading {
        if source == Source::Told && self.is_plausible(machine) {
            self.floor = self.floor.min(machine);
        }
        Reading { now: machine.max(self.floor), behind: self.floor.0.saturating_sub(machine.0) }
    }

    /// Raise the floor to a moment that is known to have passed. Never lowers it; what is absurdly late is damage.
    pub fn raise(&mut self, to: UnixSeconds) {
        if self.is_plausible(to) {
            self.floor = self.floor.max(to);
        }
    }

    fn is_plausible(&self, moment: UnixSeconds) -> bool {
        (self.build..=self.build.plus(LATEST_SAVED_AFTER_BUILD)).contains(&moment)
    }
}

/// A moment as it stands in a file: decimal digits and the end of the line.
#[must_use]
pub fn to_text(moment: UnixSeconds) -> String {
    format!("{}\n", moment.0)
}

/// The moment in such a file. What cannot be read is none.
#[must_use]
pub fn from_text(text: &[u8]) -> Option<UnixSeconds> {
    std::str::from_utf8(text).ok()?.trim_ascii().parse().ok().map(UnixSeconds)
}

/// Whether `now` should take the place of the time that is saved, while the box runs or at its end.
#[must_use]
pub fn is_worth_saving(now: UnixSeconds, saved: Option<UnixSeconds>, at_end: bool) -> bool {
    let by = if at_end { SAVE_AT_END } else { SAVE_EVERY };
    // Earlier than what is saved: somebody has set the clock right.
    saved.is_none_or(|saved| now >= saved.plus(by) || now.plus(by) <= saved)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILD: UnixSeconds = UnixSeconds(1_795_000_000);

    #[test]
    fn a_clock_in_1970_reads_as_the_build_date() {
        let reading = Clock::new(BUILD, None).read(UnixSeconds(12), Source::Unknown);
        assert_eq!(reading, Reading { now: BUILD, behind: BUILD.0 - 12 });
    }

    #[test]
    fn a_saved_time_after_the_build_is_the_floor() {
        let mut clock = Clock::new(BUILD, Some(BUILD.plus(DAY)));
        let mut read = |machine| clock.read(machine, Source::Unknown);
        assert_eq!(read(BUILD).now, BUILD.plus(DAY));
        assert_eq!(read(BUILD.plus(2 * DAY)), Reading { now: BUILD.plus(2 * DAY), behind: 0 });
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

    #[test]
    fn a_jump_of_the_machine_is_followed_both_ways_down_to_the_floor() {
        let mut clock = Clock::new(BUILD, Some(BUILD.plus(DAY)));
        let mut read = |days: u32| clock.read(BUILD.plus(DAY * days), Source::Unknown).now;
        assert_eq!(
            [read(3), read(4000), read(4), read(0)],
            [3, 4000, 4, 1].map(|days: u32| BUILD.plus(DAY * days))
        );
    }

    #[test]
    fn a_wrong_date_that_was_saved_ends_when_somebody_tells_the_right_one() {
        let mut clock = Clock::new(BUILD, Some(BUILD.plus(DAY * 9000)));
        let now = BUILD.plus(DAY * 7);
        assert_eq!(clock.read(now, Source::Unknown).now, BUILD.plus(DAY * 9000));
        assert_eq!(clock.read(now, Source::Told), Reading { now, behind: 0 });
        assert_eq!(clock.read(now.plus(DAY), Source::Unknown).now, now.plus(DAY));
        // Nobody who knows says that it is before the build.
        assert_eq!(clock.read(UnixSeconds(0), Source::Told).now, now);
    }

    #[test]
    fn an_administrator_sets_a_clock_forward_and_neither_back_nor_far_ahead() {
        let days = |days: u32| BUILD.plus(DAY * days);
        let weigh = |told, machine| weigh(told, machine, BUILD);
        assert_eq!(weigh(days(400), UnixSeconds(12)), Advice::Set(days(400)), "a box that woke up in 1970");
        assert_eq!(weigh(days(400), BUILD), Advice::Set(days(400)));
        let seconds = |seconds| days(400).plus(Duration::from_secs(seconds));
        for (told, machine) in [(60, 0), (0, 60), (0, 0)] {
            assert_eq!(weigh(seconds(told), seconds(machine)), Advice::Right, "{told} {machine}");
        }
        assert_eq!(weigh(seconds(61), seconds(0)), Advice::Set(seconds(61)));
        for (told, machine) in [
            (seconds(0), seconds(61)),
            (UnixSeconds(BUILD.0 - 1), UnixSeconds(12)),
            (UnixSeconds(0), UnixSeconds(0)),
            (BUILD.plus(LATEST_TOLD_AFTER_BUILD).plus(DAY), BUILD),
            (UnixSeconds(u64::MAX), BUILD),
        ] {
            assert_eq!(weigh(told, machine), Advice::Ignored, "{told:?} {machine:?}");
        }
    }

    #[test]
    fn a_moment_is_read_as_it_is_written() {
        for moment in [UnixSeconds(0), BUILD, UnixSeconds(u64::MAX)] {
            assert_eq!(from_text(to_text(moment).as_bytes()), Some(moment));
        }
        for other in ["", "-1", "1e9", "soon", "1795000000 1795000000", "18446744073709551616", "\u{0}"] {
            assert_eq!(from_text(other.as_bytes()), None, "{other}");
        }
        assert_eq!(from_text(&[0xff]), None);
    }

    #[test]
    fn an_absurd_moment_does_not_become_the_floor() {
        let mut clock = Clock::new(BUILD, None);
        clock.raise(BUILD.plus(LATEST_SAVED_AFTER_BUILD).plus(DAY));
        assert_eq!(clock.floor(), BUILD);
    }

    #[test]
    fn the_time_is_saved_once_a_month_and_at_the_end() {
        let saved = Some(BUILD);
        assert!(is_worth_saving(BUILD, None, false));
        assert!(!is_worth_saving(BUILD.plus(DAY * 29), saved, false));
        assert!(is_worth_saving(BUILD.plus(DAY * 30), saved, false));
        assert!(is_worth_saving(BUILD.plus(DAY), saved, true) && !is_worth_saving(BUILD, saved, true));
        assert!(is_worth_saving(BUILD, Some(BUILD.plus(DAY * 900)), false), "set right");
    }
}
