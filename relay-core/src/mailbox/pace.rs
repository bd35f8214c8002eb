//! How fast a session may go: token buckets that remember a number or two.

use core::time::Duration;

use base::Instant;

use super::Rate;

/// A bucket of tokens, kept as the moment at which it will be full again (the virtual scheduling algorithm of
/// ITU-T I.371, annex A).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    full_at_ns: u64,
}

impl Bucket {
    /// Whether the bucket is not overdrawn, and otherwise how long until it is not.
    pub(super) fn check(&self, rate: Rate, now: Instant) -> Result<(), Duration> {
        let over = self.debt_ns(now).saturating_sub(cost_ns(rate, rate.burst));
        if over == 0 { Ok(()) } else { Err(Duration::from_nanos(over)) }
    }

    /// Takes `amount` tokens, which may overdraw the bucket.
    pub(super) fn charge(&mut self, rate: Rate, amount: u32, now: Instant) {
        self.full_at_ns = nanos(now).saturating_add(self.debt_ns(now)).saturating_add(cost_ns(rate, amount));
    }

    /// Whether so much was taken without waiting that it cannot be an accident: a whole burst more than allowed.
    pub(super) fn is_abused(&self, rate: Rate, now: Instant) -> bool {
        self.debt_ns(now) > cost_ns(rate, rate.burst).saturating_mul(2)
    }

    fn debt_ns(&self, now: Instant) -> u64 {
        self.full_at_ns.saturating_sub(nanos(now))
    }
}

/// A bucket of tokens that fills more slowly while the node is short of room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Openings {
    spent_milli: u64,
    at: Instant,
}

impl Openings {
    /// A full bucket.
    pub(super) const fn new(now: Instant) -> Self {
        Self { spent_milli: 0, at: now }
    }

    /// Whether one token is left, and otherwise how long until one is.
    pub(super) fn check(&mut self, rate: Rate, slowdown: u32, now: Instant) -> Result<(), Duration> {
        let token_ns = u128::from(cost_ns(rate, 1).max(1)) * u128::from(slowdown);
        let passed = now.saturating_duration_since(self.at).as_nanos();
        let filled = u64::try_from(passed * 1000 / token_ns).unwrap_or(u64::MAX);
        if filled < self.spent_milli {
            // What is not yet a thousandth of a token goes on filling.
            self.spent_milli -= filled;
            self.at = self.at + nanoseconds(u128::from(filled) * token_ns / 1000);
        } else {
            *self = Self::new(now);
        }
        let missing = (self.spent_milli + 1000).saturating_sub(u64::from(rate.burst) * 1000);
        if missing == 0 {
            return Ok(());
        }
        Err(nanoseconds(u128::from(missing) * token_ns / 1000))
    }

    /// Takes one token.
    pub(super) const fn take(&mut self) {
        self.spent_milli += 1000;
    }
}

fn cost_ns(rate: Rate, amount: u32) -> u64 {
    let per = u64::try_from(rate.per.as_nanos()).unwrap_or(u64::MAX);
    u64::from(amount).saturating_mul(per) / u64::from(rate.amount.max(1))
}

fn nanoseconds(count: u128) -> Duration {
    Duration::from_nanos(u64::try_from(count).unwrap_or(u64::MAX))
}

fn nanos(now: Instant) -> u64 {
    now.as_micros().saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { amount: 10, per: Duration::from_secs(1), burst: 5 };

    const fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn a_rested_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::default();
        let now = at(60_000);
        for _ in 0..5 {
            bucket.charge(RATE, 1, now);
            assert_eq!(bucket.check(RATE, now), Ok(()));
        }
        bucket.charge(RATE, 1, now);
        assert_eq!(bucket.check(RATE, now), Err(Duration::from_millis(100)));
        assert_eq!(bucket.check(RATE, at(60_100)), Ok(()));
    }

    #[test]
    fn waiting_as_told_never_looks_like_abuse() {
        let mut bucket = Bucket::default();
        let mut now = at(0);
        for _ in 0..1000 {
            bucket.charge(RATE, 1, now);
            assert!(!bucket.is_abused(RATE, now));
            if let Err(wait) = bucket.check(RATE, now) {
                now = now + wait;
            }
        }
    }

    #[test]
    fn a_flood_looks_like_abuse_after_two_bursts() {
        let mut bucket = Bucket::default();
        for n in 1..=11 {
            bucket.charge(RATE, 1, at(0));
            assert_eq!(bucket.is_abused(RATE, at(0)), n > 10, "{n}");
        }
    }

    #[test]
    fn openings_fill_more_slowly_when_room_is_short() {
        let mut openings = Openings::new(at(0));
        for _ in 0..5 {
            assert_eq!(openings.check(RATE, 1, at(0)), Ok(()));
            openings.take();
        }
        assert_eq!(openings.check(RATE, 1, at(0)), Err(Duration::from_millis(100)));
        assert_eq!(openings.check(RATE, 16, at(0)), Err(Duration::from_millis(1600)));
        assert!(openings.check(RATE, 16, at(1599)).is_err());
        assert_eq!(openings.check(RATE, 16, at(1600)), Ok(()));
    }

    #[test]
    fn a_rest_of_any_length_gives_no_more_than_the_burst() {
        let mut bucket = Bucket::default();
        bucket.charge(RATE, 6, at(u64::from(u32::MAX)));
        assert!(bucket.check(RATE, at(u64::from(u32::MAX))).is_err());
    }
}
