//! Requests: Allocate, Refresh, CreatePermission, ChannelBind (RFC 8656, sections 7 to 10 and 12).
//!
//! Each is checked whole before anything changes, so that a refused request leaves no trace.

use core::time::Duration;

use base::{Instant, UnixSeconds};
use rand_core::{CryptoRng, RngCore};
use stun_types::attribute::{
    AttributeStaticType, AttributeType, MessageIntegrity, MessageIntegritySha256, Nonce, PasswordAlgorithm,
    Realm, Userhash, Username,
};
use turn_types::attribute::{
    AdditionalAddressFamily, ChannelNumber as ChannelNumberAttribute, EvenPort, Lifetime,
    RequestedAddressFamily, RequestedTransport, ReservationToken, XorPeerAddress,
};

use super::super::allocation::{Allocation, AllocationId, Family, Pending, RelayId};
use super::super::auth::{Authenticated, Signer};
use super::super::channel::ChannelNumber;
use super::super::five_tuple::{FiveTuple, canonical};
use super::super::limits::{DEFAULT_LIFETIME, MAX_LIFETIME, MAX_PEERS_PER_REQUEST};
use super::super::refusal::Refusal;
use super::relays::success;
use super::{Server, Transmit};
use crate::stun::{DecodeError, Message, Method, Reply, unknown_attributes};

/// A request that is framed and asks for one of our methods.
#[derive(Clone, Copy)]
struct Request<'a> {
    message: &'a Message<'a>,
    five_tuple: FiveTuple,
    now: Instant,
}

impl From<DecodeError> for Refusal {
    fn from(_: DecodeError) -> Self {
        Self::BadRequest
    }
}

impl<R: RngCore + CryptoRng> Server<R> {
    pub(super) fn handle_request(
        &mut self,
        message: &Message<'_>,
        five_tuple: FiveTuple,
        now: Instant,
        wall: UnixSeconds,
    ) {
        let request = Request { message, five_tuple, now };
        let authenticated = match self.authenticator.check(message, five_tuple.client, now) {
            Ok(authenticated) => authenticated,
            Err(refusal) => return self.refuse(request, refusal, None),
        };
        let signer = authenticated.signer.clone();
        let outcome = if message.attributes().any(|a| a.comprehension_required() && !is_known(a.kind)) {
            Err(Refusal::UnknownAttribute)
        } else {
            match message.method() {
                Method::Allocate => self.allocate(request, authenticated, wall),
                Method::Refresh => self.of_own(request, &authenticated, Self::refresh),
                Method::CreatePermission => self.of_own(request, &authenticated, Self::create_permission),
                Method::ChannelBind => self.of_own(request, &authenticated, Self::channel_bind),
                // The caller passes on these four.
                Method::Binding | Method::Send | Method::Data | Method::Other(_) => Err(Refusal::BadRequest),
            }
        };
        match outcome {
            Ok(Some(reply)) => self.transmits.push_back(Transmit { five_tuple, reply: signer.sign(reply) }),
            Ok(None) => {}
            Err(refusal) => self.refuse(request, refusal, Some(&signer)),
        }
    }

    /// Sends an error response. A challenge goes without signature (RFC 8489, section 9.2.4).
    fn refuse(&mut self, request: Request<'_>, refusal: Refusal, signer: Option<&Signer>) {
        self.counters.refused(refusal);
        let mut reply = if refusal == Refusal::UnknownAttribute {
            unknown_attributes(request.message, |kind| is_known(kind.value()))
        } else {
            let mut reply = Reply::error(request.message);
            if let Some(error) = refusal.attribute() {
                reply.add(&error);
            }
            reply
        };
        let challenge = matches!(refusal, Refusal::Unauthorized | Refusal::StaleNonce);
        if challenge {
            self.authenticator.add_challenge(&mut reply, request.five_tuple.client, request.now);
        }
        let reply = match signer {
            Some(signer) if !challenge => signer.sign(reply),
            Some(_) | None => reply.finish(),
        };
        self.transmits.push_back(Transmit { five_tuple: request.five_tuple, reply });
    }

    /// RFC 8656, section 7.2.
    fn allocate(
        &mut self,
        request: Request<'_>,
        authenticated: Authenticated,
        wall: UnixSeconds,
    ) -> Result<Option<Reply>, Refusal> {
        let Request { message, five_tuple, now } = request;
        if let Some((_, allocation)) = self.find(&five_tuple, now) {
            return repeated_allocate(allocation, request, authenticated);
        }
        if let Some(expired) = self.by_five_tuple.get(&five_tuple).copied() {
            // Its time is over, and the timer has yet to say so.
            self.remove(expired);
        }
        if authenticated.expires <= wall || self.revoked.contains_key(&authenticated.account) {
            return Err(Refusal::Unauthorized);
        }
        let transport = message.get::<RequestedTransport>()?.ok_or(Refusal::BadRequest)?;
        if transport.protocol() != RequestedTransport::UDP {
            return Err(Refusal::UnsupportedTransport);
        }
        let families = self.requested_families(request)?;
        let even_port = even_port(message)?;
        let lifetime = granted_lifetime(message)?;
        self.check_quotas(&five_tuple, &authenticated)?;

        let pending = Box::new(Pending {
            type_number: message.type_number(),
            fingerprint: message.has_fingerprint(),
            even_port,
            signer: authenticated.signer,
        });
        let allocation = Allocation::new(
            five_tuple,
            authenticated.credential,
            self.parties.add(authenticated.account),
            message.transaction(),
            now + lifetime,
            pending,
        );
        let id = self.insert(allocation);
        for family in families.into_iter().flatten() {
            self.request_relay(id, family);
        }
        self.answer_allocate(id, now);
        Ok(None)
    }

    /// Which families the client asks for: one, or both (RFC 8656, section 7.2, points 6 to 9).
    fn requested_families(&self, request: Request<'_>) -> Result<[Option<Family>; 2], Refusal> {
        let Request { message, five_tuple, .. } = request;
        let requested = message.get::<RequestedAddressFamily>()?.map(|one| Family::from_wire(one.family()));
        let additional = message.get::<AdditionalAddressFamily>()?.map(|one| Family::from_wire(one.family()));
        let reserved = message.has::<ReservationToken>();
        let even = message.get::<EvenPort>()?;
        if reserved && (even.is_some() || requested.is_some() || additional.is_some()) {
            return Err(Refusal::BadRequest);
        }
        if reserved {
            // We never hand out a token, so that none is valid.
            return Err(Refusal::InsufficientCapacity);
        }
        match (requested, additional) {
            (Some(_), Some(_)) | (None, Some(Family::V4)) => Err(Refusal::BadRequest),
            (None, Some(Family::V6)) if even.is_some_and(|even| even.requested()) => Err(Refusal::BadRequest),
            (None, Some(Family::V6)) => Ok([Some(Family::V4), Some(Family::V6)]),
            (Some(family), None) if self.has_family(&five_tuple, family) => Ok([Some(family), None]),
            (Some(_), None) => Err(Refusal::AddressFamilyNotSupported),
            // Without a wish it is IPv4. A box without IPv4 gives what it has: browsers do not state a wish.
            (None, None) if self.has_family(&five_tuple, Family::V4) => Ok([Some(Family::V4), None]),
            (None, None) => Ok([Some(Family::V6), None]),
        }
    }

    fn check_quotas(&self, five_tuple: &FiveTuple, authenticated: &Authenticated) -> Result<(), Refusal> {
        let limits = &self.config.limits;
        if self.parties.allocations(&authenticated.account) >= limits.allocations_per_account {
            return Err(Refusal::AllocationQuotaReached);
        }
        let of_source = self.per_source.get(&five_tuple.source()).copied().unwrap_or_default();
        if of_source >= limits.allocations_per_source || self.by_five_tuple.len() >= limits.allocations {
            return Err(Refusal::InsufficientCapacity);
        }
        Ok(())
    }

    /// RFC 8656, section 8.2.
    fn refresh(&mut self, request: Request<'_>, id: AllocationId) -> Result<Reply, Refusal> {
        let Request { message, now, .. } = request;
        let family = message.get::<RequestedAddressFamily>()?.map(|one| Family::from_wire(one.family()));
        let delete = message.get::<Lifetime>()?.is_some_and(|lifetime| lifetime.seconds() == 0);
        let lifetime = granted_lifetime(message)?;
        if let Some(family) = family
            && !self.allocation(id).is_some_and(|allocation| allocation.is_bound(family))
        {
            return Err(Refusal::PeerAddressFamilyMismatch);
        }
        let granted = if delete {
            self.delete(id, family);
            Duration::ZERO
        } else {
            // Both relayed addresses of a dual allocation live and die together, also where one is named.
            let allocation = self.allocation_mut(id).ok_or(Refusal::AllocationMismatch)?;
            allocation.expires = now + lifetime;
            self.reset_deadline(id);
            lifetime
        };
        let mut reply = Reply::success(message);
        reply.add(&Lifetime::new(u32::try_from(granted.as_secs()).unwrap_or(u32::MAX)));
        Ok(reply)
    }

    /// RFC 8656, section 10.2.
    fn create_permission(&mut self, request: Request<'_>, id: AllocationId) -> Result<Reply, Refusal> {
        let Request { message, now, .. } = request;
        let allocation = self.allocation(id).ok_or(Refusal::AllocationMismatch)?;
        let mut peers = Vec::new();
        for peer in message.get_all::<XorPeerAddress>() {
            let peer = peer?.addr(message.transaction().to_stun_types()).ip();
            if peers.len() >= MAX_PEERS_PER_REQUEST {
                return Err(Refusal::InsufficientCapacity);
            }
            if !allocation.is_bound(Family::of(peer)) {
                return Err(Refusal::PeerAddressFamilyMismatch);
            }
            let reach = self.config.peers.reach(peer).map_err(|_| Refusal::Forbidden)?;
            peers.push((peer, reach));
        }
        if peers.is_empty() {
            return Err(Refusal::BadRequest);
        }
        if !allocation.has_room_for(&peers, now) {
            return Err(Refusal::InsufficientCapacity);
        }
        let allocation = self.allocation_mut(id).ok_or(Refusal::AllocationMismatch)?;
        for (peer, reach) in peers {
            allocation.permit(peer, reach, now);
        }
        self.reset_deadline(id);
        Ok(Reply::success(message))
    }

    /// RFC 8656, section 12.2.
    fn channel_bind(&mut self, request: Request<'_>, id: AllocationId) -> Result<Reply, Refusal> {
        let Request { message, now, .. } = request;
        let number = message.get::<ChannelNumberAttribute>()?.ok_or(Refusal::BadRequest)?;
        let number = ChannelNumber::new(number.channel()).ok_or(Refusal::BadRequest)?;
        let peer = message.get::<XorPeerAddress>()?.ok_or(Refusal::BadRequest)?;
        let peer = peer.addr(message.transaction().to_stun_types());
        let allocation = self.allocation(id).ok_or(Refusal::AllocationMismatch)?;
        if !allocation.is_bound(Family::of(peer.ip())) {
            return Err(Refusal::PeerAddressFamilyMismatch);
        }
        let reach = self.config.peers.reach(peer.ip()).map_err(|_| Refusal::Forbidden)?;
        let peer = canonical(peer);
        if !self.is_within(reach, peer) {
            return Err(Refusal::Forbidden);
        }
        allocation.channels.check(number, peer, now)?;
        if !allocation.has_room_for(&[(peer.ip(), reach)], now) {
            return Err(Refusal::InsufficientCapacity);
        }
        let allocation = self.allocation_mut(id).ok_or(Refusal::AllocationMismatch)?;
        allocation.channels.bind(number, peer, now);
        allocation.permit(peer.ip(), reach, now);
        self.reset_deadline(id);
        Ok(Reply::success(message))
    }

    /// Carries out a request that is about the sender's own allocation.
    fn of_own(
        &mut self,
        request: Request<'_>,
        authenticated: &Authenticated,
        carry_out: fn(&mut Self, Request<'_>, AllocationId) -> Result<Reply, Refusal>,
    ) -> Result<Option<Reply>, Refusal> {
        let id = self.own_allocation(request, authenticated)?;
        carry_out(self, request, id).map(Some)
    }

    /// The allocation that the request is about, if it is the sender's own.
    fn own_allocation(
        &self,
        request: Request<'_>,
        authenticated: &Authenticated,
    ) -> Result<AllocationId, Refusal> {
        let (id, allocation) =
            self.find(&request.five_tuple, request.now).ok_or(Refusal::AllocationMismatch)?;
        if allocation.pending.is_some() {
            return Err(Refusal::AllocationMismatch);
        }
        // "All requests after the initial Allocate must use the same username" (RFC 8656, section 5).
        if allocation.credential != authenticated.credential {
            return Err(Refusal::WrongCredentials);
        }
        Ok(id)
    }

    /// Deletes the relayed address of one family, or all of the allocation.
    fn delete(&mut self, id: AllocationId, family: Option<Family>) {
        if let Some(family) = family {
            self.free_relay(RelayId { allocation: id, family });
            let Some(allocation) = self.allocation_mut(id) else { return };
            allocation.forget_family(family);
            if Family::BOTH.into_iter().any(|family| allocation.is_bound(family)) {
                self.reset_deadline(id);
                return;
            }
        }
        self.remove(id);
    }

    fn reset_deadline(&mut self, id: AllocationId) {
        if let Some(next) = self.allocation(id).map(Allocation::next_deadline) {
            self.deadlines.set(id, next);
        }
    }
}

/// An Allocate request on a 5-tuple that has an allocation: the same one again, or a mistake.
fn repeated_allocate(
    allocation: &Allocation,
    request: Request<'_>,
    authenticated: Authenticated,
) -> Result<Option<Reply>, Refusal> {
    let Request { message, now, .. } = request;
    let repeated =
        allocation.transaction == message.transaction() && allocation.credential == authenticated.credential;
    if !repeated {
        return Err(Refusal::AllocationMismatch);
    }
    if allocation.pending.is_some() {
        // The answer is on its way.
        return Ok(None);
    }
    let pending = Pending {
        type_number: message.type_number(),
        fingerprint: message.has_fingerprint(),
        even_port: false,
        signer: authenticated.signer,
    };
    Ok(Some(success(allocation, &pending, now)))
}

/// EVEN-PORT: an even port can be had, the one after it cannot be reserved (RFC 8656, section 7.2, point 8).
fn even_port(message: &Message<'_>) -> Result<bool, Refusal> {
    match message.get::<EvenPort>()? {
        None => Ok(false),
        Some(even) if even.requested() => Err(Refusal::InsufficientCapacity),
        Some(_) => Ok(true),
    }
}

/// "The server ... SHOULD ... use the smaller of its maximum and the requested", and not less than the default
/// (RFC 8656, section 7.2).
fn granted_lifetime(message: &Message<'_>) -> Result<Duration, Refusal> {
    let requested =
        message.get::<Lifetime>()?.map(|lifetime| Duration::from_secs(u64::from(lifetime.seconds())));
    Ok(requested.unwrap_or(DEFAULT_LIFETIME).clamp(DEFAULT_LIFETIME, MAX_LIFETIME))
}

/// What we understand, anywhere. DONT-FRAGMENT is not in here: who asks for it must be told no.
fn is_known(kind: u16) -> bool {
    const KNOWN: [AttributeType; 15] = [
        Username::TYPE,
        Userhash::TYPE,
        Realm::TYPE,
        Nonce::TYPE,
        MessageIntegrity::TYPE,
        MessageIntegritySha256::TYPE,
        PasswordAlgorithm::TYPE,
        ChannelNumberAttribute::TYPE,
        Lifetime::TYPE,
        XorPeerAddress::TYPE,
        turn_types::attribute::Data::TYPE,
        RequestedAddressFamily::TYPE,
        EvenPort::TYPE,
        RequestedTransport::TYPE,
        ReservationToken::TYPE,
    ];
    KNOWN.iter().any(|known| known.value() == kind)
}
