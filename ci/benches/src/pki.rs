//! A throw-away certificate for the peers, of the same kind as the node's: ECDSA P-256.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{CertificateParams, KeyPair};

/// The files of a certificate for `127.0.0.1`.
#[derive(Debug)]
pub struct Files {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

/// Makes a certificate in `dir`.
///
/// # Errors
/// When it cannot be made or written.
pub fn make(dir: &Path) -> Result<Files> {
    let key = KeyPair::generate()?;
    let certificate =
        CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])?.self_signed(&key)?;
    let files = Files { certificate: dir.join("peer.crt"), key: dir.join("peer.key") };
    fs::write(&files.certificate, certificate.pem())?;
    fs::write(&files.key, key.serialize_pem())?;
    Ok(files)
}
