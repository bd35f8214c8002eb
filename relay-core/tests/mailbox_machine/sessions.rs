//! Sessions: how they begin, who may read, and how they end.

use relay_core::mailbox::{Cause, Config, Event, OpenRefused, Violation};
use wire::{BLOCK, ClientFrame, Kind, NodeFrame, Reason, ReceiveKey, Signature, Ttl};

use crate::harness::{Heard, Node, key, queue, seconds};

fn node() -> Node {
    Node::new(Config { turn_port: 3478, ..Config::default() }, 64)
}

fn signed(node: &Node, asked_in: relay_core::mailbox::SessionId, seed: u8) -> ClientFrame<'static> {
    let signature = Signature::subscribe(&key(seed), Kind::Queue, &node.challenge(asked_in));
    ClientFrame::Subscribe { req: 1, kind: Kind::Queue, key: ReceiveKey::of(&key(seed)), signature, from: 0 }
}

#[test]
fn the_first_frame_names_the_limits_of_the_node() {
    let mut node = node();
    let id = node.mailbox.open_session(node.now).unwrap();
    assert_eq!(node.events(), [Event::Wake(id)]);
    let mut bytes = Vec::new();
    assert!(node.mailbox.poll_transmit(id, node.now, &mut bytes));
    let Ok(NodeFrame::Welcome { turn_port, limits, .. }) = NodeFrame::decode(&bytes) else { panic!() };
    assert_eq!((turn_port, limits.idle_s, limits.envelope as usize), (3478, 90, 16 * BLOCK));
}

#[test]
fn every_session_has_a_challenge_of_its_own_and_all_have_one_instance() {
    let mut node = node();
    let heard: Vec<_> = (0..2)
        .map(|_| {
            let id = node.mailbox.open_session(node.now).unwrap();
            node.pull(id)
        })
        .collect();
    let [
        Some(Heard::Welcome { instance: a, challenge: c }),
        Some(Heard::Welcome { instance: b, challenge: d }),
    ] = heard.as_slice()
    else {
        panic!()
    };
    assert_eq!(a, b);
    assert_ne!(c, d);
}

#[test]
fn a_signature_made_for_another_session_is_refused() {
    let mut node = node();
    let (victim, thief) = (node.open(), node.open());
    let replayed = signed(&node, victim, 1);
    assert_eq!(node.ask(thief, &replayed).refusal(), Some(Reason::BadSignature));
    assert_eq!(node.mailbox.counters().subscriptions, 0);
    assert!(matches!(node.ask(victim, &replayed), Heard::Subscribed { .. }));
}

#[test]
fn a_session_that_keeps_sending_wrong_signatures_is_closed() {
    let mut node = node();
    let (victim, thief) = (node.open(), node.open());
    let replayed = signed(&node, victim, 1);
    node.ask(thief, &replayed);
    node.ask(thief, &replayed);
    assert_eq!(node.send(thief, &replayed), Err(Violation { reason: Reason::BadSignature }));
    let last = node.pull_all(thief).pop();
    assert_eq!(last, Some(Heard::Bye { reason: Reason::BadSignature }));
    assert!(matches!(node.ask(victim, &replayed), Heard::Subscribed { .. }), "and nobody else is hurt");
}

#[test]
fn what_is_no_frame_closes_the_session_and_keeps_what_was_deposited() {
    let mut node = node();
    let client = node.open();
    node.deposit(client, queue(1), 7);
    let now = node.now;
    for bytes in [&b""[..], b"\xff", &vec![0; wire::MAX_FRAME + 1]] {
        let other = node.open();
        let malformed = Err(Violation { reason: Reason::Malformed });
        assert_eq!(node.mailbox.handle_frame(other, bytes, now), malformed);
        assert_eq!(node.pull_all(other), [Heard::Bye { reason: Reason::Malformed }]);
        assert_eq!(node.send(other, &ClientFrame::Ping { nonce: 1 }), malformed, "it takes no more frames");
        node.close(other);
    }
    assert!(node.holds(7));
    assert_eq!(node.mailbox.counters().violations, 3);
}

#[test]
fn a_silent_session_is_closed_and_a_pinging_one_is_not() {
    let mut node = node();
    let (silent, pinging) = (node.open(), node.open());
    node.subscribe(silent, Kind::Queue, &key(1), 0);
    node.pull_all(pinging);
    node.pass(seconds(60));
    assert_eq!(node.ask(pinging, &ClientFrame::Ping { nonce: 4 }), Heard::Pong { nonce: 4 });
    node.pull_all(pinging);
    node.events();
    node.pass(seconds(30));
    assert_eq!(node.events(), [Event::Close { session: silent, reason: Reason::Idle }]);
    assert_eq!(node.pull_all(silent), [Heard::Bye { reason: Reason::Idle }]);
    node.close(silent);
    assert_eq!((node.mailbox.counters().sessions, node.mailbox.counters().mailboxes), (1, 0));
    node.pass(seconds(59));
    assert_eq!(node.events(), []);
    node.pass(seconds(1));
    assert_eq!(node.events(), [Event::Close { session: pinging, reason: Reason::Idle }]);
}

#[test]
fn a_purge_overwrites_all_and_tells_every_client_that_memory_was_lost() {
    let mut node = node();
    let (sender, reader) = (node.open(), node.open());
    let id = node.mailbox.open_session(node.now).unwrap();
    let Some(Heard::Welcome { instance: before, .. }) = node.pull(id) else { panic!() };
    node.subscribe(reader, Kind::Queue, &key(1), 0);
    node.deposit_for(sender, queue(1), 0xc5, Ttl::Brief, 2);
    node.events();
    node.mailbox.purge(Cause::Panic);
    assert!(node.mailbox.expose_storage().iter().all(|byte| *byte == 0));
    let closed: Vec<_> =
        [sender, reader, id].map(|session| Event::Close { session, reason: Reason::Shutdown }).into();
    assert_eq!(node.events(), closed);
    for session in [sender, reader, id] {
        assert_eq!(node.pull_all(session), [Heard::Bye { reason: Reason::Shutdown }]);
        node.close(session);
    }
    assert_eq!(node.mailbox.counters().purged_by(Cause::Panic), 1);
    assert_eq!(node.mailbox.held_sessions(None, node.now).count(), 0);
    assert_eq!(node.mailbox.held_mailboxes(0, node.now).count(), 0);
    assert_eq!(node.mailbox.poll_timeout(), None);
    let id = node.mailbox.open_session(node.now).unwrap();
    let Some(Heard::Welcome { instance: after, .. }) = node.pull(id) else { panic!() };
    assert_ne!(before, after);
}

#[test]
fn credentials_come_from_the_owner_and_leave_nothing_behind() {
    let mut node = node();
    let client = node.open();
    node.pull_all(client);
    node.events();
    node.send(client, &ClientFrame::RequestCredentials { req: 9 }).unwrap();
    assert_eq!(node.events(), [Event::CredentialsWanted { session: client, req: 9 }]);
    node.mailbox.grant_credentials(client, 8, "nobody", "asked", 60);
    assert_eq!(node.pull(client), None);
    node.mailbox.grant_credentials(client, 9, "name", "word", 60);
    assert_eq!(node.events(), [Event::Wake(client)]);
    let granted = Heard::Credentials { req: 9, username: "name".into(), password: "word".into(), ttl_s: 60 };
    assert_eq!(node.pull_all(client), [granted]);
    node.mailbox.grant_credentials(client, 9, "name", "word", 60);
    assert_eq!(node.pull(client), None, "a request is answered once");
    node.send(client, &ClientFrame::RequestCredentials { req: 10 }).unwrap();
    node.mailbox.refuse_credentials(client, 10);
    assert_eq!(node.pull(client).and_then(|heard| heard.refusal()), Some(Reason::NoTurn));
}

#[test]
fn what_a_client_shows_and_that_it_leaves_is_told_and_not_kept() {
    let mut node = node();
    let client = node.open();
    node.pull_all(client);
    node.events();
    node.send(client, &ClientFrame::KeepCredentials { username: "name", password: "word" }).unwrap();
    let events = node.events();
    let [Event::CredentialsShown { session, shown }] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((*session, shown.username.as_str(), shown.password.as_str()), (client, "name", "word"));
    assert!(!format!("{events:?}").contains("word"));
    node.send(client, &ClientFrame::Leave).unwrap();
    assert_eq!(node.events(), [Event::Left(client)]);
    assert_eq!(node.pull(client), None, "neither is answered");
    assert!(node.send(client, &ClientFrame::Ping { nonce: 1 }).is_ok(), "closing is for the client to do");
}

#[test]
fn a_node_without_turn_says_so() {
    let mut node = Node::new(Config::default(), 16);
    let client = node.open();
    let answer = node.ask(client, &ClientFrame::RequestCredentials { req: 9 });
    assert_eq!(answer, Heard::Refused { req: 9, reason: Reason::NoTurn, retry_s: 0, next: 0 });
}

#[test]
fn a_closed_session_is_no_session() {
    let mut node = node();
    let client = node.open();
    node.close(client);
    node.close(client);
    assert!(node.send(client, &ClientFrame::Ping { nonce: 1 }).is_err());
    assert_eq!(node.pull(client), None);
    node.mailbox.grant_credentials(client, 1, "name", "word", 60);
    assert_eq!(node.events(), []);
    assert_eq!(node.mailbox.poll_timeout(), None);
}

#[test]
fn a_node_with_all_its_sessions_refuses_another_until_one_closes() {
    let mut node = Node::new(Config { sessions: 2, ..Config::default() }, 16);
    let (first, _second) = (node.open(), node.open());
    assert_eq!(node.mailbox.open_session(node.now), Err(OpenRefused::TooManySessions));
    node.close(first);
    node.open();
}

#[test]
fn nothing_of_a_client_is_shown() {
    let mut node = node();
    let client = node.open();
    node.deposit(client, queue(1), 7);
    assert_eq!(format!("{:?}", node.mailbox), "Mailbox { sessions: 1, .. }");
}
