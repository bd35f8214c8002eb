//! The session with the node: when to dial, whether it lives, which requests are open.

use base::Instant;
use core::time::Duration;
use std::collections::HashMap;

use rand_core::RngCore;
use wire::{Challenge, Limits};

use crate::api::{LinkEvent, PeerId};
use crate::backoff::{Backoff, jitter};
use crate::parcel::DeliveryId;

/// Deposits that wait for their answer at once.
pub(crate) const MAX_DEPOSITS: usize = 32;

/// How long the driver may take to say how the dialling went.
const DIAL_LIMIT: Duration = Duration::from_secs(15);

/// How long the node may take to greet, or to say anything while an answer is due.
const DEAD_AFTER: Duration = Duration::from_secs(6);

/// The same, when the network may have changed.
const DEAD_AFTER_CHANGE: Duration = Duration::from_secs(2);

/// How long an answer may take before another carrier is opened beside the silent one. A carrier whose network is gone
/// says nothing about it; one that is only slow is kept, and given longer the next time.
const PATIENCE: Duration = Duration::from_millis(500);

/// While people talk through the mailbox the node is asked for a word after so much silence. Not while they talk
/// directly: it would see from that when they do. What silences the node silences their channel as well, and then it
/// is asked once.
const QUIET: Duration = Duration::from_secs(1);

/// How long after the last word people are taken to talk.
const TALK: Duration = Duration::from_secs(60);

/// How long after a change of the network the link looks out as if people talked.
const UNSETTLED: Duration = Duration::from_secs(10);

/// An attempt that failed after so long was not refused: nobody was there.
const HUNG: Duration = Duration::from_secs(1);

/// The longest pause between attempts while people talk; after one that hung, the half of it.
const EAGER: Duration = Duration::from_secs(1);

/// How long one request may stay open while others are answered.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);

/// What an open request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Reading the own inbox.
    Inbox,
    /// Reading the directory.
    Directory,
    /// Appending the own entry.
    Publish,
    /// TURN credentials.
    Credentials,
    /// A block for all.
    Block {
        /// A part of something that waits to be sent.
        carries: bool,
    },
    /// Something for a peer's inbox.
    Deposit(PeerId, Cargo),
}

/// What a deposit carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cargo {
    /// A message that stays in the outbox.
    Text(DeliveryId),
    /// Receipts.
    Receipts,
    /// WebRTC negotiation.
    Signals,
}

/// What the owner must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Do {
    /// Nothing.
    Nothing,
    /// Tell the driver to dial; the session, if there was one, is lost.
    Redial,
    /// The session is lost; dialling comes later.
    Lose,
    /// Ping the node.
    Ping(u32),
    /// Tell the driver to open another carrier beside the silent one.
    Double,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Until then.
    Waiting(Instant),
    /// At most until then.
    Dialing(Instant),
    /// The carrier is open; the node's Welcome must come until then.
    Greeting(Instant),
    /// Greeted.
    Open(Session),
    /// Never again.
    Over,
}

/// What the node said in its Welcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) challenge: Challenge,
    pub(crate) turn_port: u16,
    pub(crate) limits: Limits,
    /// Whether the own inbox is being read.
    pub(crate) reading: bool,
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Link {
    state: State,
    backoff: Backoff,
    instance: Option<[u8; 16]>,
    requests: HashMap<u32, (Request, Instant)>,
    deposits: usize,
    next_req: u32,
    pinged: bool,
    ping_at: Instant,
    /// When to ask for a word while people talk.
    quiet_at: Instant,
    dead_at: Option<Instant>,
    /// When to have another carrier opened, and how often that was done since something was heard.
    doubt_at: Option<Instant>,
    doubts: u32,
    patience: Duration,
    /// To be looked whether the node is there.
    check: bool,
    talk_until: Instant,
    hold_until: Instant,
}

impl Link {
    /// A link that dials at once.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            state: State::Waiting(now),
            backoff: Backoff::new(Duration::from_millis(500), Duration::from_secs(10)),
            instance: None,
            requests: HashMap::new(),
            deposits: 0,
            next_req: 0,
            pinged: false,
            ping_at: now,
            quiet_at: now,
            dead_at: None,
            doubt_at: None,
            doubts: 0,
            patience: PATIENCE,
            check: false,
            talk_until: now,
            hold_until: now,
        }
    }

    /// A message goes or comes through the mailbox, or waits for the link: that the network is gone, or is there again,
    /// is to be noticed at once.
    pub(crate) fn attend(&mut self, now: Instant) {
        self.look_out(now, TALK);
    }

    /// A peer is silent: is the node?
    pub(crate) const fn check(&mut self) {
        self.check = true;
    }

    /// Carries out [`check`](Self::check), unless an answer is due anyhow.
    pub(crate) fn take_check(&mut self, now: Instant) -> Do {
        let wanted = core::mem::take(&mut self.check);
        if !wanted || self.dead_at.is_some() || !matches!(self.state, State::Open(_)) {
            return Do::Nothing;
        }
        self.pinged = true;
        self.expect(now);
        // Part of the time has passed already.
        self.doubt_at = Some(now + self.patience / 2);
        Do::Ping(self.number())
    }

    fn look_out(&mut self, now: Instant, time: Duration) {
        if self.talk_until <= now {
            // What was heard before they talked says nothing about now.
            self.quiet_at = now + QUIET;
        }
        self.talk_until = self.talk_until.max(now + time);
    }

    /// The session, once the node has greeted.
    pub(crate) const fn session(&self) -> Option<&Session> {
        match &self.state {
            State::Open(session) => Some(session),
            State::Waiting(_) | State::Dialing(_) | State::Greeting(_) | State::Over => None,
        }
    }

    /// Whether messages can be deposited and read: greeted, and the own inbox is being read.
    pub(crate) fn is_up(&self) -> bool {
        self.session().is_some_and(|session| session.reading)
    }

    /// Whether frames may be sent.
    pub(crate) const fn takes_frames(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// From when on deposits may be made again, after the node asked to wait.
    pub(crate) const fn hold_until(&self) -> Instant {
        self.hold_until
    }

    /// The node asked for a pause of all deposits.
    pub(crate) fn hold(&mut self, until: Instant) {
        self.hold_until = self.hold_until.max(until);
    }

    /// Whether one more deposit may be asked for.
    pub(crate) fn has_slot(&self) -> bool {
        self.deposits < MAX_DEPOSITS
    }

    /// The carrier did something.
    pub(crate) fn handle_carrier(&mut self, event: LinkEvent, now: Instant, rng: &mut impl RngCore) -> Do {
        match (event, self.state) {
            (_, State::Over) => Do::Nothing,
            (LinkEvent::Up, before) => {
                self.forget();
                self.state = State::Greeting(now + DEAD_AFTER);
                if matches!(before, State::Open(_)) { Do::Lose } else { Do::Nothing }
            }
            (LinkEvent::Down, State::Waiting(_)) => Do::Nothing,
            (LinkEvent::Down, State::Dialing(_) | State::Greeting(_) | State::Open(_)) => self.lose(now, rng),
        }
    }

    /// The node greets. Says whether its memory is another one than before; none when it was not the time.
    pub(crate) fn handle_welcome(
        &mut self,
        instance: [u8; 16],
        session: Session,
        now: Instant,
    ) -> Option<bool> {
        if !matches!(self.state, State::Greeting(_)) {
            return None;
        }
        self.state = State::Open(session);
        self.quiet_at = now + QUIET;
        self.ping_at = now + ping_interval(&session.limits);
        Some(self.instance.replace(instance) != Some(instance))
    }

    /// The own inbox is being read: the link is up.
    pub(crate) const fn handle_reading(&mut self) {
        if let State::Open(session) = &mut self.state {
            session.reading = true;
            self.backoff.reset();
        }
    }

    /// Something was heard from the node.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.patience = if self.doubts > 0 {
            (self.patience * 2).min(DEAD_AFTER)
        } else {
            (self.patience - self.patience / 8).max(PATIENCE)
        };
        self.doubts = 0;
        self.quiet_at = now + QUIET;
        (self.dead_at, self.doubt_at) = (None, None);
        if self.pinged || !self.requests.is_empty() {
            self.expect(now);
        }
    }

    /// The node answered a ping.
    pub(crate) const fn handle_pong(&mut self) {
        self.pinged = false;
    }

    /// The node says that it closes the session, or speaks nonsense.
    pub(crate) fn lose(&mut self, now: Instant, rng: &mut impl RngCore) -> Do {
        let had = !matches!(self.state, State::Waiting(_));
        let mut wait = self.backoff.fail(rng);
        // Only who was not let in waits longer and longer while people talk: where nobody is, nobody is bothered.
        if now < self.talk_until
            && let State::Dialing(until) = self.state
        {
            let hung = until <= now + (DIAL_LIMIT - HUNG);
            wait = wait.min(jitter(if hung { EAGER / 2 } else { EAGER }, rng));
        }
        self.forget();
        self.state = State::Waiting(now + wait);
        if had { Do::Lose } else { Do::Nothing }
    }

    /// The network may have changed.
    pub(crate) fn handle_change(&mut self, now: Instant) -> Do {
        self.backoff.reset();
        self.look_out(now, UNSETTLED);
        let earlier = |at: Option<Instant>, other: Instant| Some(at.map_or(other, |at| at.min(other)));
        match self.state {
            State::Over => Do::Nothing,
            State::Waiting(_) | State::Dialing(_) | State::Greeting(_) => self.redial(now),
            State::Open(_) => {
                if self.doubts > 0 {
                    // It was silent before; what may be there now is reached by a new carrier alone.
                    return self.redial(now);
                }
                self.dead_at = earlier(self.dead_at, now + DEAD_AFTER_CHANGE);
                self.pinged = true;
                self.doubt_at = earlier(self.doubt_at, now + self.patience);
                Do::Ping(self.number())
            }
        }
    }

    /// No more dialling after this session.
    pub(crate) const fn end(&mut self) {
        if !matches!(self.state, State::Open(_)) {
            self.state = State::Over;
        }
    }

    /// Opens a request.
    pub(crate) fn request(&mut self, request: Request, now: Instant) -> u32 {
        let req = self.number();
        self.requests.insert(req, (request, now));
        if matches!(request, Request::Deposit(..)) {
            self.deposits += 1;
        }
        self.expect(now);
        req
    }

    /// Closes a request, which was answered.
    pub(crate) fn answer(&mut self, req: u32) -> Option<Request> {
        let (request, _) = self.requests.remove(&req)?;
        if matches!(request, Request::Deposit(..)) {
            self.deposits -= 1;
        }
        Some(request)
    }

    /// One request that the node has not answered for too long.
    pub(crate) fn pop_overdue(&mut self, now: Instant) -> Option<Request> {
        let overdue = |sent: &Instant| now.saturating_duration_since(*sent) > REQUEST_LIMIT;
        let req = *self.requests.iter().find(|(_, (_, sent))| overdue(sent))?.0;
        self.answer(req)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Waiting(until) | State::Dialing(until) | State::Greeting(until) => Some(until),
            State::Open(_) => [self.dead_at, self.doubt_at, self.next_ping()].into_iter().flatten().min(),
            State::Over => None,
        }
    }

    /// Time has passed.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Do {
        match self.state {
            State::Waiting(until) | State::Dialing(until) | State::Greeting(until) if until <= now => {
                self.redial(now)
            }
            State::Open(_) if self.dead_at.is_some_and(|dead| dead <= now) => self.redial(now),
            State::Open(_) if self.doubt_at.is_some_and(|doubt| doubt <= now) => self.double(now),
            State::Open(session) if self.next_ping().is_some_and(|ping| ping <= now) => {
                self.ping_at = now + ping_interval(&session.limits);
                self.pinged = true;
                self.expect(now);
                Do::Ping(self.number())
            }
            State::Waiting(_) | State::Dialing(_) | State::Greeting(_) | State::Open(_) | State::Over => {
                Do::Nothing
            }
        }
    }

    fn redial(&mut self, now: Instant) -> Do {
        self.forget();
        self.state = State::Dialing(now + DIAL_LIMIT);
        Do::Redial
    }

    /// Something was asked: silence means something from now on.
    fn expect(&mut self, now: Instant) {
        self.dead_at.get_or_insert(now + DEAD_AFTER);
        self.doubt_at.get_or_insert(now + self.patience);
    }

    /// Longer each time, since an attempt over a slow network must come to its end.
    fn double(&mut self, now: Instant) -> Do {
        self.doubts += 1;
        self.doubt_at = Some(now + self.patience * (1 << self.doubts.min(5)));
        Do::Double
    }

    /// When to ask for a word, unless one is due already.
    fn next_ping(&self) -> Option<Instant> {
        let soon =
            if self.quiet_at < self.talk_until { self.quiet_at.min(self.ping_at) } else { self.ping_at };
        self.dead_at.is_none().then_some(soon)
    }

    fn forget(&mut self) {
        self.requests.clear();
        self.deposits = 0;
        self.pinged = false;
        (self.dead_at, self.doubt_at) = (None, None);
        self.doubts = 0;
    }

    const fn number(&mut self) -> u32 {
        self.next_req = self.next_req.wrapping_add(1);
        self.next_req
    }
}

/// A third of what the node puts up with, but often enough that a person sees soon that the box is gone.
fn ping_interval(limits: &Limits) -> Duration {
    Duration::from_secs(u64::from(limits.idle_s / 3).clamp(5, 15))
}

#[cfg(test)]
mod tests;
