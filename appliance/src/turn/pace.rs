//! When to rest a moment before the next look at the sockets.
//!
//! At some ten thousand packets per second, waking for each single one is most of what it costs. A short rest lets
//! a few gather. Below that rate a rest would cost more than it saves, and every packet is handled as it comes; far
//! above it packets gather by themselves.

use std::time::Duration;

use base::Instant;

/// From so many packets per second on, resting pays.
const BUSY: u64 = 12_000;
/// So many at one look have gathered without a rest.
const GATHERED: u64 = 24;
/// The rest. The system adds some fifty microseconds.
const REST: Duration = Duration::from_micros(150);
/// The time over which packets are counted.
const WINDOW: Duration = Duration::from_millis(20);

/// Counts packets.
#[derive(Debug)]
pub(super) struct Pace {
    since: Instant,
    packets: u64,
    busy: bool,
}

impl Pace {
    pub(super) const fn new(now: Instant) -> Self {
        Self { since: now, packets: 0, busy: false }
    }

    /// So many packets were handled at the last look; how long to rest, if at all.
    pub(super) fn rest(&mut self, packets: u64, now: Instant) -> Option<Duration> {
        self.packets += packets;
        let passed = now.saturating_duration_since(self.since);
        if passed >= WINDOW {
            let per_second =
                self.packets * 1000 / u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).max(1);
            self.busy = per_second >= BUSY;
            self.since = now;
            self.packets = 0;
        }
        (self.busy && (1..GATHERED).contains(&packets)).then_some(REST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `packets` at each look, `looks` per second, for a second; how many rests that gives.
    fn rests(packets: u64, looks: u64) -> usize {
        let mut pace = Pace::new(Instant::ZERO);
        (1..=looks)
            .filter(|look| pace.rest(packets, Instant::from_millis(look * 1000 / looks)).is_some())
            .count()
    }

    #[test]
    fn a_quiet_relay_never_rests() {
        assert_eq!(rests(1, 2_000), 0);
        assert_eq!(rests(1, 10_000), 0);
    }

    #[test]
    fn a_busy_one_rests_and_one_that_is_flooded_does_not() {
        assert!(rests(1, 20_000) > 19_000);
        assert!(rests(4, 5_000) > 4_500);
        assert_eq!(rests(64, 5_000), 0);
    }

    #[test]
    fn when_the_rush_is_over_the_rests_are() {
        let mut pace = Pace::new(Instant::ZERO);
        for at in 1..=100 {
            pace.rest(30, Instant::from_millis(at));
        }
        assert!(pace.rest(1, Instant::from_millis(101)).is_some());
        assert!(pace.rest(1, Instant::from_millis(140)).is_none());
        assert!(pace.rest(0, Instant::from_millis(141)).is_none());
    }
}
