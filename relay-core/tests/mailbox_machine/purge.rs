//! Whatever ends an envelope overwrites it, is counted by its cause, and is heard of by those whom it touches.

use relay_core::mailbox::{Cause, Config, Event, Memory, SessionId};
use wire::{BLOCK, Kind, Reason, Ttl};

use crate::harness::{Heard, Node, key, log, queue, seconds};

const CANARY: u8 = 0xc5;

/// A node with one canary of three blocks in a queue, its sender and its reader.
fn holding() -> (Node, SessionId, SessionId) {
    let mut node = Node::new(Config::default(), 64);
    let (sender, reader) = (node.open(), node.open());
    node.subscribe(reader, Kind::Queue, &key(1), 0);
    assert_eq!(node.deposit_for(sender, queue(1), CANARY, Ttl::Brief, 3), Heard::Deposited { req: 2 });
    assert_eq!(node.deliveries(reader), [(1, CANARY)]);
    assert_eq!(node.mailbox.expose_storage().iter().filter(|byte| **byte == CANARY).count(), 3 * BLOCK);
    (node, sender, reader)
}

#[test]
fn every_cause_overwrites_the_canary_and_is_counted_alone() {
    for cause in Cause::ALL {
        let (mut node, _, reader) = holding();
        match cause {
            Cause::Acknowledged => node.acknowledge(reader, queue(1), 1),
            Cause::Expired => node.pass(seconds(61)),
            Cause::Revoked => node.mailbox.revoke(reader),
            Cause::LowMemory => node.mailbox.handle_memory(Memory::Exhausted),
            Cause::Panic | Cause::Shutdown => node.mailbox.purge(cause),
        }
        assert!(node.mailbox.expose_storage().iter().all(|byte| *byte == 0), "{cause:?} leaves nothing");
        let counters = node.mailbox.counters();
        for other in Cause::ALL {
            assert_eq!(counters.purged_by(other), u64::from(other == cause), "{other:?} by {cause:?}");
        }
        assert_eq!((counters.envelopes, counters.blocks_used), (0, 0), "{cause:?}");
        assert!(node.mailbox.held_mailboxes(0, node.now).all(|mailbox| mailbox.envelopes.is_empty()));
    }
}

#[test]
fn a_revoked_session_loses_its_queues_is_told_and_hurts_nobody_else() {
    let (mut node, sender, reader) = holding();
    let other = node.open();
    node.subscribe(other, Kind::Queue, &key(2), 0);
    node.subscribe(reader, Kind::Log, &key(3), 1);
    node.subscribe(other, Kind::Log, &key(3), 1);
    node.deposit(sender, queue(2), 7);
    node.append(sender, log(3), 9, None);
    node.events();

    node.mailbox.revoke(reader);
    assert_eq!(node.events(), [Event::Close { session: reader, reason: Reason::Revoked }]);
    assert_eq!(node.pull_all(reader), [Heard::Bye { reason: Reason::Revoked }]);
    assert!(node.send(reader, &wire::ClientFrame::Ping { nonce: 1 }).is_err());
    node.close(reader);
    assert!(!node.holds(CANARY));
    assert_eq!(node.deliveries(other), [(1, 7), (1, 9)]);
    assert_eq!(node.deposit(sender, queue(2), 8), Heard::Deposited { req: 2 });
    // Twice, or for somebody who is gone, is once.
    node.mailbox.revoke(reader);
    assert_eq!(node.mailbox.counters().purged_by(Cause::Revoked), 1);
    assert_eq!(node.events().len(), 1, "the other one is woken, and nothing else");
}

#[test]
fn short_of_memory_it_takes_nothing_in_and_still_delivers() {
    let (mut node, sender, reader) = holding();
    node.mailbox.handle_memory(Memory::Short);
    let refused = Heard::Refused { req: 2, reason: Reason::NodeFull, retry_s: 15, next: 0 };
    assert_eq!(node.deposit(sender, queue(1), 7), refused);
    assert!(node.holds(CANARY), "what was confirmed stays");
    let again = node.open();
    node.subscribe(again, Kind::Queue, &key(1), 0);
    assert_eq!(node.deliveries(again), [(1, CANARY)]);
    node.acknowledge(again, queue(1), 1);
    node.mailbox.handle_memory(Memory::Enough);
    assert_eq!(node.deposit(sender, queue(1), 7), Heard::Deposited { req: 2 });
    node.pull_all(reader);
}

#[test]
fn out_of_memory_it_purges_once_and_recovers() {
    let (mut node, sender, reader) = holding();
    node.events();
    for _ in 0..3 {
        node.mailbox.handle_memory(Memory::Exhausted);
    }
    let closed: Vec<_> =
        [sender, reader].map(|session| Event::Close { session, reason: Reason::Shutdown }).into();
    assert_eq!(node.events(), closed);
    for session in [sender, reader] {
        node.pull_all(session);
        node.close(session);
    }
    let client = node.open();
    assert!(matches!(node.deposit(client, queue(1), 7), Heard::Refused { reason: Reason::NodeFull, .. }));
    node.mailbox.handle_memory(Memory::Short);
    assert!(matches!(node.deposit(client, queue(1), 7), Heard::Refused { reason: Reason::NodeFull, .. }));
    node.mailbox.handle_memory(Memory::Enough);
    assert_eq!(node.deposit(client, queue(1), 7), Heard::Deposited { req: 2 });
}

#[test]
fn what_is_held_is_told_one_by_one() {
    let (mut node, sender, reader) = holding();
    node.deposit(sender, queue(9), 8);
    node.pass(seconds(10));
    let sessions: Vec<_> = node.mailbox.held_sessions(None, node.now).collect();
    assert_eq!(sessions.iter().map(|held| held.session).collect::<Vec<_>>(), [sender, reader]);
    assert_eq!(sessions[1].reads, [1]);
    assert_eq!((sessions[1].in_flight, sessions[1].silent), (1, seconds(10)));
    assert_eq!(sessions[0].challenge, node.challenge(sender));

    let mailboxes: Vec<_> = node.mailbox.held_mailboxes(0, node.now).collect();
    assert_eq!(mailboxes.iter().map(|held| held.address).collect::<Vec<_>>(), [queue(1), queue(9)]);
    assert_eq!((mailboxes[0].readers.as_slice(), mailboxes[1].readers.len()), ([reader].as_slice(), 0));
    let envelope = mailboxes[0].envelopes[0];
    assert_eq!((envelope.seq, envelope.blocks, envelope.left), (1, 3, seconds(50)));
    let mut bytes = vec![1];
    assert!(node.mailbox.expose_envelope(1, 1, &mut bytes));
    assert_eq!(bytes, [vec![1], vec![CANARY; 3 * BLOCK]].concat());
    assert!(
        !node.mailbox.expose_envelope(1, 2, &mut bytes) && !node.mailbox.expose_envelope(7, 1, &mut bytes)
    );

    let rest: Vec<_> = node.mailbox.held_mailboxes(1, node.now).map(|held| held.number).collect();
    assert_eq!(rest, [2]);
    assert_eq!(node.mailbox.held_sessions(Some(reader), node.now).count(), 0);
}
