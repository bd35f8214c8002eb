//! The promise of the whole product, on networks and with nodes that are drawn at random: every message is shown
//! once and in order, and the node keeps nothing for longer than it may.
//!
//! One seed makes one schedule: how many phones, what they and the node can do, and what happens when.
//! `BULLE_SCHEDULES` says how many are run (16), `BULLE_SEED` which is the first (1). A failure tells the seed, and
//! how to run that one again. `ci/test unit` runs hundreds; thousands a minute, optimised:
//! `BULLE_SCHEDULES=5000 BULLE_SEED=1000000 cargo test --release -p client-core --test schedules`.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that breaks should stop"
)]

#[path = "support/netsim.rs"]
mod netsim;

use core::panic::AssertUnwindSafe;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::panic::catch_unwind;
use std::thread;

use client_core::Command;
use netsim::{World, tamper};
use relay_core::mailbox::Config;

const YEAR_MS: i64 = 365 * 86_400_000;

/// What the node makes of its deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Honest,
    Repeats,
    Swallows,
}

#[test]
fn every_message_is_shown_once_and_in_order_whatever_happens() {
    let (first, count) = (number("BULLE_SEED", 1), number("BULLE_SCHEDULES", 16));
    let next = AtomicU64::new(0);
    let failed: Vec<u64> = thread::scope(|scope| {
        let run = || {
            let mut failed = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return failed;
                }
                let seed = first.wrapping_add(n);
                if catch_unwind(AssertUnwindSafe(|| schedule(seed))).is_err() {
                    eprintln!("that was seed {seed}");
                    failed.push(seed);
                }
            }
        };
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(run)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker ends by itself")).collect()
    });
    println!("{count} schedules from seed {first}");
    assert!(
        failed.is_empty(),
        "{} of {count} schedules failed, with the seeds {failed:?}\none again: \
         BULLE_SEED={} BULLE_SCHEDULES=1 cargo test -p client-core --test schedules",
        failed.len(),
        failed[0],
    );
}

/// A number of the environment.
fn number(name: &str, otherwise: u64) -> u64 {
    let Ok(text) = std::env::var(name) else { return otherwise };
    text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}"))
}

fn schedule(seed: u64) {
    let (mut world, node) = drawn(seed);
    let count = world.phones.len();
    world.all_know_each_other();
    match node {
        Node::Honest => {}
        Node::Repeats => world.tamper = Some(tamper::repeats()),
        Node::Swallows => world.tamper = Some(tamper::swallows()),
    }
    for n in 0..20 + world.random(60) {
        step(&mut world, n);
        let pause = Duration::from_millis(world.random(2500) as u64);
        world.run_for(pause);
        // Nobody is away for longer than messages wait for their order.
        if n % 12 == 11 {
            (0..count).for_each(|phone| world.cut(phone, false));
        }
    }
    (0..count).for_each(|phone| world.cut(phone, false));
    (world.channels_dead, world.tamper) = (false, None);
    if node == Node::Swallows {
        // Such a node owes what it has swallowed, until it is asked anew.
        (0..count).for_each(|phone| world.break_carrier(phone));
    }
    world.run_until(Duration::from_secs(3600), "delivered", World::all_delivered);
    world.run_for(Duration::from_secs(70));
    // What a node swallows is sent again after what came behind it, when nobody waits for the order any more.
    if node == Node::Swallows {
        world.assert_all_arrived_once();
    } else {
        world.assert_all_arrived_once_and_in_order();
    }
    forgotten(&mut world);
}

/// Phones and a node.
fn drawn(seed: u64) -> (World, Node) {
    // Drawn before there is a world to draw from.
    let pick = |shift: u32, of: u64| seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(shift) % of;
    let mut config = Config { turn_port: if pick(3, 2) == 0 { 3478 } else { 0 }, ..Config::default() };
    if pick(11, 4) == 0 {
        config = Config { envelopes_per_mailbox: 12, window: 2, ..config };
    }
    let mut world = World::with(seed, config, if pick(19, 4) == 0 { 512 } else { 4096 });
    world.delay = Duration::from_millis([1, 30, 400][world.random(3)]);
    world.direct = world.random(2) == 0;
    let secret = world.secret.clone();
    for n in 0..2 + world.random(4) {
        let rtc = world.random(4) != 0;
        let skew = match world.random(8) {
            0 => -10 * YEAR_MS,
            1 => 5 * YEAR_MS,
            _ => 0,
        };
        world.join_with(&format!("phone {n}"), rtc, secret.clone(), skew);
    }
    let node = [Node::Honest, Node::Honest, Node::Repeats, Node::Swallows][world.random(4)];
    (world, node)
}

/// Something happens to one of the phones, to the node, or between them.
fn step(world: &mut World, n: usize) {
    let count = world.phones.len();
    let (a, b) = (world.random(count), world.random(count - 1));
    let b = if b >= a { b + 1 } else { b };
    match world.random(19) {
        0 => world.cut(a, true),
        1 => world.cut(a, false),
        2 => world.break_carrier(a),
        3 => world.restart_node(),
        4 => world.purge_node(),
        5 => world.break_channels(a),
        6 => world.direct = !world.direct,
        7 => world.channels_dead = !world.channels_dead,
        8 => world.command(a, Command::NetworkChanged).unwrap(),
        9 => {
            let peer = world.peer(a, b);
            world.command(a, Command::Open { peer }).unwrap();
        }
        // A battery that was empty, or a hand on the clock.
        10 => world.phones[a].skew += (world.random(20) as i64 - 10) * 3_600_000,
        11 => world.delay = Duration::from_millis([1, 30, 400][world.random(3)]),
        12 => world.strand(a),
        _ => {
            for m in 0..=world.random(4) {
                world.send(a, b, &format!("{n}.{m}"));
            }
        }
    }
}

/// When nobody has come for as long as anything is kept, the node holds nothing.
fn forgotten(world: &mut World) {
    let limits = Config::default();
    for time in [limits.idle * 2, limits.ttl.of(wire::Ttl::Long) + limits.idle] {
        world.node.handle_timeout(world.now + time);
    }
    while world.node.poll_event().is_some() {}
    let held = world.node.counters();
    assert_eq!((held.envelopes, held.blocks_used, held.subscriptions), (0, 0, 0), "{held:?}");
    assert_eq!(world.node.held_mailboxes(0, world.now).count(), 0);
}
