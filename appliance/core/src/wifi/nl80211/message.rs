//! The frame around everything: netlink headers, and attributes within attributes.
//!
//! Integers are in the order of this machine, as netlink never leaves it.

use std::fmt;

/// A netlink header.
const HEADER: usize = 16;
/// The generic netlink header after it.
const GENERIC: usize = 4;
/// Bits of an attribute's type that are flags: nested, and network byte order.
const TYPE: u16 = 0x3fff;

/// The kernel's bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageError;

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a netlink message is cut short or contradicts itself")
    }
}

impl std::error::Error for MessageError {}

/// One netlink message.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Which family, or [`DONE`](super::DONE) or [`ERROR`](super::ERROR).
    pub kind: u16,
    /// Whose answer it is.
    pub sequence: u32,
    /// The command of a generic message.
    pub command: u8,
    payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// What a generic message carries.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes(self.payload.get(GENERIC..).unwrap_or_default())
    }

    /// The error of an [`ERROR`](super::ERROR) or [`DONE`](super::DONE) message, as a positive number; 0 is
    /// none.
    #[must_use]
    pub fn error(&self) -> i32 {
        self.payload.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes).saturating_neg())
    }
}

/// The messages of one datagram.
#[derive(Clone, Debug)]
pub struct Frames<'a>(&'a [u8]);

impl<'a> Frames<'a> {
    /// Over the bytes of a datagram.
    #[must_use]
    pub const fn new(datagram: &'a [u8]) -> Self {
        Self(datagram)
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, MessageError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let frame = frame(self.0);
        self.0 = match frame {
            Ok((_, rest)) => rest,
            Err(_) => &[],
        };
        Some(frame.map(|(frame, _)| frame))
    }
}

fn frame(bytes: &[u8]) -> Result<(Frame<'_>, &[u8]), MessageError> {
    let [l0, l1, l2, l3, k0, k1, _, _, s0, s1, s2, s3, ..] = *bytes else { return Err(MessageError) };
    let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).map_err(|_| MessageError)?;
    if length < HEADER {
        return Err(MessageError);
    }
    let (whole, _) = bytes.split_at_checked(length).ok_or(MessageError)?;
    let payload = whole.get(HEADER..).unwrap_or_default();
    let rest = bytes.get(aligned(length)..).unwrap_or_default();
    let frame = Frame {
        kind: u16::from_ne_bytes([k0, k1]),
        sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
        command: payload.first().copied().unwrap_or(0),
        payload,
    };
    Ok((frame, rest))
}

const fn aligned(length: usize) -> usize {
    length.saturating_add(3) & !3
}

/// Attributes one after the other: pairs of type and bytes. What is cut short ends them.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Over bytes that hold nothing but attributes.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The value of the first attribute of this type.
    #[must_use]
    pub fn get(self, kind: u16) -> Option<Value<'a>> {
        self.into_iter().find(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    /// Whether there is an attribute of this type.
    #[must_use]
    pub fn has(self, kind: u16) -> bool {
        self.get(kind).is_some()
    }
}

impl<'a> IntoIterator for Attributes<'a> {
    type Item = (u16, Value<'a>);
    type IntoIter = AttributeIter<'a>;

    fn into_iter(self) -> AttributeIter<'a> {
        AttributeIter(self.0)
    }
}

/// Goes through [`Attributes`].
#[derive(Clone, Debug)]
pub struct AttributeIter<'a>(&'a [u8]);

impl<'a> Iterator for AttributeIter<'a> {
    type Item = (u16, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let [l0, l1, k0, k1, ..] = *self.0 else { return None };
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(aligned(length)..).unwrap_or_default();
        Some((u16::from_ne_bytes([k0, k1]) & TYPE, Value(value)))
    }
}

/// The value of an attribute.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a>(&'a [u8]);

impl<'a> Value<'a> {
    /// Its bytes.
    #[must_use]
    pub const fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// Attributes within it.
    #[must_use]
    pub const fn nested(self) -> Attributes<'a> {
        Attributes(self.0)
    }

    /// A number of 16 bits.
    #[must_use]
    pub fn u16(self) -> Option<u16> {
        self.0.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
    }

    /// A number of 32 bits.
    #[must_use]
    pub fn u32(self) -> Option<u32> {
        self.0.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
    }

    /// A number of 64 bits.
    #[must_use]
    pub fn u64(self) -> Option<u64> {
        self.0.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))
    }

    /// Text up to its closing zero, when it is a plain name of at most `most` characters that cannot lead to
    /// another directory.
    #[must_use]
    pub fn name(self, most: usize) -> Option<&'a str> {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        let name = std::str::from_utf8(self.0.get(..end)?).ok()?;
        let plain = name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
        (plain && (1..=most).contains(&name.len()) && !name.starts_with('.')).then_some(name)
    }
}
