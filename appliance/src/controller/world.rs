//! Where things are: on a box, or below a directory for tests.

use crate::files;
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

    /// The partition of what outlives a boot.
    #[must_use]
    pub fn data_partition(&self) -> PathBuf {
        self.root.join("data")
    }

    /// Our place on it.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.data_partition().join("bulle")
    }

    /// The state directory of `bulle serve`, in memory.
    #[must_use]
    pub fn serve(&self) -> PathBuf {
        self.run().join("serve")
    }

    /// What the controller tells others.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.root.join("run/bulle")
    }

    /// There from when the box is what it decided to be.
    #[must_use]
    pub fn settled(&self) -> PathBuf {
        self.run().join("settled")
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

    /// What networkd keeps of the lease of this interface.
    #[must_use]
    pub fn lease(&self, index: u32) -> PathBuf {
        self.root.join("run/systemd/netif/leases").join(index.to_string())
    }

    /// Where the access point has its files.
    #[must_use]
    pub fn wifi(&self) -> PathBuf {
        self.root.join("run/bulle-wifi")
    }

    /// What the initrd said about the data partition: one word, see there.
    #[must_use]
    pub fn data_word(&self) -> String {
        let word = files::read(&self.start("data"), 16).ok().flatten().unwrap_or_default();
        String::from_utf8_lossy(word.trim_ascii()).into_owned()
    }

    /// The copy that the initrd made of a data partition before it made it again.
    #[must_use]
    pub fn data_remains(&self) -> PathBuf {
        self.start("remains")
    }

    /// The data partition as a device.
    #[must_use]
    pub fn data_device(&self) -> Option<PathBuf> {
        let disks = files::read(&self.start("disks"), 1024).ok()??;
        let disks = std::str::from_utf8(&disks).ok()?;
        let device = disks.lines().find_map(|line| line.strip_prefix("data="));
        device.filter(|device| !device.is_empty()).map(PathBuf::from)
    }

    fn start(&self, name: &str) -> PathBuf {
        self.root.join("run/bulle-start").join(name)
    }

    /// Devices that somebody presses.
    #[must_use]
    pub fn input(&self) -> PathBuf {
        self.root.join("dev/input")
    }

    /// The screen.
    #[must_use]
    pub fn tty(&self) -> PathBuf {
        self.root.join("dev/tty1")
    }
}
