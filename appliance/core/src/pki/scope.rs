//! What an authority may vouch for: the permitted subtrees of RFC 5280 section 4.2.1.10, and until when.

use super::host::Host;
use super::{BACKDATED, Identity, LEAF_LIFETIME, MOST_ADDRESSES};
use crate::lan;
use crate::names::DnsName;
use base::UnixSeconds;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use x509_parser::extensions::NameConstraints;

/// Private, link-local and loopback ranges: RFC 1918, 3927, 4193, 4291, 1122. No certificate of the public
/// web can name them, so an authority limited to them can impersonate nobody out there.
const PRIVATE: [(IpAddr, u8); 8] = [
    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
    (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    (IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
    (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
    (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
];

/// Names and address ranges that an authority may vouch for, and the end of its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    names: Vec<String>,
    ranges: Vec<(IpAddr, IpAddr)>,
    until: UnixSeconds,
}

impl Scope {
    /// The names of this machine, the private ranges, and those of its addresses that lie outside them.
    ///
    /// A server on the public Internet has a public address; its authority may vouch for that one alone.
    /// With a name of the link (`bulle.local`) come those that a conflict on it may give (`bulle-2.local`): the
    /// authority cannot be changed later, and all of `.local` would let it stand in for somebody's printer.
    #[must_use]
    pub fn for_machine(identity: &Identity, until: UnixSeconds) -> Self {
        let others = identity.names.iter().flat_map(lan::alternatives);
        let all: BTreeSet<DnsName> = identity.names.iter().cloned().chain(others).collect();
        let names = all.iter().map(|name| name.as_str().to_owned()).collect();
        let ranges = PRIVATE.iter().map(|(net, bits)| (*net, mask(*net, *bits))).collect();
        let mut scope = Self { names, ranges, until };
        let public: Vec<IpAddr> = identity
            .addresses
            .iter()
            .copied()
            .filter(|a| !scope.covers_address(*a))
            .take(MOST_ADDRESSES)
            .collect();
        scope.ranges.extend(public.into_iter().map(|address| (address, mask(address, 128))));
        scope
    }

    /// What a certificate says about itself. `None` without constraints of both kinds: such an authority is
    /// not one of ours.
    pub(super) fn of_certificate(constraints: &NameConstraints<'_>, until: UnixSeconds) -> Option<Self> {
        let mut scope = Self { names: Vec::new(), ranges: Vec::new(), until };
        for subtree in constraints.permitted_subtrees.as_ref()? {
            match Host::of(&subtree.base)? {
                Host::Name(name) => scope.names.push(name.to_owned()),
                Host::Address(bytes) => scope.ranges.push(range(bytes)?),
            }
        }
        (!scope.names.is_empty() && !scope.ranges.is_empty()).then_some(scope)
    }

    /// `now`, or the last moment at which a certificate gets its whole lifetime.
    ///
    /// Later than that a certificate would be as short-lived as the one before it, and be renewed without end. An
    /// authority whose time is over vouches on: this machine's clock may be the one that is wrong.
    pub(super) fn latest(&self, now: UnixSeconds) -> UnixSeconds {
        let whole = LEAF_LIFETIME.saturating_sub(BACKDATED).as_secs();
        now.min(UnixSeconds(self.until.0.saturating_sub(whole)))
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn ranges(&self) -> &[(IpAddr, IpAddr)] {
        &self.ranges
    }

    /// The part of `identity` that may be vouched for, the names that may not, and how many addresses.
    ///
    /// One name outside the constraints would make phones refuse the whole certificate.
    pub(super) fn split(&self, identity: &Identity) -> (Identity, Vec<DnsName>, usize) {
        let (names, left_out): (BTreeSet<_>, BTreeSet<_>) =
            identity.names.iter().cloned().partition(|name| self.covers_name(name));
        let covered = identity.addresses.iter().copied().filter(|address| self.covers_address(*address));
        let addresses: BTreeSet<IpAddr> = covered.take(MOST_ADDRESSES).collect();
        let addresses_left_out = identity.addresses.len() - addresses.len();
        (Identity { names, addresses }, left_out.into_iter().collect(), addresses_left_out)
    }

    fn covers_name(&self, name: &DnsName) -> bool {
        self.names.iter().any(|above| name.is_within(above))
    }

    fn covers_address(&self, address: IpAddr) -> bool {
        self.ranges.iter().any(|(net, mask)| match (address, net, mask) {
            (IpAddr::V4(a), IpAddr::V4(net), IpAddr::V4(mask)) => {
                a.to_bits() & mask.to_bits() == net.to_bits()
            }
            (IpAddr::V6(a), IpAddr::V6(net), IpAddr::V6(mask)) => {
                a.to_bits() & mask.to_bits() == net.to_bits()
            }
            (IpAddr::V4(_) | IpAddr::V6(_), _, _) => false,
        })
    }
}

/// The first `bits` bits set, in the family of `net`; a host mask where there are fewer.
fn mask(net: IpAddr, bits: u8) -> IpAddr {
    let bits = u32::from(bits);
    match net {
        IpAddr::V4(_) => Ipv4Addr::from_bits(u32::MAX << 32_u32.saturating_sub(bits)).into(),
        IpAddr::V6(_) => Ipv6Addr::from_bits(u128::MAX << 128_u32.saturating_sub(bits)).into(),
    }
}

/// Address and mask, one behind the other.
fn range(bytes: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let (net, mask) = bytes.split_at_checked(bytes.len() / 2)?;
    if let (Ok(net), Ok(mask)) = (<[u8; 4]>::try_from(net), <[u8; 4]>::try_from(mask)) {
        return Some((net.into(), mask.into()));
    }
    let (net, mask) = (<[u8; 16]>::try_from(net).ok()?, <[u8; 16]>::try_from(mask).ok()?);
    Some((net.into(), mask.into()))
}
