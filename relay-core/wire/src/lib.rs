//! What a client and the node say to each other, and nothing of what it means.
//!
//! One session is one ordered, reliable stream of frames. Its carriers are a WebSocket with the subprotocol
//! [`SUBPROTOCOL`], one binary message per frame; a WebRTC data channel that carries [pieces](Pieces); and plain
//! requests that carry [`Batch`]es.
//! Frames are CBOR (RFC 8949) arrays;
//! `docs/protocol/session.cddl` describes them in CDDL (RFC 8610).
//!
//! The node learns 32-byte [`Address`]es and padded [envelopes](BLOCK). It learns no name, no key that outlives
//! a mailbox, and no content.
#![forbid(unsafe_code)]

mod address;
mod batch;
mod client;
mod handshake;
mod invite;
mod node;
mod piece;
mod ttl;

pub use address::{Address, Challenge, Kind, ReceiveKey, Signature};
pub use batch::{Batch, MAX_BATCH, MAX_BATCH_FRAMES, frames_of};
pub use client::ClientFrame;
pub use ed25519_dalek::SigningKey;
pub use handshake::{ChannelAnswer, ChannelOffer, MAX_CANDIDATES, MAX_HANDSHAKE, Side};
pub use invite::{BubbleSecret, Invite, InviteError, JoinLink, Pin};
pub use node::{Limits, NodeFrame, Reason, encode_deliver_head};
pub use piece::{MAX_PIECE, Pieces, pieces_of};
pub use ttl::Ttl;

/// The WebSocket subprotocol, which names the version of the frames.
pub const SUBPROTOCOL: &str = "bulle.v1";

/// Envelopes are padded to whole blocks of this many bytes.
pub const BLOCK: usize = 4096;

/// The most blocks in one envelope.
pub const MAX_BLOCKS: usize = 16;

/// The largest envelope, in bytes.
pub const MAX_ENVELOPE: usize = BLOCK * MAX_BLOCKS;

/// The largest frame in either direction, in bytes: an envelope and what surrounds it.
pub const MAX_FRAME: usize = MAX_ENVELOPE + 256;

/// The longest user name or password of TURN that a frame may carry, in bytes.
pub const MAX_CREDENTIAL: usize = 128;

/// Why bytes are no frame. It says where, and nothing of what they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// More than [`MAX_FRAME`] bytes.
    TooLarge,
    /// Not the CBOR of any frame known to this version.
    Malformed,
    /// A frame, and bytes after it.
    Trailing,
    /// An envelope that is empty, too large, or not whole blocks.
    Unpadded,
}

impl core::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the frame is larger than the protocol allows",
            Self::Malformed => "the bytes are not a frame of this protocol",
            Self::Trailing => "there are bytes after the frame",
            Self::Unpadded => "the envelope is not made of whole blocks",
        })
    }
}

impl core::error::Error for DecodeError {}

/// Decodes exactly one `T` out of `bytes`.
fn decode_whole<'b, T: minicbor::Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, DecodeError> {
    if bytes.len() > MAX_FRAME {
        return Err(DecodeError::TooLarge);
    }
    let mut decoder = minicbor::Decoder::new(bytes);
    let frame = decoder.decode().map_err(|_| DecodeError::Malformed)?;
    if decoder.position() != bytes.len() {
        return Err(DecodeError::Trailing);
    }
    Ok(frame)
}

/// Whether `len` bytes are a well-formed envelope: whole blocks, at least one, at most [`MAX_BLOCKS`].
pub const fn is_padded(len: usize) -> bool {
    len != 0 && len <= MAX_ENVELOPE && len.is_multiple_of(BLOCK)
}

/// Bodies of the fuzz targets; they keep compiling because the tests replay the corpus through them.
#[doc(hidden)]
pub mod fuzzing {
    /// Whatever decodes must encode to something that decodes to the same.
    pub fn client_frame(data: &[u8]) {
        if let Ok(frame) = super::ClientFrame::decode(data) {
            let mut bytes = Vec::new();
            frame.encode(&mut bytes);
            assert_eq!(super::ClientFrame::decode(&bytes).as_ref(), Ok(&frame));
        }
    }

    /// As [`client_frame`], for what the node says.
    pub fn node_frame(data: &[u8]) {
        if let Ok(frame) = super::NodeFrame::decode(data) {
            let mut bytes = Vec::new();
            frame.encode(&mut bytes);
            assert_eq!(super::NodeFrame::decode(&bytes).as_ref(), Ok(&frame));
        }
    }

    /// A batch is its frames and nothing else.
    pub fn batch(data: &[u8]) {
        if let Ok(frames) = super::frames_of(data) {
            let mut again = super::Batch::default();
            for frame in frames {
                assert!(!again.is_full() && frame.len() <= super::MAX_FRAME);
                again.push(frame);
            }
            assert!(!again.is_empty());
            assert_eq!(again.into_bytes(), data);
        }
    }

    /// What opens a data channel: whatever decodes encodes to the same, and can stand in a session description.
    pub fn handshake(data: &[u8]) {
        let sound = |side: &super::Side| {
            let text = format!("{}{}", side.ufrag, side.password);
            assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':'));
        };
        if let Ok(offer) = super::ChannelOffer::decode(data) {
            sound(&offer.0);
            assert_eq!(super::ChannelOffer::decode(&offer.encode()).as_ref(), Ok(&offer));
        }
        if let Ok(answer) = super::ChannelAnswer::decode(data) {
            sound(&answer.side);
            assert!(answer.addresses.len() <= super::MAX_CANDIDATES);
            assert_eq!(super::ChannelAnswer::decode(&answer.encode()).as_ref(), Ok(&answer));
        }
    }

    /// Messages of a data channel, each with its length before it: no more is kept than a frame, and a frame goes
    /// out in pieces as it came.
    pub fn pieces(data: &[u8]) {
        let (mut pieces, mut rest) = (super::Pieces::default(), data);
        while let Some((length, after)) = rest.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
            let (piece, after) = after.split_at(length);
            rest = after;
            match pieces.push(piece) {
                Ok(Some(frame)) => {
                    assert!(frame.len() <= super::MAX_FRAME);
                    let mut again = super::Pieces::default();
                    let last = super::pieces_of(&frame).map(|piece| again.push(&piece)).last();
                    assert_eq!(last, Some(Ok(Some(frame))));
                }
                Ok(None) => {}
                Err(_) => return,
            }
        }
    }

    /// A join link that parses must print to a link that parses to the same.
    pub fn join_link(data: &[u8]) {
        if let Ok(text) = core::str::from_utf8(data)
            && let Ok(link) = super::JoinLink::parse(text)
        {
            assert_eq!(super::JoinLink::parse(&link.to_link()).as_ref(), Ok(&link));
        }
    }
}
