//! The file around the state: recognises itself, notices that it is torn, and opens on its own board only.
//!
//! ```text
//! magic 8 · version 1 · board 1 · salt 32 · tag of the board 16 · nonce 12 · length 2 · AES-256-GCM · SHA-256 32
//! ```
//!
//! The key is HKDF-SHA256 of the board's serial with the salt. What that gives: a card that is found or copied
//! without its board does not show the secrets to who just looks. What it does not: a serial is printed on the
//! board, readable by every program on it, and short enough to be guessed with patience.

use super::codec::{BoxState, LARGEST_STATE};
use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::{Aes256Gcm, Key, Nonce, Tag};
use hkdf::Hkdf;
use rand_core::{CryptoRng, RngCore};
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::Zeroizing;

const MAGIC: &[u8; 8] = b"bulleBOX";
const VERSION: u8 = 1;
const SALT: usize = 32;
const BOARD_TAG: usize = 16;
const NONCE: usize = 12;
const GCM_TAG: usize = 16;
const CHECKSUM: usize = 32;
/// Up to and with the length.
const HEADER: usize = 8 + 1 + 1 + SALT + BOARD_TAG + NONCE + 2;
/// Largest file, in bytes.
pub const LARGEST_FILE: usize = HEADER + LARGEST_STATE + GCM_TAG + CHECKSUM;
/// Longest serial that is looked at.
const LONGEST_SERIAL: usize = 128;

/// Where a serial was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoardSource {
    /// Nowhere: the state is only scrambled, not bound to anything.
    None,
    /// In the device tree (`serial-number`).
    DeviceTree,
    /// In the firmware's tables: the board's, or else the product's.
    Dmi,
}

/// The board that a state is sealed to.
#[derive(Clone, PartialEq, Eq)]
pub struct Board {
    source: BoardSource,
    serial: Zeroizing<Vec<u8>>,
}

impl Board {
    /// A board that has no serial.
    #[must_use]
    pub fn without_serial() -> Self {
        Self { source: BoardSource::None, serial: Zeroizing::new(Vec::new()) }
    }

    /// The board with the first serial that is one. Many PCs carry a placeholder, the same on all.
    #[must_use]
    pub fn of<'a>(candidates: impl IntoIterator<Item = (BoardSource, &'a [u8])>) -> Self {
        candidates
            .into_iter()
            .find_map(|(source, bytes)| Some(Self { source, serial: Zeroizing::new(serial(bytes)?) }))
            .unwrap_or_else(Self::without_serial)
    }

    /// Where its serial was found.
    #[must_use]
    pub const fn source(&self) -> BoardSource {
        self.source
    }

    fn derive(&self, salt: &[u8]) -> Derived {
        let hkdf = Hkdf::<Sha256>::new(Some(salt), &self.serial);
        let mut derived = Derived { key: Zeroizing::new([0; 32]), tag: [0; BOARD_TAG] };
        // HKDF gives up to 255 times 32 bytes.
        let key = hkdf.expand(b"bulle/1 box state key", derived.key.as_mut());
        let tag = hkdf.expand(b"bulle/1 box state board", &mut derived.tag);
        debug_assert!(key.is_ok() && tag.is_ok());
        derived
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("source", &self.source).finish_non_exhaustive()
    }
}

struct Derived {
    key: Zeroizing<[u8; 32]>,
    tag: [u8; BOARD_TAG],
}

/// The serial without what surrounds it; `None` for what is none.
fn serial(bytes: &[u8]) -> Option<Vec<u8>> {
    const PLACEHOLDERS: [&str; 12] = [
        "to be filled by o.e.m.",
        "default string",
        "system serial number",
        "base board serial number",
        "not specified",
        "not applicable",
        "not available",
        "none",
        "n/a",
        "unknown",
        "invalid",
        "0123456789",
    ];
    let text = std::str::from_utf8(bytes).ok()?.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    let lower = text.to_ascii_lowercase();
    let one_sign = text.chars().all(|c| text.starts_with(c));
    let fits = (4..=LONGEST_SERIAL).contains(&text.len()) && !text.chars().any(char::is_control);
    (fits && !one_sign && !PLACEHOLDERS.contains(&lower.as_str())).then(|| text.as_bytes().to_vec())
}

/// Why a file does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenError {
    /// It is not whole: cut short, or with bits that changed.
    Torn,
    /// Written by a newer version.
    Version(u8),
    /// Sealed to another board.
    OtherBoard,
    /// Whole, of this board, and yet no state: somebody has meddled with it.
    Damaged,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Torn => f.write_str("it is not whole"),
            Self::Version(version) => write!(f, "a newer version of Bulle wrote it (format {version})"),
            Self::OtherBoard => f.write_str("it belongs to another board"),
            Self::Damaged => f.write_str("its content was changed"),
        }
    }
}

impl std::error::Error for OpenError {}

/// The bytes of a file with `state` in it, for this board.
#[must_use]
pub fn seal<R: RngCore + CryptoRng>(state: &BoxState, board: &Board, rng: &mut R) -> Zeroizing<Vec<u8>> {
    let (mut salt, mut nonce) = ([0; SALT], [0; NONCE]);
    rng.fill_bytes(&mut salt);
    rng.fill_bytes(&mut nonce);
    let derived = board.derive(&salt);
    let mut body = state.to_cbor();
    let mut file = Zeroizing::new(Vec::with_capacity(LARGEST_FILE));
    file.extend(MAGIC);
    file.extend([VERSION, source_number(board.source)]);
    file.extend(salt);
    file.extend(derived.tag);
    file.extend(nonce);
    let length = u16::try_from(body.len() + GCM_TAG).unwrap_or(u16::MAX);
    file.extend(length.to_be_bytes());
    let cipher = Aes256Gcm::new(Key::<Aes256Gcm>::from_slice(derived.key.as_ref()));
    // It fails beyond 64 GiB; a state has some KiB.
    let tag =
        cipher.encrypt_in_place_detached(Nonce::from_slice(&nonce), &file, &mut body).unwrap_or_default();
    file.extend(body.iter());
    file.extend(tag);
    let checksum = Sha256::digest(file.as_slice());
    file.extend(checksum);
    file
}

/// Whether a file is whole and which kind of board it is for, without opening it.
///
/// # Errors
/// When it is torn or too new.
pub fn inspect(file: &[u8]) -> Result<BoardSource, OpenError> {
    parts(file).map(|parts| parts.source)
}

/// The state in a file, when it is whole and of this board.
///
/// # Errors
/// When it is not.
pub fn open(file: &[u8], board: &Board) -> Result<BoxState, OpenError> {
    let parts = parts(file)?;
    let derived = board.derive(parts.salt);
    if parts.source != board.source || parts.board_tag != derived.tag {
        return Err(OpenError::OtherBoard);
    }
    let (body, tag) =
        parts.sealed.split_at_checked(parts.sealed.len() - GCM_TAG).ok_or(OpenError::Damaged)?;
    let mut body = Zeroizing::new(body.to_vec());
    let cipher = Aes256Gcm::new(Key::<Aes256Gcm>::from_slice(derived.key.as_ref()));
    cipher
        .decrypt_in_place_detached(
            Nonce::from_slice(parts.nonce),
            parts.header,
            &mut body,
            Tag::from_slice(tag),
        )
        .map_err(|_| OpenError::Damaged)?;
    BoxState::from_cbor(&body).ok_or(OpenError::Damaged)
}

/// The file that these bytes begin with, by what it says of its own length. Whether it is whole is another question.
pub(super) fn prefix(bytes: &[u8]) -> Option<&[u8]> {
    let header = bytes.get(..HEADER)?.strip_prefix(MAGIC)?;
    let length = usize::from(u16::from_be_bytes(*header.last_chunk()?));
    bytes.get(..HEADER + length + CHECKSUM)
}

struct Parts<'a> {
    header: &'a [u8],
    source: BoardSource,
    salt: &'a [u8],
    board_tag: &'a [u8],
    nonce: &'a [u8],
    sealed: &'a [u8],
}

fn parts(file: &[u8]) -> Result<Parts<'_>, OpenError> {
    if file.len() > LARGEST_FILE {
        return Err(OpenError::Torn);
    }
    let (content, checksum) = file.split_last_chunk::<CHECKSUM>().ok_or(OpenError::Torn)?;
    if Sha256::digest(content).as_slice() != checksum {
        return Err(OpenError::Torn);
    }
    let (header, sealed) = content.split_at_checked(HEADER).ok_or(OpenError::Torn)?;
    let rest = header.strip_prefix(MAGIC).ok_or(OpenError::Torn)?;
    let (version, rest) = rest.split_first().ok_or(OpenError::Torn)?;
    if *version != VERSION {
        return Err(OpenError::Version(*version));
    }
    let (source, rest) = rest.split_first().ok_or(OpenError::Torn)?;
    let source = match source {
        0 => BoardSource::None,
        1 => BoardSource::DeviceTree,
        2 => BoardSource::Dmi,
        _ => return Err(OpenError::Damaged),
    };
    let (salt, rest) = rest.split_at_checked(SALT).ok_or(OpenError::Torn)?;
    let (board_tag, rest) = rest.split_at_checked(BOARD_TAG).ok_or(OpenError::Torn)?;
    let (nonce, length) = rest.split_at_checked(NONCE).ok_or(OpenError::Torn)?;
    let length = <[u8; 2]>::try_from(length).map_or(0, u16::from_be_bytes);
    if usize::from(length) != sealed.len() || sealed.len() < GCM_TAG {
        return Err(OpenError::Damaged);
    }
    Ok(Parts { header, source, salt, board_tag, nonce, sealed })
}

const fn source_number(source: BoardSource) -> u8 {
    match source {
        BoardSource::None => 0,
        BoardSource::DeviceTree => 1,
        BoardSource::Dmi => 2,
    }
}
