//! Every key that all members of a bubble share, derived from its secret by HKDF-SHA256 (RFC 5869).
//!
//! These keys hide things from the node and from strangers. They open no conversation: that is MLS's business.
//! The test vectors in `docs/protocol/messages.md` are checked by a test.

use ed25519_dalek::SigningKey;
use hkdf::Hkdf;
use sha2::Sha256;
use wire::{Address, BubbleSecret, Kind, ReceiveKey};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Opens and closes the envelopes of one mailbox.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct SealKey([u8; 32]);

impl SealKey {
    /// The key of one envelope, used once, so that no nonce can ever repeat.
    pub(crate) fn for_envelope(&self, salt: &[u8; 32]) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        expand(&Hkdf::<Sha256>::new(Some(salt), &self.0), &[b"bulle/1 envelope\0"], &mut *key);
        key
    }

    #[cfg(test)]
    pub(crate) const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What a member derives from the bubble's secret.
pub(crate) struct BubbleKeys {
    root: Hkdf<Sha256>,
    /// Reads the directory log; every member holds it.
    pub(crate) directory_receive: SigningKey,
    /// Where the directory log is, which also names the bubble in signatures.
    pub(crate) directory: Address,
    /// Seals directory entries.
    pub(crate) directory_seal: SealKey,
}

impl BubbleKeys {
    /// Derives them.
    pub(crate) fn of(secret: &BubbleSecret) -> Self {
        let root = Hkdf::<Sha256>::new(Some(b"bulle/1 bubble\0"), secret.expose());
        let mut seed = Zeroizing::new([0; 32]);
        expand(&root, &[b"bulle/1 directory receive key\0"], &mut *seed);
        let directory_receive = SigningKey::from_bytes(&seed);
        let directory = Address::of(Kind::Log, &ReceiveKey::of(&directory_receive));
        let mut seal = SealKey([0; 32]);
        expand(&root, &[b"bulle/1 directory\0"], &mut seal.0);
        Self { root, directory_receive, directory, directory_seal: seal }
    }

    /// The key that seals what is deposited in an inbox.
    pub(crate) fn inbox(&self, address: &Address) -> SealKey {
        let mut seal = SealKey([0; 32]);
        expand(&self.root, &[b"bulle/1 inbox\0", address.expose()], &mut seal.0);
        seal
    }
}

/// HKDF-Expand to 32 bytes, which is within what SHA-256 can give.
fn expand(hkdf: &Hkdf<Sha256>, info: &[&[u8]], out: &mut [u8; 32]) {
    hkdf.expand_multi_info(info, out).expect("32 bytes are less than 255 hashes");
}
