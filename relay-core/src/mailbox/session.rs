//! What the node knows of one session: its challenge, its pace, what it reads and what waits for it.
//!
//! There is no buffer in it: answers are a few words each, deliveries stay in the arena until they are pulled.

use std::collections::VecDeque;

use base::Instant;
use wire::{Address, Challenge, Kind, NodeFrame, Reason};
use zeroize::Zeroizing;

use super::pace::{Bucket, Openings};
use super::store::PlaceId;

/// Answers that may wait for one session, those to open requests for credentials included. A client that sends
/// on without reading them breaks the protocol.
pub(super) const ANSWERS: usize = 64;

/// Requests for credentials that one session may have open.
pub(super) const CREDENTIAL_REQUESTS: usize = 4;

/// Wrong signatures in one session, from which on it breaks the protocol.
pub(super) const BAD_SIGNATURES: u8 = 3;

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) challenge: Challenge,
    /// Bounded by [`ANSWERS`], and one more for each subscription that another session took over.
    answers: VecDeque<Answer>,
    /// Open requests, bounded by [`CREDENTIAL_REQUESTS`].
    pub(super) credential_requests: Vec<u32>,
    /// Bounded by `Config::subscriptions`.
    pub(super) subscriptions: Vec<Subscription>,
    /// Those subscriptions that may have something to deliver, in the order of their turns.
    pub(super) turns: VecDeque<PlaceId>,
    /// Delivered and not acknowledged, over all queues; delivering stops at `Config::window`.
    pub(super) in_flight: u32,
    pub(super) heard: Instant,
    pub(super) frames: Bucket,
    pub(super) bytes: Bucket,
    pub(super) openings: Openings,
    pub(super) bad_signatures: u8,
    /// The owner was told that there is something to pull, and has not pulled all of it.
    pub(super) woken: bool,
    pub(super) closing: Option<Closing>,
}

/// A session that takes no more frames.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closing {
    pub(super) reason: Reason,
    pub(super) said: bool,
}

/// One mailbox that a session reads.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) place: PlaceId,
    pub(super) kind: Kind,
    pub(super) address: Address,
    /// The lowest sequence number that was not delivered.
    pub(super) cursor: u64,
    /// Of a queue: delivered and not acknowledged.
    pub(super) in_flight: u32,
    /// Whether it stands among the turns.
    pub(super) has_turn: bool,
}

impl Session {
    /// A session that has just been opened; its first answer is the welcome.
    pub(super) fn new(challenge: Challenge, now: Instant) -> Self {
        Self {
            challenge,
            answers: VecDeque::from([Answer::Welcome]),
            credential_requests: Vec::new(),
            subscriptions: Vec::new(),
            turns: VecDeque::new(),
            in_flight: 0,
            heard: now,
            frames: Bucket::default(),
            bytes: Bucket::default(),
            openings: Openings::new(now),
            bad_signatures: 0,
            woken: false,
            closing: None,
        }
    }

    pub(super) fn answer(&mut self, answer: Answer) {
        self.answers.push_back(answer);
    }

    pub(super) fn next_answer(&mut self) -> Option<Answer> {
        let answer = self.answers.pop_front();
        // A burst of answers is rare, and most sessions are idle: give its memory back.
        if self.answers.is_empty() && self.answers.capacity() > 8 {
            self.answers = VecDeque::new();
        }
        answer
    }

    pub(super) fn answers(&self) -> usize {
        self.answers.len()
    }

    /// Whether as many answers wait as may.
    pub(super) fn is_behind(&self) -> bool {
        self.answers.len() + self.credential_requests.len() >= ANSWERS
    }

    pub(super) fn subscription(&mut self, place: PlaceId) -> Option<&mut Subscription> {
        self.subscriptions.iter_mut().find(|subscription| subscription.place == place)
    }

    pub(super) fn place_at(&self, address: &Address) -> Option<PlaceId> {
        self.subscriptions.iter().find(|subscription| subscription.address == *address).map(|s| s.place)
    }

    /// Gives this subscription a turn, unless it has one; whether something can be delivered now.
    pub(super) fn give_turn(&mut self, place: PlaceId, window: u32) -> bool {
        let blocked = self.in_flight >= window;
        let Some(subscription) = self.subscriptions.iter_mut().find(|s| s.place == place) else {
            return false;
        };
        if !subscription.has_turn {
            subscription.has_turn = true;
            self.turns.push_back(place);
        }
        !(blocked && subscription.kind == Kind::Queue)
    }

    /// Notes how many of this queue's envelopes are on their way; whether that opens a window that was shut.
    pub(super) fn set_in_flight(&mut self, place: PlaceId, in_flight: u32, window: u32) -> bool {
        let was_shut = self.in_flight >= window;
        let Some(subscription) = self.subscriptions.iter_mut().find(|s| s.place == place) else {
            return false;
        };
        self.in_flight = self.in_flight - subscription.in_flight + in_flight;
        subscription.in_flight = in_flight;
        was_shut && self.in_flight < window && !self.turns.is_empty()
    }

    /// Forgets this subscription.
    pub(super) fn unsubscribe(&mut self, place: PlaceId) -> Option<Subscription> {
        let at = self.subscriptions.iter().position(|subscription| subscription.place == place)?;
        let subscription = self.subscriptions.swap_remove(at);
        self.in_flight -= subscription.in_flight;
        if subscription.has_turn {
            self.turns.retain(|turn| *turn != place);
        }
        Some(subscription)
    }

    /// Forgets every subscription and every open request, and what they were.
    pub(super) fn drain_subscriptions(&mut self) -> Vec<Subscription> {
        self.turns = VecDeque::new();
        self.in_flight = 0;
        self.credential_requests = Vec::new();
        core::mem::take(&mut self.subscriptions)
    }

    /// Forgets the answers that wait.
    pub(super) fn drop_answers(&mut self) {
        self.answers = VecDeque::new();
    }
}

/// What waits for a session: the frames without an envelope.
#[derive(Debug)]
pub(super) enum Answer {
    Welcome,
    Subscribed { req: u32, next: u64 },
    Deposited { req: u32 },
    Appended { req: u32, seq: u64 },
    Refused { req: u32, refusal: Refusal },
    Pong { nonce: u32 },
    Unsubscribed { address: Address, reason: Reason },
    Credentials(Box<Credentials>),
}

/// The numbers of `Refused`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reason: Reason,
    pub(super) retry_s: u32,
    pub(super) next: u64,
}

impl Refusal {
    /// Another try makes sense after `retry_s` seconds; never, when 0.
    pub(super) const fn new(reason: Reason, retry_s: u32) -> Self {
        Self { reason, retry_s, next: 0 }
    }
}

/// TURN credentials on their way to a client.
pub(super) struct Credentials {
    pub(super) req: u32,
    pub(super) username: Zeroizing<String>,
    pub(super) password: Zeroizing<String>,
    pub(super) ttl_s: u32,
}

impl core::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Credentials(..)")
    }
}

impl Answer {
    /// Appends the frame; `welcome` is the one that names this node and this session.
    pub(super) fn encode(&self, welcome: impl FnOnce() -> NodeFrame<'static>, out: &mut Vec<u8>) {
        match self {
            Self::Welcome => welcome(),
            Self::Subscribed { req, next } => NodeFrame::Subscribed { req: *req, next: *next },
            Self::Deposited { req } => NodeFrame::Deposited { req: *req },
            Self::Appended { req, seq } => NodeFrame::Appended { req: *req, seq: *seq },
            Self::Refused { req, refusal } => NodeFrame::Refused {
                req: *req,
                reason: refusal.reason,
                retry_s: refusal.retry_s,
                next: refusal.next,
            },
            Self::Pong { nonce } => NodeFrame::Pong { nonce: *nonce },
            Self::Unsubscribed { address, reason } => {
                NodeFrame::Unsubscribed { address: *address, reason: *reason }
            }
            Self::Credentials(credentials) => NodeFrame::Credentials {
                req: credentials.req,
                username: &credentials.username,
                password: &credentials.password,
                ttl_s: credentials.ttl_s,
            },
        }
        .encode(out);
    }
}
