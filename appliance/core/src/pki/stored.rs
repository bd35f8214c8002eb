//! Reads back what was stored. The authority is checked strictly; a leaf that does not fit is simply not there.

use super::host::Host;
use super::issue::Authority;
use super::{Identity, Leaf, PkiError, PkiFile, Scope, Stored};
use crate::names::DnsName;
use base::UnixSeconds;
use rcgen::{Issuer, KeyPair, PublicKeyData};
use std::net::IpAddr;
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;
use zeroize::Zeroizing;

/// Largest file that is looked at.
const LARGEST_FILE: usize = 64 * 1024;

/// The authority, `None` when neither file exists.
pub(super) fn authority(stored: &Stored) -> Result<Option<Authority>, PkiError> {
    let (certificate, key) = match (&stored.ca_certificate, &stored.ca_key) {
        (None, None) => return Ok(None),
        (None, Some(_)) => return Err(PkiError::Incomplete { missing: PkiFile::CaCertificate }),
        (Some(_), None) => return Err(PkiError::Incomplete { missing: PkiFile::CaKey }),
        (Some(certificate), Some(key)) => (certificate, key),
    };
    let key = read_key(key).ok_or(PkiError::Damaged { file: PkiFile::CaKey })?;
    let damaged = PkiError::Damaged { file: PkiFile::CaCertificate };
    let der = read_certificate(certificate).ok_or(damaged)?;
    let (rest, parsed) = X509Certificate::from_der(&der).map_err(|_| damaged)?;
    let validity = parsed.validity();
    let (not_before, not_after) =
        (seconds(validity.not_before.timestamp()), seconds(validity.not_after.timestamp()));
    let constraints = parsed.name_constraints().ok().flatten();
    let scope = constraints
        .and_then(|constraints| Scope::of_certificate(constraints.value, not_after))
        .ok_or(damaged)?;
    if !rest.is_empty() || !parsed.is_ca() || parsed.verify_signature(None).is_err() {
        return Err(damaged);
    }
    if parsed.public_key().raw != key.subject_public_key_info() {
        return Err(PkiError::Mismatch);
    }
    let issuer = Issuer::from_ca_cert_der(&der.as_slice().into(), key).map_err(|_| damaged)?;
    let pem = String::from_utf8(certificate.clone()).map_err(|_| damaged)?;
    Ok(Some(Authority { issuer, der, pem, scope, not_before, not_after }))
}

/// The certificate that `ca` signed, with its key; `None` when anything about it is wrong.
pub(super) fn leaf(stored: &Stored, ca: &Authority) -> Option<Leaf> {
    let key = read_key(stored.leaf_key.as_ref()?)?;
    let der = read_certificate(stored.leaf_certificate.as_ref()?)?;
    let (_, ca_parsed) = X509Certificate::from_der(&ca.der).ok()?;
    let (rest, parsed) = X509Certificate::from_der(&der).ok()?;
    let genuine = rest.is_empty()
        && parsed.public_key().raw == key.subject_public_key_info()
        && parsed.issuer() == ca_parsed.subject()
        && parsed.verify_signature(Some(ca_parsed.public_key())).is_ok();
    if !genuine {
        return None;
    }
    let mut identity = Identity::default();
    for name in &parsed.subject_alternative_name().ok()??.value.general_names {
        match Host::of(name)? {
            Host::Name(name) => _ = identity.names.insert(DnsName::parse(name)?),
            Host::Address(bytes) => _ = identity.addresses.insert(address(bytes)?),
        }
    }
    let validity = parsed.validity();
    let (not_before, not_after) =
        (seconds(validity.not_before.timestamp()), seconds(validity.not_after.timestamp()));
    Some(Leaf { key: Zeroizing::new(key.serialize_der()), not_before, not_after, identity, certificate: der })
}

pub(super) fn read_key(pem: &[u8]) -> Option<KeyPair> {
    let text = std::str::from_utf8(pem.get(..pem.len().min(LARGEST_FILE + 1))?).ok()?;
    (pem.len() <= LARGEST_FILE).then(|| KeyPair::from_pem(text).ok())?
}

pub(super) fn read_certificate(pem: &[u8]) -> Option<Vec<u8>> {
    if pem.len() > LARGEST_FILE {
        return None;
    }
    let (pem, _) = Pem::read(std::io::Cursor::new(pem)).ok()?;
    (pem.label == "CERTIFICATE").then_some(pem.contents)
}

pub(super) fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

pub(super) fn seconds(timestamp: i64) -> UnixSeconds {
    UnixSeconds(u64::try_from(timestamp).unwrap_or(0))
}
