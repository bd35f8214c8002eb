//! Every input that a search has found is played again, and a short search goes along.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use relay_core::{stun, turn};

fn play(target: &str, body: fn(&[u8])) {
    let folder = format!("{}/../ci/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut played = 0;
    for file in std::fs::read_dir(folder).expect("the corpus is committed") {
        body(&std::fs::read(file.unwrap().path()).unwrap());
        played += 1;
    }
    assert!(played > 0);
}

#[test]
fn the_corpus_of_stun_messages_holds() {
    play("stun_decode", stun::fuzzing::decode);
}

#[test]
fn the_corpus_of_client_inputs_holds() {
    play("turn_client_input", turn::fuzzing::client_input);
}

#[test]
fn the_corpus_of_peer_inputs_holds() {
    play("turn_peer_input", turn::fuzzing::peer_input);
}

#[test]
fn the_corpus_of_streams_holds() {
    play("turn_stream", turn::fuzzing::stream);
}

/// One thing that a client, a peer or time does, more often sensible than not.
fn operation() -> impl Strategy<Value = Vec<u8>> {
    let attribute = (
        prop_oneof![
            Just(0x000D_u16),
            Just(0x0012),
            Just(0x000C),
            Just(0x0019),
            Just(0x0017),
            Just(0x0018),
            Just(0x8000),
            any::<u16>()
        ],
        prop_oneof![
            Just(vec![0x11, 0, 0, 0]),
            Just(vec![0x40, 0, 0, 0]),
            Just(vec![0, 0, 0, 0]),
            Just(vec![2, 0, 0, 0]),
            // 192.0.2.2:9, written as XOR-PEER-ADDRESS.
            Just(vec![0, 1, 0x21, 0x1B, 0xE1, 0x12, 0xA6, 0x40]),
            proptest::collection::vec(any::<u8>(), 0..21),
        ],
    )
        .prop_map(|(kind, value)| {
            let mut bytes = kind.to_be_bytes().to_vec();
            bytes.push(u8::try_from(value.len()).unwrap());
            bytes.extend(value);
            bytes
        });
    let request = (
        prop_oneof![Just(3_u8), Just(4), Just(8), Just(9), 0..16_u8],
        proptest::collection::vec(attribute, 0..4),
    )
        .prop_map(|(method, attributes)| [vec![0, method], attributes.concat()].concat());
    let data = proptest::collection::vec(any::<u8>(), 0..60);
    let channel_data = Just(vec![0x40, 0, 0, 1, 7]);
    prop_oneof![
        4 => request.prop_map(|bytes| (1, bytes)),
        1 => data.clone().prop_map(|bytes| (0, bytes)),
        1 => channel_data.prop_map(|bytes| (0, bytes)),
        1 => (0..12_u8, data.clone()).prop_map(|(which, bytes)| (which * 4 + 2, bytes)),
        1 => data.prop_map(|bytes| (3, bytes)),
    ]
    .prop_map(|(what, bytes)| [vec![what, u8::try_from(bytes.len()).unwrap()], bytes].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_from_a_client_are_survived(data in proptest::collection::vec(any::<u8>(), 0..400)) {
        turn::fuzzing::client_input(&data);
    }

    #[test]
    fn any_requests_with_a_good_password_are_survived(operations in proptest::collection::vec(operation(), 0..30)) {
        turn::fuzzing::client_input(&operations.concat());
    }

    #[test]
    fn any_bytes_from_a_peer_are_survived(data in proptest::collection::vec(any::<u8>(), 0..400)) {
        turn::fuzzing::peer_input(&data);
    }
}
