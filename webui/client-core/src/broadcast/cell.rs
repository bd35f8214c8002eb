//! One cell: a block's worth of bytes, a part of a parcel for one device, or of nothing for nobody.
//!
//! `ephemeral X25519 key (32) || AES-256-GCM(key, nonce = 0, aad, part) || tag (16)`, inside an envelope that all
//! members can open and the node cannot. Its own layer is for the members: they learn that it was not for them, and
//! nothing else. A cell for nobody is sealed like any other, to a key whose secret nobody has.

use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use hkdf::Hkdf;
use minicbor::{Decode, Encode};
use rand_core::{CryptoRng, RngCore};
use sha2::Sha256;
use x25519_dalek::{EphemeralSecret, PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::envelope;

const KEY: usize = 32;
const TAG: usize = 16;
/// Identifier of the parcel (8), number of the part, count of parts, length of the part (2, big endian).
const HEAD: usize = 8 + 1 + 1 + 2;

/// A cell: with the envelope around it, one block.
pub(crate) const CELL: usize = wire::BLOCK - envelope::OVERHEAD;

/// The most of a parcel that fits into one cell.
pub(crate) const PART: usize = CELL - KEY - TAG - HEAD;

/// The most cells of one parcel.
pub(crate) const MAX_PARTS: usize = envelope::MAX_CONTENT.div_ceil(PART);

/// By what the cells for one device are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub(crate) struct CellKey(#[cbor(n(0), with = "minicbor::bytes")] pub(crate) [u8; KEY]);

/// By what a device opens them.
pub(crate) struct CellSecret(StaticSecret);

impl CellSecret {
    pub(crate) fn random(rng: &mut (impl RngCore + CryptoRng)) -> Self {
        Self(StaticSecret::random_from_rng(rng))
    }

    pub(crate) fn key(&self) -> CellKey {
        CellKey(PublicKey::from(&self.0).to_bytes())
    }

    /// The part in a cell, if it is for us.
    pub(crate) fn open(&self, cell: &[u8]) -> Option<Part> {
        let cell: &[u8; CELL] = cell.try_into().ok()?;
        let (ephemeral, sealed) = cell.split_first_chunk::<KEY>()?;
        let (sealed, tag) = sealed.split_last_chunk::<TAG>()?;
        let shared = self.0.diffie_hellman(&PublicKey::from(*ephemeral));
        let mut plain = Zeroizing::new(sealed.to_vec());
        cipher(shared.as_bytes(), ephemeral, &self.key())
            .decrypt_in_place_detached(&Nonce::default(), AAD, &mut plain, Tag::from_slice(tag))
            .ok()?;
        Part::read(&plain)
    }
}

/// A part of a parcel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Random for each parcel.
    pub(crate) parcel: [u8; 8],
    /// From 0 on.
    pub(crate) number: u8,
    /// From 1 to [`MAX_PARTS`], and more than `number`.
    pub(crate) count: u8,
    pub(crate) bytes: Zeroizing<Vec<u8>>,
}

impl Part {
    /// The parts of a parcel, in their order; none when it is too large.
    pub(crate) fn all_of(parcel: &[u8], id: [u8; 8]) -> Option<Vec<Self>> {
        let parts: Vec<_> = parcel.chunks(PART).collect();
        let count = u8::try_from(parts.len()).ok().filter(|count| usize::from(*count) <= MAX_PARTS)?;
        let part =
            |(number, bytes): (u8, &[u8])| Self { parcel: id, number, count, bytes: bytes.to_vec().into() };
        Some((0..).zip(parts).map(part).collect())
    }

    /// Seals it for the device of that key.
    pub(crate) fn seal(&self, to: &CellKey, rng: &mut (impl RngCore + CryptoRng)) -> Option<Vec<u8>> {
        let mut plain = Zeroizing::new(Vec::with_capacity(CELL));
        plain.extend_from_slice(&self.parcel);
        plain.extend_from_slice(&[self.number, self.count]);
        plain.extend_from_slice(&u16::try_from(self.bytes.len()).ok()?.to_be_bytes());
        plain.extend_from_slice(&self.bytes);
        if plain.len() > HEAD + PART {
            return None;
        }
        plain.resize(HEAD + PART, 0);
        Some(seal(&plain, to, rng))
    }

    fn read(plain: &[u8]) -> Option<Self> {
        let (parcel, rest) = plain.split_first_chunk::<8>()?;
        let ([number, count], rest) = rest.split_first_chunk::<2>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let bytes = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
        let fits = number < count && usize::from(*count) <= MAX_PARTS && !bytes.is_empty();
        fits.then(|| Self { parcel: *parcel, number: *number, count: *count, bytes: bytes.to_vec().into() })
    }
}

/// A cell of nothing, for a key whose secret nobody has.
pub(crate) fn idle(nobody: &CellKey, rng: &mut (impl RngCore + CryptoRng)) -> Vec<u8> {
    seal(&[0; HEAD + PART], nobody, rng)
}

const AAD: &[u8] = b"bulle/1 cell\0";

fn seal(plain: &[u8], to: &CellKey, rng: &mut (impl RngCore + CryptoRng)) -> Vec<u8> {
    let secret = EphemeralSecret::random_from_rng(rng);
    let ephemeral = PublicKey::from(&secret).to_bytes();
    let shared = secret.diffie_hellman(&PublicKey::from(to.0));
    let mut cell = Vec::with_capacity(CELL);
    cell.extend_from_slice(&ephemeral);
    cell.extend_from_slice(plain);
    let (_, inner) = cell.split_at_mut(KEY);
    let tag = cipher(shared.as_bytes(), &ephemeral, to)
        .encrypt_in_place_detached(&Nonce::default(), AAD, inner)
        .expect("a cell is much shorter than what AES-GCM takes");
    cell.extend_from_slice(&tag);
    cell
}

/// The key of one cell, used once, so that no nonce can ever repeat.
fn cipher(shared: &[u8; 32], ephemeral: &[u8; KEY], to: &CellKey) -> Aes256Gcm {
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(Some(b"bulle/1 cell\0"), shared)
        .expand_multi_info(&[ephemeral, &to.0], &mut *key)
        .expect("32 bytes are less than 255 hashes");
    Aes256Gcm::new((&*key).into())
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn a_cell_opens_for_its_device_alone() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let [ada, ben] = [(); 2].map(|()| CellSecret::random(&mut rng));
        let parts = Part::all_of(&[7; PART + 1], [9; 8]).unwrap();
        assert_eq!(parts.iter().map(|part| part.bytes.len()).collect::<Vec<_>>(), [PART, 1]);
        for part in parts {
            let cell = part.seal(&ada.key(), &mut rng).unwrap();
            assert_eq!(cell.len(), CELL);
            assert_eq!(ada.open(&cell), Some(part));
            assert_eq!(ben.open(&cell), None);
            for at in [0, KEY, CELL / 2, CELL - 1] {
                let mut changed = cell.clone();
                changed[at] ^= 1;
                assert_eq!(ada.open(&changed), None, "byte {at}");
            }
            assert_eq!(ada.open(&cell[1..]), None);
        }
    }

    #[test]
    fn a_cell_of_nothing_opens_for_nobody_and_looks_the_same() {
        let mut rng = ChaCha20Rng::from_seed([2; 32]);
        let ada = CellSecret::random(&mut rng);
        let nobody = CellSecret::random(&mut rng).key();
        let cell = idle(&nobody, &mut rng);
        assert_eq!((cell.len(), ada.open(&cell)), (CELL, None));
        // What is drawn at random and is no key would have this bit set half the time.
        assert!((0..64).all(|_| idle(&nobody, &mut rng)[KEY - 1] & 0x80 == 0));
    }

    #[test]
    fn the_largest_parcel_fits_and_a_larger_one_does_not() {
        let largest = vec![1; envelope::MAX_CONTENT];
        let parts = Part::all_of(&largest, [0; 8]).unwrap();
        assert_eq!(parts.len(), MAX_PARTS);
        assert_eq!(parts.iter().flat_map(|part| part.bytes.to_vec()).collect::<Vec<_>>(), largest);
        assert!(Part::all_of(&vec![1; MAX_PARTS * PART + 1], [0; 8]).is_none());
    }

    #[test]
    fn a_part_that_says_nonsense_of_itself_is_none() {
        let head = |number, count, length: u16| {
            let mut plain = vec![5; HEAD + PART];
            (plain[8], plain[9]) = (number, count);
            plain[10..12].copy_from_slice(&length.to_be_bytes());
            Part::read(&plain)
        };
        assert!(head(0, 1, 1).is_some() && head(0, 1, PART as u16).is_some());
        for (number, count, length) in [(1, 1, 1), (0, 0, 1), (0, 255, 1), (0, 1, 0), (0, 1, PART as u16 + 1)]
        {
            assert!(head(number, count, length).is_none(), "{number} {count} {length}");
        }
        assert!(Part::read(&[0; HEAD]).is_none() && Part::read(&[]).is_none());
    }
}
