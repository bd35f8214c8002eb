use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;

fn at(s: u64) -> Instant {
    Instant::from_millis(s * 1000)
}

fn session() -> Session {
    let limits = Limits { envelope: 65536, ttl_s: 3600, idle_s: 90, subscriptions: 8 };
    Session { challenge: Challenge([0; 32]), turn_port: 0, limits, reading: false }
}

fn open() -> (Link, ChaCha20Rng) {
    let mut rng = ChaCha20Rng::from_seed([0; 32]);
    let mut link = Link::new(at(0));
    assert_eq!(link.handle_timeout(at(0)), Do::Redial);
    assert_eq!(link.handle_carrier(LinkEvent::Up, at(0), &mut rng), Do::Nothing);
    assert_eq!(link.handle_welcome([1; 16], session(), at(0)), Some(true));
    link.handle_reading();
    (link, rng)
}

#[test]
fn a_silent_node_is_left_after_six_seconds() {
    let (mut link, _) = open();
    assert_eq!(link.poll_timeout(), Some(at(15)));
    assert!(matches!(link.handle_timeout(at(15)), Do::Ping(_)));
    for doubt in [15_500, 16_500, 18_500] {
        assert_eq!(link.poll_timeout(), Some(ms(doubt)));
        assert_eq!(link.handle_timeout(ms(doubt)), Do::Double);
    }
    assert_eq!(link.poll_timeout(), Some(at(21)));
    assert_eq!(link.handle_timeout(at(21)), Do::Redial);
    assert!(!link.is_up());
}

#[test]
fn an_answered_ping_keeps_the_session() {
    let (mut link, _) = open();
    link.handle_timeout(at(15));
    link.handle_pong();
    link.heard(at(16));
    assert_eq!(link.poll_timeout(), Some(at(30)));
}

#[test]
fn dialling_waits_longer_after_each_failure_and_not_after_a_change() {
    let (mut link, mut rng) = open();
    assert_eq!(link.handle_carrier(LinkEvent::Down, at(1), &mut rng), Do::Lose);
    let mut now = at(1);
    for _ in 0..8 {
        let next = link.poll_timeout().unwrap();
        assert!(next > now && next.saturating_duration_since(now) <= Duration::from_secs(10));
        now = next;
        assert_eq!(link.handle_timeout(now), Do::Redial);
        assert_eq!(link.handle_carrier(LinkEvent::Down, now, &mut rng), Do::Lose);
    }
    assert_eq!(link.handle_change(now), Do::Redial);
}

#[test]
fn the_same_instance_is_known_again() {
    let (mut link, mut rng) = open();
    link.handle_carrier(LinkEvent::Down, at(1), &mut rng);
    link.handle_carrier(LinkEvent::Up, at(2), &mut rng);
    assert_eq!(link.handle_welcome([1; 16], session(), at(2)), Some(false));
    assert_eq!(link.handle_welcome([2; 16], session(), at(2)), None, "only once in a session");
}

#[test]
fn deposits_in_flight_are_bounded_and_an_unanswered_one_is_found() {
    let (mut link, _) = open();
    for _ in 0..MAX_DEPOSITS {
        assert!(link.has_slot());
        link.request(Request::Deposit(PeerId(1), Cargo::Receipts), at(0));
    }
    assert!(!link.has_slot());
    assert_eq!(link.pop_overdue(at(30)), None);
    assert_eq!(link.pop_overdue(at(31)), Some(Request::Deposit(PeerId(1), Cargo::Receipts)));
    assert!(link.has_slot());
}

fn ms(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

#[test]
fn while_people_talk_a_silent_carrier_is_doubted_before_two_seconds_and_left_after_the_same_time() {
    let (mut link, mut rng) = open();
    link.attend(at(0));
    assert_eq!(link.poll_timeout(), Some(at(1)));
    assert!(matches!(link.handle_timeout(at(1)), Do::Ping(_)));
    for (due, next) in [(1500, 2500), (2500, 4500), (4500, 7000)] {
        assert_eq!(link.poll_timeout(), Some(ms(due)));
        assert_eq!(link.handle_timeout(ms(due)), Do::Double);
        assert!(link.is_up(), "it may only be slow");
        assert_eq!(link.poll_timeout(), Some(ms(next)), "a longer time for the next attempt");
    }
    assert_eq!(link.handle_carrier(LinkEvent::Up, ms(4600), &mut rng), Do::Lose);
    assert_eq!(link.handle_welcome([1; 16], session(), ms(4600)), Some(false));

    let (mut link, _) = open();
    link.attend(at(0));
    link.handle_timeout(at(1));
    while link.poll_timeout() < Some(at(7)) {
        assert_eq!(link.handle_timeout(link.poll_timeout().unwrap()), Do::Double);
    }
    assert_eq!(link.handle_timeout(at(7)), Do::Redial);
}

#[test]
fn a_carrier_that_is_only_slow_is_given_more_time_and_less_again_when_it_is_fast() {
    let (mut link, _) = open();
    let mut now = 0;
    let mut asked = |link: &mut Link, answer: u64| {
        link.attend(ms(now));
        now = link.poll_timeout().unwrap().saturating_duration_since(Instant::ZERO).as_millis() as u64;
        assert!(matches!(link.handle_timeout(ms(now)), Do::Ping(_)));
        let doubted = link.poll_timeout().unwrap() <= ms(now + answer);
        if doubted {
            assert_eq!(link.handle_timeout(link.poll_timeout().unwrap()), Do::Double);
        }
        now += answer;
        link.handle_pong();
        link.heard(ms(now));
        doubted
    };
    assert!(asked(&mut link, 900), "half a second is the usual time");
    assert!(!asked(&mut link, 700), "twice that now");
    for _ in 0..20 {
        asked(&mut link, 20);
    }
    assert!(asked(&mut link, 700));
}

#[test]
fn when_nobody_has_talked_for_a_minute_the_node_is_asked_seldom() {
    let (mut link, _) = open();
    link.attend(at(0));
    link.heard(at(58));
    assert_eq!(link.poll_timeout(), Some(at(15)), "the one that is overdue here");
    assert!(matches!(link.handle_timeout(at(58)), Do::Ping(_)));
    link.handle_pong();
    link.heard(at(59));
    assert_eq!(link.poll_timeout(), Some(at(73)));
}

#[test]
fn a_silent_peer_has_the_node_asked_once_and_not_when_it_owes_an_answer() {
    let (mut link, _) = open();
    assert_eq!(link.take_check(at(3)), Do::Nothing);
    link.check();
    assert!(matches!(link.take_check(at(3)), Do::Ping(_)));
    assert_eq!((link.take_check(at(3)), link.poll_timeout()), (Do::Nothing, Some(ms(3250))));
    link.check();
    assert_eq!(link.take_check(ms(3100)), Do::Nothing);
    assert_eq!(link.handle_timeout(ms(3250)), Do::Double);
    link.handle_pong();
    link.heard(ms(3300));
    assert_eq!(link.poll_timeout(), Some(at(15)), "and it is not asked more often after that");
}

#[test]
fn a_change_of_the_network_asks_at_once_and_leaves_who_was_silent_before() {
    let (mut link, _) = open();
    assert!(matches!(link.handle_change(at(3)), Do::Ping(_)));
    assert_eq!(link.poll_timeout(), Some(ms(3500)));
    assert_eq!(link.handle_timeout(ms(3500)), Do::Double);
    assert_eq!(link.handle_change(ms(3600)), Do::Redial);

    let (mut link, _) = open();
    link.handle_change(at(3));
    while link.poll_timeout() < Some(at(5)) {
        assert_eq!(link.handle_timeout(link.poll_timeout().unwrap()), Do::Double);
    }
    assert_eq!(link.handle_timeout(at(5)), Do::Redial);
}

#[test]
fn while_people_talk_attempts_that_reach_nobody_are_made_again_soon_and_refused_ones_later() {
    for (hangs, most) in [(5_000, 500), (0, 1_000)] {
        let (mut link, mut rng) = open();
        let mut now = 0;
        link.attend(ms(now));
        link.handle_carrier(LinkEvent::Down, ms(now), &mut rng);
        for _ in 0..8 {
            let next = link.poll_timeout().unwrap();
            assert!(next.saturating_duration_since(ms(now)) <= Duration::from_millis(most.max(500)));
            assert_eq!(link.handle_timeout(next), Do::Redial);
            now = next.saturating_duration_since(Instant::ZERO).as_millis() as u64 + hangs;
            assert_eq!(link.handle_carrier(LinkEvent::Down, ms(now), &mut rng), Do::Lose);
        }
        link.handle_carrier(LinkEvent::Up, ms(now), &mut rng);
        link.lose(ms(now), &mut rng);
        let wait = link.poll_timeout().unwrap().saturating_duration_since(ms(now));
        assert!(wait > Duration::from_secs(2), "who was not let in waits longer each time: {wait:?}");
    }
}
