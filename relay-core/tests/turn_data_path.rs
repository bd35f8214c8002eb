//! The promise of the data path: a packet that passes through the TURN server allocates nothing.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use core::net::SocketAddr;
use core::time::Duration;
use std::alloc::System;

use base::{Instant, UnixSeconds};
use relay_core::turn::fuzzing::FixedRng;
use relay_core::turn::{
    Account, Config, CredentialSecret, Credentials, Effect, FiveTuple, Forward, MAX_DATAGRAM, MAX_GROWTH,
    RelayId, Server,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use stun_types::attribute::{Nonce, Realm, Username};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageWrite, MessageWriteExt,
    MessageWriteVec, Method,
};
use turn_types::attribute::{ChannelNumber, Data, RequestedTransport, XorPeerAddress};
use turn_types::message::{ALLOCATE, CHANNEL_BIND, SEND};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const NOW: Instant = Instant::from_millis(1000);
const WALL: UnixSeconds = UnixSeconds(1_800_000_000);
const PACKETS: usize = 1000;

fn address(text: &str) -> SocketAddr {
    text.parse().expect("tests write addresses well")
}

fn five_tuple() -> FiveTuple {
    FiveTuple::udp(address("10.0.0.2:5000"), address("10.0.0.1:3478"))
}

/// One request; what is answered, and the socket that was bound for it.
fn give(server: &mut Server<FixedRng>, bytes: &[u8]) -> (Vec<u8>, Option<RelayId>) {
    server.handle_client_input(bytes, five_tuple(), NOW, WALL);
    let mut bound = None;
    while let Some(effect) = server.poll_effect() {
        if let Effect::Bind { relay, .. } = effect {
            server.handle_bound(relay, Ok(()), NOW);
            bound = Some(relay);
        }
    }
    (server.poll_transmit().expect("an answer").reply.as_bytes().to_vec(), bound)
}

/// A server with one allocation, on which channel 0x4000 is bound to one peer and another peer is permitted.
fn prepared() -> (Server<FixedRng>, RelayId) {
    let secret = CredentialSecret::from_bytes(b"secret");
    let account = Account::random(&mut FixedRng(3));
    let minted =
        Credentials::new(secret.clone()).mint(&account, Duration::from_secs(60), WALL, &mut FixedRng(1));
    let mut server = Server::new(Config::default(), secret, FixedRng(2));
    let (challenge, _) =
        give(&mut server, &Message::builder_request(ALLOCATE, MessageWriteVec::new()).finish());
    let challenge = Message::from_bytes(&challenge).unwrap();
    let realm = challenge.attribute::<Realm>().unwrap();
    let nonce = challenge.attribute::<Nonce>().unwrap();
    let key = LongTermKeyCredentials::new(
        minted.username.clone(),
        minted.password.clone(),
        realm.realm().to_owned(),
    );
    let mut ask = |method: Method, make: &dyn Fn(&mut MessageWriteVec)| {
        let mut message = Message::builder_request(method, MessageWriteVec::new());
        make(&mut message);
        message.add_attribute(&Username::new(&minted.username).unwrap()).unwrap();
        message.add_attribute(&realm).unwrap();
        message.add_attribute(&nonce).unwrap();
        message.add_message_integrity(&key.clone().into(), IntegrityAlgorithm::Sha1).unwrap();
        give(&mut server, &message.finish()).1
    };
    let relay = ask(ALLOCATE, &|message| {
        message.add_attribute(&RequestedTransport::new(RequestedTransport::UDP)).unwrap();
    });
    for (number, peer) in [(0x4000, "10.0.0.3:6000"), (0x4001, "10.0.0.3:6001")] {
        ask(CHANNEL_BIND, &|message| {
            message.add_attribute(&ChannelNumber::new(number)).unwrap();
            message.add_attribute(&XorPeerAddress::new(address(peer), message.transaction_id())).unwrap();
        });
    }
    (server, relay.expect("a socket was bound"))
}

/// As the driver makes the datagram to send; whether there is one.
fn write(forward: Option<Forward>, received: &[u8], buffer: &mut Vec<u8>) -> bool {
    buffer.clear();
    forward.is_some_and(|forward| {
        forward.append_to(received, buffer);
        !buffer.is_empty()
    })
}

// One test, so that no other thread allocates meanwhile.
#[test]
fn a_data_packet_allocates_nothing_in_either_direction() {
    let (mut server, relay) = prepared();
    let five_tuple = five_tuple();
    let mut send = Message::builder_indication(SEND, MessageWriteVec::new());
    send.add_attribute(&XorPeerAddress::new(address("10.0.0.3:7000"), send.transaction_id())).unwrap();
    send.add_attribute(&Data::new(&[7; 1001])).unwrap();
    let send = send.finish();
    let mut channel_data = vec![0x40, 0x00, 0x03, 0xE8];
    channel_data.resize(1004, 7);
    let binding = Message::builder_request(BINDING, MessageWriteVec::new()).finish();
    // The queue of answers takes its room once.
    server.handle_client_input(&binding, five_tuple, NOW, WALL);
    while server.poll_transmit().is_some() {}

    let mut buffer = Vec::with_capacity(MAX_DATAGRAM + MAX_GROWTH);
    let mut check = |what: &str, run: &mut dyn FnMut(&mut Vec<u8>) -> bool| {
        let region = Region::new(ALLOCATOR);
        let passed = (0..PACKETS).filter(|_| run(&mut buffer)).count();
        let change = region.change();
        assert_eq!(passed, PACKETS, "{what} passes");
        assert_eq!((change.allocations, change.reallocations), (0, 0), "{what} allocates nothing");
    };
    check("ChannelData from the client", &mut |buffer| {
        let forward = server.handle_client_input(&channel_data, five_tuple, NOW, WALL);
        write(forward, &channel_data, buffer)
    });
    check("a Send indication", &mut |buffer| {
        let forward = server.handle_client_input(&send, five_tuple, NOW, WALL);
        write(forward, &send, buffer)
    });
    let data = [7; 1001];
    check("a datagram for a channel", &mut |buffer| {
        let forward = server.handle_peer_input(&data, address("10.0.0.3:6000"), relay, NOW);
        write(forward, &data, buffer)
    });
    check("a datagram for a Data indication", &mut |buffer| {
        let forward = server.handle_peer_input(&data, address("10.0.0.3:7000"), relay, NOW);
        write(forward, &data, buffer)
    });
    check("a Binding request", &mut |_| {
        server.handle_client_input(&binding, five_tuple, NOW, WALL);
        server.poll_transmit().is_some()
    });
}
