//! The join link: where the bubble is, and the secret that opens its directory.
//!
//! The secret stands in the fragment of the URL, which browsers do not send: the node never sees it.

use core::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The first byte of the fragment's bytes: the version of its layout.
const VERSION: u8 = 1;

/// Bytes of the checksum that tells a damaged link from a foreign bubble.
const CHECKSUM: usize = 4;

/// Version, secret, checksum.
const LEN: usize = 1 + 32 + CHECKSUM;

/// Known to every member of the bubble, and never to the node.
///
/// It opens the directory and seals envelopes from the node's eyes. It opens no conversation: those are keyed
/// by MLS between their members.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct BubbleSecret([u8; 32]);

impl BubbleSecret {
    /// A secret out of 32 bytes of a cryptographic random source.
    pub const fn from_random(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for deriving keys.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// The fragment of a join link, without `#`.
    pub fn to_fragment(&self) -> String {
        let mut bytes = [0; LEN];
        let (version, rest) = bytes.split_at_mut(1);
        let (secret, checksum) = rest.split_at_mut(32);
        version.copy_from_slice(&[VERSION]);
        secret.copy_from_slice(&self.0);
        checksum.copy_from_slice(&checksum_of(&self.0));
        let text = Base64UrlUnpadded::encode_string(&bytes);
        bytes.zeroize();
        text
    }

    /// Reads the fragment of a join link, with or without `#`.
    ///
    /// # Errors
    /// When it is not one, was cut short or mistyped, or is of another version.
    pub fn from_fragment(text: &str) -> Result<Self, InviteError> {
        let text = text.strip_prefix('#').unwrap_or(text);
        if text.is_empty() {
            return Err(InviteError::Missing);
        }
        let mut buffer = [0; LEN];
        let bytes = Base64UrlUnpadded::decode(text, &mut buffer).map_err(|_| InviteError::Damaged)?;
        let Some((version, rest)) = bytes.split_first().filter(|_| bytes.len() == LEN) else {
            return Err(InviteError::Damaged);
        };
        let (secret, checksum) = rest.split_first_chunk::<32>().ok_or(InviteError::Damaged)?;
        if checksum != checksum_of(secret) {
            return Err(InviteError::Damaged);
        }
        if *version != VERSION {
            return Err(InviteError::Version);
        }
        let secret = Self(*secret);
        buffer.zeroize();
        Ok(secret)
    }
}

impl fmt::Debug for BubbleSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BubbleSecret(..)")
    }
}

fn checksum_of(secret: &[u8; 32]) -> [u8; CHECKSUM] {
    let hash = Sha256::new().chain_update(b"bulle/1 invite checksum\0").chain_update(secret).finalize();
    let mut checksum = [0; CHECKSUM];
    checksum.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    checksum
}

/// A join link, as printed on a card or shown as a QR code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinLink {
    /// The page's address without its fragment.
    pub page: base::Private<String>,
    /// The secret in the fragment.
    pub secret: BubbleSecret,
}

impl JoinLink {
    /// The longest link that is looked at, in bytes.
    pub const MAX_LEN: usize = 1024;

    /// Reads a link.
    ///
    /// # Errors
    /// When it is too long, is no `https:` address, or its fragment holds no secret.
    pub fn parse(text: &str) -> Result<Self, InviteError> {
        let text = text.trim();
        if text.len() > Self::MAX_LEN {
            return Err(InviteError::Damaged);
        }
        let (page, fragment) = text.split_once('#').ok_or(InviteError::Missing)?;
        if !page.starts_with("https://") {
            return Err(InviteError::NotHttps);
        }
        Ok(Self { page: page.to_owned().into(), secret: BubbleSecret::from_fragment(fragment)? })
    }

    /// The whole link.
    pub fn to_link(&self) -> String {
        format!("{}#{}", self.page.expose(), self.secret.to_fragment())
    }
}

/// Why a text is no join link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InviteError {
    /// There is nothing after the `#`.
    Missing,
    /// Cut short, mistyped, or something else altogether.
    Damaged,
    /// Made by another version of Bulle.
    Version,
    /// The address does not begin with `https://`.
    NotHttps,
}

impl fmt::Display for InviteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => {
                "the link has no invitation in it: the part after # is missing; copy the whole link"
            }
            Self::Damaged => "the invitation is damaged or incomplete; scan or copy it again",
            Self::Version => "the invitation was made by another version of Bulle; ask for a new one",
            Self::NotHttps => "the link does not begin with https://",
        })
    }
}

impl core::error::Error for InviteError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_survives_printing_and_reading() {
        let link = JoinLink {
            page: "https://bulle.internal:8443/".to_owned().into(),
            secret: BubbleSecret::from_random([9; 32]),
        };
        assert_eq!(JoinLink::parse(&link.to_link()), Ok(link));
    }

    #[test]
    fn every_single_wrong_character_is_noticed() {
        let fragment = BubbleSecret::from_random(core::array::from_fn(|i| i as u8)).to_fragment();
        for at in 0..fragment.len() {
            let mut bytes = fragment.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let text = String::from_utf8(bytes).unwrap();
            assert!(BubbleSecret::from_fragment(&text).is_err(), "position {at}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(JoinLink::parse("https://bulle.internal/"), Err(InviteError::Missing));
        assert_eq!(JoinLink::parse("https://bulle.internal/#"), Err(InviteError::Missing));
        assert_eq!(JoinLink::parse("https://bulle.internal/#abc"), Err(InviteError::Damaged));
        assert_eq!(JoinLink::parse("http://bulle.internal/#abc"), Err(InviteError::NotHttps));
    }
}
