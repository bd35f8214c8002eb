//! The one place that reads clocks, and the ways of saying the same moment.

use std::time::{Duration, SystemTime};

use base::Instant;

/// A monotonic clock that starts with the process; every machine here counts from its start.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: std::time::Instant,
}

impl Clock {
    /// Starts counting.
    pub fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "this is the clock")]
        let origin = std::time::Instant::now();
        Self { origin }
    }

    /// Microseconds since the start.
    pub fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// The same moment as `std` says it.
    pub fn std(&self, at: Instant) -> std::time::Instant {
        self.origin.checked_add(Duration::from_micros(at.as_micros())).unwrap_or(self.origin + FAR)
    }

    /// A moment of `std` as the machines say it.
    pub fn of_std(&self, at: std::time::Instant) -> Instant {
        let micros = at.saturating_duration_since(self.origin).as_micros();
        Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

/// Later than any run lasts, and still a moment that every clock can say.
pub const FAR: Duration = Duration::from_secs(365 * 86_400);

/// Milliseconds since 1970.
pub fn wall_ms() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    let now = SystemTime::now();
    now.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
