use super::*;
use proptest::prelude::*;

const START: Instant = Instant::from_millis(1000);

fn at(seconds: u64) -> Instant {
    START + Duration::from_secs(seconds)
}

const fn facts(wish: ModeWish, radio: Radio, cable: Cable) -> Facts {
    Facts { wish: Some(wish), radio, cable, stations: 0 }
}

/// A box that was told these facts from its start on, and when it decided.
fn boot(facts: Facts) -> (Decision, u64) {
    let mut machine = ModeMachine::new(START);
    machine.handle_facts(facts, START);
    for second in 0..120 {
        if let Some(decision) = machine.poll_effect() {
            assert_eq!(machine.poll_timeout(), None);
            return (decision, second);
        }
        let due = machine.poll_timeout().expect("it waits for something");
        if due <= at(second) {
            machine.handle_timeout(at(second));
            if let Some(decision) = machine.poll_effect() {
                return (decision, second);
            }
        }
    }
    panic!("never decided");
}

const fn wifi(reason: Reason) -> Decision {
    Decision { mode: Mode::Wifi, reason }
}

const fn lan(reason: Reason) -> Decision {
    Decision { mode: Mode::Lan, reason }
}

#[test]
fn a_box_alone_makes_its_wifi_after_a_few_seconds() {
    let unplugged = facts(ModeWish::Auto, Radio::Able, Cable::Unplugged);
    assert_eq!(boot(unplugged), (wifi(Reason::CableHasNone(Cable::Unplugged)), 6));
    let no_socket = facts(ModeWish::Auto, Radio::Able, Cable::Absent);
    assert_eq!(boot(no_socket), (wifi(Reason::CableHasNone(Cable::Absent)), 6));
}

#[test]
fn a_cable_with_a_network_is_served_at_once_radio_or_not() {
    for radio in [Radio::Able, Radio::Absent, Radio::Unable] {
        let plugged = facts(ModeWish::Auto, radio, Cable::Network);
        assert_eq!(boot(plugged), (lan(Reason::CableHasNetwork), 0), "{radio:?}");
    }
}

#[test]
fn a_cable_without_an_answer_does_not_hold_the_wifi_up_for_long() {
    let silent = facts(ModeWish::Auto, Radio::Able, Cable::Silent);
    assert_eq!(boot(silent), (wifi(Reason::CableHasNone(Cable::Silent)), 15));
}

#[test]
fn a_link_that_comes_late_gets_its_time_for_an_answer() {
    let mut machine = ModeMachine::new(START);
    machine.handle_facts(facts(ModeWish::Auto, Radio::Able, Cable::Unplugged), START);
    machine.handle_facts(facts(ModeWish::Auto, Radio::Able, Cable::Silent), at(5));
    assert_eq!(machine.poll_timeout(), Some(at(20)));
    machine.handle_facts(facts(ModeWish::Auto, Radio::Able, Cable::Network), at(19));
    assert_eq!(machine.poll_effect(), Some(lan(Reason::CableHasNetwork)));
}

#[test]
fn the_word_of_the_owner_counts_where_the_hardware_can() {
    assert_eq!(boot(facts(ModeWish::Lan, Radio::Able, Cable::Unplugged)), (lan(Reason::Asked(Mode::Lan)), 0));
    assert_eq!(
        boot(facts(ModeWish::Wifi, Radio::Able, Cable::Network)),
        (wifi(Reason::Asked(Mode::Wifi)), 0)
    );
    assert_eq!(boot(facts(ModeWish::Wifi, Radio::Absent, Cable::Network)), (lan(Reason::NoRadio), 20));
    assert_eq!(boot(facts(ModeWish::Wifi, Radio::Unable, Cable::Network)), (lan(Reason::RadioUnable), 0));
}

#[test]
fn wrong_settings_and_a_missing_radio_leave_the_box_on_its_cable() {
    let wrong = Facts { wish: None, ..facts(ModeWish::Auto, Radio::Able, Cable::Unplugged) };
    assert_eq!(boot(wrong), (lan(Reason::SettingsWrong), 0));
    assert_eq!(boot(facts(ModeWish::Auto, Radio::Absent, Cable::Silent)), (lan(Reason::NoRadio), 20));
    assert_eq!(boot(facts(ModeWish::Auto, Radio::Unable, Cable::Silent)), (lan(Reason::RadioUnable), 15));
}

fn running(start: Facts) -> ModeMachine {
    let mut machine = ModeMachine::new(START);
    machine.handle_facts(start, START);
    machine.handle_timeout(at(60));
    assert!(machine.poll_effect().is_some());
    machine
}

#[test]
fn a_cable_that_is_plugged_in_later_counts_when_it_lasts_and_nobody_is_on_the_wifi() {
    let alone = facts(ModeWish::Auto, Radio::Able, Cable::Unplugged);
    let mut machine = running(alone);
    let plugged = Facts { cable: Cable::Network, ..alone };
    machine.handle_facts(plugged, at(100));
    assert_eq!(machine.poll_timeout(), Some(at(130)));
    // Out and in again: the wait begins anew.
    machine.handle_facts(alone, at(120));
    assert_eq!((machine.poll_effect(), machine.poll_timeout()), (None, None));
    machine.handle_facts(plugged, at(125));
    machine.handle_facts(plugged, at(154));
    assert_eq!(machine.poll_effect(), None);
    machine.handle_timeout(at(155));
    assert_eq!(machine.poll_effect(), Some(lan(Reason::CableHasNetwork)));
}

#[test]
fn a_cable_cuts_no_phone_off() {
    let alone = facts(ModeWish::Auto, Radio::Able, Cable::Unplugged);
    let mut machine = running(alone);
    let busy = Facts { cable: Cable::Network, stations: 1, ..alone };
    machine.handle_facts(busy, at(100));
    assert_eq!(machine.poll_effect(), Some(wifi(Reason::PhonesOn)));
    machine.handle_timeout(at(10_000));
    assert_eq!((machine.poll_effect(), machine.poll_timeout()), (None, None));
    machine.handle_facts(Facts { stations: 0, ..busy }, at(10_000));
    machine.handle_timeout(at(10_030));
    assert_eq!(machine.poll_effect(), Some(lan(Reason::CableHasNetwork)));
}

#[test]
fn a_cable_that_falls_silent_for_long_makes_room_for_the_wifi() {
    let plugged = facts(ModeWish::Auto, Radio::Able, Cable::Network);
    let mut machine = running(plugged);
    machine.handle_facts(Facts { cable: Cable::Unplugged, ..plugged }, at(100));
    // Another reason for the same change does not begin the wait anew.
    machine.handle_facts(Facts { cable: Cable::Silent, ..plugged }, at(150));
    assert_eq!(machine.poll_timeout(), Some(at(220)));
    machine.handle_timeout(at(220));
    assert_eq!(machine.poll_effect(), Some(wifi(Reason::CableHasNone(Cable::Silent))));
}

#[test]
fn a_radio_that_fails_is_given_up_after_a_minute_and_taken_back() {
    let alone = facts(ModeWish::Wifi, Radio::Able, Cable::Unplugged);
    let mut machine = running(alone);
    machine.handle_facts(Facts { radio: Radio::Failed, ..alone }, at(100));
    machine.handle_facts(Facts { radio: Radio::Absent, ..alone }, at(110));
    assert_eq!(machine.poll_timeout(), Some(at(160)));
    machine.handle_timeout(at(160));
    assert_eq!(machine.poll_effect(), Some(lan(Reason::NoRadio)));
    machine.handle_facts(alone, at(200));
    machine.handle_timeout(at(205));
    assert_eq!(machine.poll_effect(), Some(wifi(Reason::Asked(Mode::Wifi))));
}

#[test]
fn a_radio_that_is_plugged_in_later_is_used_soon() {
    for radio in [Radio::Absent, Radio::Unable] {
        let none = facts(ModeWish::Auto, radio, Cable::Unplugged);
        let mut machine = running(none);
        machine.handle_facts(Facts { radio: Radio::Able, ..none }, at(100));
        assert_eq!(machine.poll_timeout(), Some(at(105)), "{radio:?}");
        machine.handle_timeout(at(105));
        assert_eq!(machine.poll_effect(), Some(wifi(Reason::CableHasNone(Cable::Unplugged))));
    }
}

#[test]
fn a_changed_wish_counts_at_once() {
    let alone = facts(ModeWish::Auto, Radio::Able, Cable::Unplugged);
    let mut machine = running(alone);
    machine.handle_facts(Facts { wish: Some(ModeWish::Lan), stations: 3, ..alone }, at(100));
    assert_eq!(machine.poll_effect(), Some(lan(Reason::Asked(Mode::Lan))));
    machine.handle_facts(Facts { wish: None, ..alone }, at(101));
    assert_eq!(machine.poll_effect(), Some(lan(Reason::SettingsWrong)));
    machine.handle_facts(alone, at(102));
    assert_eq!(machine.poll_effect(), Some(wifi(Reason::CableHasNone(Cable::Unplugged))));
}

#[test]
fn every_decision_is_a_sentence() {
    use Reason::{
        Asked, CableHasNetwork, CableHasNone, NoRadio, PhonesOn, RadioFailed, RadioUnable, SettingsWrong,
    };
    for mode in [Mode::Wifi, Mode::Lan] {
        for reason in [
            Asked(mode),
            SettingsWrong,
            CableHasNetwork,
            CableHasNone(Cable::Absent),
            CableHasNone(Cable::Unplugged),
            CableHasNone(Cable::Silent),
            PhonesOn,
            NoRadio,
            RadioUnable,
            RadioFailed,
        ] {
            let text = Decision { mode, reason }.to_string();
            assert!(text.starts_with("This box ") && text.ends_with('.'), "{text}");
        }
    }
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let wish = prop_oneof![
        Just(None),
        Just(Some(ModeWish::Auto)),
        Just(Some(ModeWish::Auto)),
        Just(Some(ModeWish::Wifi)),
        Just(Some(ModeWish::Lan))
    ];
    let radio = prop_oneof![Just(Radio::Absent), Just(Radio::Unable), Just(Radio::Able), Just(Radio::Failed)];
    let cable =
        prop_oneof![Just(Cable::Absent), Just(Cable::Unplugged), Just(Cable::Silent), Just(Cable::Network)];
    (wish, radio, cable, 0_u16..3).prop_map(|(wish, radio, cable, stations)| Facts {
        wish,
        radio,
        cable,
        stations,
    })
}

proptest! {
    #[test]
    fn whatever_happens_the_box_decides_in_time_and_is_never_on_a_radio_that_is_not_there(
        steps in proptest::collection::vec((any_facts(), 0_u64..90), 1..40),
    ) {
        let mut machine = ModeMachine::new(START);
        let mut now = START;
        let mut broken_since = None;
        for (facts, seconds) in steps {
            machine.handle_facts(facts, now);
            let broken = facts.radio != Radio::Able || facts.wish.is_none() || facts.wish == Some(ModeWish::Lan);
            broken_since = if broken { broken_since.or(Some(now)) } else { None };
            let until = now + Duration::from_secs(seconds);
            while let Some(due) = machine.poll_timeout().filter(|due| *due <= until) {
                let before = machine.poll_timeout();
                machine.handle_timeout(due);
                prop_assert!(machine.poll_timeout() != before, "a deadline that passed is gone");
            }
            now = until;
            machine.handle_timeout(now);
            if now >= START + RADIO_TIME + ANSWER_TIME + Duration::from_secs(90) {
                prop_assert!(machine.current().is_some());
            }
            let long = broken_since.is_some_and(|since| now >= since + FAILURE_LASTS);
            if long && let Some(decision) = machine.current() {
                prop_assert_eq!(decision.mode, Mode::Lan);
            }
        }
    }
}
