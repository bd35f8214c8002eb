//! Clients talk through the real mailbox, over networks that get worse and worse.

#[path = "support/netsim.rs"]
mod netsim;

use core::time::Duration;

use client_core::{Command, CommandError, DeliveryState, FailReason, MAX_TEXT, Notice, Path, Text};
use netsim::World;
use wire::{BubbleSecret, NodeFrame};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn pair(seed: u64, rtc: bool) -> (World, usize, usize) {
    let mut world = World::new(seed);
    let (ana, ben) = (world.join("Ana", rtc), world.join("Ben", rtc));
    world.all_know_each_other();
    (world, ana, ben)
}

#[test]
fn two_phones_find_each_other_and_talk_through_the_mailbox() {
    let (mut world, ana, ben) = pair(1, false);
    world.send(ana, ben, "salut");
    world.send(ben, ana, "bonjour");
    world.send(ana, ben, "ça va ?");
    world.run_until(s(5), "delivered", World::all_delivered);
    world.assert_all_arrived_once_and_in_order();
    assert_eq!(world.path(ana, ben), Path::Mailbox);
}

#[test]
fn both_may_begin_at_the_same_moment() {
    for seed in 0..4 {
        let (mut world, ana, ben) = pair(seed, false);
        for n in 0..5 {
            world.send(ana, ben, &format!("a{n}"));
            world.send(ben, ana, &format!("b{n}"));
        }
        world.run_until(s(5), "delivered", World::all_delivered);
        for n in 5..10 {
            world.send(ana, ben, &format!("a{n}"));
            world.send(ben, ana, &format!("b{n}"));
        }
        world.run_until(s(5), "delivered", World::all_delivered);
        world.assert_all_arrived_once_and_in_order();
    }
}

#[test]
fn a_direct_path_is_found_by_sealed_signals_and_used() {
    let (mut world, ana, ben) = pair(2, true);
    world.direct = true;
    let peer = world.peer(ana, ben);
    world.command(ana, Command::Open { peer }).unwrap();
    world.run_until(s(5), "direct", |world| {
        world.path(ana, ben) == Path::Direct && world.path(ben, ana) == Path::Direct
    });
    let before = world.node.counters();
    world.send(ana, ben, "by the short way");
    world.run_until(s(1), "delivered", World::all_delivered);
    world.assert_all_arrived_once_and_in_order();
    assert_eq!(before.envelopes, world.node.counters().envelopes, "nothing waits at the node");
}

#[test]
fn either_side_may_want_the_direct_path() {
    for (seed, opener) in [(3, 0), (4, 1), (5, 0), (6, 1)] {
        let (mut world, ..) = pair(seed, true);
        world.direct = true;
        let peer = world.peer(opener, 1 - opener);
        world.command(opener, Command::Open { peer }).unwrap();
        world.run_until(s(5), "direct both ways", |world| {
            world.path(0, 1) == Path::Direct && world.path(1, 0) == Path::Direct
        });
    }
}

#[test]
fn a_direct_conversation_goes_on_without_the_node() {
    let (mut world, ana, ben) = pair(7, true);
    world.direct = true;
    world.send(ana, ben, "hello");
    world.run_until(s(5), "direct", |world| {
        world.path(ana, ben) == Path::Direct && world.path(ben, ana) == Path::Direct
    });
    world.node_up = false;
    world.restart_node();
    world.run_for(s(20));
    world.send(ana, ben, "still here");
    world.send(ben, ana, "me too");
    world.run_until(s(1), "delivered", World::all_delivered);
    world.run_for(s(1200));
    assert!(world.knows(ana, ben), "an open channel shows that they are here");
    world.send(ana, ben, "and still");
    world.run_until(s(1), "delivered", World::all_delivered);
    world.assert_all_arrived_once_and_in_order();
}

#[test]
fn a_channel_that_dies_silently_is_noticed_within_five_seconds() {
    let (mut world, ana, ben) = pair(8, true);
    world.direct = true;
    world.send(ana, ben, "hello");
    world.run_until(s(5), "direct", |world| world.path(ana, ben) == Path::Direct);
    world.channels_dead = true;
    world.direct = false;
    world.send(ana, ben, "into the void");
    let start = world.now;
    world.run_until(s(5), "delivered by the mailbox", World::all_delivered);
    assert!(world.now.saturating_duration_since(start) < s(4), "the mailbox is used after two seconds");
    world.run_until(s(6), "the path is told", |world| world.path(ana, ben) == Path::Mailbox);
    world.assert_all_arrived_once_and_in_order();
}

#[test]
fn messages_wait_for_a_phone_that_is_away_even_when_the_node_forgets_them() {
    let (mut world, ana, ben) = pair(9, false);
    world.cut(ben, true);
    for n in 0..10 {
        world.send(ana, ben, &format!("{n}"));
    }
    world.run_for(s(5));
    let stands = |world: &World| world.phones[ana].seen.deliveries.values().copied().collect::<Vec<_>>();
    assert_eq!(stands(&world), [DeliveryState::Deposited; 10]);
    world.restart_node();
    world.run_for(s(10));
    assert_eq!(stands(&world), [DeliveryState::Deposited; 10], "deposited again");
    assert!(world.phones[ana].seen.notices.contains(&Notice::NodeRestarted));
    world.cut(ben, false);
    world.run_until(s(60), "delivered", World::all_delivered);
    world.assert_all_arrived_once_and_in_order();
}

#[test]
fn a_phone_in_another_network_is_back_within_three_seconds_and_loses_and_repeats_nothing() {
    for seed in 60..80 {
        let mut world = World::new(seed);
        (world.direct, world.turn) = (true, Some(3600));
        let (a, b) = (world.join("Ana", true), world.join("Ben", true));
        world.all_know_each_other();
        for phone in [a, b] {
            let peer = world.peer(phone, 1 - phone);
            world.command(phone, Command::Open { peer }).unwrap();
        }
        world.run_until(Duration::from_secs(20), "a channel", |world| world.path(a, b) == Path::Direct);
        world.run_for(Duration::from_millis(seed * 77));
        let seen = world.phones[a].seen.opened;
        if seed % 2 == 0 {
            // Long enough for the channel to be given up, and for attempts at another that go nowhere.
            world.cut(a, true);
            world.run_for(Duration::from_millis(4_000 + seed * 37));
        }
        // The network that it left takes with it what was on its way; its browser tells nobody.
        world.strand(a);
        world.cut(a, false);
        let moved = world.now;
        for n in 0..5 {
            world.send(a, b, &format!("from a {n}"));
            world.send(b, a, &format!("from b {n}"));
            world.run_for(Duration::from_millis(100));
        }
        world.run_until(Duration::from_secs(10), "all is read", World::all_delivered);
        let took = world.now.saturating_duration_since(moved);
        assert!(took < Duration::from_millis(2_700), "seed {seed}: {took:?}");
        world.run_until(Duration::from_secs(10), "a new channel", |world| {
            world.phones[a].seen.opened > seen && world.path(a, b) == Path::Direct
        });
        world.assert_all_arrived_once_and_in_order();
    }
}

#[test]
fn the_node_is_asked_no_more_often_during_a_direct_conversation_than_in_silence() {
    let mut world = World::new(81);
    world.direct = true;
    let (a, b) = (world.join("Ana", true), world.join("Ben", true));
    world.all_know_each_other();
    world.send(a, b, "first");
    world.run_until(Duration::from_secs(20), "a channel", |world| world.path(a, b) == Path::Direct);
    // The mailbox was used before there was a channel.
    world.run_for(Duration::from_secs(90));
    let pongs = |world: &World| {
        let frames = world.said.iter().flatten();
        frames.filter(|frame| matches!(NodeFrame::decode(frame), Ok(NodeFrame::Pong { .. }))).count()
    };
    let mut heard = |talk: bool| {
        let before = pongs(&world);
        for n in 0..20 {
            if talk {
                world.send(a, b, &format!("{n}"));
                world.send(b, a, &format!("{n}"));
            }
            world.run_for(Duration::from_secs(3));
        }
        pongs(&world) - before
    };
    assert_eq!((heard(false), heard(true)), (8, 8), "four pings of each in a minute");
    world.assert_all_arrived_once_and_in_order();
}

#[test]
fn a_link_that_is_silent_for_eight_seconds_loses_and_repeats_nothing() {
    for seed in 10..14 {
        let (mut world, ana, ben) = pair(seed, seed % 2 == 0);
        world.direct = true;
        for n in 0..40 {
            if n == 10 {
                world.cut(ben, true);
            }
            if n == 26 {
                world.cut(ben, false);
            }
            world.send(ana, ben, &format!("a{n}"));
            world.send(ben, ana, &format!("b{n}"));
            world.run_for(Duration::from_millis(500));
        }
        world.run_until(s(60), "delivered", World::all_delivered);
        world.assert_all_arrived_once_and_in_order();
    }
}

#[test]
fn nothing_plain_passes_the_node() {
    let (mut world, ana, ben) = pair(15, true);
    world.send(ana, ben, "canary-text-of-ana");
    world.send(ben, ana, "canary-text-of-ben");
    world.run_until(s(5), "delivered", World::all_delivered);
    world.run_for(s(300));
    let secret = world.secret.expose().to_vec();
    let canaries: [&[u8]; 6] = [b"canary-text", b"canary-sdp", b"Ana", b"Ben", b"offer", &secret];
    for canary in canaries {
        assert!(!world.wiretap.windows(canary.len()).any(|window| window == canary), "{}", canary.len());
    }
    assert!(world.wiretap.len() > 10 * wire::BLOCK);
}

#[test]
fn another_bubble_on_the_same_node_sees_nobody() {
    let (mut world, ana, ben) = pair(16, false);
    let eve = world.join_with("Eve", false, BubbleSecret::from_random([6; 32]), 0);
    world.run_for(s(60));
    assert!(!world.knows(eve, ana) && !world.knows(ana, eve));
    assert!(world.phones[eve].seen.names.is_empty());
    world.send(ana, ben, "among us");
    world.run_until(s(5), "delivered", World::all_delivered);
}

#[test]
fn clocks_that_are_years_apart_change_nothing() {
    let mut world = World::new(17);
    let year = 365 * 86_400_000;
    let secret = world.secret.clone();
    let ana = world.join_with("Ana", false, secret.clone(), -10 * year);
    let ben = world.join_with("Ben", false, secret, 5 * year);
    world.all_know_each_other();
    world.run_for(s(3600));
    assert!(world.knows(ana, ben) && world.knows(ben, ana));
    world.send(ana, ben, "from the past");
    world.send(ben, ana, "from the future");
    world.run_until(s(5), "delivered", World::all_delivered);
    world.assert_all_arrived_once_and_in_order();
}

#[test]
fn who_leaves_is_gone_at_once_and_who_vanishes_after_a_while() {
    let mut world = World::new(18);
    let (ana, ben, cleo) = (world.join("Ana", false), world.join("Ben", false), world.join("Cleo", false));
    world.all_know_each_other();
    world.send(ana, ben, "wait");
    world.run_until(s(5), "delivered", World::all_delivered);
    world.cut(ben, true);
    world.send(ana, ben, "never");
    world.cut(ben, false);
    world.command(ben, Command::Leave).unwrap();
    world.run_until(s(2), "Ben is gone", |world| !world.knows(ana, ben));
    world.run_for(s(1));
    let peer = world.peer(ana, ben);
    let text = Text::from("too late");
    assert_eq!(world.command(ana, Command::Send { peer, text: text.clone() }), Err(CommandError::PeerLeft));
    assert_eq!(world.command(ben, Command::NetworkChanged), Err(CommandError::Left));
    let last = *world.phones[ana].seen.deliveries.values().last().unwrap();
    assert!(
        matches!(last, DeliveryState::Failed { why: FailReason::PeerLeft } | DeliveryState::Delivered),
        "{last:?}"
    );
    world.cut(cleo, true);
    world.run_for(s(300));
    assert!(world.knows(ana, cleo), "silence for five minutes is nothing");
    world.run_for(s(600));
    assert!(!world.knows(ana, cleo));
    world.send(ana, cleo, "when you are back");
    world.cut(cleo, false);
    world.run_until(s(60), "Cleo is back", |world| world.knows(ana, cleo));
    world.run_until(s(60), "delivered", |world| world.texts(cleo, ana) == ["when you are back"]);
}

#[test]
fn what_cannot_be_sent_is_said_and_changes_nothing() {
    let (mut world, ana, ben) = pair(19, false);
    let peer = world.peer(ana, ben);
    let send = |text: String| Command::Send { peer, text: text.into() };
    assert_eq!(world.command(ana, send(String::new())), Err(CommandError::TextEmpty));
    assert_eq!(world.command(ana, send("x".repeat(MAX_TEXT + 1))), Err(CommandError::TextTooLong));
    let nobody = client_core::PeerId(99);
    assert_eq!(world.command(ana, Command::Open { peer: nobody }), Err(CommandError::UnknownPeer));
    world.send(ana, ben, &"x".repeat(MAX_TEXT));
    world.cut(ana, true);
    for n in 1..256 {
        world.send(ana, ben, &format!("{n}"));
    }
    assert_eq!(world.command(ana, send("one more".into())), Err(CommandError::OutboxFull));
    world.cut(ana, false);
    world.run_until(s(60), "delivered", World::all_delivered);
    world.assert_all_arrived_once_and_in_order();
}

#[test]
fn a_full_mailbox_delays_and_loses_nothing() {
    let config = relay_core::mailbox::Config { envelopes_per_mailbox: 8, ..Default::default() };
    let mut world = World::with(20, config, 4096);
    let (ana, ben) = (world.join("Ana", false), world.join("Ben", false));
    world.all_know_each_other();
    world.cut(ben, true);
    for n in 0..20 {
        world.send(ana, ben, &format!("{n}"));
    }
    world.run_for(s(5));
    assert!(
        world.phones[ana].seen.notices.iter().any(|notice| matches!(notice, Notice::PeerMailboxFull { .. }))
    );
    world.cut(ben, false);
    world.run_until(s(400), "delivered", World::all_delivered);
    world.assert_all_arrived_once_and_in_order();
}

#[test]
fn credentials_are_asked_for_given_to_the_driver_and_renewed() {
    let config = relay_core::mailbox::Config { turn_port: 3478, ..Default::default() };
    let mut world = World::with(21, config, 4096);
    world.turn = Some(600);
    world.direct = true;
    world.path = Path::Relayed;
    let (ana, ben) = (world.join("Ana", true), world.join("Ben", true));
    world.all_know_each_other();
    world.send(ana, ben, "hello");
    world.run_until(s(5), "relayed", |world| {
        world.path(ana, ben) == Path::Relayed && world.path(ben, ana) == Path::Relayed
    });
    let turn = world.phones[ana].seen.turns[0].clone().unwrap();
    assert_eq!((turn.port, turn.username.expose(), turn.password.expose()), (3478, "user", "pass"));
    world.run_for(s(460));
    assert_eq!((world.phones[ana].seen.renewed, world.phones[ben].seen.renewed), (1, 1));
}

#[test]
fn a_conversation_that_idles_for_hours_goes_on() {
    let (mut world, ana, ben) = pair(22, false);
    world.send(ana, ben, "morning");
    world.run_until(s(5), "delivered", World::all_delivered);
    world.run_for(s(4 * 3600));
    world.send(ben, ana, "evening");
    world.run_until(s(5), "delivered", World::all_delivered);
    world.assert_all_arrived_once_and_in_order();
}

#[test]
fn a_welcome_that_the_peer_has_outlived_is_made_anew() {
    let (mut world, ana, ben) = pair(23, false);
    // Ana writes while she is away, with a key package that Ben forgets in the meantime.
    world.cut(ana, true);
    world.send(ana, ben, "written long ago");
    world.run_for(s(4 * 3600));
    world.cut(ana, false);
    world.run_until(s(600), "delivered", World::all_delivered);
    world.assert_all_arrived_once_and_in_order();
}

#[test]
fn ten_phones_see_nine_others_and_a_ring_of_messages_arrives() {
    let mut world = World::new(24);
    for n in 0..10 {
        world.join(&format!("phone {n}"), false);
    }
    world.all_know_each_other();
    for n in 0..10 {
        world.send(n, (n + 1) % 10, &format!("from {n}"));
    }
    world.run_until(s(10), "delivered", World::all_delivered);
    world.assert_all_arrived_once_and_in_order();
}

#[test]
fn both_see_the_same_safety_number_and_a_namesake_is_told_from_who_was_verified() {
    let (mut world, ana, ben) = pair(21, false);
    let (of_ben, of_ana) = (world.peer(ana, ben), world.peer(ben, ana));
    world.command(ana, Command::ShowSafety { peer: of_ben }).unwrap();
    world.command(ben, Command::ShowSafety { peer: of_ana }).unwrap();
    let number = world.phones[ana].seen.safety[&of_ben].clone();
    assert_eq!(world.phones[ben].seen.safety[&of_ana], number);
    world.command(ana, Command::Verify { peer: of_ben, same: true }).unwrap();
    assert!(world.phones[ana].seen.verified[&of_ben]);

    let other = world.join("ben", false);
    world.run_until(s(30), "the namesake is seen", |world| world.knows(ana, other));
    let namesake = world.peer(ana, other);
    assert!(world.phones[ana].seen.notices.contains(&Notice::OtherDevice { peer: namesake }));
    assert!(world.phones[ben].seen.notices.is_empty(), "who verified nobody is not bothered");
    world.command(ana, Command::ShowSafety { peer: namesake }).unwrap();
    assert_ne!(world.phones[ana].seen.safety[&namesake], number);
    let nobody = world.command(ana, Command::ShowSafety { peer: client_core::PeerId(99) });
    assert_eq!(nobody, Err(CommandError::UnknownPeer));
    world.command(ana, Command::Verify { peer: of_ben, same: false }).unwrap();
    assert!(!world.phones[ana].seen.verified[&of_ben]);
}
