//! hostapd reads what anybody near sends, so it gets a user of its own and two capabilities, and can never have
//! more.
//!
//! Rights belong to threads: a thread gives up its own, starts the child, which inherits what is left, and ends.
//! So nothing has to run between fork and exec.

use nix::unistd::User;
use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capability_is_in_bounding_set, configure_capability_in_ambient_set,
    remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};
use std::io;
use std::path::Path;
use tokio::process::{Child, Command};

/// What hostapd needs: to command the radio, and to send and receive frames of keys.
const NEEDED: CapabilitySet = CapabilitySet::NET_ADMIN.union(CapabilitySet::NET_RAW);

/// Who hostapd is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    uid: u32,
    gid: u32,
}

impl Owner {
    /// The user of this name, where there is one and we may become it.
    ///
    /// # Errors
    /// When it cannot be found out whether there is one: that is no reason to do without.
    pub(super) fn find(name: &str) -> io::Result<Option<Self>> {
        if !nix::unistd::geteuid().is_root() {
            return Ok(None);
        }
        Ok(User::from_name(name)?.map(|user| Self { uid: user.uid.as_raw(), gid: user.gid.as_raw() }))
    }

    /// Gives it a file.
    pub(super) fn give(self, path: &Path) -> io::Result<()> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
    }
}

/// Starts `command` with as little as it needs, or not at all: what reads the words of strangers gets no more.
/// Without root there is nothing to give up.
pub(super) fn spawn(command: &mut Command, owner: Option<Owner>) -> io::Result<Child> {
    if !nix::unistd::geteuid().is_root() {
        return command.spawn();
    }
    let runtime = tokio::runtime::Handle::current();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let _entered = runtime.enter();
            give_up(owner).map_err(|error| {
                io::Error::new(error.kind(), format!("its rights cannot be taken away: {error}"))
            })?;
            command.spawn()
        });
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that starts hostapd has failed")))
    })
}

/// Leaves this thread with what hostapd needs.
fn give_up(owner: Option<Owner>) -> io::Result<()> {
    for capability in CapabilitySet::all().difference(NEEDED).iter() {
        // Newer kernels know more than this one.
        if capability_is_in_bounding_set(capability).unwrap_or(false) {
            remove_capability_from_bounding_set(capability)?;
        }
    }
    if let Some(Owner { uid, gid }) = owner {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        set_thread_groups(&[])?;
        set_thread_res_gid(gid, gid, gid)?;
        set_keep_capabilities(true)?;
        set_thread_res_uid(uid, uid, uid)?;
    }
    set_capabilities(None, CapabilitySets { effective: NEEDED, permitted: NEEDED, inheritable: NEEDED })?;
    for capability in NEEDED.iter() {
        configure_capability_in_ambient_set(capability, true)?;
    }
    Ok(())
}
