//! The loop of the TURN thread: a datagram in, the machine asked, a datagram out.
//!
//! Order within one turn: commands, packets, deadlines, addresses. A busy socket gives way after [`BUDGET`]
//! datagrams.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{Instant, Private, UnixSeconds};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};
use rand_core::OsRng;
use relay_core::turn::{
    Config, Counters, CredentialSecret, Effect, Family, FiveTuple, Forward, HEADROOM, MAX_DATAGRAM, Out,
    PeerPolicy, RelayAddresses, RelayId, Server, TAILROOM,
};

use super::{RESCAN, TurnConfig, TurnError, addresses, sockets};
use crate::clocks::Clocks;

/// Datagrams taken from one socket before the others have their turn.
const BUDGET: usize = 64;
/// Errors taken from one socket before it is left until it has something new.
const MAX_ERRORS: u32 = 8;
/// Events taken from the system at once.
const EVENTS: usize = 1024;
/// Listening sockets: one per address of the machine.
const MAX_LISTENING: usize = 128;
const WAKER: Token = Token(0);
const FIRST_LISTENING: usize = 1;
const FIRST_RELAY: usize = FIRST_LISTENING + MAX_LISTENING;
/// One byte more than is looked at, so that a longer datagram is known to be longer.
const BUFFER: usize = HEADROOM + MAX_DATAGRAM + 1 + TAILROOM;

/// What the rest of the daemon asks for.
pub(super) enum Command {
    Revoke(Private<String>),
    Clear,
    Stop,
}

struct Listening {
    /// As it was asked for: with port 0 where any will do.
    wanted: SocketAddr,
    /// As it is.
    address: SocketAddr,
    socket: UdpSocket,
}

struct RelaySocket {
    relay: RelayId,
    socket: UdpSocket,
}

/// All that the thread owns.
pub(super) struct EventLoop {
    config: TurnConfig,
    server: Server<OsRng>,
    poll: Poll,
    waker: Arc<Waker>,
    inbox: Receiver<Command>,
    shared_counters: Arc<Mutex<Counters>>,
    /// By token. At most [`MAX_LISTENING`].
    listening: Vec<Option<Listening>>,
    /// By token: two per slot of the machine, so no more than its limit of allocations.
    relays: Vec<Option<RelaySocket>>,
    /// Sockets that had more to give when their budget was used up.
    ready: VecDeque<Token>,
    clocks: Arc<Clocks>,
    /// When to look at the addresses again; nothing before the first time.
    rescan_at: Option<Instant>,
    buffer: Vec<u8>,
}

impl EventLoop {
    /// Binds what can be bound now, and fails where the operator should know.
    pub(super) fn new(
        config: TurnConfig,
        secret: CredentialSecret,
        clocks: Arc<Clocks>,
        inbox: Receiver<Command>,
        shared_counters: Arc<Mutex<Counters>>,
    ) -> Result<Self, TurnError> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let machine = Config {
            relay_ports: config.relay_ports.clone(),
            limits: config.limits,
            peers: PeerPolicy {
                own: Vec::new(),
                denied: config.denied_peers.clone(),
                dangerous_allow_loopback_peers: config.dangerous_allow_loopback_peers,
            },
            ..Config::default()
        };
        sockets::raise_file_limit(config.limits.allocations);
        let mut event_loop = Self {
            server: Server::new(machine, secret, OsRng),
            config,
            poll,
            waker,
            inbox,
            shared_counters,
            listening: Vec::new(),
            relays: Vec::new(),
            ready: VecDeque::new(),
            clocks,
            rescan_at: None,
            buffer: vec![0; BUFFER],
        };
        event_loop.follow_addresses()?;
        if event_loop.listening.is_empty() {
            return Err(TurnError::NoAddress);
        }
        Ok(event_loop)
    }

    pub(super) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    pub(super) fn listening(&self) -> Vec<SocketAddr> {
        self.listening.iter().flatten().map(|listening| listening.address).collect()
    }

    /// Runs until it is told to stop.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            self.share_counters();
            let now = self.now();
            let until = self.server.poll_timeout().into_iter().chain(self.rescan_at).min();
            let wait = match until {
                _ if !self.ready.is_empty() => Some(Duration::ZERO),
                Some(until) => Some(until.saturating_duration_since(now)),
                None => None,
            };
            match self.poll.poll(&mut events, wait) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::error!(kind = ?error.kind(), "the TURN thread cannot wait for packets and ends");
                    return;
                }
            }
            if !self.obey() {
                return;
            }
            let now = self.now();
            let wall = self.wall();
            for _ in 0..self.ready.len() {
                if let Some(token) = self.ready.pop_front() {
                    self.receive(token, now, wall);
                }
            }
            for event in &events {
                if event.token() != WAKER {
                    self.receive(event.token(), now, wall);
                }
            }
            self.server.handle_timeout(now);
            self.drain(now);
            if self.rescan_at.is_none_or(|at| now >= at) && self.follow_addresses().is_err() {
                tracing::warn!(
                    "the addresses of this machine cannot be read; TURN keeps those that it knows"
                );
            }
        }
    }

    /// Carries out commands; says whether to go on.
    fn obey(&mut self) -> bool {
        while let Ok(command) = self.inbox.try_recv() {
            match command {
                Command::Revoke(username) => {
                    let freed = self.server.revoke(username.expose(), self.wall());
                    tracing::debug!(freed, "credential revoked");
                }
                Command::Clear => self.server.clear(),
                Command::Stop => return false,
            }
            self.drain(self.now());
        }
        true
    }

    /// Takes datagrams from the socket of `token` until it is empty or its budget is used up.
    fn receive(&mut self, token: Token, now: Instant, wall: UnixSeconds) {
        let mut errors = 0;
        for _ in 0..BUDGET {
            let Some(room) = self.buffer.get_mut(HEADROOM..HEADROOM + MAX_DATAGRAM + 1) else { return };
            let received = if token.0 < FIRST_RELAY {
                let Some(Some(listening)) = self.listening.get(token.0 - FIRST_LISTENING) else { return };
                listening
                    .socket
                    .recv_from(room)
                    .map(|(length, from)| (length, from, Source::Client(listening.address)))
            } else {
                let Some(Some(relay)) = self.relays.get(token.0 - FIRST_RELAY) else { return };
                relay.socket.recv_from(room).map(|(length, from)| (length, from, Source::Peer(relay.relay)))
            };
            let (length, from, source) = match received {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An error of an earlier datagram concerns nobody else; a socket that gives nothing else is left.
                Err(_) if errors < MAX_ERRORS => {
                    errors += 1;
                    continue;
                }
                Err(_) => return,
            };
            let bytes = self.buffer.get(HEADROOM..HEADROOM + length).unwrap_or_default();
            let forward = match source {
                Source::Client(server) => {
                    self.server.handle_client_input(bytes, FiveTuple::udp(from, server), now, wall)
                }
                Source::Peer(relay) => self.server.handle_peer_input(bytes, from, relay, now),
            };
            if let Some(forward) = forward {
                self.forward(&forward);
            }
            self.drain(now);
        }
        self.ready.push_back(token);
    }

    /// Sends a data packet out of the buffer in which it came.
    fn forward(&mut self, forward: &Forward) {
        let socket = match &forward.out {
            Out::Relay(relay) => {
                self.relays.get(relay_index(*relay)).and_then(Option::as_ref).map(|relay| &relay.socket)
            }
            Out::Server(five_tuple) => listening_socket(&self.listening, five_tuple.server),
        };
        if let Some(socket) = socket
            && let Some(datagram) = forward.write(&mut self.buffer, HEADROOM)
        {
            // A full socket or a peer that is gone loses a datagram, as any network does.
            let _ = socket.send_to(datagram, *forward.to.expose());
        }
    }

    /// Does what the machine wants done.
    fn drain(&mut self, now: Instant) {
        loop {
            while let Some(transmit) = self.server.poll_transmit() {
                if let Some(socket) = listening_socket(&self.listening, transmit.five_tuple.server) {
                    let _ = socket.send_to(transmit.reply.as_bytes(), transmit.five_tuple.client);
                }
            }
            let Some(effect) = self.server.poll_effect() else { return };
            match effect {
                Effect::Bind { relay, address } => {
                    let bound = self.bind_relay(relay, *address.expose());
                    self.server.handle_bound(relay, bound.map_err(|error| sockets::relay_error(&error)), now);
                }
                Effect::Free { relay } => self.free_relay(relay),
            }
        }
    }

    fn bind_relay(&mut self, relay: RelayId, address: SocketAddr) -> io::Result<()> {
        let mut socket = sockets::bind(address)?;
        let index = relay_index(relay);
        self.poll.registry().register(&mut socket, Token(FIRST_RELAY + index), Interest::READABLE)?;
        if index >= self.relays.len() {
            self.relays.resize_with(index + 1, || None);
        }
        if let Some(place) = self.relays.get_mut(index) {
            *place = Some(RelaySocket { relay, socket });
        }
        Ok(())
    }

    fn free_relay(&mut self, relay: RelayId) {
        if let Some(place) = self.relays.get_mut(relay_index(relay))
            && place.as_ref().is_some_and(|socket| socket.relay == relay)
        {
            // Closing a socket takes it out of the poll as well.
            *place = None;
        }
    }

    /// Binds addresses that have come, closes those that have gone, and tells the machine.
    fn follow_addresses(&mut self) -> Result<(), TurnError> {
        let first_time = self.rescan_at.is_none();
        self.rescan_at = Some(self.now() + RESCAN);
        let local = addresses::local()?;
        let wanted = wanted(&self.config.listen, &local);
        for place in &mut self.listening {
            if place
                .as_ref()
                .is_some_and(|listening| !wanted.iter().any(|(address, _)| *address == listening.wanted))
            {
                *place = None;
            }
        }
        for (address, named) in wanted {
            if self.listening.iter().flatten().any(|listening| listening.wanted == address) {
                continue;
            }
            match self.listen(address) {
                Ok(()) => {}
                // An address that the operator did not name may be on its way out, or not be ready yet.
                Err(error) if !named && error.kind() == io::ErrorKind::AddrNotAvailable => {}
                Err(error) if first_time => return Err(sockets::listen_error(error, address.port())),
                Err(error) => {
                    tracing::warn!(kind = ?error.kind(), "TURN cannot listen on a new address of this machine");
                }
            }
        }
        let mut own: Vec<IpAddr> = local.iter().map(|local| local.address).collect();
        own.extend(&self.config.external);
        let relay_addresses = RelayAddresses {
            other_family: addresses::other_family(&local),
            external_v4: self.config.external.iter().find_map(|address| match address {
                IpAddr::V4(v4) => Some(*v4),
                IpAddr::V6(_) => None,
            }),
            external_v6: self.config.external.iter().find_map(|address| match address {
                IpAddr::V4(_) => None,
                IpAddr::V6(v6) => Some(*v6),
            }),
        };
        self.server.set_own_addresses(own, relay_addresses);
        Ok(())
    }

    fn listen(&mut self, wanted: SocketAddr) -> io::Result<()> {
        let free = self.listening.iter().position(Option::is_none);
        let index = free.unwrap_or(self.listening.len());
        if index >= MAX_LISTENING {
            return Ok(());
        }
        let mut socket = sockets::bind_server(wanted)?;
        self.poll.registry().register(&mut socket, Token(FIRST_LISTENING + index), Interest::READABLE)?;
        let address = socket.local_addr()?;
        if index == self.listening.len() {
            self.listening.push(None);
        }
        if let Some(place) = self.listening.get_mut(index) {
            *place = Some(Listening { wanted, address, socket });
        }
        Ok(())
    }

    fn share_counters(&self) {
        if let Ok(mut shared) = self.shared_counters.lock()
            && *shared != *self.server.counters()
        {
            shared.clone_from(self.server.counters());
        }
    }

    fn now(&self) -> Instant {
        self.clocks.now()
    }

    fn wall(&self) -> UnixSeconds {
        self.clocks.wall().now
    }
}

/// Where a datagram came in.
enum Source {
    Client(SocketAddr),
    Peer(RelayId),
}

/// The addresses to listen on, and whether the operator named each of them.
fn wanted(listen: &[SocketAddr], local: &[addresses::Local]) -> Vec<(SocketAddr, bool)> {
    let mut wanted: Vec<(SocketAddr, bool)> = Vec::new();
    for address in listen {
        if !address.ip().is_unspecified() {
            wanted.push((*address, true));
            continue;
        }
        for local in local.iter().filter(|local| local.address.is_ipv4() || address.is_ipv6()) {
            wanted.push((SocketAddr::new(local.address, address.port()), false));
        }
    }
    wanted.sort_unstable();
    wanted.dedup_by_key(|(address, _)| *address);
    wanted
}

fn listening_socket(listening: &[Option<Listening>], address: SocketAddr) -> Option<&UdpSocket> {
    listening
        .iter()
        .flatten()
        .find(|listening| listening.address == address)
        .map(|listening| &listening.socket)
}

fn relay_index(relay: RelayId) -> usize {
    relay.allocation.slot() as usize * 2
        + match relay.family {
            Family::V4 => 0,
            Family::V6 => 1,
        }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn sockets_outlive_another_look_at_the_addresses() {
        let config =
            TurnConfig { listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))], ..TurnConfig::default() };
        let secret = CredentialSecret::from_bytes(b"secret");
        let clocks = Arc::new(Clocks::new(None));
        let (_commands, inbox) = channel();
        let mut event_loop = EventLoop::new(config, secret, clocks, inbox, Arc::default()).unwrap();
        let before = event_loop.listening();
        event_loop.follow_addresses().unwrap();
        assert_eq!(event_loop.listening(), before);
        assert_ne!(before[0].port(), 0);
    }

    #[test]
    fn an_unspecified_address_stands_for_those_of_this_machine() {
        let local = addresses::local().unwrap();
        let v4 = wanted(&[SocketAddr::from(([0, 0, 0, 0], 9))], &local);
        let both = wanted(&["[::]:9".parse().unwrap(), "0.0.0.0:9".parse().unwrap()], &local);
        assert!(!v4.is_empty() && v4.iter().all(|(address, named)| address.is_ipv4() && !named));
        assert!(both.len() >= v4.len() && both.iter().all(|(address, _)| !address.ip().is_unspecified()));
    }
}
