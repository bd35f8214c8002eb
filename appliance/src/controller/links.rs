//! Network interfaces, as the kernel's files and calls tell of them.

use appliance_core::mac::Mac;
use appliance_core::prefix::Prefix;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

/// Interfaces that are looked at.
pub(super) const MOST_LINKS: usize = 32;
/// Addresses of one of them that are looked at.
pub(super) const MOST_ADDRESSES: usize = 32;

/// One interface.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// Its number.
    pub(super) index: u32,
    /// Its name.
    pub(super) name: String,
    /// Its hardware address, where it has one of Ethernet.
    pub(super) hardware: Option<Mac>,
    /// A radio's.
    pub(super) wireless: bool,
    /// Belongs to a device and not to the kernel itself.
    pub(super) physical: bool,
    /// Something is at the other end.
    pub(super) carrier: bool,
    /// Its addresses and the networks around them.
    pub(super) addresses: Vec<(IpAddr, Prefix)>,
}

impl Link {
    /// Addresses that others beyond the link itself can use.
    pub(super) fn routable(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().map(|(address, _)| *address).filter(|address| match address {
            IpAddr::V4(v4) => !v4.is_link_local(),
            IpAddr::V6(v6) => !v6.is_unicast_link_local(),
        })
    }
}

/// All interfaces but loopback, in the order of their names.
#[must_use]
pub(super) fn links(sys: &Path) -> Vec<Link> {
    let mut all: Vec<Link> = fs::read_dir(sys.join("class/net"))
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let (name, path) = (entry.file_name().into_string().ok()?, entry.path());
            // Reading the carrier of an interface that is down is an error, and means no.
            let carrier = fs::read_to_string(path.join("carrier")).is_ok_and(|text| text.trim() == "1");
            let ethernet = fs::read_to_string(path.join("type")).is_ok_and(|text| text.trim() == "1");
            let index = fs::read_to_string(path.join("ifindex")).unwrap_or_default();
            (ethernet && name != "lo").then(|| Link {
                index: index.trim().parse().unwrap_or_default(),
                name,
                hardware: fs::read_to_string(path.join("address"))
                    .ok()
                    .and_then(|text| Mac::parse(text.trim().as_bytes())),
                wireless: path.join("phy80211").exists() || path.join("wireless").exists(),
                physical: path.join("device").exists(),
                carrier,
                addresses: Vec::new(),
            })
        })
        .take(MOST_LINKS)
        .collect();
    // `eth2` before `eth10`.
    all.sort_by(|a, b| (a.name.len(), &a.name).cmp(&(b.name.len(), &b.name)));
    for interface in getifaddrs().into_iter().flatten() {
        let Some(link) = all.iter_mut().find(|link| link.name == interface.interface_name) else { continue };
        let Some(address) = interface.address.as_ref().and_then(ip) else { continue };
        let bits = interface.netmask.as_ref().and_then(ip).map_or(128, ones);
        if let Some(prefix) = Prefix::around(address, bits)
            && link.addresses.len() < MOST_ADDRESSES
        {
            link.addresses.push((address, prefix));
        }
    }
    all
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
}

fn ones(mask: IpAddr) -> u8 {
    let ones = match mask {
        IpAddr::V4(v4) => v4.to_bits().count_ones(),
        IpAddr::V6(v6) => v6.to_bits().count_ones(),
    };
    u8::try_from(ones).unwrap_or(128)
}
