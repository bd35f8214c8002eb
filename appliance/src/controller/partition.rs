//! A partition that is mounted read-only, except for the moments of a write: nothing else in the system can write to
//! it, and a power cut finds it in order nearly always.

use nix::mount::{MsFlags, mount};
use std::io;
use std::path::{Path, PathBuf};

/// Where it is mounted.
#[derive(Debug)]
pub(super) struct Partition {
    dir: PathBuf,
    /// Whether it has to be made writable and read-only again; in a test it is a directory.
    remount: bool,
}

impl Partition {
    #[must_use]
    pub(super) const fn new(dir: PathBuf, remount: bool) -> Self {
        Self { dir, remount }
    }

    /// Where it is mounted.
    #[must_use]
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Does what writes to it.
    ///
    /// # Errors
    /// When it cannot be made writable, written, or read-only again.
    pub(super) fn writable(&self, write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        self.set_writable(true)?;
        let written = write();
        let back = self.set_writable(false);
        written.and(back)
    }

    fn set_writable(&self, writable: bool) -> io::Result<()> {
        if !self.remount {
            return Ok(());
        }
        let safe = MsFlags::MS_REMOUNT
            | MsFlags::MS_NOSUID
            | MsFlags::MS_NODEV
            | MsFlags::MS_NOEXEC
            | MsFlags::MS_NOATIME;
        let flags = if writable { safe } else { safe | MsFlags::MS_RDONLY };
        let nothing: Option<&Path> = None;
        Ok(mount(nothing, &self.dir, nothing, flags, nothing)?)
    }
}
