//! The box's networks: which addresses, and the files that tell systemd-networkd and the daemon.
//!
//! ```text
//! Plan (mode, radio, cable) ─┬▶ files()     one .network file for each interface
//!                            └▶ settings()  bulle.toml of `bulle serve`
//! ```
//!
//! Not here: the firewall ([`crate::firewall`]), the access point ([`crate::wifi`]), and writing anything.
//! Invariants: nothing is ever forwarded; the bubble's range never overlaps a network on the cable; what a network
//! on the cable says about names, search domains and time zones is not believed.

pub mod arp;
mod daemon;
mod lease;
mod networkd;
mod range;
mod sockets;
#[cfg(test)]
pub(crate) mod tests;

pub use daemon::{Serve, settings};
pub use lease::{ANOTHER_TAKES, ASKED_FOR, ClientName, Leases, MOST_NAMES, TOLD_FOR, leased};
pub use networkd::{File, files};
pub use range::{MOST_NETWORKS, Range, choose};
pub use sockets::{Socket, Sockets};

use crate::firstboot::Ula;
use crate::site::Fixed;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use zeroize::Zeroizing;

/// Names of this box that never change, whatever multicast DNS gives it besides.
pub const NAMES: [&str; 2] = ["bulle.internal", "bulle.local"];

/// What the box does on its interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The bubble's own network; `None` while the box makes none.
    pub bubble: Option<Bubble>,
    /// The cable; `None` where there is no socket for one.
    pub cable: Option<Cable>,
    /// Other sockets: kept on, so that a cable in them is seen, and without any address.
    pub spare: Vec<String>,
}

/// The bubble's own network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bubble {
    /// The radio's interface.
    pub interface: String,
    /// Its IPv4 addresses.
    pub range: Range,
    /// Its IPv6 addresses.
    pub ula: Ula,
    /// The captive portal API to announce (RFC 8910), only where phones can trust its certificate.
    pub portal_api: Option<String>,
}

impl Bubble {
    /// The box itself, by IPv4 and IPv6.
    #[must_use]
    pub const fn addresses(&self) -> [IpAddr; 2] {
        [IpAddr::V4(self.range.router()), IpAddr::V6(self.ula.router())]
    }
}

/// The network on the cable.
#[derive(Clone, PartialEq, Eq)]
pub struct Cable {
    /// Its interface.
    pub interface: String,
    /// The address that the owner gave; `None` for DHCP.
    pub fixed: Option<Fixed>,
    /// Under which name the box asks for an address.
    pub client: ClientName,
    /// Where the owner wants the time to come from.
    pub ntp: Vec<IpAddr>,
    /// Makes IPv6 addresses that are stable and tell nothing of the hardware (RFC 7217).
    pub secret: Zeroizing<[u8; 16]>,
    /// Whether the box serves that network, or is only looked after through it.
    pub serves: bool,
}

impl fmt::Debug for Cable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cable")
            .field("interface", &self.interface)
            .field("serves", &self.serves)
            .finish_non_exhaustive()
    }
}

/// A secret for addresses out of the machine id, which itself is shown to nobody.
#[must_use]
pub fn address_secret(machine_id: &[u8; 16]) -> Zeroizing<[u8; 16]> {
    use sha2::{Digest, Sha256};
    let hash = Sha256::new().chain_update(b"bulle/1 stable addresses\0").chain_update(machine_id).finalize();
    let mut secret = Zeroizing::new([0; 16]);
    secret.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    secret
}

/// The first and last address that the bubble's DHCP hands out, beside the box at `.1`.
pub(crate) const POOL: (u8, u8) = (10, 249);

/// The last octet replaced.
const fn with_host(net: Ipv4Addr, host: u8) -> Ipv4Addr {
    let [a, b, c, _] = net.octets();
    Ipv4Addr::new(a, b, c, host)
}
