//! RFC 8656, section 11: Send and Data indications.

use turn_types::attribute::{Data, DontFragment};

use super::*;

fn world() -> (World, Client, SocketAddr, SocketAddr) {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    let additional = turn_types::attribute::AdditionalAddressFamily::new(turn_types::AddressFamily::IPV6);
    let v4 = client.allocate_with(&mut world, &[&additional]);
    let v6 = world.bound.iter().map(|(_, address)| *address).find(SocketAddr::is_ipv6).unwrap();
    client.permit(&mut world, &[address(PEER), address(PEER_V6)]);
    (world, client, v4, v6)
}

#[test]
fn a_send_indication_becomes_a_bare_datagram() {
    let (mut world, mut client, _, _) = world();
    for length in 0..9 {
        let data = vec![7; length];
        assert_eq!(client.send(&mut world, address(PEER), &data), Some((address(PEER), data.clone())));
        assert_eq!(client.send(&mut world, address(PEER_V6), &data), Some((address(PEER_V6), data)));
    }
}

// RFC 8656, 11.3: XOR-PEER-ADDRESS and DATA, padded, readable by another codec.
#[test]
fn a_datagram_of_a_peer_becomes_a_data_indication() {
    let (mut world, _, v4, v6) = world();
    for length in 0..9 {
        let data = vec![7; length];
        for (peer, relayed) in [(address(PEER), v4), (address(PEER_V6), v6)] {
            let indication = world.peer(&data, peer, relayed).unwrap();
            let message = Message::from_bytes(&indication).unwrap();
            assert!(message.has_class(MessageClass::Indication));
            assert_eq!(message.method(), turn_types::message::DATA);
            assert_eq!(message.attribute::<XorPeerAddress>().unwrap().addr(message.transaction_id()), peer);
            assert_eq!(message.attribute::<Data>().unwrap().data(), data);
            assert!(indication.ends_with(&vec![0; length.next_multiple_of(4) - length]));
        }
    }
}

#[test]
fn an_indication_without_peer_or_data_or_with_a_wish_that_is_not_understood_is_dropped() {
    let (mut world, mut client, _, _) = world();
    for missing in 0..4 {
        let mut message = Message::builder_indication(SEND, MessageWriteVec::new());
        let transaction = message.transaction_id();
        if missing != 0 {
            message.add_attribute(&XorPeerAddress::new(address(PEER), transaction)).unwrap();
        }
        if missing != 1 {
            message.add_attribute(&Data::new(b"x")).unwrap();
        }
        match missing {
            2 => message.add_attribute(&DontFragment::new()).unwrap(),
            3 => message.add_attribute(&unknown(0x7000)).unwrap(),
            _ => {}
        }
        assert_eq!(client.data(&mut world, &message.finish()), None);
    }
}

#[test]
fn a_peer_at_a_relayed_address_that_is_gone_reaches_nobody() {
    let (mut world, mut client, v4, _) = world();
    let relay = world.relay_at(v4);
    client.refresh(&mut world, 0);
    assert!(world.server.handle_peer_input(b"x", address(PEER), relay, world.now).is_none());
    // The slot is used again, under another name.
    client.allocate(&mut world);
    client.permit(&mut world, &[address(PEER)]);
    assert!(world.server.handle_peer_input(b"x", address(PEER), relay, world.now).is_none());
}

#[test]
fn data_leaves_from_the_address_that_the_client_has_reached() {
    let (mut world, client, v4, _) = world();
    let relay = world.relay_at(v4);
    let forward = world.server.handle_peer_input(b"x", address(PEER), relay, world.now).unwrap();
    assert_eq!(forward.out, Out::Server(client.five_tuple));
    assert_eq!(*forward.to.expose(), address(PHONE));
}

/// Two phones with an allocation each, and where they can be reached.
fn two_phones(world: &mut World) -> [(Client, SocketAddr); 2] {
    [PHONE, "10.0.0.4:5000"].map(|phone| {
        let mut client = Client::new(world, phone);
        let relayed = client.allocate(world);
        (client, relayed)
    })
}

#[test]
fn data_for_another_client_of_the_box_goes_to_it_at_once() {
    let mut world = World::new();
    let [(mut one, relayed_one), (mut two, relayed_two)] = two_phones(&mut world);
    one.permit(&mut world, &[relayed_two]);
    assert_eq!(code(&one.bind(&mut world, 0x4000, relayed_two)), None);
    let data = [&[0x40, 0, 0, 3][..], b"abc"].concat();

    // The other one has not permitted it.
    assert!(world.client(&data, one.five_tuple).0.is_none());

    two.permit(&mut world, &[relayed_one]);
    let (forward, _) = world.client(&data, one.five_tuple);
    let forward = forward.unwrap();
    assert_eq!(forward.out, Out::Server(two.five_tuple));
    let indication = written(&data, &forward);
    let message = Message::from_bytes(&indication).unwrap();
    assert_eq!(message.attribute::<XorPeerAddress>().unwrap().addr(message.transaction_id()), relayed_one);
    assert_eq!(message.attribute::<Data>().unwrap().data(), b"abc");

    assert_eq!(code(&two.bind(&mut world, 0x4123, relayed_one)), None);
    let (forward, _) = world.client(&data, one.five_tuple);
    assert_eq!(written(&data, &forward.unwrap()), [&[0x41, 0x23, 0, 3][..], b"abc"].concat());

    // A client that is gone is reached by nobody.
    two.refresh(&mut world, 0);
    assert!(
        world
            .client(&data, one.five_tuple)
            .0
            .is_none_or(|forward| forward.out != Out::Server(two.five_tuple))
    );
}

#[test]
fn what_is_neither_stun_nor_channel_data_is_dropped_without_an_answer() {
    let (mut world, client, _, _) = world();
    for bytes in [&[][..], &[0xFF; 40], &[0x80; 40], &[0x16, 3, 3, 0, 0], &[0; 19], &[0; 20]] {
        let (forward, replies) = world.client(bytes, client.five_tuple);
        assert!(forward.is_none() && replies.is_empty());
    }
    let long = vec![0x40; MAX_DATAGRAM + 1];
    assert!(world.client(&long, client.five_tuple).0.is_none());
}

#[test]
fn nothing_identifying_is_printed() {
    let (mut world, client, v4, _) = world();
    let relay = world.relay_at(v4);
    let forward = world.server.handle_peer_input(b"x", address(PEER), relay, world.now).unwrap();
    let printed = format!("{:?} {:?} {:?}", world.server, forward, client.five_tuple);
    assert!(
        !printed.contains("10.0.0") && !printed.contains("5000") && !printed.contains("6000"),
        "{printed}"
    );
}

// RFC 8656, 12.5: over a stream every message is padded, and it ends with the stream.
#[test]
fn over_a_stream_data_is_padded_and_the_allocation_ends_with_it() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    client.five_tuple.transport = Transport::Tcp;
    let relayed = client.allocate(&mut world);
    assert_eq!(code(&client.bind(&mut world, 0x4000, address(PEER))), None);
    for length in 0..9 {
        let sent = world.peer(&vec![7; length], address(PEER), relayed).unwrap();
        assert_eq!(message_len(&sent), Ok(Some(sent.len())));
        assert_eq!(sent.get(..4), Some(&[0x40, 0, 0, u8::try_from(length).unwrap()][..]));
    }
    // The same addresses over UDP are another client.
    let over_udp = FiveTuple { transport: Transport::Udp, ..client.five_tuple };
    world.server.handle_closed(over_udp);
    assert_eq!(world.bound.len(), 1);
    world.server.handle_closed(client.five_tuple);
    assert!(world.drain().is_empty() && world.bound.is_empty());
}
