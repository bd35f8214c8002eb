//! The receiving side of one conversation: shows each message once and in its order.

use base::Instant;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use crate::api::{Text, UnixMillis};
use crate::parcel::DeliveryId;

/// Delivery identifiers remembered, so that a repeated parcel costs no decryption.
pub(crate) const MAX_SEEN: usize = 1024;

/// How far ahead of the next message one may be. Larger than what an outbox holds.
pub(crate) const MAX_AHEAD: u64 = 512;

/// Orders given up on, which are still shown when they come late.
pub(crate) const MAX_MISSING: usize = 512;

/// How long messages wait for one before them.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(60);

/// A message as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) order: u64,
    pub(crate) at: UnixMillis,
    pub(crate) text: Text,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// Shown, or held for its order. Receipt it.
    Yes,
    /// It was here before. Receipt it again.
    Duplicate,
    /// Too far ahead to be honest. No receipt.
    TooFar,
}

/// Messages of one peer, from the first on.
#[derive(Debug)]
pub(crate) struct Inbox {
    next: u64,
    held: BTreeMap<u64, Arrived>,
    missing: BTreeSet<u64>,
    waiting_until: Option<Instant>,
    shown: VecDeque<Arrived>,
    seen: HashSet<DeliveryId>,
    seen_order: VecDeque<DeliveryId>,
}

impl Default for Inbox {
    fn default() -> Self {
        Self {
            next: 1,
            held: BTreeMap::new(),
            missing: BTreeSet::new(),
            waiting_until: None,
            shown: VecDeque::new(),
            seen: HashSet::new(),
            seen_order: VecDeque::new(),
        }
    }
}

impl Inbox {
    /// Whether this delivery was received before.
    pub(crate) fn has_seen(&self, delivery: &DeliveryId) -> bool {
        self.seen.contains(delivery)
    }

    /// Remembers a delivery, forgetting the oldest beyond [`MAX_SEEN`]: the order tells those apart.
    pub(crate) fn remember(&mut self, delivery: DeliveryId) {
        if self.seen.insert(delivery) {
            self.seen_order.push_back(delivery);
            if self.seen_order.len() > MAX_SEEN
                && let Some(oldest) = self.seen_order.pop_front()
            {
                self.seen.remove(&oldest);
            }
        }
    }

    /// A message was decrypted.
    pub(crate) fn accept(&mut self, message: Arrived, now: Instant) -> Accepted {
        let order = message.order;
        if order < self.next {
            if self.missing.remove(&order) {
                self.shown.push_back(message);
                return Accepted::Yes;
            }
            return Accepted::Duplicate;
        }
        if order - self.next >= MAX_AHEAD {
            return Accepted::TooFar;
        }
        if self.held.contains_key(&order) {
            return Accepted::Duplicate;
        }
        self.held.insert(order, message);
        self.release();
        if self.held.is_empty() {
            self.waiting_until = None;
        } else if self.waiting_until.is_none() {
            self.waiting_until = Some(now + MAX_WAIT);
        }
        Accepted::Yes
    }

    /// When to call [`give_up`](Self::give_up).
    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        self.waiting_until
    }

    /// Stops waiting for the messages before the first held one; says how many are missing.
    pub(crate) fn give_up(&mut self, now: Instant) -> u32 {
        let Some((&first, _)) = self.held.first_key_value() else {
            self.waiting_until = None;
            return 0;
        };
        let missing = first - self.next;
        self.missing.extend(self.next..first);
        while self.missing.len() > MAX_MISSING {
            self.missing.pop_first();
        }
        self.next = first;
        self.release();
        self.waiting_until = (!self.held.is_empty()).then(|| now + MAX_WAIT);
        u32::try_from(missing).unwrap_or(u32::MAX)
    }

    /// The next message to show.
    pub(crate) fn poll_shown(&mut self) -> Option<Arrived> {
        self.shown.pop_front()
    }

    fn release(&mut self) {
        while let Some(message) = self.held.remove(&self.next) {
            self.shown.push_back(message);
            self.next += 1;
            // What is still held waits for another one now.
            self.waiting_until = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(order: u64) -> Arrived {
        Arrived { order, at: UnixMillis(0), text: "x".into() }
    }

    fn shown(inbox: &mut Inbox) -> Vec<u64> {
        core::iter::from_fn(|| inbox.poll_shown()).map(|message| message.order).collect()
    }

    #[test]
    fn a_message_before_its_time_waits_for_those_before_it() {
        let mut inbox = Inbox::default();
        assert_eq!(inbox.accept(message(2), Instant::ZERO), Accepted::Yes);
        assert_eq!(inbox.accept(message(3), Instant::ZERO), Accepted::Yes);
        assert!(shown(&mut inbox).is_empty());
        assert_eq!(inbox.poll_timeout(), Some(Instant::ZERO + MAX_WAIT));
        assert_eq!(inbox.accept(message(1), Instant::ZERO), Accepted::Yes);
        assert_eq!(shown(&mut inbox), [1, 2, 3]);
        assert_eq!(inbox.poll_timeout(), None);
    }

    #[test]
    fn waiting_is_bounded_and_the_late_one_is_still_shown() {
        let mut inbox = Inbox::default();
        inbox.accept(message(3), Instant::ZERO);
        assert_eq!(inbox.give_up(Instant::ZERO + MAX_WAIT), 2);
        assert_eq!(shown(&mut inbox), [3]);
        assert_eq!(inbox.accept(message(1), Instant::ZERO), Accepted::Yes);
        assert_eq!(inbox.accept(message(1), Instant::ZERO), Accepted::Duplicate);
        assert_eq!(shown(&mut inbox), [1]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut inbox = Inbox::default();
        for n in 0..=MAX_SEEN {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&(n as u64).to_be_bytes());
            inbox.remember(DeliveryId(id));
        }
        assert_eq!(inbox.seen.len(), MAX_SEEN);
        assert!(!inbox.has_seen(&DeliveryId([0; 16])));
        assert_eq!(inbox.accept(message(1 + MAX_AHEAD), Instant::ZERO), Accepted::TooFar);
        for order in 2..=MAX_AHEAD {
            assert_eq!(inbox.accept(message(order), Instant::ZERO), Accepted::Yes);
        }
        assert_eq!(inbox.held.len() as u64, MAX_AHEAD - 1);
        inbox.give_up(Instant::ZERO);
        for round in 1..4 {
            inbox.accept(message(inbox.next + MAX_AHEAD - 1), Instant::ZERO);
            inbox.give_up(Instant::ZERO);
            assert!(inbox.missing.len() <= MAX_MISSING, "round {round}");
        }
    }

    proptest! {
        #[test]
        fn every_order_of_arrival_shows_each_once_in_its_order(
            arrivals in Just((1..=40_u64).chain(1..=40).collect::<Vec<_>>()).prop_shuffle()
        ) {
            let mut inbox = Inbox::default();
            for order in arrivals {
                inbox.accept(message(order), Instant::ZERO);
            }
            prop_assert_eq!(shown(&mut inbox), (1..=40).collect::<Vec<_>>());
        }
    }
}
