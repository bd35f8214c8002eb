//! Overload: who is asked to wait when the thread falls behind, or when what goes to clients finds no room.

use base::Instant;
use core::hash::BuildHasher;
use rand_core::{CryptoRng, RngCore};

use super::super::allocation::{Allocation, RelayId};
use super::super::fairness::Meter;
use super::super::five_tuple::FiveTuple;
use super::super::forward::{Forward, Out};
use super::super::limits::STRANGERS;
use super::super::parties::PartyId;
use super::Server;

/// What the driver saw at its last look at the sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// A socket for datagrams had more to give than it was its turn for.
    pub behind: bool,
    /// The system did not take a datagram for a client.
    pub blocked: bool,
}

/// Those who have no allocation: together they are one party, whose part each source has an equal part of.
pub(super) struct Strangers {
    all: Meter,
    by_source: Box<[Meter; STRANGERS]>,
    level: u32,
}

impl Default for Strangers {
    fn default() -> Self {
        Self { all: Meter::default(), by_source: Box::new([Meter::default(); STRANGERS]), level: u32::MAX }
    }
}

impl<R: RngCore + CryptoRng> Server<R> {
    /// Tells what the driver saw; before each look at the sockets.
    pub fn handle_load(&mut self, load: Load, now: Instant) {
        self.inbound.note(load.behind, now);
        self.outbound.note(load.blocked, now);
        self.share_out(now);
    }

    /// Whether there is too little for all, so that [`share_out`](Self::share_out) is to be called within a long look
    /// at the sockets as well.
    pub const fn is_sharing(&self) -> bool {
        self.inbound.is_active() || self.outbound.is_active()
    }

    /// Shares out anew what there is, when it is time.
    pub fn share_out(&mut self, now: Instant) {
        if self.inbound.is_due(now) {
            let sources = self.strangers.by_source.iter().filter(|meter| self.inbound.counts(meter)).count();
            let parties = self.parties.iter().flat_map(|party| [&party.from_clients, &party.from_peers]);
            self.inbound.share_out(parties.chain([&self.strangers.all]), now);
            let sources = u32::try_from(sources).unwrap_or(u32::MAX).max(1);
            self.strangers.level = self.inbound.level() / sources;
        }
        if self.outbound.is_due(now) {
            self.outbound.share_out(self.parties.iter().map(|party| &party.to_clients), now);
        }
    }

    /// Whether a datagram from a client may be looked at.
    pub(super) fn admits_from_client(&mut self, length: usize, five_tuple: &FiveTuple) -> bool {
        if !self.inbound.is_active() {
            return true;
        }
        let party = self.party(five_tuple).and_then(|party| self.parties.get_mut(party));
        let admitted = match party {
            Some(party) => self.inbound.admits(&mut party.from_clients, length),
            None => self.admits_stranger(length, five_tuple),
        };
        self.counters.shed += u64::from(!admitted);
        admitted
    }

    fn admits_stranger(&mut self, length: usize, five_tuple: &FiveTuple) -> bool {
        let hash = self.by_five_tuple.hasher().hash_one(five_tuple.source()) as usize;
        let Strangers { all, by_source, level } = &mut self.strangers;
        let of_source = by_source.get_mut(hash % STRANGERS);
        of_source.is_some_and(|meter| self.inbound.admits_up_to(*level, meter, length))
            && self.inbound.admits(all, length)
    }

    /// Whether a datagram from a peer may be looked at.
    pub(super) fn admits_from_peer(&mut self, length: usize, relay: RelayId) -> bool {
        if !self.inbound.is_active() {
            return true;
        }
        let party = self.allocation(relay.allocation).map(|allocation| allocation.party);
        let Some(party) = party.and_then(|party| self.parties.get_mut(party)) else { return true };
        let admitted = self.inbound.admits(&mut party.from_peers, length);
        self.counters.shed += u64::from(!admitted);
        admitted
    }

    /// Lets go what is to be sent, if there is room for it, and counts it.
    pub(super) fn pass(&mut self, forward: Option<Forward>) -> Option<Forward> {
        if let Some(forward) = &forward
            && self.outbound.is_active()
            && let Out::Server(five_tuple) = &forward.out
            && let Some(party) = self.party(five_tuple)
            && let Some(party) = self.parties.get_mut(party)
            && !self.outbound.admits(&mut party.to_clients, forward.len())
        {
            self.counters.shed += 1;
            return None;
        }
        self.counters.forwarded(forward.as_ref());
        forward
    }

    /// Who has the allocation on a 5-tuple.
    fn party(&self, five_tuple: &FiveTuple) -> Option<PartyId> {
        let allocation = self.by_five_tuple.get(five_tuple).and_then(|id| self.allocation(*id));
        allocation.map(|Allocation { party, .. }| *party)
    }
}
