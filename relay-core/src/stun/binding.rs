//! The Binding method (RFC 8489, section 12): from the bytes and the sender's address alone.
//!
//! Not authenticated and without state. The answer is at most 1.6 times as long as the request (IPv4 with
//! fingerprint 1.4), so that it is no use to anybody who forges addresses.

use core::net::SocketAddr;

use stun_types::attribute::{
    AttributeStaticType, AttributeType, ErrorCode, MessageIntegrity, Nonce, PasswordAlgorithm, Realm,
    UnknownAttributes, Userhash, Username, XorMappedAddress,
};

use super::message::{Class, Message, Method, xor_address};
use super::reply::Reply;

/// How many unknown attributes an answer lists.
pub(crate) const MAX_UNKNOWN_LISTED: usize = 16;

/// Answers `message` if it is a Binding request, and tells the client that it is seen as `client`.
pub fn answer_binding(message: &Message<'_>, client: SocketAddr) -> Option<Reply> {
    if message.class() != Class::Request || message.method() != Method::Binding {
        return None;
    }
    let unknown =
        message.attributes().any(|a| a.comprehension_required() && !is_known(AttributeType::new(a.kind)));
    if unknown {
        return Some(unknown_attributes(message, is_known).finish());
    }
    let mut reply = Reply::success(message);
    let mut value = [0; 20];
    let length = xor_address(client, message.transaction(), &mut value);
    reply.add_raw(XorMappedAddress::TYPE.value(), value.get(..length).unwrap_or_default());
    Some(reply.finish())
}

/// The 420 answer that lists what `is_known` does not know (RFC 8489, section 6.3.1), not yet finished.
pub(crate) fn unknown_attributes(message: &Message<'_>, is_known: fn(AttributeType) -> bool) -> Reply {
    let mut listed: Vec<AttributeType> = Vec::new();
    for attribute in message.attributes().filter(super::Attribute::comprehension_required) {
        let kind = AttributeType::new(attribute.kind);
        if !is_known(kind) && !listed.contains(&kind) && listed.len() < MAX_UNKNOWN_LISTED {
            listed.push(kind);
        }
    }
    let mut reply = Reply::error(message);
    if let Ok(error) = ErrorCode::new(ErrorCode::UNKNOWN_ATTRIBUTE, "Unknown Attribute") {
        reply.add(&error);
    }
    reply.add(&UnknownAttributes::new(&listed));
    reply
}

/// What may stand in a Binding request. Credentials are understood and not needed.
fn is_known(kind: AttributeType) -> bool {
    [
        Username::TYPE,
        Userhash::TYPE,
        Realm::TYPE,
        Nonce::TYPE,
        MessageIntegrity::TYPE,
        PasswordAlgorithm::TYPE,
    ]
    .contains(&kind)
}
