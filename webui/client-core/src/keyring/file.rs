//! The keyring as a file, and what is sealed in it.

use minicbor::{Decode, Encode};
use zeroize::Zeroizing;

use super::factor::{Factor, FactorKind, MAX_CREDENTIAL};
use super::material::Segment;
use super::{MAX_FACTORS, Opened, Root};

/// The largest file.
pub const MAX_FILE: usize = 16 * 1024;

const VERSION: u8 = 1;

/// What stands in the file in clear. All of it is bound to what is sealed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct Public {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(super) id: [u8; 16],
    #[n(1)]
    pub(super) needed: u8,
    #[n(2)]
    pub(super) factors: Vec<Factor>,
    /// New whenever the keyring is written.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub(super) salt: [u8; 32],
}

/// 32 bytes that are hidden behind 32 others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub(super) struct Hidden(#[cbor(n(0), with = "minicbor::bytes")] pub(super) [u8; 32]);

#[derive(Encode, Decode)]
struct File<'b> {
    #[n(0)]
    version: u8,
    #[n(1)]
    public: Public,
    #[b(2)]
    #[cbor(with = "minicbor::bytes")]
    sealed: &'b [u8],
}

/// Why a file is no keyring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileError {
    /// Cut short, changed, or something else altogether.
    Damaged,
    /// Made by another version of Bulle.
    Version,
}

impl core::fmt::Display for FileError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Damaged => "the keyring is damaged; restore it from a backup",
            Self::Version => "the keyring was made by another version of Bulle",
        })
    }
}

impl core::error::Error for FileError {}

impl Public {
    /// What the sealed part is bound to.
    pub(super) fn bound(&self) -> Vec<u8> {
        let mut bound = b"bulle/1 keyring\0".to_vec();
        bound.extend(crate::parcel::encode(self));
        bound
    }

    fn is_sound(&self) -> bool {
        let count = self.factors.len();
        let shared = usize::from(self.needed) < count;
        (1..=MAX_FACTORS).contains(&count)
            && (1..=count).contains(&self.needed.into())
            && self.factors.iter().enumerate().all(|(at, factor)| {
                let first = self.factors.iter().position(|other| other.number == factor.number);
                factor.number > 0
                    && first == Some(at)
                    && factor.is_sound()
                    && factor.share.is_some() == shared
            })
    }
}

impl Factor {
    fn is_sound(&self) -> bool {
        let (sound, masked) = match &self.kind {
            FactorKind::Passphrase(stretch) => (stretch.is_sound(), true),
            FactorKind::Authenticator { credential, salt: _ } => {
                ((1..=MAX_CREDENTIAL).contains(&credential.len()), true)
            }
            FactorKind::Device | FactorKind::KeyFile | FactorKind::Print | FactorKind::Node => (true, false),
        };
        sound && self.mask.is_some() == masked
    }
}

pub(super) fn encode(public: &Public, sealed: &[u8]) -> Vec<u8> {
    crate::parcel::encode(&File { version: VERSION, public: public.clone(), sealed })
}

pub(super) fn decode(bytes: &[u8]) -> Result<(Public, Vec<u8>), FileError> {
    if bytes.len() > MAX_FILE {
        return Err(FileError::Damaged);
    }
    let mut decoder = minicbor::Decoder::new(bytes);
    let is_array = decoder.array().is_ok_and(|length| length.is_some_and(|length| length > 0));
    let version = decoder.u8().ok().filter(|_| is_array).ok_or(FileError::Damaged)?;
    if version != VERSION {
        return Err(FileError::Version);
    }
    let file: File<'_> = minicbor::decode(bytes).map_err(|_| FileError::Damaged)?;
    // Nothing stands behind it, and it is written in one way only.
    let whole = file.public.is_sound() && encode(&file.public, file.sealed) == bytes;
    whole.then(|| (file.public, file.sealed.to_vec())).ok_or(FileError::Damaged)
}

/// `root (32) || (number (1) || segment (32)) for each factor`
pub(super) fn write_sealed(opened: &Opened) -> Zeroizing<Vec<u8>> {
    let mut plain = Zeroizing::new(Vec::with_capacity(32 + 33 * opened.segments.len()));
    plain.extend_from_slice(&opened.root.0);
    for (number, segment) in &opened.segments {
        plain.push(*number);
        plain.extend_from_slice(&segment.0);
    }
    plain
}

pub(super) fn read_sealed(plain: &[u8]) -> Option<Opened> {
    let (root, rest) = plain.split_first_chunk::<32>()?;
    let segments = rest
        .chunks(33)
        .map(|chunk| {
            let (number, segment) = chunk.split_first()?;
            Some((*number, Segment(segment.try_into().ok()?)))
        })
        .collect::<Option<Vec<_>>>()?;
    Some(Opened { root: Root(*root), segments })
}
