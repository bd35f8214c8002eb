//! Queues and logs: what arrives, in which order, how often, and when it is gone.

use relay_core::mailbox::{Cause, Config, Event, Ttls};
use wire::{ClientFrame, Kind, Reason, Ttl};

use crate::harness::{Heard, Node, key, log, queue, seconds};

fn node() -> Node {
    Node::new(Config::default(), 256)
}

#[test]
fn an_envelope_reaches_its_reader_and_is_overwritten_when_acknowledged() {
    let mut node = node();
    let (sender, reader) = (node.open(), node.open());
    assert_eq!(node.subscribe(reader, Kind::Queue, &key(1), 0), Heard::Subscribed { req: 1, next: 1 });
    assert_eq!(node.deposit_for(sender, queue(1), 0xc5, Ttl::Brief, 3), Heard::Deposited { req: 2 });
    assert!(node.events().contains(&Event::Wake(reader)));
    assert_eq!(node.deliveries(reader), [(1, 0xc5)]);
    assert!(node.holds(0xc5));
    node.acknowledge(reader, queue(1), 1);
    assert!(!node.holds(0xc5));
    let counters = node.mailbox.counters();
    assert_eq!(
        (counters.envelopes, counters.blocks_used, counters.purged_by(Cause::Acknowledged)),
        (0, 0, 1)
    );
}

#[test]
fn an_envelope_waits_for_its_reader_and_outlives_its_sender() {
    let mut node = node();
    let sender = node.open();
    for byte in [1, 2, 3] {
        node.deposit(sender, queue(1), byte);
    }
    node.close(sender);
    let reader = node.open();
    node.subscribe(reader, Kind::Queue, &key(1), 0);
    assert_eq!(node.deliveries(reader), [(1, 1), (2, 2), (3, 3)]);
    assert_eq!(node.deliveries(reader), [], "nothing is delivered twice to one subscription");
}

#[test]
fn what_was_not_acknowledged_is_delivered_again_to_the_next_subscription() {
    let mut node = node();
    let (sender, first) = (node.open(), node.open());
    node.subscribe(first, Kind::Queue, &key(1), 0);
    for byte in [1, 2, 3] {
        node.deposit(sender, queue(1), byte);
    }
    assert_eq!(node.deliveries(first).len(), 3);
    node.acknowledge(first, queue(1), 2);
    node.close(first);
    let second = node.open();
    node.subscribe(second, Kind::Queue, &key(1), 0);
    assert_eq!(node.deliveries(second), [(1, 1), (3, 3)]);
}

#[test]
fn one_frame_acknowledges_a_run_and_nothing_that_was_not_delivered() {
    let mut node = node();
    let (sender, reader) = (node.open(), node.open());
    node.subscribe(reader, Kind::Queue, &key(1), 0);
    for byte in 1..=4 {
        node.deposit(sender, queue(1), byte);
    }
    assert_eq!(node.deliveries(reader), [(1, 1), (2, 2), (3, 3), (4, 4)]);
    node.deposit(sender, queue(1), 5);
    node.acknowledge_all(reader, queue(1), 2, u64::MAX);
    let held: Vec<u8> = (1..=5).filter(|byte| node.holds(*byte)).collect();
    assert_eq!(held, [1, 5]);
    assert_eq!(node.mailbox.counters().purged_by(Cause::Acknowledged), 3);
    assert_eq!(node.deliveries(reader), [(5, 5)]);
}

#[test]
fn the_newest_subscription_of_a_queue_takes_over_and_the_older_session_is_told() {
    let mut node = node();
    let (sender, old, new) = (node.open(), node.open(), node.open());
    node.subscribe(old, Kind::Queue, &key(1), 0);
    node.deposit(sender, queue(1), 7);
    assert_eq!(node.deliveries(old), [(1, 7)]);
    node.subscribe(new, Kind::Queue, &key(1), 0);
    assert_eq!(node.deliveries(new), [(1, 7)]);
    assert_eq!(node.pull(old), Some(Heard::Unsubscribed { address: queue(1), reason: Reason::TakenOver }));
    node.acknowledge(old, queue(1), 1);
    assert!(node.holds(7), "the older session acknowledges nothing any more");
    node.deposit(sender, queue(1), 8);
    assert_eq!(node.deliveries(old), []);
    assert_eq!(node.deliveries(new), [(2, 8)]);
}

#[test]
fn subscribing_again_in_one_session_starts_again() {
    let mut node = node();
    let reader = node.open();
    node.subscribe(reader, Kind::Queue, &key(1), 0);
    node.deposit(reader, queue(1), 7);
    assert_eq!(node.deliveries(reader), [(1, 7)]);
    node.subscribe(reader, Kind::Queue, &key(1), 0);
    assert_eq!(node.deliveries(reader), [(1, 7)]);
    assert_eq!(node.mailbox.counters().subscriptions, 1);
}

#[test]
fn nothing_comes_after_unsubscribing() {
    let mut node = node();
    let (sender, reader) = (node.open(), node.open());
    node.subscribe(reader, Kind::Queue, &key(1), 0);
    node.send(reader, &ClientFrame::Unsubscribe { address: queue(1) }).unwrap();
    node.deposit(sender, queue(1), 7);
    assert_eq!(node.deliveries(reader), []);
    assert!(node.holds(7));
}

#[test]
fn every_reader_of_a_log_gets_all_of_it_from_where_it_wants() {
    let mut node = node();
    let (writer, early, late) = (node.open(), node.open(), node.open());
    assert_eq!(node.subscribe(early, Kind::Log, &key(1), 0), Heard::Subscribed { req: 1, next: 1 });
    for byte in 1..=3 {
        assert_eq!(node.append(writer, log(1), byte, None), Heard::Appended { req: 3, seq: u64::from(byte) });
    }
    assert_eq!(node.subscribe(late, Kind::Log, &key(1), 2), Heard::Subscribed { req: 1, next: 4 });
    assert_eq!(node.deliveries(early), [(1, 1), (2, 2), (3, 3)]);
    assert_eq!(node.deliveries(late), [(2, 2), (3, 3)]);
    node.acknowledge(early, log(1), 1);
    node.append(writer, log(1), 4, None);
    assert_eq!(node.deliveries(late), [(4, 4)]);
    assert!(node.holds(1), "one reader acknowledges nothing for the others");
}

#[test]
fn compare_and_append_has_one_winner() {
    let mut node = node();
    let (one, other) = (node.open(), node.open());
    assert_eq!(node.append(one, log(1), 1, Some(1)), Heard::Appended { req: 3, seq: 1 });
    let conflict = Heard::Refused { req: 3, reason: Reason::Conflict, retry_s: 0, next: 2 };
    assert_eq!(node.append(other, log(1), 2, Some(1)), conflict);
    assert_eq!(node.append(other, log(1), 2, Some(2)), Heard::Appended { req: 3, seq: 2 });
    assert_eq!(node.mailbox.counters().refused.of(Reason::Conflict), 1);
}

#[test]
fn a_queue_and_a_log_at_one_address_are_two_mailboxes() {
    let mut node = node();
    let client = node.open();
    node.deposit(client, queue(1), 1);
    node.append(client, queue(1), 2, None);
    assert_eq!(node.mailbox.counters().mailboxes, 2);
    node.subscribe(client, Kind::Queue, &key(1), 0);
    assert_eq!(node.deliveries(client), [(1, 1)]);
}

#[test]
fn an_envelope_is_gone_when_its_time_is_over() {
    let ttl = Ttls::new([5, 10, 15, 20].map(seconds));
    let mut node = Node::new(Config { ttl, ..Config::default() }, 256);
    let client = node.open();
    node.deposit_for(client, queue(1), 1, Ttl::Short, 1);
    node.deposit_for(client, queue(1), 2, Ttl::Brief, 1);
    node.deposit_for(client, queue(1), 3, Ttl::Long, 1);
    assert_eq!(node.mailbox.poll_timeout(), Some(node.now + seconds(5)));
    node.pass(seconds(5));
    assert!(!node.holds(2) && node.holds(1) && node.holds(3));
    assert_eq!(node.mailbox.poll_timeout(), Some(node.now + seconds(5)));
    node.subscribe(client, Kind::Queue, &key(1), 0);
    assert_eq!(node.deliveries(client), [(1, 1), (3, 3)]);
    node.pass(seconds(15));
    assert!(!node.holds(1) && !node.holds(3));
    assert_eq!(node.mailbox.counters().purged_by(Cause::Expired), 3);
}

#[test]
fn what_has_expired_is_not_delivered_even_before_the_timer_was_handled() {
    let mut node = node();
    let client = node.open();
    node.subscribe(client, Kind::Queue, &key(1), 0);
    node.deposit_for(client, queue(1), 9, Ttl::Brief, 1);
    node.now = node.now + Config::default().ttl.of(Ttl::Brief);
    assert_eq!(node.deliveries(client), []);
    assert!(!node.holds(9));
}

#[test]
fn a_mailbox_that_is_empty_and_unread_vanishes() {
    let mut node = node();
    let (sender, reader) = (node.open(), node.open());
    node.deposit(sender, queue(1), 1);
    assert_eq!(node.mailbox.counters().mailboxes, 1);
    node.subscribe(reader, Kind::Queue, &key(1), 0);
    node.deliveries(reader);
    node.acknowledge(reader, queue(1), 1);
    assert_eq!(node.mailbox.counters().mailboxes, 1, "it still has a reader");
    node.close(reader);
    assert_eq!(node.mailbox.counters().mailboxes, 0);
}

#[test]
fn a_number_never_comes_twice_at_one_address() {
    let mut node = node();
    let client = node.open();
    for byte in 1..=3 {
        node.append(client, log(1), byte, None);
    }
    node.pass(seconds(60));
    assert_eq!(node.mailbox.counters().mailboxes, 0);
    let stale = Heard::Refused { req: 3, reason: Reason::Conflict, retry_s: 0, next: 4 };
    assert_eq!(node.append(client, log(1), 4, Some(1)), stale);
    assert_eq!(node.subscribe(client, Kind::Log, &key(1), 0), Heard::Subscribed { req: 1, next: 4 });
}

#[test]
fn a_reader_that_does_not_acknowledge_gets_a_window_and_no_more() {
    let mut node = Node::new(Config { window: 4, ..Config::default() }, 256);
    let (sender, slow, other) = (node.open(), node.open(), node.open());
    node.subscribe(slow, Kind::Queue, &key(1), 0);
    node.subscribe(other, Kind::Queue, &key(2), 0);
    node.subscribe(slow, Kind::Log, &key(3), 0);
    for byte in 1..=9 {
        node.deposit(sender, queue(1), byte);
        node.deposit(sender, queue(2), byte + 100);
    }
    assert_eq!(node.deliveries(slow), [(1, 1), (2, 2), (3, 3), (4, 4)]);
    assert_eq!(node.deliveries(other).len(), 4);
    node.append(sender, log(3), 50, None);
    assert_eq!(node.deliveries(slow), [(1, 50)], "a log needs no window");
    node.events();
    node.acknowledge(slow, queue(1), 3);
    assert_eq!(node.events(), [Event::Wake(slow)]);
    assert_eq!(node.deliveries(slow), [(5, 5)]);
    node.pass(seconds(60));
    assert_eq!(node.deliveries(slow), [], "what expires opens the window, and nothing is left");
}

#[test]
fn mailboxes_of_one_session_take_turns() {
    let mut node = node();
    let (sender, reader) = (node.open(), node.open());
    for seed in 1..=3 {
        node.subscribe(reader, Kind::Queue, &key(seed), 0);
    }
    for seed in [1, 1, 1, 1, 2, 2, 3] {
        node.deposit(sender, queue(seed), seed);
    }
    let order: Vec<u8> = node.deliveries(reader).into_iter().map(|(_, byte)| byte).collect();
    assert_eq!(order, [1, 2, 3, 1, 2, 1, 1]);
}

#[test]
fn a_session_is_woken_once_until_all_was_pulled() {
    let mut node = node();
    let (sender, reader) = (node.open(), node.open());
    node.subscribe(reader, Kind::Queue, &key(1), 0);
    node.pull_all(reader);
    node.pull_all(sender);
    node.events();
    for byte in 1..=5 {
        node.deposit(sender, queue(1), byte);
        node.pull_all(sender);
    }
    assert_eq!(node.events(), [Event::Wake(reader)]);
    node.pull(reader);
    node.deposit(sender, queue(1), 6);
    node.pull_all(sender);
    assert_eq!(node.events(), []);
    assert_eq!(node.deliveries(reader).len(), 5);
    node.deposit(sender, queue(1), 7);
    assert!(node.events().contains(&Event::Wake(reader)));
}

#[test]
fn frames_are_appended_to_what_the_driver_has() {
    let mut node = node();
    let id = node.mailbox.open_session(node.now).unwrap();
    let mut bytes = b"head".to_vec();
    assert!(node.mailbox.poll_transmit(id, node.now, &mut bytes));
    assert!(matches!(Heard::decode(bytes.strip_prefix(b"head").unwrap()), Heard::Welcome { .. }));
}
