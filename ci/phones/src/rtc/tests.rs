//! Two connections, and a TURN server of another implementation between them; time is moved by hand.

use std::collections::BTreeMap;

use stun_proto::agent::Transmit;
use stun_proto::types::TransportType;
use turn_client_proto::prelude::DelayedTransmitBuild as _;
use turn_server_proto::api::{TurnServerApi as _, TurnServerPollRet};
use turn_server_proto::server::TurnServer;

use super::*;

const SERVER: &str = "192.0.2.1:3478";
const LATENCY: Duration = Duration::from_millis(1);

/// A network where every datagram takes a millisecond.
struct World {
    now: Instant,
    peers: [Peer; 2],
    server: TurnServer,
    next_port: u16,
    /// By arrival and number: from, to, bytes.
    flying: BTreeMap<(Instant, u64), (SocketAddr, SocketAddr, Vec<u8>)>,
    sent: u64,
    heard: [Vec<Vec<u8>>; 2],
    opened: [Option<Path>; 2],
    ended: [bool; 2],
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn theirs(at: Instant) -> stun_proto::Instant {
    stun_proto::Instant::from_nanos(i64::try_from(at.as_micros() * 1000).unwrap())
}

impl World {
    fn new(policies: [Policy; 2]) -> Self {
        let clock = Clock::start();
        let now = Instant::from_millis(10);
        let mut server = TurnServer::new(TransportType::Udp, address(SERVER), "bubble".into());
        server.add_user("user".into(), "password".into());
        let peer = |index: u8, policy| {
            let setup = Setup {
                local: SocketAddr::from(([192, 0, 2, 11 + index], 5000)),
                server: Some(address(SERVER)),
                credentials: Some(("user".into(), "password".into())),
                policy,
                polite: index == 1,
            };
            Peer::new(setup, [index; 12], clock, now)
        };
        Self {
            now,
            peers: [peer(0, policies[0]), peer(1, policies[1])],
            server,
            next_port: 50_000,
            flying: BTreeMap::new(),
            sent: 0,
            heard: [Vec::new(), Vec::new()],
            opened: [None, None],
            ended: [false, false],
        }
    }

    fn put(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        self.sent += 1;
        self.flying.insert((self.now + LATENCY, self.sent), (from, to, bytes));
    }

    /// Moves time to the next thing that happens, until `done` or the limit.
    fn run(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) {
        let end = self.now + limit;
        loop {
            self.drain();
            if done(self) {
                return;
            }
            let next = self
                .flying
                .keys()
                .map(|(at, _)| *at)
                .next()
                .into_iter()
                .chain(self.peers.iter().filter_map(Peer::poll_timeout))
                .min()
                .unwrap_or(end);
            assert!(next < end, "not done within the limit");
            self.now = self.now.max(next);
            while let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (from, to, bytes) = entry.remove();
                self.arrive(from, to, &bytes);
            }
            for peer in &mut self.peers {
                peer.handle_timeout(self.now);
            }
        }
    }

    fn arrive(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.setup.local == to) {
            return peer.handle_datagram(from, bytes, self.now);
        }
        let datagram = Transmit::new(bytes, TransportType::Udp, from, to);
        if let Some(reply) = self.server.recv(datagram, theirs(self.now)) {
            // turn-server-proto 0.7.3 addresses its Binding responses to itself.
            let to = if reply.to == address(SERVER) { from } else { reply.to };
            self.put(reply.from, to, reply.data.build());
        }
    }

    fn drain(&mut self) {
        loop {
            let before = (self.sent, self.heard.clone(), self.opened);
            for index in 0..2 {
                while let Some((to, bytes)) = self.peers[index].poll_transmit() {
                    let from = self.peers[index].setup.local;
                    self.put(from, to, bytes);
                }
                while let Some(event) = self.peers[index].poll_event() {
                    match event {
                        PeerEvent::Signal(signal) => self.peers[1 - index].handle_signal(&signal, self.now),
                        PeerEvent::Open(path) | PeerEvent::Path(path) => self.opened[index] = Some(path),
                        PeerEvent::Data(bytes) => self.heard[index].push(bytes),
                        PeerEvent::Closed => self.ended[index] = true,
                    }
                }
            }
            while let TurnServerPollRet::AllocateSocket {
                transport,
                listen_addr,
                client_addr,
                allocation_transport,
                family,
            } = self.server.poll(theirs(self.now))
            {
                self.next_port += 1;
                let relayed = SocketAddr::new(address(SERVER).ip(), self.next_port);
                let at = theirs(self.now);
                self.server.allocated_socket(
                    transport,
                    listen_addr,
                    client_addr,
                    allocation_transport,
                    family,
                    Ok(relayed),
                    at,
                );
            }
            while let Some(transmit) = self.server.poll_transmit(theirs(self.now)) {
                self.put(transmit.from, transmit.to, transmit.data);
            }
            if before == (self.sent, self.heard.clone(), self.opened) {
                return;
            }
        }
    }

    fn connect(&mut self) {
        self.run(Duration::from_secs(5), |world| world.opened.iter().all(Option::is_some));
    }

    fn exchange(&mut self, count: u32) {
        for number in 0..count {
            for peer in &mut self.peers {
                assert!(peer.send(number.to_be_bytes().to_vec(), self.now));
            }
        }
        let all: Vec<Vec<u8>> = (0..count).map(|number| number.to_be_bytes().to_vec()).collect();
        self.run(Duration::from_secs(5), |world| world.heard.iter().all(|heard| heard.len() >= all.len()));
        assert_eq!(self.heard, [all.clone(), all]);
    }
}

#[test]
fn two_phones_on_one_network_talk_directly() {
    let mut world = World::new([Policy::Direct, Policy::Direct]);
    world.connect();
    assert_eq!(world.opened, [Some(Path::Direct), Some(Path::Direct)]);
    world.exchange(100);
}

#[test]
fn stun_tells_a_phone_its_own_address() {
    let mut world = World::new([Policy::Direct, Policy::Direct]);
    world.connect();
    world.run(Duration::from_secs(3), |world| world.peers.iter().all(|peer| peer.mapped().is_some()));
    assert_eq!(world.peers[0].mapped(), Some(world.peers[0].setup.local));
}

#[test]
fn two_phones_that_are_kept_apart_talk_through_turn() {
    let mut world = World::new([Policy::Relay, Policy::Relay]);
    world.connect();
    assert_eq!(world.opened, [Some(Path::Relayed), Some(Path::Relayed)]);
    world.exchange(100);
}

#[test]
fn one_relayed_side_makes_the_path_relayed_for_both() {
    let mut world = World::new([Policy::Direct, Policy::Relay]);
    world.connect();
    assert_eq!(world.opened, [Some(Path::Relayed), Some(Path::Relayed)]);
    world.exchange(3);
}

#[test]
fn closing_ends_the_other_side_too() {
    let mut world = World::new([Policy::Direct, Policy::Direct]);
    world.connect();
    let now = world.now;
    world.peers[0].close(now);
    world.run(Duration::from_secs(5), |world| world.ended[1]);
}

#[test]
fn what_cannot_be_read_is_no_end_of_anything() {
    let mut world = World::new([Policy::Direct, Policy::Direct]);
    let now = world.now;
    let from = address(SERVER);
    for junk in [&b""[..], b"\x00", b"\x16\xfe\xfd", &[0x80; 40], &[0; 1500]] {
        world.peers[0].handle_datagram(from, junk, now);
    }
    let candidate = "candidate:1 1 udp 1 0b5dd5a4-0000.local 9 typ host".into();
    world.peers[0].handle_signal(&Signal::Candidate { candidate, mid: None, index: Some(0) }, now);
    world.connect();
    world.exchange(1);
}
