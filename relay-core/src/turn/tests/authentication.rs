//! RFC 8489, section 9.2.4, check by check, and RFC 8656, section 5.

use super::*;

// RFC 8489, 9.2.4: without MESSAGE-INTEGRITY the answer is 401 with REALM and NONCE, and is not signed.
#[test]
fn a_request_without_integrity_is_challenged() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    for method in [ALLOCATE, REFRESH, CREATE_PERMISSION, CHANNEL_BIND] {
        let reply = client.ask_unsigned(&mut world, method, &[]);
        assert_eq!(code(&reply), Some(401));
        let message = Message::from_bytes(&reply).unwrap();
        assert_eq!(message.attribute::<Realm>().unwrap().realm(), "bulle");
        assert!(message.attribute::<Nonce>().unwrap().nonce().starts_with("obMatJos2"));
        let offered = message.attribute::<PasswordAlgorithms>().unwrap();
        assert_eq!(offered.algorithms(), [PasswordAlgorithmValue::SHA256, PasswordAlgorithmValue::MD5]);
        assert!(message.validate_integrity(&client.key().into()).is_err());
    }
    assert_eq!(world.server.counters().refusals(Refusal::Unauthorized), 5);
}

#[test]
fn a_challenge_is_not_much_longer_than_what_provoked_it() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    let request = client.build(ALLOCATE, &[]).finish();
    let reply = client.ask_unsigned(&mut world, ALLOCATE, &[]);
    // With the headers of IPv4 and UDP around both.
    assert!(reply.len() + 28 <= 3 * (request.len() + 28), "{} for {}", reply.len(), request.len());
}

#[test]
fn the_right_password_is_let_in_with_every_kind_of_integrity() {
    for algorithms in [None, Some(PasswordAlgorithmValue::SHA256)] {
        let mut world = World::new();
        let mut client = Client { algorithms, ..Client::new(&mut world, PHONE) };
        client.allocate(&mut world);
    }
}

#[test]
fn a_wrong_password_is_challenged_again() {
    for algorithms in [None, Some(PasswordAlgorithmValue::SHA256)] {
        let mut world = World::new();
        let mut client = Client { algorithms, ..Client::new(&mut world, PHONE) };
        client.password.push('x');
        assert_eq!(code(&client.ask(&mut world, ALLOCATE, &[])), Some(401));
        assert!(world.bound.is_empty());
    }
}

// RFC 8489, 9.2.4: integrity, but USERNAME, REALM or NONCE is missing: 400.
#[test]
fn a_signed_request_without_realm_or_nonce_or_name_is_bad() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    for missing in 0..3 {
        let mut message = client.build(ALLOCATE, &[]);
        if missing != 0 {
            message.add_attribute(&Username::new(&client.username).unwrap()).unwrap();
        }
        if missing != 1 {
            message.add_attribute(&Realm::new(&client.realm).unwrap()).unwrap();
        }
        if missing != 2 {
            message.add_attribute(&Nonce::new(&client.nonce).unwrap()).unwrap();
        }
        message.add_message_integrity(&client.key().into(), IntegrityAlgorithm::Sha1).unwrap();
        let reply = client.exchange(&mut world, &message.finish());
        assert_eq!(code(&reply), Some(400));
    }
}

// RFC 8489, 9.2.4: PASSWORD-ALGORITHM needs PASSWORD-ALGORITHMS as it was sent: 400. It stops a bid-down.
#[test]
fn a_shortened_list_of_algorithms_is_bad() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    for (offered, chosen) in [(Some(1), true), (None, true), (Some(2), false)] {
        let mut message = client.build(ALLOCATE, &[]);
        message.add_attribute(&Username::new(&client.username).unwrap()).unwrap();
        message.add_attribute(&Realm::new(&client.realm).unwrap()).unwrap();
        message.add_attribute(&Nonce::new(&client.nonce).unwrap()).unwrap();
        let all = [PasswordAlgorithmValue::MD5, PasswordAlgorithmValue::SHA256];
        if let Some(count) = offered {
            message.add_attribute(&PasswordAlgorithms::new(&all[..count])).unwrap();
        }
        if chosen {
            message.add_attribute(&PasswordAlgorithm::new(PasswordAlgorithmValue::MD5)).unwrap();
        }
        message.add_message_integrity(&client.key().into(), IntegrityAlgorithm::Sha1).unwrap();
        let reply = client.exchange(&mut world, &message.finish());
        assert_eq!(code(&reply), Some(400));
    }
}

// RFC 8489, 9.2.4: a nonce that is no longer valid: 438 with a new one.
#[test]
fn an_old_nonce_is_replaced() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    world.advance(seconds(1201));
    let reply = client.ask(&mut world, ALLOCATE, &[]);
    assert_eq!(code(&reply), Some(438));
    client.take_challenge(&reply);
    client.allocate(&mut world);
}

#[test]
fn the_nonce_of_another_address_is_stale() {
    let mut world = World::new();
    let one = Client::new(&mut world, PHONE);
    let mut two = Client::new(&mut world, "10.0.0.2:5001");
    two.nonce = one.nonce;
    assert_eq!(code(&two.ask(&mut world, ALLOCATE, &[])), Some(438));
}

#[test]
fn an_expired_credential_makes_no_allocation() {
    let mut world = World::new();
    let expired = format!("{}:x", world.wall.0);
    let mut client = Client::new(&mut world, PHONE).named(&expired);
    let transport = RequestedTransport::new(RequestedTransport::UDP);
    assert_eq!(code(&client.ask(&mut world, ALLOCATE, &[&transport])), Some(401));
    let alive = format!("{}:x", world.wall.0 + 1);
    client.named(&alive).allocate(&mut world);
}

// A call outlives the credential that it was begun with; what ends it is revocation.
#[test]
fn an_allocation_outlives_its_credential() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE).named(&format!("{}:x", WALL.0 + 10));
    client.allocate(&mut world);
    world.advance(seconds(60));
    assert_eq!(code(&client.refresh(&mut world, 600)), None);
    assert_eq!(code(&client.permit(&mut world, &[address(PEER)])), None);
}

#[test]
fn a_revoked_credential_loses_its_allocations_and_makes_no_more() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    let mut other = Client::new(&mut world, "10.0.0.4:5000").named(&format!("{}:other", WALL.0 + 10));
    client.allocate(&mut world);
    other.allocate(&mut world);
    assert_eq!(world.server.revoke(&client.username, world.wall), 1);
    world.drain();
    assert_eq!(world.bound.len(), 1);
    assert_eq!(code(&client.refresh(&mut world, 600)), Some(437));
    let transport = RequestedTransport::new(RequestedTransport::UDP);
    assert_eq!(code(&client.ask(&mut world, ALLOCATE, &[&transport])), Some(401));
    assert_eq!(code(&other.refresh(&mut world, 600)), None);
}

#[test]
fn all_credentials_of_an_account_are_revoked_together() {
    let mut world = World::new();
    let [one, other] = [1, 2].map(|number| Account::random(&mut FixedRng(number)));
    let mut clients = [
        Client::new(&mut world, "10.0.0.2:5000").minted_for(&one, 1),
        Client::new(&mut world, "10.0.0.3:5000").minted_for(&one, 2),
        Client::new(&mut world, "10.0.0.4:5000").minted_for(&other, 3),
    ];
    for client in &mut clients {
        client.allocate(&mut world);
    }
    assert_eq!(world.server.revoke(&clients[0].username, world.wall), 2);
    world.drain();
    let codes = clients.each_mut().map(|client| code(&client.refresh(&mut world, 600)));
    assert_eq!(codes, [Some(437), Some(437), None]);
    // One that was minted before, and not used yet.
    let mut late = Client::new(&mut world, "10.0.0.5:5000").minted_for(&one, 4);
    let transport = RequestedTransport::new(RequestedTransport::UDP);
    assert_eq!(code(&late.ask(&mut world, ALLOCATE, &[&transport])), Some(401));
}

// RFC 8656, 5: a request by another user on somebody's allocation: 441.
#[test]
fn another_user_cannot_take_over_an_allocation() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    client.allocate(&mut world);
    let mut thief = client.clone().named(&format!("{}:thief", WALL.0 + 10));
    assert_eq!(code(&thief.refresh(&mut world, 0)), Some(441));
    assert_eq!(code(&thief.permit(&mut world, &[address(PEER)])), Some(441));
    assert_eq!(code(&thief.bind(&mut world, 0x4000, address(PEER))), Some(441));
    assert_eq!(code(&client.refresh(&mut world, 600)), None);
}

// RFC 8489, 6.3.1: unknown comprehension-required attributes: 420, listed; others are ignored.
#[test]
fn an_attribute_that_must_be_understood_and_is_not_is_refused_by_name() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    let reply = client.ask(&mut world, ALLOCATE, &[&unknown(0x7001), &unknown(0x7002), &unknown(0xF001)]);
    assert_eq!(code(&reply), Some(420));
    let message = Message::from_bytes(&reply).unwrap();
    let listed = message.attribute::<stun_types::attribute::UnknownAttributes>().unwrap();
    assert!(listed.has_attribute(0x7001.into()) && listed.has_attribute(0x7002.into()));
    assert!(!listed.has_attribute(0xF001.into()));
    client.allocate_with(&mut world, &[&unknown(0xF001)]);
}

// RFC 8656, 7.2: a server that cannot set DF treats DONT-FRAGMENT as unknown.
#[test]
fn dont_fragment_is_refused_as_unknown() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    let transport = RequestedTransport::new(RequestedTransport::UDP);
    let reply = client.ask(&mut world, ALLOCATE, &[&transport, &turn_types::attribute::DontFragment::new()]);
    assert_eq!(code(&reply), Some(420));
}

#[test]
fn the_longest_answer_fits() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    client.algorithms = Some(PasswordAlgorithmValue::SHA256);
    let many: Vec<_> = (0x7000..0x7020).map(unknown).collect();
    let mut request = client.build(ALLOCATE, &[]);
    for one in &many {
        request.add_attribute(one).unwrap();
    }
    request.add_attribute(&Username::new(&client.username).unwrap()).unwrap();
    request.add_attribute(&Realm::new(&client.realm).unwrap()).unwrap();
    request.add_attribute(&Nonce::new(&client.nonce).unwrap()).unwrap();
    let offered = [PasswordAlgorithmValue::SHA256, PasswordAlgorithmValue::MD5];
    request.add_attribute(&PasswordAlgorithms::new(&offered)).unwrap();
    request.add_attribute(&PasswordAlgorithm::new(PasswordAlgorithmValue::SHA256)).unwrap();
    request.add_message_integrity(&client.key().into(), IntegrityAlgorithm::Sha256).unwrap();
    request.add_fingerprint().unwrap();
    let reply = client.exchange(&mut world, &request.finish());
    assert_eq!(code(&reply), Some(420));
    let message = Message::from_bytes(&reply).unwrap();
    assert!(message.has_attribute(stun_types::attribute::Fingerprint::TYPE), "nothing was left out");
    assert!(reply.len() + 64 <= crate::stun::MAX_REPLY, "there is room to spare");
}

#[test]
fn an_answer_has_a_fingerprint_when_the_request_had_one() {
    let mut world = World::new();
    let mut client = Client::new(&mut world, PHONE);
    for wanted in [false, true] {
        let mut message = client.build(ALLOCATE, &[]);
        if wanted {
            message.add_fingerprint().unwrap();
        }
        let (_, replies) = world.client(&message.finish(), client.five_tuple);
        let reply = Message::from_bytes(&replies[0]).unwrap();
        assert_eq!(reply.has_attribute(stun_types::attribute::Fingerprint::TYPE), wanted);
        assert!(!reply.has_attribute(stun_types::attribute::Software::TYPE));
    }
}
