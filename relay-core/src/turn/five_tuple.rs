//! The 5-tuple that names an allocation (RFC 8656, section 3): client, server, transport.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::net::{IpAddr, SocketAddr};

/// How the client reaches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
    /// A stream inside TLS.
    Tls,
}

impl Transport {
    /// Whether messages follow one another without borders of their own; see [`message_len`](super::message_len).
    pub const fn is_stream(self) -> bool {
        match self {
            Self::Udp => false,
            Self::Tcp | Self::Tls => true,
        }
    }
}

/// "The five-tuple uniquely identifies this communication stream" (RFC 8656, section 2.2).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FiveTuple {
    /// Where the client sends from, as seen by the box.
    pub client: SocketAddr,
    /// The address of the box that the client sends to, never a wildcard.
    pub server: SocketAddr,
    /// How.
    pub transport: Transport,
}

impl FiveTuple {
    /// A client over UDP. IPv4 addresses in IPv6 clothes are undressed.
    pub fn udp(client: SocketAddr, server: SocketAddr) -> Self {
        Self::new(client, server, Transport::Udp)
    }

    /// A client over any transport. IPv4 addresses in IPv6 clothes are undressed.
    pub fn new(client: SocketAddr, server: SocketAddr, transport: Transport) -> Self {
        Self { client: canonical(client), server: canonical(server), transport }
    }

    /// The client's address, or its network where a device has a whole network of addresses.
    pub(super) fn source(&self) -> Source {
        match self.client.ip() {
            IpAddr::V4(v4) => Source(u64::from(v4.to_bits())),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                // An IPv4 address is below 2^32; a /64 of zeroes is not a source anybody has.
                Source(u64::from(a) << 48 | u64::from(b) << 32 | u64::from(c) << 16 | u64::from(d))
            }
        }
    }
}

impl fmt::Debug for FiveTuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FiveTuple(..)")
    }
}

impl Hash for FiveTuple {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_address(&self.client, 0, state);
        hash_address(&self.server, self.transport as u64, state);
    }
}

/// A source of allocations: one IPv4 address, or one IPv6 /64 network.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Source(u64);

impl Hash for Source {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

/// A socket address as the key of a table, hashed in whole words.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct AddressKey(pub(super) SocketAddr);

impl Hash for AddressKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_address(&self.0, 0, state);
    }
}

/// `address` with an IPv4-mapped IPv6 address written as IPv4, and without scope and flow.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn hash_address<H: Hasher>(address: &SocketAddr, extra: u64, state: &mut H) {
    let bits = match address.ip() {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let [high, low] = [(bits >> 64) as u64, bits as u64];
    state.write_u64(high);
    state.write_u64(low);
    state.write_u64(u64::from(address.port()) | extra << 16);
}
