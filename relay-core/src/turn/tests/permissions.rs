//! RFC 8656, sections 9 and 10: permissions.

use super::*;

fn world() -> (World, Client, SocketAddr) {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    let relayed = client.allocate_with(&mut world, &[&Lifetime::new(3600)]);
    (world, client, relayed)
}

#[test]
fn without_a_permission_nothing_passes_in_either_direction() {
    let (mut world, mut client, relayed) = world();
    assert_eq!(client.send(&mut world, address(PEER), b"x"), None);
    assert_eq!(world.peer(b"x", address(PEER), relayed), None);
    assert_eq!(world.server.counters().dropped, 2);
}

// RFC 8656, 9: a permission is for an address, whatever the port.
#[test]
fn a_permission_is_for_all_ports_of_one_address() {
    let (mut world, mut client, relayed) = world();
    assert_eq!(code(&client.permit(&mut world, &[address(PEER)])), None);
    assert!(client.send(&mut world, address("10.0.0.3:1"), b"x").is_some());
    assert!(world.peer(b"x", address("10.0.0.3:65535"), relayed).is_some());
    assert_eq!(client.send(&mut world, address("10.0.0.4:6000"), b"x"), None);
    assert_eq!(world.peer(b"x", address("10.0.0.4:6000"), relayed), None);
}

// RFC 8656, 9: "300 seconds", and traffic does not refresh it.
#[test]
fn a_permission_expires_after_its_lifetime_whatever_passes() {
    let (mut world, mut client, relayed) = world();
    client.permit(&mut world, &[address(PEER)]);
    for _ in 0..299 {
        world.advance(seconds(1));
        assert!(client.send(&mut world, address(PEER), b"x").is_some());
        assert!(world.peer(b"x", address(PEER), relayed).is_some());
    }
    world.advance(seconds(1));
    assert_eq!(client.send(&mut world, address(PEER), b"x"), None);
    assert_eq!(world.peer(b"x", address(PEER), relayed), None);
}

#[test]
fn a_late_timer_does_not_keep_a_permission_alive() {
    let (mut world, mut client, _) = world();
    client.permit(&mut world, &[address(PEER)]);
    world.now = world.now + seconds(300);
    assert_eq!(client.send(&mut world, address(PEER), b"x"), None);
}

#[test]
fn a_permission_that_is_made_again_lives_on() {
    let (mut world, mut client, _) = world();
    client.permit(&mut world, &[address(PEER)]);
    world.advance(seconds(299));
    client.permit(&mut world, &[address(PEER)]);
    world.advance(seconds(299));
    assert!(client.send(&mut world, address(PEER), b"x").is_some());
}

// RFC 8656, 10.2: no XOR-PEER-ADDRESS, or a malformed one: 400; a family without relayed address: 443.
#[test]
fn a_permission_for_nobody_or_for_the_wrong_family_is_refused() {
    let (mut world, mut client, _) = world();
    assert_eq!(code(&client.permit(&mut world, &[])), Some(400));
    let malformed = stun_types::attribute::RawAttribute::new(XorPeerAddress::TYPE, &[0, 1, 0]);
    assert_eq!(code(&client.ask(&mut world, CREATE_PERMISSION, &[&malformed])), Some(400));
    assert_eq!(code(&client.permit(&mut world, &[address(PEER_V6)])), Some(443));
}

// RFC 8656, 10.2: a peer that policy forbids: 403, and no permission at all.
#[test]
fn one_forbidden_peer_refuses_all_of_the_request() {
    let (mut world, mut client, _) = world();
    for forbidden in ["127.0.0.1:9", "169.254.0.1:9", "224.0.0.1:9", "255.255.255.255:9", "0.0.0.0:9"] {
        assert_eq!(code(&client.permit(&mut world, &[address(PEER), address(forbidden)])), Some(403));
        assert_eq!(code(&client.bind(&mut world, 0x4000, address(forbidden))), Some(403));
    }
    assert_eq!(client.send(&mut world, address(PEER), b"x"), None);
}

#[test]
fn without_an_allocation_there_are_no_permissions() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    assert_eq!(code(&client.permit(&mut world, &[address(PEER)])), Some(437));
    assert_eq!(code(&client.bind(&mut world, 0x4000, address(PEER))), Some(437));
    assert_eq!(client.send(&mut world, address(PEER), b"x"), None);
}

#[test]
fn a_service_of_the_box_cannot_be_reached_and_another_client_can() {
    let (mut world, mut client, relayed) = world();
    let mut other = Client::new(&mut world, "10.0.0.4:5000");
    let other_relayed = other.allocate(&mut world);
    assert_eq!(code(&client.permit(&mut world, &[other_relayed])), None);
    assert_eq!(code(&other.permit(&mut world, &[relayed])), None);

    for service in ["10.0.0.1:443", "10.0.0.1:3478", "10.0.0.1:61234"] {
        if world.bound.iter().any(|(_, bound)| *bound == address(service)) {
            continue;
        }
        assert_eq!(client.send(&mut world, address(service), b"x"), None);
        assert_eq!(code(&client.bind(&mut world, 0x4001, address(service))), Some(403));
        assert_eq!(world.peer(b"x", address(service), relayed), None);
    }

    assert!(client.hand_over(&mut world, other_relayed, b"hello").is_some_and(|to| to == other.five_tuple));
    assert!(world.peer(b"hello", relayed, other_relayed).is_some());
    assert_eq!(code(&client.bind(&mut world, 0x4000, other_relayed)), None);
    // It ends with the other's allocation.
    other.refresh(&mut world, 0);
    assert_eq!(client.send(&mut world, other_relayed, b"x"), None);
}
