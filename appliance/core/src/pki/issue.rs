//! Makes keys and certificates: ECDSA P-256, as every phone since 2010 takes it.

use super::{BACKDATED, CA_LIFETIME, CaInfo, Fingerprint, Identity, LEAF_LIFETIME, Leaf, PkiError, Scope};
use base::UnixSeconds;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType,
};
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use time::OffsetDateTime;
use zeroize::Zeroizing;

/// An authority with its key.
pub(super) struct Authority {
    pub(super) issuer: Issuer<'static, KeyPair>,
    pub(super) der: Vec<u8>,
    pub(super) pem: String,
    pub(super) scope: Scope,
    pub(super) not_before: UnixSeconds,
    pub(super) not_after: UnixSeconds,
}

impl Authority {
    pub(super) fn info(&self) -> CaInfo {
        let fingerprint = Fingerprint(Sha256::digest(&self.der).into());
        CaInfo { der: self.der.clone(), pem: self.pem.clone(), fingerprint }
    }

    pub(super) fn key_pem(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.issuer.key().serialize_pem().into_bytes())
    }

    pub(super) fn certificate_pem(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.pem.clone().into_bytes())
    }
}

/// A new authority for that scope.
pub(super) fn authority(
    scope: &Scope,
    now: UnixSeconds,
    made_before: UnixSeconds,
) -> Result<Authority, PkiError> {
    let key = KeyPair::generate().map_err(|_| PkiError::Issue)?;
    let tag: String =
        Sha256::digest(key.public_key_raw()).iter().take(2).map(|byte| format!("{byte:02x}")).collect();
    let not_before = minus(made_before.min(now), BACKDATED);
    let not_after = now.plus(CA_LIFETIME);
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(&format!("Bulle local CA {tag}"));
    params.not_before = date(not_before)?;
    params.not_after = date(not_after)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let names = scope.names().iter().map(|name| GeneralSubtree::DnsName(name.clone()));
    let ranges =
        scope.ranges().iter().filter_map(|(net, mask)| subnet(*net, *mask)).map(GeneralSubtree::IpAddress);
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: names.chain(ranges).collect(),
        excluded_subtrees: Vec::new(),
    });
    let certificate = params.self_signed(&key).map_err(|_| PkiError::Issue)?;
    Ok(Authority {
        der: certificate.der().to_vec(),
        pem: certificate.pem(),
        scope: scope.clone(),
        not_before,
        not_after,
        issuer: Issuer::new(params, key),
    })
}

/// A new certificate, as it is served and as it is stored.
pub(super) struct Issued {
    pub(super) leaf: Leaf,
    pub(super) certificate_pem: Zeroizing<Vec<u8>>,
    pub(super) key_pem: Zeroizing<Vec<u8>>,
}

/// A new key and a certificate for it.
pub(super) fn leaf(ca: &Authority, identity: Identity, now: UnixSeconds) -> Result<Issued, PkiError> {
    let key = KeyPair::generate().map_err(|_| PkiError::Issue)?;
    let not_before = minus(now, BACKDATED);
    let not_after = not_before.plus(LEAF_LIFETIME).min(ca.not_after);
    let mut params = CertificateParams::default();
    let shown = identity.names.first().map_or("Bulle", |name| name.as_str());
    params.distinguished_name = common_name(shown);
    params.not_before = date(not_before)?;
    // The moments at both ends count (RFC 5280 section 4.1.2.5).
    params.not_after = date(minus(not_after, std::time::Duration::from_secs(1)))?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    for name in &identity.names {
        let name = Ia5String::try_from(name.as_str()).map_err(|_| PkiError::Issue)?;
        params.subject_alt_names.push(SanType::DnsName(name));
    }
    params.subject_alt_names.extend(identity.addresses.iter().copied().map(SanType::IpAddress));
    let certificate = params.signed_by(&key, &ca.issuer).map_err(|_| PkiError::Issue)?;
    let leaf = Leaf {
        certificate: certificate.der().to_vec(),
        key: Zeroizing::new(key.serialize_der()),
        not_before,
        not_after,
        identity,
    };
    Ok(Issued {
        leaf,
        certificate_pem: Zeroizing::new(certificate.pem().into_bytes()),
        key_pem: Zeroizing::new(key.serialize_pem().into_bytes()),
    })
}

pub(super) fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn subnet(net: IpAddr, mask: IpAddr) -> Option<CidrSubnet> {
    match (net, mask) {
        (IpAddr::V4(net), IpAddr::V4(mask)) => Some(CidrSubnet::V4(net.octets(), mask.octets())),
        (IpAddr::V6(net), IpAddr::V6(mask)) => Some(CidrSubnet::V6(net.octets(), mask.octets())),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
    }
}

pub(super) fn date(at: UnixSeconds) -> Result<OffsetDateTime, PkiError> {
    let seconds = i64::try_from(at.0).map_err(|_| PkiError::Issue)?;
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| PkiError::Issue)
}

fn minus(at: UnixSeconds, by: std::time::Duration) -> UnixSeconds {
    UnixSeconds(at.0.saturating_sub(by.as_secs()))
}
