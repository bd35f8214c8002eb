//! What is in an opened envelope or a data channel frame: a [`Parcel`], and inside its MLS message a
//! [`Content`]. Both are CBOR arrays with a version in front; `docs/protocol/messages.md` describes them.

use core::fmt;

use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

use crate::api::{Signal, Text};
use crate::group::suite::GroupTag;

/// The version of parcels and contents.
pub(crate) const VERSION: u8 = 1;

/// Identifiers in one receipt.
pub(crate) const MAX_RECEIPT: usize = 256;

/// Signals in one content.
pub(crate) const MAX_SIGNALS: usize = 64;

/// Names one message end to end, in whatever parcels it travels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub(crate) struct DeliveryId(#[cbor(n(0), with = "minicbor::bytes")] pub(crate) [u8; 16]);

impl fmt::Debug for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeliveryId(..)")
    }
}

/// One MLS message on its way, and what a receiver needs to read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Parcel<'b> {
    #[n(0)]
    pub(crate) version: u8,
    /// Of a message that wants a receipt. It is not authenticated here; the content repeats it.
    #[n(1)]
    pub(crate) delivery: Option<DeliveryId>,
    #[n(2)]
    pub(crate) group: GroupTag,
    /// While the sender does not know that the receiver is in the group.
    #[b(3)]
    pub(crate) invitation: Option<Invitation<'b>>,
    /// An `MLSMessage` with a `PrivateMessage` (RFC 9420, section 6).
    #[b(4)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) message: &'b [u8],
}

/// Lets the receiver into a group, and says whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Invitation<'b> {
    /// The sender's signed directory entry, so that nothing depends on the directory having come first.
    #[b(0)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) entry: &'b [u8],
    /// An `MLSMessage` with a `Welcome`, the ratchet tree in it.
    #[b(1)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) welcome: &'b [u8],
}

impl<'b> Parcel<'b> {
    /// Reads a parcel of this version.
    pub(crate) fn decode(bytes: &'b [u8]) -> Result<Self, ParcelError> {
        decode_versioned(bytes)
    }

    /// Its bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}

/// A frame on a data channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum ChannelFrame<'b> {
    /// The bytes of a [`Parcel`].
    #[n(0)]
    Parcel(
        #[b(0)]
        #[cbor(with = "minicbor::bytes")]
        &'b [u8],
    ),
    /// Show that the path lives.
    #[n(1)]
    Ping(#[n(0)] u32),
    /// Answers a ping.
    #[n(2)]
    Pong(#[n(0)] u32),
}

impl<'b> ChannelFrame<'b> {
    /// Reads a frame that fills `bytes`.
    pub(crate) fn decode(bytes: &'b [u8]) -> Result<Self, ParcelError> {
        decode_whole(bytes)
    }

    /// Its bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}

/// What MLS protects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Content<'b> {
    #[n(0)]
    pub(crate) version: u8,
    /// See [`Body`]. An unknown kind is ignored, and receipted if it asks.
    #[n(1)]
    pub(crate) kind: u8,
    /// Wants a receipt with this identifier.
    #[n(2)]
    pub(crate) delivery: Option<DeliveryId>,
    /// CBOR, by kind.
    #[b(3)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) body: &'b [u8],
}

impl<'b> Content<'b> {
    /// Reads a content of this version.
    pub(crate) fn decode(bytes: &'b [u8]) -> Result<Self, ParcelError> {
        decode_versioned(bytes)
    }
}

/// The kinds of content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// Kind 0.
    Text(TextBody),
    /// Kind 1.
    Receipt(ReceiptBody),
    /// Kind 2.
    Signal(SignalBody),
    /// Made by a later version.
    Unknown,
}

/// Words.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct TextBody {
    /// The writer's count in this conversation, from 1.
    #[n(0)]
    pub(crate) order: u64,
    /// By the writer's clock.
    #[n(1)]
    pub(crate) at: u64,
    #[n(2)]
    pub(crate) text: Text,
}

/// These arrived and were shown, or will be in their order.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ReceiptBody {
    /// 1 to [`MAX_RECEIPT`].
    #[n(0)]
    pub(crate) deliveries: Vec<DeliveryId>,
}

/// A part of a WebRTC negotiation.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SignalBody {
    /// Counted by the side that offers. What is older than the newest is stale.
    #[n(0)]
    pub(crate) session: u64,
    /// From the polite side: please make a session newer than this one.
    #[n(1)]
    pub(crate) want: bool,
    /// At most [`MAX_SIGNALS`].
    #[n(2)]
    pub(crate) signals: Vec<Signal>,
}

impl Body {
    /// The bytes of the content that carries it, with room made before, so that no copy of the words is left
    /// behind where a vector grew.
    pub(crate) fn encode(&self, delivery: Option<DeliveryId>) -> Zeroizing<Vec<u8>> {
        let room = match self {
            Self::Text(body) => body.text.len() + 64,
            Self::Receipt(_) | Self::Signal(_) | Self::Unknown => 0,
        };
        let mut body = Zeroizing::new(Vec::with_capacity(room));
        match self {
            Self::Text(text) => encode_into(text, &mut body),
            Self::Receipt(receipt) => encode_into(receipt, &mut body),
            Self::Signal(signal) => encode_into(signal, &mut body),
            Self::Unknown => {}
        }
        let kind = match self {
            Self::Text(_) => 0,
            Self::Receipt(_) => 1,
            Self::Signal(_) => 2,
            Self::Unknown => u8::MAX,
        };
        let mut content = Zeroizing::new(Vec::with_capacity(room + 64));
        encode_into(&Content { version: VERSION, kind, delivery, body: &body }, &mut content);
        content
    }

    /// The body of `content`, within its limits.
    pub(crate) fn decode(content: &Content<'_>) -> Result<Self, ParcelError> {
        match content.kind {
            0 => {
                let body: TextBody = decode_whole(content.body)?;
                let bounded = body.order > 0 && !body.text.is_empty() && body.text.len() <= crate::MAX_TEXT;
                bounded.then_some(Self::Text(body)).ok_or(ParcelError::Malformed)
            }
            1 => {
                let body: ReceiptBody = decode_whole(content.body)?;
                let bounded = body.deliveries.len() <= MAX_RECEIPT;
                bounded.then_some(Self::Receipt(body)).ok_or(ParcelError::Malformed)
            }
            2 => {
                let body: SignalBody = decode_whole(content.body)?;
                let bounded =
                    body.signals.len() <= MAX_SIGNALS && body.signals.iter().all(Signal::is_bounded);
                bounded.then_some(Self::Signal(body)).ok_or(ParcelError::Malformed)
            }
            _ => Ok(Self::Unknown),
        }
    }
}

/// Why bytes are no parcel, content or entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParcelError {
    /// Of another version.
    Version,
    /// Anything else.
    Malformed,
}

/// Encodes into a new vector.
pub(crate) fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_into(value, &mut bytes);
    bytes
}

fn encode_into<T: Encode<()>>(value: &T, bytes: &mut Vec<u8>) {
    minicbor::encode(value, bytes).expect("a vector takes every byte, and no field fails to encode");
}

/// Decodes exactly one `T`.
pub(crate) fn decode_whole<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, ParcelError> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let value = decoder.decode().map_err(|_| ParcelError::Malformed)?;
    (decoder.position() == bytes.len()).then_some(value).ok_or(ParcelError::Malformed)
}

/// Decodes an array whose first element is [`VERSION`]; another version is told apart from nonsense.
pub(crate) fn decode_versioned<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, ParcelError> {
    let mut decoder = minicbor::Decoder::new(bytes);
    decoder.array().map_err(|_| ParcelError::Malformed)?;
    match decoder.u8() {
        Ok(VERSION) => decode_whole(bytes),
        Ok(_) => Err(ParcelError::Version),
        Err(_) => Err(ParcelError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_is_decoded() {
        let id = DeliveryId([1; 16]);
        let text = Body::Text(TextBody { order: 1, at: 2, text: "salut".into() });
        let bytes = text.encode(Some(id));
        let content = Content::decode(&bytes).unwrap();
        assert_eq!(content.delivery, Some(id));
        assert_eq!(Body::decode(&content), Ok(text));
        let parcel = Parcel {
            version: VERSION,
            delivery: Some(id),
            group: GroupTag([2; 16]),
            invitation: Some(Invitation { entry: b"entry", welcome: b"welcome" }),
            message: &bytes,
        };
        assert_eq!(Parcel::decode(&parcel.encode()), Ok(parcel));
        let frame = parcel.encode();
        let frame = ChannelFrame::Parcel(&frame);
        assert_eq!(ChannelFrame::decode(&frame.encode()), Ok(frame));
    }

    #[test]
    fn a_kind_of_a_later_version_is_known_to_be_unknown() {
        let content = Content { version: VERSION, kind: 77, delivery: None, body: b"\xff\xff" };
        assert_eq!(Body::decode(&content), Ok(Body::Unknown));
    }

    #[test]
    fn another_version_is_told_from_nonsense() {
        let content = Content { version: 2, kind: 0, delivery: None, body: b"" };
        assert_eq!(Content::decode(&encode(&content)).err(), Some(ParcelError::Version));
        assert_eq!(Content::decode(b"\x00").err(), Some(ParcelError::Malformed));
    }

    #[test]
    fn what_is_beyond_its_limit_is_refused() {
        let refused = |body: Body| Body::decode(&Content::decode(&body.encode(None)).unwrap()).is_err();
        let text = |len: usize| Body::Text(TextBody { order: 1, at: 0, text: "x".repeat(len).into() });
        assert!(!refused(text(crate::MAX_TEXT)));
        assert!(refused(text(crate::MAX_TEXT + 1)));
        assert!(refused(text(0)));
        let receipt = |len: usize| Body::Receipt(ReceiptBody { deliveries: vec![DeliveryId([0; 16]); len] });
        assert!(!refused(receipt(MAX_RECEIPT)));
        assert!(refused(receipt(MAX_RECEIPT + 1)));
        let signal = |sdp: usize, count: usize| {
            let offer = Signal::Offer { sdp: "s".repeat(sdp).into() };
            Body::Signal(SignalBody { session: 1, want: false, signals: vec![offer; count] })
        };
        assert!(!refused(signal(crate::MAX_SDP, 1)));
        assert!(refused(signal(crate::MAX_SDP + 1, 1)));
        assert!(refused(signal(1, MAX_SIGNALS + 1)));
    }
}
