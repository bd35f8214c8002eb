//! What factors give and hold: 32 bytes, in memory alone, and as text on a key file or on paper.

use base64ct::{Base64UrlUnpadded, Encoding};
use rand_core::{CryptoRng, RngCore};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// What a factor gives: the stretched passphrase, what an authenticator computed, or a segment that was kept.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Material([u8; 32]);

impl Material {
    /// These bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for who keeps them.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl core::fmt::Debug for Material {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Material(..)")
    }
}

/// A factor's part of the key.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub(super) struct Segment(pub(super) [u8; 32]);

impl Segment {
    pub(super) fn random(rng: &mut (impl RngCore + CryptoRng)) -> Self {
        let mut segment = Self([0; 32]);
        rng.fill_bytes(&mut segment.0);
        segment
    }

    /// What hides it behind what the factor gives. It tells nothing about either.
    pub(super) fn mask(&self, material: &Material) -> [u8; 32] {
        xor(&self.0, &material.0)
    }

    /// What is behind that mask.
    pub(super) fn unmask(mask: &[u8; 32], material: &Material) -> Self {
        Self(xor(mask, &material.0))
    }
}

pub(super) fn xor(a: &[u8; 32], b: &[u8; 32]) -> [u8; 32] {
    let mut out = *a;
    out.iter_mut().zip(b).for_each(|(out, b)| *out ^= b);
    out
}

/// A segment as text: what stands in a key file and in a printed code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyText {
    /// Of the keyring that it belongs to.
    pub keyring: [u8; 16],
    /// The number of its factor.
    pub number: u8,
    /// What the factor gives.
    pub material: Material,
}

/// What a key file begins with.
const HEAD: &str = "bulle-key-1:";
/// Keyring, number, segment.
const BODY: usize = 16 + 1 + 32;
const CHECKSUM: usize = 4;

impl KeyText {
    /// The longest text that is looked at.
    pub const MAX_LEN: usize = 256;

    /// One line without its end.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(BODY + CHECKSUM));
        bytes.extend_from_slice(&self.keyring);
        bytes.push(self.number);
        bytes.extend_from_slice(&self.material.0);
        let checksum = checksum(&bytes);
        bytes.extend_from_slice(&checksum);
        let code = Zeroizing::new(Base64UrlUnpadded::encode_string(&bytes));
        let mut text = Zeroizing::new(String::with_capacity(HEAD.len() + code.len()));
        text.push_str(HEAD);
        text.push_str(&code);
        text
    }

    /// Reads it; blanks around it do not matter.
    ///
    /// # Errors
    /// When it is none, was mistyped or cut short.
    pub fn parse(text: &str) -> Result<Self, KeyTextError> {
        let text = text.trim();
        if text.len() > Self::MAX_LEN {
            return Err(KeyTextError::NoKey);
        }
        let code = text.strip_prefix(HEAD).ok_or(KeyTextError::NoKey)?;
        let mut bytes = Zeroizing::new([0; BODY + CHECKSUM]);
        let read = Base64UrlUnpadded::decode(code, &mut *bytes).map_err(|_| KeyTextError::Damaged)?;
        let (body, check) = read.split_last_chunk::<CHECKSUM>().ok_or(KeyTextError::Damaged)?;
        if *check != checksum(body) {
            return Err(KeyTextError::Damaged);
        }
        let (keyring, rest) = body.split_first_chunk::<16>().ok_or(KeyTextError::Damaged)?;
        let (number, segment) = rest.split_first().ok_or(KeyTextError::Damaged)?;
        let segment = segment.try_into().map_err(|_| KeyTextError::Damaged)?;
        Ok(Self { keyring: *keyring, number: *number, material: Material(segment) })
    }
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM] {
    let hash = Sha256::new().chain_update(b"bulle/1 key checksum\0").chain_update(body).finalize();
    core::array::from_fn(|at| hash.get(at).copied().unwrap_or_default())
}

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyTextError {
    /// Something else altogether.
    NoKey,
    /// Mistyped, or cut short.
    Damaged,
}

impl core::fmt::Display for KeyTextError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NoKey => "this is no key of Bulle; one begins with bulle-key-1:",
            Self::Damaged => "this key is damaged or incomplete; read it in again, or take the other copy",
        })
    }
}

impl core::error::Error for KeyTextError {}
