//! The session with the node: when to dial, whether it lives, which requests are open.

use base::Instant;
use core::time::Duration;
use std::collections::HashMap;

use rand_core::RngCore;
use wire::{Challenge, Limits};

use crate::api::{LinkEvent, PeerId};
use crate::backoff::Backoff;
use crate::parcel::DeliveryId;

/// Deposits that wait for their answer at once.
pub(crate) const MAX_DEPOSITS: usize = 32;

/// How long the driver may take to say how the dialling went.
const DIAL_LIMIT: Duration = Duration::from_secs(15);

/// How long the node may take to greet, or to say anything while an answer is due.
const DEAD_AFTER: Duration = Duration::from_secs(6);

/// The same, when the network may have changed.
const DEAD_AFTER_CHANGE: Duration = Duration::from_secs(2);

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
    dead_at: Option<Instant>,
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
            dead_at: None,
            hold_until: now,
        }
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
        self.dead_at = (self.pinged || !self.requests.is_empty()).then_some(now + DEAD_AFTER);
    }

    /// The node answered a ping.
    pub(crate) const fn handle_pong(&mut self) {
        self.pinged = false;
    }

    /// The node says that it closes the session, or speaks nonsense.
    pub(crate) fn lose(&mut self, now: Instant, rng: &mut impl RngCore) -> Do {
        let had = !matches!(self.state, State::Waiting(_));
        self.forget();
        self.state = State::Waiting(now + self.backoff.fail(rng));
        if had { Do::Lose } else { Do::Nothing }
    }

    /// The network may have changed.
    pub(crate) fn handle_change(&mut self, now: Instant) -> Do {
        self.backoff.reset();
        match self.state {
            State::Over => Do::Nothing,
            State::Waiting(_) | State::Dialing(_) | State::Greeting(_) => self.redial(now),
            State::Open(_) => {
                self.pinged = true;
                self.dead_at =
                    Some(self.dead_at.map_or(now + DEAD_AFTER_CHANGE, |at| at.min(now + DEAD_AFTER_CHANGE)));
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
        self.dead_at.get_or_insert(now + DEAD_AFTER);
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
            State::Open(_) => Some(self.dead_at.map_or(self.ping_at, |dead| dead.min(self.ping_at))),
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
            State::Open(session) if self.ping_at <= now => {
                self.ping_at = now + ping_interval(&session.limits);
                self.pinged = true;
                self.dead_at.get_or_insert(now + DEAD_AFTER);
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

    fn forget(&mut self) {
        self.requests.clear();
        self.deposits = 0;
        self.pinged = false;
        self.dead_at = None;
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
mod tests {
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
}
