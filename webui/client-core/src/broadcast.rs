//! Broadcast: every member sends one block at every tick, to all, whether or not there is something to say.
//!
//! The node sees who is there and nothing else: not who writes, to whom, how much or when. All blocks go into one log
//! that all members read; each tries to open every cell. It costs time ([`TICK`] for each block of a message) and
//! traffic (each member's block goes to each other member), so it is for bubbles of up to [`MAX_MEMBERS`].
//!
//! Invariant: what the node sees of a member (when a frame goes, which kind, how long) is the same whatever that member
//! says. Nothing here looks at the queue before it has decided that a block goes now.

pub(crate) mod cell;

use base::Instant;
use core::time::Duration;
use rand_core::{CryptoRng, RngCore};
use std::collections::VecDeque;
use zeroize::Zeroizing;

use crate::api::PeerId;
use crate::link::Cargo;
use cell::{CellKey, CellSecret, Part};

/// How often each member sends a block.
pub(crate) const TICK: Duration = Duration::from_secs(2);

/// So many members' blocks of a minute fit into one log of a node as it comes.
pub const MAX_MEMBERS: usize = 32;

/// Parcels that wait for their turn. Who has more to say waits.
pub(crate) const MAX_WAITING: usize = 32;

/// Parcels of which not every part is here yet; the oldest gives way.
const MAX_PARTIAL: usize = 64;

/// A parcel on its way out.
struct Outgoing {
    what: (PeerId, Cargo),
    to: CellKey,
    /// What is left of it, the next part first.
    parts: VecDeque<Part>,
}

/// A parcel on its way in.
struct Partial {
    parcel: [u8; 8],
    parts: Vec<Option<Zeroizing<Vec<u8>>>>,
}

/// See the module.
pub(crate) struct Broadcast {
    secret: CellSecret,
    /// For cells of nothing. Its secret is gone.
    nobody: CellKey,
    tick_at: Option<Instant>,
    /// The part of the first parcel that waits is in a block that was not answered yet.
    asked: bool,
    waiting: VecDeque<Outgoing>,
    partial: VecDeque<Partial>,
}

impl Broadcast {
    /// With a new key.
    pub(crate) fn new(rng: &mut (impl RngCore + CryptoRng)) -> Self {
        Self {
            secret: CellSecret::random(rng),
            nobody: CellSecret::random(rng).key(),
            tick_at: None,
            asked: false,
            waiting: VecDeque::new(),
            partial: VecDeque::new(),
        }
    }

    /// By what others seal cells for us.
    pub(crate) fn key(&self) -> CellKey {
        self.secret.key()
    }

    /// Whether there is room for one more parcel.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting.len() < MAX_WAITING
    }

    /// The log is being read: blocks go from now on, beginning at a moment of our own.
    pub(crate) fn handle_reading(&mut self, now: Instant, rng: &mut impl RngCore) {
        let within = (u64::from(rng.next_u32()) * micros(TICK)) >> 32;
        self.tick_at = Some(now + Duration::from_micros(within));
    }

    /// The session is gone, and with it what waited: who wanted it sent hears of that too.
    pub(crate) fn handle_lost(&mut self) {
        (self.tick_at, self.asked) = (None, false);
        self.waiting.clear();
    }

    /// A parcel for the device of that key; dropped when it is larger than any parcel or there is no room.
    pub(crate) fn push(&mut self, what: (PeerId, Cargo), to: CellKey, parcel: &[u8], id: [u8; 8]) {
        if let Some(parts) = Part::all_of(parcel, id).filter(|parts| !parts.is_empty() && self.has_room()) {
            self.waiting.push_back(Outgoing { what, to, parts: parts.into() });
        }
    }

    /// When to call [`poll_cell`](Self::poll_cell).
    pub(crate) const fn poll_timeout(&self) -> Option<Instant> {
        self.tick_at
    }

    /// The cell for the block that goes now, if it is time for one, and whether it carries a part of something.
    pub(crate) fn poll_cell(
        &mut self,
        now: Instant,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Option<(Vec<u8>, bool)> {
        let at = self.tick_at.filter(|at| *at <= now)?;
        // What was missed is not made up for: a burst would say that somebody slept, and help nobody.
        let missed = now.saturating_duration_since(at).as_micros() / u128::from(micros(TICK));
        self.tick_at = Some(at + TICK.saturating_mul(u32::try_from(missed + 1).unwrap_or(u32::MAX)));
        let part =
            self.waiting.front().filter(|_| !self.asked).and_then(|out| Some((out.to, out.parts.front()?)));
        // Either costs the same, so that time does not tell them apart.
        match part.and_then(|(to, part)| part.seal(&to, rng)) {
            Some(cell) => {
                self.asked = true;
                Some((cell, true))
            }
            None => Some((cell::idle(&self.nobody, rng), false)),
        }
    }

    /// The block that carried a part is in the log. Gives what is sent whole by that.
    pub(crate) fn handle_appended(&mut self) -> Option<(PeerId, Cargo)> {
        if !core::mem::take(&mut self.asked) {
            return None;
        }
        let out = self.waiting.front_mut()?;
        out.parts.pop_front();
        if !out.parts.is_empty() {
            return None;
        }
        self.waiting.pop_front().map(|out| out.what)
    }

    /// The block that carried a part was not taken: it goes again.
    pub(crate) const fn handle_refused(&mut self) {
        self.asked = false;
    }

    /// A cell of somebody. Gives the parcel that is whole by it.
    pub(crate) fn handle_cell(&mut self, cell: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let part = self.secret.open(cell)?;
        let known = self.partial.iter().position(|partial| partial.parcel == part.parcel);
        let at = known.unwrap_or_else(|| {
            if self.partial.len() >= MAX_PARTIAL {
                self.partial.pop_front();
            }
            let parts = vec![None; part.count.into()];
            self.partial.push_back(Partial { parcel: part.parcel, parts });
            self.partial.len() - 1
        });
        let partial = self.partial.get_mut(at)?;
        // One that counts otherwise than the first one is not of the same parcel.
        if partial.parts.len() == usize::from(part.count) {
            *partial.parts.get_mut(usize::from(part.number))? = Some(part.bytes);
        }
        if partial.parts.iter().any(Option::is_none) {
            return None;
        }
        let whole = self.partial.remove(at)?;
        let length = whole.parts.iter().flatten().map(|part| part.len()).sum();
        let mut parcel = Zeroizing::new(Vec::with_capacity(length));
        whole.parts.iter().flatten().for_each(|part| parcel.extend_from_slice(part));
        Some(parcel)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Parts of eight bytes and more, as a member could seal them for us: what is put together is made of what came, and what
/// is not whole yet is bounded.
pub(crate) fn fuzz(data: &[u8]) {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let mut broadcast = Broadcast::new(&mut rng);
    assert!(broadcast.handle_cell(data).is_none());
    let mut given = 0;
    for chunk in data.chunks(24).take(200) {
        let Some(([parcel, number, count], bytes)) = chunk.split_first_chunk::<3>() else { continue };
        let part =
            Part { parcel: [*parcel; 8], number: *number, count: *count, bytes: bytes.to_vec().into() };
        let Some(cell) = part.seal(&broadcast.key(), &mut rng) else { continue };
        given += bytes.len();
        if let Some(whole) = broadcast.handle_cell(&cell) {
            assert!(!whole.is_empty() && whole.len() <= given, "out of nothing");
        }
        assert!(broadcast.partial.len() <= MAX_PARTIAL, "without bound");
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn a_part_goes_in_one_block_at_a_time_and_again_when_that_was_not_taken() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let (mut ada, mut ben) = (Broadcast::new(&mut rng), Broadcast::new(&mut rng));
        let what = (PeerId(1), Cargo::Receipts);
        ada.push(what, ben.key(), b"salut", [7; 8]);
        ada.handle_reading(Instant::ZERO, &mut rng);
        let mut tick = |ada: &mut Broadcast, number: u32| {
            ada.poll_cell(Instant::ZERO + TICK * number, &mut rng).unwrap()
        };
        let (first, carries) = tick(&mut ada, 1);
        assert!(carries && ben.handle_cell(&first).is_some());
        assert!(!tick(&mut ada, 2).1, "while its answer is missing, nothing else that matters goes");
        ada.handle_refused();
        assert!(tick(&mut ada, 3).1, "it was not taken, so it goes again");
        assert_eq!(ada.handle_appended(), Some(what));
        assert_eq!(ada.handle_appended(), None);
        assert!(!tick(&mut ada, 4).1);
    }
}
