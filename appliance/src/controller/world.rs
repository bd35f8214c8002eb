//! Where things are: on a box, or below a directory for tests.

use std::path::{Path, PathBuf};

/// The paths that the controller knows.
#[derive(Clone, Debug)]
pub struct World {
    root: PathBuf,
    sys: PathBuf,
}

impl World {
    /// Everything below `root`; the kernel's files too where there is a `sys` in it.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        let sys = root.join("sys");
        let sys = if sys.is_dir() { sys } else { "/sys".into() };
        Self { root: root.to_owned(), sys }
    }

    /// Whether this is a box and no test.
    #[must_use]
    pub fn is_real(&self) -> bool {
        self.root == Path::new("/")
    }

    /// The kernel's view of devices.
    #[must_use]
    pub fn sys(&self) -> &Path {
        &self.sys
    }

    /// The partition that every desktop shows.
    #[must_use]
    pub fn boot(&self) -> PathBuf {
        self.root.join("boot/bulle")
    }

    /// What outlives a boot.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.root.join("data/bulle")
    }

    /// What the controller tells others.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.root.join("run/bulle")
    }

    /// What `bulle serve` may write, to tell the controller.
    #[must_use]
    pub fn shared(&self) -> PathBuf {
        self.run().join("claim")
    }

    /// Where networkd looks.
    #[must_use]
    pub fn networkd(&self) -> PathBuf {
        self.root.join("run/systemd/network")
    }

    /// Where the access point has its files.
    #[must_use]
    pub fn wifi(&self) -> PathBuf {
        self.root.join("run/bulle-wifi")
    }

    /// What the initrd said about the data partition.
    #[must_use]
    pub fn data_word(&self) -> PathBuf {
        self.root.join("run/bulle-start/data")
    }

    /// The screen.
    #[must_use]
    pub fn tty(&self) -> PathBuf {
        self.root.join("dev/tty1")
    }
}
