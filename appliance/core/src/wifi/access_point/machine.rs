//! The machine.

use super::pulse::History;
use super::{Complaint, Effect, Event, Failure, Located, Pulse};
use crate::wifi::hostapd::{News, Phase};
use base::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// How often the pulse is taken while all is well.
const BEAT: Duration = Duration::from_secs(3);
/// How soon it is taken again after a bad one, and while hostapd comes up.
const QUICK_BEAT: Duration = Duration::from_millis(700);
/// How soon after news of a station: several come at once.
const SETTLE: Duration = Duration::from_millis(200);
/// Bad pulses in a row that are taken seriously.
const BAD_BEATS: u8 = 3;
/// For so long hostapd may take until the network is on the air.
const RISE: Duration = Duration::from_secs(15);
/// More than what hostapd says that listening for radars takes.
const AFTER_LISTENING: Duration = Duration::from_secs(10);
/// How often an absent radio is looked for.
const LOOK: Duration = Duration::from_secs(1);
/// After so long on the air earlier failures are forgotten.
const STABLE: Duration = Duration::from_secs(120);
/// The pauses between attempts; the last one stays.
const PAUSES: [Duration; 6] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];
/// Failures in a row after which the driver is to blame, whatever it looks like.
const STRIKES_PER_REBIND: u32 = 3;
/// Starting the driver again helps the first times or not at all.
const MOST_REBINDS: u8 = 3;
/// The pause between attempts once nothing has helped.
const GIVEN_UP: Duration = Duration::from_secs(300);
/// Events that wait to be fetched; the oldest count of stations makes room.
const MOST_EVENTS: usize = 16;

/// What follows a pause or the end of hostapd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Locate,
    Rebind,
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The radio is being looked for.
    Locating,
    /// It was not there.
    Absent { again: Instant },
    /// hostapd is being started.
    Starting,
    /// hostapd runs, the network is not yet on the air.
    Rising { deadline: Instant, beat: Instant, feeling: bool, bad: u8 },
    /// On the air.
    Up { since: Instant, beat: Instant, feeling: bool, bad: u8 },
    /// Keys are being written; hostapd stays up.
    ChangingKeys { since: Instant },
    /// hostapd is being ended.
    Ending { next: Next, pause: Duration },
    /// Between two attempts.
    Pause { until: Instant, next: Next },
    /// The driver is being started again.
    Rebinding,
    /// Stopped, for good.
    Stopped,
}

/// Keeps one access point up.
#[derive(Debug)]
pub struct AccessPoint {
    most_stations: u16,
    state: State,
    effect: Option<Effect>,
    events: VecDeque<Event>,
    history: History,
    stations: u16,
    full: bool,
    /// It was on the air once.
    was_enabled: bool,
    /// What the owner was told last, until it is mended.
    told: Option<Failure>,
    strikes: u32,
    rebinds: u8,
    keys_pending: bool,
    stopping: bool,
}

impl AccessPoint {
    /// Begins by looking for the radio. `most_stations` is the plan's.
    #[must_use]
    pub fn new(most_stations: u16) -> Self {
        let mut machine = Self {
            most_stations,
            state: State::Locating,
            effect: None,
            events: VecDeque::new(),
            history: History::default(),
            stations: 0,
            full: false,
            was_enabled: false,
            told: None,
            strikes: 0,
            rebinds: 0,
            keys_pending: false,
            stopping: false,
        };
        machine.locate();
        machine
    }

    /// The radio was looked for.
    pub fn handle_located(&mut self, located: Located, now: Instant) {
        if self.state != State::Locating {
            return;
        }
        match located {
            _ if self.stopping => self.state = State::Stopped,
            Located::Found => {
                self.state = State::Starting;
                self.effect = Some(Effect::Start);
            }
            Located::Absent => {
                self.tell(Failure::RadioGone);
                self.state = State::Absent { again: now + LOOK };
            }
            Located::Unknown => self.failed(Failure::RadioSilent, false, now),
        }
    }

    /// hostapd was started, or could not be.
    pub fn handle_started(&mut self, started: bool, now: Instant) {
        if self.state != State::Starting {
            return;
        }
        if !started {
            self.failed(Failure::HostapdMissing, false, now);
        } else if self.stopping {
            self.end(true, Next::Nothing, Duration::ZERO);
        } else {
            // Whatever waited was in the files that it has read.
            self.keys_pending = false;
            self.history = History::default();
            let beat = now + QUICK_BEAT;
            self.state = State::Rising { deadline: now + RISE, beat, feeling: false, bad: 0 };
        }
    }

    /// hostapd said something.
    pub fn handle_news(&mut self, news: News, now: Instant) {
        match (news, &mut self.state) {
            (News::Enabled, State::Rising { .. }) => self.up(now),
            (News::Listening { seconds }, State::Rising { deadline, .. }) => {
                *deadline = now + Duration::from_secs(u64::from(seconds)) + AFTER_LISTENING;
            }
            (News::Disabled | News::InterfaceDisabled, State::Up { .. }) => {
                self.stations(0);
                self.state =
                    State::Rising { deadline: now + RISE, beat: now + SETTLE, feeling: false, bad: 0 };
            }
            (News::Full, State::Up { .. }) => self.full(self.stations.max(self.most_stations)),
            (News::Joined(_) | News::Left(_), State::Up { beat, .. }) => *beat = (*beat).min(now + SETTLE),
            // Its end is told by the process itself.
            (
                News::Ending
                | News::WrongKey(_)
                | News::Other
                | News::Enabled
                | News::Listening { .. }
                | News::Disabled
                | News::InterfaceDisabled
                | News::Full
                | News::Joined(_)
                | News::Left(_),
                _,
            ) => {}
        }
    }

    /// hostapd ended, asked or unasked.
    pub fn handle_exited(&mut self, complaint: Complaint, now: Instant) {
        match self.state {
            State::Ending { next, pause } => {
                self.effect = None;
                self.stations(0);
                self.after(next, pause, now);
            }
            State::Rising { .. } | State::Up { .. } | State::ChangingKeys { .. } => {
                self.stations(0);
                self.effect = None;
                let failure = if self.is_up() {
                    Failure::HostapdEnded(complaint)
                } else {
                    Failure::NotEnabled(complaint)
                };
                self.failed(failure, false, now);
            }
            State::Locating
            | State::Absent { .. }
            | State::Starting
            | State::Pause { .. }
            | State::Rebinding
            | State::Stopped => {}
        }
    }

    /// The pulse was taken. `complaint` is what hostapd has complained about since its start.
    pub fn handle_pulse(&mut self, pulse: Pulse, complaint: Complaint, now: Instant) {
        match self.state {
            State::Rising { deadline, bad, feeling: true, .. } => {
                if pulse.radio.is_none() {
                    self.failed(Failure::RadioGone, true, now);
                } else if pulse.hostapd == Some(Phase::Enabled) {
                    self.up(now);
                } else if now >= deadline {
                    self.failed(Failure::NotEnabled(complaint), true, now);
                } else {
                    self.state = State::Rising { deadline, beat: now + QUICK_BEAT, feeling: false, bad };
                }
            }
            State::Up { since, bad, feeling: true, .. } => self.beat(pulse, since, bad, now),
            State::Rising { .. }
            | State::Up { .. }
            | State::Locating
            | State::Absent { .. }
            | State::Starting
            | State::ChangingKeys { .. }
            | State::Ending { .. }
            | State::Pause { .. }
            | State::Rebinding
            | State::Stopped => {}
        }
    }

    /// The driver was started again, or that was not possible: looking for the radio tells which.
    pub fn handle_rebound(&mut self, now: Instant) {
        if self.state != State::Rebinding {
            return;
        }
        // The interface comes a moment after the driver.
        self.state = State::Pause { until: now + LOOK, next: Next::Locate };
    }

    /// Other keys are to be used from now on.
    pub fn handle_new_keys(&mut self) {
        match self.state {
            State::Up { since, feeling: false, .. } => self.change_keys(since),
            State::Up { .. } | State::Rising { .. } | State::Starting | State::ChangingKeys { .. } => {
                self.keys_pending = true;
            }
            State::Locating
            | State::Absent { .. }
            | State::Ending { .. }
            | State::Pause { .. }
            | State::Rebinding
            | State::Stopped => {}
        }
    }

    /// Keys were written and read; if not, hostapd is started again with them.
    pub fn handle_keys_changed(&mut self, done: bool, now: Instant) {
        let State::ChangingKeys { since } = self.state else { return };
        if done {
            self.state = State::Up { since, beat: now + SETTLE, feeling: false, bad: 0 };
        } else {
            self.end(true, Next::Locate, Duration::ZERO);
        }
    }

    /// No more access point.
    pub fn handle_stop(&mut self) {
        self.stopping = true;
        self.keys_pending = false;
        match self.state {
            State::Rising { .. } | State::Up { .. } | State::ChangingKeys { .. } => {
                self.end(true, Next::Nothing, Duration::ZERO);
            }
            State::Ending { .. } => self.state = State::Ending { next: Next::Nothing, pause: Duration::ZERO },
            State::Absent { .. } | State::Pause { .. } => self.state = State::Stopped,
            State::Rebinding => {
                // The driver has to be put back; nothing follows.
                self.state = State::Stopped;
            }
            // The answer that is due ends it.
            State::Locating | State::Starting | State::Stopped => {}
        }
    }

    /// Time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return;
        }
        match &mut self.state {
            State::Absent { .. } => self.locate(),
            State::Pause { next, .. } => {
                let next = *next;
                self.begin(next);
            }
            State::Rising { feeling, .. } | State::Up { feeling, .. } => {
                *feeling = true;
                self.effect = Some(Effect::Feel);
            }
            // These wait for an answer, not for a time.
            State::Locating
            | State::Starting
            | State::ChangingKeys { .. }
            | State::Ending { .. }
            | State::Rebinding
            | State::Stopped => {}
        }
    }

    /// When [`AccessPoint::handle_timeout`] should be called; `None` while an answer is due, or when stopped.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Absent { again } => Some(again),
            State::Pause { until, .. } => Some(until),
            State::Rising { beat, feeling: false, .. } | State::Up { beat, feeling: false, .. } => Some(beat),
            State::Rising { .. }
            | State::Up { .. }
            | State::Locating
            | State::Starting
            | State::ChangingKeys { .. }
            | State::Ending { .. }
            | State::Rebinding
            | State::Stopped => None,
        }
    }

    /// What to do now.
    pub const fn poll_effect(&mut self) -> Option<Effect> {
        self.effect.take()
    }

    /// News for the owner.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether it is over, and hostapd with it.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.state == State::Stopped
    }

    /// Whether stations can join.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. } | State::ChangingKeys { .. })
    }

    fn beat(&mut self, pulse: Pulse, since: Instant, bad: u8, now: Instant) {
        let Some(radio) = pulse.radio else {
            self.failed(Failure::RadioGone, true, now);
            return;
        };
        let alive = self.history.judge(radio, pulse.stations, now);
        match pulse.hostapd {
            Some(Phase::Enabled) if alive => {
                if now.saturating_duration_since(since) >= STABLE {
                    self.strikes = 0;
                    self.rebinds = 0;
                }
                self.stations(pulse.stations);
                if self.keys_pending {
                    self.change_keys(since);
                } else {
                    self.state = State::Up { since, beat: now + BEAT, feeling: false, bad: 0 };
                }
            }
            // A radar was heard, or the interface went down: hostapd comes back by itself, or it does not.
            Some(Phase::Rising | Phase::Down) if alive => {
                self.stations(0);
                self.state =
                    State::Rising { deadline: now + RISE, beat: now + QUICK_BEAT, feeling: false, bad: 0 };
            }
            answer if bad + 1 >= BAD_BEATS => {
                let failure = if answer.is_none() { Failure::HostapdSilent } else { Failure::RadioSilent };
                self.failed(failure, true, now);
            }
            _ => self.state = State::Up { since, beat: now + QUICK_BEAT, feeling: false, bad: bad + 1 },
        }
    }

    fn up(&mut self, now: Instant) {
        if self.told.take().is_some() && self.was_enabled {
            self.push(Event::Recovered);
        }
        if !self.was_enabled {
            self.was_enabled = true;
            self.push(Event::Enabled);
        }
        self.state = State::Up { since: now, beat: now + SETTLE, feeling: false, bad: 0 };
        // Whatever pulse was being taken belonged to before.
        self.effect = None;
    }

    /// Counts a failure and decides what to try next. `running` says whether hostapd is to be ended first.
    fn failed(&mut self, failure: Failure, running: bool, now: Instant) {
        self.strikes = self.strikes.saturating_add(1);
        let hopeless = self.rebinds >= MOST_REBINDS;
        let blame = match failure {
            Failure::RadioSilent | Failure::RadioDead => true,
            Failure::HostapdEnded(Complaint::None | Complaint::Driver)
            | Failure::NotEnabled(Complaint::None | Complaint::Driver)
            | Failure::HostapdSilent => self.strikes.is_multiple_of(STRIKES_PER_REBIND),
            // Neither a new driver nor a new start gives the radio another channel, switch or place.
            Failure::RadioGone
            | Failure::HostapdMissing
            | Failure::HostapdEnded(_)
            | Failure::NotEnabled(_) => false,
        };
        let (next, pause, told) = match (failure, blame, hopeless) {
            (Failure::RadioGone, ..) => (Next::Locate, Duration::ZERO, failure),
            (_, true, true) => (Next::Locate, GIVEN_UP, Failure::RadioDead),
            (_, true, false) => {
                self.rebinds += 1;
                (Next::Rebind, Duration::ZERO, failure)
            }
            (_, false, _) => (Next::Locate, self.pause(), failure),
        };
        self.tell(told);
        if running {
            self.end(false, next, pause);
        } else {
            self.after(next, pause, now);
        }
    }

    fn pause(&self) -> Duration {
        let step = usize::try_from(self.strikes.saturating_sub(1)).unwrap_or(usize::MAX);
        let [.., last] = PAUSES;
        PAUSES.get(step).copied().unwrap_or(last)
    }

    fn end(&mut self, politely: bool, next: Next, pause: Duration) {
        self.state = State::Ending { next, pause };
        self.effect = Some(Effect::End { politely });
    }

    /// hostapd does not run: pause, then go on.
    fn after(&mut self, next: Next, pause: Duration, now: Instant) {
        if self.stopping || next == Next::Nothing {
            self.state = State::Stopped;
        } else if pause.is_zero() {
            self.begin(next);
        } else {
            self.state = State::Pause { until: now + pause, next };
        }
    }

    const fn begin(&mut self, next: Next) {
        match next {
            Next::Locate => self.locate(),
            Next::Rebind => {
                self.state = State::Rebinding;
                self.effect = Some(Effect::Rebind);
            }
            Next::Nothing => self.state = State::Stopped,
        }
    }

    const fn locate(&mut self) {
        self.state = State::Locating;
        self.effect = Some(Effect::Locate);
    }

    const fn change_keys(&mut self, since: Instant) {
        self.keys_pending = false;
        self.state = State::ChangingKeys { since };
        self.effect = Some(Effect::ChangeKeys);
    }

    fn stations(&mut self, stations: u16) {
        if stations < self.most_stations {
            self.full = false;
        }
        if stations != self.stations {
            self.stations = stations;
            self.push(Event::Stations(stations));
        }
        if stations >= self.most_stations {
            self.full(stations);
        }
    }

    fn full(&mut self, stations: u16) {
        if !self.full {
            self.full = true;
            self.push(Event::Full { stations });
        }
    }

    fn tell(&mut self, failure: Failure) {
        if self.told != Some(failure) {
            self.told = Some(failure);
            self.push(Event::Failed(failure));
        }
    }

    fn push(&mut self, event: Event) {
        if self.events.len() >= MOST_EVENTS {
            // A count that is followed by another is no news.
            let stale = self.events.iter().position(|event| matches!(event, Event::Stations(_)));
            self.events.remove(stale.unwrap_or(0));
        }
        self.events.push_back(event);
    }
}
