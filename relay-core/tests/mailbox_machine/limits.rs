//! Every limit is reached, refuses with the right reason, and hurts nobody else.

use std::time::Duration;

use relay_core::mailbox::{Config, Rate, Ttls, Violation};
use wire::{Address, BLOCK, ClientFrame, Kind, MAX_BLOCKS, Reason, ReceiveKey, Ttl};

use crate::harness::{Heard, Node, key, log, queue, seconds};

/// Addresses that nobody reads.
fn nowhere(n: u32) -> Address {
    let mut bytes = [0xee; 32];
    bytes[..4].copy_from_slice(&n.to_le_bytes());
    Address::from_bytes(bytes)
}

fn refused(reason: Reason, retry_s: u32, req: u32) -> Heard {
    Heard::Refused { req, reason, retry_s, next: 0 }
}

const UNHURRIED: Rate = Rate { amount: 1_000_000_000, per: Duration::from_secs(1), burst: 1_000_000_000 };

#[test]
fn the_default_limits_leave_room_for_what_the_protocol_allows() {
    let config = Config::default();
    assert!(config.blocks_per_mailbox as usize >= MAX_BLOCKS);
    assert!(config.bytes.burst as usize >= wire::MAX_FRAME);
    assert!(config.frames.burst >= 8 * config.subscriptions, "a client resumes everything it reads at once");
    assert!(config.openings.burst <= config.mailboxes / 8, "one session cannot use up the mailboxes");
    assert!(config.openings.burst >= 2 * config.subscriptions, "a client reads and still writes to others");
}

#[test]
fn a_mailbox_with_all_its_envelopes_refuses_and_keeps_what_it_has() {
    let mut node = Node::new(Config { envelopes_per_mailbox: 3, ..Config::default() }, 256);
    let client = node.open();
    for byte in 1..=3 {
        node.deposit(client, queue(1), byte);
    }
    assert_eq!(node.deposit(client, queue(1), 4), refused(Reason::MailboxFull, 5, 2));
    assert_eq!(node.deposit(client, queue(2), 5), Heard::Deposited { req: 2 });
    node.subscribe(client, Kind::Queue, &key(1), 0);
    assert_eq!(node.deliveries(client), [(1, 1), (2, 2), (3, 3)]);
    node.acknowledge(client, queue(1), 1);
    assert_eq!(node.deposit(client, queue(1), 6), Heard::Deposited { req: 2 });
}

#[test]
fn a_mailbox_with_all_its_blocks_refuses_what_does_not_fit() {
    let mut node = Node::new(Config { blocks_per_mailbox: 20, ..Config::default() }, 256);
    let client = node.open();
    node.deposit_for(client, log(1), 1, Ttl::Brief, 16);
    assert_eq!(node.deposit_for(client, log(1), 2, Ttl::Brief, 5), refused(Reason::MailboxFull, 5, 2));
    assert_eq!(node.deposit_for(client, log(1), 3, Ttl::Brief, 4), Heard::Deposited { req: 2 });
}

#[test]
fn half_of_the_node_is_shared_and_every_mailbox_has_a_block_of_its_own() {
    let mut node = Node::new(Config::default(), 64);
    let client = node.open();
    for _ in 0..33 {
        assert_eq!(node.deposit(client, nowhere(0), 1), Heard::Deposited { req: 2 });
    }
    assert_eq!(node.deposit(client, nowhere(0), 1), refused(Reason::NodeFull, 5, 2));
    for n in 1..=31 {
        assert_eq!(node.deposit(client, nowhere(n), 1), Heard::Deposited { req: 2 });
        assert_eq!(node.deposit(client, nowhere(n), 1), refused(Reason::NodeFull, 5, 2));
    }
    assert_eq!(node.mailbox.counters().blocks_used, 64);
    assert_eq!(node.deposit(client, nowhere(99), 1), refused(Reason::NodeFull, 5, 2));
}

/// A session that takes all it can get, for longer than anything is kept, and everybody else's mail.
#[test]
fn a_session_that_fills_all_it_may_does_not_stop_an_honest_pair() {
    let config = Config { frames: UNHURRIED, bytes: UNHURRIED, ..Config::default() };
    let mut node = Node::new(config, 4096);
    node.trusted = true;
    let (hostile, sender, reader) = (node.open(), node.open(), node.open());
    let mut n = 0;
    for _ in 0..10 * 24 {
        // Each hour: the largest envelopes first, then what still fits, until the node refuses a new mailbox.
        while !matches!(
            node.deposit_for(hostile, nowhere(n), 0xbb, Ttl::Long, 1).refusal(),
            Some(Reason::TooFast)
        ) {
            for blocks in [16, 4, 1] {
                while node.deposit_for(hostile, nowhere(n), 0xbb, Ttl::Long, blocks)
                    == (Heard::Deposited { req: 2 })
                {}
            }
            n += 1;
        }
        for who in [sender, reader] {
            node.ask(who, &ClientFrame::Ping { nonce: 1 });
        }
        for _ in 0..60 {
            for who in [hostile, sender, reader] {
                node.ask(who, &ClientFrame::Ping { nonce: 1 });
            }
            node.pass(seconds(60));
        }
    }
    let counters = node.mailbox.counters();
    assert!(counters.blocks_used > 3000, "it filled most of the node: {}", counters.blocks_used);
    assert!(counters.blocks_used < 4096 - 128, "and not all of it: {}", counters.blocks_used);

    let Heard::Subscribed { next, .. } = node.subscribe(reader, Kind::Queue, &key(1), 0) else { panic!() };
    for seq in next..next + 100 {
        assert_eq!(node.deposit(sender, queue(1), 7), Heard::Deposited { req: 2 }, "{seq}");
        assert_eq!(node.deliveries(reader), [(seq, 7)]);
        node.acknowledge(reader, queue(1), seq);
    }
    for n in 0..64 {
        assert_eq!(
            node.deposit(sender, nowhere(1_000_000 + n), 8),
            Heard::Deposited { req: 2 },
            "offline {n}"
        );
    }
    node.trusted = false;
    node.pass(seconds(1));
}

#[test]
fn depositing_leaves_an_eighth_of_the_mailboxes_to_their_readers() {
    let mut node = Node::new(Config { mailboxes: 16, ..Config::default() }, 1024);
    let client = node.open();
    for n in 0..14 {
        assert_eq!(node.deposit(client, nowhere(n), 1), Heard::Deposited { req: 2 });
    }
    assert_eq!(node.deposit(client, nowhere(14), 1), refused(Reason::NodeFull, 5, 2));
    assert_eq!(node.deposit(client, nowhere(13), 1), Heard::Deposited { req: 2 }, "what is in being goes on");
    for seed in 1..=2 {
        assert!(matches!(node.subscribe(client, Kind::Queue, &key(seed), 0), Heard::Subscribed { .. }));
    }
    assert_eq!(node.subscribe(client, Kind::Queue, &key(3), 0), refused(Reason::NodeFull, 5, 1));
    assert_eq!(node.deposit(client, queue(1), 1), Heard::Deposited { req: 2 });
}

#[test]
fn a_session_brings_only_so_many_mailboxes_into_being() {
    let openings = Rate { amount: 1, per: seconds(10), burst: 3 };
    let mut node = Node::new(Config { openings, ..Config::default() }, 256);
    let (client, other) = (node.open(), node.open());
    for n in 0..3 {
        assert_eq!(node.deposit(client, nowhere(n), 1), Heard::Deposited { req: 2 });
    }
    assert_eq!(node.deposit(client, nowhere(3), 1), refused(Reason::TooFast, 10, 2));
    assert_eq!(node.deposit(client, nowhere(2), 1), Heard::Deposited { req: 2 });
    assert_eq!(node.deposit(other, nowhere(3), 1), Heard::Deposited { req: 2 });
    node.pass(seconds(10));
    assert_eq!(node.deposit(client, nowhere(4), 1), Heard::Deposited { req: 2 });
}

#[test]
fn a_session_reads_only_so_many_mailboxes() {
    let mut node = Node::new(Config { subscriptions: 2, ..Config::default() }, 64);
    let (client, other) = (node.open(), node.open());
    for seed in 1..=2 {
        assert!(matches!(node.subscribe(client, Kind::Queue, &key(seed), 0), Heard::Subscribed { .. }));
    }
    let full = refused(Reason::TooManySubscriptions, 0, 1);
    assert_eq!(node.subscribe(client, Kind::Queue, &key(3), 0), full);
    assert!(
        matches!(node.subscribe(client, Kind::Queue, &key(2), 0), Heard::Subscribed { .. }),
        "again is not more"
    );
    assert!(matches!(node.subscribe(other, Kind::Queue, &key(3), 0), Heard::Subscribed { .. }));
    node.send(client, &ClientFrame::Unsubscribe { address: queue(1) }).unwrap();
    assert!(matches!(node.subscribe(client, Kind::Queue, &key(3), 0), Heard::Subscribed { .. }));
}

#[test]
fn a_log_has_only_so_many_readers() {
    let mut node = Node::new(Config { readers_per_log: 2, ..Config::default() }, 64);
    let clients = [node.open(), node.open(), node.open()];
    for client in &clients[..2] {
        assert!(matches!(node.subscribe(*client, Kind::Log, &key(1), 0), Heard::Subscribed { .. }));
    }
    assert_eq!(node.subscribe(clients[2], Kind::Log, &key(1), 0), refused(Reason::MailboxFull, 5, 1));
    node.close(clients[0]);
    assert!(matches!(node.subscribe(clients[2], Kind::Log, &key(1), 0), Heard::Subscribed { .. }));
}

#[test]
fn nothing_is_kept_longer_than_the_policy_says() {
    let ttl = Ttls::at_most(seconds(100));
    assert_eq!(Ttl::ALL.map(|class| ttl.of(class)), [60, 100, 100, 100].map(seconds));
    let mut node = Node::new(Config { ttl, ..Config::default() }, 64);
    let client = node.open();
    node.deposit_for(client, queue(1), 1, Ttl::Long, 1);
    node.deposit_for(client, queue(1), 2, Ttl::Brief, 1);
    node.pass(seconds(60));
    assert!(node.holds(1) && !node.holds(2));
    node.pass(seconds(40));
    assert!(!node.holds(1));
}

#[test]
fn a_hasty_session_is_told_how_long_to_wait_and_is_served_then() {
    let frames = Rate { amount: 2, per: seconds(1), burst: 4 };
    let mut node = Node::new(Config { frames, ..Config::default() }, 64);
    let (hasty, other) = (node.open(), node.open());
    for _ in 0..4 {
        assert_eq!(node.deposit(hasty, queue(1), 1), Heard::Deposited { req: 2 });
    }
    assert_eq!(node.deposit(hasty, queue(1), 2), refused(Reason::TooFast, 1, 2));
    assert_eq!(node.deposit(other, queue(1), 3), Heard::Deposited { req: 2 });
    node.pass(seconds(1));
    assert_eq!(node.deposit(hasty, queue(1), 4), Heard::Deposited { req: 2 });
    assert!(!node.holds(2));
}

#[test]
fn bytes_are_paced_as_frames_are() {
    let bytes = Rate { amount: 10_000, per: seconds(1), burst: 70_000 };
    let mut node = Node::new(Config { bytes, ..Config::default() }, 512);
    let client = node.open();
    assert_eq!(node.deposit_for(client, queue(1), 1, Ttl::Brief, 16), Heard::Deposited { req: 2 });
    assert_eq!(node.deposit_for(client, queue(1), 1, Ttl::Brief, 2), refused(Reason::TooFast, 1, 2));
}

#[test]
fn an_acknowledgement_counts_even_when_the_session_is_hasty() {
    let frames = Rate { amount: 1, per: seconds(1), burst: 16 };
    let mut node = Node::new(Config { frames, ..Config::default() }, 64);
    let (sender, reader) = (node.open(), node.open());
    node.subscribe(reader, Kind::Queue, &key(1), 0);
    node.deposit(sender, queue(1), 0xc5);
    node.deliveries(reader);
    for nonce in 0..10 {
        node.ask(reader, &ClientFrame::Ping { nonce });
    }
    assert_eq!(node.deposit(reader, queue(2), 1).refusal(), Some(Reason::TooFast));
    node.acknowledge(reader, queue(1), 1);
    assert!(!node.holds(0xc5));
}

#[test]
fn a_flood_ends_in_bye_and_nobody_else_notices() {
    let frames = Rate { amount: 2, per: seconds(1), burst: 4 };
    let mut node = Node::new(Config { frames, ..Config::default() }, 64);
    let (flood, other) = (node.open(), node.open());
    let mut sent = 0;
    let end = loop {
        sent += 1;
        if let Err(violation) =
            node.send(flood, &ClientFrame::Acknowledge { address: nowhere(0), first: 1, last: 1 })
        {
            break violation;
        }
    };
    assert_eq!((sent, end), (9, Violation { reason: Reason::TooFast }));
    assert_eq!(node.pull_all(flood), [Heard::Bye { reason: Reason::TooFast }]);
    assert_eq!(node.deposit(other, queue(1), 1), Heard::Deposited { req: 2 });
}

#[test]
fn a_client_that_asks_and_never_reads_is_closed() {
    let mut node = Node::new(Config::default(), 64);
    let client = node.open();
    let mut sent = 0;
    while node.send(client, &ClientFrame::Ping { nonce: 1 }).is_ok() {
        sent += 1;
    }
    assert_eq!(sent, 64);
    let heard = node.pull_all(client);
    assert_eq!((heard.len(), heard.last()), (65, Some(&Heard::Bye { reason: Reason::TooFast })));
}

#[test]
fn a_session_has_only_so_many_open_requests_for_credentials() {
    let mut node = Node::new(Config { turn_port: 3478, ..Config::default() }, 16);
    let client = node.open();
    for req in 0..4 {
        node.send(client, &ClientFrame::RequestCredentials { req }).unwrap();
    }
    assert_eq!(node.ask(client, &ClientFrame::RequestCredentials { req: 4 }), refused(Reason::TooFast, 1, 4));
}

#[test]
fn ten_thousand_sessions_with_their_inboxes_fit() {
    let mut node = Node::new(Config::default(), 64);
    let challenge = |bytes: &[u8]| match wire::NodeFrame::decode(bytes) {
        Ok(wire::NodeFrame::Welcome { challenge, .. }) => challenge,
        other => panic!("{other:?}"),
    };
    let key = key(1);
    let mut bytes = Vec::new();
    for _ in 0..10_000 {
        let id = node.mailbox.open_session(node.now).unwrap();
        bytes.clear();
        assert!(node.mailbox.poll_transmit(id, node.now, &mut bytes));
        // One key for all, since making keys is not what this is about: they take over from one another.
        let signature = wire::Signature::subscribe(&key, Kind::Queue, &challenge(&bytes));
        let subscribe = ClientFrame::Subscribe {
            req: 1,
            kind: Kind::Queue,
            key: ReceiveKey::of(&key),
            signature,
            from: 0,
        };
        bytes.clear();
        subscribe.encode(&mut bytes);
        node.mailbox.handle_frame(id, &bytes, node.now).unwrap();
    }
    let counters = node.mailbox.counters();
    assert_eq!((counters.sessions, counters.subscriptions, counters.mailboxes), (10_000, 1, 1));
    node.pass(seconds(90));
    assert_eq!(node.events().len(), 20_000, "each was woken and closed");
}

#[test]
fn an_envelope_of_the_largest_size_goes_through() {
    let mut node = Node::new(Config::default(), 512);
    let client = node.open();
    assert_eq!(node.deposit_for(client, queue(1), 9, Ttl::Brief, MAX_BLOCKS), Heard::Deposited { req: 2 });
    node.subscribe(client, Kind::Queue, &key(1), 0);
    let heard = node.pull_all(client);
    assert!(
        matches!(heard.as_slice(), [Heard::Deliver { envelope, .. }] if envelope.len() == MAX_BLOCKS * BLOCK)
    );
}
