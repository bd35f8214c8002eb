//! What the node says to a client.

use minicbor::{Decode, Encode};

use crate::{Address, Challenge, DecodeError, decode_whole, is_padded};

/// One frame from the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum NodeFrame<'b> {
    /// The first frame of a session.
    #[n(0)]
    Welcome {
        /// Drawn when the node started: another value means that its memory was lost.
        #[n(0)]
        #[cbor(with = "minicbor::bytes")]
        instance: [u8; 16],
        /// To be signed in this session's subscriptions.
        #[n(1)]
        challenge: Challenge,
        /// The UDP port of STUN and TURN on the host that served the page; 0 when there is none.
        #[n(2)]
        turn_port: u16,
        /// What this node accepts.
        #[n(3)]
        limits: Limits,
    },
    /// The subscription stands.
    #[n(1)]
    Subscribed {
        /// The request's number.
        #[n(0)]
        req: u32,
        /// For a log, the sequence number that the next append will get.
        #[n(1)]
        next: u64,
    },
    /// The envelope is in the queue.
    #[n(2)]
    Deposited {
        /// The request's number.
        #[n(0)]
        req: u32,
    },
    /// The envelope is in the log.
    #[n(3)]
    Appended {
        /// The request's number.
        #[n(0)]
        req: u32,
        /// Where.
        #[n(1)]
        seq: u64,
    },
    /// An envelope for a mailbox that this session reads.
    #[n(4)]
    Deliver {
        /// Of the mailbox.
        #[n(0)]
        address: Address,
        /// Its sequence number there.
        #[n(1)]
        seq: u64,
        /// Whole blocks of ciphertext.
        #[b(2)]
        #[cbor(with = "minicbor::bytes")]
        envelope: &'b [u8],
    },
    /// TURN credentials (username and password of RFC 8489, section 9.2).
    #[n(5)]
    Credentials {
        /// The request's number.
        #[n(0)]
        req: u32,
        /// Names nobody.
        #[b(1)]
        username: &'b str,
        /// Good until the time is over.
        #[b(2)]
        password: &'b str,
        /// Seconds that they are good for.
        #[n(3)]
        ttl_s: u32,
    },
    /// The request was not carried out, and nothing else was changed.
    #[n(6)]
    Refused {
        /// The request's number.
        #[n(0)]
        req: u32,
        /// Why.
        #[n(1)]
        reason: Reason,
        /// Seconds after which another try makes sense; 0 when none does.
        #[n(2)]
        retry_s: u32,
        /// For [`Reason::Conflict`], the sequence number that the next append will get; otherwise 0.
        #[n(3)]
        next: u64,
    },
    /// Answers a ping.
    #[n(7)]
    Pong {
        /// The ping's number.
        #[n(0)]
        nonce: u32,
    },
    /// The last frame: the node closes the session.
    #[n(8)]
    Bye {
        /// Why.
        #[n(0)]
        reason: Reason,
    },
    /// The node ended a subscription of this session; the session goes on.
    #[n(9)]
    Unsubscribed {
        /// Of the mailbox.
        #[n(0)]
        address: Address,
        /// Why.
        #[n(1)]
        reason: Reason,
    },
}

/// What the node accepts in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Limits {
    /// Bytes in an envelope.
    #[n(0)]
    pub envelope: u32,
    /// Seconds that an envelope of the longest class is kept.
    #[n(1)]
    pub ttl_s: u32,
    /// Seconds without a frame from the client after which the session is closed.
    #[n(2)]
    pub idle_s: u32,
    /// Mailboxes that a session may read at once.
    #[n(3)]
    pub subscriptions: u32,
}

/// Why a request was refused or a session closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
#[non_exhaustive]
pub enum Reason {
    /// The bytes were no frame of this protocol.
    #[n(1)]
    Malformed,
    /// The signature does not show that the client holds the key, in this session.
    #[n(2)]
    BadSignature,
    /// This mailbox holds as much as it may.
    #[n(3)]
    MailboxFull,
    /// The node holds as much as it may.
    #[n(4)]
    NodeFull,
    /// Something else was appended before.
    #[n(6)]
    Conflict,
    /// More frames or bytes per second than a session may send.
    #[n(7)]
    TooFast,
    /// More mailboxes than a session may read.
    #[n(8)]
    TooManySubscriptions,
    /// The node has no TURN.
    #[n(9)]
    NoTurn,
    /// Nothing was heard for too long.
    #[n(10)]
    Idle,
    /// The node stops; what it held is gone and must be deposited again.
    #[n(11)]
    Shutdown,
    /// Another session took over this mailbox.
    #[n(12)]
    TakenOver,
    /// The rights of whoever holds this session have ended.
    #[n(13)]
    Revoked,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Malformed,
        Self::BadSignature,
        Self::MailboxFull,
        Self::NodeFull,
        Self::Conflict,
        Self::TooFast,
        Self::TooManySubscriptions,
        Self::NoTurn,
        Self::Idle,
        Self::Shutdown,
        Self::TakenOver,
        Self::Revoked,
    ];

    /// One word for it, that of `docs/protocol/session.cddl` with an underscore for a hyphen.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::BadSignature => "bad_signature",
            Self::MailboxFull => "mailbox_full",
            Self::NodeFull => "node_full",
            Self::Conflict => "conflict",
            Self::TooFast => "too_fast",
            Self::TooManySubscriptions => "too_many_subscriptions",
            Self::NoTurn => "no_turn",
            Self::Idle => "idle",
            Self::Shutdown => "shutdown",
            Self::TakenOver => "taken_over",
            Self::Revoked => "revoked",
        }
    }
}

impl<'b> NodeFrame<'b> {
    /// Decodes one frame, which fills `bytes`.
    ///
    /// # Errors
    /// When the bytes are not exactly one well-formed frame within the limits of the protocol.
    pub fn decode(bytes: &'b [u8]) -> Result<Self, DecodeError> {
        let frame: Self = decode_whole(bytes)?;
        match frame {
            Self::Deliver { envelope, .. } if !is_padded(envelope.len()) => Err(DecodeError::Unpadded),
            Self::Welcome { .. }
            | Self::Subscribed { .. }
            | Self::Deposited { .. }
            | Self::Appended { .. }
            | Self::Deliver { .. }
            | Self::Credentials { .. }
            | Self::Refused { .. }
            | Self::Pong { .. }
            | Self::Bye { .. }
            | Self::Unsubscribed { .. } => Ok(frame),
        }
    }

    /// Appends the frame's bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        minicbor::encode(self, out).expect("a vector takes every byte, and no frame has a failing field");
    }
}

/// Appends what stands before the envelope in [`NodeFrame::Deliver`]; `len` bytes of envelope complete the frame.
///
/// The node copies an envelope once, from its arena to behind this head.
pub fn encode_deliver_head(address: &Address, seq: u64, len: usize, out: &mut Vec<u8>) {
    let mut encoder = minicbor::Encoder::new(out);
    let written: Result<(), minicbor::encode::Error<core::convert::Infallible>> = (|| {
        encoder.array(2)?.u8(4)?.array(3)?.bytes(address.expose())?.u64(seq)?.bytes_len(len as u64)?;
        Ok(())
    })();
    written.expect("a vector takes every byte");
}
