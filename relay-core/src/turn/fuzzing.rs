//! The bodies of the fuzz targets; not an interface.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use base::{Instant, UnixSeconds};
use rand_core::{CryptoRng, Error, RngCore};
use stun_types::attribute::{AttributeStaticType, Nonce, Realm, Username};

use super::{
    Account, Config, CredentialSecret, Credentials, Effect, FiveTuple, Forward, Load, MAX_GROWTH, Out,
    PeerPolicy, RelayAddresses, RelayId, Server, message_len,
};
use crate::stun::{HashAlgorithm, IntegrityKey, MAX_REPLY, Message, Reply};

/// A generator that always says the same: for fuzz targets and tests only.
#[derive(Clone, Debug)]
pub struct FixedRng(pub u64);

impl RngCore for FixedRng {
    fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        self.0 ^ self.0 >> 29
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        for block in dest.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            block.iter_mut().zip(word).for_each(|(to, from)| *to = from);
        }
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl CryptoRng for FixedRng {}

const WALL: UnixSeconds = UnixSeconds(1_000);
const PEERS: [&str; 3] = ["192.0.2.2:9", "[2001:db8::2]:9", "10.0.0.1:61000"];

/// A client with a good password, a server, and the sockets that it has asked for.
struct World {
    server: Server<FixedRng>,
    five_tuple: FiveTuple,
    now: Instant,
    bound: Vec<RelayId>,
    username: String,
    key: IntegrityKey,
    transaction: u64,
}

impl World {
    fn new() -> Self {
        let secret = CredentialSecret::from_bytes(b"fuzz");
        let account = Account::random(&mut FixedRng(3));
        let minted = Credentials::new(secret.clone()).mint(
            &account,
            Duration::from_secs(100_000),
            WALL,
            &mut FixedRng(1),
        );
        let [v4, v6] = ["10.0.0.1", "fd00::1"].map(str::parse::<IpAddr>);
        let (own, other_family) = match (v4, v6) {
            (Ok(v4), Ok(v6)) => (vec![v4, v6], vec![(v4, v6)]),
            (Ok(_) | Err(_), _) => (Vec::new(), Vec::new()),
        };
        let config = Config {
            addresses: RelayAddresses { other_family, ..RelayAddresses::default() },
            peers: PeerPolicy { own, ..PeerPolicy::default() },
            ..Config::default()
        };
        Self {
            key: IntegrityKey::md5(&minted.username, &config.realm, &minted.password),
            server: Server::new(config, secret, FixedRng(2)),
            five_tuple: FiveTuple::udp(
                SocketAddr::from(([192, 0, 2, 1], 9)),
                SocketAddr::from(([10, 0, 0, 1], 3478)),
            ),
            now: Instant::from_millis(1_000),
            bound: Vec::new(),
            username: minted.username.clone(),
            transaction: 0,
        }
    }

    fn client(&mut self, datagram: &[u8]) {
        let forward = self.server.handle_client_input(datagram, self.five_tuple, self.now, WALL);
        if let Some(forward) = &forward {
            assert!(
                matches!(forward.out, Out::Relay(relay) if self.bound.contains(&relay)),
                "to a socket that is bound"
            );
        }
        check(datagram, forward);
        self.drain();
    }

    fn peer(&mut self, which: usize, datagram: &[u8]) {
        let peer = PEERS.get(which % PEERS.len()).and_then(|peer| peer.parse().ok());
        let (Some(peer), Some(relay)) = (peer, self.bound.get(which % self.bound.len().max(1)).copied())
        else {
            return;
        };
        let forward = self.server.handle_peer_input(datagram, peer, relay, self.now);
        check(datagram, forward);
        self.drain();
    }

    fn wait(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
        // As if the thread had been behind now and then, and a socket full.
        let load = Load { behind: seconds.is_multiple_of(2), blocked: seconds.is_multiple_of(3) };
        self.server.handle_load(load, self.now);
        self.server.handle_timeout(self.now);
        self.drain();
        assert!(self.server.poll_timeout().is_none_or(|at| at > self.now), "what is due is done");
    }

    /// A request that gets past the password: type and attributes from `data`, the rest as it has to be.
    fn signed(&mut self, data: &[u8]) {
        let Some(([k0, k1], mut rest)) = data.split_first_chunk() else { return };
        let nonce = self.nonce();
        let mut request = self.request(u16::from_be_bytes([*k0, *k1]) & 0x000F);
        while let Some(([a0, a1, length], tail)) = rest.split_first_chunk() {
            let (value, tail) = tail.split_at(usize::from(*length).min(tail.len()));
            rest = tail;
            if request.as_bytes().len() + value.len() < MAX_REPLY / 2 {
                request.add_raw(u16::from_be_bytes([*a0, *a1]), value);
            }
        }
        request.add_raw(Username::TYPE.value(), self.username.as_bytes());
        request.add_raw(Realm::TYPE.value(), b"bulle");
        request.add_raw(Nonce::TYPE.value(), &nonce);
        request.sign(&self.key, HashAlgorithm::Sha1);
        self.client(request.as_bytes());
    }

    fn nonce(&mut self) -> Vec<u8> {
        let request = self.request(0x0003);
        self.server.handle_client_input(request.as_bytes(), self.five_tuple, self.now, WALL);
        let reply = self.server.poll_transmit().map(|transmit| transmit.reply);
        let nonce =
            reply.as_ref().and_then(|reply| Message::decode(reply.as_bytes()).ok()?.find(Nonce::TYPE));
        nonce.map(|nonce| nonce.value.to_vec()).unwrap_or_default()
    }

    fn request(&mut self, kind: u16) -> Reply {
        self.transaction += 1;
        let mut transaction = [0; 12];
        transaction.iter_mut().zip(self.transaction.to_le_bytes()).for_each(|(to, from)| *to = from);
        Reply::from_header(kind, transaction, false)
    }

    fn drain(&mut self) {
        while let Some(effect) = self.server.poll_effect() {
            match effect {
                Effect::Bind { relay, .. } => {
                    self.bound.push(relay);
                    self.server.handle_bound(relay, Ok(()), self.now);
                }
                Effect::Free { relay } => {
                    assert!(self.bound.contains(&relay), "only what is bound is freed");
                    self.bound.retain(|bound| *bound != relay);
                }
            }
        }
        while let Some(transmit) = self.server.poll_transmit() {
            assert!(Message::decode(transmit.reply.as_bytes()).is_ok(), "our own answer can be read");
        }
        let allocations = self.server.counters().allocations;
        assert_eq!(allocations == 0, self.bound.is_empty(), "no socket without an allocation");
        assert!(allocations <= 1, "one client, one allocation");
    }
}

/// What a client, a peer and time may do, cut out of `data`: a byte that says what, one that says how long, and so
/// many bytes.
pub fn client_input(data: &[u8]) {
    if let Ok(name) = core::str::from_utf8(data) {
        // Any name is somebody's.
        let _ = Credentials::new(CredentialSecret::from_bytes(b"fuzz")).account(name);
    }
    let mut world = World::new();
    let mut rest = data;
    while let Some(([what, length], tail)) = rest.split_first_chunk() {
        let (datagram, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        match what % 4 {
            0 => world.client(datagram),
            1 => world.signed(datagram),
            2 => world.peer(usize::from(what / 4), datagram),
            _ => world.wait(u64::from(*length)),
        }
    }
}

/// Any datagram from a peer, at an allocation that does not exist, and as the data of a Forward.
pub fn peer_input(data: &[u8]) {
    let mut world = World::new();
    let peer = SocketAddr::from(([192, 0, 2, 2], 9));
    let relay =
        RelayId { allocation: super::AllocationId { slot: 0, generation: 0 }, family: super::Family::V4 };
    assert!(world.server.handle_peer_input(data, peer, relay, Instant::ZERO).is_none(), "nobody is there");
    let transaction = crate::stun::TransactionId([7; 12]);
    check(data, Forward::data_indication(world.five_tuple, peer, transaction, 0..data.len()));
    if let Some(number) = super::ChannelNumber::new(0x4000) {
        check(data, Forward::channel_data(world.five_tuple, number, 0..data.len()));
    }
}

/// Whatever a stream carries, it is cut into whole messages that the server can look at, or it ends.
pub fn stream(data: &[u8]) {
    let mut world = World::new();
    world.five_tuple.transport = super::Transport::Tcp;
    let mut rest = data;
    while let Ok(Some(length)) = message_len(rest) {
        assert!((4..=super::MAX_DATAGRAM).contains(&length) && length.is_multiple_of(4));
        let Some((message, next)) = rest.split_at_checked(length) else { break };
        let forward = world.server.handle_client_input(message, world.five_tuple, world.now, WALL);
        check(message, forward);
        while let Some(transmit) = world.server.poll_transmit() {
            // What is sent on the stream can be told apart by whoever reads it.
            let reply = transmit.reply.as_bytes();
            assert_eq!(message_len(reply), Ok(Some(reply.len())));
        }
        rest = next;
    }
    world.server.handle_closed(world.five_tuple);
}

/// What is forwarded can be written, and is no longer than said.
fn check(datagram: &[u8], forward: Option<Forward>) {
    let Some(forward) = forward else { return };
    let mut sent = Vec::new();
    forward.append_to(datagram, &mut sent);
    assert_eq!(sent.len(), forward.len());
    assert!(sent.len() <= datagram.len() + MAX_GROWTH);
}
