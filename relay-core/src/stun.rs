//! STUN over UDP (RFC 8489): decode a message strictly, check and add integrity, answer a Binding request.
//!
//! This is not a client and keeps no state: a Binding request is answered from its own bytes and the address
//! it came from, before anything else is looked at, so that it costs the box next to nothing.
//! A browser that hides its addresses behind `.local` names learns a plain address from that answer.
//!
//! Invariant: no byte from outside is used before [`Message::decode`] has walked the whole datagram, and
//! [`Message::attributes`] never yields an attribute that follows the integrity attribute.

mod binding;
mod integrity;
mod message;
mod reply;

pub use binding::answer_binding;
pub use integrity::{HashAlgorithm, IntegrityKey};
pub use message::{
    Attribute, Attributes, Class, DecodeError, HEADER_LEN, Integrity, MAGIC_COOKIE, Message, Method,
    TransactionId,
};
pub use reply::{MAX_REPLY, Reply};

pub(crate) use binding::unknown_attributes;
pub(crate) use message::xor_address;
pub(crate) use reply::response_type;

/// The bodies of the fuzz targets; not an interface.
#[doc(hidden)]
pub mod fuzzing {
    use core::net::SocketAddr;

    use super::{IntegrityKey, Message, answer_binding};

    /// Decodes any bytes, reads every attribute, checks an integrity and answers a Binding request.
    pub fn decode(data: &[u8]) {
        let client = SocketAddr::from(([192, 0, 2, 1], 9));
        let Ok(message) = Message::decode(data) else { return };
        let walked: usize = message.attributes().map(|attribute| attribute.value.len()).sum();
        assert!(walked <= data.len(), "attributes lie within the datagram");
        if message.integrity().is_some() {
            assert!(!message.verify(&IntegrityKey::md5("u", "r", "p")), "nobody signs with this key");
        }
        if let Some(reply) = answer_binding(&message, client) {
            Message::decode(reply.as_bytes()).expect("our own answer can be read");
        }
    }
}

#[cfg(test)]
mod tests;
