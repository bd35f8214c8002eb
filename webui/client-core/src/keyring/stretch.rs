//! Stretching a passphrase: what makes each guess cost.
//!
//! The browser's own PBKDF2 is several times faster than this one, so drivers use that where there is one; both give the
//! same bytes.

use core::time::Duration;

use argon2::{Algorithm, Argon2, Params, Version};
use minicbor::{Decode, Encode};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::material::Material;

/// Rounds of PBKDF2 at least (OWASP's figure for HMAC-SHA256).
pub const FEWEST_ROUNDS: u32 = 600_000;
/// At most: some minutes, and more than any device has patience for.
pub const MOST_ROUNDS: u32 = 50_000_000;
/// The memory of Argon2id in KiB: at least what RFC 9106 calls for where memory is scarce, at most what a tab has.
const MEMORY: core::ops::RangeInclusive<u32> = 65_536..=1_048_576;
/// Its passes.
const PASSES: core::ops::RangeInclusive<u32> = 3..=64;

/// How a passphrase is stretched.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Stretch {
    /// PBKDF2 with HMAC-SHA256 (RFC 8018).
    #[n(0)]
    Pbkdf2 {
        /// Random.
        #[cbor(n(0), with = "minicbor::bytes")]
        salt: [u8; 16],
        /// From [`FEWEST_ROUNDS`] to [`MOST_ROUNDS`].
        #[n(1)]
        rounds: u32,
    },
    /// Argon2id (RFC 9106), one lane.
    #[n(1)]
    Argon2id {
        /// Random.
        #[cbor(n(0), with = "minicbor::bytes")]
        salt: [u8; 16],
        /// Memory in KiB, from 64 MiB to 1 GiB.
        #[n(1)]
        memory: u32,
        /// Passes, from 3 to 64.
        #[n(2)]
        passes: u32,
    },
}

/// Why a passphrase was not stretched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StretchError {
    /// There is none.
    Empty,
    /// The parameters are out of their limits, or there is no such memory.
    Parameters,
}

impl core::fmt::Display for StretchError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Empty => "the passphrase is empty",
            Self::Parameters => "this device cannot stretch the passphrase as the keyring wants it",
        })
    }
}

impl core::error::Error for StretchError {}

impl Stretch {
    /// Whether its parameters are within their limits: less would make guessing cheap, more would never end.
    pub fn is_sound(&self) -> bool {
        match self {
            Self::Pbkdf2 { rounds, .. } => (FEWEST_ROUNDS..=MOST_ROUNDS).contains(rounds),
            Self::Argon2id { memory, passes, .. } => MEMORY.contains(memory) && PASSES.contains(passes),
        }
    }

    /// So many rounds that they take `wanted`, by how long `rounds` of them `took` on this device.
    pub fn rounds_for(wanted: Duration, rounds: u32, took: Duration) -> u32 {
        let scaled = u128::from(rounds) * wanted.as_micros() / took.as_micros().max(1);
        u32::try_from(scaled).unwrap_or(u32::MAX).clamp(FEWEST_ROUNDS, MOST_ROUNDS)
    }

    /// Stretches it. `passphrase` is UTF-8 in normalization form KC, so that it is the same from every keyboard.
    ///
    /// # Errors
    /// When it is empty, or the parameters are out of their limits.
    pub fn run(&self, passphrase: &str) -> Result<Material, StretchError> {
        if passphrase.is_empty() {
            return Err(StretchError::Empty);
        }
        if !self.is_sound() {
            return Err(StretchError::Parameters);
        }
        let mut out = Zeroizing::new([0; 32]);
        match self {
            Self::Pbkdf2 { salt, rounds } => {
                pbkdf2::pbkdf2_hmac::<Sha256>(passphrase.as_bytes(), salt, *rounds, &mut *out);
            }
            Self::Argon2id { salt, memory, passes } => {
                let params = Params::new(*memory, *passes, 1, Some(out.len()))
                    .map_err(|_| StretchError::Parameters)?;
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_into(passphrase.as_bytes(), salt, &mut *out)
                    .map_err(|_| StretchError::Parameters)?;
            }
        }
        Ok(Material::new(*out))
    }
}
