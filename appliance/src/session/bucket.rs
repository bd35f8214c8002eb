//! A token bucket: so much per second, and so much at once.

use base::Instant;
use std::time::Duration;

/// So much per second, and so much at once.
#[derive(Debug)]
pub(super) struct Bucket {
    per_second: u32,
    burst: u32,
    tokens: u32,
    refilled: Instant,
}

impl Bucket {
    pub(super) const fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        Self { per_second, burst, tokens: burst, refilled: now }
    }

    pub(super) fn take(&mut self, now: Instant) -> bool {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::new(2, 5, Instant::ZERO);
        assert_eq!((0..9).filter(|_| bucket.take(Instant::ZERO)).count(), 5);
        let later = Instant::ZERO + Duration::from_millis(1500);
        assert_eq!((0..9).filter(|_| bucket.take(later)).count(), 2);
        let much_later = Instant::ZERO + Duration::from_secs(3600);
        assert_eq!((0..9).filter(|_| bucket.take(much_later)).count(), 5);
    }
}
