//! What must hold after every input, checked from the inside. For tests and fuzzing.

use std::collections::BTreeSet;

use base::Storage;
use rand_core::{CryptoRng, RngCore};
use wire::Kind;

use super::machine::Mailbox;
use super::session::{ANSWERS, BAD_SIGNATURES, CREDENTIAL_REQUESTS, Session};

/// Panics when an invariant of the mailbox does not hold.
pub fn assert_invariants<S: Storage, R: RngCore + CryptoRng>(mailbox: &Mailbox<S, R>) {
    assert_places(mailbox);
    assert_arena(mailbox);
    assert!(mailbox.sessions.len() <= mailbox.config.sessions as usize, "sessions");
    for (id, session) in &mailbox.sessions {
        for subscription in &session.subscriptions {
            let place = mailbox.store.get(subscription.place).expect("a subscription has a mailbox");
            assert!(place.readers.contains(id), "a subscription is known to its mailbox");
        }
        assert_session(mailbox, session);
    }
}

fn assert_places<S: Storage, R>(mailbox: &Mailbox<S, R>) {
    let config = &mailbox.config;
    let (mut envelopes, mut blocks) = (0, 0);
    assert!(mailbox.store.len() <= config.mailboxes as usize, "mailboxes");
    for (id, place) in mailbox.store.places() {
        let sizes: Vec<(u64, u32)> = place.sizes().collect();
        assert!(sizes.is_sorted_by(|one, other| one.0 < other.0), "numbers rise");
        assert!(sizes.iter().all(|(seq, _)| *seq < place.next), "numbers are below the next one");
        assert_eq!(sizes.iter().map(|(_, blocks)| blocks).sum::<u32>(), place.blocks, "blocks of a mailbox");
        assert!(place.envelopes() <= config.envelopes_per_mailbox, "envelopes per mailbox");
        assert!(place.blocks <= config.blocks_per_mailbox, "blocks per mailbox");
        assert!(place.envelopes() != 0 || !place.readers.is_empty(), "a vacant mailbox vanishes");
        let readers = if place.kind == Kind::Queue { 1 } else { config.readers_per_log as usize };
        assert!(place.readers.len() <= readers, "readers");
        for reader in &place.readers {
            let session = mailbox.sessions.get(reader).expect("a reader is a session");
            let subscriptions = session.subscriptions.iter().filter(|s| s.place == id).count();
            assert_eq!(subscriptions, 1, "a reader has one subscription");
        }
        assert!(mailbox.store.expires_in_time(id), "a deadline is not after the first expiry");
        envelopes += place.envelopes();
        blocks += place.blocks;
    }
    assert_eq!(envelopes, mailbox.store.envelopes(), "envelopes of the node");
    assert_eq!(blocks, mailbox.store.arena().used_blocks(), "blocks of the node");
    assert!(mailbox.store.is_shared_use_right(), "shared blocks");
}

fn assert_arena<S: Storage, R>(mailbox: &Mailbox<S, R>) {
    let blocks = mailbox.store.arena().expose_storage().as_ref().chunks(wire::BLOCK);
    let dirty = blocks.filter(|block| **block != [0; wire::BLOCK]).count();
    assert!(dirty <= mailbox.store.arena().used_blocks() as usize, "what is not held is zero");
}

fn assert_session<S: Storage, R>(mailbox: &Mailbox<S, R>, session: &Session) {
    let config = &mailbox.config;
    assert!(session.subscriptions.len() <= config.subscriptions as usize, "subscriptions");
    assert!(session.answers() <= ANSWERS + config.subscriptions as usize, "answers");
    assert!(session.credential_requests.len() <= CREDENTIAL_REQUESTS, "requests for credentials");
    assert!(session.closing.is_some() || session.bad_signatures < BAD_SIGNATURES, "wrong signatures");
    assert!(session.closing.is_none() || session.subscriptions.is_empty(), "a closing session reads nothing");
    assert!(session.in_flight <= config.window, "window");

    let in_flight: u32 = session.subscriptions.iter().map(|subscription| subscription.in_flight).sum();
    assert_eq!(in_flight, session.in_flight, "in flight, of the session");
    let turns: BTreeSet<_> = session.turns.iter().copied().collect();
    assert_eq!(turns.len(), session.turns.len(), "one turn each");
    let with_turn: BTreeSet<_> =
        session.subscriptions.iter().filter(|subscription| subscription.has_turn).map(|s| s.place).collect();
    assert_eq!(turns, with_turn, "turns");

    for subscription in &session.subscriptions {
        let waits = mailbox.store.next_from(subscription.place, subscription.cursor).is_some();
        assert!(subscription.has_turn || !waits, "what waits has a turn");
        let queue = subscription.kind == Kind::Queue;
        if queue {
            let below = mailbox.store.count_below(subscription.place, subscription.cursor);
            assert_eq!(below, subscription.in_flight, "in flight, of a queue");
        }
        let can_go = waits && !(queue && session.in_flight >= config.window);
        assert!(session.woken || !can_go, "what can be delivered was announced");
    }
    assert!(session.woken || session.answers() == 0, "answers were announced");
}
