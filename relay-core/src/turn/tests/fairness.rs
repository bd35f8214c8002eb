//! One who floods, and others who do not.

use std::collections::VecDeque;

use super::*;

/// Packets that the thread gets done in a millisecond; it drops twenty in the time of one.
const PER_MS: u64 = 20;
const DROPS: u64 = 20;
/// Packets that wait for it.
const QUEUE: usize = 1000;
/// With its header it counts 2000.
const DATA: [u8; 972] = [7; 972];

/// How often somebody does something in a millisecond, and what; it says whether it was done.
type Thing<'a> = (u64, &'a mut dyn FnMut(&mut World) -> bool);

/// A client with an account, an allocation and a channel.
fn client(world: &mut World, account: u64, from: &str) -> Client {
    let account = Account::random(&mut FixedRng(account));
    let number = u64::from(address(from).port());
    let mut client = Client::new(world, from).minted_for(&account, number);
    client.allocate(world);
    client.bind(world, 0x4000, address(PEER));
    client
}

/// Lets time pass in which each of `who` does its thing so many times per millisecond; how many of their things were
/// done. The thread is behind for as long as more is done than it can.
fn run(world: &mut World, millis: u64, who: &mut [Thing<'_>]) -> Vec<u64> {
    let mut done = vec![0; who.len()];
    let mut queue = VecDeque::new();
    for _ in 0..millis {
        world.server.handle_load(Load { behind: !queue.is_empty(), blocked: false }, world.now);
        for round in 0..who.iter().map(|(times, _)| *times).max().unwrap_or_default() {
            let room = QUEUE - queue.len();
            let senders = who.iter().enumerate().filter(|(_, (times, _))| *times > round);
            queue.extend(senders.map(|(sender, _)| sender).take(room));
        }
        let mut time = PER_MS * DROPS;
        while time >= DROPS
            && let Some(sender) = queue.pop_front()
        {
            let is_done = who[sender].1(world);
            done[sender] += u64::from(is_done);
            time -= if is_done { DROPS } else { 1 };
        }
        world.now = world.now + Duration::from_millis(1);
    }
    done
}

/// What waited at the beginning and waits at the end may differ; and at the edge of what the thread can do, the queue is
/// full for a moment now and then.
fn nearly_all(done: u64, sent: u64) -> bool {
    done * 100 >= sent * 99
}

fn sends(client: &mut Client) -> impl FnMut(&mut World) -> bool {
    |world| client.channel_data(world, 0x4000, &DATA).is_some()
}

fn asks(from: FiveTuple) -> impl FnMut(&mut World) -> bool {
    let request = Message::builder_request(stun_types::message::BINDING, MessageWriteVec::new()).finish();
    move |world| !world.client(&request, from).1.is_empty()
}

#[test]
fn while_the_thread_keeps_up_nobody_is_held_back() {
    let mut world = World::new();
    let mut one = client(&mut world, 1, "10.0.0.2:5000");
    let mut other = client(&mut world, 2, "10.0.0.4:5000");
    let done = run(&mut world, 1000, &mut [(15, &mut sends(&mut one)), (5, &mut sends(&mut other))]);
    assert_eq!((done, world.server.is_sharing()), (vec![15_000, 5_000], false));
    assert_eq!(world.server.counters().shed, 0);
}

#[test]
fn whoever_floods_takes_from_nobody_else() {
    let mut world = World::new();
    let mut flood = client(&mut world, 1, "10.0.0.2:5000");
    let mut others = [client(&mut world, 2, "10.0.0.4:5000"), client(&mut world, 3, "10.0.0.5:5000")];
    run(&mut world, 500, &mut [(100, &mut sends(&mut flood))]);
    let [one, two] = &mut others;
    let mut who: [Thing<'_>; 3] = [(100, &mut sends(&mut flood)), (3, &mut sends(one)), (1, &mut sends(two))];
    run(&mut world, 100, &mut who);
    let shed = world.server.counters().shed;
    let done = run(&mut world, 1000, &mut who);
    assert!(nearly_all(done[1], 3000) && nearly_all(done[2], 1000), "{done:?}");
    assert!((5_000..16_000).contains(&done[0]), "what is left is its own: {}", done[0]);
    assert!(world.server.counters().shed - shed > 50_000);
}

#[test]
fn many_allocations_and_many_credentials_have_one_share() {
    let mut world = World::new();
    let mut flood: Vec<Client> =
        (0..8).map(|number| client(&mut world, 1, &format!("10.0.0.2:{}", 5000 + number))).collect();
    let mut other = client(&mut world, 2, "10.0.0.4:5000");
    let mut turn = 0;
    let mut floods = |world: &mut World| {
        turn += 1;
        flood[turn % 8].channel_data(world, 0x4000, &DATA).is_some()
    };
    let mut who: [Thing<'_>; 2] = [(100, &mut floods), (3, &mut sends(&mut other))];
    run(&mut world, 500, &mut who);
    let done = run(&mut world, 1000, &mut who);
    assert!(nearly_all(done[1], 3000), "much less than half of what there is: {done:?}");
    assert!(done[0] < 17_000, "{}", done[0]);
}

#[test]
fn peers_take_neither_what_their_client_sends_nor_what_others_do() {
    let mut world = World::new();
    let [mut one, mut other] = [("10.0.0.2:5000", 1), ("10.0.0.4:5000", 2)].map(|(from, account)| {
        let account = Account::random(&mut FixedRng(account));
        Client::new(&mut world, from).minted_for(&account, 1)
    });
    let relayed = one.allocate(&mut world);
    other.allocate(&mut world);
    for client in [&mut one, &mut other] {
        client.bind(&mut world, 0x4000, address(PEER));
    }
    let mut peer = |world: &mut World| world.peer(&DATA, address(PEER), relayed).is_some();
    let mut who: [Thing<'_>; 3] = [(100, &mut peer), (2, &mut sends(&mut one)), (2, &mut sends(&mut other))];
    run(&mut world, 500, &mut who);
    let done = run(&mut world, 1000, &mut who);
    assert!(nearly_all(done[1], 2000) && nearly_all(done[2], 2000), "{done:?}");
    assert!((7_000..18_000).contains(&done[0]), "{}", done[0]);
}

// Who has no allocation yet is known by an address alone, which can be forged: all of them have one share.
#[test]
fn strangers_who_flood_take_neither_from_clients_nor_from_other_strangers() {
    let mut world = World::new();
    let mut member = client(&mut world, 1, "10.0.0.2:5000");
    let strangers = ["10.0.0.7:1", "10.0.0.8:1"].map(|from| Client::new(&mut world, from));
    let [flood, new] = strangers.map(|client| client.five_tuple);
    let (mut floods, mut joins) = (asks(flood), asks(new));
    let mut who: [Thing<'_>; 3] = [(100, &mut floods), (2, &mut joins), (3, &mut sends(&mut member))];
    run(&mut world, 500, &mut who);
    let done = run(&mut world, 1000, &mut who);
    assert!(nearly_all(done[1], 2000) && nearly_all(done[2], 3000), "{done:?}");
    assert!(done[0] < 90_000, "{}", done[0]);
}

#[test]
fn sources_without_end_have_the_share_of_one() {
    let mut world = World::new();
    let mut member = client(&mut world, 1, "10.0.0.2:5000");
    let request = Message::builder_request(stun_types::message::BINDING, MessageWriteVec::new()).finish();
    let mut number = 0_u32;
    let mut floods = |world: &mut World| {
        number += 1;
        let from = SocketAddr::from((number.to_be_bytes(), 9));
        !world.client(&request, FiveTuple::udp(from, address(BOX_V4))).1.is_empty()
    };
    let mut who: [Thing<'_>; 2] = [(100, &mut floods), (2, &mut sends(&mut member))];
    run(&mut world, 500, &mut who);
    let done = run(&mut world, 1000, &mut who);
    assert!(nearly_all(done[1], 2000), "{done:?}");
}

#[test]
fn one_who_cannot_be_sent_to_takes_no_room_from_others() {
    let mut world = World::new();
    let [mut slow, mut other] = [("10.0.0.2:5000", 1), ("10.0.0.4:5000", 2)].map(|(from, account)| {
        let account = Account::random(&mut FixedRng(account));
        Client::new(&mut world, from).minted_for(&account, 1)
    });
    let relayed = [slow.allocate(&mut world), other.allocate(&mut world)];
    slow.bind(&mut world, 0x4000, address(PEER));
    other.bind(&mut world, 0x4000, address(PEER));
    // The system takes 10 in a millisecond, and keeps 100; the slow one always comes first.
    let (mut passed, mut room) = ([0, 0], 100);
    for ms in 0..3000 {
        let mut blocked = false;
        for (at, times) in [(0, 50), (1, 2)] {
            for _ in 0..times {
                if world.peer(&DATA, address(PEER), relayed[at]).is_some() {
                    blocked |= room == 0;
                    passed[at] += u32::from(room > 0 && ms >= 2000);
                    room = u32::saturating_sub(room, 1);
                }
            }
        }
        room = (room + 10).min(100);
        world.server.handle_load(Load { behind: false, blocked }, world.now);
        world.now = world.now + Duration::from_millis(1);
    }
    assert!(passed[1] >= 1_990 && passed[0] >= 5_000, "{passed:?}");
}

#[test]
fn the_bandwidth_that_the_operator_sets_is_not_exceeded_and_is_shared() {
    let limits = Limits { bandwidth: Some(4_000_000), ..Limits::default() };
    let mut world = World::with(Config { limits, ..config() });
    assert!(world.server.is_sharing());
    let mut flood = client(&mut world, 1, "10.0.0.2:5000");
    let mut other = client(&mut world, 2, "10.0.0.4:5000");
    let mut who: [Thing<'_>; 2] = [(10, &mut sends(&mut flood)), (1, &mut sends(&mut other))];
    run(&mut world, 100, &mut who);
    let done = run(&mut world, 1000, &mut who);
    assert_eq!(done[1], 1000);
    assert!((900..=1100).contains(&done[0]), "{}", done[0]);
}

#[test]
fn parties_are_as_many_as_accounts_with_an_allocation() {
    let mut world = World::new();
    for round in 0..3 {
        let mut clients: Vec<Client> = (0..20)
            .map(|number| client(&mut world, number / 2, &format!("10.0.0.{}:{}", 10 + number, 5000 + round)))
            .collect();
        assert_eq!(world.server.parties.len(), (10, 10));
        for client in &mut clients {
            client.refresh(&mut world, 0);
        }
        assert_eq!(world.server.parties.len(), (0, 10), "places are used again");
    }
}
