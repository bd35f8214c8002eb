//! How fast a session may go: a token bucket that remembers one number.

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

fn cost_ns(rate: Rate, amount: u32) -> u64 {
    let per = u64::try_from(rate.per.as_nanos()).unwrap_or(u64::MAX);
    u64::from(amount).saturating_mul(per) / u64::from(rate.amount.max(1))
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
    fn a_rest_of_any_length_gives_no_more_than_the_burst() {
        let mut bucket = Bucket::default();
        bucket.charge(RATE, 6, at(u64::from(u32::MAX)));
        assert!(bucket.check(RATE, at(u64::from(u32::MAX))).is_err());
    }
}
