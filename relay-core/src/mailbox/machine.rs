//! The verbs, and what all of them share: waking, answering, expiring, closing.

use core::fmt;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use base::{Deadlines, Instant, Storage};
use rand_core::{CryptoRng, RngCore};
use wire::{Challenge, ClientFrame, Kind, Limits, NodeFrame, Reason, Ttl};

use super::requests::too_fast;
use super::session::{Answer, Closing, Credentials, Refusal, Session};
use super::store::{PlaceId, Store};
use super::{Cause, Config, Counters, Event, Memory, OpenRefused, SessionId, Violation};

/// Frames that a subscription counts for: checking a signature is worth several other frames.
const SUBSCRIBE_FRAMES: u32 = 8;

/// The delivery service of one node.
pub struct Mailbox<S, R> {
    pub(super) config: Config,
    pub(super) store: Store<S>,
    /// Bounded by `Config::sessions`. Boxed, since a table of large things is half empty.
    pub(super) sessions: BTreeMap<SessionId, Box<Session>>,
    /// When to look whether a session is idle; one for each session that is not closing.
    pub(super) idle: Deadlines<SessionId>,
    /// One wake and one close for each session, its open requests for credentials, and what its last frame told.
    pub(super) events: VecDeque<Event>,
    rng: R,
    /// Another value means that memory was lost.
    instance: [u8; 16],
    last_session: u64,
    pub(super) counters: Counters,
    pub(super) memory: Memory,
}

impl<S: Storage, R: RngCore + CryptoRng> Mailbox<S, R> {
    /// A node that holds nothing. `storage` is where envelopes lie, and must be zero: its whole blocks of
    /// [`wire::BLOCK`] bytes are the node's blocks.
    pub fn new(config: Config, storage: S, mut rng: R) -> Self {
        let mut instance = [0; 16];
        rng.fill_bytes(&mut instance);
        let store = Store::new(storage, &config);
        Self {
            config,
            store,
            sessions: BTreeMap::new(),
            idle: Deadlines::default(),
            events: VecDeque::new(),
            rng,
            instance,
            last_session: 0,
            counters: Counters::default(),
            memory: Memory::default(),
        }
    }

    /// Opens a session; its first frame, `Welcome` with a fresh challenge, waits to be pulled.
    ///
    /// # Errors
    /// When the node has as many sessions as it may.
    pub fn open_session(&mut self, now: Instant) -> Result<SessionId, OpenRefused> {
        self.expire(now);
        if self.sessions.len() >= self.config.sessions as usize {
            return Err(OpenRefused::TooManySessions);
        }
        let mut challenge = [0; 32];
        self.rng.fill_bytes(&mut challenge);
        self.last_session += 1;
        let id = SessionId(self.last_session);
        self.sessions.insert(id, Box::new(Session::new(Challenge(challenge), now)));
        self.idle.set(id, now + self.config.idle);
        self.wake(id);
        Ok(id)
    }

    /// One frame came from the client of this session.
    ///
    /// A request that cannot be carried out is answered by `Refused`, and is no error here.
    ///
    /// # Errors
    /// When the client broke the protocol: the session takes no more frames, and its last is `Bye`.
    pub fn handle_frame(&mut self, id: SessionId, bytes: &[u8], now: Instant) -> Result<(), Violation> {
        self.expire(now);
        let Some(session) = self.sessions.get_mut(&id) else {
            return Err(Violation { reason: Reason::Shutdown });
        };
        if let Some(Closing { reason, .. }) = session.closing {
            return Err(Violation { reason });
        }
        session.heard = now;

        let Ok(frame) = ClientFrame::decode(bytes) else {
            return self.violate(id, Reason::Malformed);
        };
        let frames = if matches!(frame, ClientFrame::Subscribe { .. }) { SUBSCRIBE_FRAMES } else { 1 };
        session.frames.charge(self.config.frames, frames, now);
        session.bytes.charge(self.config.bytes, u32::try_from(bytes.len()).unwrap_or(u32::MAX), now);
        if session.frames.is_abused(self.config.frames, now)
            || session.bytes.is_abused(self.config.bytes, now)
            || session.is_behind()
        {
            return self.violate(id, Reason::TooFast);
        }
        let pace =
            session.frames.check(self.config.frames, now).and(session.bytes.check(self.config.bytes, now));

        self.carry_out(id, frame, too_fast(pace), now)
    }

    /// The stream of this session has ended. What it did not acknowledge waits for the next subscription.
    pub fn close_session(&mut self, id: SessionId, now: Instant) {
        self.expire(now);
        self.leave_all(id);
        self.sessions.remove(&id);
        self.idle.remove(&id);
    }

    /// Answers [`Event::CredentialsWanted`]. A session or request that is gone is passed over.
    pub fn grant_credentials(&mut self, id: SessionId, req: u32, username: &str, password: &str, ttl_s: u32) {
        if self.take_request(id, req) {
            let username = username.to_owned().into();
            let password = password.to_owned().into();
            self.answer(id, Answer::Credentials(Box::new(Credentials { req, username, password, ttl_s })));
        }
    }

    /// Answers [`Event::CredentialsWanted`] with `Refused`, for that the node has no TURN.
    pub fn refuse_credentials(&mut self, id: SessionId, req: u32) {
        if self.take_request(id, req) {
            self.refuse(id, req, Refusal::new(Reason::NoTurn, 0));
        }
    }

    /// **Appends** the next frame for this session to `out`; `false` when there is none.
    ///
    /// Call it when the frame can be written, and again until it says `false`.
    pub fn poll_transmit(&mut self, id: SessionId, now: Instant, out: &mut Vec<u8>) -> bool {
        self.expire(now);
        let Some(session) = self.sessions.get_mut(&id) else { return false };
        if let Some(answer) = session.next_answer() {
            let challenge = session.challenge;
            answer.encode(|| welcome(self.instance, challenge, &self.config), out);
            return true;
        }
        if let Some(closing) = &mut session.closing {
            if !closing.said {
                closing.said = true;
                NodeFrame::Bye { reason: closing.reason }.encode(out);
                return true;
            }
        } else if deliver(session, &self.store, self.config.window, out) {
            self.counters.delivered += 1;
            return true;
        }
        session.woken = false;
        false
    }

    /// The next piece of news.
    pub fn poll_event(&mut self) -> Option<Event> {
        while let Some(event) = self.events.pop_front() {
            match event {
                // Pulled empty or closed in the meantime.
                Event::Wake(id) if self.sessions.get(&id).is_none_or(|session| !session.woken) => {}
                Event::CredentialsWanted { session, .. } | Event::Close { session, .. }
                    if !self.sessions.contains_key(&session) => {}
                Event::Wake(_)
                | Event::CredentialsWanted { .. }
                | Event::CredentialsShown { .. }
                | Event::Left(_)
                | Event::Close { .. } => return Some(event),
            }
        }
        None
    }

    /// When `handle_timeout` wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.store.next_deadline(), self.idle.next()].into_iter().flatten().min()
    }

    /// Time has passed: purges what has expired, closes the sessions that were silent for too long.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.expire(now);
        while let Some(id) = self.idle.pop_due(now) {
            let Some(session) = self.sessions.get(&id) else { continue };
            let end = session.heard + self.config.idle;
            if end > now {
                // Frames do not move the deadline, which would cost every frame; it moves when it comes due.
                self.idle.set(id, end);
            } else {
                self.begin_closing(id, Reason::Idle);
                self.events.push_back(Event::Close { session: id, reason: Reason::Idle });
            }
        }
    }

    /// Gives back the room of sessions that are gone.
    pub fn shrink(&mut self) {
        self.idle.shrink();
        self.events.shrink_to_fit();
    }

    /// What is held, and what happened.
    pub fn counters(&self) -> Counters {
        let small = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        Counters {
            sessions: small(self.sessions.len()),
            subscriptions: self.sessions.values().map(|session| small(session.subscriptions.len())).sum(),
            mailboxes: small(self.store.len()),
            envelopes: self.store.envelopes(),
            blocks_used: self.store.arena().used_blocks(),
            blocks_total: self.store.arena().total_blocks(),
            ..self.counters
        }
    }

    /// From now on clients know that this memory is another one.
    pub(super) fn new_instance(&mut self) {
        self.rng.fill_bytes(&mut self.instance);
    }

    fn leave_all(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        for subscription in session.drain_subscriptions() {
            self.store.unsubscribe(subscription.place, id);
        }
    }

    /// Brings the window of a reader up to date after envelopes of this queue were purged.
    pub(super) fn recount(&mut self, id: SessionId, place: PlaceId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(subscription) = session.subscription(place) else { return };
        if subscription.kind != Kind::Queue {
            return;
        }
        let in_flight = self.store.count_below(place, subscription.cursor);
        if session.set_in_flight(place, in_flight, self.config.window) {
            self.wake(id);
        }
    }

    fn expire(&mut self, now: Instant) {
        while let Some((place, expired)) = self.store.expire_one(now) {
            self.counters.count_purged(Cause::Expired, u64::from(expired));
            // A queue has one reader; of a log nobody has a window.
            let reader = self.store.get(place).and_then(|place| place.readers.first()).copied();
            if let Some(reader) = reader {
                self.recount(reader, place);
            }
            self.store.vanish_if_vacant(place);
        }
    }

    pub(super) fn refuse(&mut self, id: SessionId, req: u32, refusal: Refusal) {
        self.counters.refused.count(refusal.reason);
        self.answer(id, Answer::Refused { req, refusal });
    }

    pub(super) fn answer(&mut self, id: SessionId, answer: Answer) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.answer(answer);
        }
        self.wake(id);
    }

    pub(super) fn wake(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id)
            && !session.woken
        {
            session.woken = true;
            self.events.push_back(Event::Wake(id));
        }
    }

    pub(super) fn violate(&mut self, id: SessionId, reason: Reason) -> Result<(), Violation> {
        self.counters.violations += 1;
        self.begin_closing(id, reason);
        Err(Violation { reason })
    }

    fn begin_closing(&mut self, id: SessionId, reason: Reason) {
        self.leave_all(id);
        self.idle.remove(&id);
        if let Some(session) = self.sessions.get_mut(&id) {
            session.closing = Some(Closing { reason, said: false });
        }
    }
}

impl<S, R> fmt::Debug for Mailbox<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("sessions", &self.sessions.len()).finish_non_exhaustive()
    }
}

/// Delivers one envelope of the subscription whose turn it is, copied once, out of the arena.
fn deliver<S>(session: &mut Session, store: &Store<S>, window: u32, out: &mut Vec<u8>) -> bool
where
    S: Storage,
{
    let shut = session.in_flight >= window;
    for _ in 0..session.turns.len() {
        let Some(place) = session.turns.pop_front() else { break };
        let Some(at) = session.subscriptions.iter().position(|s| s.place == place) else { continue };
        let Some(subscription) = session.subscriptions.get_mut(at) else { continue };
        if shut && subscription.kind == Kind::Queue {
            session.turns.push_back(place);
            continue;
        }
        let Some((seq, envelope, more)) = store.next_from(place, subscription.cursor) else {
            subscription.has_turn = false;
            continue;
        };
        wire::encode_deliver_head(&subscription.address, seq, envelope.len(), out);
        store.arena().copy_to(envelope, out);
        subscription.cursor = seq + 1;
        subscription.has_turn = more;
        if subscription.kind == Kind::Queue {
            subscription.in_flight += 1;
            session.in_flight += 1;
        }
        if more {
            session.turns.push_back(place);
        }
        return true;
    }
    false
}

fn welcome(instance: [u8; 16], challenge: Challenge, config: &Config) -> NodeFrame<'static> {
    let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    let limits = Limits {
        envelope: wire::MAX_ENVELOPE as u32,
        ttl_s: seconds(config.ttl.of(Ttl::Long)),
        idle_s: seconds(config.idle),
        subscriptions: config.subscriptions,
    };
    NodeFrame::Welcome { instance, challenge, turn_port: config.turn_port, limits }
}
