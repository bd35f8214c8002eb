//! Replays what fuzzing has found, and what it starts from.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

use appliance_core::fuzzing;
use std::path::Path;

fn replay(target: &str, body: fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ci/fuzz/corpus").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(&dir).unwrap() {
        body(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert_ne!(count, 0, "the corpus of {target} is empty");
}

#[test]
fn the_corpus_of_settings_holds_no_surprise() {
    replay("settings", fuzzing::settings);
}

#[test]
fn the_corpus_of_site_settings_holds_no_surprise() {
    replay("site_settings", fuzzing::site);
}

#[test]
fn the_corpus_of_box_states_holds_no_surprise() {
    replay("box_state", fuzzing::box_state);
}

#[test]
fn the_corpus_of_stored_pki_holds_no_surprise() {
    replay("stored_pki", fuzzing::stored_pki);
}

#[test]
fn the_corpus_of_dns_query_holds_no_surprise() {
    replay("dns_query", fuzzing::dns_query);
}

#[test]
fn the_corpus_of_networkd_lease_holds_no_surprise() {
    replay("networkd_lease", fuzzing::networkd_lease);
}

#[test]
fn the_corpus_of_arp_holds_no_surprise() {
    replay("arp", fuzzing::arp);
}

#[test]
fn the_corpus_of_memory_room_holds_no_surprise() {
    replay("memory_room", fuzzing::memory_room);
}

#[test]
fn the_corpus_of_claim_request_holds_no_surprise() {
    replay("claim_request", fuzzing::claim_request);
}

#[test]
fn the_corpus_of_supplied_certificate_holds_no_surprise() {
    replay("supplied_certificate", fuzzing::supplied_certificate);
}

#[test]
fn the_corpus_of_the_kernels_words_about_radios_holds_no_surprise() {
    replay("wifi_nl80211", appliance_core::wifi::fuzzing::nl80211);
}

#[test]
fn the_corpus_of_what_hostapd_says_holds_no_surprise() {
    replay("wifi_hostapd", appliance_core::wifi::fuzzing::hostapd);
}

#[test]
fn the_start_of_a_real_authority_cut_anywhere_is_never_replaced() {
    // Made here, since no key is ever committed.
    use appliance_core::pki::{Identity, Stored, plan};
    let now = base::UnixSeconds(1_800_000_000);
    let first = plan(&Stored::default(), &Identity::default(), now, now).unwrap();
    let files: Vec<&[u8]> = first.writes.iter().map(|write| write.contents.as_slice()).collect();
    // In the order of `Stored`: the plan writes keys first.
    let [ca_key, ca_certificate, leaf_key, leaf_certificate] = files[..] else { panic!("four files") };
    let whole = [ca_certificate, ca_key, leaf_certificate, leaf_key].join(&0);
    for end in (0..whole.len()).step_by(7) {
        fuzzing::stored_pki(&whole[..end]);
    }
    fuzzing::stored_pki(&whole);
}
