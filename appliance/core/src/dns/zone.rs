//! What this name server knows.

use super::wire::{IN, Query, kind};
use crate::names::DnsName;
use crate::portal::probes;
use crate::settings::Probes;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// How long a device may remember where this box is.
const NAME_TTL: Duration = Duration::from_secs(60);
/// How long a device may remember where it asks for the Internet: the operator may change what it is told.
const PROBE_TTL: Duration = Duration::from_secs(10);
/// Where clients look for encrypted resolvers (RFC 9462 section 4).
const RESOLVER: &str = "resolver.arpa";

/// One record about the name that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Ptr(DnsName),
    Soa,
}

/// What to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// These, to be remembered for so long.
    Found { records: Vec<Record>, ttl: Duration },
    /// The name exists, or one below it does, and there is nothing of that type.
    NoData,
    /// There is no such name, and none below it.
    NoName,
    /// This is not answered here.
    Refused,
    /// A version of EDNS that we do not speak.
    BadVersion,
}

/// Who answers, for the start of authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authority {
    pub(super) server: Option<DnsName>,
}

/// Names and what they stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    names: Vec<DnsName>,
    addresses: Vec<IpAddr>,
    /// The names of the addresses (RFC 1035 section 3.5, RFC 3596 section 2.5).
    reverse: Vec<String>,
    probes: Probes,
    authority: Authority,
}

impl Zone {
    /// These names stand for those addresses, and so do the names by which devices look for the Internet, if
    /// `probes` says so.
    #[must_use]
    pub fn new(names: Vec<DnsName>, addresses: Vec<IpAddr>, probes: Probes) -> Self {
        let reverse = addresses.iter().copied().map(reverse).collect();
        let authority = Authority { server: names.first().cloned() };
        Self { names, addresses, reverse, probes, authority }
    }

    pub(super) const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// What to answer to `query`.
    pub(super) fn resolve(&self, query: &Query<'_>) -> Outcome {
        if query.edns.is_some_and(|edns| edns.version != 0) {
            return Outcome::BadVersion;
        }
        // Everything at once is what amplifiers are made of (RFC 8482), and there is no other class.
        if query.class != IN
            || (kind::FIRST_META..=kind::ANY).contains(&query.kind)
            || query.kind == kind::OPT
        {
            return Outcome::Refused;
        }
        let Some(name) = query.name.as_deref() else { return Outcome::NoName };
        if name.is_empty() {
            let soa = Outcome::Found { records: vec![Record::Soa], ttl: NAME_TTL };
            return if query.kind == kind::SOA { soa } else { Outcome::NoData };
        }
        if self.names.iter().any(|own| own.as_str() == name) {
            return self.addresses_of(query.kind, NAME_TTL);
        }
        if self.reverse.iter().any(|own| own == name) {
            let records = self.names.first().cloned().map(Record::Ptr).into_iter().collect();
            return found(query.kind == kind::PTR, records, NAME_TTL);
        }
        if let Some(probe) = self.probe_names().find(|probe| probe.name == name) {
            return self.probe(probe, query.kind);
        }
        if name == RESOLVER || name.ends_with(".resolver.arpa") || self.is_above_any(name) {
            // RFC 8020: "no such name" would mean that there is none below it either. RFC 9462 section 4 wants the
            // same for those who look for an encrypted resolver.
            return Outcome::NoData;
        }
        Outcome::NoName
    }

    fn probe_names(&self) -> impl Iterator<Item = &'static probes::ProbeName> {
        let known = match self.probes {
            Probes::Online | Probes::Portal => probes::NAMES,
            Probes::Offline => &[],
        };
        known.iter()
    }

    fn probe(&self, probe: &probes::ProbeName, asked: u16) -> Outcome {
        if let Some((v4, v6)) = probe.fixed {
            let records = match asked {
                kind::A => vec![Record::A(v4)],
                kind::AAAA => vec![Record::Aaaa(v6)],
                _ => Vec::new(),
            };
            return found(true, records, PROBE_TTL);
        }
        // A device is let go by its address, and it has several: over IPv4 it has one.
        if self.probes == Probes::Portal && asked == kind::AAAA {
            return Outcome::NoData;
        }
        self.addresses_of(asked, PROBE_TTL)
    }

    fn addresses_of(&self, asked: u16, ttl: Duration) -> Outcome {
        let records = self
            .addresses
            .iter()
            .filter_map(|address| match (*address, asked) {
                (IpAddr::V4(v4), kind::A) => Some(Record::A(v4)),
                (IpAddr::V6(v6), kind::AAAA) => Some(Record::Aaaa(v6)),
                (IpAddr::V4(_) | IpAddr::V6(_), _) => None,
            })
            .collect();
        found(true, records, ttl)
    }

    fn is_above_any(&self, name: &str) -> bool {
        let is_above = |below: &str| below.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
        self.names.iter().any(|own| is_above(own.as_str()))
            || self.reverse.iter().any(|own| is_above(own))
            || self.probe_names().any(|probe| is_above(probe.name))
            || is_above(RESOLVER)
    }
}

fn found(fits: bool, records: Vec<Record>, ttl: Duration) -> Outcome {
    if fits && !records.is_empty() { Outcome::Found { records, ttl } } else { Outcome::NoData }
}

/// `1.0.77.10.in-addr.arpa`, or 32 digits below `ip6.arpa`.
fn reverse(address: IpAddr) -> String {
    let mut name = String::new();
    match address {
        IpAddr::V4(v4) => {
            for byte in v4.octets().iter().rev() {
                let _ = write!(name, "{byte}.");
            }
            name + "in-addr.arpa"
        }
        IpAddr::V6(v6) => {
            for byte in v6.octets().iter().rev() {
                let _ = write!(name, "{:x}.{:x}.", byte & 0x0f, byte >> 4);
            }
            name + "ip6.arpa"
        }
    }
}
