//! What each request of a client does: who may read, what is put where, what is refused.

use core::time::Duration;

use base::{Instant, Storage};
use rand_core::{CryptoRng, RngCore};
use wire::{Address, ClientFrame, Kind, Reason, ReceiveKey, Signature, Ttl};

use super::machine::Mailbox;
use super::session::{Answer, BAD_SIGNATURES, CREDENTIAL_REQUESTS, Refusal, Subscription};
use super::store::{Incoming, PlaceId};
use super::{Cause, Event, SessionId, Shown, Violation};

/// Seconds after which another request for credentials makes sense, when too many are open.
const RETRY_CREDENTIALS_S: u32 = 1;

impl<S: Storage, R: RngCore + CryptoRng> Mailbox<S, R> {
    /// Carries out one request and answers it. `pace` refuses it, if the session goes too fast for more than
    /// giving room back.
    pub(super) fn carry_out(
        &mut self,
        id: SessionId,
        frame: ClientFrame<'_>,
        pace: Result<(), Refusal>,
        now: Instant,
    ) -> Result<(), Violation> {
        match frame {
            ClientFrame::Subscribe { req, kind, key, signature, from } => {
                match pace.and_then(|()| self.subscribe(id, Wish { kind, key, signature, from }, now)) {
                    Ok(next) => self.answer(id, Answer::Subscribed { req, next }),
                    Err(refusal) => self.refuse(id, req, refusal),
                }
                if self.sessions.get(&id).is_some_and(|session| session.bad_signatures >= BAD_SIGNATURES) {
                    return self.violate(id, Reason::BadSignature);
                }
            }
            ClientFrame::Unsubscribe { address } => {
                if let Some(place) = self.sessions.get(&id).and_then(|session| session.place_at(&address)) {
                    self.unsubscribe(id, place);
                }
            }
            ClientFrame::Deposit { req, address, ttl, envelope } => {
                let put = Put { kind: Kind::Queue, address, expected: None, ttl, envelope };
                match pace.and_then(|()| self.put(id, put, now)) {
                    Ok(_) => {
                        self.counters.deposited += 1;
                        self.answer(id, Answer::Deposited { req });
                    }
                    Err(refusal) => self.refuse(id, req, refusal),
                }
            }
            ClientFrame::Append { req, address, expected, ttl, envelope } => {
                let put = Put { kind: Kind::Log, address, expected, ttl, envelope };
                match pace.and_then(|()| self.put(id, put, now)) {
                    Ok(seq) => {
                        self.counters.appended += 1;
                        self.answer(id, Answer::Appended { req, seq });
                    }
                    Err(refusal) => self.refuse(id, req, refusal),
                }
            }
            ClientFrame::Acknowledge { address, first, last } => self.acknowledge(id, &address, first, last),
            ClientFrame::RequestCredentials { req } => match pace.and_then(|()| self.want(id, req)) {
                Ok(()) => self.events.push_back(Event::CredentialsWanted { session: id, req }),
                Err(refusal) => self.refuse(id, req, refusal),
            },
            // Told at once, so that nothing of it waits here.
            ClientFrame::KeepCredentials { username, password } => {
                let shown =
                    Shown { username: username.to_owned().into(), password: password.to_owned().into() };
                self.events.push_back(Event::CredentialsShown { session: id, shown: Box::new(shown) });
            }
            ClientFrame::Leave => self.events.push_back(Event::Left(id)),
            ClientFrame::Ping { nonce } => self.answer(id, Answer::Pong { nonce }),
        }
        Ok(())
    }

    fn subscribe(&mut self, id: SessionId, wish: Wish, now: Instant) -> Result<u64, Refusal> {
        let Wish { kind, key, signature, from } = wish;
        let Some(session) = self.sessions.get_mut(&id) else { return Err(Refusal::new(Reason::Idle, 0)) };
        let address = Address::of(kind, &key);
        let known = session.place_at(&address);
        if known.is_none() && session.subscriptions.len() >= self.config.subscriptions as usize {
            return Err(Refusal::new(Reason::TooManySubscriptions, 0));
        }
        if !key.verifies(kind, &session.challenge, &signature) {
            session.bad_signatures = session.bad_signatures.saturating_add(1);
            return Err(Refusal::new(Reason::BadSignature, 0));
        }
        let opens = self.may_open(id, kind, address, now)?;
        let (place, before) = self.store.subscribe(kind, address, id, &self.config)?;
        if let Some(before) = before {
            self.take_over(before, place);
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            if opens {
                session.openings.take();
            }
            // Subscribing again starts again: what is unacknowledged is delivered once more.
            session.unsubscribe(place);
            let cursor = match kind {
                Kind::Queue => 0,
                Kind::Log => from,
            };
            let subscription = Subscription { place, kind, address, cursor, in_flight: 0, has_turn: false };
            session.subscriptions.push(subscription);
            if self.store.next_from(place, cursor).is_some() {
                session.give_turn(place, self.config.window);
            }
        }
        Ok(self.store.get(place).map_or(0, |place| place.next))
    }

    /// The newest subscription of a queue is its reader; the one before is told.
    fn take_over(&mut self, before: SessionId, place: PlaceId) {
        let Some(session) = self.sessions.get_mut(&before) else { return };
        let Some(subscription) = session.unsubscribe(place) else { return };
        let has_turns = !session.turns.is_empty();
        self.answer(
            before,
            Answer::Unsubscribed { address: subscription.address, reason: Reason::TakenOver },
        );
        if has_turns {
            self.wake(before);
        }
    }

    fn unsubscribe(&mut self, id: SessionId, place: PlaceId) {
        self.store.unsubscribe(place, id);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.unsubscribe(place);
        if !session.turns.is_empty() {
            self.wake(id);
        }
    }

    /// Whether this address needs a new mailbox, which this session may bring into being.
    fn may_open(
        &mut self,
        id: SessionId,
        kind: Kind,
        address: Address,
        now: Instant,
    ) -> Result<bool, Refusal> {
        if self.store.find(kind, address).is_some() {
            return Ok(false);
        }
        let slowdown = self.store.slowdown(&self.config);
        if let Some(session) = self.sessions.get_mut(&id) {
            too_fast(session.openings.check(self.config.openings, slowdown, now))?;
        }
        Ok(true)
    }

    fn put(&mut self, id: SessionId, put: Put<'_>, now: Instant) -> Result<u64, Refusal> {
        let Put { kind, address, expected, ttl, envelope } = put;
        self.check_memory()?;
        let opens = self.may_open(id, kind, address, now)?;
        let incoming = Incoming { kind, address, expected, expires: now + self.config.ttl.of(ttl), envelope };
        let (place, seq) = self.store.put(incoming, &self.config)?;
        if opens && let Some(session) = self.sessions.get_mut(&id) {
            session.openings.take();
        }
        // By index: telling a reader borrows everything, and changes no list of readers.
        let readers = self.store.get(place).map_or(0, |place| place.readers.len());
        for at in 0..readers {
            let reader = self.store.get(place).and_then(|place| place.readers.get(at)).copied();
            let Some(reader) = reader else { break };
            let window = self.config.window;
            if self.sessions.get_mut(&reader).is_some_and(|session| session.give_turn(place, window)) {
                self.wake(reader);
            }
        }
        Ok(seq)
    }

    fn acknowledge(&mut self, id: SessionId, address: &Address, first: u64, last: u64) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let Some(place) = session.place_at(address) else { return };
        let Some(subscription) = session.subscription(place) else { return };
        // A log is read by many; what one of them has seen stays for the others.
        if subscription.kind != Kind::Queue {
            return;
        }
        // What was not delivered cannot have arrived.
        let end = subscription.cursor.min(last.saturating_add(1));
        let purged = self.store.remove(place, first..end);
        if purged > 0 {
            self.counters.count_purged(Cause::Acknowledged, u64::from(purged));
            self.recount(id, place);
        }
    }

    fn want(&mut self, id: SessionId, req: u32) -> Result<(), Refusal> {
        if self.config.turn_port == 0 {
            return Err(Refusal::new(Reason::NoTurn, 0));
        }
        let Some(session) = self.sessions.get_mut(&id) else { return Err(Refusal::new(Reason::Idle, 0)) };
        if session.credential_requests.len() >= CREDENTIAL_REQUESTS {
            return Err(Refusal::new(Reason::TooFast, RETRY_CREDENTIALS_S));
        }
        session.credential_requests.push(req);
        Ok(())
    }

    /// Closes an open request for credentials; whether there was one.
    pub(super) fn take_request(&mut self, id: SessionId, req: u32) -> bool {
        let Some(session) = self.sessions.get_mut(&id) else { return false };
        let Some(at) = session.credential_requests.iter().position(|open| *open == req) else { return false };
        session.credential_requests.swap_remove(at);
        true
    }
}

/// What a client wants to read.
#[derive(Clone, Copy)]
struct Wish {
    kind: Kind,
    key: ReceiveKey,
    signature: Signature,
    from: u64,
}

/// A deposit or an append.
#[derive(Clone, Copy)]
struct Put<'b> {
    kind: Kind,
    address: Address,
    expected: Option<u64>,
    ttl: Ttl,
    envelope: &'b [u8],
}

/// The refusal for a session that goes too fast, with the whole seconds that it should wait.
pub(super) fn too_fast(pace: Result<(), Duration>) -> Result<(), Refusal> {
    pace.map_err(|wait| {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() != 0);
        Refusal::new(Reason::TooFast, u32::try_from(seconds).unwrap_or(u32::MAX))
    })
}
