//! When to rest a moment before the next look at the sockets.
//!
//! At some ten thousand packets per second, waking for each single one is most of what it costs. A short rest lets
//! a few gather. Below that rate a rest would cost more than it saves, and every packet is handled as it comes. Far
//! above it packets gather by themselves, and a rest would only hold back those who wait for what they sent.

use std::time::Duration;

use base::Instant;
use nix::libc;
use nix::sys::prctl::set_timerslack;

/// From so many packets per second on, resting pays.
const BUSY: u64 = 12_000;
/// A thread that works more than one part of so many of its time has no time to rest. At the rates at which a rest
/// pays it is a fifth at most, on a slow machine.
const IDLE_PARTS: u32 = 3;
/// So many at one look have gathered without a rest.
const GATHERED: u64 = 24;
/// The rest.
const REST: Duration = Duration::from_micros(280);
/// How much longer the system may make it, so that timers end together. By itself it takes fifty microseconds.
const SLACK_NS: libc::c_ulong = 1_000;
/// The time over which packets are counted.
const WINDOW: Duration = Duration::from_millis(20);

/// Makes the rests of this thread as short as they are meant.
pub(super) fn rest_precisely() {
    // A system that cannot do that makes them a little longer.
    let _ = set_timerslack(SLACK_NS);
}

/// Counts packets, and the time that they take.
#[derive(Debug)]
pub(super) struct Pace {
    since: Instant,
    packets: u64,
    worked: Duration,
    busy: bool,
}

impl Pace {
    pub(super) const fn new(now: Instant) -> Self {
        Self { since: now, packets: 0, worked: Duration::ZERO, busy: false }
    }

    /// So many packets were handled at the last look, which began at `began`; how long to rest, if at all.
    pub(super) fn rest(&mut self, packets: u64, began: Instant, now: Instant) -> Option<Duration> {
        self.packets += packets;
        self.worked += now.saturating_duration_since(began);
        let passed = now.saturating_duration_since(self.since);
        if passed >= WINDOW {
            let per_second =
                self.packets * 1000 / u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).max(1);
            self.busy = per_second >= BUSY && self.worked.saturating_mul(IDLE_PARTS) < passed;
            (self.since, self.packets, self.worked) = (now, 0, Duration::ZERO);
        }
        (self.busy && (1..GATHERED).contains(&packets)).then_some(REST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `packets` at each look, `looks` per second, for a second, each packet some microseconds of work; how many rests
    /// that gives.
    fn rests(packets: u64, looks: u64, work: u64) -> usize {
        let mut pace = Pace::new(Instant::ZERO);
        (1..=looks)
            .filter(|look| {
                let began = Instant::from_micros(look * 1_000_000 / looks);
                let now = began + Duration::from_micros(packets * work);
                pace.rest(packets, began, now).is_some()
            })
            .count()
    }

    #[test]
    fn a_quiet_relay_never_rests() {
        assert_eq!(rests(1, 2_000, 5), 0);
        assert_eq!(rests(1, 10_000, 5), 0);
    }

    #[test]
    fn a_busy_one_rests_and_one_that_is_flooded_does_not() {
        assert!(rests(1, 20_000, 5) > 19_000);
        assert!(rests(4, 5_000, 5) > 4_500);
        assert_eq!(rests(64, 5_000, 1), 0, "so many gather by themselves");
    }

    #[test]
    fn one_that_has_its_hands_full_does_not_rest_however_few_come_at_once() {
        assert_eq!(rests(4, 20_000, 5), 0);
        assert!(rests(4, 20_000, 2) > 19_000);
    }

    #[test]
    fn when_the_rush_is_over_the_rests_are() {
        let mut pace = Pace::new(Instant::ZERO);
        let mut rest = |packets, ms| {
            let at = Instant::from_millis(ms);
            pace.rest(packets, at, at)
        };
        for at in 1..=100 {
            rest(30, at);
        }
        assert_eq!(rest(1, 101), Some(REST));
        assert_eq!(rest(1, 140), None);
        assert_eq!(rest(0, 141), None);
    }
}
