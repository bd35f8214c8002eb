//! How long an envelope may be kept.

use minicbor::{Decode, Encode};

/// One of few classes, whose times are the node's policy: a number of the client's own choice would tell its envelopes
/// from those of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Ttl {
    /// About a minute: what is of no use later, such as signals for a connection.
    #[n(0)]
    Brief,
    /// About ten minutes: what is said again all the time, such as who is here.
    #[n(1)]
    Short,
    /// About an hour: what can be done without, such as receipts.
    #[n(2)]
    Medium,
    /// As long as the node keeps anything: messages.
    #[n(3)]
    Long,
}

impl Ttl {
    /// All of them, the shortest first.
    pub const ALL: [Self; 4] = [Self::Brief, Self::Short, Self::Medium, Self::Long];
}
