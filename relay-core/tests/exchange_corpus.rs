//! Every input that a search has found is played again, and a short search goes along.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use relay_core::exchange::fuzzing::exchange;

#[test]
fn the_corpus_of_sessions_by_requests_holds() {
    let folder = format!("{}/../ci/fuzz/corpus/session_exchange", env!("CARGO_MANIFEST_DIR"));
    let mut played = 0;
    for file in std::fs::read_dir(folder).expect("the corpus is committed") {
        exchange(&std::fs::read(file.unwrap().path()).unwrap());
        played += 1;
    }
    assert!(played > 0);
}

proptest! {
    #[test]
    fn any_numbers_in_any_order_hold(data in prop::collection::vec(0_u8..40, 0..400)) {
        exchange(&data);
    }
}
