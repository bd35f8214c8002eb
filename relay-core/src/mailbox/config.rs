//! What the mailbox accepts: every limit, its default and its reason.

use core::time::Duration;

use wire::Ttl;

/// So much in so long, and so much at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In the long run, per [`per`](Self::per). At least 1.
    pub amount: u32,
    /// The time in which that much may be used.
    pub per: Duration,
    /// At once, after a rest.
    pub burst: u32,
}

/// The limits of a node. The blocks of the whole node are the length of the storage handed in.
///
/// # Fairness without knowing who sent what
///
/// No envelope is linked to the session that deposited it, so no session has a share of the memory that could be
/// counted. Instead, half of the blocks is shared by whoever comes first, and every mailbox has its first few
/// blocks apart from that half. How many mailboxes a session brings into being is counted, and refilling that
/// count takes sixteen times longer with each halving of what is free. A mailbox's own blocks are so few
/// (an eighth of the node over [`openings`](Self::openings) at once, at least one) that one session, however
/// patient, leaves blocks for the mailboxes of others. A mailbox that is read in time needs no more than those.
///
/// Sessions of one and the same stranger are not told apart from those of many: how many a network address may
/// open, and how fast, is for the driver to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The UDP port of STUN and TURN, told to clients; 0 when there is none.
    pub turn_port: u16,
    /// Sessions open at once.
    pub sessions: u32,
    /// Mailboxes in being at once. Depositing may use seven eighths; the rest is left to subscribing.
    pub mailboxes: u32,
    /// Envelopes in one mailbox.
    pub envelopes_per_mailbox: u32,
    /// Blocks in one mailbox.
    pub blocks_per_mailbox: u32,
    /// Sessions reading one log at once.
    pub readers_per_log: u32,
    /// Mailboxes that one session reads at once.
    pub subscriptions: u32,
    /// Envelopes of queues delivered in one session and not yet acknowledged.
    pub window: u32,
    /// For how long an envelope of each class of [`wire::Ttl`] is kept.
    pub ttl: Ttls,
    /// Without a frame from the client for so long, the session is closed.
    pub idle: Duration,
    /// Frames from one session.
    pub frames: Rate,
    /// Bytes from one session.
    pub bytes: Rate,
    /// Mailboxes that come into being by one session's deposits and subscriptions.
    pub openings: Rate,
}

/// A node's policy for how long envelopes are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttls([Duration; Ttl::ALL.len()]);

impl Ttls {
    /// These times, of the shortest class first.
    #[must_use]
    pub const fn new(times: [Duration; Ttl::ALL.len()]) -> Self {
        Self(times)
    }

    /// The usual times, none longer than `most`.
    #[must_use]
    pub fn at_most(most: Duration) -> Self {
        Self(Self::default().0.map(|usual| usual.min(most)))
    }

    /// For how long an envelope of this class is kept.
    #[must_use]
    pub const fn of(&self, class: Ttl) -> Duration {
        let [brief, short, medium, long] = self.0;
        match class {
            Ttl::Brief => brief,
            Ttl::Short => short,
            Ttl::Medium => medium,
            Ttl::Long => long,
        }
    }
}

impl Default for Ttls {
    fn default() -> Self {
        Self([
            Duration::from_secs(60),
            Duration::from_secs(600),
            Duration::from_hours(1),
            Duration::from_hours(7 * 24),
        ])
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            turn_port: 0,
            sessions: 10_240,
            mailboxes: 65_536,
            envelopes_per_mailbox: 1024,
            blocks_per_mailbox: 2048,
            readers_per_log: 1024,
            subscriptions: 256,
            window: 32,
            ttl: Ttls::default(),
            idle: Duration::from_secs(90),
            frames: Rate { amount: 1000, per: Duration::from_secs(1), burst: 4000 },
            bytes: Rate { amount: 8 << 20, per: Duration::from_secs(1), burst: 16 << 20 },
            openings: Rate { amount: 1, per: Duration::from_secs(1), burst: 512 },
        }
    }
}
