//! What the kernel shows of radios as files: which driver, which switches, what went through.

use appliance_core::wifi::RadioId;
use appliance_core::wifi::access_point::Traffic;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Entries of a directory that are looked at.
const MOST_ENTRIES: usize = 256;
/// Between taking a driver off a device and putting it back: its power comes and goes.
const REST: Duration = Duration::from_millis(500);

/// Whether the kernel lists a radio.
pub(super) fn any_radio(sys: &Path) -> bool {
    !entries(&sys.join("class/ieee80211")).is_empty()
}

/// One radio's directory.
pub(super) struct Phy {
    dir: PathBuf,
}

impl Phy {
    /// The radio that has this number at the moment.
    pub(super) fn find(sys: &Path, phy: u32) -> Option<Self> {
        let dir = entries(&sys.join("class/ieee80211"))
            .into_iter()
            .find(|dir| read(&dir.join("index")).and_then(|text| text.parse().ok()) == Some(phy))?;
        Some(Self { dir })
    }

    pub(super) fn id(&self) -> RadioId {
        let name = |path: PathBuf| {
            let target = path.canonicalize().ok()?;
            Some(target.file_name()?.to_str()?.to_owned())
        };
        let device = self.dir.join("device");
        RadioId {
            driver: name(device.join("driver")).unwrap_or_else(|| "unknown".to_owned()),
            device: name(device).unwrap_or_else(|| "unknown".to_owned()),
        }
    }

    /// Whether it is switched off, by software and by hardware.
    pub(super) fn blocked(&self) -> (bool, bool) {
        let is = |name| self.switches().iter().any(|dir| read(&dir.join(name)).as_deref() == Some("1"));
        (is("soft"), is("hard"))
    }

    /// Takes back what software has switched off.
    pub(super) fn unblock(&self) -> io::Result<()> {
        self.switches().iter().try_for_each(|dir| fs::write(dir.join("soft"), "0"))
    }

    fn switches(&self) -> Vec<PathBuf> {
        let mut all = entries(&self.dir);
        all.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("rfkill")));
        all
    }
}

/// What went through an interface; `None` when it is gone.
pub(super) fn traffic(sys: &Path, interface: &str) -> Option<Traffic> {
    let dir = sys.join("class/net").join(interface).join("statistics");
    let count = |name| read(&dir.join(name)).and_then(|text| text.parse::<u64>().ok());
    let failed = count("tx_errors")?.saturating_add(count("tx_dropped")?);
    Some(Traffic { sent: count("tx_packets")?, failed })
}

/// Takes the driver off the radio's device and puts it back. Blocks, for ever if the driver hangs.
pub(super) fn rebind(sys: &Path, radio: &RadioId) -> io::Result<()> {
    let not_found = || io::Error::new(io::ErrorKind::NotFound, "the radio's device is on no bus");
    let bus = entries(&sys.join("bus"))
        .into_iter()
        .find(|bus| bus.join("devices").join(&radio.device).exists())
        .ok_or_else(not_found)?;
    let driver = bus.join("drivers").join(&radio.driver);
    let bound = functions(&bus, &driver, &radio.device);
    // The first function of a card holds the others: it goes last and comes back first.
    for device in bound.iter().rev() {
        fs::write(driver.join("unbind"), device)?;
    }
    std::thread::sleep(REST);
    for device in &bound {
        fs::write(driver.join("bind"), device)?;
    }
    Ok(())
}

/// The device, and on buses whose devices have several functions those of the same card that the driver holds.
fn functions(bus: &Path, driver: &Path, device: &str) -> Vec<String> {
    let many = bus.file_name().is_some_and(|name| name == "sdio" || name == "usb");
    let card = device.rsplit_once(':').map(|(card, _)| format!("{card}:"));
    let mut all = match card {
        Some(card) if many => entries(driver)
            .into_iter()
            .filter_map(|path| path.file_name()?.to_str().map(str::to_owned))
            .filter(|name| name.starts_with(&card))
            .collect(),
        Some(_) | None => Vec::new(),
    };
    // Also when no driver is bound at the moment.
    if !all.iter().any(|name| name == device) {
        all.push(device.to_owned());
    }
    all.sort();
    all
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let Ok(list) = fs::read_dir(dir) else { return Vec::new() };
    let mut all: Vec<PathBuf> =
        list.filter_map(|entry| Some(entry.ok()?.path())).take(MOST_ENTRIES).collect();
    all.sort();
    all
}

fn read(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A tree like `/sys`, removed when the test ends.
    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("bulle-sysfs-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            Self(dir)
        }

        fn file(&self, path: &str, text: &str) -> &Self {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            self
        }

        fn link(&self, path: &str, target: &str) -> &Self {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink(self.0.join(target), path).unwrap();
            self
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn pi() -> Tree {
        let tree = Tree::new("pi");
        for function in ["1", "2"] {
            let device = format!("devices/mmc1:0001:{function}");
            tree.file(&format!("{device}/vendor"), "0x02d0\n");
            tree.link(&format!("bus/sdio/devices/mmc1:0001:{function}"), &device);
            tree.link(&format!("bus/sdio/drivers/brcmfmac/mmc1:0001:{function}"), &device);
        }
        tree.file("bus/sdio/drivers/brcmfmac/bind", "").file("bus/sdio/drivers/brcmfmac/unbind", "");
        tree.link("devices/mmc1:0001:1/driver", "bus/sdio/drivers/brcmfmac");
        tree.file("class/ieee80211/phy4/index", "4\n")
            .link("class/ieee80211/phy4/device", "devices/mmc1:0001:1");
        tree.file("class/ieee80211/phy4/rfkill0/soft", "1\n")
            .file("class/ieee80211/phy4/rfkill0/hard", "0\n");
        tree
    }

    #[test]
    fn a_radio_is_known_by_its_driver_and_its_place() {
        let tree = pi();
        let phy = Phy::find(&tree.0, 4).unwrap();
        assert_eq!(phy.id(), RadioId { driver: "brcmfmac".into(), device: "mmc1:0001:1".into() });
        assert!(Phy::find(&tree.0, 5).is_none());
    }

    #[test]
    fn a_soft_block_is_seen_and_taken_back() {
        let tree = pi();
        let phy = Phy::find(&tree.0, 4).unwrap();
        assert_eq!(phy.blocked(), (true, false));
        phy.unblock().unwrap();
        assert_eq!(phy.blocked(), (false, false));
    }

    #[test]
    fn all_functions_of_a_card_belong_together_and_those_of_another_do_not() {
        let tree = pi();
        tree.link("bus/sdio/drivers/brcmfmac/mmc2:0001:1", "devices/mmc1:0001:1");
        let (bus, driver) = (tree.0.join("bus/sdio"), tree.0.join("bus/sdio/drivers/brcmfmac"));
        assert_eq!(functions(&bus, &driver, "mmc1:0001:1"), ["mmc1:0001:1", "mmc1:0001:2"]);
        let pci = tree.0.join("bus/pci");
        assert_eq!(functions(&pci, &driver, "0000:01:00.0"), ["0000:01:00.0"]);
    }

    #[test]
    fn the_driver_is_taken_off_and_put_back_in_the_order_that_the_card_needs() {
        let tree = pi();
        let radio = RadioId { driver: "brcmfmac".into(), device: "mmc1:0001:1".into() };
        rebind(&tree.0, &radio).unwrap();
        // Files keep what was written last: off with the first function last, on with the second last.
        let text = |name| fs::read_to_string(tree.0.join("bus/sdio/drivers/brcmfmac").join(name)).unwrap();
        assert_eq!((text("unbind"), text("bind")), ("mmc1:0001:1".to_owned(), "mmc1:0001:2".to_owned()));
        let gone = RadioId { device: "mmc9:0001:1".into(), ..radio };
        assert_eq!(rebind(&tree.0, &gone).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn counters_of_an_interface_that_is_gone_are_none() {
        let tree = Tree::new("traffic");
        for (name, count) in [("tx_packets", "12\n"), ("tx_errors", "3\n"), ("tx_dropped", "4\n")] {
            tree.file(&format!("class/net/wlan0/statistics/{name}"), count);
        }
        assert_eq!(traffic(&tree.0, "wlan0"), Some(Traffic { sent: 12, failed: 7 }));
        assert_eq!(traffic(&tree.0, "wlan1"), None);
    }
}
