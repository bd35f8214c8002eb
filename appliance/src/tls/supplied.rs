//! The operator's own certificate: read from its files, and read again when they change.

use appliance_core::names::DnsName;
use appliance_core::pki::{Supplied, SuppliedError};
use appliance_core::settings::CertificateFiles;
use base::UnixSeconds;
use rustls::InconsistentKeys;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Largest file that is read: a chain and its key are a few KiB.
const LARGEST: u64 = 64 * 1024 + 1;

/// A certificate that can be shown.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) certificate: Supplied,
    pub(super) key: Arc<CertifiedKey>,
    /// Of both files, to know when they change.
    digest: [u8; 32],
}

/// Why the operator's certificate is not shown. Names the file and the remedy.
#[derive(Debug)]
#[non_exhaustive]
pub enum SuppliedFileError {
    /// A file cannot be read.
    Read {
        /// The key of the settings that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no certificate for a server.
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SuppliedError,
    },
    /// It is no key, or one that we cannot use.
    Key {
        /// The file.
        path: PathBuf,
    },
    /// The key belongs to another certificate.
    Mismatch {
        /// The file of the key.
        path: PathBuf,
    },
}

impl fmt::Display for SuppliedFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { setting, path, source } => write!(
                f,
                "cannot read {} (`{setting}`): {source}; correct the path, or let the user that runs bulle read it",
                path.display()
            ),
            Self::Certificate { path, source } => {
                write!(f, "the certificate {} (`http.certificate`) cannot be used: {source}", path.display())
            }
            Self::Key { path } => write!(
                f,
                "{} (`http.key`) holds no private key that can be used; it must be PEM and not encrypted",
                path.display()
            ),
            Self::Mismatch { path } => write!(
                f,
                "the key {} (`http.key`) does not belong to the certificate in `http.certificate`; put the pair in \
                 place that was issued together",
                path.display()
            ),
        }
    }
}

impl std::error::Error for SuppliedFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } => Some(source),
            Self::Certificate { source, .. } => Some(source),
            Self::Key { .. } | Self::Mismatch { .. } => None,
        }
    }
}

impl Loaded {
    /// Reads both files; `None` when they are those of `before`.
    pub(super) fn read(
        files: &CertificateFiles,
        before: Option<&Self>,
    ) -> Result<Option<Self>, SuppliedFileError> {
        let chain = read("http.certificate", &files.certificate)?;
        let key = read("http.key", &files.key)?;
        let digest =
            Sha256::new().chain_update(Sha256::digest(&chain)).chain_update(Sha256::digest(&key)).finalize();
        let digest: [u8; 32] = digest.into();
        if before.is_some_and(|before| before.digest == digest) {
            return Ok(None);
        }
        let certificate = Supplied::parse(&chain)
            .map_err(|source| SuppliedFileError::Certificate { path: files.certificate.clone(), source })?;
        let wrong = || SuppliedFileError::Key { path: files.key.clone() };
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| wrong())?;
        let chain = certificate.chain.iter().cloned().map(CertificateDer::from).collect();
        let key = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|error| {
            if matches!(error, rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) {
                SuppliedFileError::Mismatch { path: files.key.clone() }
            } else {
                wrong()
            }
        })?;
        Ok(Some(Self { certificate, key: Arc::new(key), digest }))
    }

    /// What is odd about it, in words, for the operator's terminal.
    pub(super) fn warnings(&self, names: &[DnsName], now: UnixSeconds) -> Vec<String> {
        let odd = self.certificate.warnings(names, now);
        odd.iter().map(|warning| format!("the certificate in `http.certificate`: {warning}")).collect()
    }
}

fn read(setting: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, SuppliedFileError> {
    let read = || {
        // The capacity is there from the start, so that no copy of a key is left behind by growing.
        let mut bytes = Zeroizing::new(Vec::with_capacity(16 * 1024));
        File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|source| SuppliedFileError::Read { setting, path: path.to_owned(), source })
}
