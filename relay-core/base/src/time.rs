//! Time as the cores see it: always handed in, never read.
//!
//! `std::time::Instant` can only be made by reading a clock, and panics on `wasm32-unknown-unknown`.
//! The drivers own the clocks and count microseconds from an origin of their choice.

use core::ops::Add;
use core::time::Duration;

/// A moment on a monotonic clock: microseconds since an origin that the driver chose.
///
/// Moments of different drivers are not comparable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The origin itself.
    pub const ZERO: Self = Self(0);

    /// The moment `micros` microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The moment `millis` milliseconds after the origin.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// Microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this moment is; zero when it is not after it.
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates at the end of time, which no deadline reaches.
    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(rhs.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// Wall-clock time in whole seconds since 1970, for what outlives a boot: certificates and credentials.
///
/// Deadlines use [`Instant`], since a wall clock jumps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixSeconds(pub u64);

impl UnixSeconds {
    /// This time and `rhs` more, saturating.
    pub const fn plus(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(rhs.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_time_is_not_passed() {
        assert_eq!(Instant::from_micros(u64::MAX) + Duration::from_secs(1), Instant::from_micros(u64::MAX));
    }

    #[test]
    fn a_later_moment_is_no_negative_distance_away() {
        let early = Instant::from_millis(1);
        let late = early + Duration::from_millis(2);
        assert_eq!(late.saturating_duration_since(early), Duration::from_millis(2));
        assert_eq!(early.saturating_duration_since(late), Duration::ZERO);
    }
}
