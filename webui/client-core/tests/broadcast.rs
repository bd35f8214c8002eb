//! Bubbles that broadcast: everything arrives, and what the node sees of a member does not depend on what it says.

#![allow(
    clippy::indexing_slicing,
    reason = "these are tests; helpers outside of test functions count as tests too"
)]

#[path = "support/netsim.rs"]
mod netsim;

use core::time::Duration;
use std::collections::BTreeSet;

use base::Instant;
use client_core::{MAX_BROADCAST_MEMBERS, MAX_TEXT, Path};
use netsim::World;

/// Frames of a client.
const SUBSCRIBE: u8 = 0;
const APPEND: u8 = 3;
const PING: u8 = 6;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn world(seed: u64, names: &[&str]) -> World {
    let mut world = World::new(seed);
    world.broadcast = true;
    for name in names {
        // They could connect directly, and do not.
        world.join(name, true);
    }
    world.direct = true;
    world.all_know_each_other();
    world
}

/// When a phone appended what is for all: after its entry in the directory, which is a block as well.
fn blocks(world: &World, phone: usize) -> Vec<Instant> {
    let appended = world.gave[phone].iter().filter(|(_, kind, _)| *kind == APPEND);
    appended.map(|(at, ..)| *at).skip(1).collect()
}

/// Of what it appended, block after block.
fn lengths(world: &World, phone: usize) -> Vec<usize> {
    let gave = world.gave[phone].iter();
    // All joined together, but what one gave last may be one more.
    gave.filter(|(_, kind, _)| *kind == APPEND).map(|(.., len)| *len).take(20).collect()
}

#[test]
fn what_is_said_arrives_once_and_in_order() {
    let mut world = world(1, &["Ana", "Ben", "Eve"]);
    world.send(0, 1, "salut");
    world.send(1, 0, "bonjour");
    world.send(1, 2, "tu es là ?");
    world.send(0, 1, &"x".repeat(MAX_TEXT));
    for n in 0..5 {
        world.send(2, 0, &format!("{n}"));
    }
    world.run_until(s(60), "delivered", World::all_delivered);
    world.assert_all_arrived_once_and_in_order();
    assert_eq!((world.path(0, 1), world.path(2, 1)), (Path::Broadcast, Path::Broadcast));
}

#[test]
fn the_node_sees_the_same_of_who_talks_and_who_is_silent() {
    let mut world = world(2, &["Ana", "Ben", "Eve"]);
    for round in 0..8 {
        world.send(0, 1, &format!("{round} {}", "x".repeat(900 * round)));
        world.send(1, 0, &format!("{round}"));
        world.run_for(s(5));
    }
    world.run_until(s(60), "delivered", World::all_delivered);
    for phone in 0..3 {
        let gave = &world.gave[phone];
        let kinds: BTreeSet<u8> = gave.iter().map(|(_, kind, _)| *kind).collect();
        assert_eq!(kinds, BTreeSet::from([SUBSCRIBE, APPEND, PING]), "phone {phone} gave other frames");
        let pings = gave.iter().filter(|(_, kind, _)| *kind == PING).map(|(at, ..)| *at);
        let since = pings.map(|at| at.saturating_duration_since(gave[0].0).as_secs()).collect::<Vec<_>>();
        assert_eq!(since, [15, 30], "phone {phone} asked the node for a word at other times");
        assert_eq!(gave.iter().filter(|(_, kind, _)| *kind == SUBSCRIBE).count(), 2, "{phone}");
        // Its number grows with each frame, and takes a byte more from the 24th on.
        assert_eq!(lengths(&world, phone), lengths(&world, 2), "phone {phone} gave frames of other lengths");
        let times = blocks(&world, phone);
        assert!(times.len() > 20);
        for pair in times.windows(2) {
            assert_eq!(pair[1].saturating_duration_since(pair[0]), s(2), "phone {phone}");
        }
    }
}

#[test]
fn nobody_has_an_inbox() {
    let mut world = world(3, &["Ana", "Ben"]);
    world.send(0, 1, "salut");
    world.run_until(s(30), "delivered", World::all_delivered);
    assert_eq!(world.node.counters().mailboxes, 2, "the directory and the log for all");
}

#[test]
fn who_was_away_for_longer_than_the_log_lasts_gets_what_was_missed() {
    let mut world = world(4, &["Ana", "Ben", "Eve"]);
    world.send(0, 1, "one");
    world.run_until(s(30), "delivered", World::all_delivered);
    world.cut(1, true);
    world.send(0, 1, "two");
    world.send(0, 2, "three");
    world.run_for(s(150));
    world.cut(1, false);
    world.run_until(s(120), "delivered", World::all_delivered);
    world.assert_all_arrived_once_and_in_order();
}

#[test]
fn a_node_that_forgets_is_told_everything_again() {
    let mut world = world(5, &["Ana", "Ben"]);
    for round in 0..4 {
        world.send(0, 1, &format!("{round}"));
        world.run_for(s(round));
        world.restart_node();
    }
    world.run_until(s(120), "delivered", World::all_delivered);
    world.assert_all_arrived_once_and_in_order();
}

#[test]
fn more_than_the_node_takes_is_said_and_not_lost() {
    let config = relay_core::mailbox::Config { envelopes_per_mailbox: 40, ..Default::default() };
    let mut world = World::with(6, config, 4096);
    world.broadcast = true;
    let (ana, ben) = (world.join("Ana", false), world.join("Ben", false));
    world.all_know_each_other();
    // Two members are 60 blocks in a minute.
    world.run_for(s(60));
    world.send(ana, ben, "salut");
    world.run_until(s(120), "delivered", World::all_delivered);
    world.assert_all_arrived_once_and_in_order();
    let told = world.phones.iter().flat_map(|phone| &phone.seen.notices);
    assert!(told.into_iter().any(|notice| matches!(notice, client_core::Notice::NodeFull { .. })));
}

#[test]
fn so_many_members_fit_into_a_log_of_a_node_as_it_comes() {
    let config = relay_core::mailbox::Config::default();
    let kept = MAX_BROADCAST_MEMBERS as u64 * config.ttl.of(wire::Ttl::Brief).as_secs() / 2;
    assert!(kept <= config.envelopes_per_mailbox.into(), "{kept}");
}
