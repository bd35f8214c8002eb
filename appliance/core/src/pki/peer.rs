//! By what phones know the box as a WebRTC peer: a key and a certificate that nobody vouches for.
//!
//! The join link names its fingerprint, so it is made once and lasts as long as the box: no clock and no name of this
//! machine stands in it that could make it worthless. Both are in one file, which is whole or is not there.
//! Not here: the authority of the page, with which it has nothing to do.

use super::{Fingerprint, PkiError, issue, stored};
use base::UnixSeconds;
use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use sha2::{Digest, Sha256};
use std::fmt;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use zeroize::Zeroizing;

/// Its name in the state directory.
pub const PEER_FILE: &str = "peer.pem";

/// 2000-01-01: before any clock of a phone that works.
const NOT_BEFORE: UnixSeconds = UnixSeconds(946_684_800);
/// 9999-12-31: that it never ends (RFC 5280, section 4.1.2.5).
const NOT_AFTER: UnixSeconds = UnixSeconds(253_402_300_799);
/// Where the key begins in the file.
const KEY: &str = "-----BEGIN PRIVATE KEY-----";

/// The certificate and its key: ECDSA P-256, which every browser takes.
pub struct PeerCertificate {
    /// DER.
    pub certificate: Vec<u8>,
    /// PKCS #8 DER.
    pub key: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerCertificate(..)")
    }
}

impl PeerCertificate {
    /// A new one, and the file that keeps it.
    ///
    /// # Errors
    /// When the library refuses: a bug.
    pub fn generate() -> Result<(Self, Zeroizing<Vec<u8>>), PkiError> {
        let key = KeyPair::generate().map_err(|_| PkiError::Issue)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = issue::common_name("Bulle");
        params.not_before = issue::date(NOT_BEFORE)?;
        params.not_after = issue::date(NOT_AFTER)?;
        let certificate = params.self_signed(&key).map_err(|_| PkiError::Issue)?;
        let key_pem = Zeroizing::new(key.serialize_pem());
        let mut file = Zeroizing::new(certificate.pem().into_bytes());
        // The room is there before the key is, so that no copy is left behind by growing.
        file.reserve_exact(key_pem.len());
        file.extend_from_slice(key_pem.as_bytes());
        let made = Self { certificate: certificate.der().to_vec(), key: Zeroizing::new(key.serialize_der()) };
        Ok((made, file))
    }

    /// Reads the file back; `None` when it is damaged.
    #[must_use]
    pub fn read(file: &[u8]) -> Option<Self> {
        let certificate = stored::read_certificate(file)?;
        let text = std::str::from_utf8(file).ok()?;
        let key = stored::read_key(text.get(text.find(KEY)?..)?.as_bytes())?;
        let (rest, parsed) = X509Certificate::from_der(&certificate).ok()?;
        let fits = rest.is_empty() && parsed.public_key().raw == key.subject_public_key_info();
        fits.then(|| Self { certificate, key: Zeroizing::new(key.serialize_der()) })
    }

    /// SHA-256 of the certificate, as join links and session descriptions (RFC 8122) name it.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(Sha256::digest(&self.certificate).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_read_back_and_its_file_has_its_fingerprint() {
        let (made, file) = PeerCertificate::generate().expect("made");
        let read = PeerCertificate::read(&file).expect("whole");
        assert!(read.certificate == made.certificate && read.key == made.key);
        assert_eq!(Fingerprint::of_pem(&file), Some(made.fingerprint()));
        assert_eq!(format!("{made:?}"), "PeerCertificate(..)");
    }

    #[test]
    fn it_never_ends_and_two_are_different() {
        let (one, _) = PeerCertificate::generate().expect("made");
        let (_, parsed) = X509Certificate::from_der(&one.certificate).expect("a certificate");
        let validity = parsed.validity();
        assert_eq!(stored::seconds(validity.not_before.timestamp()), NOT_BEFORE);
        assert_eq!(stored::seconds(validity.not_after.timestamp()), NOT_AFTER);
        let (other, _) = PeerCertificate::generate().expect("made");
        assert_ne!(one.fingerprint(), other.fingerprint());
    }

    #[test]
    fn what_is_not_whole_is_not_used() {
        let (_, file) = PeerCertificate::generate().expect("made");
        let (_, other) = PeerCertificate::generate().expect("made");
        let text = std::str::from_utf8(&file).expect("text");
        let others = std::str::from_utf8(&other).expect("text");
        let (certificate, key) = text.split_at(text.find(KEY).expect("a key"));
        let another = &others[others.find(KEY).expect("a key")..];
        for wrong in
            ["", certificate, key, &format!("{certificate}{another}"), &text[..text.len() - 40], "\u{0}"]
        {
            assert!(PeerCertificate::read(wrong.as_bytes()).is_none(), "{wrong:?}");
        }
    }
}
