//! The framing of a STUN message: header, attributes, where the integrity stands (RFC 8489, section 5 and 14).
//!
//! Strict on purpose: over UDP the length in the header must be the length of the datagram.
//! The values of attributes are read by `stun-types` and `turn-types`; this walk makes sure that they never see
//! a truncated one.

use core::net::SocketAddr;

use stun_types::attribute::{
    AttributeFromRaw, AttributeStaticType, AttributeType, Fingerprint, MessageIntegrity,
    MessageIntegritySha256, RawAttribute,
};
use thiserror::Error;

use super::integrity::{HashAlgorithm, IntegrityKey};

/// Length of the header (RFC 8489, section 5).
pub const HEADER_LEN: usize = 20;
/// The fixed word in every header (RFC 8489, section 5).
pub const MAGIC_COOKIE: u32 = 0x2112_A442;

const ATTRIBUTE_HEADER_LEN: usize = 4;

/// Why a datagram is not a STUN message. It is dropped without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The header or an attribute goes past the end.
    #[error("the datagram ends too early")]
    Truncated,
    /// The first two bits are not zero, the cookie is another, or the length does not fit the datagram.
    #[error("this is not a STUN header")]
    NotStun,
    /// An integrity or fingerprint attribute has the wrong length or place.
    #[error("an attribute is malformed")]
    MalformedAttribute,
    /// The fingerprint is wrong: the datagram was damaged, or is not STUN after all.
    #[error("the fingerprint does not match")]
    FingerprintMismatch,
}

/// The class of a message (RFC 8489, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Wants an answer.
    Request,
    /// Wants none.
    Indication,
    /// A request was fulfilled.
    Success,
    /// A request was refused.
    Error,
}

/// The method of a message (RFC 8489, section 18.2, and RFC 8656, section 17).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Tell me my address.
    Binding,
    /// Make an allocation.
    Allocate,
    /// Prolong or delete an allocation.
    Refresh,
    /// Data from the client to a peer.
    Send,
    /// Data from a peer to the client.
    Data,
    /// Let a peer reach the client.
    CreatePermission,
    /// Bind a channel number to a peer.
    ChannelBind,
    /// Anything else.
    Other(u16),
}

impl Method {
    const fn from_number(number: u16) -> Self {
        match number {
            0x001 => Self::Binding,
            0x003 => Self::Allocate,
            0x004 => Self::Refresh,
            0x006 => Self::Send,
            0x007 => Self::Data,
            0x008 => Self::CreatePermission,
            0x009 => Self::ChannelBind,
            other => Self::Other(other),
        }
    }
}

/// Chosen by the client to tell its transactions apart. It identifies nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionId(pub [u8; 12]);

impl TransactionId {
    /// As the attribute types want it.
    pub(crate) fn to_stun_types(self) -> stun_types::message::TransactionId {
        let mut wide = [0; 16];
        for (to, from) in wide.iter_mut().skip(4).zip(self.0) {
            *to = from;
        }
        u128::from_be_bytes(wide).into()
    }
}

/// One attribute: its type, its value without padding, and where the value starts in the datagram.
#[derive(Clone, Copy, Debug)]
pub struct Attribute<'a> {
    /// The type.
    pub kind: u16,
    /// The value.
    pub value: &'a [u8],
    /// Offset of the value in the datagram.
    pub offset: usize,
}

impl Attribute<'_> {
    /// Whether a receiver that does not know the type must refuse the message (RFC 8489, section 14).
    pub const fn comprehension_required(&self) -> bool {
        self.kind < 0x8000
    }
}

/// The integrity attribute that counts: MESSAGE-INTEGRITY-SHA256 where both are there (RFC 8489, section 9.2.4).
#[derive(Clone, Copy, Debug)]
pub struct Integrity<'a> {
    /// Which hash it was made with.
    pub algorithm: HashAlgorithm,
    value: &'a [u8],
    /// Where the attribute's own header starts: what comes before is covered.
    start: usize,
}

/// A message whose framing is right.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    kind: u16,
    transaction: TransactionId,
    integrity: Option<Integrity<'a>>,
    fingerprint: bool,
    /// Where the attributes that may be used end.
    usable: usize,
}

impl<'a> Message<'a> {
    /// Reads one datagram.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (header, _) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(DecodeError::Truncated)?;
        let [k0, k1, l0, l1, c0, c1, c2, c3, transaction @ ..] = *header;
        let kind = u16::from_be_bytes([k0, k1]);
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let cookie = u32::from_be_bytes([c0, c1, c2, c3]);
        if kind & 0xC000 != 0
            || cookie != MAGIC_COOKIE
            || !length.is_multiple_of(4)
            || HEADER_LEN + length != bytes.len()
        {
            return Err(DecodeError::NotStun);
        }
        let mut message = Self {
            bytes,
            kind,
            transaction: TransactionId(transaction),
            integrity: None,
            fingerprint: false,
            usable: bytes.len(),
        };
        message.find_the_end()?;
        Ok(message)
    }

    /// Request, indication or response.
    pub const fn class(&self) -> Class {
        match (self.kind & 0x0100 != 0, self.kind & 0x0010 != 0) {
            (false, false) => Class::Request,
            (false, true) => Class::Indication,
            (true, false) => Class::Success,
            (true, true) => Class::Error,
        }
    }

    /// What it is about.
    pub const fn method(&self) -> Method {
        let kind = self.kind;
        Method::from_number((kind & 0x000F) | ((kind & 0x00E0) >> 1) | ((kind & 0x3E00) >> 2))
    }

    /// The transaction it belongs to.
    pub const fn transaction(&self) -> TransactionId {
        self.transaction
    }

    /// Whether it ends in a (right) FINGERPRINT.
    pub const fn has_fingerprint(&self) -> bool {
        self.fingerprint
    }

    /// The integrity attribute, not yet checked.
    pub const fn integrity(&self) -> Option<Integrity<'a>> {
        self.integrity
    }

    /// Whether the integrity attribute was made with `key`. A message without one was not.
    pub fn verify(&self, key: &IntegrityKey) -> bool {
        let Some(integrity) = self.integrity else { return false };
        let Some(covered) = self.bytes.get(..integrity.start) else { return false };
        key.verify(integrity.algorithm, covered, integrity.value)
    }

    /// The attributes up to the integrity attribute.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes { bytes: self.bytes.get(..self.usable).unwrap_or_default(), at: HEADER_LEN }
    }

    /// The first attribute of type `kind`.
    pub fn find(&self, kind: AttributeType) -> Option<Attribute<'a>> {
        self.attributes().find(|attribute| attribute.kind == kind.value())
    }

    /// Whether there is an attribute of type `A`.
    pub fn has<A: AttributeStaticType>(&self) -> bool {
        self.find(A::TYPE).is_some()
    }

    /// The first attribute of type `A`, read.
    pub fn get<A: AttributeStaticType + AttributeFromRaw<'a>>(&self) -> Result<Option<A>, DecodeError> {
        self.find(A::TYPE).map(read).transpose()
    }

    /// All attributes of type `A`, read one after the other.
    pub fn get_all<A: AttributeStaticType + AttributeFromRaw<'a>>(
        &self,
    ) -> impl Iterator<Item = Result<A, DecodeError>> + use<'a, A> {
        self.attributes().filter(|attribute| attribute.kind == A::TYPE.value()).map(read)
    }

    /// Type and transaction, for the header of the answer.
    pub(crate) const fn type_number(&self) -> u16 {
        self.kind
    }

    /// Walks all attributes, finds integrity and fingerprint, and checks the fingerprint.
    fn find_the_end(&mut self) -> Result<(), DecodeError> {
        let mut at = HEADER_LEN;
        while at < self.bytes.len() {
            let (attribute, next) = attribute_at(self.bytes, at).ok_or(DecodeError::Truncated)?;
            if self.fingerprint {
                // RFC 8489, section 14.7: FINGERPRINT is the last one.
                return Err(DecodeError::MalformedAttribute);
            }
            let integrity = match AttributeType::new(attribute.kind) {
                MessageIntegrity::TYPE => Some(HashAlgorithm::Sha1),
                MessageIntegritySha256::TYPE => Some(HashAlgorithm::Sha256),
                Fingerprint::TYPE => {
                    self.check_fingerprint(&attribute, at)?;
                    self.fingerprint = true;
                    self.usable = self.usable.min(at);
                    None
                }
                _ => None,
            };
            if let Some(algorithm) = integrity {
                // TURN does not say that the SHA-256 value may be cut short, so it may not be (section 14.6).
                if attribute.value.len() != algorithm.output_len() {
                    return Err(DecodeError::MalformedAttribute);
                }
                let stronger = match self.integrity {
                    None => true,
                    Some(first) => {
                        first.algorithm == HashAlgorithm::Sha1 && algorithm == HashAlgorithm::Sha256
                    }
                };
                if stronger {
                    self.integrity = Some(Integrity { algorithm, value: attribute.value, start: at });
                    self.usable = self.usable.min(at);
                }
            }
            at = next;
        }
        Ok(())
    }

    fn check_fingerprint(&self, attribute: &Attribute<'_>, at: usize) -> Result<(), DecodeError> {
        let fingerprint: Fingerprint = read(*attribute)?;
        // It is the last attribute, or the message is refused: the length in the header is the one that counts.
        let covered = self.bytes.get(..at).ok_or(DecodeError::Truncated)?;
        if Fingerprint::compute(&[covered]) != *fingerprint.fingerprint() {
            return Err(DecodeError::FingerprintMismatch);
        }
        Ok(())
    }
}

/// Walks attributes. Made by [`Message::attributes`], which has checked them.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let (attribute, next) = attribute_at(self.bytes, self.at)?;
        self.at = next;
        Some(attribute)
    }
}

/// An address and port as bytes of XOR-MAPPED-ADDRESS and its likes (RFC 8489, section 14.2), without allocating.
pub(crate) fn xor_address(address: SocketAddr, transaction: TransactionId, out: &mut [u8; 20]) -> usize {
    let port = address.port() ^ 0x2112;
    let mut mask = [0; 16];
    for (to, from) in mask.iter_mut().zip(MAGIC_COOKIE.to_be_bytes().into_iter().chain(transaction.0)) {
        *to = from;
    }
    let (family, length) = if address.is_ipv4() { (1, 8) } else { (2, 20) };
    let mut octets = [0; 16];
    match address {
        SocketAddr::V4(v4) => octets.iter_mut().zip(v4.ip().octets()).for_each(|(to, from)| *to = from),
        SocketAddr::V6(v6) => octets = v6.ip().octets(),
    }
    let head = [0, family, port.to_be_bytes()[0], port.to_be_bytes()[1]];
    let body = octets.into_iter().zip(mask).map(|(octet, mask)| octet ^ mask);
    for (to, from) in out.iter_mut().zip(head.into_iter().chain(body)) {
        *to = from;
    }
    length
}

fn read<'a, A: AttributeFromRaw<'a>>(attribute: Attribute<'a>) -> Result<A, DecodeError> {
    A::from_raw(RawAttribute::new(AttributeType::new(attribute.kind), attribute.value))
        .map_err(|_| DecodeError::MalformedAttribute)
}

/// The attribute whose header starts at `at`, and where the next one starts.
fn attribute_at(bytes: &[u8], at: usize) -> Option<(Attribute<'_>, usize)> {
    let (header, rest) = bytes.get(at..)?.split_first_chunk::<ATTRIBUTE_HEADER_LEN>()?;
    let [k0, k1, l0, l1] = *header;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let padded = length.next_multiple_of(4);
    if padded > rest.len() {
        return None;
    }
    let offset = at + ATTRIBUTE_HEADER_LEN;
    let value = rest.get(..length)?;
    Some((Attribute { kind: u16::from_be_bytes([k0, k1]), value, offset }, offset + padded))
}
