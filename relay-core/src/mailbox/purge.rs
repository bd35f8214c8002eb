//! What ends before its time: all of it, what one session reads, or what would not fit any more.

use base::Storage;
use rand_core::{CryptoRng, RngCore};
use wire::{Kind, Reason};

use super::machine::Mailbox;
use super::session::{Closing, Refusal};
use super::{Cause, Event, SessionId};

/// Seconds after which a node that is short of memory is worth another try.
const RETRY_MEMORY_S: u32 = 15;

/// How much memory the machine has left, as its driver sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Memory {
    /// As much as is needed.
    #[default]
    Enough,
    /// Little: what is held stays, and nothing more is taken in.
    Short,
    /// So little that the system will soon end programs by itself: what is held goes, in good order, so that every
    /// client hears of it.
    Exhausted,
}

impl<S: Storage, R: RngCore + CryptoRng> Mailbox<S, R> {
    /// Overwrites everything that is held, and closes every session: its client must deposit again.
    pub fn purge(&mut self, cause: Cause) {
        let envelopes = self.store.clear();
        self.counters.count_purged(cause, u64::from(envelopes));
        self.new_instance();
        self.idle.clear();
        for (id, session) in &mut self.sessions {
            drop(session.drain_subscriptions());
            session.drop_answers();
            if session.closing.is_none() {
                session.closing = Some(Closing { reason: Reason::Shutdown, said: false });
                self.events.push_back(Event::Close { session: *id, reason: Reason::Shutdown });
            }
        }
    }

    /// The rights of whoever holds this session have ended: what waits in the queues that it reads is overwritten,
    /// and it is closed. Logs belong to all their readers, and stay.
    pub fn revoke(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        for subscription in session.drain_subscriptions() {
            if subscription.kind == Kind::Queue {
                let envelopes = self.store.empty(subscription.place);
                self.counters.count_purged(Cause::Revoked, u64::from(envelopes));
            }
            self.store.unsubscribe(subscription.place, id);
        }
        session.drop_answers();
        self.idle.remove(&id);
        if session.closing.is_none() {
            session.closing = Some(Closing { reason: Reason::Revoked, said: false });
            self.events.push_back(Event::Close { session: id, reason: Reason::Revoked });
        }
    }

    /// The machine has got more or less memory.
    pub fn handle_memory(&mut self, memory: Memory) {
        if memory == Memory::Exhausted && self.memory != Memory::Exhausted {
            self.purge(Cause::LowMemory);
        }
        self.memory = memory;
    }

    /// Whether there is memory to take something in.
    pub(super) fn check_memory(&self) -> Result<(), Refusal> {
        match self.memory {
            Memory::Enough => Ok(()),
            Memory::Short | Memory::Exhausted => Err(Refusal::new(Reason::NodeFull, RETRY_MEMORY_S)),
        }
    }
}
