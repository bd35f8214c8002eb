//! An answer, written into a fixed buffer: no allocation, and no answer longer than it should be.
//!
//! Answers carry no SOFTWARE: nobody needs to know what the box runs.

use core::fmt;

use stun_types::attribute::{AttributeWrite, AttributeWriteExt, Fingerprint};

use super::integrity::{HashAlgorithm, IntegrityKey};
use super::message::{Class, HEADER_LEN, MAGIC_COOKIE, Message};

/// The longest answer: an error with a challenge, unknown attributes, integrity and fingerprint has room.
pub const MAX_REPLY: usize = 320;

const MESSAGE_INTEGRITY: u16 = 0x0008;
const MESSAGE_INTEGRITY_SHA256: u16 = 0x001C;

/// The answer to one message.
#[derive(Clone)]
pub struct Reply {
    bytes: [u8; MAX_REPLY],
    len: usize,
    fingerprint: bool,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("len", &self.len).finish_non_exhaustive()
    }
}

impl Reply {
    /// Starts the success response to `request`.
    pub fn success(request: &Message<'_>) -> Self {
        Self::new(request, Class::Success)
    }

    /// Starts the error response to `request`.
    pub fn error(request: &Message<'_>) -> Self {
        Self::new(request, Class::Error)
    }

    /// Starts a response to a request of which only these two are still known.
    pub(crate) fn from_header(kind: u16, transaction: [u8; 12], fingerprint: bool) -> Self {
        let mut reply = Self { bytes: [0; MAX_REPLY], len: 0, fingerprint };
        reply.push(&kind.to_be_bytes());
        reply.push(&[0, 0]);
        reply.push(&MAGIC_COOKIE.to_be_bytes());
        reply.push(&transaction);
        reply
    }

    /// Adds an attribute.
    pub fn add<A: AttributeWrite>(&mut self, attribute: &A) {
        // What does not fit is left out. MAX_REPLY is made so that all fits, and a test holds it to that.
        if let Some(Ok(written)) = self.bytes.get_mut(self.len..).map(|room| attribute.write_into(room)) {
            self.len += written;
            self.set_length(0);
        }
    }

    /// Adds an attribute from its bytes.
    pub(crate) fn add_raw(&mut self, kind: u16, value: &[u8]) {
        let padding = value.len().next_multiple_of(4) - value.len();
        if self.len + 4 + value.len() + padding > MAX_REPLY {
            return;
        }
        self.push(&kind.to_be_bytes());
        self.push(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        self.push(value);
        self.push([0; 3].get(..padding).unwrap_or_default());
        self.set_length(0);
    }

    /// Adds the integrity attribute. Only the fingerprint may follow.
    pub fn sign(&mut self, key: &IntegrityKey, algorithm: HashAlgorithm) {
        let value = key.sign(algorithm, self.as_bytes());
        let kind = match algorithm {
            HashAlgorithm::Sha1 => MESSAGE_INTEGRITY,
            HashAlgorithm::Sha256 => MESSAGE_INTEGRITY_SHA256,
        };
        self.add_raw(kind, value.get(..algorithm.output_len()).unwrap_or_default());
    }

    /// Ends the answer: with a FINGERPRINT when the request had one.
    #[must_use]
    pub fn finish(mut self) -> Self {
        if self.fingerprint {
            self.set_length(8);
            let fingerprint = Fingerprint::new(Fingerprint::compute(&[self.as_bytes()]));
            self.add(&fingerprint);
        }
        self
    }

    /// The bytes to send.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn new(request: &Message<'_>, class: Class) -> Self {
        let kind = response_type(request.type_number(), class);
        Self::from_header(kind, request.transaction().0, request.has_fingerprint())
    }

    fn push(&mut self, bytes: &[u8]) {
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        room.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        self.len = (self.len + bytes.len()).min(MAX_REPLY);
    }

    /// Writes the length into the header, counting `more` bytes that are still to come.
    fn set_length(&mut self, more: usize) {
        let length = u16::try_from(self.len + more - HEADER_LEN).unwrap_or(u16::MAX);
        if let Some(field) = self.bytes.get_mut(2..4) {
            field.copy_from_slice(&length.to_be_bytes());
        }
    }
}

/// The message type of the response to a request of type `kind`.
pub(crate) const fn response_type(kind: u16, class: Class) -> u16 {
    match class {
        Class::Success => kind | 0x0100,
        Class::Error => kind | 0x0110,
        Class::Request | Class::Indication => kind,
    }
}
