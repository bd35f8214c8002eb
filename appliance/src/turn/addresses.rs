//! The addresses of this machine, and which of them are neighbours on one interface.

use std::io;
use std::net::{IpAddr, Ipv6Addr};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

/// Addresses that are looked at. A box has a handful.
const MAX_ADDRESSES: usize = 64;

/// One address of one interface that is up.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Local {
    interface: String,
    pub(super) address: IpAddr,
}

/// All addresses of this machine, without those of IPv6 that are good on one link only.
pub(super) fn local() -> io::Result<Vec<Local>> {
    let mut found = Vec::new();
    for entry in getifaddrs()? {
        let Some(storage) = entry.address.filter(|_| entry.flags.contains(InterfaceFlags::IFF_UP)) else {
            continue;
        };
        let address = match (storage.as_sockaddr_in(), storage.as_sockaddr_in6()) {
            (Some(v4), _) => IpAddr::V4(v4.ip()),
            (None, Some(v6)) if !is_link_local(v6.ip()) => IpAddr::V6(v6.ip()),
            (None, _) => continue,
        };
        let local = Local { interface: entry.interface_name, address };
        if found.len() < MAX_ADDRESSES && !found.contains(&local) {
            found.push(local);
        }
    }
    Ok(found)
}

/// For each address, the first one of the other family on the same interface.
pub(super) fn other_family(addresses: &[Local]) -> Vec<(IpAddr, IpAddr)> {
    addresses
        .iter()
        .filter_map(|one| {
            let other = addresses.iter().find(|other| {
                other.interface == one.interface && other.address.is_ipv4() != one.address.is_ipv4()
            })?;
            Some((one.address, other.address))
        })
        .collect()
}

fn is_link_local(v6: Ipv6Addr) -> bool {
    v6.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(interface: &str, address: &str) -> Local {
        Local { interface: interface.to_owned(), address: address.parse().unwrap() }
    }

    #[test]
    fn neighbours_are_on_the_same_interface() {
        let addresses = [
            local("lo", "127.0.0.1"),
            local("wlan0", "10.42.0.1"),
            local("eth0", "192.168.1.5"),
            local("lo", "::1"),
            local("wlan0", "fd00::1"),
        ];
        let pairs = other_family(&addresses);
        let expected =
            [("127.0.0.1", "::1"), ("10.42.0.1", "fd00::1"), ("::1", "127.0.0.1"), ("fd00::1", "10.42.0.1")];
        assert_eq!(pairs, expected.map(|(one, other)| (one.parse().unwrap(), other.parse().unwrap())));
    }

    #[test]
    fn this_machine_has_a_loopback_address() {
        let addresses = super::local().unwrap();
        assert!(addresses.iter().any(|local| local.address.is_loopback()));
    }
}
