//! A TURN client over UDP (RFC 8656) as a machine: one allocation, and a channel to each peer that is named.
//!
//! It wraps `turn-client-proto`, another implementation than the node's, so that a phone proves the node's TURN
//! with every packet. It retries nothing: a refused allocation is reported, and the caller makes a new one from
//! another port.

use std::net::SocketAddr;

use base::Instant;
use stun_proto::types::TransportType;
use stun_proto::types::message::IntegrityAlgorithm;
use turn_client_proto::api::{TurnConfig, TurnEvent, TurnPollRet, TurnRecvRet};
use turn_client_proto::prelude::{DelayedTransmitBuild as _, TurnClientApi as _};
use turn_client_proto::types::{AddressFamily, TurnCredentials};
use turn_client_proto::udp::TurnClientUdp;

/// A client with one allocation.
#[derive(Debug)]
pub struct Relay {
    client: TurnClientUdp,
    local: SocketAddr,
    relayed: Option<SocketAddr>,
    failed: bool,
    /// Peers named before the allocation stood, at most [`MAX_PEERS`].
    waiting: Vec<SocketAddr>,
    peers: Vec<SocketAddr>,
}

/// Peers that one allocation is opened to; more are ignored.
pub const MAX_PEERS: usize = 32;

/// What came out of a datagram from the server.
#[derive(Debug)]
pub enum Received {
    /// It was for the client itself.
    Control,
    /// A peer sent this.
    Data {
        /// The peer's transport address.
        peer: SocketAddr,
        /// What it sent.
        data: Vec<u8>,
    },
    /// Not of this protocol.
    Foreign,
}

impl Relay {
    /// Begins to allocate at `server`, from `local`.
    pub fn allocate(local: SocketAddr, server: SocketAddr, username: &str, password: &str) -> Self {
        let mut config = TurnConfig::new(TurnCredentials::new(username, password));
        // A server that names SHA-256 among its algorithms answers with it (RFC 8489, section 9.2.4).
        config.add_supported_integrity(IntegrityAlgorithm::Sha256);
        config.set_address_family(if server.is_ipv4() { AddressFamily::IPV4 } else { AddressFamily::IPV6 });
        Self {
            client: TurnClientUdp::allocate(local, server, config),
            local,
            relayed: None,
            failed: false,
            waiting: Vec::new(),
            peers: Vec::new(),
        }
    }

    /// The relayed transport address, once it is allocated.
    pub const fn relayed(&self) -> Option<SocketAddr> {
        self.relayed
    }

    /// Whether the server refused the allocation, or took it back.
    pub const fn failed(&self) -> bool {
        self.failed
    }

    /// Opens the allocation to `peer`: a permission and a channel.
    pub fn open_to(&mut self, peer: SocketAddr, now: Instant) {
        if self.relayed.is_none() {
            if self.waiting.len() < MAX_PEERS && !self.waiting.contains(&peer) {
                self.waiting.push(peer);
            }
            return;
        }
        // An error means that the permission or channel stands already.
        if peer.is_ipv4() == self.local.is_ipv4()
            && self.peers.len() < MAX_PEERS
            && !self.peers.contains(&peer)
        {
            self.peers.push(peer);
            let at = theirs(now);
            let _ = self.client.create_permission(TransportType::Udp, peer.ip(), at);
            let _ = self.client.bind_channel(TransportType::Udp, peer, at);
        }
    }

    /// Sends through the allocation; nothing when it is not open to `peer` yet, as a network would.
    pub fn send(&mut self, peer: SocketAddr, data: &[u8], now: Instant) -> Option<Vec<u8>> {
        self.client
            .send_to(TransportType::Udp, peer, data, theirs(now))
            .ok()
            .flatten()
            .map(|send| send.data.build())
    }

    /// A datagram came from the server.
    pub fn handle_datagram(&mut self, server: SocketAddr, bytes: &[u8], now: Instant) -> Received {
        let datagram = stun_proto::agent::Transmit::new(bytes, TransportType::Udp, server, self.local);
        let received = match self.client.recv(datagram, theirs(now)) {
            TurnRecvRet::Handled | TurnRecvRet::PeerIcmp { .. } => Received::Control,
            TurnRecvRet::Ignored(_) => Received::Foreign,
            TurnRecvRet::PeerData(from) => Received::Data { peer: from.peer, data: from.data().to_vec() },
        };
        self.learn(now);
        received
    }

    /// When [`poll_transmit`](Self::poll_transmit) must be called next; moves the client's own time.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Instant> {
        let next = match self.client.poll(theirs(now)) {
            TurnPollRet::WaitUntil(at) => Some(ours(at)),
            TurnPollRet::Closed => {
                self.failed = true;
                None
            }
            TurnPollRet::AllocateTcpSocket { .. } | TurnPollRet::TcpClose { .. } => None,
        };
        self.learn(now);
        next
    }

    /// The next datagram for the server.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.client.poll_transmit(theirs(now)).map(|transmit| transmit.data.to_vec())
    }

    /// Gives the allocation back; one datagram follows from [`poll_transmit`](Self::poll_transmit).
    pub fn release(&mut self, now: Instant) {
        let _ = self.client.delete(theirs(now));
    }

    fn learn(&mut self, now: Instant) {
        while let Some(event) = self.client.poll_event() {
            match event {
                TurnEvent::AllocationCreated(_, relayed) => {
                    self.relayed = Some(relayed);
                    for peer in core::mem::take(&mut self.waiting) {
                        self.open_to(peer, now);
                    }
                }
                TurnEvent::AllocationCreateFailed(_) => self.failed = true,
                TurnEvent::PermissionCreated(..)
                | TurnEvent::PermissionCreateFailed(..)
                | TurnEvent::ChannelCreated(..)
                | TurnEvent::ChannelCreateFailed(..)
                | TurnEvent::TcpConnected(_)
                | TurnEvent::TcpConnectFailed(_) => {}
            }
        }
    }
}

fn theirs(at: Instant) -> stun_proto::Instant {
    stun_proto::Instant::from_nanos(i64::try_from(at.as_micros().saturating_mul(1000)).unwrap_or(i64::MAX))
}

fn ours(at: stun_proto::Instant) -> Instant {
    // Rounded up: called a microsecond early, the client would ask for the same moment again and again.
    Instant::from_micros(u64::try_from(at.as_nanos()).unwrap_or(0).div_ceil(1000))
}
