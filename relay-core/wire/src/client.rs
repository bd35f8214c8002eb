//! What a client says to the node.

use minicbor::{Decode, Encode};

use crate::{
    Address, DecodeError, Kind, MAX_CREDENTIAL, ReceiveKey, Signature, Ttl, decode_whole, is_padded,
};

/// One frame from a client.
///
/// `req` is the client's own number for a request; the answer carries it back. The node gives it no meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ClientFrame<'b> {
    /// Read a mailbox. Answered by `Subscribed` or `Refused`; deliveries follow.
    ///
    /// Of a queue there is one reader: the newest subscription takes it over from an older session.
    #[n(0)]
    Subscribe {
        /// The client's number for this request.
        #[n(0)]
        req: u32,
        /// Queue or log.
        #[n(1)]
        kind: Kind,
        /// The mailbox's receive key; the address is its hash.
        #[n(2)]
        key: ReceiveKey,
        /// Over this session's challenge.
        #[n(3)]
        signature: Signature,
        /// For a log: the first sequence number wanted. A queue starts with what is unacknowledged.
        #[n(4)]
        from: u64,
    },
    /// Stop reading. Answered by nothing.
    #[n(1)]
    Unsubscribe {
        /// Of the mailbox.
        #[n(0)]
        address: Address,
    },
    /// Put an envelope into a queue. Answered by `Deposited` or `Refused`.
    #[n(2)]
    Deposit {
        /// The client's number for this request.
        #[n(0)]
        req: u32,
        /// Of the queue.
        #[n(1)]
        address: Address,
        /// For how long the node may keep it.
        #[n(2)]
        ttl: Ttl,
        /// Whole blocks of ciphertext.
        #[b(3)]
        #[cbor(with = "minicbor::bytes")]
        envelope: &'b [u8],
    },
    /// Put an envelope at the end of a log. Answered by `Appended` or `Refused`.
    #[n(3)]
    Append {
        /// The client's number for this request.
        #[n(0)]
        req: u32,
        /// Of the log.
        #[n(1)]
        address: Address,
        /// The sequence number that it must get (compare-and-append); none takes what comes.
        #[n(2)]
        expected: Option<u64>,
        /// For how long the node may keep it.
        #[n(3)]
        ttl: Ttl,
        /// Whole blocks of ciphertext.
        #[b(4)]
        #[cbor(with = "minicbor::bytes")]
        envelope: &'b [u8],
    },
    /// These envelopes of a queue have arrived; overwrite them. Answered by nothing.
    ///
    /// Numbers in between that were never delivered in this session are passed over.
    #[n(4)]
    Acknowledge {
        /// Of the queue.
        #[n(0)]
        address: Address,
        /// The first envelope's sequence number in that queue.
        #[n(1)]
        first: u64,
        /// The last one's, not below `first`.
        #[n(2)]
        last: u64,
    },
    /// Ask for TURN credentials. Answered by `Credentials` or `Refused`.
    #[n(5)]
    RequestCredentials {
        /// The client's number for this request.
        #[n(0)]
        req: u32,
    },
    /// Go on with what an earlier session was given, whose connection was lost: its allocations stay, and further
    /// credentials are of the same account. Said before the first request for credentials; answered by nothing.
    #[n(7)]
    KeepCredentials {
        /// As it was given.
        #[b(0)]
        username: &'b str,
        /// As it was given.
        #[b(1)]
        password: &'b str,
    },
    /// The client goes and does not come back: its TURN credentials end now. Answered by nothing.
    #[n(8)]
    Leave,
    /// Show that the session lives. Answered by `Pong` with the same number.
    #[n(6)]
    Ping {
        /// The client's number.
        #[n(0)]
        nonce: u32,
    },
}

impl<'b> ClientFrame<'b> {
    /// Decodes one frame, which fills `bytes`.
    ///
    /// # Errors
    /// When the bytes are not exactly one well-formed frame within the limits of the protocol.
    pub fn decode(bytes: &'b [u8]) -> Result<Self, DecodeError> {
        let frame: Self = decode_whole(bytes)?;
        match frame {
            Self::Deposit { envelope, .. } | Self::Append { envelope, .. } if !is_padded(envelope.len()) => {
                Err(DecodeError::Unpadded)
            }
            Self::Acknowledge { first, last, .. } if last < first => Err(DecodeError::Malformed),
            Self::KeepCredentials { username, password }
                if username.len().max(password.len()) > MAX_CREDENTIAL =>
            {
                Err(DecodeError::Malformed)
            }
            Self::Subscribe { .. }
            | Self::Unsubscribe { .. }
            | Self::Deposit { .. }
            | Self::Append { .. }
            | Self::Acknowledge { .. }
            | Self::RequestCredentials { .. }
            | Self::KeepCredentials { .. }
            | Self::Leave
            | Self::Ping { .. } => Ok(frame),
        }
    }

    /// Appends the frame's bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        minicbor::encode(self, out).expect("a vector takes every byte, and no frame has a failing field");
    }
}
