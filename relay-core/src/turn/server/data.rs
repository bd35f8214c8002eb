//! Data packets, both ways (RFC 8656, sections 11 and 12). Nothing here allocates, locks, or walks a list.

use core::net::SocketAddr;
use core::ops::Range;

use base::Instant;
use rand_core::{CryptoRng, RngCore};
use stun_types::attribute::{AttributeStaticType, AttributeType};
use turn_types::attribute::{Data, XorPeerAddress};

use super::super::allocation::{Family, Relay, RelayId};
use super::super::channel::{CHANNEL_HEADER_LEN, ChannelNumber};
use super::super::five_tuple::{AddressKey, FiveTuple, canonical};
use super::super::forward::Forward;
use super::super::limits::MAX_DATAGRAM;
use super::super::peer_policy::Reach;
use super::Server;
use crate::stun::{Message, TransactionId};

impl<R: RngCore + CryptoRng> Server<R> {
    /// ChannelData from a client: to the peer that the channel is bound to.
    pub(super) fn client_channel_data(
        &mut self,
        bytes: &[u8],
        five_tuple: FiveTuple,
        now: Instant,
    ) -> Option<Forward> {
        let (number, length) = ChannelNumber::read_header(bytes)?;
        let (id, allocation) = self.find(&five_tuple, now)?;
        let peer = allocation.channels.peer(number, now)?;
        // A binding lives twice as long as the permission that it made (RFC 8656, sections 9 and 12).
        allocation.permission(peer.ip(), now)?;
        let family = Family::of(peer.ip());
        if !allocation.is_bound(family) {
            return None;
        }
        let relay = RelayId { allocation: id, family };
        self.pass_on(relay, peer, CHANNEL_HEADER_LEN..CHANNEL_HEADER_LEN + length, now)
    }

    /// A Send indication from a client: to the peer it names (RFC 8656, section 11.2).
    pub(super) fn client_send_indication(
        &mut self,
        message: &Message<'_>,
        five_tuple: FiveTuple,
        now: Instant,
    ) -> Option<Forward> {
        let (id, allocation) = self.find(&five_tuple, now)?;
        let mut peer = None;
        let mut data = None;
        for attribute in message.attributes() {
            match AttributeType::new(attribute.kind) {
                XorPeerAddress::TYPE if peer.is_none() => peer = Some(message.get::<XorPeerAddress>().ok()??),
                Data::TYPE if data.is_none() => {
                    data = Some(attribute.offset..attribute.offset + attribute.value.len());
                }
                XorPeerAddress::TYPE | Data::TYPE => {}
                // DONT-FRAGMENT is one of those: we cannot promise it, so the packet is dropped.
                _ if attribute.comprehension_required() => return None,
                _ => {}
            }
        }
        let peer = canonical(peer?.addr(message.transaction().to_stun_types()));
        let reach = allocation.permission(peer.ip(), now)?;
        let family = Family::of(peer.ip());
        if !allocation.is_bound(family) || !self.is_within(reach, peer) {
            return None;
        }
        self.pass_on(RelayId { allocation: id, family }, peer, data?, now)
    }

    /// A datagram from a peer: to the client, by channel where one is bound (RFC 8656, sections 11.3 and 12.6).
    pub(super) fn peer_data(
        &mut self,
        bytes: &[u8],
        peer: SocketAddr,
        relay: RelayId,
        now: Instant,
    ) -> Option<Forward> {
        if bytes.len() > MAX_DATAGRAM {
            return None;
        }
        self.deliver(0..bytes.len(), canonical(peer), relay, now)
    }

    /// From a relayed address to a peer. Where the peer is the relayed address of another client, the packet goes
    /// to that client at once, as if it had taken the way through both sockets.
    fn pass_on(
        &mut self,
        relay: RelayId,
        peer: SocketAddr,
        payload: Range<usize>,
        now: Instant,
    ) -> Option<Forward> {
        let Some(other) = self.by_relayed.get(&AddressKey(peer)).copied() else {
            return Some(Forward::to_peer(relay, peer, payload));
        };
        let Relay::Bound(from) = self.allocation(relay.allocation)?.relay(relay.family) else { return None };
        self.deliver(payload, from.bound, other, now)
    }

    /// From a peer to the client of a relayed address.
    fn deliver(
        &mut self,
        payload: Range<usize>,
        peer: SocketAddr,
        relay: RelayId,
        now: Instant,
    ) -> Option<Forward> {
        let allocation = self.allocation(relay.allocation)?;
        if allocation.expires <= now || !allocation.is_bound(relay.family) {
            return None;
        }
        let reach = allocation.permission(peer.ip(), now)?;
        if !self.is_within(reach, peer) {
            return None;
        }
        let five_tuple = allocation.five_tuple;
        if let Some(number) = allocation.channels.number(peer, now) {
            return Forward::channel_data(five_tuple, number, payload);
        }
        let transaction = self.indication_transaction();
        Forward::data_indication(five_tuple, peer, transaction, payload)
    }

    /// Whether a permission that reaches this far covers `peer`.
    pub(super) fn is_within(&self, reach: Reach, peer: SocketAddr) -> bool {
        match reach {
            Reach::AnyPort => peer.port() != 0,
            Reach::Relayed => self.by_relayed.contains_key(&AddressKey(peer)),
        }
    }

    /// A number for a Data indication: different each time, and of no use to whoever guesses it.
    fn indication_transaction(&mut self) -> TransactionId {
        self.indications = self.indications.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.indications ^ self.indications >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mut id = [0; 12];
        let bytes = mixed.to_be_bytes().into_iter().chain(self.indications.to_be_bytes());
        id.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        TransactionId(id)
    }
}
