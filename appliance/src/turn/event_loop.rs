//! The loop of the TURN thread: a datagram in, the machine asked, a datagram out.
//!
//! Order within one turn: commands, packets, deadlines, addresses. A busy socket gives way after [`BUDGET`]
//! datagrams.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::{Instant, Private, UnixSeconds};
use mio::{Token, Waker};
use rand_core::OsRng;
use relay_core::turn::{
    Account, Config, Counters, CredentialSecret, Effect, FiveTuple, Load, PeerPolicy, RelayAddresses, Server,
    message_len,
};

use super::pace::{Pace, rest_precisely};
use super::sockets::{self, Inbound};
use super::streams::{Fate, READ_BUFFER, Stream, UNUSED};
use super::wires::{Place, Source, WAKER, Wires};
use super::{RESCAN, TurnConfig, TurnError, addresses};
use crate::clocks::Clocks;

/// Batches taken from one socket before the others have their turn.
const BUDGET: usize = 4;
/// Errors taken from one socket before it is left until it has something new.
const MAX_ERRORS: u32 = 8;

/// What the rest of the daemon asks for.
pub(super) enum Command {
    Revoke(Private<String>),
    RevokeAccount(Account),
    Clear,
    /// A client whose TLS somebody else takes off.
    Stream(UnixStream, FiveTuple),
    Stop,
}

/// All that the thread owns.
pub(super) struct EventLoop {
    config: TurnConfig,
    server: Server<OsRng>,
    wires: Wires,
    waker: Arc<Waker>,
    inbox: Receiver<Command>,
    shared_counters: Arc<Mutex<Counters>>,
    /// Sockets that had more to give when their budget was used up.
    ready: VecDeque<Token>,
    /// Whether one of those is a socket for datagrams. What waits there is lost when there is too much of it; what
    /// waits in a stream is not.
    behind: bool,
    clocks: Arc<Clocks>,
    /// When to look at the addresses again; nothing before the first time.
    rescan_at: Option<Instant>,
    inbound: Inbound,
    /// For what comes by streams.
    room: Vec<u8>,
    pace: Pace,
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
        let wires = Wires::new()?;
        let waker = Arc::new(wires.waker()?);
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
            wires,
            waker,
            inbox,
            shared_counters,
            ready: VecDeque::new(),
            behind: false,
            pace: Pace::new(clocks.now()),
            clocks,
            rescan_at: None,
            inbound: Inbound::new(),
            room: vec![0; READ_BUFFER],
        };
        event_loop.follow_addresses()?;
        if event_loop.listening().is_empty() {
            return Err(TurnError::NoAddress);
        }
        Ok(event_loop)
    }

    pub(super) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    pub(super) fn listening(&self) -> Vec<SocketAddr> {
        self.wires.listening()
    }

    /// Runs until it is told to stop.
    pub(super) fn run(mut self) {
        let mut events = Wires::events();
        rest_precisely();
        loop {
            self.share_counters();
            let now = self.now();
            let until = self.server.poll_timeout().into_iter().chain(self.rescan_at).min();
            let wait = match until {
                _ if !self.ready.is_empty() => Some(Duration::ZERO),
                Some(until) => Some(until.saturating_duration_since(now)),
                None => None,
            };
            match self.wires.wait(&mut events, wait) {
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
            let (now, wall) = (self.now(), self.wall());
            let load = Load { behind: std::mem::take(&mut self.behind), blocked: self.wires.take_blocked() };
            self.server.handle_load(load, now);
            let mut packets = 0;
            for _ in 0..self.ready.len() {
                if let Some(token) = self.ready.pop_front() {
                    packets += self.serve(token, now, wall);
                }
            }
            for event in &events {
                if event.token() != WAKER {
                    packets += self.serve(event.token(), now, wall);
                }
            }
            self.server.handle_timeout(now);
            self.drain(now);
            self.wires.flush();
            if self.ready.is_empty()
                && let Some(rest) = self.pace.rest(packets, now, self.now())
            {
                std::thread::sleep(rest);
            }
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
                Command::RevokeAccount(account) => {
                    let freed = self.server.revoke_account(account, self.wall());
                    tracing::debug!(freed, "account revoked");
                }
                Command::Clear => self.server.clear(),
                Command::Stream(stream, five_tuple) => {
                    // One that there is no room for is closed by being dropped.
                    let stream = Stream::handed(stream, five_tuple, self.now());
                    let _ = stream.and_then(|stream| self.wires.open(stream));
                }
                Command::Stop => return false,
            }
            self.drain(self.now());
        }
        true
    }

    /// Does what the socket of `token` is ready for; says how many packets that were.
    fn serve(&mut self, token: Token, now: Instant, wall: UnixSeconds) -> u64 {
        if self.server.is_sharing() {
            // A look at many busy sockets takes longer than what there is may be shared out for.
            self.server.share_out(self.clocks.now());
        }
        match Wires::place(token) {
            Place::Datagrams => self.receive(token, now, wall),
            Place::Listener => {
                self.accept(token, now);
                0
            }
            Place::Stream => self.read(token, now, wall),
        }
    }

    /// Takes the streams that wait.
    fn accept(&mut self, token: Token, now: Instant) {
        let mut errors = 0;
        while errors < MAX_ERRORS {
            match self.wires.accept(token, now) {
                // Beyond the limit it is closed at once.
                Ok(stream) => _ = self.wires.open(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => errors += 1,
            }
        }
        // Out of files, most likely, and for longer than a moment: those that wait have to, until the next look at
        // the addresses.
    }

    /// Takes messages from a stream until it is empty or its budget is used up; says how many.
    fn read(&mut self, token: Token, now: Instant, wall: UnixSeconds) -> u64 {
        let mut packets = 0;
        let Some(stream) = self.wires.stream(token) else { return 0 };
        if stream.write() == Fate::Over {
            return self.end(token, now);
        }
        for _ in 0..BUDGET {
            let Some(stream) = self.wires.stream(token) else { return packets };
            let five_tuple = stream.five_tuple;
            let mut bytes = match stream.read(&mut self.room) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return packets,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return packets + self.end(token, now),
            };
            loop {
                let Ok(length) = message_len(bytes) else { return packets + self.end(token, now) };
                let Some((message, rest)) = length.and_then(|length| bytes.split_at_checked(length)) else {
                    break;
                };
                packets += 1;
                if let Some(forward) = self.server.handle_client_input(message, five_tuple, now, wall) {
                    self.wires.forward(&forward, message);
                }
                drain(&mut self.server, &mut self.wires, now);
                bytes = rest;
            }
            if let Some(stream) = self.wires.stream(token) {
                stream.keep(bytes);
            }
        }
        self.ready.push_back(token);
        packets
    }

    /// Closes a stream and frees what its client had; no packet came of that.
    fn end(&mut self, token: Token, now: Instant) -> u64 {
        if let Some(five_tuple) = self.wires.close(token) {
            self.server.handle_closed(five_tuple);
            drain(&mut self.server, &mut self.wires, now);
        }
        0
    }

    /// Closes streams that nobody uses.
    fn close_unused(&mut self, now: Instant) {
        let mut unused = Vec::new();
        for (token, stream) in self.wires.streams() {
            if self.server.has_allocation(&stream.five_tuple, now) {
                stream.unused_since = now;
            } else if now.saturating_duration_since(stream.unused_since) >= UNUSED {
                unused.push(token);
            }
        }
        for token in unused {
            self.end(token, now);
        }
    }

    /// Takes datagrams from the socket of `token` until it is empty or its budget is used up; says how many.
    fn receive(&mut self, token: Token, now: Instant, wall: UnixSeconds) -> u64 {
        let (mut errors, mut packets) = (0, 0);
        for _ in 0..BUDGET {
            let Some((source, port)) = self.wires.port(token) else { return packets };
            let more = match self.inbound.fill(port) {
                Ok(more) => more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return packets,
                // An error of an earlier datagram concerns nobody else; a socket that gives nothing else is left.
                Err(_) if errors < MAX_ERRORS => {
                    errors += 1;
                    continue;
                }
                Err(_) => return packets,
            };
            for (bytes, from) in self.inbound.datagrams() {
                packets += 1;
                let forward = match source {
                    Source::Client(server) => {
                        self.server.handle_client_input(bytes, FiveTuple::udp(from, server), now, wall)
                    }
                    Source::Peer(relay) => self.server.handle_peer_input(bytes, from, relay, now),
                };
                if let Some(forward) = forward {
                    self.wires.forward(&forward, bytes);
                }
                drain(&mut self.server, &mut self.wires, now);
            }
            if !more {
                return packets;
            }
        }
        self.ready.push_back(token);
        self.behind = true;
        packets
    }

    /// Does what the machine wants done.
    fn drain(&mut self, now: Instant) {
        drain(&mut self.server, &mut self.wires, now);
    }

    /// Binds addresses that have come, closes those that have gone, and tells the machine.
    fn follow_addresses(&mut self) -> Result<(), TurnError> {
        let first_time = self.rescan_at.is_none();
        self.rescan_at = Some(self.now() + RESCAN);
        self.close_unused(self.now());
        self.ready.extend(self.wires.listeners());
        let local = addresses::local()?;
        let wanted = wanted(&self.config.listen, &local);
        self.wires.keep_listening(|address| wanted.iter().any(|(wanted, _)| *wanted == address));
        for (address, named) in wanted {
            if self.wires.listens_at(address) {
                continue;
            }
            match self.wires.listen(address) {
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

/// Does what the machine wants done.
fn drain(server: &mut Server<OsRng>, wires: &mut Wires, now: Instant) {
    loop {
        while let Some(transmit) = server.poll_transmit() {
            wires.answer(transmit.five_tuple, transmit.reply.as_bytes());
        }
        while let Some(five_tuple) = wires.poll_broken() {
            server.handle_closed(five_tuple);
        }
        let Some(effect) = server.poll_effect() else { return };
        match effect {
            Effect::Bind { relay, address } => {
                let bound = wires.bind_relay(relay, *address.expose());
                server.handle_bound(relay, bound.map_err(|error| sockets::relay_error(&error)), now);
            }
            Effect::Free { relay } => wires.free_relay(relay),
        }
    }
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
