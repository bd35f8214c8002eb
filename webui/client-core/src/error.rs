//! Why the client says no. Numbers and enums only.

use core::fmt;

use minicbor::{Decode, Encode};

/// Why there is no client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
#[non_exhaustive]
pub enum NewError {
    /// The pseudonym is empty, or nothing but spaces.
    #[n(0)]
    PseudonymEmpty,
    /// More than [`MAX_PSEUDONYM_CHARS`](crate::MAX_PSEUDONYM_CHARS) characters.
    #[n(1)]
    PseudonymTooLong,
    /// A control character, or one that turns the direction of what stands around it.
    #[n(2)]
    PseudonymCharacter,
    /// The keys could not be made: a fault of this program or of its source of randomness.
    #[n(3)]
    Keys,
}

impl fmt::Display for NewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PseudonymEmpty => "the pseudonym is empty: choose one",
            Self::PseudonymTooLong => "the pseudonym is too long: 64 characters at most",
            Self::PseudonymCharacter => "the pseudonym has a character that cannot be shown: leave it out",
            Self::Keys => "the keys could not be made: reload and try again",
        })
    }
}

impl core::error::Error for NewError {}

/// Why a command was not carried out. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
#[non_exhaustive]
pub enum CommandError {
    /// No such peer.
    #[n(0)]
    UnknownPeer,
    /// The peer has left the bubble for good.
    #[n(1)]
    PeerLeft,
    /// There is no text.
    #[n(2)]
    TextEmpty,
    /// More than [`MAX_TEXT`](crate::MAX_TEXT) bytes.
    #[n(3)]
    TextTooLong,
    /// Too many messages wait already; some must arrive first.
    #[n(4)]
    OutboxFull,
    /// We have left.
    #[n(5)]
    Left,
    /// The peer's keys could not be used: a fault of this program or of theirs.
    #[n(6)]
    Encryption,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownPeer => "there is no such person here",
            Self::PeerLeft => "this person has left the bubble",
            Self::TextEmpty => "there is nothing to send",
            Self::TextTooLong => "the message is too long: split it",
            Self::OutboxFull => "too many messages wait to be sent: wait until some have arrived",
            Self::Left => "you have left the bubble",
            Self::Encryption => "the message could not be encrypted for this person",
        })
    }
}

impl core::error::Error for CommandError {}
