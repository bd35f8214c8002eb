//! Waiting longer after each failure, and never all at the same moment.

use core::time::Duration;

use rand_core::RngCore;

/// Doubles from `first` to `most`, each time between half and all of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    most: Duration,
    failures: u32,
}

impl Backoff {
    /// Nothing has failed yet.
    pub(crate) const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, failures: 0 }
    }

    /// It works again.
    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
    }

    /// It failed: how long to wait.
    pub(crate) fn fail(&mut self, rng: &mut impl RngCore) -> Duration {
        let whole = self.first.saturating_mul(1 << self.failures.min(20)).min(self.most);
        self.failures = self.failures.saturating_add(1);
        jitter(whole, rng)
    }
}

/// Between half and all of `whole`.
pub(crate) fn jitter(whole: Duration, rng: &mut impl RngCore) -> Duration {
    let half = whole / 2;
    half + half.mul_f64(f64::from(rng.next_u32()) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn it_grows_to_its_limit_and_begins_again() {
        let mut rng = ChaCha20Rng::from_seed([0; 32]);
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));
        for whole in [1, 2, 4, 8, 10, 10] {
            let wait = backoff.fail(&mut rng);
            assert!(wait >= Duration::from_secs(whole) / 2 && wait <= Duration::from_secs(whole), "{whole}");
        }
        backoff.reset();
        assert!(backoff.fail(&mut rng) <= Duration::from_secs(1));
    }
}
