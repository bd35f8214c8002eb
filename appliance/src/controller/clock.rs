//! The clock of the box: never earlier than what it knew before, and set by its administrator.
//!
//! `appliance_core::clock` weighs what was told; this sets the machine's clock and leaves the sign that `bulle serve`
//! believes it by. A time server on the cable knows better, and is not argued with.

use super::world::World;
use crate::clocks::{BUILD_TIME, CLOCK_TOLD, Clocks, SYNCHRONIZED};
use crate::files;
use appliance_core::clock::{self, Advice, Clock};
use base::UnixSeconds;
use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};
use std::io;
use std::path::Path;
use tracing::{info, warn};

/// The box has started, and knew this time before: the machine's clock does not fall behind it, so that everything on
/// the box says the same.
pub(super) fn handle_kept(kept: Option<UnixSeconds>, clocks: &Clocks, world: &World) {
    let floor = Clock::new(BUILD_TIME, kept).floor();
    // Whoever has set it since knows better.
    let set_since = Path::new(SYNCHRONIZED).exists() || world.shared().join(CLOCK_TOLD).exists();
    if !world.is_real() || set_since || clocks.machine() >= floor {
        return;
    }
    match set(floor, world) {
        Ok(()) => info!("the clock was behind what the box knew before; it goes on from there"),
        Err(error) => warn!(%error, "the clock could not be set to what the box knew before"),
    }
}

/// Somebody who has proved that the box is theirs says that this is the time.
pub(super) fn handle_told(told: UnixSeconds, clocks: &Clocks, world: &World) {
    if world.is_real() && Path::new(SYNCHRONIZED).exists() {
        info!("a time server has set the clock, so that it stays as it is");
        return;
    }
    let done = match clock::weigh(told, clocks.machine(), BUILD_TIME) {
        Advice::Set(to) => set(to, world),
        Advice::Right => Ok(()),
        Advice::Ignored => {
            warn!(
                "the administrator's device says a time that is earlier than ours or far ahead; the clock stays as it is"
            );
            return;
        }
    };
    match done.and_then(|()| files::replace(&world.shared().join(CLOCK_TOLD), b"", 0o644)) {
        Ok(()) => info!("the clock is that of the administrator's device"),
        Err(error) => warn!(%error, "the clock could not be set to that of the administrator's device"),
    }
}

/// Only a box has a clock of its own to set; a test has that of its machine.
fn set(to: UnixSeconds, world: &World) -> io::Result<()> {
    if !world.is_real() {
        return Err(Errno::EPERM.into());
    }
    let seconds = i64::try_from(to.0).map_err(|_| Errno::EINVAL)?;
    Ok(clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::new(seconds, 0))?)
}
