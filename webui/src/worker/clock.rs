//! The two clocks of the browser, and a look at whether the device has slept.

use std::time::Duration;

use base::Instant;
use client_core::UnixMillis;
use js_sys::Date;
use web_sys::{DedicatedWorkerGlobalScope, Performance};

/// A timer that comes this much too late has slept.
const JUMP: Duration = Duration::from_secs(4);

/// The worker's clocks.
pub(super) struct Clock {
    performance: Option<Performance>,
    /// Wall-clock milliseconds at which the timer was to fire. The monotonic clock stands still in sleep on some
    /// systems, so it cannot tell.
    due: Option<f64>,
}

impl Clock {
    pub(super) fn new(scope: &DedicatedWorkerGlobalScope) -> Self {
        Self { performance: scope.performance(), due: None }
    }

    /// Time for deadlines, and time for people.
    pub(super) fn now(&self) -> (Instant, UnixMillis) {
        let wall = Date::now().max(0.0);
        let monotonic = self.performance.as_ref().map_or(wall, Performance::now);
        // Both are far below the 2^53 that a double holds exactly.
        (Instant::from_micros((monotonic * 1000.0) as u64), UnixMillis(wall as u64))
    }

    /// The timer is to fire after `wait`.
    pub(super) fn expect_by(&mut self, wait: Duration) {
        self.due = Some(Date::now() + wait.as_secs_f64() * 1000.0);
    }

    /// Whether the timer that now fires does so much too late. Asked once for each.
    pub(super) fn jumped(&mut self) -> bool {
        self.due.take().is_some_and(|due| Date::now() - due > JUMP.as_secs_f64() * 1000.0)
    }
}
