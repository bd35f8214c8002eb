//! A client made of another codec's parts (`stun-types` signs and parses for it), a server, and a clock that is
//! moved by hand.

mod allocations;
mod authentication;
mod channels;
mod data;
mod fairness;
mod limits;
mod permissions;

use core::net::SocketAddr;
use core::time::Duration;

use base::{Instant, UnixSeconds};
use stun_types::attribute::{
    Attribute as _, AttributeFromRaw, AttributeStaticType, AttributeWrite, ErrorCode, Nonce,
    PasswordAlgorithm, PasswordAlgorithmValue, PasswordAlgorithms, Realm, Username,
};
use stun_types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass, MessageWrite, MessageWriteExt,
    MessageWriteVec, Method,
};
use turn_types::attribute::{Lifetime, RequestedTransport, XorPeerAddress, XorRelayedAddress};
use turn_types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH, SEND};

use super::fuzzing::FixedRng;
use super::*;

const WALL: UnixSeconds = UnixSeconds(1_800_000_000);
const BOX_V4: &str = "10.0.0.1:3478";
const BOX_V6: &str = "[fd00::1]:3478";
const PHONE: &str = "10.0.0.2:5000";
const PEER: &str = "10.0.0.3:6000";
const PEER_V6: &str = "[fd00::3]:6000";

fn address(text: &str) -> SocketAddr {
    text.parse().expect("tests write addresses well")
}

fn secret() -> CredentialSecret {
    CredentialSecret::from_bytes(b"the secret of this box")
}

fn config() -> Config {
    let [v4, v6] = [BOX_V4, BOX_V6].map(|text| address(text).ip());
    Config {
        addresses: RelayAddresses { other_family: vec![(v4, v6), (v6, v4)], ..RelayAddresses::default() },
        peers: PeerPolicy { own: vec![v4, v6], ..PeerPolicy::default() },
        ..Config::default()
    }
}

/// A server and what its driver knows.
struct World {
    server: Server<FixedRng>,
    now: Instant,
    wall: UnixSeconds,
    /// Sockets that the driver has bound.
    bound: Vec<(RelayId, SocketAddr)>,
    /// What the driver answers to Bind.
    bind: fn(SocketAddr) -> Result<(), BindError>,
}

impl World {
    fn new() -> Self {
        Self::with(config())
    }

    fn with(config: Config) -> Self {
        Self {
            server: Server::new(config, secret(), FixedRng(7)),
            now: Instant::from_millis(1_000_000),
            wall: WALL,
            bound: Vec::new(),
            bind: |_| Ok(()),
        }
    }

    /// Gives one datagram of a client to the server, and drains.
    fn client(&mut self, bytes: &[u8], five_tuple: FiveTuple) -> (Option<Forward>, Vec<Vec<u8>>) {
        let forward = self.server.handle_client_input(bytes, five_tuple, self.now, self.wall);
        (forward, self.drain())
    }

    fn drain(&mut self) -> Vec<Vec<u8>> {
        while let Some(effect) = self.server.poll_effect() {
            match effect {
                Effect::Bind { relay, address } => {
                    let result = (self.bind)(*address.expose());
                    if result.is_ok() {
                        self.bound.push((relay, *address.expose()));
                    }
                    self.server.handle_bound(relay, result, self.now);
                }
                Effect::Free { relay } => {
                    let before = self.bound.len();
                    self.bound.retain(|(bound, _)| *bound != relay);
                    assert_eq!(self.bound.len() + 1, before, "only what is bound is freed");
                }
            }
        }
        core::iter::from_fn(|| self.server.poll_transmit()).map(|one| one.reply.as_bytes().to_vec()).collect()
    }

    fn advance(&mut self, by: Duration) {
        self.now = self.now + by;
        self.wall = self.wall.plus(by);
        self.server.handle_timeout(self.now);
        assert!(self.drain().is_empty(), "time alone sends nothing");
    }

    /// The socket that an address belongs to.
    fn relay_at(&self, address: SocketAddr) -> RelayId {
        self.bound.iter().find(|(_, bound)| *bound == address).map(|(relay, _)| *relay).expect("it is bound")
    }

    /// A datagram from a peer to a relayed address; what the client then receives.
    fn peer(&mut self, bytes: &[u8], peer: SocketAddr, relayed: SocketAddr) -> Option<Vec<u8>> {
        let relay = self.relay_at(relayed);
        let forward = self.server.handle_peer_input(bytes, peer, relay, self.now)?;
        assert!(matches!(forward.out, Out::Server(_)));
        Some(written(bytes, &forward))
    }
}

/// The datagram that a driver would send.
fn written(received: &[u8], forward: &Forward) -> Vec<u8> {
    let mut sent = Vec::new();
    forward.append_to(received, &mut sent);
    assert_eq!(sent.len(), forward.len());
    sent
}

/// A client with a credential.
#[derive(Clone)]
struct Client {
    five_tuple: FiveTuple,
    username: String,
    password: String,
    realm: String,
    nonce: String,
    algorithms: Option<PasswordAlgorithmValue>,
    transaction: u128,
}

impl Client {
    fn new(world: &mut World, from: &str) -> Self {
        Self::to(world, from, BOX_V4)
    }

    /// Has a credential and a nonce.
    fn to(world: &mut World, from: &str, server: &str) -> Self {
        let account = Account::random(&mut FixedRng(2));
        let minted = Credentials::new(secret()).mint(
            &account,
            Duration::from_secs(3600),
            world.wall,
            &mut FixedRng(3),
        );
        let mut client = Self {
            five_tuple: FiveTuple::udp(address(from), address(server)),
            username: minted.username.clone(),
            password: minted.password.clone(),
            realm: String::new(),
            nonce: String::new(),
            algorithms: None,
            transaction: 1,
        };
        let challenge = client.ask_unsigned(world, ALLOCATE, &[]);
        client.take_challenge(&challenge);
        client
    }

    fn take_challenge(&mut self, reply: &[u8]) {
        let message = Message::from_bytes(reply).unwrap();
        self.realm = message.attribute::<Realm>().unwrap().realm().to_owned();
        self.nonce = message.attribute::<Nonce>().unwrap().nonce().to_owned();
    }

    fn named(mut self, username: &str) -> Self {
        self.username = username.to_owned();
        self.password = Credentials::new(secret()).password(username).to_string();
        self
    }

    /// Has another credential: one of `account`, and each `number` another one.
    fn minted_for(mut self, account: &Account, number: u64) -> Self {
        let minted = Credentials::new(secret()).mint(
            account,
            Duration::from_secs(3600),
            WALL,
            &mut FixedRng(100 + number),
        );
        self.username.clone_from(&minted.username);
        self.password.clone_from(&minted.password);
        self
    }

    fn build(&mut self, method: Method, attributes: &[&dyn AttributeWrite]) -> MessageWriteVec {
        let mut message = Message::builder_request(method, MessageWriteVec::new());
        for attribute in attributes {
            message.add_attribute(*attribute).unwrap();
        }
        self.transaction += 1;
        message.mut_data()[8..20].copy_from_slice(&self.transaction.to_be_bytes()[4..]);
        message
    }

    /// A signed request, as bytes.
    fn request(&mut self, method: Method, attributes: &[&dyn AttributeWrite]) -> Vec<u8> {
        let mut message = self.build(method, attributes);
        message.add_attribute(&Username::new(&self.username).unwrap()).unwrap();
        message.add_attribute(&Realm::new(&self.realm).unwrap()).unwrap();
        message.add_attribute(&Nonce::new(&self.nonce).unwrap()).unwrap();
        if let Some(algorithm) = self.algorithms {
            let offered = [PasswordAlgorithmValue::SHA256, PasswordAlgorithmValue::MD5];
            message.add_attribute(&PasswordAlgorithms::new(&offered)).unwrap();
            message.add_attribute(&PasswordAlgorithm::new(algorithm)).unwrap();
        }
        message.add_message_integrity(&self.key().into(), self.integrity()).unwrap();
        message.finish()
    }

    fn key(&self) -> LongTermKeyCredentials {
        LongTermKeyCredentials::new(self.username.clone(), self.password.clone(), self.realm.clone())
    }

    fn integrity(&self) -> IntegrityAlgorithm {
        match self.algorithms {
            Some(PasswordAlgorithmValue::SHA256) => IntegrityAlgorithm::Sha256,
            Some(_) | None => IntegrityAlgorithm::Sha1,
        }
    }

    fn ask_unsigned(
        &mut self,
        world: &mut World,
        method: Method,
        attributes: &[&dyn AttributeWrite],
    ) -> Vec<u8> {
        let request = self.build(method, attributes).finish();
        let (forward, replies) = world.client(&request, self.five_tuple);
        assert!(forward.is_none());
        let [reply] = <[Vec<u8>; 1]>::try_from(replies).expect("one answer");
        reply
    }

    /// Sends a signed request; the answer is signed as well, unless it is a challenge.
    fn ask(&mut self, world: &mut World, method: Method, attributes: &[&dyn AttributeWrite]) -> Vec<u8> {
        let request = self.request(method, attributes);
        self.exchange(world, &request)
    }

    fn exchange(&mut self, world: &mut World, request: &[u8]) -> Vec<u8> {
        let (forward, replies) = world.client(request, self.five_tuple);
        assert!(forward.is_none());
        let [reply] = <[Vec<u8>; 1]>::try_from(replies).expect("one answer");
        let message = Message::from_bytes(&reply).unwrap();
        assert_eq!(message.transaction_id(), Message::from_bytes(request).unwrap().transaction_id());
        if !matches!(code(&reply), Some(400 | 401 | 438)) {
            message.validate_integrity(&self.key().into()).expect("the answer is signed");
        }
        reply
    }

    fn allocate(&mut self, world: &mut World) -> SocketAddr {
        self.allocate_with(world, &[])
    }

    /// Makes an allocation; its (first) relayed address.
    fn allocate_with(&mut self, world: &mut World, attributes: &[&dyn AttributeWrite]) -> SocketAddr {
        let transport = RequestedTransport::new(RequestedTransport::UDP);
        let mut all: Vec<&dyn AttributeWrite> = vec![&transport];
        all.extend_from_slice(attributes);
        let reply = self.ask(world, ALLOCATE, &all);
        assert_eq!(code(&reply), None);
        relayed(&reply)[0]
    }

    fn refresh(&mut self, world: &mut World, seconds: u32) -> Vec<u8> {
        self.ask(world, REFRESH, &[&Lifetime::new(seconds)])
    }

    fn permit(&mut self, world: &mut World, peers: &[SocketAddr]) -> Vec<u8> {
        let transaction = (self.transaction + 1).into();
        let peers: Vec<XorPeerAddress> =
            peers.iter().map(|peer| XorPeerAddress::new(*peer, transaction)).collect();
        let mut attributes: Vec<&dyn AttributeWrite> = Vec::new();
        for peer in &peers {
            attributes.push(peer);
        }
        self.ask(world, CREATE_PERMISSION, &attributes)
    }

    fn bind(&mut self, world: &mut World, number: u16, peer: SocketAddr) -> Vec<u8> {
        let peer = XorPeerAddress::new(peer, (self.transaction + 1).into());
        self.ask(world, CHANNEL_BIND, &[&turn_types::attribute::ChannelNumber::new(number), &peer])
    }

    /// A Send indication: what the peer receives, if anything.
    fn send(&mut self, world: &mut World, peer: SocketAddr, data: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
        let mut message = Message::builder_indication(SEND, MessageWriteVec::new());
        let transaction = message.transaction_id();
        message.add_attribute(&XorPeerAddress::new(peer, transaction)).unwrap();
        message.add_attribute(&turn_types::attribute::Data::new(data)).unwrap();
        self.data(world, &message.finish())
    }

    /// Sends data to the relayed address of another client; whom it is for.
    fn hand_over(&mut self, world: &mut World, peer: SocketAddr, data: &[u8]) -> Option<FiveTuple> {
        let mut message = Message::builder_indication(SEND, MessageWriteVec::new());
        let transaction = message.transaction_id();
        message.add_attribute(&XorPeerAddress::new(peer, transaction)).unwrap();
        message.add_attribute(&turn_types::attribute::Data::new(data)).unwrap();
        match world.client(&message.finish(), self.five_tuple).0?.out {
            Out::Server(five_tuple) => Some(five_tuple),
            Out::Relay(_) => None,
        }
    }

    fn channel_data(&mut self, world: &mut World, number: u16, data: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
        let mut bytes = number.to_be_bytes().to_vec();
        bytes.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(data);
        self.data(world, &bytes)
    }

    fn data(&mut self, world: &mut World, bytes: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
        let (forward, replies) = world.client(bytes, self.five_tuple);
        assert!(replies.is_empty(), "data is never answered");
        let forward = forward?;
        assert!(
            matches!(forward.out, Out::Relay(relay) if world.bound.iter().any(|(bound, _)| *bound == relay))
        );
        Some((*forward.to.expose(), written(bytes, &forward)))
    }
}

/// The error code of an answer; nothing for a success.
fn code(reply: &[u8]) -> Option<u16> {
    let message = Message::from_bytes(reply).unwrap();
    match message.class() {
        MessageClass::Success => None,
        MessageClass::Error => Some(message.attribute::<ErrorCode>().unwrap().code()),
        MessageClass::Request | MessageClass::Indication => panic!("not an answer"),
    }
}

/// All relayed addresses in an answer.
fn relayed(reply: &[u8]) -> Vec<SocketAddr> {
    let message = Message::from_bytes(reply).unwrap();
    let transaction = message.transaction_id();
    message
        .iter_attributes()
        .filter(|(_, attribute)| attribute.get_type() == XorRelayedAddress::TYPE)
        .map(|(_, attribute)| XorRelayedAddress::from_raw(attribute).unwrap().addr(transaction))
        .collect()
}

fn lifetime(reply: &[u8]) -> u32 {
    Message::from_bytes(reply).unwrap().attribute::<Lifetime>().unwrap().seconds()
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Anything in a message that is not meant for it.
fn unknown(kind: u16) -> stun_types::attribute::RawAttribute<'static> {
    stun_types::attribute::RawAttribute::new(kind.into(), &[0, 0, 0, 0])
}
