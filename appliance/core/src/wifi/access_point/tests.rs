use super::*;
use crate::wifi::hostapd::{News, Phase};
use base::{Instant, Private};
use std::time::Duration;

/// A machine, its clock, and everything that it has said.
struct Bench {
    machine: AccessPoint,
    now: Instant,
    said: Vec<Event>,
}

const WELL: RadioPulse = RadioPulse { sends: true, answers: true, traffic: Traffic { sent: 0, failed: 0 } };

fn well(stations: u16) -> Pulse {
    Pulse { hostapd: Some(Phase::Enabled), stations, radio: Some(WELL) }
}

impl Bench {
    fn new() -> Self {
        let machine = AccessPoint::new(8);
        Self { machine, now: Instant::from_millis(1_000_000), said: vec![] }
    }

    /// Up to the network being on the air.
    fn up() -> Self {
        let mut bench = Self::new();
        bench.start();
        bench.machine.handle_news(News::Enabled, bench.now);
        assert_eq!(bench.said(), [Event::Enabled]);
        assert_eq!(bench.pulse(well(0)), None);
        bench
    }

    fn start(&mut self) {
        assert_eq!(self.machine.poll_effect(), Some(Effect::Locate));
        self.machine.handle_located(Located::Found, self.now);
        assert_eq!(self.machine.poll_effect(), Some(Effect::Start));
        self.machine.handle_started(true, self.now);
        assert_eq!(self.machine.poll_effect(), None);
    }

    /// Waits for the next timeout; says how long that was.
    fn wait(&mut self) -> Duration {
        let at = self.machine.poll_timeout().expect("something is waited for");
        let waited = at.saturating_duration_since(self.now);
        self.now = self.now.max(at);
        self.machine.handle_timeout(self.now);
        waited
    }

    /// Waits until the pulse is taken, gives this one, and says what is to be done.
    fn pulse(&mut self, pulse: Pulse) -> Option<Effect> {
        self.wait();
        assert_eq!(self.machine.poll_effect(), Some(Effect::Feel));
        self.machine.handle_pulse(pulse, Complaint::None, self.now);
        self.machine.poll_effect()
    }

    fn said(&mut self) -> Vec<Event> {
        let mut all: Vec<_> = std::iter::from_fn(|| self.machine.poll_event()).collect();
        self.said.append(&mut all.clone());
        std::mem::take(&mut all)
    }
}

#[test]
fn a_killed_hostapd_is_back_within_a_second() {
    let mut bench = Bench::up();
    let killed = bench.now;
    bench.machine.handle_exited(Complaint::None, bench.now);
    assert_eq!(bench.said(), [Event::Failed(Failure::HostapdEnded(Complaint::None))]);
    bench.wait();
    bench.start();
    bench.machine.handle_news(News::Enabled, bench.now);
    assert_eq!(bench.said(), [Event::Recovered]);
    assert!(bench.now.saturating_duration_since(killed) <= Duration::from_secs(1));
}

#[test]
fn a_network_that_came_up_unheard_is_noticed_by_its_pulse() {
    let mut bench = Bench::new();
    bench.start();
    assert_eq!(bench.pulse(Pulse { hostapd: Some(Phase::Rising), ..well(0) }), None);
    assert_eq!(bench.said(), []);
    assert_eq!(bench.pulse(well(0)), None);
    assert_eq!(bench.said(), [Event::Enabled]);
    assert!(bench.machine.is_up());
}

#[test]
fn pauses_grow_and_the_driver_is_started_again_at_every_third_failure_three_times() {
    let mut bench = Bench::new();
    let mut pauses = vec![];
    let mut rebinds = 0;
    for _ in 0..16 {
        bench.start();
        bench.machine.handle_exited(Complaint::None, bench.now);
        if bench.machine.poll_effect() == Some(Effect::Rebind) {
            rebinds += 1;
            bench.machine.handle_rebound(bench.now);
        }
        pauses.push(bench.wait().as_millis());
    }
    assert_eq!(
        pauses,
        [
            200, 1000, 1000, 5000, 10_000, 1000, 30_000, 30_000, 1000, 30_000, 30_000, 300_000, 30_000,
            30_000, 300_000, 30_000
        ]
    );
    assert_eq!(rebinds, 3);
    let said = bench.said();
    assert_eq!(said.first(), Some(&Event::Failed(Failure::NotEnabled(Complaint::None))));
    assert!(said.contains(&Event::Failed(Failure::RadioDead)));
    // It never gives up for good.
    bench.start();
    bench.machine.handle_news(News::Enabled, bench.now);
    assert_eq!(bench.said(), [Event::Enabled]);
}

#[test]
fn a_channel_that_is_forbidden_is_no_fault_of_the_driver() {
    let mut bench = Bench::new();
    for _ in 0..10 {
        bench.start();
        bench.machine.handle_exited(Complaint::Channel, bench.now);
        assert_eq!(bench.machine.poll_effect(), None);
        bench.wait();
    }
    assert_eq!(bench.said(), [Event::Failed(Failure::NotEnabled(Complaint::Channel))]);
}

#[test]
fn a_network_that_never_comes_up_is_ended_and_tried_again() {
    let mut bench = Bench::new();
    bench.start();
    let began = bench.now;
    let rising = Pulse { hostapd: Some(Phase::Rising), ..well(0) };
    let effect = std::iter::repeat_with(|| bench.pulse(rising)).take(100).flatten().next();
    assert_eq!(effect, Some(Effect::End { politely: false }));
    assert_eq!(bench.said(), [Event::Failed(Failure::NotEnabled(Complaint::None))]);
    let waited = bench.now.saturating_duration_since(began);
    assert!((Duration::from_secs(15)..Duration::from_secs(16)).contains(&waited), "{waited:?}");
    bench.machine.handle_exited(Complaint::None, bench.now);
    bench.wait();
    bench.start();
}

#[test]
fn listening_for_radars_is_waited_for() {
    let mut bench = Bench::new();
    bench.start();
    bench.machine.handle_news(News::Listening { seconds: 60 }, bench.now);
    let rising = Pulse { hostapd: Some(Phase::Rising), ..well(0) };
    let until = bench.now + Duration::from_secs(65);
    while bench.now < until {
        assert_eq!(bench.pulse(rising), None);
    }
    bench.machine.handle_news(News::Enabled, bench.now);
    assert_eq!(bench.said(), [Event::Enabled]);
}

#[test]
fn a_radio_that_is_pulled_out_is_waited_for() {
    let mut bench = Bench::up();
    assert_eq!(bench.pulse(Pulse { radio: None, ..well(0) }), Some(Effect::End { politely: false }));
    assert_eq!(bench.said(), [Event::Failed(Failure::RadioGone)]);
    bench.machine.handle_exited(Complaint::NoInterface, bench.now);
    for _ in 0..500 {
        assert_eq!(bench.machine.poll_effect(), Some(Effect::Locate));
        bench.machine.handle_located(Located::Absent, bench.now);
        assert_eq!(bench.wait(), Duration::from_secs(1));
    }
    assert_eq!(bench.said(), []);
    bench.start();
    bench.machine.handle_news(News::Enabled, bench.now);
    assert_eq!(bench.said(), [Event::Recovered]);
}

/// H16: the firmware halts, the interface stays.
#[test]
fn silent_firmware_has_its_driver_started_again_within_ten_seconds() {
    for silent in [RadioPulse { answers: false, ..WELL }, RadioPulse { sends: false, ..WELL }] {
        let mut bench = Bench::up();
        let halted = bench.now;
        let pulse = Pulse { radio: Some(silent), ..well(3) };
        assert_eq!(bench.pulse(pulse), None);
        assert_eq!(bench.pulse(pulse), None);
        assert_eq!(bench.pulse(pulse), Some(Effect::End { politely: false }));
        bench.machine.handle_exited(Complaint::None, bench.now);
        assert_eq!(bench.machine.poll_effect(), Some(Effect::Rebind));
        assert!(bench.now.saturating_duration_since(halted) < Duration::from_secs(10));
        bench.machine.handle_rebound(bench.now);
        bench.wait();
        bench.start();
        bench.machine.handle_news(News::Enabled, bench.now);
        assert_eq!(bench.said(), [Event::Failed(Failure::RadioSilent), Event::Recovered]);
    }
}

#[test]
fn a_kernel_that_is_held_up_is_no_missing_radio() {
    let mut bench = Bench::new();
    for _ in 0..3 {
        assert_eq!(bench.machine.poll_effect(), Some(Effect::Locate));
        bench.machine.handle_located(Located::Unknown, bench.now);
        assert_eq!(bench.machine.poll_effect(), Some(Effect::Rebind));
        bench.machine.handle_rebound(bench.now);
        bench.wait();
    }
    assert_eq!(bench.machine.poll_effect(), Some(Effect::Locate));
    bench.machine.handle_located(Located::Unknown, bench.now);
    assert_eq!(bench.wait(), Duration::from_secs(300));
    bench.start();
    bench.machine.handle_news(News::Enabled, bench.now);
    assert_eq!(
        bench.said(),
        [Event::Failed(Failure::RadioSilent), Event::Failed(Failure::RadioDead), Event::Enabled]
    );
}

#[test]
fn what_a_driver_never_tells_is_no_sign_of_death() {
    let mut bench = Bench::new();
    bench.start();
    bench.machine.handle_news(News::Enabled, bench.now);
    let quiet = Pulse { radio: Some(RadioPulse::default()), ..well(1) };
    for _ in 0..100 {
        assert_eq!(bench.pulse(quiet), None);
    }
    assert_eq!(bench.said(), [Event::Enabled, Event::Stations(1)]);
}

#[test]
fn frames_that_only_fail_are_a_sign_of_death_and_idleness_is_none() {
    let traffic = |sent, failed| RadioPulse { traffic: Traffic { sent, failed }, ..WELL };
    let ends_within = |stations, seconds: u64, step: &dyn Fn(u64) -> RadioPulse| {
        let mut bench = Bench::up();
        let began = bench.now;
        for beat in 0.. {
            let pulse = Pulse { radio: Some(step(beat)), ..well(stations) };
            if bench.pulse(pulse).is_some() {
                return true;
            }
            if bench.now.saturating_duration_since(began) > Duration::from_secs(seconds) {
                return false;
            }
        }
        unreachable!()
    };
    assert!(ends_within(1, 60, &|beat| traffic(500, beat * 3)));
    assert!(!ends_within(1, 600, &|beat| traffic(500 + beat, beat * 3)), "some get through");
    assert!(!ends_within(1, 600, &|_| traffic(500, 7)), "nothing is sent");
    assert!(!ends_within(0, 600, &|beat| traffic(500, beat * 3)), "nobody is there");
}

#[test]
fn a_hanging_hostapd_is_killed_and_started_again() {
    let mut bench = Bench::up();
    let silent = Pulse { hostapd: None, ..well(0) };
    assert_eq!(bench.pulse(silent), None);
    assert_eq!(bench.pulse(silent), None);
    assert_eq!(bench.pulse(silent), Some(Effect::End { politely: false }));
    assert_eq!(bench.said(), [Event::Failed(Failure::HostapdSilent)]);
    // One missed answer is forgotten.
    let mut bench = Bench::up();
    for _ in 0..10 {
        assert_eq!(bench.pulse(silent), None);
        assert_eq!(bench.pulse(silent), None);
        assert_eq!(bench.pulse(well(0)), None);
    }
}

#[test]
fn stations_are_counted_and_a_full_network_is_said_once() {
    let mut bench = Bench::up();
    let station = Private::new(crate::mac::Mac::default());
    bench.machine.handle_news(News::Joined(station), bench.now);
    assert!(
        bench.machine.poll_timeout().unwrap().saturating_duration_since(bench.now) < Duration::from_secs(1)
    );
    bench.pulse(well(7));
    assert_eq!(bench.said(), [Event::Stations(7)]);
    bench.pulse(well(8));
    bench.machine.handle_news(News::Full, bench.now);
    bench.pulse(well(8));
    assert_eq!(bench.said(), [Event::Stations(8), Event::Full { stations: 8 }]);
    bench.pulse(well(7));
    bench.pulse(well(8));
    assert_eq!(bench.said(), [Event::Stations(7), Event::Stations(8), Event::Full { stations: 8 }]);
    bench.machine.handle_exited(Complaint::None, bench.now);
    assert_eq!(bench.said(), [Event::Stations(0), Event::Failed(Failure::HostapdEnded(Complaint::None))]);
}

#[test]
fn new_keys_reach_hostapd_whenever_they_come() {
    let mut bench = Bench::up();
    bench.machine.handle_new_keys();
    assert_eq!(bench.machine.poll_effect(), Some(Effect::ChangeKeys));
    // Once more while they are being written.
    bench.machine.handle_new_keys();
    bench.machine.handle_keys_changed(true, bench.now);
    assert_eq!(bench.pulse(well(1)), Some(Effect::ChangeKeys));
    bench.machine.handle_keys_changed(false, bench.now);
    assert_eq!(bench.machine.poll_effect(), Some(Effect::End { politely: true }));
    bench.machine.handle_exited(Complaint::None, bench.now);
    bench.start();
    // The start has read them.
    bench.machine.handle_news(News::Enabled, bench.now);
    assert_eq!(bench.pulse(well(1)), None);
    assert!(!bench.said().iter().any(|event| matches!(event, Event::Failed(_))));
}

#[test]
fn stopping_says_goodbye_first() {
    let mut bench = Bench::up();
    bench.machine.handle_stop();
    assert_eq!(bench.machine.poll_effect(), Some(Effect::End { politely: true }));
    assert!(!bench.machine.is_stopped());
    bench.machine.handle_exited(Complaint::None, bench.now);
    assert!(bench.machine.is_stopped());
    assert_eq!((bench.machine.poll_effect(), bench.machine.poll_timeout()), (None, None));
}

#[test]
fn events_that_nobody_fetches_are_bounded_and_the_last_count_stays() {
    let mut bench = Bench::up();
    for stations in 1..100 {
        bench.pulse(well(stations % 8));
    }
    let said = bench.said();
    assert_eq!(said.len(), 16);
    assert_eq!(said.last(), Some(&Event::Stations(99 % 8)));
}

mod any {
    use super::*;
    use proptest::prelude::*;

    /// What may happen while nothing is under way, and how an effect is answered.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Wait,
        News(u8),
        Exits,
        Keys,
        Answer(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Wait),
            2 => any::<u8>().prop_map(Step::News),
            1 => Just(Step::Exits),
            1 => Just(Step::Keys),
            8 => any::<u8>().prop_map(Step::Answer),
        ]
    }

    fn news(kind: u8) -> News {
        let station = Private::new(crate::mac::Mac::default());
        let all = [
            News::Enabled,
            News::Disabled,
            News::InterfaceDisabled,
            News::Joined(station),
            News::Left(station),
            News::WrongKey(station),
            News::Full,
            News::Listening { seconds: 60 },
            News::Ending,
            News::Other,
        ];
        all[usize::from(kind) % all.len()]
    }

    fn pulse(bits: u8) -> Pulse {
        Pulse {
            hostapd: [None, Some(Phase::Down), Some(Phase::Rising), Some(Phase::Enabled)]
                [usize::from(bits % 4)],
            stations: u16::from(bits / 4 % 10),
            radio: (bits < 230).then_some(RadioPulse {
                sends: !bits.is_multiple_of(3),
                answers: !bits.is_multiple_of(5),
                ..WELL
            }),
        }
    }

    /// The world as the driver sees it: whether hostapd runs, and what is under way.
    struct World {
        machine: AccessPoint,
        now: Instant,
        running: bool,
        under_way: Option<Effect>,
        enabled: u32,
        down: bool,
    }

    impl World {
        fn drain(&mut self) {
            if let Some(effect) = self.machine.poll_effect() {
                assert_eq!(self.under_way, None, "two effects at a time");
                match effect {
                    Effect::Start | Effect::Rebind | Effect::Locate => assert!(!self.running, "{effect:?}"),
                    Effect::End { .. } | Effect::Feel | Effect::ChangeKeys => {
                        assert!(self.running, "{effect:?}");
                    }
                }
                self.under_way = Some(effect);
            }
            assert_eq!(self.machine.poll_effect(), None);
            while let Some(event) = self.machine.poll_event() {
                match event {
                    Event::Enabled => self.enabled += 1,
                    Event::Recovered => assert!(self.down, "recovered from nothing"),
                    Event::Failed(_) | Event::Stations(_) | Event::Full { .. } => {}
                }
                match event {
                    Event::Enabled | Event::Recovered => self.down = false,
                    Event::Failed(_) => self.down = true,
                    Event::Stations(_) | Event::Full { .. } => {}
                }
            }
            assert!(self.enabled <= 1);
            let rests = self.under_way.is_none() && self.machine.poll_timeout().is_none();
            assert!(!rests || self.machine.is_stopped(), "it rests, and nobody can join");
        }

        fn answer(&mut self, bits: u8) {
            let Some(effect) = self.under_way.take() else { return };
            let yes = !bits.is_multiple_of(4);
            match effect {
                Effect::Locate => {
                    let all = [Located::Absent, Located::Found, Located::Found, Located::Unknown];
                    self.machine.handle_located(all[usize::from(bits % 4)], self.now);
                }
                Effect::Start => {
                    self.running = yes;
                    self.machine.handle_started(yes, self.now);
                }
                Effect::End { .. } => {
                    self.running = false;
                    self.machine.handle_exited(Complaint::None, self.now);
                }
                Effect::Feel => self.machine.handle_pulse(pulse(bits), Complaint::None, self.now),
                Effect::Rebind => self.machine.handle_rebound(self.now),
                Effect::ChangeKeys => self.machine.handle_keys_changed(yes, self.now),
            }
        }

        fn step(&mut self, step: Step) {
            match step {
                Step::Answer(bits) => self.answer(bits),
                // The driver does one thing after the other.
                _ if self.under_way.is_some() => {}
                Step::Wait => {
                    if let Some(at) = self.machine.poll_timeout() {
                        self.now = self.now.max(at);
                        self.machine.handle_timeout(self.now);
                    }
                }
                Step::News(kind) if self.running => self.machine.handle_news(news(kind), self.now),
                Step::Exits if self.running => {
                    self.running = false;
                    self.machine.handle_exited(Complaint::Driver, self.now);
                }
                Step::Keys => self.machine.handle_new_keys(),
                Step::News(_) | Step::Exits => {}
            }
            self.drain();
        }
    }

    proptest! {
        #[test]
        fn whatever_happens_it_goes_on_trying_and_stops_when_told(
            steps in proptest::collection::vec(step(), 0..300),
            last in proptest::collection::vec(any::<u8>(), 4),
        ) {
            let mut world = World {
                machine: AccessPoint::new(8),
                now: Instant::ZERO,
                running: false,
                under_way: None,
                enabled: 0,
                down: false,
            };
            world.drain();
            for step in steps {
                world.step(step);
            }
            world.answer(1);
            world.drain();
            world.machine.handle_stop();
            world.drain();
            for bits in last {
                world.answer(bits);
                world.drain();
            }
            prop_assert!(world.machine.is_stopped() && !world.running);
        }
    }
}
