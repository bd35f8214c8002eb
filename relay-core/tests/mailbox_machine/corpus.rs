//! Every input that a search has found is played again.

#[test]
fn the_corpus_of_sessions_holds() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../ci/fuzz/corpus/mailbox_session");
    let mut played = 0;
    for file in std::fs::read_dir(folder).expect("the corpus is committed") {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        relay_core::mailbox::fuzzing::session(&bytes);
        played += 1;
    }
    assert!(played > 0);
}
