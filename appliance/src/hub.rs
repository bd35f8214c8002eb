//! Joins the sessions' tasks with the one mailbox: who pulls, who wakes whom, and when time is told.
//!
//! Not a queue: a frame for a client stays in the mailbox until its socket can take it, so a slow reader holds up
//! nobody and costs no memory.
//! Invariant: the lock is held for one verb of the mailbox at a time and never across an await.

use crate::clocks::Clocks;
use crate::memory::{self, Arena};
use crate::turn::Revoker;
use base::Instant;
use rand_core::OsRng;
use relay_core::mailbox::{
    Cause, Config, Counters, Event, HeldMailbox, HeldSession, Mailbox, Memory, OpenRefused, SessionId,
    Violation,
};
use relay_core::turn::{Credentials, Holders, LONGEST_CREDENTIAL};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use wire::Reason;

/// The mailbox and everybody who is connected to it.
pub struct Hub {
    state: Mutex<State>,
    clocks: Arc<Clocks>,
    /// None where TURN is switched off.
    turn: Option<TurnDesk>,
    /// The next deadline came nearer.
    rearm: Notify,
    /// The last session has gone.
    empty: Notify,
}

/// Where TURN credentials are minted, and ended.
#[derive(Debug)]
pub struct TurnDesk {
    /// With the secret that the server knows as well.
    pub credentials: Credentials,
    /// Of that server.
    pub revoker: Revoker,
}

struct State {
    /// Whose TURN credentials are whose.
    holders: Holders<SessionId>,
    mailbox: Mailbox<Arena, OsRng>,
    /// As many as the mailbox has sessions.
    seats: HashMap<SessionId, Arc<Seat>>,
    armed: Option<Instant>,
    stopping: bool,
}

impl State {
    fn purge(&mut self, cause: Cause) {
        self.mailbox.purge(cause);
        self.holders.clear();
    }

    fn poll_timeout(&self) -> Option<Instant> {
        [self.mailbox.poll_timeout(), self.holders.poll_timeout()].into_iter().flatten().min()
    }
}

/// What the hub and one session's task share.
#[derive(Debug)]
struct Seat {
    wake: Notify,
    over: AtomicBool,
    reason: AtomicU8,
}

impl Seat {
    fn new() -> Self {
        Self { wake: Notify::new(), over: AtomicBool::new(false), reason: AtomicU8::new(0) }
    }

    fn end(&self, reason: Reason) {
        self.reason.store(reason as u8, Ordering::Relaxed);
        self.over.store(true, Ordering::Release);
        self.wake.notify_one();
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("sessions", &self.sessions()).finish_non_exhaustive()
    }
}

impl Hub {
    /// A hub around an empty mailbox.
    #[must_use]
    pub fn new(config: Config, arena: Arena, turn: Option<TurnDesk>, clocks: Arc<Clocks>) -> Arc<Self> {
        let mailbox = Mailbox::new(config, arena, OsRng);
        let (holders, seats) = (Holders::default(), HashMap::new());
        let state = State { holders, mailbox, seats, armed: None, stopping: false };
        let state = Mutex::new(state);
        Arc::new(Self { state, clocks, turn, rearm: Notify::new(), empty: Notify::new() })
    }

    /// Opens a session, whose `Welcome` can be pulled at once.
    ///
    /// # Errors
    /// When there are as many as there may be, or the daemon is stopping.
    pub fn open(self: &Arc<Self>) -> Result<Session, OpenRefused> {
        let now = self.clocks.now();
        let mut state = self.state();
        if state.stopping {
            return Err(OpenRefused::TooManySessions);
        }
        let id = state.mailbox.open_session(now)?;
        let seat = Arc::new(Seat::new());
        state.seats.insert(id, Arc::clone(&seat));
        self.settle(&mut state);
        Ok(Session { hub: Arc::clone(self), id, seat })
    }

    /// Sessions that are open.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.state().seats.len()
    }

    /// What the mailbox holds, and what happened.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.state().mailbox.counters()
    }

    /// Accounts of TURN that are in being, and how many of them wait for their client to come back.
    #[must_use]
    pub fn turn_accounts(&self) -> (usize, usize) {
        let state = self.state();
        (state.holders.len(), state.holders.absent())
    }

    /// Tells the mailbox the time, for as long as the daemon runs.
    pub async fn keep_time(self: Arc<Self>) {
        loop {
            let deadline = {
                let mut state = self.state();
                let now = self.clocks.now();
                state.mailbox.handle_timeout(now);
                state.holders.handle_timeout(now);
                self.settle(&mut state);
                state.armed = state.poll_timeout();
                state.armed
            };
            let rearmed = self.rearm.notified();
            match deadline {
                Some(deadline) => tokio::select! {
                    () = tokio::time::sleep_until(self.clocks.at(deadline)) => {}
                    () = rearmed => {}
                },
                None => rearmed.await,
            }
        }
    }

    /// Overwrites everything, says goodbye to everybody, and lets nobody in any more.
    pub fn stop(&self) {
        let mut state = self.state();
        state.stopping = true;
        state.purge(Cause::Shutdown);
        self.settle(&mut state);
    }

    /// Overwrites everything and closes every session; whoever comes back finds an empty mailbox.
    pub fn purge(&self, cause: Cause) {
        let mut state = self.state();
        state.purge(cause);
        self.settle(&mut state);
    }

    /// The machine has got more or less memory.
    pub fn handle_memory(&self, memory: Memory) {
        let mut state = self.state();
        state.mailbox.handle_memory(memory);
        self.settle(&mut state);
    }

    /// Gives the memory of sessions that are gone back to the system.
    pub fn give_back(&self) {
        {
            let mut state = self.state();
            state.mailbox.shrink();
            state.seats.shrink_to_fit();
        }
        memory::trim();
    }

    /// What is held of the first `most` sessions that follow `after`.
    #[must_use]
    pub fn held_sessions(&self, after: Option<SessionId>, most: usize) -> Vec<HeldSession> {
        let now = self.clocks.now();
        self.state().mailbox.held_sessions(after, now).take(most).collect()
    }

    /// What is held of the first mailbox that follows `after`, less its bytes.
    #[must_use]
    pub fn held_mailbox(&self, after: u64) -> Option<HeldMailbox> {
        let now = self.clocks.now();
        self.state().mailbox.held_mailboxes(after, now).next()
    }

    /// Appends the bytes of one envelope, which are ciphertext; whether it is there.
    #[must_use]
    pub fn expose_envelope(&self, mailbox: u64, seq: u64, out: &mut Vec<u8>) -> bool {
        self.state().mailbox.expose_envelope(mailbox, seq, out)
    }

    /// Returns when the last session has gone.
    pub async fn emptied(&self) {
        loop {
            let emptied = self.empty.notified();
            if self.sessions() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// Drains what the mailbox has to say, and makes sure that its next deadline is known. Says who was woken first:
    /// readers are before those who are only answered.
    fn settle(&self, state: &mut State) -> Option<SessionId> {
        let mut first = None;
        while let Some(event) = state.mailbox.poll_event() {
            match event {
                Event::Wake(session) => {
                    first.get_or_insert(session);
                    if let Some(seat) = state.seats.get(&session) {
                        seat.wake.notify_one();
                    }
                }
                Event::CredentialsWanted { session, req } => self.answer_credentials(state, session, req),
                Event::CredentialsShown { session, shown } => {
                    let now = self.clocks.wall().now;
                    let turn = self.turn.as_ref();
                    let account =
                        turn.and_then(|turn| turn.credentials.verify(&shown.username, &shown.password, now));
                    if let Some(account) = account {
                        // When it may not, it gets an account of its own when it asks.
                        let _ = state.holders.handle_shown(session, account);
                    }
                }
                Event::Left(session) => state.holders.handle_left(session),
                Event::Close { session, reason } => {
                    if reason != Reason::Idle {
                        state.holders.handle_left(session);
                    }
                    if let Some(seat) = state.seats.get(&session) {
                        seat.end(reason);
                    }
                }
            }
        }
        while let Some(account) = state.holders.poll_ended() {
            if let Some(turn) = &self.turn {
                turn.revoker.revoke(account);
            }
        }
        let next = state.poll_timeout();
        if next.is_some_and(|next| state.armed.is_none_or(|armed| next < armed)) {
            state.armed = next;
            self.rearm.notify_one();
        }
        first
    }

    fn answer_credentials(&self, state: &mut State, session: SessionId, req: u32) {
        let Some(turn) = self.turn.as_ref().filter(|_| state.seats.contains_key(&session)) else {
            state.mailbox.refuse_credentials(session, req);
            return;
        };
        let now = self.clocks.wall().now;
        let account = state.holders.account(session, &mut OsRng);
        let minted = turn.credentials.mint(&account, LONGEST_CREDENTIAL, now, &mut OsRng);
        let ttl_s = u32::try_from(LONGEST_CREDENTIAL.as_secs()).unwrap_or(u32::MAX);
        state.mailbox.grant_credentials(session, req, &minted.username, &minted.password, ttl_s);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One client's place in the mailbox. Dropping it closes the session.
#[derive(Debug)]
pub struct Session {
    hub: Arc<Hub>,
    id: SessionId,
    seat: Arc<Seat>,
}

impl Session {
    /// A frame came from the client. Whether that brought something to others, who should have it before the client has
    /// its answer: they wait for it, and the client has seen to its part.
    ///
    /// # Errors
    /// When it broke the protocol: what is left to pull ends with `Bye`.
    pub fn handle_frame(&self, bytes: &[u8]) -> Result<bool, Violation> {
        let now = self.hub.clocks.now();
        let mut state = self.hub.state();
        let result = state.mailbox.handle_frame(self.id, bytes, now);
        if result.is_err() {
            state.holders.handle_left(self.id);
        }
        let woken = self.hub.settle(&mut state);
        if let Err(violation) = &result {
            self.seat.end(violation.reason);
        }
        result.map(|()| woken.is_some_and(|woken| woken != self.id))
    }

    /// Appends the next frame for the client to `out`; `false` when there is none.
    pub fn pull(&self, out: &mut Vec<u8>) -> bool {
        let now = self.hub.clocks.now();
        let mut state = self.hub.state();
        let pulled = state.mailbox.poll_transmit(self.id, now, out);
        self.hub.settle(&mut state);
        pulled
    }

    /// Returns when there may be something to pull, or the session is over.
    pub async fn woken(&self) {
        self.seat.wake.notified().await;
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.hub.clocks.now()
    }

    /// Whether the last frame can be pulled or has been.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.seat.over.load(Ordering::Acquire)
    }

    /// Why it is over, as a close frame says it: the code of RFC 6455 section 7.4 and a word.
    #[must_use]
    pub fn farewell(&self) -> (u16, &'static str) {
        let reason = self.seat.reason.load(Ordering::Relaxed);
        match reason {
            r if r == Reason::Malformed as u8 => (1002, "malformed frame"),
            r if r == Reason::TooFast as u8 => (1008, "too fast"),
            r if r == Reason::Idle as u8 => (1001, "idle"),
            r if r == Reason::Shutdown as u8 => (1012, "the node stops"),
            r if r == Reason::Revoked as u8 => (1008, "revoked"),
            _ => (1008, "refused"),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let now = self.hub.clocks.now();
        let mut state = self.hub.state();
        state.mailbox.close_session(self.id, now);
        // What ended it for a reason has ended its account before.
        state.holders.handle_lost(self.id, now);
        state.seats.remove(&self.id);
        self.hub.settle(&mut state);
        if state.seats.is_empty() {
            self.hub.empty.notify_waiters();
        }
    }
}
