//! All that the mailbox holds, one thing after another, for whoever wants to see how little it is.
//!
//! What is not in here is not held: the state of a session is a number for its time, a few for its pace, its
//! challenge, and which mailboxes it reads; an envelope has a number, a time and its bytes. Nothing says who
//! deposited it.

use core::ops::Bound;
use std::time::Duration;

use base::{Instant, Storage};
use rand_core::{CryptoRng, RngCore};
use wire::{Address, Challenge, Kind};

use super::SessionId;
use super::machine::Mailbox;
use super::store::PlaceId;

/// One open session.
#[derive(Clone, Debug)]
pub struct HeldSession {
    /// Its number.
    pub session: SessionId,
    /// Since its last frame.
    pub silent: Duration,
    /// What its subscriptions have to sign; drawn at its opening, and said to the client in clear.
    pub challenge: Challenge,
    /// The numbers of the mailboxes that it reads.
    pub reads: Vec<u64>,
    /// How many envelopes it has not acknowledged yet.
    pub in_flight: u32,
    /// How many answers wait for it.
    pub answers: u32,
    /// How many requests for TURN credentials are open.
    pub credential_requests: u32,
    /// How many wrong signatures it has sent.
    pub wrong_signatures: u8,
    /// Whether it takes no more frames.
    pub is_closing: bool,
}

/// One mailbox.
#[derive(Clone, Debug)]
pub struct HeldMailbox {
    /// A number given when it came into being, and never again.
    pub number: u64,
    /// Queue or log.
    pub kind: Kind,
    /// What it is found by.
    pub address: Address,
    /// The number that its next envelope will get.
    pub next: u64,
    /// The sessions that read it.
    pub readers: Vec<SessionId>,
    /// What lies in it.
    pub envelopes: Vec<HeldEnvelope>,
}

/// One envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldEnvelope {
    /// Its number in the mailbox.
    pub seq: u64,
    /// How many blocks it takes.
    pub blocks: u32,
    /// How long it may stay.
    pub left: Duration,
}

impl<S: Storage, R: RngCore + CryptoRng> Mailbox<S, R> {
    /// The sessions whose numbers follow `after`, in their order.
    pub fn held_sessions(
        &self,
        after: Option<SessionId>,
        now: Instant,
    ) -> impl Iterator<Item = HeldSession> + '_ {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.sessions.range((from, Bound::Unbounded)).map(move |(id, session)| HeldSession {
            session: *id,
            silent: now.saturating_duration_since(session.heard),
            challenge: session.challenge,
            reads: session.subscriptions.iter().map(|subscription| subscription.place.number()).collect(),
            in_flight: session.in_flight,
            answers: small(session.answers()),
            credential_requests: small(session.credential_requests.len()),
            wrong_signatures: session.bad_signatures,
            is_closing: session.closing.is_some(),
        })
    }

    /// The mailboxes whose numbers follow `after`, in their order.
    pub fn held_mailboxes(&self, after: u64, now: Instant) -> impl Iterator<Item = HeldMailbox> + '_ {
        self.store.places_after(PlaceId::of(after)).map(move |(id, place)| HeldMailbox {
            number: id.number(),
            kind: place.kind,
            address: place.address,
            next: place.next,
            readers: place.readers.clone(),
            envelopes: place
                .envelopes_held()
                .map(|(seq, expires, blocks)| {
                    let left = expires.saturating_duration_since(now);
                    HeldEnvelope { seq, blocks, left }
                })
                .collect(),
        })
    }

    /// **Appends** the bytes of one envelope to `out`; whether it is there.
    pub fn expose_envelope(&self, mailbox: u64, seq: u64, out: &mut Vec<u8>) -> bool {
        match self.store.next_from(PlaceId::of(mailbox), seq) {
            Some((found, chain, _)) if found == seq => {
                self.store.arena().copy_to(chain, out);
                true
            }
            Some(_) | None => false,
        }
    }

    /// The storage as it is, for the proof that it holds nothing but ciphertext.
    pub const fn expose_storage(&self) -> &S {
        self.store.arena().expose_storage()
    }
}

fn small(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
