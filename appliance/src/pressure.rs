//! Looks how much memory the machine has left, once a second, and tells the mailbox; gives back what a crowd has used.
//!
//! `appliance_core::memory` judges; this reads the files of the kernel.

use crate::accept::Gate;
use crate::clocks::Clocks;
use crate::control;
use crate::files;
use crate::hub::Hub;
use appliance_core::memory::{Ebb, Level, Room, Watch, groups};
use relay_core::mailbox::Memory;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

/// How often it looks: filling some tens of MiB takes longer.
const EVERY: Duration = Duration::from_secs(1);
/// What the kernel says of the whole machine.
const MEMINFO: &str = "/proc/meminfo";
/// The control groups that this process is in, and where they are mounted.
const OWN_GROUP: &str = "/proc/self/cgroup";
const GROUPS: &str = "/sys/fs/cgroup";
/// No file of the kernel that is read here is longer.
const LARGEST: usize = 64 * 1024;

/// Looks, for as long as the runtime runs this task.
pub async fn watch(hub: Arc<Hub>, gate: Arc<Gate>, clocks: Arc<Clocks>) {
    let groups = limited_groups();
    let mut watch = Watch::default();
    let mut level = Level::Enough;
    let mut ebb = Ebb::default();
    let mut beat = tokio::time::interval(EVERY);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        if ebb.handle_open(gate.count() + hub.sessions()) {
            let hub = Arc::clone(&hub);
            tokio::task::spawn_blocking(move || hub.give_back());
        }
        let rooms: Vec<Room> =
            machine().into_iter().chain(groups.iter().filter_map(|dir| group(dir))).collect();
        let before = std::mem::replace(&mut level, watch.handle_rooms(&rooms, clocks.now()));
        if level == before {
            continue;
        }
        let memory = match level {
            Level::Enough => Memory::Enough,
            Level::Short => Memory::Short,
            Level::Exhausted => Memory::Exhausted,
        };
        hub.handle_memory(memory);
        match level {
            Level::Enough => info!("there is memory again"),
            Level::Short => {
                warn!("this machine runs short of memory, so no message is taken in for the moment");
            }
            Level::Exhausted => {
                warn!("this machine is nearly out of memory, so all messages were purged");
                tokio::spawn(control::trim(Arc::clone(&hub)));
            }
        }
    }
}

/// The groups around this process that have a limit now. It is not moved to another one while it runs.
fn limited_groups() -> Vec<PathBuf> {
    let Some(text) = read(Path::new(OWN_GROUP)) else { return Vec::new() };
    let dirs = groups(&text).into_iter().map(|group| Path::new(GROUPS).join(group));
    dirs.filter(|dir| group(dir).is_some()).collect()
}

fn machine() -> Option<Room> {
    Room::of_machine(&read(Path::new(MEMINFO))?)
}

fn group(dir: &Path) -> Option<Room> {
    let file = |name: &str| read(&dir.join(name));
    Room::of_group(&file("memory.max")?, &file("memory.current")?, &file("memory.stat").unwrap_or_default())
}

fn read(path: &Path) -> Option<String> {
    let bytes = files::read(path, LARGEST).ok()??;
    std::str::from_utf8(&bytes).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_says_how_much_memory_it_has() {
        let room = machine().expect("Linux tells");
        assert!(room.available > 0 && room.available <= room.total);
    }
}
