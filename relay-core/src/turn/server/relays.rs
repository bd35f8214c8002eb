//! Relayed transport addresses: which port, who has it, and what the client is told (RFC 8656, section 7.2).

use core::net::{IpAddr, SocketAddr};

use base::{Instant, Private};
use rand_core::{CryptoRng, RngCore};
use stun_types::attribute::XorMappedAddress;
use turn_types::AddressFamily;
use turn_types::attribute::{AddressErrorCode, Lifetime, XorRelayedAddress};

use super::super::allocation::{Allocation, AllocationId, Family, Pending, Relay, RelayId, Relayed};
use super::super::five_tuple::{AddressKey, FiveTuple};
use super::super::limits::{MAX_BIND_ATTEMPTS, MAX_PORT_PROBES};
use super::super::refusal::Refusal;
use super::{BindError, Effect, Server, Transmit};
use crate::stun::{Class, Reply, response_type};

impl<R: RngCore + CryptoRng> Server<R> {
    /// Asks the driver to bind the relayed address of `family`, or notes why it cannot be.
    pub(super) fn request_relay(&mut self, id: AllocationId, family: Family) {
        let relay = RelayId { allocation: id, family };
        let Some(allocation) = self.allocation(id) else { return };
        let attempts = match allocation.relay(family) {
            Relay::Binding { attempts, .. } => attempts,
            Relay::Absent | Relay::Bound(_) | Relay::Failed(_) => 0,
        };
        let even = allocation.pending.as_ref().is_some_and(|pending| pending.even_port);
        let state = match self.relay_address(&allocation.five_tuple, family) {
            None => Relay::Failed(Refusal::AddressFamilyNotSupported),
            Some(_) if attempts >= MAX_BIND_ATTEMPTS => Relay::Failed(Refusal::InsufficientCapacity),
            Some((bound, told)) => match self.pick_port(bound, even) {
                None => Relay::Failed(Refusal::InsufficientCapacity),
                Some(port) => {
                    let relayed =
                        Relayed { bound: SocketAddr::new(bound, port), told: SocketAddr::new(told, port) };
                    self.by_relayed.insert(AddressKey(relayed.bound), relay);
                    self.effects.push_back(Effect::Bind { relay, address: Private::new(relayed.bound) });
                    Relay::Binding { relayed, attempts: attempts + 1 }
                }
            },
        };
        if let Some(allocation) = self.allocation_mut(id) {
            allocation.set_relay(family, state);
        }
    }

    /// The driver's answer.
    pub(super) fn relay_bound(&mut self, relay: RelayId, result: Result<(), BindError>, now: Instant) {
        let state = self.allocation(relay.allocation).map(|allocation| allocation.relay(relay.family));
        let Some(Relay::Binding { relayed, .. }) = state else {
            if result.is_ok() && !matches!(state, Some(Relay::Bound(_))) {
                // The allocation ended in the meantime.
                self.effects.push_back(Effect::Free { relay });
            }
            return;
        };
        let next = match result {
            Ok(()) => Relay::Bound(relayed),
            Err(error) => {
                self.by_relayed.remove(&AddressKey(relayed.bound));
                if error == BindError::PortInUse {
                    self.request_relay(relay.allocation, relay.family);
                    return self.answer_allocate(relay.allocation, now);
                }
                Relay::Failed(Refusal::InsufficientCapacity)
            }
        };
        if let Some(allocation) = self.allocation_mut(relay.allocation) {
            allocation.set_relay(relay.family, next);
        }
        self.answer_allocate(relay.allocation, now);
    }

    /// Gives a relayed transport address back.
    pub(super) fn free_relay(&mut self, relay: RelayId) {
        let Some(allocation) = self.allocation_mut(relay.allocation) else { return };
        let state = allocation.relay(relay.family);
        allocation.set_relay(relay.family, Relay::Absent);
        match state {
            Relay::Bound(relayed) => {
                self.by_relayed.remove(&AddressKey(relayed.bound));
                self.effects.push_back(Effect::Free { relay });
            }
            // The driver has yet to answer; then its socket is freed.
            Relay::Binding { relayed, .. } => {
                self.by_relayed.remove(&AddressKey(relayed.bound));
            }
            Relay::Absent | Relay::Failed(_) => {}
        }
    }

    /// Answers the Allocate request when nothing is left to wait for.
    pub(super) fn answer_allocate(&mut self, id: AllocationId, now: Instant) {
        let Some(allocation) = self.allocation_mut(id) else { return };
        let relays = Family::BOTH.map(|family| allocation.relay(family));
        if relays.iter().any(|relay| matches!(relay, Relay::Binding { .. })) {
            return;
        }
        let Some(pending) = allocation.pending.take() else { return };
        let five_tuple = allocation.five_tuple;
        if relays.iter().any(|relay| matches!(relay, Relay::Bound(_))) {
            let reply = pending.signer.sign(success(allocation, &pending, now));
            self.counters.allocations_made += 1;
            self.transmits.push_back(Transmit { five_tuple, reply });
            return;
        }
        let refusal = relays
            .iter()
            .find_map(|relay| match relay {
                Relay::Failed(refusal) => Some(*refusal),
                Relay::Absent | Relay::Binding { .. } | Relay::Bound(_) => None,
            })
            .unwrap_or(Refusal::InsufficientCapacity);
        let mut reply = header(allocation, &pending, Class::Error);
        if let Some(error) = refusal.attribute() {
            reply.add(&error);
        }
        let reply = pending.signer.sign(reply);
        self.counters.refused(refusal);
        self.transmits.push_back(Transmit { five_tuple, reply });
        self.remove(id);
    }

    /// Whether the box has a relayed address of `family` for this client.
    pub(super) fn has_family(&self, five_tuple: &FiveTuple, family: Family) -> bool {
        self.relay_address(five_tuple, family).is_some()
    }

    /// Where to bind, and what to tell the client: the address that the client has reached, which it can surely
    /// reach again; for the other family, the one beside it.
    fn relay_address(&self, five_tuple: &FiveTuple, family: Family) -> Option<(IpAddr, IpAddr)> {
        let addresses = &self.config.addresses;
        let reached = five_tuple.server.ip();
        let bound = if Family::of(reached) == family { reached } else { addresses.beside(reached)? };
        let external = match family {
            Family::V4 => addresses.external_v4.map(IpAddr::V4),
            Family::V6 => addresses.external_v6.map(IpAddr::V6),
        };
        Some((bound, external.unwrap_or(bound)))
    }

    /// A random port that no allocation of ours has at `address`.
    fn pick_port(&mut self, address: IpAddr, even: bool) -> Option<u16> {
        let (first, last) = (*self.config.relay_ports.start(), *self.config.relay_ports.end());
        let span = u32::from(last).checked_sub(u32::from(first))? + 1;
        (0..MAX_PORT_PROBES).find_map(|_| {
            let port = first + u16::try_from(self.rng.next_u32() % span).ok()?;
            let fits = !even || port.is_multiple_of(2);
            (fits && !self.by_relayed.contains_key(&AddressKey(SocketAddr::new(address, port))))
                .then_some(port)
        })
    }
}

/// The success response to an Allocate request (RFC 8656, section 7.3), not yet signed.
pub(super) fn success(allocation: &Allocation, pending: &Pending, now: Instant) -> Reply {
    let transaction = allocation.transaction.to_stun_types();
    let mut reply = header(allocation, pending, Class::Success);
    for family in Family::BOTH {
        match allocation.relay(family) {
            Relay::Bound(relayed) => reply.add(&XorRelayedAddress::new(relayed.told, transaction)),
            Relay::Failed(refusal) => {
                if let Some(error) = refusal.attribute() {
                    reply.add(&AddressErrorCode::new(family.to_wire(), error));
                }
            }
            Relay::Absent | Relay::Binding { .. } => {}
        }
    }
    let lifetime = allocation.expires.saturating_duration_since(now).as_secs();
    reply.add(&Lifetime::new(u32::try_from(lifetime).unwrap_or(u32::MAX)));
    reply.add(&XorMappedAddress::new(allocation.five_tuple.client, transaction));
    reply
}

impl Family {
    pub(super) const fn to_wire(self) -> AddressFamily {
        match self {
            Self::V4 => AddressFamily::IPV4,
            Self::V6 => AddressFamily::IPV6,
        }
    }

    pub(super) const fn from_wire(family: AddressFamily) -> Self {
        match family {
            AddressFamily::IPV4 => Self::V4,
            AddressFamily::IPV6 => Self::V6,
        }
    }
}

fn header(allocation: &Allocation, pending: &Pending, class: Class) -> Reply {
    Reply::from_header(
        response_type(pending.type_number, class),
        allocation.transaction.0,
        pending.fingerprint,
    )
}
