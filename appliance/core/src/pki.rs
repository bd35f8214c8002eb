//! The local certificate authority and the one end-entity certificate it vouches for.
//!
//! [`plan`] looks at what is stored and at what this machine is called now, and says which files to write;
//! [`Renewal`] says when to look again. Neither touches a file.
//! The authority is limited by critical name constraints (RFC 5280 section 4.2.1.10) to the names and the
//! private addresses of this box, so that trusting it gives away nothing else on a phone.
//! A certificate that the operator brings is [`Supplied`].
//! Not here: ACME, and trust on the phones.
//! Invariant: an authority that exists is never replaced and never repaired by guessing, since every phone
//! would have to trust anew; what is wrong with it is an error that names the file and the remedy.

mod error;
mod host;
mod issue;
mod peer;
mod renewal;
mod scope;
mod stored;
mod supplied;
#[cfg(test)]
mod tests;

pub use error::PkiError;
pub use peer::{PEER_FILE, PeerCertificate};
pub use renewal::{Effect, Reason, Renewal};
pub use scope::Scope;
pub use supplied::{Supplied, SuppliedError, SuppliedWarning};

use crate::clock::DAY;
use crate::names::DnsName;
use base::UnixSeconds;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long an authority is good for, from the moment it is made.
pub const CA_LIFETIME: Duration = DAY.saturating_mul(15 * 365);
/// How long an end-entity certificate is good for, its past included: Apple's limit is 398 days.
pub const LEAF_LIFETIME: Duration = DAY.saturating_mul(397);
/// How far in the past certificates begin, for phones whose clock is behind and boxes that lost theirs.
pub const BACKDATED: Duration = DAY.saturating_mul(60);
/// A certificate with less than this left is renewed.
pub const RENEW_BEFORE: Duration = DAY.saturating_mul(120);
/// Most addresses in a certificate; a machine with more serves the rest by name.
pub const MOST_ADDRESSES: usize = 32;

/// The four files in the state directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PkiFile {
    /// The authority's certificate: what phones are asked to trust.
    CaCertificate,
    /// The authority's private key.
    CaKey,
    /// The certificate that the daemon shows.
    LeafCertificate,
    /// Its private key.
    LeafKey,
}

impl PkiFile {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::CaCertificate, Self::CaKey, Self::LeafCertificate, Self::LeafKey];

    /// Its name in the state directory.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CaCertificate => "ca.crt",
            Self::CaKey => "ca.key",
            Self::LeafCertificate => "server.crt",
            Self::LeafKey => "server.key",
        }
    }

    /// Whether only the owner may read it.
    #[must_use]
    pub const fn is_secret(self) -> bool {
        matches!(self, Self::CaKey | Self::LeafKey)
    }
}

/// The bytes of the files that exist.
#[derive(Default)]
pub struct Stored {
    /// `ca.crt`
    pub ca_certificate: Option<Vec<u8>>,
    /// `ca.key`
    pub ca_key: Option<Zeroizing<Vec<u8>>>,
    /// `server.crt`
    pub leaf_certificate: Option<Vec<u8>>,
    /// `server.key`
    pub leaf_key: Option<Zeroizing<Vec<u8>>>,
}

/// What this machine is called now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Names from the settings and the host name.
    pub names: BTreeSet<DnsName>,
    /// Addresses of the network interfaces.
    pub addresses: BTreeSet<IpAddr>,
}

/// What to do: write these files, in this order, and serve with the result.
pub struct Plan {
    /// Whole new contents of files. Keys come before their certificates, so that a power cut leaves nothing
    /// that looks complete and is not.
    pub writes: Vec<Write>,
    /// The authority's certificate.
    pub ca: CaInfo,
    /// What it may vouch for.
    pub scope: Scope,
    /// What to serve with.
    pub leaf: Leaf,
    /// Whether the authority was made just now.
    pub ca_is_new: bool,
    /// Whether the authority's time is over. It vouches on, and phones with a right clock refuse it.
    pub ca_is_over: bool,
    /// Names that this authority may not vouch for, since they came up after it was made.
    pub names_left_out: Vec<DnsName>,
    /// How many addresses it may not vouch for.
    pub addresses_left_out: usize,
}

/// The whole new content of one file.
pub struct Write {
    /// Which file.
    pub file: PkiFile,
    /// PEM.
    pub contents: Zeroizing<Vec<u8>>,
}

/// The authority as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaInfo {
    /// DER, for download.
    pub der: Vec<u8>,
    /// PEM, for download.
    pub pem: String,
    /// SHA-256 of the DER, as people compare it.
    pub fingerprint: Fingerprint,
}

/// SHA-256 of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    /// Pairs of hexadecimal digits with colons, as phones and browsers show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02X}", if i == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

impl Fingerprint {
    /// Of the certificate in a PEM file; `None` when there is none in it.
    #[must_use]
    pub fn of_pem(pem: &[u8]) -> Option<Self> {
        stored::read_certificate(pem).map(|der| Self(Sha256::digest(&der).into()))
    }
}

/// The end-entity certificate, ready to serve.
pub struct Leaf {
    /// DER of the certificate; the authority itself is not sent along.
    pub certificate: Vec<u8>,
    /// PKCS #8 DER of its key.
    pub key: Zeroizing<Vec<u8>>,
    /// From when it is good.
    pub not_before: UnixSeconds,
    /// Until when it is good.
    pub not_after: UnixSeconds,
    /// What it vouches for.
    pub identity: Identity,
}

/// Look at what is stored and say what should be.
///
/// `now` has been raised to the clock floor already; `made_before` is a moment that surely lies in the past
/// (the build), from which the authority's validity counts backwards.
///
/// # Errors
/// When an authority exists and cannot be used. A certificate that cannot be used is made again.
pub fn plan(
    stored: &Stored,
    identity: &Identity,
    now: UnixSeconds,
    made_before: UnixSeconds,
) -> Result<Plan, PkiError> {
    let mut writes = Vec::new();
    let existing = stored::authority(stored)?;
    let ca_is_new = existing.is_none();
    let ca = match existing {
        Some(ca) => ca,
        None => {
            let scope = Scope::for_machine(identity, now.plus(CA_LIFETIME));
            let ca = issue::authority(&scope, now, made_before)?;
            writes.push(Write { file: PkiFile::CaKey, contents: ca.key_pem() });
            writes.push(Write { file: PkiFile::CaCertificate, contents: ca.certificate_pem() });
            ca
        }
    };
    let ca_is_over = ca.not_after <= now;
    let now = ca.scope.latest(now);
    let (wanted, names_left_out, addresses_left_out) = ca.scope.split(identity);
    let kept = if ca_is_new { None } else { stored::leaf(stored, &ca) };
    let leaf = match kept {
        Some(leaf) if renewal::due(&leaf, &wanted, now).is_none() => leaf,
        Some(_) | None => {
            let issue::Issued { leaf, certificate_pem, key_pem } = issue::leaf(&ca, wanted, now)?;
            writes.push(Write { file: PkiFile::LeafKey, contents: key_pem });
            writes.push(Write { file: PkiFile::LeafCertificate, contents: certificate_pem });
            leaf
        }
    };
    let (ca, scope) = (ca.info(), ca.scope);
    Ok(Plan { writes, ca, scope, leaf, ca_is_new, ca_is_over, names_left_out, addresses_left_out })
}

/// Whether what is stored is complete: an authority, and a certificate that it vouches for, each with its key.
#[must_use]
pub fn is_settled(stored: &Stored) -> bool {
    stored::authority(stored).is_ok_and(|ca| ca.is_some_and(|ca| stored::leaf(stored, &ca).is_some()))
}

/// The latest moment that what is stored shows to have passed: that of making the certificate, or its authority.
/// `None` without either, or when they are damaged.
#[must_use]
pub fn made_at(stored: &Stored) -> Option<UnixSeconds> {
    let ca = stored::authority(stored).ok()??;
    Some(stored::leaf(stored, &ca).map_or(ca.not_before, |leaf| leaf.not_before).plus(BACKDATED))
}
