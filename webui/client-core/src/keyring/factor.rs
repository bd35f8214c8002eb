//! Where a segment is kept, and how it is had from there.

use minicbor::{Decode, Encode};

use super::file::Hidden;
use super::material::{Material, Segment};
use super::stretch::Stretch;

/// The longest name of an authenticator's credential.
pub const MAX_CREDENTIAL: usize = 1023;

/// What kind of place a segment is kept in, with what is needed to ask for it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum FactorKind {
    /// In a head.
    #[n(0)]
    Passphrase(#[n(0)] Stretch),
    /// On this device, under a key that its browser does not give away.
    #[n(1)]
    Device,
    /// In an authenticator that computes something only it can (WebAuthn's PRF extension).
    #[n(2)]
    Authenticator {
        /// Which of its credentials. At most [`MAX_CREDENTIAL`] bytes.
        #[cbor(n(0), with = "minicbor::bytes")]
        credential: Vec<u8>,
        /// What it computes from.
        #[cbor(n(1), with = "minicbor::bytes")]
        salt: [u8; 32],
    },
    /// In a file, on a medium that is taken away.
    #[n(3)]
    KeyFile,
    /// On paper.
    #[n(4)]
    Print,
    /// At the node, which gives it to an authenticated session only, and forgets it when that is revoked.
    #[n(5)]
    Node,
}

/// One factor of a keyring.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Factor {
    /// Names it within the keyring, from 1.
    #[n(0)]
    pub number: u8,
    /// What it is.
    #[n(1)]
    pub kind: FactorKind,
    /// What hides the segment behind what the factor gives; none where it gives the segment.
    #[n(2)]
    pub(super) mask: Option<Hidden>,
    /// Its share of the secret, hidden behind its segment; none where all factors are needed.
    #[n(3)]
    pub(super) share: Option<Hidden>,
}

impl Factor {
    pub(super) fn segment(&self, material: &Material) -> Segment {
        Segment::unmask(&self.mask.map_or([0; 32], |mask| mask.0), material)
    }
}

/// A factor to be.
#[derive(Debug)]
pub enum NewFactor {
    /// A passphrase that was stretched so.
    Passphrase(Stretch, Material),
    /// This device.
    Device,
    /// An authenticator, and what it computed.
    Authenticator {
        /// Which of its credentials.
        credential: Vec<u8>,
        /// What it computed from.
        salt: [u8; 32],
        /// What it computed.
        output: Material,
    },
    /// A file.
    KeyFile,
    /// Paper.
    Print,
    /// The node.
    Node,
}

impl NewFactor {
    /// The factor with its segment, and what it has to keep; none when its parameters are out of their limits.
    pub(super) fn place(self, number: u8, segment: &Segment) -> Option<(Factor, Option<Material>)> {
        let (kind, material) = match self {
            Self::Passphrase(stretch, material) => {
                (FactorKind::Passphrase(stretch.is_sound().then_some(stretch)?), Some(material))
            }
            Self::Authenticator { credential, salt, output } => {
                let fits = !credential.is_empty() && credential.len() <= MAX_CREDENTIAL;
                (fits.then_some(FactorKind::Authenticator { credential, salt })?, Some(output))
            }
            Self::Device => (FactorKind::Device, None),
            Self::KeyFile => (FactorKind::KeyFile, None),
            Self::Print => (FactorKind::Print, None),
            Self::Node => (FactorKind::Node, None),
        };
        let mask = material.as_ref().map(|material| Hidden(segment.mask(material)));
        let keep = material.is_none().then(|| Material::new(segment.0));
        Some((Factor { number, kind, mask, share: None }, keep))
    }
}
