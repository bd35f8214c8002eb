//! A token bucket: so much per second, and so much at once.

use base::Instant;
use std::time::Duration;

/// So much per second, and so much at once.
#[derive(Clone, Debug)]
pub struct Bucket {
    per_second: u32,
    burst: u32,
    tokens: u32,
    refilled: Instant,
}

impl Bucket {
    /// Full, from `now` on.
    #[must_use]
    pub const fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        Self { per_second, burst, tokens: burst, refilled: now }
    }

    /// Takes one; false when there is none left.
    pub fn take(&mut self, now: Instant) -> bool {
        let seconds = now.saturating_duration_since(self.refilled).as_secs();
        if seconds > 0 {
            let fresh = u32::try_from(seconds).unwrap_or(u32::MAX).saturating_mul(self.per_second);
            self.tokens = self.tokens.saturating_add(fresh).min(self.burst);
            self.refilled = self.refilled + Duration::from_secs(seconds);
        }
        let left = self.tokens.checked_sub(1);
        self.tokens = left.unwrap_or(0);
        left.is_some()
    }

    /// Whether it has been left alone for so long that it is full again, and so may be forgotten.
    #[must_use]
    pub fn is_full(&self, now: Instant) -> bool {
        let seconds = now.saturating_duration_since(self.refilled).as_secs();
        let fresh = u32::try_from(seconds).unwrap_or(u32::MAX).saturating_mul(self.per_second);
        self.tokens.saturating_add(fresh) >= self.burst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::new(2, 5, Instant::ZERO);
        assert!(bucket.is_full(Instant::ZERO));
        assert_eq!((0..9).filter(|_| bucket.take(Instant::ZERO)).count(), 5);
        let later = Instant::ZERO + Duration::from_millis(1500);
        assert_eq!((0..9).filter(|_| bucket.take(later)).count(), 2);
        assert!(!bucket.is_full(later) && bucket.is_full(later + Duration::from_secs(3)));
        let much_later = Instant::ZERO + Duration::from_secs(3600);
        assert_eq!((0..9).filter(|_| bucket.take(much_later)).count(), 5);
    }
}
