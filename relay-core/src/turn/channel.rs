//! Channels: numbers, the 4-byte header of ChannelData, and the bindings of one allocation
//! (RFC 8656, section 12).

use core::net::SocketAddr;

use base::Instant;

use super::limits::{CHANNEL_LIFETIME, MAX_CHANNELS};
use super::refusal::Refusal;

/// Length of the header: number and length.
pub(super) const CHANNEL_HEADER_LEN: usize = 4;

/// A channel number, from 0x4000 to 0x7FFF.
///
/// RFC 8656 lets clients choose up to 0x4FFF. Those that were written for RFC 5766 choose higher ones as well, and
/// nothing else on our sockets starts with these bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChannelNumber(u16);

impl ChannelNumber {
    /// Checks a number from the wire.
    pub const fn new(number: u16) -> Option<Self> {
        if number >> 14 == 1 { Some(Self(number)) } else { None }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Whether a datagram with this first byte is ChannelData (RFC 8656, section 12).
    pub(super) const fn is_first_byte(byte: u8) -> bool {
        byte >> 6 == 1
    }

    /// Reads the header of a ChannelData message: the number, and how many bytes of data follow.
    ///
    /// Over UDP the padding may be there or not (RFC 8656, section 12.5), so that more bytes may follow.
    pub(super) fn read_header(bytes: &[u8]) -> Option<(Self, usize)> {
        let ([n0, n1, l0, l1], rest) = bytes.split_first_chunk::<CHANNEL_HEADER_LEN>()?;
        let number = Self::new(u16::from_be_bytes([*n0, *n1]))?;
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        (length <= rest.len()).then_some((number, length))
    }
}

/// One channel bound to one peer.
#[derive(Clone, Copy)]
struct ChannelBinding {
    number: ChannelNumber,
    peer: SocketAddr,
    expires: Instant,
}

/// The channel bindings of an allocation, found by number and by peer without a walk.
pub(super) struct Channels {
    /// Ordered by number. At most [`MAX_CHANNELS`].
    by_number: Vec<ChannelBinding>,
    /// Ordered by peer, one for each of the above.
    by_peer: Vec<(SocketAddr, ChannelNumber)>,
}

impl Channels {
    pub(super) const fn new() -> Self {
        Self { by_number: Vec::new(), by_peer: Vec::new() }
    }

    /// The peer that `number` is bound to.
    pub(super) fn peer(&self, number: ChannelNumber, now: Instant) -> Option<SocketAddr> {
        let at = self.by_number.binary_search_by_key(&number, |binding| binding.number).ok()?;
        let binding = self.by_number.get(at)?;
        (binding.expires > now).then_some(binding.peer)
    }

    /// The channel that `peer` is bound to.
    pub(super) fn number(&self, peer: SocketAddr, now: Instant) -> Option<ChannelNumber> {
        let at = self.by_peer.binary_search_by_key(&peer, |(peer, _)| *peer).ok()?;
        let (_, number) = *self.by_peer.get(at)?;
        self.peer(number, now).map(|_| number)
    }

    /// Whether `number` may be bound to `peer` (RFC 8656, section 12.2), with no change yet.
    pub(super) fn check(&self, number: ChannelNumber, peer: SocketAddr, now: Instant) -> Result<(), Refusal> {
        match (self.peer(number, now), self.number(peer, now)) {
            (Some(bound), _) if bound != peer => Err(Refusal::BadRequest),
            (_, Some(bound)) if bound != number => Err(Refusal::BadRequest),
            (Some(_), Some(_)) => Ok(()),
            (_, _) => {
                let live = self.by_number.iter().filter(|binding| binding.expires > now).count();
                if live < MAX_CHANNELS { Ok(()) } else { Err(Refusal::InsufficientCapacity) }
            }
        }
    }

    /// Binds `number` to `peer`, or refreshes the binding. Call [`check`](Self::check) first.
    pub(super) fn bind(&mut self, number: ChannelNumber, peer: SocketAddr, now: Instant) {
        self.prune(now);
        let binding = ChannelBinding { number, peer, expires: now + CHANNEL_LIFETIME };
        match self.by_number.binary_search_by_key(&number, |binding| binding.number) {
            Ok(at) => {
                if let Some(slot) = self.by_number.get_mut(at) {
                    *slot = binding;
                }
            }
            Err(at) => {
                self.by_number.insert(at, binding);
                let at = self.by_peer.partition_point(|(other, _)| *other < peer);
                self.by_peer.insert(at, (peer, number));
            }
        }
    }

    /// Forgets what has expired.
    pub(super) fn prune(&mut self, now: Instant) {
        self.keep(|binding| binding.expires > now);
    }

    /// Forgets the bindings to peers of the other kind.
    pub(super) fn keep_peers(&mut self, keep: impl Fn(SocketAddr) -> bool) {
        self.keep(|binding| keep(binding.peer));
    }

    /// When the next one expires.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.by_number.iter().map(|binding| binding.expires).min()
    }

    fn keep(&mut self, keep: impl Fn(&ChannelBinding) -> bool) {
        let before = self.by_number.len();
        self.by_number.retain(|binding| keep(binding));
        if self.by_number.len() != before {
            let by_number = &self.by_number;
            self.by_peer.retain(|(_, number)| {
                by_number.binary_search_by_key(number, |binding| binding.number).is_ok()
            });
        }
    }
}
