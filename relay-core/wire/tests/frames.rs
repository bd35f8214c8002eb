//! Every frame decodes to what was encoded, and nothing else decodes.

use proptest::prelude::*;
use wire::{
    Address, BLOCK, Challenge, ClientFrame, DecodeError, Kind, Limits, MAX_FRAME, NodeFrame, Reason, Ttl,
};

fn encoded(frame: &ClientFrame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes
}

fn deposit(envelope: &[u8]) -> ClientFrame<'_> {
    ClientFrame::Deposit { req: 1, address: Address::from_bytes([3; 32]), ttl: Ttl::Long, envelope }
}

#[test]
fn every_reason_stands_in_the_description_of_the_protocol_with_its_number() {
    let cddl = include_str!("../../../docs/protocol/session.cddl");
    for reason in Reason::ALL {
        let mut bye = Vec::new();
        NodeFrame::Bye { reason }.encode(&mut bye);
        // A small number is one byte, the last one of this frame.
        let line = format!("    {}: {},\n", reason.word().replace('_', "-"), bye[bye.len() - 1]);
        assert!(cddl.contains(&line), "{line}");
    }
    let described = cddl.split("reason = &(").nth(1).and_then(|rest| rest.split(')').next()).unwrap();
    assert_eq!(described.matches(':').count(), Reason::ALL.len());
}

#[test]
fn an_envelope_that_is_not_whole_blocks_is_refused() {
    for len in [0, 1, BLOCK - 1, BLOCK + 1] {
        let envelope = vec![0; len];
        assert_eq!(ClientFrame::decode(&encoded(&deposit(&envelope))), Err(DecodeError::Unpadded), "{len}");
    }
    let whole = vec![0; BLOCK];
    assert!(ClientFrame::decode(&encoded(&deposit(&whole))).is_ok());
}

#[test]
fn the_largest_envelope_fits_into_the_largest_frame() {
    let envelope = vec![0; wire::MAX_ENVELOPE];
    let append = ClientFrame::Append {
        req: u32::MAX,
        address: Address::from_bytes([255; 32]),
        expected: Some(u64::MAX),
        ttl: Ttl::Long,
        envelope: &envelope,
    };
    assert!(encoded(&append).len() <= MAX_FRAME);
    let mut bytes = Vec::new();
    NodeFrame::Deliver { address: Address::from_bytes([255; 32]), seq: u64::MAX, envelope: &envelope }
        .encode(&mut bytes);
    assert!(bytes.len() <= MAX_FRAME);
}

#[test]
fn bytes_after_a_frame_are_refused() {
    let mut bytes = encoded(&ClientFrame::Ping { nonce: 7 });
    bytes.push(0);
    assert_eq!(ClientFrame::decode(&bytes), Err(DecodeError::Trailing));
}

#[test]
fn a_frame_that_is_too_large_is_refused_before_it_is_read() {
    assert_eq!(ClientFrame::decode(&vec![0; MAX_FRAME + 1]), Err(DecodeError::TooLarge));
}

#[test]
fn a_credential_that_is_too_long_is_refused() {
    let long = "n".repeat(wire::MAX_CREDENTIAL + 1);
    for (username, password) in [(long.as_str(), "word"), ("name", long.as_str())] {
        let bytes = encoded(&ClientFrame::KeepCredentials { username, password });
        assert_eq!(ClientFrame::decode(&bytes), Err(DecodeError::Malformed));
    }
    let longest = &long[1..];
    let kept = ClientFrame::KeepCredentials { username: longest, password: longest };
    assert_eq!(ClientFrame::decode(&encoded(&kept)), Ok(kept));
}

#[test]
fn every_truncation_of_a_frame_is_refused() {
    let envelope = vec![0; BLOCK];
    let bytes = encoded(&deposit(&envelope));
    for len in 0..bytes.len() {
        assert!(ClientFrame::decode(&bytes[..len]).is_err(), "{len} bytes");
    }
}

/// The bytes of each frame, so that a change of the format shows in review.
#[test]
fn the_bytes_of_the_frames_are_these() {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    assert_eq!(hex(&encoded(&ClientFrame::Ping { nonce: 7 })), "82068107");
    assert_eq!(hex(&encoded(&ClientFrame::RequestCredentials { req: 2 })), "82058102");
    let kept = ClientFrame::KeepCredentials { username: "1:a", password: "b" };
    assert_eq!(hex(&encoded(&kept)), "8207826331 3a616162".replace(' ', ""));
    assert_eq!(hex(&encoded(&ClientFrame::Leave)), "820880");
    let mut bytes = Vec::new();
    NodeFrame::Refused { req: 2, reason: Reason::Conflict, retry_s: 0, next: 9 }.encode(&mut bytes);
    assert_eq!(hex(&bytes), "8206840206 0009".replace(' ', ""));
    bytes.clear();
    let limits = Limits { envelope: 65536, ttl_s: 3600, idle_s: 60, subscriptions: 64 };
    NodeFrame::Welcome { instance: [1; 16], challenge: Challenge([2; 32]), turn_port: 3478, limits }
        .encode(&mut bytes);
    assert_eq!(
        hex(&bytes),
        format!("82008450{}5820{}190d96841a00010000190e10183c1840", "01".repeat(16), "02".repeat(32))
    );
}

#[test]
fn a_head_and_an_envelope_are_a_delivery() {
    let envelope = vec![0x5a; 3 * BLOCK];
    for seq in [1, 23, 24, 1 << 40, u64::MAX] {
        let address = Address::from_bytes([9; 32]);
        let (mut whole, mut parts) = (Vec::new(), Vec::new());
        NodeFrame::Deliver { address, seq, envelope: &envelope }.encode(&mut whole);
        wire::encode_deliver_head(&address, seq, envelope.len(), &mut parts);
        parts.extend_from_slice(&envelope);
        assert_eq!(whole, parts);
    }
}

fn frames() -> impl Strategy<Value = (u8, u32, [u8; 32], Option<u64>, usize, u64, usize)> {
    (0_u8..9, any::<u32>(), any::<[u8; 32]>(), any::<Option<u64>>(), 0_usize..4, any::<u64>(), 1_usize..=16)
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_itself((which, req, id, expected, ttl, seq, blocks) in frames()) {
        let envelope = vec![0x5a; blocks * BLOCK];
        let address = Address::from_bytes(id);
        let ttl = Ttl::ALL[ttl];
        let key = ed25519_dalek::SigningKey::from_bytes(&id);
        let challenge = Challenge(id);
        let frame = match which {
            0 => ClientFrame::Subscribe {
                req,
                kind: Kind::Log,
                key: wire::ReceiveKey::of(&key),
                signature: wire::Signature::subscribe(&key, Kind::Log, &challenge),
                from: seq,
            },
            1 => ClientFrame::Unsubscribe { address },
            2 => ClientFrame::Deposit { req, address, ttl, envelope: &envelope },
            3 => ClientFrame::Append { req, address, expected, ttl, envelope: &envelope },
            4 => ClientFrame::Acknowledge { address, first: seq.min(u64::from(req)), last: seq },
            5 => ClientFrame::RequestCredentials { req },
            6 => ClientFrame::KeepCredentials { username: &"n".repeat(blocks), password: "word" },
            7 => ClientFrame::Leave,
            _ => ClientFrame::Ping { nonce: req },
        };
        let bytes = encoded(&frame);
        prop_assert_eq!(ClientFrame::decode(&bytes), Ok(frame));
    }

    #[test]
    fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        wire::fuzzing::client_frame(&bytes);
        wire::fuzzing::node_frame(&bytes);
        wire::fuzzing::join_link(&bytes);
        wire::fuzzing::batch(&bytes);
        wire::fuzzing::handshake(&bytes);
        wire::fuzzing::pieces(&bytes);
    }
}

/// Every input that a search has found is played again.
#[test]
fn the_corpora_hold() {
    play("wire_client_frame", wire::fuzzing::client_frame);
    play("wire_node_frame", wire::fuzzing::node_frame);
    play("wire_join_link", wire::fuzzing::join_link);
    play("wire_batch", wire::fuzzing::batch);
    play("wire_handshake", wire::fuzzing::handshake);
    play("wire_pieces", wire::fuzzing::pieces);
}

fn play(target: &str, body: fn(&[u8])) {
    let folder = format!("{}/../../ci/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut played = 0;
    for file in std::fs::read_dir(folder).expect("the corpus is committed") {
        body(&std::fs::read(file.expect("a file of the corpus").path()).expect("it can be read"));
        played += 1;
    }
    assert!(played > 0, "{target}");
}
