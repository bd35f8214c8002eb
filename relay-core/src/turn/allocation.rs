//! One allocation: its relayed transport addresses, permissions and channels (RFC 8656, section 3).

use core::net::{IpAddr, SocketAddr};

use base::Instant;

use super::auth::{CredentialId, Signer};
use super::channel::Channels;
use super::five_tuple::FiveTuple;
use super::limits::{MAX_PERMISSIONS, PERMISSION_LIFETIME};
use super::parties::PartyId;
use super::peer_policy::Reach;
use super::refusal::Refusal;
use crate::stun::TransactionId;

/// Names an allocation. A slot that is used again gets another generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AllocationId {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

impl AllocationId {
    /// A small number, below the limit of allocations and unique among those that exist: for the driver's tables
    /// and for logs.
    pub const fn slot(self) -> u32 {
        self.slot
    }
}

/// The family of a relayed transport address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// Names one relayed transport address: an allocation has one of each family at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelayId {
    /// Of which allocation.
    pub allocation: AllocationId,
    /// Which of the two.
    pub family: Family,
}

/// A relayed transport address: where it is bound, and what the client is told.
#[derive(Clone, Copy)]
pub(super) struct Relayed {
    pub(super) bound: SocketAddr,
    pub(super) told: SocketAddr,
}

/// One of the two relayed transport addresses of an allocation.
#[derive(Clone, Copy, Default)]
pub(super) enum Relay {
    /// Not asked for, or given back.
    #[default]
    Absent,
    /// The driver was asked to bind it.
    Binding {
        /// At which address.
        relayed: Relayed,
        /// How often we have asked.
        attempts: u8,
    },
    /// In use.
    Bound(Relayed),
    /// Asked for and not to be had.
    Failed(Refusal),
}

/// An Allocate request whose answer waits for the driver.
pub(super) struct Pending {
    pub(super) type_number: u16,
    pub(super) fingerprint: bool,
    pub(super) even_port: bool,
    pub(super) signer: Signer,
}

/// A peer that may send, and be sent to.
#[derive(Clone, Copy)]
struct Permission {
    peer: IpAddr,
    reach: Reach,
    expires: Instant,
}

/// "An allocation on a server consists of the following state variables" (RFC 8656, section 3.2).
pub(super) struct Allocation {
    pub(super) five_tuple: FiveTuple,
    pub(super) credential: CredentialId,
    pub(super) party: PartyId,
    /// Of the Allocate request, to know it again when it comes twice.
    pub(super) transaction: TransactionId,
    pub(super) expires: Instant,
    pub(super) channels: Channels,
    /// Ordered by peer. At most [`MAX_PERMISSIONS`].
    permissions: Vec<Permission>,
    pub(super) pending: Option<Box<Pending>>,
    v4: Relay,
    v6: Relay,
}

impl Allocation {
    pub(super) const fn new(
        five_tuple: FiveTuple,
        credential: CredentialId,
        party: PartyId,
        transaction: TransactionId,
        expires: Instant,
        pending: Box<Pending>,
    ) -> Self {
        Self {
            five_tuple,
            credential,
            party,
            transaction,
            expires,
            channels: Channels::new(),
            permissions: Vec::new(),
            pending: Some(pending),
            v4: Relay::Absent,
            v6: Relay::Absent,
        }
    }

    pub(super) const fn relay(&self, family: Family) -> Relay {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }

    pub(super) const fn set_relay(&mut self, family: Family, relay: Relay) {
        match family {
            Family::V4 => self.v4 = relay,
            Family::V6 => self.v6 = relay,
        }
    }

    /// Whether data of `family` can be relayed.
    pub(super) const fn is_bound(&self, family: Family) -> bool {
        matches!(self.relay(family), Relay::Bound(_))
    }

    /// How far `peer` may be reached now; nothing without a permission.
    pub(super) fn permission(&self, peer: IpAddr, now: Instant) -> Option<Reach> {
        let at = self.permissions.binary_search_by_key(&peer, |permission| permission.peer).ok()?;
        let permission = self.permissions.get(at)?;
        (permission.expires > now).then_some(permission.reach)
    }

    /// Whether permissions for all of `peers` fit.
    pub(super) fn has_room_for(&self, peers: &[(IpAddr, Reach)], now: Instant) -> bool {
        let live = self.permissions.iter().filter(|permission| permission.expires > now).count();
        let new = peers.iter().filter(|(peer, _)| self.permission(*peer, now).is_none()).count();
        live + new <= MAX_PERMISSIONS
    }

    /// Makes or refreshes a permission. Call [`has_room_for`](Self::has_room_for) first.
    pub(super) fn permit(&mut self, peer: IpAddr, reach: Reach, now: Instant) {
        let permission = Permission { peer, reach, expires: now + PERMISSION_LIFETIME };
        match self.permissions.binary_search_by_key(&peer, |permission| permission.peer) {
            Ok(at) => {
                if let Some(slot) = self.permissions.get_mut(at) {
                    *slot = permission;
                }
            }
            Err(_) => {
                self.permissions.retain(|permission| permission.expires > now);
                let at = self.permissions.partition_point(|permission| permission.peer < peer);
                self.permissions.insert(at, permission);
            }
        }
    }

    /// Forgets the permissions and channels that belong to the relayed address of `family`.
    pub(super) fn forget_family(&mut self, family: Family) {
        self.set_relay(family, Relay::Absent);
        self.permissions.retain(|permission| Family::of(permission.peer) != family);
        self.channels.keep_peers(|peer| Family::of(peer.ip()) != family);
    }

    /// Forgets what has expired.
    pub(super) fn prune(&mut self, now: Instant) {
        self.permissions.retain(|permission| permission.expires > now);
        self.channels.prune(now);
    }

    /// When something of it expires next.
    pub(super) fn next_deadline(&self) -> Instant {
        let permission = self.permissions.iter().map(|permission| permission.expires).min();
        [permission, self.channels.next_expiry()].into_iter().flatten().fold(self.expires, Ord::min)
    }
}
