//! The clocks of this machine: the only place of the daemon that reads them.

use appliance_core::clock::{Clock, Reading, Source};
use base::{Instant, UnixSeconds};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// The moment that this program was built, as far as its builder told (`SOURCE_DATE_EPOCH`); else the moment
/// that this line was last raised.
pub const BUILD_TIME: UnixSeconds = UnixSeconds(match option_env!("BULLE_BUILD_TIME") {
    Some(digits) => parse(digits),
    None => 1_795_219_200, // 2026-11-21
});

/// Both clocks: one for deadlines, one for certificates and credentials.
#[derive(Debug)]
pub struct Clocks {
    origin: std::time::Instant,
    wall: Mutex<Clock>,
    /// Files that exist once somebody who knows has set this machine's clock.
    signs: Vec<PathBuf>,
    told: AtomicBool,
}

/// Where systemd-timesyncd leaves word that a time server has set the clock.
pub const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";
/// The file in the runtime directory by which the controller says that an administrator has set the clock.
pub const CLOCK_TOLD: &str = "clock-told";

impl Clocks {
    /// Starts counting. `saved` is the time that this box last knew.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the daemon's clock")]
    pub fn new(saved: Option<UnixSeconds>) -> Self {
        Self {
            origin: std::time::Instant::now(),
            wall: Mutex::new(Clock::new(BUILD_TIME, saved)),
            signs: Vec::new(),
            told: AtomicBool::new(false),
        }
    }

    /// Believes this machine's clock as soon as one of these files exists. It is looked for now and with each
    /// [`Clocks::look`].
    #[must_use]
    pub fn believing(mut self, signs: Vec<PathBuf>) -> Self {
        self.signs = signs;
        self.look();
        self
    }

    /// Looks whether somebody has set this machine's clock, and says whether that is new.
    pub fn look(&self) -> bool {
        let told = self.signs.iter().any(|sign| sign.exists());
        let before = self.told.swap(told, Ordering::Relaxed);
        told && !before
    }

    /// That moment has passed.
    pub fn raise(&self, to: UnixSeconds) {
        self.clock().raise(to);
    }

    /// For deadlines.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// A deadline as the runtime takes it.
    #[must_use]
    pub fn at(&self, deadline: Instant) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.origin + std::time::Duration::from_micros(deadline.as_micros()))
    }

    /// What this machine's clock says, right or wrong.
    #[must_use]
    pub fn machine(&self) -> UnixSeconds {
        machine()
    }

    /// For certificates and credentials: what the machine says, or the floor where that is plainly wrong.
    #[must_use]
    pub fn wall(&self) -> Reading {
        let source = if self.told.load(Ordering::Relaxed) { Source::Told } else { Source::Unknown };
        self.clock().read(machine(), source)
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.wall.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the daemon's clock")]
fn machine() -> UnixSeconds {
    UnixSeconds(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// Decimal digits, at compile time. The build script has checked them.
const fn parse(digits: &str) -> u64 {
    let mut rest = digits.as_bytes();
    let mut number = 0;
    while let [digit, tail @ ..] = rest {
        number = number * 10 + (*digit - b'0') as u64;
        rest = tail;
    }
    number
}
