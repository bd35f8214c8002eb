//! What the node sees of us: whole blocks of bytes that look random.
//!
//! `salt(32) || AES-256-GCM(key, nonce = 0, aad, length(4, big endian) || content || zeros)`, where the key is
//! derived from the mailbox's key and the salt and used once. The associated data binds kind and address, so
//! that an envelope put into another mailbox does not open.

use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use rand_core::RngCore;
use wire::{Address, BLOCK, Kind, MAX_ENVELOPE};
use zeroize::Zeroizing;

use crate::keys::SealKey;

const SALT: usize = 32;
const TAG: usize = 16;
const LENGTH: usize = 4;

/// What an envelope has besides its content.
pub(crate) const OVERHEAD: usize = SALT + TAG + LENGTH;

/// The most content that fits into an envelope.
pub(crate) const MAX_CONTENT: usize = MAX_ENVELOPE - OVERHEAD;

/// Seals `content` for the mailbox at `address`; none when it is larger than [`MAX_CONTENT`].
pub(crate) fn seal(
    key: &SealKey,
    kind: Kind,
    address: &Address,
    content: &[u8],
    rng: &mut impl RngCore,
) -> Option<Vec<u8>> {
    if content.len() > MAX_CONTENT {
        return None;
    }
    let total = (OVERHEAD + content.len()).next_multiple_of(BLOCK);
    let mut salt = [0; SALT];
    rng.fill_bytes(&mut salt);
    let mut envelope = Vec::with_capacity(total);
    envelope.extend_from_slice(&salt);
    envelope.extend_from_slice(&u32::try_from(content.len()).ok()?.to_be_bytes());
    envelope.extend_from_slice(content);
    envelope.resize(total - TAG, 0);
    let (_, plain) = envelope.split_at_mut(SALT);
    let tag =
        cipher(key, &salt).encrypt_in_place_detached(&Nonce::default(), &aad(kind, address), plain).ok()?;
    envelope.extend_from_slice(&tag);
    Some(envelope)
}

/// Opens an envelope from the mailbox at `address`; none when it was not sealed for it with this key.
pub(crate) fn open(
    key: &SealKey,
    kind: Kind,
    address: &Address,
    envelope: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    if !wire::is_padded(envelope.len()) {
        return None;
    }
    let (salt, rest) = envelope.split_first_chunk::<SALT>()?;
    let (sealed, tag) = rest.split_at_checked(rest.len().checked_sub(TAG)?)?;
    let mut plain = Zeroizing::new(sealed.to_vec());
    cipher(key, salt)
        .decrypt_in_place_detached(&Nonce::default(), &aad(kind, address), &mut plain, Tag::from_slice(tag))
        .ok()?;
    let (length, content) = plain.split_first_chunk::<LENGTH>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    Some(Zeroizing::new(content.get(..length)?.to_vec()))
}

fn cipher(key: &SealKey, salt: &[u8; SALT]) -> Aes256Gcm {
    Aes256Gcm::new((&*key.for_envelope(salt)).into())
}

fn aad(kind: Kind, address: &Address) -> Vec<u8> {
    let mut aad = b"bulle/1 envelope\0".to_vec();
    aad.push(match kind {
        Kind::Queue => 1,
        Kind::Log => 2,
    });
    aad.extend_from_slice(address.expose());
    aad
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::keys::BubbleKeys;

    fn fixture() -> (SealKey, Address, ChaCha20Rng) {
        let keys = BubbleKeys::of(&wire::BubbleSecret::from_random([7; 32]));
        let address = Address::from_bytes([3; 32]);
        (keys.inbox(&address), address, ChaCha20Rng::from_seed([1; 32]))
    }

    #[test]
    fn an_envelope_opens_in_its_own_mailbox_only() {
        let (key, address, mut rng) = fixture();
        let envelope = seal(&key, Kind::Queue, &address, b"words", &mut rng).unwrap();
        assert_eq!(open(&key, Kind::Queue, &address, &envelope).unwrap().as_slice(), b"words");
        assert!(open(&key, Kind::Log, &address, &envelope).is_none());
        assert!(open(&key, Kind::Queue, &Address::from_bytes([4; 32]), &envelope).is_none());
        let other = BubbleKeys::of(&wire::BubbleSecret::from_random([8; 32])).inbox(&address);
        assert!(open(&other, Kind::Queue, &address, &envelope).is_none());
    }

    #[test]
    fn every_size_is_whole_blocks_and_the_largest_fits() {
        let (key, address, mut rng) = fixture();
        for len in [0, 1, BLOCK - OVERHEAD, BLOCK - OVERHEAD + 1, MAX_CONTENT] {
            let content = vec![5; len];
            let envelope = seal(&key, Kind::Queue, &address, &content, &mut rng).unwrap();
            assert!(wire::is_padded(envelope.len()), "{len}");
            assert_eq!(*open(&key, Kind::Queue, &address, &envelope).unwrap(), content);
        }
        assert!(seal(&key, Kind::Queue, &address, &vec![5; MAX_CONTENT + 1], &mut rng).is_none());
    }

    #[test]
    fn a_changed_byte_anywhere_is_noticed() {
        let (key, address, mut rng) = fixture();
        let envelope = seal(&key, Kind::Queue, &address, b"words", &mut rng).unwrap();
        for at in (0..envelope.len()).step_by(97).chain([0, 31, 32, BLOCK - 1]) {
            let mut changed = envelope.clone();
            changed[at] ^= 1;
            assert!(open(&key, Kind::Queue, &address, &changed).is_none(), "byte {at}");
        }
    }
}
