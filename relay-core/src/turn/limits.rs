//! Every number that bounds the TURN server, in one place.

use core::ops::RangeInclusive;
use core::time::Duration;

/// Lifetime of an allocation whose client asked for none (RFC 8656, section 3.2), and the shortest given.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);
/// The longest lifetime that is given (RFC 8656, section 7.2, recommends one hour).
pub const MAX_LIFETIME: Duration = Duration::from_secs(3600);
/// Lifetime of a permission (RFC 8656, section 9).
pub(super) const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);
/// Lifetime of a channel binding (RFC 8656, section 12).
pub(super) const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);
/// How long a nonce is good (RFC 8656, section 5, asks for an expiry of at most an hour).
pub(super) const NONCE_LIFETIME: Duration = Duration::from_secs(1200);

/// How long a credential is good at most: longer than calls last, since a call cannot change it on the way.
pub const LONGEST_CREDENTIAL: Duration = Duration::from_secs(8 * 3600);

/// Permissions per allocation. A call needs one per address of the other phone.
pub const MAX_PERMISSIONS: usize = 64;
/// Channel bindings per allocation.
pub const MAX_CHANNELS: usize = 32;
/// Peers in one CreatePermission request.
pub(super) const MAX_PEERS_PER_REQUEST: usize = 16;
/// The longest datagram that is looked at: a jumbo frame.
pub const MAX_DATAGRAM: usize = 9000;
/// The longest request that is looked at. Send indications may be as long as a datagram.
pub(super) const MAX_REQUEST: usize = 1500;
/// The longest user name that is looked at: an expiry, a colon and an opaque id.
pub(super) const MAX_USERNAME: usize = 128;
/// How many ports are tried before an allocation is refused.
pub(super) const MAX_BIND_ATTEMPTS: u8 = 8;
/// How many random ports are looked at to find one that no allocation of ours uses.
pub(super) const MAX_PORT_PROBES: u32 = 128;
/// Accounts that were revoked and are remembered until their credentials expire by themselves: one for each session
/// that ended in the last hours and had asked for credentials.
pub(super) const MAX_REVOKED: usize = 16_384;

/// How long the relay has to be behind without a pause before its time is shared out. A moment in which the system gave
/// the processor to somebody else is shorter.
pub(super) const PATIENCE: Duration = Duration::from_millis(30);
/// Those without an allocation are told apart by so many meters; who meets another one there shares it.
pub(super) const STRANGERS: usize = 256;

/// Ports of relayed transport addresses: dynamic ports (RFC 8656, section 7.2) above those that Linux gives to
/// sockets which ask for any port, so that a port in here is never another program's.
pub const DEFAULT_RELAY_PORTS: RangeInclusive<u16> = 61_000..=65_535;

/// Limits that an operator may lower or raise.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Allocations on the box. Refused with 508.
    pub allocations: usize,
    /// Allocations per [`Account`](super::Account), by whichever of its credentials. Refused with 486.
    pub allocations_per_account: u32,
    /// Allocations per IPv4 address or IPv6 /64 network. Refused with 508.
    pub allocations_per_source: u32,
    /// Bytes per second that are relayed at most, all together; none: as many as go through. What is above is dropped,
    /// from those first who want the most.
    pub bandwidth: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { allocations: 4096, allocations_per_account: 96, allocations_per_source: 1024, bandwidth: None }
    }
}
