//! The machine: what it is given, what it gives back, and the tables in between.
//!
//! `requests` decides about requests, `data` moves data packets, `relays` follows the sockets that the driver
//! binds for us.

mod data;
mod load;
mod relays;
mod requests;

pub use load::Load;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::ops::RangeInclusive;
use core::time::Duration;
use std::collections::{HashMap, VecDeque};

use base::{Deadlines, Instant, Private, UnixSeconds};
use rand_core::{CryptoRng, RngCore};

use self::load::Strangers;
use super::allocation::{Allocation, AllocationId, Family, RelayId};
use super::auth::Authenticator;
use super::channel::ChannelNumber;
use super::counters::Counters;
use super::credentials::{Account, CredentialSecret, Credentials};
use super::fairness::Share;
use super::five_tuple::{AddressKey, FiveTuple, Source};
use super::forward::Forward;
use super::hash::SipKey;
use super::limits::{DEFAULT_RELAY_PORTS, LONGEST_CREDENTIAL, Limits, MAX_DATAGRAM, MAX_REVOKED, PATIENCE};
use super::parties::Parties;
use super::peer_policy::PeerPolicy;
use crate::stun::{Class, Message, Method, Reply, answer_binding};

/// Where relayed transport addresses come from.
#[derive(Clone, Debug, Default)]
pub struct RelayAddresses {
    /// For an address of the box, the one of the other family on the same network.
    ///
    /// As many as the box has addresses.
    pub other_family: Vec<(IpAddr, IpAddr)>,
    /// The IPv4 address that others see, where that is another.
    pub external_v4: Option<Ipv4Addr>,
    /// The IPv6 address that others see, where that is another.
    pub external_v6: Option<Ipv6Addr>,
}

impl RelayAddresses {
    /// The address of the other family beside `reached`.
    pub(super) fn beside(&self, reached: IpAddr) -> Option<IpAddr> {
        self.other_family.iter().find(|(address, _)| *address == reached).map(|(_, other)| *other)
    }
}

/// Settings of the server.
#[derive(Clone, Debug)]
pub struct Config {
    /// The realm. Some text; it names nobody.
    pub realm: String,
    /// Where relayed transport addresses come from.
    pub addresses: RelayAddresses,
    /// Their ports.
    pub relay_ports: RangeInclusive<u16>,
    /// How many allocations.
    pub limits: Limits,
    /// Whom clients may reach.
    pub peers: PeerPolicy,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            realm: "bulle".to_owned(),
            addresses: RelayAddresses::default(),
            relay_ports: DEFAULT_RELAY_PORTS,
            limits: Limits::default(),
            peers: PeerPolicy::default(),
        }
    }
}

/// A datagram to send to a client.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// To this client, from the address it sends to.
    pub five_tuple: FiveTuple,
    /// The bytes.
    pub reply: Reply,
}

/// A change to the world that the driver makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Bind a UDP socket to this address and answer with [`Server::handle_bound`].
    Bind {
        /// For this relayed transport address.
        relay: RelayId,
        /// The address and port.
        address: Private<SocketAddr>,
    },
    /// Close that socket.
    Free {
        /// The one bound under this name.
        relay: RelayId,
    },
}

/// Why a relayed transport address could not be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindError {
    /// Another program has the port. Another one is tried.
    PortInUse,
    /// The box has no such address, or no more sockets.
    Unavailable,
}

/// A place for an allocation.
struct Slot {
    generation: u32,
    allocation: Option<Box<Allocation>>,
}

/// A TURN server. See the module for how it is driven.
pub struct Server<R> {
    config: Config,
    rng: R,
    authenticator: Authenticator,
    /// At most `limits.allocations`.
    slots: Vec<Slot>,
    free_slots: Vec<u32>,
    /// One entry per allocation.
    by_five_tuple: HashMap<FiveTuple, AllocationId, SipKey>,
    /// One entry per relayed transport address, so two per allocation at most.
    by_relayed: HashMap<AddressKey, RelayId, SipKey>,
    /// One entry per account with an allocation.
    pub(super) parties: Parties,
    /// The thread's time, and what comes in.
    inbound: Share,
    /// The room for what goes to clients.
    outbound: Share,
    strangers: Strangers,
    /// One entry per source with an allocation.
    per_source: HashMap<Source, u32, SipKey>,
    /// At most [`MAX_REVOKED`].
    revoked: HashMap<Account, UnixSeconds>,
    /// One entry per allocation: when something of it expires.
    deadlines: Deadlines<AllocationId>,
    /// Transaction numbers of Data indications: nothing is answered to them, so nobody gains by guessing one.
    indications: u64,
    /// Drained after each input.
    transmits: VecDeque<Transmit>,
    /// Drained after each input.
    effects: VecDeque<Effect>,
    counters: Counters,
}

impl<R: RngCore + CryptoRng> Server<R> {
    /// A server without allocations.
    pub fn new(config: Config, secret: CredentialSecret, mut rng: R) -> Self {
        let sip = SipKey::random(&mut rng);
        Self {
            authenticator: Authenticator::new(config.realm.clone(), Credentials::new(secret), &mut rng),
            slots: Vec::new(),
            free_slots: Vec::new(),
            by_five_tuple: HashMap::with_hasher(sip.clone()),
            by_relayed: HashMap::with_hasher(sip.clone()),
            parties: Parties::default(),
            inbound: Share::new(PATIENCE, config.limits.bandwidth),
            outbound: Share::new(Duration::ZERO, None),
            strangers: Strangers::default(),
            per_source: HashMap::with_hasher(sip),
            revoked: HashMap::new(),
            deadlines: Deadlines::default(),
            indications: rng.next_u64(),
            transmits: VecDeque::new(),
            effects: VecDeque::new(),
            counters: Counters::default(),
            config,
            rng,
        }
    }

    /// A datagram from a client. Data comes back as a [`Forward`] over the same bytes.
    pub fn handle_client_input(
        &mut self,
        bytes: &[u8],
        five_tuple: FiveTuple,
        now: Instant,
        wall: UnixSeconds,
    ) -> Option<Forward> {
        if !self.admits_from_client(bytes.len(), &five_tuple) {
            return None;
        }
        let forward = match bytes.first() {
            Some(byte) if bytes.len() <= MAX_DATAGRAM && ChannelNumber::is_first_byte(*byte) => {
                self.client_channel_data(bytes, five_tuple, now)
            }
            Some(_) if bytes.len() <= MAX_DATAGRAM => return self.handle_stun(bytes, five_tuple, now, wall),
            _ => None,
        };
        self.pass(forward)
    }

    /// A datagram from a peer, at one of our relayed transport addresses.
    pub fn handle_peer_input(
        &mut self,
        bytes: &[u8],
        peer: SocketAddr,
        relay: RelayId,
        now: Instant,
    ) -> Option<Forward> {
        if !self.admits_from_peer(bytes.len(), relay) {
            return None;
        }
        let forward = self.peer_data(bytes, peer, relay, now);
        self.pass(forward)
    }

    /// The driver has done, or could not do, what [`Effect::Bind`] asked for.
    pub fn handle_bound(&mut self, relay: RelayId, result: Result<(), BindError>, now: Instant) {
        self.relay_bound(relay, result, now);
    }

    /// Time has passed: frees what has expired.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(id) = self.deadlines.pop_due(now) {
            let Some(allocation) = self.allocation_mut(id) else { continue };
            if allocation.expires <= now {
                self.counters.allocations_expired += 1;
                self.remove(id);
            } else {
                allocation.prune(now);
                let next = allocation.next_deadline();
                self.deadlines.set(id, next);
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next change to make.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Ends a credential before its time, and all others of its account: their allocations are freed, and they make no
    /// more.
    ///
    /// Says how many allocations were freed.
    pub fn revoke(&mut self, username: &str, wall: UnixSeconds) -> usize {
        let Some((account, expires)) = self.authenticator.account(username, wall) else { return 0 };
        self.end_account(account, expires, wall)
    }

    /// As [`revoke`](Self::revoke), for an account itself.
    pub fn revoke_account(&mut self, account: Account, wall: UnixSeconds) -> usize {
        // A credential may have been minted this moment.
        self.end_account(account, wall.plus(LONGEST_CREDENTIAL), wall)
    }

    fn end_account(&mut self, account: Account, expires: UnixSeconds, wall: UnixSeconds) -> usize {
        if self.revoked.len() >= MAX_REVOKED {
            self.revoked.retain(|_, expires| *expires > wall);
        }
        if self.revoked.len() >= MAX_REVOKED
            && let Some(soonest) = self.revoked.iter().min_by_key(|(_, expires)| **expires).map(|(id, _)| *id)
        {
            // It has the least time left in which it could do harm.
            self.revoked.remove(&soonest);
        }
        self.revoked.insert(account, expires);
        let Some(party) = self.parties.find(&account) else { return 0 };
        self.remove_where(|allocation| allocation.party == party)
    }

    /// The stream that a client came by has ended, and with it the allocation that it made there
    /// (RFC 8656, section 5).
    pub fn handle_closed(&mut self, five_tuple: FiveTuple) {
        if let Some(id) = self.by_five_tuple.get(&five_tuple).copied() {
            self.remove(id);
        }
    }

    /// Whether that client has an allocation.
    pub fn has_allocation(&self, five_tuple: &FiveTuple, now: Instant) -> bool {
        self.find(five_tuple, now).is_some()
    }

    /// Frees all allocations.
    pub fn clear(&mut self) {
        self.remove_where(|_| true);
    }

    /// The addresses of the box have changed.
    ///
    /// Allocations whose relayed address is gone end by themselves, since their client cannot be heard any more.
    pub fn set_own_addresses(&mut self, own: Vec<IpAddr>, addresses: RelayAddresses) {
        self.config.peers.own = own;
        self.config.addresses = addresses;
    }

    /// What has been counted so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    fn handle_stun(
        &mut self,
        bytes: &[u8],
        five_tuple: FiveTuple,
        now: Instant,
        wall: UnixSeconds,
    ) -> Option<Forward> {
        let Ok(message) = Message::decode(bytes) else {
            self.counters.dropped += 1;
            return None;
        };
        match (message.class(), message.method()) {
            (Class::Indication, Method::Send) => {
                let forward = self.client_send_indication(&message, five_tuple, now);
                return self.pass(forward);
            }
            (Class::Request, Method::Binding) => {
                if let Some(reply) = answer_binding(&message, five_tuple.client) {
                    self.counters.bindings += 1;
                    self.transmits.push_back(Transmit { five_tuple, reply });
                }
            }
            (
                Class::Request,
                Method::Allocate | Method::Refresh | Method::CreatePermission | Method::ChannelBind,
            ) if bytes.len() <= super::limits::MAX_REQUEST => {
                self.handle_request(&message, five_tuple, now, wall);
            }
            (Class::Request | Class::Indication | Class::Success | Class::Error, _) => {
                self.counters.dropped += 1;
            }
        }
        None
    }

    fn allocation(&self, id: AllocationId) -> Option<&Allocation> {
        let slot = self.slots.get(id.slot as usize)?;
        if slot.generation == id.generation { slot.allocation.as_deref() } else { None }
    }

    fn allocation_mut(&mut self, id: AllocationId) -> Option<&mut Allocation> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        if slot.generation == id.generation { slot.allocation.as_deref_mut() } else { None }
    }

    /// The allocation on `five_tuple`, if it has not expired.
    fn find(&self, five_tuple: &FiveTuple, now: Instant) -> Option<(AllocationId, &Allocation)> {
        let id = *self.by_five_tuple.get(five_tuple)?;
        let allocation = self.allocation(id)?;
        (allocation.expires > now).then_some((id, allocation))
    }

    /// Puts `allocation` into the tables. The caller has checked the limits and that the 5-tuple is free.
    fn insert(&mut self, allocation: Allocation) -> AllocationId {
        let slot = self.free_slots.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, allocation: None });
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let generation = self.slots.get(slot as usize).map_or(0, |slot| slot.generation);
        let id = AllocationId { slot, generation };
        self.by_five_tuple.insert(allocation.five_tuple, id);
        *self.per_source.entry(allocation.five_tuple.source()).or_default() += 1;
        self.deadlines.set(id, allocation.next_deadline());
        if let Some(slot) = self.slots.get_mut(slot as usize) {
            slot.allocation = Some(Box::new(allocation));
        }
        self.counters.allocations += 1;
        id
    }

    /// Takes an allocation out of the tables and frees its relayed transport addresses.
    fn remove(&mut self, id: AllocationId) {
        for family in Family::BOTH {
            self.free_relay(RelayId { allocation: id, family });
        }
        let Some(slot) = self.slots.get_mut(id.slot as usize) else { return };
        if slot.generation != id.generation {
            return;
        }
        let Some(allocation) = slot.allocation.take() else { return };
        slot.generation = slot.generation.wrapping_add(1);
        self.free_slots.push(id.slot);
        self.by_five_tuple.remove(&allocation.five_tuple);
        self.deadlines.remove(&id);
        self.parties.remove(allocation.party);
        decrement(&mut self.per_source, &allocation.five_tuple.source());
        self.counters.allocations -= 1;
    }

    fn remove_where(&mut self, condition: impl Fn(&Allocation) -> bool) -> usize {
        let ids: Vec<AllocationId> = self
            .by_five_tuple
            .values()
            .copied()
            .filter(|id| self.allocation(*id).is_some_and(&condition))
            .collect();
        for id in &ids {
            self.remove(*id);
        }
        ids.len()
    }
}

impl<R> core::fmt::Debug for Server<R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Server").field("allocations", &self.counters.allocations).finish_non_exhaustive()
    }
}

fn decrement<K: Eq + core::hash::Hash, S: core::hash::BuildHasher>(counts: &mut HashMap<K, u32, S>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}
