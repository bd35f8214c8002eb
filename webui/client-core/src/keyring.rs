//! The keyring: what is kept on a device opens only with secrets that lie in several places and meet in memory alone.
//!
//! Each *factor* (a passphrase, this device, an authenticator, a key file, a printed code, the node) holds a *segment*
//! of 256 bits, independent of all others. All of them, or so many of them as the keyring says, make the *master* key,
//! which seals the *root*: the key that everything else is derived from.
//!
//! Nothing in the file tells whether one factor is right: only all that are needed, together, open it. Who has the file
//! and not the other factors cannot try passphrases. Since the root never changes, factors come, go and change without
//! anything else being sealed anew. `docs/protocol/keyring.md` describes the file, and has test vectors.
//!
//! Not here: where factors are kept, and stretching a passphrase by the browser's own means; drivers hand in what a
//! factor gives ([`Material`]).

mod factor;
mod file;
mod material;
mod shares;
mod stretch;

pub use factor::{Factor, FactorKind, MAX_CREDENTIAL, NewFactor};
pub use file::{FileError, MAX_FILE};
pub use material::{KeyText, KeyTextError, Material};
pub use stretch::{FEWEST_ROUNDS, MOST_ROUNDS, Stretch, StretchError};

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use rand_core::{CryptoRng, RngCore};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use file::Public;
use material::Segment;

/// Factors of one keyring.
pub const MAX_FACTORS: usize = 8;

/// The key that everything on the device is derived from. It stays the same for the life of a keyring.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Root([u8; 32]);

impl Root {
    /// The bytes, for deriving keys.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl core::fmt::Debug for Root {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Root(..)")
    }
}

/// A keyring as it is kept: none of it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyring {
    public: Public,
    sealed: Vec<u8>,
}

/// An open keyring: the root, and every segment, so that factors can change.
#[derive(Clone)]
pub struct Opened {
    root: Root,
    /// By the number of their factor, in the order of the file.
    segments: Vec<(u8, Segment)>,
}

impl Opened {
    /// The key that everything is derived from.
    pub const fn root(&self) -> &Root {
        &self.root
    }
}

impl core::fmt::Debug for Opened {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Opened(..)")
    }
}

/// What has to be put in its place after a keyring was made or changed.
#[derive(Debug)]
pub struct Placed {
    /// The keyring to keep.
    pub keyring: Keyring,
    /// It is open.
    pub opened: Opened,
    /// What each new factor that holds a segment itself has to keep: this device, a key file, a printed code, the node.
    pub keep: Vec<(u8, Material)>,
}

/// How a keyring changes.
#[derive(Debug)]
pub enum Change {
    /// One more factor.
    Add(NewFactor),
    /// The factor of that number goes.
    Remove(u8),
    /// Another one takes its place: another passphrase, a new device.
    Replace(u8, NewFactor),
    /// So many of the factors are needed.
    Need(u8),
}

/// Why a keyring was not made or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyringError {
    /// There is no factor, or there would be more than [`MAX_FACTORS`].
    Factors,
    /// More factors are needed than there are, or none.
    Needed,
    /// There is no factor of that number.
    Unknown,
    /// A factor's parameters are out of their limits.
    Parameters,
}

impl core::fmt::Display for KeyringError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Factors => "a keyring has one to eight factors",
            Self::Needed => "as many factors are needed as there are at most, and one at least",
            Self::Unknown => "the keyring has no such factor",
            Self::Parameters => "the factor's parameters are out of their limits",
        })
    }
}

impl core::error::Error for KeyringError {}

/// Why a keyring did not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// More factors are needed.
    Missing {
        /// How many.
        needed: u8,
        /// How many there were that belong to it.
        given: u8,
    },
    /// One of them is wrong, or the file was changed. Which of them, nothing can tell.
    Wrong,
}

impl core::fmt::Display for OpenError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Missing { needed, given } => {
                write!(f, "{needed} parts of the key are needed, and {given} are here")
            }
            Self::Wrong => f.write_str(
                "this does not open it: the passphrase, or another part of the key, is not the right one",
            ),
        }
    }
}

impl core::error::Error for OpenError {}

impl Keyring {
    /// A new keyring with these factors, of which `needed` open it; all of them for none.
    ///
    /// # Errors
    /// When there are too few or too many, or one is out of its limits.
    pub fn create(
        factors: Vec<NewFactor>,
        needed: Option<u8>,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Placed, KeyringError> {
        let mut root = Root([0; 32]);
        rng.fill_bytes(&mut root.0);
        let mut id = [0; 16];
        rng.fill_bytes(&mut id);
        let mut draft = Draft { id, needed, root, factors: Vec::new(), keep: Vec::new() };
        for factor in factors {
            draft.add(factor, rng)?;
        }
        draft.seal(rng)
    }

    /// Which of its factors there are, and what each needs.
    pub fn factors(&self) -> &[Factor] {
        &self.public.factors
    }

    /// How many of them open it.
    pub const fn needed(&self) -> u8 {
        self.public.needed
    }

    /// Names it, so that a key file of another one is told apart. Random.
    pub const fn id(&self) -> &[u8; 16] {
        &self.public.id
    }

    /// Opens it with what factors give, each with its factor's number. What belongs to no factor is passed over, and
    /// of more than are needed all must be right.
    ///
    /// # Errors
    /// When there are too few, or one is wrong.
    pub fn open(&self, given: &[(u8, Material)]) -> Result<Opened, OpenError> {
        let mut segments = Vec::with_capacity(MAX_FACTORS);
        for factor in &self.public.factors {
            if let Some((_, material)) = given.iter().find(|(number, _)| *number == factor.number) {
                segments.push((factor.number, factor.segment(material)));
            }
        }
        let count = u8::try_from(segments.len()).unwrap_or(u8::MAX);
        if count < self.public.needed {
            return Err(OpenError::Missing { needed: self.public.needed, given: count });
        }
        let master = self.public.master(&segments).ok_or(OpenError::Wrong)?;
        let payload = Payload { msg: &self.sealed, aad: &self.public.bound() };
        let plain = Aes256Gcm::new((&*master).into()).decrypt(&Nonce::default(), payload);
        let plain = Zeroizing::new(plain.map_err(|_| OpenError::Wrong)?);
        file::read_sealed(&plain).ok_or(OpenError::Wrong)
    }

    /// Changes it. What was sealed with the root stays readable.
    ///
    /// Who has an older copy of the file, and factors that opened it, opens it as before: what is taken away here is
    /// taken away from this file.
    ///
    /// # Errors
    /// When the change is not possible; nothing has changed then.
    pub fn change(
        &self,
        opened: &Opened,
        change: Change,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Result<Placed, KeyringError> {
        let all = self.public.needed == u8::try_from(self.public.factors.len()).unwrap_or(u8::MAX);
        let mut draft = Draft {
            id: self.public.id,
            needed: (!all).then_some(self.public.needed),
            root: opened.root.clone(),
            factors: self.public.factors.iter().filter_map(|factor| opened.with_segment(factor)).collect(),
            keep: Vec::new(),
        };
        match change {
            Change::Add(factor) => draft.add(factor, rng)?,
            Change::Remove(number) => _ = draft.remove(number)?,
            Change::Replace(number, factor) => {
                let at = draft.remove(number)?;
                draft.add(factor, rng)?;
                // What comes in its place stands in its place.
                draft.factors.get_mut(at..).unwrap_or_default().rotate_right(1);
            }
            Change::Need(needed) => draft.needed = Some(needed),
        }
        draft.seal(rng)
    }

    /// The file.
    pub fn encode(&self) -> Vec<u8> {
        file::encode(&self.public, &self.sealed)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// When it is none, damaged, or of another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, FileError> {
        let (public, sealed) = file::decode(bytes)?;
        Ok(Self { public, sealed })
    }
}

impl Opened {
    fn with_segment(&self, factor: &Factor) -> Option<(Factor, Segment)> {
        let (_, segment) = self.segments.iter().find(|(number, _)| *number == factor.number)?;
        Some((factor.clone(), segment.clone()))
    }
}

/// A keyring that is being made.
struct Draft {
    id: [u8; 16],
    needed: Option<u8>,
    root: Root,
    factors: Vec<(Factor, Segment)>,
    keep: Vec<(u8, Material)>,
}

impl Draft {
    fn add(&mut self, new: NewFactor, rng: &mut (impl RngCore + CryptoRng)) -> Result<(), KeyringError> {
        if self.factors.len() >= MAX_FACTORS {
            return Err(KeyringError::Factors);
        }
        let taken = |number| self.factors.iter().any(|(factor, _)| factor.number == number);
        let number = (1..=u8::MAX).find(|number| !taken(*number)).ok_or(KeyringError::Factors)?;
        let segment = Segment::random(rng);
        let (factor, keep) = new.place(number, &segment).ok_or(KeyringError::Parameters)?;
        self.keep.extend(keep.map(|material| (number, material)));
        self.factors.push((factor, segment));
        Ok(())
    }

    fn remove(&mut self, number: u8) -> Result<usize, KeyringError> {
        let at = self.factors.iter().position(|(factor, _)| factor.number == number);
        let at = at.ok_or(KeyringError::Unknown)?;
        self.factors.remove(at);
        Ok(at)
    }

    fn seal(self, rng: &mut (impl RngCore + CryptoRng)) -> Result<Placed, KeyringError> {
        let count = u8::try_from(self.factors.len()).ok().filter(|count| *count > 0);
        let count = count.ok_or(KeyringError::Factors)?;
        let needed = self.needed.unwrap_or(count);
        if needed == 0 || needed > count {
            return Err(KeyringError::Needed);
        }
        let (factors, segments): (Vec<_>, Vec<_>) = self
            .factors
            .into_iter()
            .map(|(factor, segment)| (factor.clone(), (factor.number, segment)))
            .unzip();
        let mut salt = [0; 32];
        rng.fill_bytes(&mut salt);
        let mut public = Public { id: self.id, needed, factors, salt };
        let master = public.arrange(&segments, rng).ok_or(KeyringError::Needed)?;
        let opened = Opened { root: self.root, segments };
        let plain = file::write_sealed(&opened);
        // The master is new with each salt, so that the nonce never repeats.
        let payload = Payload { msg: &plain, aad: &public.bound() };
        let sealed = Aes256Gcm::new((&*master).into())
            .encrypt(&Nonce::default(), payload)
            .expect("a keyring is much shorter than what AES-GCM takes");
        Ok(Placed { keyring: Keyring { public, sealed }, opened, keep: self.keep })
    }
}

#[cfg(test)]
mod tests;
