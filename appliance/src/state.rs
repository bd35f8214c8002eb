//! The state directory: the few files that outlive a boot.
//!
//! Holds the certificate authority, the certificate and the last known time, and nothing about anybody.
//! Invariant: a file is replaced whole or not at all, whenever the power goes; secrets are readable by the owner
//! alone; two daemons never share a directory.

use crate::files;
use appliance_core::clock;
use appliance_core::firstboot::ServedFile;
use appliance_core::pki::{PEER_FILE, PkiFile, Stored, Write};
use base::UnixSeconds;
use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Largest file that is read; ours are a few KiB.
const LARGEST: usize = 64 * 1024;
/// Where the last known time is kept.
const CLOCK: &str = ServedFile::Clock.name();

/// An open state directory, held against a second daemon.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: File,
}

/// Why the directory cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum StateError {
    /// Another daemon uses it.
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// The system said no.
    Io {
        /// What was tried, as in "cannot ..".
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { dir } => write!(
                f,
                "the state directory {} is in use by another bulle; stop that one, or give this one a directory \
                 of its own with --state or `state.dir`",
                dir.display()
            ),
            Self::Io { action, path, source } => write!(
                f,
                "cannot {action} {}: {source}; the state directory must belong to the user that runs bulle; \
                 choose another one with --state or `state.dir`",
                path.display()
            ),
        }
    }
}

impl std::error::Error for StateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::InUse { .. } => None,
            Self::Io { source, .. } => Some(source),
        }
    }
}

impl StateDir {
    /// Makes the directory where it is missing, and makes sure that it can be written.
    ///
    /// # Errors
    /// When it cannot be made, written or locked.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|source| io_error("make the directory", path, source))?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(|source| io_error("write to", &lock_path, source))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StateError::InUse { dir: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(io_error("lock", &lock_path, source)),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files of the PKI, as far as they exist.
    ///
    /// # Errors
    /// When one exists and cannot be read.
    pub fn read_pki(&self) -> Result<Stored, StateError> {
        Ok(Stored {
            ca_certificate: self.read(PkiFile::CaCertificate.name())?.map(|bytes| bytes.to_vec()),
            ca_key: self.read(PkiFile::CaKey.name())?,
            leaf_certificate: self.read(PkiFile::LeafCertificate.name())?.map(|bytes| bytes.to_vec()),
            leaf_key: self.read(PkiFile::LeafKey.name())?,
        })
    }

    /// Carries out a plan, in its order.
    ///
    /// # Errors
    /// When a file cannot be written; those before it have been.
    pub fn write_pki(&self, writes: &[Write]) -> Result<(), StateError> {
        writes.iter().try_for_each(|write| {
            let mode = if write.file.is_secret() { 0o600 } else { 0o644 };
            self.replace(write.file.name(), &write.contents, mode)
        })
    }

    /// By what phones know this box as a WebRTC peer, when that was kept.
    ///
    /// # Errors
    /// When it exists and cannot be read.
    pub fn read_peer(&self) -> Result<Option<Zeroizing<Vec<u8>>>, StateError> {
        self.read(PEER_FILE)
    }

    /// Keeps that.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_peer(&self, file: &[u8]) -> Result<(), StateError> {
        self.replace(PEER_FILE, file, 0o600)
    }

    /// The time that this box last knew. A damaged file is as good as none: the build is the floor then.
    #[must_use]
    pub fn read_clock(&self) -> Option<UnixSeconds> {
        clock::from_text(&self.read(CLOCK).ok()??)
    }

    /// Keeps the time for the next start.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_clock(&self, now: UnixSeconds) -> Result<(), StateError> {
        self.replace(CLOCK, clock::to_text(now).as_bytes(), 0o644)
    }

    fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StateError> {
        let path = self.path.join(name);
        files::read(&path, LARGEST).map_err(|source| io_error("read", &path, source))
    }

    fn replace(&self, name: &str, contents: &[u8], mode: u32) -> Result<(), StateError> {
        let path = self.path.join(name);
        files::replace(&path, contents, mode).map_err(|source| io_error("write", &path, source))
    }
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> StateError {
    StateError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("bulle-state-{}-{name}", std::process::id()));
            Self(dir)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_a_power_cut_left_half_written_is_in_nobodys_way() {
        let dir = Dir::new("half");
        let state = StateDir::open(&dir.0).expect("a directory");
        state.write_clock(UnixSeconds(1)).expect("written");
        fs::write(dir.0.join("clock.part"), "9999").expect("written");
        assert_eq!(state.read_clock(), Some(UnixSeconds(1)));
        state.write_clock(UnixSeconds(2)).expect("written");
        assert_eq!(state.read_clock(), Some(UnixSeconds(2)));
        assert!(!dir.0.join("clock.part").exists());
    }

    #[test]
    fn a_damaged_clock_is_as_good_as_none() {
        let dir = Dir::new("clock");
        let state = StateDir::open(&dir.0).expect("a directory");
        for text in ["", "yesterday", "-1", "99999999999999999999999", "\u{0}"] {
            fs::write(dir.0.join("clock"), text).expect("written");
            assert_eq!(state.read_clock(), None, "{text}");
        }
    }

    #[test]
    fn a_file_is_read_no_further_than_its_limit() {
        let dir = Dir::new("large");
        let state = StateDir::open(&dir.0).expect("a directory");
        fs::write(dir.0.join("ca.crt"), vec![b'x'; 1 << 20]).expect("written");
        let stored = state.read_pki().expect("read");
        assert_eq!(stored.ca_certificate.map(|bytes| bytes.len()), Some(LARGEST));
    }
}
