//! What this machine is called and which addresses it has.

mod changes;

pub use changes::AddressChanges;

use appliance_core::names::DnsName;
use appliance_core::pki::Identity;
use appliance_core::settings::HostFacts;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;

/// What the settings need to know about this machine.
#[must_use]
pub fn facts() -> HostFacts {
    HostFacts { ipv6: UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok(), state_dir: state_dir() }
}

/// Names and addresses for the certificate: those of the settings, the host name, and every interface that is up.
#[must_use]
pub fn identity(names: &[DnsName]) -> Identity {
    let mut all: BTreeSet<DnsName> = names.iter().cloned().collect();
    all.extend(DnsName::parse("localhost"));
    if let Some(host) = host_name() {
        all.extend(host.in_local());
        all.insert(host);
    }
    Identity { names: all, addresses: addresses() }
}

/// Addresses of the interfaces that are up, without those that need a zone and those that are no hosts.
#[must_use]
pub fn addresses() -> BTreeSet<IpAddr> {
    let Ok(interfaces) = getifaddrs() else { return BTreeSet::new() };
    interfaces
        .filter(|interface| interface.flags.contains(InterfaceFlags::IFF_UP))
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        })
        .filter(|address| match address {
            IpAddr::V4(v4) => !v4.is_unspecified() && !v4.is_multicast(),
            // A browser cannot name a link-local address: it has no way to write the zone.
            IpAddr::V6(v6) => !v6.is_unspecified() && !v6.is_multicast() && !v6.is_unicast_link_local(),
        })
        .collect()
}

/// Whether one of these interfaces, or any but loopback where none is named, has an address to be reached at.
#[must_use]
pub fn has_address(interfaces: &[String]) -> bool {
    let Ok(mut all) = getifaddrs() else { return false };
    all.any(|interface| {
        let up = interface.flags.contains(InterfaceFlags::IFF_UP);
        let named = if interfaces.is_empty() {
            !interface.flags.contains(InterfaceFlags::IFF_LOOPBACK)
        } else {
            interfaces.contains(&interface.interface_name)
        };
        let address = interface.address.as_ref();
        up && named
            && address.is_some_and(|address| {
                address.as_sockaddr_in().is_some() || address.as_sockaddr_in6().is_some()
            })
    })
}

/// Where people find a listener: its own address, or those of this machine where it listens on all.
#[must_use]
pub fn reachable(listening: SocketAddr) -> Vec<IpAddr> {
    if !listening.ip().is_unspecified() {
        return vec![listening.ip()];
    }
    let all = addresses().into_iter().filter(|address| listening.is_ipv6() || address.is_ipv4());
    let (loopback, mut other): (Vec<IpAddr>, Vec<IpAddr>) = all.partition(IpAddr::is_loopback);
    other.extend(loopback.into_iter().filter(IpAddr::is_ipv4));
    other
}

fn host_name() -> Option<DnsName> {
    DnsName::parse(nix::unistd::gethostname().ok()?.to_str()?)
}

/// systemd's directory, else the user's.
fn state_dir() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("STATE_DIRECTORY")
        .or_else(|| Some(set("XDG_STATE_HOME")?.join("bulle")))
        .or_else(|| Some(set("HOME")?.join(".local/state/bulle")))
        .unwrap_or_else(|| PathBuf::from("/var/lib/bulle"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_with_an_address_is_found_by_its_name() {
        assert!(has_address(&["nothing0".to_owned(), "lo".to_owned()]));
        assert!(!has_address(&["nothing0".to_owned()]));
    }
}
