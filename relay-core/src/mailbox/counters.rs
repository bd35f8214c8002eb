//! Counts and sizes: all that the mailbox says about what it holds.

use wire::Reason;

/// Why bytes were purged.
///
/// There is no cause for a full mailbox or a full node: what was confirmed to its sender is never dropped to make room
/// for something else. What does not fit is refused, and counted by [`Refusals`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Their reader acknowledged them.
    Acknowledged,
    /// Their time was over.
    Expired,
    /// Somebody's rights ended.
    Revoked,
    /// The owner of the box wants everything gone, now.
    Panic,
    /// The machine runs out of memory.
    LowMemory,
    /// The node stops.
    Shutdown,
}

impl Cause {
    /// Every cause, in the order of [`Counters::purged`].
    pub const ALL: [Self; 6] =
        [Self::Acknowledged, Self::Expired, Self::Revoked, Self::Panic, Self::LowMemory, Self::Shutdown];

    /// One word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Panic => "panic",
            Self::LowMemory => "low_memory",
            Self::Shutdown => "shutdown",
        }
    }
}

/// How often a request was refused, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    counts: [u64; Self::REASONS],
}

impl Refusals {
    const REASONS: usize = 16;

    /// How often for this reason.
    pub fn of(&self, reason: Reason) -> u64 {
        self.counts.get(reason as usize).copied().unwrap_or_default()
    }

    /// For all reasons together.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub(super) fn count(&mut self, reason: Reason) {
        if let Some(count) = self.counts.get_mut(reason as usize) {
            *count += 1;
        }
    }
}

/// What is held now, and what happened since the start. Counts only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Open sessions, those that are being closed included.
    pub sessions: u32,
    /// Subscriptions of all sessions.
    pub subscriptions: u32,
    /// Mailboxes in being.
    pub mailboxes: u32,
    /// Envelopes held.
    pub envelopes: u32,
    /// Blocks that hold envelopes.
    pub blocks_used: u32,
    /// Blocks of the node.
    pub blocks_total: u32,
    /// Envelopes put into queues since the start.
    pub deposited: u64,
    /// Envelopes put into logs since the start.
    pub appended: u64,
    /// Deliveries handed to sessions since the start.
    pub delivered: u64,
    /// Envelopes purged since the start, in the order of [`Cause::ALL`].
    pub purged: [u64; Cause::ALL.len()],
    /// Requests refused since the start.
    pub refused: Refusals,
    /// Sessions that broke the protocol since the start.
    pub violations: u64,
}

impl Counters {
    /// How many envelopes were purged for this cause.
    pub fn purged_by(&self, cause: Cause) -> u64 {
        self.purged.get(cause as usize).copied().unwrap_or_default()
    }

    pub(super) fn count_purged(&mut self, cause: Cause, envelopes: u64) {
        if let Some(count) = self.purged.get_mut(cause as usize) {
            *count += envelopes;
        }
    }
}
