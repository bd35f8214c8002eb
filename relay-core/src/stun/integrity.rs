//! MESSAGE-INTEGRITY and MESSAGE-INTEGRITY-SHA256 (RFC 8489, sections 14.5 and 14.6), the long-term key
//! (section 18.5.1) and the short-term one (section 9.1), which ICE uses.
//!
//! Done here and not by the codec, so that the key is wiped and can reach no log.

use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The hash of an integrity attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashAlgorithm {
    /// MESSAGE-INTEGRITY, what browsers use.
    Sha1,
    /// MESSAGE-INTEGRITY-SHA256.
    Sha256,
}

impl HashAlgorithm {
    /// Length of the attribute's value.
    pub const fn output_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

/// The key of a credential. Of a long-term one: MD5 or SHA-256 of `username:realm:password`.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct IntegrityKey {
    bytes: [u8; 32],
    len: usize,
}

impl fmt::Debug for IntegrityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IntegrityKey(..)")
    }
}

impl IntegrityKey {
    /// For a client that offered no PASSWORD-ALGORITHM.
    pub fn md5(username: &str, realm: &str, password: &str) -> Self {
        Self::new(&long_term::<Md5>(username, realm, password))
    }

    /// For a client that chose SHA-256 as its PASSWORD-ALGORITHM.
    pub fn sha256(username: &str, realm: &str, password: &str) -> Self {
        Self::new(&long_term::<Sha256>(username, realm, password))
    }

    /// Of a short-term credential: its password, of the one length that ours have.
    pub fn short_term(password: &[u8; 32]) -> Self {
        Self::new(password)
    }

    /// Computes the value over `covered`, which is the message from its header up to the integrity attribute.
    ///
    /// The length in the header is counted as if the message ended with that attribute.
    pub(crate) fn sign(&self, algorithm: HashAlgorithm, covered: &[u8]) -> [u8; 32] {
        let mut out = [0; 32];
        match algorithm {
            HashAlgorithm::Sha1 => copy(&mut out, &self.mac::<Hmac<Sha1>>(algorithm, covered)),
            HashAlgorithm::Sha256 => copy(&mut out, &self.mac::<Hmac<Sha256>>(algorithm, covered)),
        }
        out
    }

    /// Checks `value` in constant time.
    pub(crate) fn verify(&self, algorithm: HashAlgorithm, covered: &[u8], value: &[u8]) -> bool {
        let expected = self.sign(algorithm, covered);
        let Some(expected) = expected.get(..algorithm.output_len()) else { return false };
        expected.ct_eq(value).into()
    }

    fn new(digest: &[u8]) -> Self {
        let mut key = Self { bytes: [0; 32], len: digest.len().min(32) };
        copy(&mut key.bytes, digest);
        key
    }

    fn mac<M: Mac + KeyInit>(&self, algorithm: HashAlgorithm, covered: &[u8]) -> Vec<u8> {
        let key = self.bytes.get(..self.len).unwrap_or_default();
        // HMAC takes a key of any length.
        let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else { return Vec::new() };
        let Some(([k0, k1, _, _], rest)) = covered.split_first_chunk::<4>() else { return Vec::new() };
        let length = covered.len() + 4 + algorithm.output_len() - super::HEADER_LEN;
        let [l0, l1] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
        mac.update(&[*k0, *k1, l0, l1]);
        mac.update(rest);
        mac.finalize().into_bytes().to_vec()
    }
}

fn long_term<D: Digest>(username: &str, realm: &str, password: &str) -> sha2::digest::Output<D> {
    let mut digest = D::new();
    for part in [username, ":", realm, ":", password] {
        digest.update(part.as_bytes());
    }
    digest.finalize()
}

fn copy(to: &mut [u8; 32], from: &[u8]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
}
