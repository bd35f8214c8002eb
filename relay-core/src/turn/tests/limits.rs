//! Every limit, driven to its end: a full table refuses clearly and forgets nobody.

use super::*;
use crate::turn::limits::MAX_REVOKED;

fn ask(client: &mut Client, world: &mut World) -> Option<u16> {
    let transport = RequestedTransport::new(RequestedTransport::UDP);
    code(&client.ask(world, ALLOCATE, &[&transport]))
}

fn with_limits(limits: Limits) -> World {
    World::with(Config { limits, ..config() })
}

#[test]
fn an_account_has_so_many_allocations_and_no_more() {
    let mut world = with_limits(Limits { allocations_per_account: 3, ..Limits::default() });
    let mut clients: Vec<Client> =
        (0..4).map(|number| Client::new(&mut world, &format!("10.0.1.{number}:5000"))).collect();
    let codes: Vec<_> = clients.iter_mut().map(|client| ask(client, &mut world)).collect();
    assert_eq!(codes, [None, None, None, Some(486)]);
    clients[0].refresh(&mut world, 0);
    assert_eq!(ask(&mut clients[3], &mut world), None);
}

// Whoever asks the box for another credential gets one, and no more room.
#[test]
fn a_second_credential_of_an_account_has_no_quota_of_its_own() {
    let mut world = with_limits(Limits { allocations_per_account: 3, ..Limits::default() });
    let [one, other] = [1, 2].map(|number| Account::random(&mut FixedRng(number)));
    let mut clients: Vec<Client> = (0..4)
        .map(|number| Client::new(&mut world, &format!("10.0.1.{number}:5000")).minted_for(&one, number))
        .collect();
    let codes: Vec<_> = clients.iter_mut().map(|client| ask(client, &mut world)).collect();
    assert_eq!(codes, [None, None, None, Some(486)]);
    let mut stranger = Client::new(&mut world, "10.0.2.1:5000").minted_for(&other, 9);
    assert_eq!(ask(&mut stranger, &mut world), None);
    clients[0].refresh(&mut world, 0);
    assert_eq!(ask(&mut clients[3], &mut world), None);
}

#[test]
fn a_source_has_so_many_allocations_and_no_more() {
    let mut world = with_limits(Limits { allocations_per_source: 2, ..Limits::default() });
    let mut clients: Vec<Client> = (0..3)
        .map(|number| {
            Client::new(&mut world, &format!("10.0.0.2:{}", 5000 + number))
                .named(&format!("{}:{number}", WALL.0 + 9))
        })
        .collect();
    let codes: Vec<_> = clients.iter_mut().map(|client| ask(client, &mut world)).collect();
    assert_eq!(codes, [None, None, Some(508)]);
    assert_eq!(ask(&mut Client::new(&mut world, "10.0.0.4:5000"), &mut world), None);
}

// A device has a whole /64 to choose addresses from.
#[test]
fn an_ipv6_network_counts_as_one_source() {
    let mut world = with_limits(Limits { allocations_per_source: 2, ..Limits::default() });
    let codes: Vec<_> = ["[fd00::a]:5", "[fd00::b]:5", "[fd00::c:d]:5", "[fd00:0:0:1::a]:5"]
        .map(|from| ask(&mut Client::to(&mut world, from, BOX_V6), &mut world))
        .to_vec();
    assert_eq!(codes, [None, None, Some(508), None]);
}

#[test]
fn the_box_has_so_many_allocations_and_no_more() {
    let mut world = with_limits(Limits { allocations: 50, allocations_per_account: 99, ..Limits::default() });
    let mut clients: Vec<Client> =
        (0..51).map(|number| Client::new(&mut world, &format!("10.0.1.{number}:5000"))).collect();
    let codes: Vec<_> = clients.iter_mut().map(|client| ask(client, &mut world)).collect();
    assert!(codes[..50].iter().all(Option::is_none));
    assert_eq!(codes[50], Some(508));
    assert!(clients[..50].iter_mut().all(|client| code(&client.refresh(&mut world, 600)).is_none()));
    world.advance(seconds(600));
    assert_eq!((world.bound.len(), world.server.counters().allocations), (0, 0));
    assert_eq!(ask(&mut clients[50], &mut world), None);
}

#[test]
fn when_all_ports_are_taken_the_next_allocation_is_refused() {
    let mut world = World::with(Config { relay_ports: 61_000..=61_003, ..config() });
    let mut ports: Vec<u16> = (0..4)
        .map(|number| Client::new(&mut world, &format!("10.0.1.{number}:5000")).allocate(&mut world).port())
        .collect();
    ports.sort_unstable();
    assert_eq!(ports, [61_000, 61_001, 61_002, 61_003]);
    assert_eq!(ask(&mut Client::new(&mut world, PHONE), &mut world), Some(508));
}

#[test]
fn an_allocation_has_so_many_permissions_and_no_more() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    client.allocate(&mut world);
    let peer = |number: usize| address(&format!("10.0.2.{number}:9"));
    for number in 0..MAX_PERMISSIONS {
        assert_eq!(code(&client.permit(&mut world, &[peer(number)])), None);
    }
    assert_eq!(code(&client.permit(&mut world, &[peer(MAX_PERMISSIONS)])), Some(508));
    assert_eq!(code(&client.bind(&mut world, 0x4000, peer(MAX_PERMISSIONS))), Some(508));
    assert_eq!(code(&client.permit(&mut world, &[peer(0)])), None, "refreshing needs no room");
    assert!((0..MAX_PERMISSIONS).all(|number| client.send(&mut world, peer(number), b"x").is_some()));
    world.advance(seconds(300));
    assert_eq!(code(&client.permit(&mut world, &[peer(MAX_PERMISSIONS)])), None);
}

#[test]
fn an_allocation_has_so_many_channels_and_no_more() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    client.allocate_with(&mut world, &[&Lifetime::new(3600)]);
    let peer = |number: u16| address(&format!("10.0.0.3:{}", 6000 + number));
    let max = u16::try_from(MAX_CHANNELS).unwrap();
    for number in 0..max {
        assert_eq!(code(&client.bind(&mut world, 0x4000 + number, peer(number))), None);
    }
    assert_eq!(code(&client.bind(&mut world, 0x4FFF, peer(max))), Some(508));
    assert_eq!(code(&client.bind(&mut world, 0x4000, peer(0))), None, "refreshing needs no room");
    assert!((0..max).all(|number| client.channel_data(&mut world, 0x4000 + number, b"x").is_some()));
    world.advance(seconds(600));
    assert_eq!(code(&client.bind(&mut world, 0x4FFF, peer(max))), None);
}

#[test]
fn a_request_names_so_many_peers_and_no_more() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    client.allocate(&mut world);
    let peers: Vec<SocketAddr> = (0..17).map(|number| address(&format!("10.0.2.{number}:9"))).collect();
    assert_eq!(code(&client.permit(&mut world, &peers)), Some(508));
    assert_eq!(client.send(&mut world, peers[0], b"x"), None);
    assert_eq!(code(&client.permit(&mut world, &peers[..16])), None);
}

#[test]
fn a_request_that_is_too_long_is_dropped() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    let long = stun_types::attribute::RawAttribute::new(0xF000.into(), &[0; 1600]);
    let request = client.build(ALLOCATE, &[&long]).finish();
    let (forward, replies) = world.client(&request, client.five_tuple);
    assert!(forward.is_none() && replies.is_empty());
}

#[test]
fn the_list_of_revoked_credentials_is_bounded_and_keeps_those_with_the_longest_life() {
    let mut world = World::new();
    for number in 0..MAX_REVOKED as u64 + 10 {
        world.server.revoke(&format!("{}:{number}", WALL.0 + 1000 + number), WALL);
    }
    let mut client = Client::new(&mut world, PHONE);
    let last = MAX_REVOKED as u64 + 9;
    client = client.named(&format!("{}:{last}", WALL.0 + 1000 + last));
    assert_eq!(ask(&mut client, &mut world), Some(401));
    // Those that have expired make room by themselves.
    world.advance(seconds(100_000));
    world.server.revoke(&format!("{}:new", world.wall.0 + 10), world.wall);
}
