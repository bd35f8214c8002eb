//! RFC 8656, sections 7 and 8: Allocate and Refresh.

use stun_types::attribute::XorMappedAddress;
use turn_types::AddressFamily;
use turn_types::attribute::{
    AdditionalAddressFamily, AddressErrorCode, EvenPort, RequestedAddressFamily, ReservationToken,
};

use super::*;

fn udp() -> RequestedTransport {
    RequestedTransport::new(RequestedTransport::UDP)
}

// RFC 8656, 7.2 and 7.3: relayed address, lifetime, and the client's own address.
#[test]
fn an_allocation_has_a_relayed_address_a_lifetime_and_tells_the_client_its_own_address() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    let reply = client.ask(&mut world, ALLOCATE, &[&udp()]);
    assert_eq!(lifetime(&reply), 600);
    let [relayed] = relayed(&reply)[..] else { panic!("one relayed address") };
    assert_eq!(relayed.ip(), address(BOX_V4).ip());
    assert!(DEFAULT_RELAY_PORTS.contains(&relayed.port()));
    let message = Message::from_bytes(&reply).unwrap();
    let mapped = message.attribute::<XorMappedAddress>().unwrap().addr(message.transaction_id());
    assert_eq!(mapped, address(PHONE));
    assert_eq!(world.server.counters().allocations, 1);
}

// RFC 8656, 7.2, 2: the 5-tuple is in use: 437.
#[test]
fn a_second_allocation_on_the_same_five_tuple_is_a_mismatch() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    client.allocate(&mut world);
    assert_eq!(code(&client.ask(&mut world, ALLOCATE, &[&udp()])), Some(437));
    assert_eq!(world.bound.len(), 1);
}

// RFC 8489, 6.3.1 and RFC 8656, 7.2: a request that is sent again is answered again.
#[test]
fn an_allocate_that_is_sent_again_is_answered_again_and_makes_nothing() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    let request = client.request(ALLOCATE, &[&udp()]);
    let first = client.exchange(&mut world, &request);
    world.advance(seconds(1));
    let second = client.exchange(&mut world, &request);
    assert_eq!(relayed(&first), relayed(&second));
    assert_eq!(lifetime(&second), 599);
    assert_eq!(world.bound.len(), 1);
}

#[test]
fn an_allocate_that_is_sent_again_before_the_socket_is_bound_is_answered_once() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    let request = client.request(ALLOCATE, &[&udp()]);
    for _ in 0..2 {
        world.server.handle_client_input(&request, client.five_tuple, world.now, world.wall);
    }
    assert_eq!(world.drain().len(), 1);
    assert_eq!(world.bound.len(), 1);
}

// RFC 8656, 7.2, 3: REQUESTED-TRANSPORT is missing: 400; is not UDP: 442.
#[test]
fn only_udp_is_relayed() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    assert_eq!(code(&client.ask(&mut world, ALLOCATE, &[])), Some(400));
    assert_eq!(code(&client.ask(&mut world, ALLOCATE, &[&RequestedTransport::new(6)])), Some(442));
}

// RFC 8656, 7.2: the lifetime is at least the default and at most the maximum.
#[test]
fn a_lifetime_is_kept_within_its_bounds() {
    for (asked, granted) in [(0, 600), (1, 600), (600, 600), (1800, 1800), (3600, 3600), (u32::MAX, 3600)] {
        let mut world = World::new();
        let mut client = Client::new(&mut world, PHONE);
        let reply = client.ask(&mut world, ALLOCATE, &[&udp(), &Lifetime::new(asked)]);
        assert_eq!(lifetime(&reply), granted);
        if asked > 0 {
            assert_eq!(lifetime(&client.refresh(&mut world, asked)), granted);
        }
    }
}

#[test]
fn an_allocation_ends_with_its_lifetime_and_its_socket_is_closed() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    client.allocate(&mut world);
    world.advance(seconds(599));
    assert_eq!(world.bound.len(), 1);
    world.advance(seconds(1));
    assert!(world.bound.is_empty());
    assert_eq!(world.server.poll_timeout(), None);
    assert_eq!(world.server.counters().allocations_expired, 1);
    assert_eq!(code(&client.refresh(&mut world, 600)), Some(437));
}

#[test]
fn a_late_timer_does_not_keep_an_allocation_alive() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    client.allocate(&mut world);
    world.now = world.now + seconds(600);
    assert_eq!(code(&client.refresh(&mut world, 600)), Some(437));
    client.allocate(&mut world);
    assert_eq!(world.bound.len(), 1, "the old socket is closed");
}

#[test]
fn a_refreshed_allocation_lives_on() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    client.allocate(&mut world);
    for _ in 0..3 {
        world.advance(seconds(590));
        let reply = client.refresh(&mut world, 600);
        if code(&reply) == Some(438) {
            client.take_challenge(&reply);
            assert_eq!(code(&client.refresh(&mut world, 600)), None);
        }
    }
    assert_eq!(world.bound.len(), 1);
}

// RFC 8656, 8.2: a lifetime of zero deletes the allocation.
#[test]
fn a_refresh_with_lifetime_zero_frees_everything() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    client.allocate(&mut world);
    let reply = client.refresh(&mut world, 0);
    assert_eq!((code(&reply), lifetime(&reply)), (None, 0));
    assert!(world.bound.is_empty());
    assert_eq!(world.server.counters().allocations, 0);
    assert_eq!(code(&client.refresh(&mut world, 0)), Some(437));
    client.allocate(&mut world);
}

// RFC 8656, 7.2: REQUESTED-ADDRESS-FAMILY.
#[test]
fn a_client_chooses_the_family_of_its_relayed_address() {
    for (server, family, relayed) in [
        (BOX_V4, AddressFamily::IPV4, BOX_V4),
        (BOX_V4, AddressFamily::IPV6, BOX_V6),
        (BOX_V6, AddressFamily::IPV4, BOX_V4),
        (BOX_V6, AddressFamily::IPV6, BOX_V6),
    ] {
        let mut world = World::new();
        let from = if server == BOX_V4 { PHONE } else { "[fd00::2]:5000" };
        let mut client = Client::to(&mut world, from, server);
        let got = client.allocate_with(&mut world, &[&RequestedAddressFamily::new(family)]);
        assert_eq!(got.ip(), address(relayed).ip());
    }
}

#[test]
fn a_client_over_ipv6_that_states_no_wish_gets_ipv4_where_the_box_has_it() {
    let mut world = World::new();
    let mut client = Client::to(&mut world, "[fd00::2]:5000", BOX_V6);
    assert_eq!(client.allocate(&mut world).ip(), address(BOX_V4).ip());
}

#[test]
fn a_box_without_ipv4_gives_ipv6_to_a_client_that_states_no_wish() {
    let mut world = World::with(Config { addresses: RelayAddresses::default(), ..config() });
    let mut client = Client::to(&mut world, "[fd00::2]:5000", BOX_V6);
    assert_eq!(client.allocate(&mut world).ip(), address(BOX_V6).ip());
}

// RFC 8656, 7.2: a family that the server does not have: 440.
#[test]
fn a_family_that_the_box_does_not_have_is_refused() {
    let mut world = World::with(Config { addresses: RelayAddresses::default(), ..config() });
    let mut client = Client::new(&mut world, PHONE);
    let family = RequestedAddressFamily::new(AddressFamily::IPV6);
    assert_eq!(code(&client.ask(&mut world, ALLOCATE, &[&udp(), &family])), Some(440));
    assert_eq!(world.server.counters().allocations, 0);
}

// RFC 8656, 7.2: ADDITIONAL-ADDRESS-FAMILY gives both.
#[test]
fn a_dual_allocation_has_both_families_and_each_can_be_deleted() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    let additional = AdditionalAddressFamily::new(AddressFamily::IPV6);
    let reply = client.ask(&mut world, ALLOCATE, &[&udp(), &additional]);
    let ips: Vec<_> = relayed(&reply).iter().map(SocketAddr::ip).collect();
    assert_eq!(ips, [address(BOX_V4).ip(), address(BOX_V6).ip()]);
    assert_eq!(code(&client.permit(&mut world, &[address(PEER), address(PEER_V6)])), None);

    let v4 = RequestedAddressFamily::new(AddressFamily::IPV4);
    let v6 = RequestedAddressFamily::new(AddressFamily::IPV6);
    assert_eq!(code(&client.ask(&mut world, REFRESH, &[&v6])), None);
    assert_eq!(code(&client.ask(&mut world, REFRESH, &[&Lifetime::new(0), &v4])), None);
    assert_eq!(world.bound.len(), 1);
    assert_eq!(code(&client.permit(&mut world, &[address(PEER)])), Some(443));
    assert_eq!(client.send(&mut world, address(PEER), b"x"), None);
    assert!(client.send(&mut world, address(PEER_V6), b"x").is_some());
    // RFC 8656, 8.2: the family is not one of the allocation's: 443.
    assert_eq!(code(&client.ask(&mut world, REFRESH, &[&v4])), Some(443));
    assert_eq!(code(&client.ask(&mut world, REFRESH, &[&Lifetime::new(0), &v6])), None);
    assert!(world.bound.is_empty());
    assert_eq!(world.server.counters().allocations, 0);
}

// RFC 8656, 7.2: one family cannot be had: success with ADDRESS-ERROR-CODE.
#[test]
fn a_dual_allocation_with_one_family_says_why_the_other_is_missing() {
    let mut world = World::with(Config { addresses: RelayAddresses::default(), ..config() });
    let mut client = Client::new(&mut world, PHONE);
    let additional = AdditionalAddressFamily::new(AddressFamily::IPV6);
    let reply = client.ask(&mut world, ALLOCATE, &[&udp(), &additional]);
    assert_eq!(relayed(&reply).len(), 1);
    let message = Message::from_bytes(&reply).unwrap();
    let error = message.attribute::<AddressErrorCode>().unwrap();
    assert_eq!((error.family(), error.error().code()), (AddressFamily::IPV6, 440));
}

// RFC 8656, 7.2: contradictory families: 400.
#[test]
fn contradictory_wishes_are_bad() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    let requested = RequestedAddressFamily::new(AddressFamily::IPV4);
    let additional = AdditionalAddressFamily::new(AddressFamily::IPV6);
    let additional_v4 = stun_types::attribute::RawAttribute::new(0x8000.into(), &[1, 0, 0, 0]);
    let token = ReservationToken::new(1);
    let even = EvenPort::new(true);
    let wishes: [&[&dyn AttributeWrite]; 6] = [
        &[&requested, &additional],
        &[&additional_v4],
        &[&token, &requested],
        &[&token, &additional],
        &[&token, &even],
        &[&even, &additional],
    ];
    for wish in wishes {
        let mut attributes: Vec<&dyn AttributeWrite> = vec![];
        let transport = udp();
        attributes.push(&transport);
        attributes.extend_from_slice(wish);
        assert_eq!(code(&client.ask(&mut world, ALLOCATE, &attributes)), Some(400));
    }
}

// RFC 8656, 7.2: EVEN-PORT that cannot be satisfied, and tokens that are not valid: 508.
#[test]
fn an_even_port_is_given_and_no_port_is_reserved() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    assert_eq!(code(&client.ask(&mut world, ALLOCATE, &[&udp(), &EvenPort::new(true)])), Some(508));
    assert_eq!(code(&client.ask(&mut world, ALLOCATE, &[&udp(), &ReservationToken::new(9)])), Some(508));
    assert!(client.allocate_with(&mut world, &[&EvenPort::new(false)]).port().is_multiple_of(2));
}

#[test]
fn a_port_that_another_program_has_is_passed_over() {
    let mut world = World::new();
    world.bind = |address| if address.port() % 4 == 0 { Ok(()) } else { Err(BindError::PortInUse) };
    for client in 0..5 {
        let mut client = Client::new(&mut world, &format!("10.0.0.2:{}", 5000 + client));
        let reply = client.ask(&mut world, ALLOCATE, &[&udp()]);
        match code(&reply) {
            None => assert_eq!(relayed(&reply)[0].port() % 4, 0),
            code => assert_eq!(code, Some(508)),
        }
    }
    assert!(!world.bound.is_empty());
}

#[test]
fn a_box_without_a_free_port_says_so_and_forgets_the_allocation() {
    for error in [BindError::PortInUse, BindError::Unavailable] {
        let mut world = World::new();
        world.bind = match error {
            BindError::PortInUse => |_| Err(BindError::PortInUse),
            BindError::Unavailable => |_| Err(BindError::Unavailable),
        };
        let mut client = Client::new(&mut world, PHONE);
        assert_eq!(code(&client.ask(&mut world, ALLOCATE, &[&udp()])), Some(508));
        assert_eq!(world.server.counters().allocations, 0);
        world.bind = |_| Ok(());
        client.allocate(&mut world);
    }
}

#[test]
fn the_driver_s_answer_for_an_allocation_that_has_ended_closes_the_socket() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    let request = client.request(ALLOCATE, &[&udp()]);
    world.server.handle_client_input(&request, client.five_tuple, world.now, world.wall);
    let Some(Effect::Bind { relay, address }) = world.server.poll_effect() else {
        panic!("a socket is wanted")
    };
    world.server.clear();
    world.bound.push((relay, *address.expose()));
    world.server.handle_bound(relay, Ok(()), world.now);
    assert!(world.drain().is_empty());
    assert!(world.bound.is_empty());
}

#[test]
fn an_external_address_is_what_clients_are_told() {
    let external = "203.0.113.5".parse().unwrap();
    let mut settings = config();
    settings.addresses.external_v4 = Some(external);
    let mut world = World::with(settings);
    let mut client = Client::new(&mut world, PHONE);
    assert_eq!(client.allocate(&mut world).ip(), external);
    assert_eq!(world.bound[0].1.ip(), address(BOX_V4).ip());
}
