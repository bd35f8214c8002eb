//! The state directory of `bulle serve`: in memory, filled from what the box keeps and watched for what changes.
//!
//! So the program that strangers talk to has no disk to write to, and wears none out.

use crate::files;
use appliance_core::firstboot::{LARGEST_SERVED, Served, ServedFile};
use base::Instant;
use nix::unistd::{User, chown};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Changes that may be written at once: an authority, and its certificate when the first addresses are there.
const AT_ONCE: u32 = 4;
/// After them, how long until another one may: addresses can come and go all day.
const SAVE_EVERY: Duration = Duration::from_secs(3600);

/// The directory, and what was seen there.
#[derive(Debug)]
pub(super) struct ServedDir {
    dir: PathBuf,
    /// When it was changed last, as far as we know.
    changed: Option<(i64, i64)>,
    /// Whether there is something in it that was not looked at.
    fresh: bool,
    /// The moment until which the allowance is spent; more than `AT_ONCE` times `SAVE_EVERY` ahead there is none.
    spent: Instant,
}

impl ServedDir {
    #[must_use]
    pub(super) const fn new(dir: PathBuf) -> Self {
        Self { dir, changed: None, fresh: false, spent: Instant::ZERO }
    }

    /// Puts there what was kept. A directory that is there already is in use, and newer than what was kept.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn fill(&self, kept: &Served, owner: Option<&User>) -> io::Result<()> {
        if self.dir.exists() {
            return Ok(());
        }
        let part = files::beside(&self.dir, ".part");
        let _ = fs::remove_dir_all(&part);
        super::apply::make_dir(&part, 0o700, owner)?;
        // What the daemon could not go on with would only keep it from starting.
        for (file, bytes) in kept.files().filter(|_| kept.is_settled()) {
            let path = part.join(file.name());
            files::replace(&path, bytes, if file.is_secret() { 0o600 } else { 0o644 })?;
            if let Some(owner) = owner {
                chown(&path, Some(owner.uid), Some(owner.gid))?;
            }
        }
        fs::rename(part, &self.dir)
    }

    /// What the daemon has there now, when that is new, complete, and left alone since the last look.
    pub(super) fn look(&mut self) -> Option<Served> {
        let changed = fs::metadata(&self.dir).ok().map(|meta| (meta.mtime(), meta.mtime_nsec()));
        if changed != self.changed {
            (self.changed, self.fresh) = (changed, true);
            return None;
        }
        if !std::mem::take(&mut self.fresh) {
            return None;
        }
        self.read()
    }

    /// What the daemon has there now, when that is complete.
    #[must_use]
    pub(super) fn read(&self) -> Option<Served> {
        read(&self.dir).filter(Served::is_settled)
    }

    /// Whether a change may go to the disk now. When it may not, [`ServedDir::look`] gives it again.
    pub(super) fn may_save(&mut self, now: Instant) -> bool {
        let spent = self.spent.max(now) + SAVE_EVERY;
        self.fresh = spent > now + SAVE_EVERY * AT_ONCE;
        if !self.fresh {
            self.spent = spent;
        }
        !self.fresh
    }
}

/// None of these files is followed or trusted for its length: the directory belongs to who talks to strangers.
fn read(dir: &Path) -> Option<Served> {
    let mut served = Served::default();
    for file in ServedFile::ALL {
        if let Some(bytes) = files::read(&dir.join(file.name()), LARGEST_SERVED + 1).ok()? {
            served.put(file, bytes).then_some(())?;
        }
    }
    Some(served)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_changes_is_saved_and_then_one_an_hour() {
        let mut dir = ServedDir::new("/nowhere".into());
        let now = Instant::ZERO + Duration::from_secs(30);
        let saved = (0..100).filter(|_| dir.may_save(now)).count();
        assert_eq!(saved, AT_ONCE as usize);
        assert!(dir.fresh, "what could not be saved is looked at again");
        assert!(!dir.may_save(now + SAVE_EVERY / 2));
        assert!(dir.may_save(now + SAVE_EVERY) && !dir.may_save(now + SAVE_EVERY));
        let much_later = now + SAVE_EVERY * 1000;
        let saved = (0..100).filter(|_| dir.may_save(much_later)).count();
        assert_eq!(saved, AT_ONCE as usize);
    }
}
