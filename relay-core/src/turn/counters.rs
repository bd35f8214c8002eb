//! What the TURN server counts: totals, nothing about anybody.

use super::{Forward, Out, Refusal};

/// Totals since the start, and how many allocations there are now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Allocations that exist now.
    pub allocations: u64,
    /// Allocations made since the start.
    pub allocations_made: u64,
    /// Allocations that ended because nobody refreshed them.
    pub allocations_expired: u64,
    /// Binding requests answered.
    pub bindings: u64,
    /// Packets from clients to peers.
    pub packets_to_peers: u64,
    /// Packets from peers to clients.
    pub packets_to_clients: u64,
    /// Application bytes in both directions.
    pub bytes_relayed: u64,
    /// Datagrams that were neither STUN nor data for an allocation.
    pub dropped: u64,
    /// Packets that were dropped because whoever they were of had had their share.
    pub shed: u64,
    refusals: [u64; Refusal::COUNT],
}

impl Counters {
    /// How often `refusal` was sent.
    pub fn refusals(&self, refusal: Refusal) -> u64 {
        slot(refusal).and_then(|at| self.refusals.get(at)).copied().unwrap_or_default()
    }

    /// A datagram was passed on, or was for nobody.
    pub(super) fn forwarded(&mut self, forward: Option<&Forward>) {
        let Some(forward) = forward else {
            self.dropped += 1;
            return;
        };
        match forward.out {
            Out::Relay(_) => self.packets_to_peers += 1,
            Out::Server(_) => self.packets_to_clients += 1,
        }
        self.bytes_relayed += forward.payload_len() as u64;
    }

    pub(super) fn refused(&mut self, refusal: Refusal) {
        if let Some(count) = slot(refusal).and_then(|at| self.refusals.get_mut(at)) {
            *count += 1;
        }
    }
}

fn slot(refusal: Refusal) -> Option<usize> {
    Refusal::ALL.iter().position(|one| *one == refusal)
}
