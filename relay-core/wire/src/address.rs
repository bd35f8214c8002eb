//! Where an envelope goes: 32 bytes that mean nothing to the node.

use core::fmt;

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};

/// What a mailbox does with an envelope that was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Kind {
    /// Delivered to one reader and gone when that reader acknowledges it.
    #[n(1)]
    Queue,
    /// Delivered to every reader, in one order for all, and gone when its time is over.
    #[n(2)]
    Log,
}

/// The name of a mailbox: the hash of its kind and of a receive key that only the readers hold.
///
/// It identifies a conversation to whoever watches the node, so it is never shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Address(#[cbor(n(0), with = "minicbor::bytes")] [u8; 32]);

impl Address {
    /// The address that readers holding `key` may subscribe to.
    pub fn of(kind: Kind, key: &ReceiveKey) -> Self {
        let kind = match kind {
            Kind::Queue => 1_u8,
            Kind::Log => 2,
        };
        Self(
            Sha256::new()
                .chain_update(b"bulle/1 address\0")
                .chain_update([kind])
                .chain_update(key.0)
                .finalize()
                .into(),
        )
    }

    /// An address as it came from a trusted place, such as a sealed directory entry.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for putting them into a sealed record; never for showing them.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(..)")
    }
}

/// The public half of the key that opens a mailbox: Ed25519 (RFC 8032).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct ReceiveKey(#[cbor(n(0), with = "minicbor::bytes")] [u8; 32]);

impl ReceiveKey {
    /// The public half of `key`.
    pub fn of(key: &SigningKey) -> Self {
        Self(key.verifying_key().to_bytes())
    }

    /// Whether `signature` shows that its maker holds this key and was asked in this session.
    ///
    /// Strict verification: small-order keys and malleable signatures are refused.
    pub fn verifies(&self, kind: Kind, challenge: &Challenge, signature: &Signature) -> bool {
        let Ok(key) = VerifyingKey::from_bytes(&self.0) else { return false };
        let message = subscription(kind, challenge, self);
        key.verify_strict(&message, &ed25519_dalek::Signature::from_bytes(&signature.0)).is_ok()
    }
}

impl fmt::Debug for ReceiveKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReceiveKey(..)")
    }
}

/// Fresh for each session, so that a signature is worth nothing in another one.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Challenge(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 32]);

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenge(..)")
    }
}

/// Ed25519 over the session's challenge, the kind and the receive key.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Signature(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 64]);

impl Signature {
    /// Shows to the node that asked with `challenge` that the caller holds `key`.
    pub fn subscribe(key: &SigningKey, kind: Kind, challenge: &Challenge) -> Self {
        Self(key.sign(&subscription(kind, challenge, &ReceiveKey::of(key))).to_bytes())
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(..)")
    }
}

/// The signed text: a context of its own, so that no signature serves two purposes.
fn subscription(kind: Kind, challenge: &Challenge, key: &ReceiveKey) -> Vec<u8> {
    let mut message = Vec::with_capacity(96);
    message.extend_from_slice(b"bulle/1 subscribe\0");
    message.push(match kind {
        Kind::Queue => 1,
        Kind::Log => 2,
    });
    message.extend_from_slice(&challenge.0);
    message.extend_from_slice(&key.0);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    #[test]
    fn a_signature_serves_its_own_session_kind_and_key_only() {
        let (mine, other) = (key(1), key(2));
        let challenge = Challenge([7; 32]);
        let signature = Signature::subscribe(&mine, Kind::Queue, &challenge);
        let public = ReceiveKey::of(&mine);
        assert!(public.verifies(Kind::Queue, &challenge, &signature));
        assert!(!public.verifies(Kind::Log, &challenge, &signature));
        assert!(!public.verifies(Kind::Queue, &Challenge([8; 32]), &signature));
        assert!(!ReceiveKey::of(&other).verifies(Kind::Queue, &challenge, &signature));
    }

    #[test]
    fn a_queue_and_a_log_of_one_key_have_different_addresses() {
        let public = ReceiveKey::of(&key(1));
        assert_ne!(Address::of(Kind::Queue, &public), Address::of(Kind::Log, &public));
    }

    #[test]
    fn nothing_of_an_address_is_shown() {
        let public = ReceiveKey::of(&key(1));
        assert_eq!(format!("{:?} {public:?}", Address::of(Kind::Log, &public)), "Address(..) ReceiveKey(..)");
    }
}
