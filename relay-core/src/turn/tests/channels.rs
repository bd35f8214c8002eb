//! RFC 8656, section 12: channels.

use super::*;

fn world() -> (World, Client, SocketAddr) {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    let relayed = client.allocate_with(&mut world, &[&Lifetime::new(3600)]);
    (world, client, relayed)
}

// RFC 8656, 12.2: binding makes a permission as well.
#[test]
fn a_channel_carries_data_both_ways() {
    let (mut world, mut client, relayed) = world();
    assert_eq!(code(&client.bind(&mut world, 0x4000, address(PEER))), None);
    assert_eq!(client.channel_data(&mut world, 0x4000, b"hello"), Some((address(PEER), b"hello".to_vec())));
    assert_eq!(world.peer(b"world", address(PEER), relayed), Some(b"\x40\x00\x00\x05world".to_vec()));
    assert!(client.send(&mut world, address("10.0.0.3:1"), b"x").is_some());
}

// RFC 8656, 12.2: number out of range, bound to another peer, peer bound to another number: 400.
#[test]
fn a_channel_belongs_to_one_peer_and_a_peer_to_one_channel() {
    let (mut world, mut client, _) = world();
    let other = address("10.0.0.3:6001");
    assert_eq!(code(&client.bind(&mut world, 0x4000, address(PEER))), None);
    assert_eq!(code(&client.bind(&mut world, 0x4000, other)), Some(400));
    assert_eq!(code(&client.bind(&mut world, 0x4001, address(PEER))), Some(400));
    assert_eq!(code(&client.bind(&mut world, 0x4001, other)), None);
    assert_eq!(code(&client.bind(&mut world, 0x4000, address(PEER))), None);
    for number in [0, 0x3FFF, 0x8000, 0xFFFF] {
        assert_eq!(code(&client.bind(&mut world, number, address("10.0.0.3:6002"))), Some(400));
    }
    assert_eq!(code(&client.bind(&mut world, 0x4002, address(PEER_V6))), Some(443));
}

#[test]
fn a_channel_bind_needs_a_number_and_a_peer() {
    let (mut world, mut client, _) = world();
    let number = turn_types::attribute::ChannelNumber::new(0x4000);
    assert_eq!(code(&client.ask(&mut world, CHANNEL_BIND, &[&number])), Some(400));
    let peer = XorPeerAddress::new(address(PEER), (client.transaction + 1).into());
    assert_eq!(code(&client.ask(&mut world, CHANNEL_BIND, &[&peer])), Some(400));
}

// RFC 8656, 12: a binding lives for ten minutes, its permission for five.
#[test]
fn a_channel_needs_its_permission_and_ends_by_itself() {
    let (mut world, mut client, relayed) = world();
    client.bind(&mut world, 0x4000, address(PEER));
    world.advance(seconds(299));
    assert!(client.channel_data(&mut world, 0x4000, b"x").is_some());
    world.advance(seconds(1));
    assert_eq!(client.channel_data(&mut world, 0x4000, b"x"), None);
    client.permit(&mut world, &[address(PEER)]);
    assert!(client.channel_data(&mut world, 0x4000, b"x").is_some());
    world.advance(seconds(299));
    assert!(client.channel_data(&mut world, 0x4000, b"x").is_some());
    world.advance(seconds(1));
    client.permit(&mut world, &[address(PEER)]);
    assert_eq!(client.channel_data(&mut world, 0x4000, b"x"), None);
    // From then on the peer is heard through indications, and the number is free.
    let indication = world.peer(b"x", address(PEER), relayed).unwrap();
    assert_eq!(Message::from_bytes(&indication).unwrap().method(), turn_types::message::DATA);
    assert_eq!(code(&client.bind(&mut world, 0x4000, address("10.0.0.3:6001"))), None);
}

// RFC 8656, 12.5: over UDP padding may follow, and more data than there is may not be claimed.
#[test]
fn padding_is_cut_off_and_a_length_beyond_the_end_is_refused() {
    let (mut world, mut client, _) = world();
    client.bind(&mut world, 0x4000, address(PEER));
    assert_eq!(client.data(&mut world, b"\x40\x00\x00\x01a\0\0\0"), Some((address(PEER), b"a".to_vec())));
    assert_eq!(client.data(&mut world, b"\x40\x00\x00\x00"), Some((address(PEER), Vec::new())));
    assert_eq!(client.data(&mut world, b"\x40\x00\x00\x02a"), None);
    assert_eq!(client.data(&mut world, b"\x40\x00\x00"), None);
    assert_eq!(client.data(&mut world, b"\x40\x01\x00\x01a"), None);
}

#[test]
fn the_channel_of_one_client_is_nothing_to_another() {
    let (mut world, mut client, _) = world();
    client.bind(&mut world, 0x4000, address(PEER));
    let mut other = Client::new(&mut world, "10.0.0.4:5000");
    assert_eq!(other.channel_data(&mut world, 0x4000, b"x"), None);
    other.allocate(&mut world);
    assert_eq!(other.channel_data(&mut world, 0x4000, b"x"), None);
}
