//! A node, a member or a network that means harm: it gets nowhere, and nothing else is lost by it.

#[path = "support/netsim.rs"]
mod netsim;

use core::time::Duration;

use client_core::{ChannelEvent, Notice, Path, Signal};
use netsim::{World, tamper};
use wire::NodeFrame;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn three(seed: u64) -> World {
    let mut world = World::new(seed);
    for name in ["Ana", "Ben", "Cleo"] {
        world.join(name, false);
    }
    world
}

fn chatter(world: &mut World, rounds: u32) {
    for n in 0..rounds {
        for (from, to) in [(0, 1), (1, 0), (1, 2), (2, 0)] {
            world.send(from, to, &format!("{n} of {from}"));
        }
        world.run_for(Duration::from_millis(700));
    }
}

#[test]
fn a_node_that_repeats_and_reorders_changes_nothing() {
    for seed in 30..34 {
        let mut world = three(seed);
        world.all_know_each_other();
        world.tamper = Some(tamper::repeats());
        chatter(&mut world, 12);
        world.run_until(s(60), "delivered", World::all_delivered);
        // Hours of replayed directory entries.
        world.run_for(s(3000));
        world.assert_all_arrived_once_and_in_order();
        assert!(world.knows(0, 1) && world.knows(1, 2) && world.knows(2, 0));
    }
}

#[test]
fn a_node_that_brings_back_who_has_left_is_not_believed() {
    let mut world = three(35);
    world.all_know_each_other();
    world.command(2, client_core::Command::Leave).unwrap();
    world.run_until(s(5), "Cleo is gone", |world| !world.knows(0, 2));
    for frame in world.said[0].clone() {
        if tamper::is_delivery(&frame) {
            world.say(0, frame);
        }
    }
    world.run_for(s(5));
    assert!(!world.knows(0, 2));
    assert!(world.knows(0, 1));
}

#[test]
fn a_node_that_corrupts_and_swallows_only_delays() {
    for seed in 36..39 {
        let mut world = three(seed);
        world.all_know_each_other();
        world.tamper = Some(tamper::swallows());
        chatter(&mut world, 8);
        world.run_for(s(120));
        world.tamper = None;
        world.run_until(s(1800), "delivered", World::all_delivered);
        world.run_for(s(120));
        world.assert_all_arrived_once();
    }
}

#[test]
fn envelopes_and_entries_of_others_put_into_the_wrong_mailbox_do_not_open() {
    let mut world = three(40);
    world.all_know_each_other();
    world.send(0, 1, "for Ben");
    world.run_until(s(5), "delivered", World::all_delivered);
    // Everything that was said to Ben and Cleo is said to Ana under the addresses of hers.
    let address = |frames: &[Vec<u8>], wanted: usize| {
        let mut seen = Vec::new();
        for frame in frames {
            if let Ok(NodeFrame::Deliver { address, .. }) = NodeFrame::decode(frame)
                && !seen.contains(&address)
            {
                seen.push(address);
            }
        }
        seen.get(wanted).copied()
    };
    let directory = address(&world.said[2], 0).unwrap();
    let before = world.phones[0].client.counters();
    let mut swapped = 0;
    for frame in world.said[1].clone() {
        let Ok(NodeFrame::Deliver { address, envelope, .. }) = NodeFrame::decode(&frame) else { continue };
        if address != directory {
            let mut bytes = Vec::new();
            NodeFrame::Deliver { address: directory, seq: 1000 + swapped, envelope }.encode(&mut bytes);
            world.say(0, bytes);
            swapped += 1;
        }
    }
    assert!(swapped > 0);
    world.run_for(s(1));
    assert_eq!(world.phones[0].client.counters().envelopes, before.envelopes + swapped);
    world.send(0, 1, "and again");
    world.send(1, 0, "too");
    world.run_until(s(5), "delivered", World::all_delivered);
    world.assert_all_arrived_once_and_in_order();
}

#[test]
fn nonsense_from_the_node_is_counted_and_survived() {
    let mut world = three(41);
    world.all_know_each_other();
    for frame in [vec![], vec![0xff; 10], vec![0; wire::MAX_FRAME + 1], b"hello".to_vec()] {
        world.say(0, frame);
    }
    // Answers to nothing, and a second welcome.
    let answers = [
        NodeFrame::Deposited { req: 4_000_000 },
        NodeFrame::Appended { req: 1, seq: 7 },
        NodeFrame::Subscribed { req: 77, next: 0 },
        NodeFrame::Credentials { req: 5, username: "x", password: "y", ttl_s: 0 },
        NodeFrame::Pong { nonce: 1 },
    ];
    for answer in answers {
        let mut bytes = Vec::new();
        answer.encode(&mut bytes);
        world.say(0, bytes);
    }
    world.run_for(s(1));
    assert_eq!(world.phones[0].client.counters().frames, 4);
    assert!(world.phones[0].seen.notices.contains(&Notice::NodeMalformed));
    world.send(0, 1, "still here");
    world.run_until(s(5), "delivered", World::all_delivered);
}

#[test]
fn a_driver_or_peer_that_floods_the_channel_is_bounded() {
    let mut world = World::new(42);
    let (ana, ben) = (world.join("Ana", true), world.join("Ben", true));
    world.direct = true;
    world.all_know_each_other();
    world.send(ana, ben, "hello");
    world.run_until(s(5), "direct", |world| world.path(ana, ben) == Path::Direct);
    let peer = world.peer(ana, ben);
    for n in 0..1000_u32 {
        let candidate = Signal::Candidate { candidate: "c".repeat(512).into(), mid: None, index: None };
        world.channel(ana, peer, ChannelEvent::Signal(candidate));
        world.channel(ana, peer, ChannelEvent::Data(n.to_be_bytes().to_vec()));
        world.channel(ana, peer, ChannelEvent::Data(vec![0; client_core::MAX_CHANNEL_FRAME + 1]));
    }
    world.run_for(s(10));
    world.send(ana, ben, "and on");
    world.send(ben, ana, "we go");
    world.run_until(s(5), "delivered", World::all_delivered);
    world.assert_all_arrived_once_and_in_order();
}
