//! The verbs.

use base::Instant;
use rand_core::{CryptoRng, RngCore};

use super::{Cause, Config, Counters, Event, Held, OpenRefused, SessionId, Violation};

/// The delivery service of one node.
#[derive(Debug)]
pub struct Mailbox<S, R> {
    _config: Config,
    storage: S,
    _rng: R,
}

impl<S: AsRef<[u8]> + AsMut<[u8]>, R: RngCore + CryptoRng> Mailbox<S, R> {
    /// A node that holds nothing. `storage` is where envelopes lie: whole blocks of [`wire::BLOCK`] bytes count,
    /// the rest is left alone.
    pub fn new(config: Config, storage: S, rng: R) -> Self {
        Self { _config: config, storage, _rng: rng }
    }

    /// Opens a session; its first frame, `Welcome` with a fresh challenge, waits to be pulled.
    ///
    /// # Errors
    /// When the node has as many sessions as it may.
    pub fn open_session(&mut self, now: Instant) -> Result<SessionId, OpenRefused> {
        let _ = now;
        Err(OpenRefused::TooManySessions)
    }

    /// One frame came from the client of this session.
    ///
    /// A request that cannot be carried out is answered by `Refused`, and is no error here.
    ///
    /// # Errors
    /// When the client broke the protocol: the session takes no more frames, and its last is `Bye`.
    pub fn handle_frame(&mut self, session: SessionId, bytes: &[u8], now: Instant) -> Result<(), Violation> {
        let _ = (session, bytes, now);
        Ok(())
    }

    /// The stream of this session has ended. What it did not acknowledge waits for the next subscription.
    pub fn close_session(&mut self, session: SessionId, now: Instant) {
        let _ = (session, now);
    }

    /// Answers [`Event::CredentialsWanted`]. A session or request that is gone is passed over.
    pub fn grant_credentials(&mut self, session: SessionId, req: u32, username: &str, password: &str, ttl_s: u32) {
        let _ = (session, req, username, password, ttl_s);
    }

    /// Answers [`Event::CredentialsWanted`] with `Refused`, for that the node has no TURN.
    pub fn refuse_credentials(&mut self, session: SessionId, req: u32) {
        let _ = (session, req);
    }

    /// **Appends** the next frame for this session to `out`; `false` when there is none.
    ///
    /// Call it when the frame can be written, and again until it says `false`.
    pub fn poll_transmit(&mut self, session: SessionId, now: Instant, out: &mut Vec<u8>) -> bool {
        let _ = (session, now, out);
        false
    }

    /// The next piece of news.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// When `handle_timeout` wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Time has passed: purges what has expired, closes the sessions that were silent for too long.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// Overwrites everything that is held, and closes every session: its client must deposit again.
    pub fn purge(&mut self, cause: Cause) {
        let _ = cause;
    }

    /// What is held, and what happened.
    pub fn counters(&self) -> Counters {
        Counters::default()
    }

    /// Everything that is held, one by one: counts and sizes.
    pub fn dump(&self) -> impl Iterator<Item = Held> + '_ {
        core::iter::empty()
    }

    /// The storage as it is, for the proof that it holds nothing but ciphertext.
    pub const fn expose_storage(&self) -> &S {
        &self.storage
    }
}
