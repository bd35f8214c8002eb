//! Our framing against the RFC's test vectors and against another codec.

use core::net::SocketAddr;

use proptest::prelude::*;
use stun_types::attribute::{Attribute as _, Software, XorMappedAddress};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, LongTermKeyCredentials, Message as Theirs, MessageWrite, MessageWriteExt,
    MessageWriteVec,
};

use super::*;

fn client(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn binding() -> MessageWriteVec {
    Theirs::builder_request(BINDING, MessageWriteVec::new())
}

fn answer(request: &[u8], from: &str) -> Option<Vec<u8>> {
    answer_binding(&Message::decode(request).unwrap(), client(from)).map(|reply| reply.as_bytes().to_vec())
}

// RFC 5769, 2.4: long-term credentials, user "マトリックス", password "TheMatrIX", realm "example.org".
#[test]
fn the_test_vector_for_long_term_credentials_is_verified() {
    let request: Vec<u8> = [
        "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b90000",
        "0015001c662f2f3439396b39353464364f4c33346f4c39465354767936347341",
        "0014000b6578616d706c652e6f72670000080014f67024656dd64a3e02b8e0712e85c9a28ca89666",
    ]
    .concat()
    .as_bytes()
    .chunks(2)
    .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap())
    .collect();
    let message = Message::decode(&request).unwrap();
    let name = "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}";
    assert!(message.verify(&IntegrityKey::md5(name, "example.org", "TheMatrIX")));
    assert!(!message.verify(&IntegrityKey::md5(name, "example.org", "TheMatrix")));
}

#[test]
fn a_binding_request_is_answered_with_the_address_it_came_from() {
    for from in ["192.0.2.1:1234", "[2001:db8::1]:65535", "0.0.0.0:0"] {
        for fingerprint in [false, true] {
            let mut request = binding();
            if fingerprint {
                request.add_fingerprint().unwrap();
            }
            let request = request.finish();
            let reply = answer(&request, from).unwrap();
            let theirs = Theirs::from_bytes(&reply).unwrap();
            assert!(theirs.has_class(stun_types::message::MessageClass::Success));
            let mapped = theirs.attribute::<XorMappedAddress>().unwrap();
            assert_eq!(mapped.addr(theirs.transaction_id()), client(from));
            assert_eq!(Message::decode(&reply).unwrap().has_fingerprint(), fingerprint);
            assert!(reply.len() <= request.len() + 24);
        }
    }
}

#[test]
fn a_binding_request_with_something_unknown_in_it_is_refused() {
    let mut request = binding();
    request.add_attribute(&stun_types::attribute::RawAttribute::new(0x0024.into(), &[0; 4])).unwrap();
    let reply = answer(&request.finish(), "192.0.2.1:1").unwrap();
    let theirs = Theirs::from_bytes(&reply).unwrap();
    assert_eq!(theirs.attribute::<stun_types::attribute::ErrorCode>().unwrap().code(), 420);
}

#[test]
fn only_binding_requests_are_answered() {
    let indication = Theirs::builder_indication(BINDING, MessageWriteVec::new()).finish();
    assert!(answer(&indication, "192.0.2.1:1").is_none());
    let reply = answer(&binding().finish(), "192.0.2.1:1").unwrap();
    assert!(answer(&reply, "192.0.2.1:1").is_none(), "two servers must not answer each other for ever");
}

#[test]
fn a_damaged_fingerprint_and_what_follows_it_are_refused() {
    let mut request = binding();
    request.add_attribute(&Software::new("x").unwrap()).unwrap();
    request.add_fingerprint().unwrap();
    let good = request.finish();
    assert!(Message::decode(&good).is_ok());
    // Two bytes are left out: with another type it is no fingerprint, but something unknown that is ignored.
    for at in (8..28).chain(30..good.len()) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(Message::decode(&bad).is_err(), "byte {at}");
    }
    let mut longer = good.clone();
    longer.extend_from_slice(&[0x80, 0x22, 0, 0]);
    longer[3] += 4;
    assert!(Message::decode(&longer).is_err());
}

// RFC 8489, 14.5: attributes after MESSAGE-INTEGRITY are ignored.
#[test]
fn what_follows_the_integrity_is_not_seen() {
    let key = LongTermKeyCredentials::new("u".into(), "p".into(), "r".into());
    let mut request = binding();
    request.add_message_integrity(&key.into(), IntegrityAlgorithm::Sha1).unwrap();
    let mut bytes = request.finish();
    bytes.extend_from_slice(&[0x00, 0x06, 0, 1, b'x', 0, 0, 0]);
    let length = u16::try_from(bytes.len() - HEADER_LEN).unwrap();
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    let message = Message::decode(&bytes).unwrap();
    assert_eq!(message.attributes().count(), 0);
    assert!(message.verify(&IntegrityKey::md5("u", "r", "p")));
}

#[test]
fn a_cut_or_wrongly_sized_integrity_is_refused() {
    for (kind, length) in [(0x0008, 16), (0x0008, 24), (0x001C, 16), (0x001C, 28), (0x001C, 36)] {
        let mut bytes = binding().finish();
        bytes.extend_from_slice(&[0, kind, 0, length]);
        bytes.resize(HEADER_LEN + 4 + usize::from(length), 0);
        bytes[3] = 4 + length;
        assert_eq!(Message::decode(&bytes).err(), Some(DecodeError::MalformedAttribute));
    }
}

#[test]
fn a_length_that_is_not_that_of_the_datagram_is_refused() {
    let good = binding().finish();
    for (length, extra) in [(4, 0), (0, 4), (2, 2), (0xFFFC, 0)] {
        let mut bytes = good.clone();
        bytes[2..4].copy_from_slice(&u16::to_be_bytes(length));
        bytes.resize(bytes.len() + extra, 0);
        assert!(Message::decode(&bytes).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(data in proptest::collection::vec(any::<u8>(), 0..200)) {
        fuzzing::decode(&data);
    }

    #[test]
    fn whatever_we_accept_the_other_codec_reads_the_same(
        kinds in proptest::collection::vec((any::<u16>(), proptest::collection::vec(any::<u8>(), 0..12)), 0..6),
        fingerprint in any::<bool>(),
    ) {
        let mut message = binding();
        for (kind, value) in &kinds {
            // Integrity and fingerprint have their own place and form.
            if ![0x0008, 0x001C, 0x8028].contains(kind) {
                let raw = stun_types::attribute::RawAttribute::new((*kind).into(), value);
                prop_assume!(message.add_attribute(&raw).is_ok());
            }
        }
        if fingerprint {
            message.add_fingerprint().unwrap();
        }
        let bytes = message.finish();
        let ours = Message::decode(&bytes).unwrap();
        let theirs = Theirs::from_bytes(&bytes).unwrap();
        let read: Vec<(u16, Vec<u8>)> = ours.attributes().map(|a| (a.kind, a.value.to_vec())).collect();
        let wanted: Vec<(u16, Vec<u8>)> = theirs
            .iter_attributes()
            .filter(|(_, a)| a.get_type().value() != 0x8028)
            .map(|(_, a)| (a.get_type().value(), a.value.to_vec()))
            .collect();
        prop_assert_eq!(read, wanted);
        for attribute in ours.attributes() {
            prop_assert_eq!(&bytes[attribute.offset..attribute.offset + attribute.value.len()], attribute.value);
        }
    }

    #[test]
    fn what_the_other_codec_signs_we_verify(name in "[a-z:0-9]{1,40}", password in "[!-~]{1,40}", sha256 in any::<bool>()) {
        let theirs = LongTermKeyCredentials::new(name.clone(), password.clone(), "realm".into());
        let algorithm = if sha256 { IntegrityAlgorithm::Sha256 } else { IntegrityAlgorithm::Sha1 };
        let mut message = binding();
        message.add_message_integrity(&theirs.into(), algorithm).unwrap();
        let bytes = message.finish();
        let ours = if sha256 {
            IntegrityKey::sha256(&name, "realm", &password)
        } else {
            IntegrityKey::md5(&name, "realm", &password)
        };
        let message = Message::decode(&bytes).unwrap();
        prop_assert!(message.verify(&ours));
        prop_assert!(!message.verify(&IntegrityKey::md5(&name, "another", &password)));
    }
}
