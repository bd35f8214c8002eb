//! The error codes of STUN and TURN: the only place where a code is chosen.

use stun_types::attribute::ErrorCode;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// An attribute is missing, malformed, or contradicts another.
    BadRequest,
    /// No credential, a wrong one, or one that has expired or was revoked.
    Unauthorized,
    /// A peer that nobody may reach through the box.
    Forbidden,
    /// An attribute that has to be understood is not.
    UnknownAttribute,
    /// There is no allocation on this 5-tuple, or there is one already.
    AllocationMismatch,
    /// The nonce is old, or was given to another address.
    StaleNonce,
    /// The box has no address of that family.
    AddressFamilyNotSupported,
    /// The allocation was made with another user name.
    WrongCredentials,
    /// Relaying anything but UDP.
    UnsupportedTransport,
    /// A peer of a family that the allocation has no relayed address of.
    PeerAddressFamilyMismatch,
    /// This account has as many allocations as it may have.
    AllocationQuotaReached,
    /// The box or this source has as many as it may have; or a port that cannot be reserved.
    InsufficientCapacity,
}

impl Refusal {
    /// How many there are.
    pub const COUNT: usize = 12;

    /// All of them, in the order of their codes.
    pub const ALL: [Self; Self::COUNT] = [
        Self::BadRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::UnknownAttribute,
        Self::AllocationMismatch,
        Self::StaleNonce,
        Self::AddressFamilyNotSupported,
        Self::WrongCredentials,
        Self::UnsupportedTransport,
        Self::PeerAddressFamilyMismatch,
        Self::AllocationQuotaReached,
        Self::InsufficientCapacity,
    ];

    /// The code on the wire (RFC 8489, section 14.8, and RFC 8656, section 19).
    pub const fn code(self) -> u16 {
        match self {
            Self::BadRequest => ErrorCode::BAD_REQUEST,
            Self::Unauthorized => ErrorCode::UNAUTHORIZED,
            Self::Forbidden => ErrorCode::FORBIDDEN,
            Self::UnknownAttribute => ErrorCode::UNKNOWN_ATTRIBUTE,
            Self::AllocationMismatch => ErrorCode::ALLOCATION_MISMATCH,
            Self::StaleNonce => ErrorCode::STALE_NONCE,
            Self::AddressFamilyNotSupported => ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED,
            Self::WrongCredentials => ErrorCode::WRONG_CREDENTIALS,
            Self::UnsupportedTransport => ErrorCode::UNSUPPORTED_TRANSPORT_PROTOCOL,
            Self::PeerAddressFamilyMismatch => ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH,
            Self::AllocationQuotaReached => ErrorCode::ALLOCATION_QUOTA_REACHED,
            Self::InsufficientCapacity => ErrorCode::INSUFFICIENT_CAPACITY,
        }
    }

    /// The reason phrase, for a person who reads a capture.
    ///
    /// Empty where the sender's address may be forged, so that the answer stays short.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::BadRequest | Self::Unauthorized | Self::StaleNonce => "",
            Self::Forbidden => "Forbidden",
            Self::UnknownAttribute => "Unknown Attribute",
            Self::AllocationMismatch => "Allocation Mismatch",
            Self::AddressFamilyNotSupported => "Address Family not Supported",
            Self::WrongCredentials => "Wrong Credentials",
            Self::UnsupportedTransport => "Unsupported Transport Protocol",
            Self::PeerAddressFamilyMismatch => "Peer Address Family Mismatch",
            Self::AllocationQuotaReached => "Allocation Quota Reached",
            Self::InsufficientCapacity => "Insufficient Capacity",
        }
    }

    /// The ERROR-CODE attribute.
    pub(super) fn attribute(self) -> Option<ErrorCode> {
        ErrorCode::new(self.code(), self.reason()).ok()
    }
}
