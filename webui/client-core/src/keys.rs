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
        expand(&Hkdf::<Sha256>::new(Some(salt), &self.0), &[b"bulle/1 envelope\0"], &mut key);
        key
    }

    #[cfg(test)]
    pub(crate) const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What a member derives from the bubble's secret.
pub(crate) struct BubbleKeys {
    root: Zeroizing<[u8; 32]>,
    /// Reads the directory log; every member holds it.
    pub(crate) directory_receive: SigningKey,
    /// Where the directory log is, which also names the bubble in signatures.
    pub(crate) directory: Address,
    /// Seals directory entries.
    pub(crate) directory_seal: SealKey,
    /// Reads the log of a bubble that broadcasts; every member holds it.
    pub(crate) broadcast_receive: SigningKey,
    /// Where that log is.
    pub(crate) broadcast: Address,
    /// Seals the blocks in it.
    pub(crate) broadcast_seal: SealKey,
}

impl BubbleKeys {
    /// Derives them.
    pub(crate) fn of(secret: &BubbleSecret) -> Self {
        let (prk, _) = Hkdf::<Sha256>::extract(Some(b"bulle/1 bubble\0"), secret.expose());
        let root = Zeroizing::new(<[u8; 32]>::from(prk));
        let (directory_receive, directory, directory_seal) =
            log(&root, b"bulle/1 directory receive key\0", b"bulle/1 directory\0");
        let (broadcast_receive, broadcast, broadcast_seal) =
            log(&root, b"bulle/1 broadcast receive key\0", b"bulle/1 broadcast\0");
        Self {
            root,
            directory_receive,
            directory,
            directory_seal,
            broadcast_receive,
            broadcast,
            broadcast_seal,
        }
    }

    /// The key that seals what is deposited in an inbox.
    pub(crate) fn inbox(&self, address: &Address) -> SealKey {
        let mut seal = SealKey([0; 32]);
        expand(&from_root(&self.root), &[b"bulle/1 inbox\0", address.expose()], &mut seal.0);
        seal
    }
}

/// The keys of a log that all members read, and where it is.
fn log(root: &[u8; 32], receive: &[u8], seal: &[u8]) -> (SigningKey, Address, SealKey) {
    let mut seed = Zeroizing::new([0; 32]);
    expand(&from_root(root), &[receive], &mut seed);
    let receive = SigningKey::from_bytes(&seed);
    let address = Address::of(Kind::Log, &ReceiveKey::of(&receive));
    let mut key = SealKey([0; 32]);
    expand(&from_root(root), &[seal], &mut key.0);
    (receive, address, key)
}

/// The root is a pseudorandom key already.
fn from_root(root: &[u8; 32]) -> Hkdf<Sha256> {
    Hkdf::from_prk(root).expect("32 bytes are a whole hash")
}

/// HKDF-Expand to 32 bytes, which is within what SHA-256 can give.
fn expand(hkdf: &Hkdf<Sha256>, info: &[&[u8]], out: &mut [u8; 32]) {
    hkdf.expand_multi_info(info, out).expect("32 bytes are less than 255 hashes");
}

#[cfg(test)]
mod tests {
    use rand_core::RngCore;
    use sha2::Digest;

    use super::*;

    /// The table at the end of the document, made by another implementation.
    fn vector(name: &str) -> Vec<u8> {
        let document = include_str!("../../../docs/protocol/messages.md");
        let (_, document) = document.split_once("## Test vectors").unwrap();
        let row = document
            .lines()
            .find_map(|line| line.strip_prefix(format!("| {name} | `").as_str()))
            .expect(name);
        let hex = row.split('`').next().unwrap();
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// Random bytes that are not.
    struct Fixed(Vec<u8>);

    impl RngCore for Fixed {
        fn next_u32(&mut self) -> u32 {
            0
        }

        fn next_u64(&mut self) -> u64 {
            0
        }

        fn fill_bytes(&mut self, to: &mut [u8]) {
            to.copy_from_slice(&self.0);
        }

        fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), rand_core::Error> {
            self.fill_bytes(to);
            Ok(())
        }
    }

    #[test]
    fn the_published_vectors_hold() {
        let keys = BubbleKeys::of(&BubbleSecret::from_random(vector("secret").try_into().unwrap()));
        assert_eq!(keys.directory_receive.to_bytes().as_slice(), vector("directory receive key, seed"));
        let public = keys.directory_receive.verifying_key().to_bytes();
        assert_eq!(public.as_slice(), vector("directory receive key, public"));
        assert_eq!(keys.directory.expose().as_slice(), vector("directory address"));
        assert_eq!(keys.directory_seal.expose().as_slice(), vector("directory seal key"));

        assert_eq!(keys.broadcast_receive.to_bytes().as_slice(), vector("broadcast receive key, seed"));
        assert_eq!(keys.broadcast.expose().as_slice(), vector("broadcast address"));
        assert_eq!(keys.broadcast_seal.expose().as_slice(), vector("broadcast seal key"));

        let inbox = SigningKey::from_bytes(&vector("inbox receive key, seed").try_into().unwrap());
        assert_eq!(inbox.verifying_key().to_bytes().as_slice(), vector("inbox receive key, public"));
        let address = Address::of(Kind::Queue, &ReceiveKey::of(&inbox));
        assert_eq!(address.expose().as_slice(), vector("inbox address"));
        let seal = keys.inbox(&address);
        assert_eq!(seal.expose().as_slice(), vector("inbox seal key"));

        let salt = vector("envelope salt");
        assert_eq!(seal.for_envelope(&salt.clone().try_into().unwrap()).as_slice(), vector("envelope key"));
        let envelope =
            crate::envelope::seal(&seal, Kind::Queue, &address, b"salut", &mut Fixed(salt)).unwrap();
        assert_eq!(Sha256::digest(&envelope).as_slice(), vector("SHA-256 of the envelope of `salut`"));
    }
}
