//! By its own Wi-Fi or on its cable: what a box does, decided from what it finds, with the reason.
//!
//! [`ModeMachine`] takes facts and time, and says when to change. The first decision waits for what needs time to
//! show (a link, an answer of DHCP, a driver), later ones until the new facts have lasted.
//! Not here: finding facts, or carrying a decision out.
//! Invariants: without a radio that works, or with settings that are wrong, the box is on its cable; a cable never
//! cuts off a phone that is on the Wi-Fi, unless the owner asked for it.

#[cfg(test)]
mod tests;
mod words;

use crate::site::ModeWish;
use base::Instant;
use std::time::Duration;

/// How long a cable may take at the start until it has a link: negotiating takes up to four seconds.
pub const LINK_TIME: Duration = Duration::from_secs(6);
/// How long a network may take to answer once there is a link.
pub const ANSWER_TIME: Duration = Duration::from_secs(15);
/// How long a radio may take at the start to be there: firmware is loaded, USB is slow.
pub const RADIO_TIME: Duration = Duration::from_secs(20);
/// How long a network must have answered on the cable before the Wi-Fi gives way to it.
pub const CABLE_LASTS: Duration = Duration::from_secs(30);
/// How long no network must have answered before the box makes its own.
pub const SILENCE_LASTS: Duration = Duration::from_secs(120);
/// How long a radio must have failed before the box gives its Wi-Fi up; it is revived meanwhile.
pub const FAILURE_LASTS: Duration = Duration::from_secs(60);
/// How long a radio that appeared later must have been there.
pub const RADIO_LASTS: Duration = Duration::from_secs(5);

/// What a box does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It makes its own Wi-Fi.
    Wifi,
    /// It is a server on the network of its cable.
    Lan,
}

/// What is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What the owner wants; `None` when their settings are wrong.
    pub wish: Option<ModeWish>,
    /// The radio.
    pub radio: Radio,
    /// The cable.
    pub cable: Cable,
    /// Phones on the Wi-Fi.
    pub stations: u16,
}

/// The radio, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Radio {
    /// There is none, or not yet.
    Absent,
    /// There is one that cannot be what the owner wants.
    Unable,
    /// It can be an access point, or is one.
    Able,
    /// It was one, and nobody can join any more.
    Failed,
}

/// The cable, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cable {
    /// There is no such interface.
    Absent,
    /// Nothing is plugged in.
    Unplugged,
    /// Something is plugged in, and no network has answered.
    Silent,
    /// A network answers: DHCP, an IPv6 router, or the address is fixed.
    Network,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What to do.
    pub mode: Mode,
    /// Why.
    pub reason: Reason,
}

/// Why a box does what it does; its `Display` is a sentence for the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The settings say so.
    Asked(Mode),
    /// The settings are wrong.
    SettingsWrong,
    /// A network answers on the cable.
    CableHasNetwork,
    /// No network answers there, for what is on the cable is this.
    CableHasNone(Cable),
    /// A network answers there, and phones are on the Wi-Fi: nobody is cut off for a plug.
    PhonesOn,
    /// There is no radio.
    NoRadio,
    /// The radio cannot be what is wanted.
    RadioUnable,
    /// The radio failed.
    RadioFailed,
}

/// Decides when to do what.
#[derive(Clone, Debug)]
pub struct ModeMachine {
    started: Instant,
    linked: Option<Instant>,
    current: Option<Decision>,
    /// What the facts ask for instead, and since when.
    pending: Option<(Decision, Instant, Duration)>,
    wish: Option<ModeWish>,
    effect: Option<Decision>,
    /// When the first decision can be taken, as far as it waits for time.
    wait_until: Option<Instant>,
    facts: Option<Facts>,
}

impl ModeMachine {
    /// A box that has just started.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self {
            started: now,
            linked: None,
            current: None,
            pending: None,
            wish: None,
            effect: None,
            wait_until: None,
            facts: None,
        }
    }

    /// What was decided last; `None` while the first decision waits.
    #[must_use]
    pub const fn current(&self) -> Option<Decision> {
        self.current
    }

    /// This is how it is now.
    pub fn handle_facts(&mut self, facts: Facts, now: Instant) {
        if facts.cable >= Cable::Silent {
            self.linked.get_or_insert(now);
        } else {
            self.linked = None;
        }
        // The owner's word counts at once.
        let reconsidered = self.current.is_some() && self.wish != facts.wish;
        self.wish = facts.wish;
        self.facts = Some(facts);
        match self.current {
            None => self.first(&facts, now),
            Some(_) if reconsidered => {
                let (decision, _) = wanted(&facts, None);
                self.decide(decision);
            }
            Some(current) => self.later(&facts, current, now),
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(facts) = self.facts {
            self.handle_facts(facts, now);
        }
    }

    /// When to call [`Self::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.pending.map(|(_, since, lasts)| since + lasts).or(self.wait_until)
    }

    /// A decision to carry out, or one that has another reason now.
    pub const fn poll_effect(&mut self) -> Option<Decision> {
        self.effect.take()
    }

    fn first(&mut self, facts: &Facts, now: Instant) {
        self.wait_until = self.worth_waiting(facts).filter(|until| now < *until);
        if self.wait_until.is_none() {
            let (decision, _) = wanted(facts, None);
            self.decide(decision);
        }
    }

    /// Until when the facts may still get better.
    fn worth_waiting(&self, facts: &Facts) -> Option<Instant> {
        let radio = matches!(facts.radio, Radio::Absent).then_some(self.started + RADIO_TIME);
        match facts.wish {
            None | Some(ModeWish::Lan) => None,
            Some(ModeWish::Wifi) => radio,
            Some(ModeWish::Auto) => match (facts.cable, self.linked) {
                (Cable::Network, _) => None,
                (Cable::Silent, Some(linked)) => radio.max(Some(linked + ANSWER_TIME)),
                (Cable::Silent | Cable::Absent | Cable::Unplugged, _) => {
                    radio.max(Some(self.started + LINK_TIME))
                }
            },
        }
    }

    fn later(&mut self, facts: &Facts, current: Decision, now: Instant) {
        let (decision, lasts) = wanted(facts, Some(current));
        if decision.mode == current.mode {
            self.pending = None;
            if decision.reason != current.reason {
                self.decide(decision);
            }
            return;
        }
        // Another reason for the same change does not begin the wait anew.
        let since = self.pending.filter(|(pending, ..)| pending.mode == decision.mode);
        let since = since.map_or(now, |(_, since, _)| since);
        self.pending = Some((decision, since, lasts));
        if now >= since + lasts {
            self.decide(decision);
        }
    }

    const fn decide(&mut self, decision: Decision) {
        self.current = Some(decision);
        self.pending = None;
        self.wait_until = None;
        self.effect = Some(decision);
    }
}

/// What these facts ask for in a box that has decided so, and how long they must have lasted.
fn wanted(facts: &Facts, current: Option<Decision>) -> (Decision, Duration) {
    let mode = current.map_or(Mode::Lan, |current| current.mode);
    let lan = |reason, lasts| (Decision { mode: Mode::Lan, reason }, lasts);
    let Some(wish) = facts.wish else { return lan(Reason::SettingsWrong, Duration::ZERO) };
    if wish == ModeWish::Lan {
        return lan(Reason::Asked(Mode::Lan), Duration::ZERO);
    }
    match facts.radio {
        Radio::Absent if mode == Mode::Wifi => return lan(Reason::NoRadio, FAILURE_LASTS),
        Radio::Absent if wish == ModeWish::Wifi || facts.cable != Cable::Network => {
            return lan(Reason::NoRadio, Duration::ZERO);
        }
        Radio::Unable if wish == ModeWish::Wifi || facts.cable != Cable::Network => {
            return lan(Reason::RadioUnable, Duration::ZERO);
        }
        Radio::Failed => return lan(Reason::RadioFailed, FAILURE_LASTS),
        Radio::Absent | Radio::Unable => return lan(Reason::CableHasNetwork, CABLE_LASTS),
        Radio::Able => {}
    }
    if wish == ModeWish::Wifi {
        return (Decision { mode: Mode::Wifi, reason: Reason::Asked(Mode::Wifi) }, RADIO_LASTS);
    }
    if facts.cable == Cable::Network {
        if mode == Mode::Wifi && facts.stations > 0 {
            return (Decision { mode, reason: Reason::PhonesOn }, Duration::ZERO);
        }
        return lan(Reason::CableHasNetwork, CABLE_LASTS);
    }
    // A radio was all that was missing.
    let missing = |reason| matches!(reason, Reason::NoRadio | Reason::RadioUnable);
    let waited_for = current.is_some_and(|current| missing(current.reason));
    let lasts = if waited_for { RADIO_LASTS } else { SILENCE_LASTS };
    (Decision { mode: Mode::Wifi, reason: Reason::CableHasNone(facts.cable) }, lasts)
}
