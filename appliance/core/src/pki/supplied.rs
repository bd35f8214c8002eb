//! A certificate that the operator brings: from an authority of their own, or a public one.
//!
//! It is served for the names that it covers and never changed; what is odd about it is told and does not stop the
//! box, since its own clock may be the one that is wrong.
//! Not here: its key, which the TLS library compares with it.

use super::host::Host;
use super::stored::{address, seconds};
use crate::names::DnsName;
use base::UnixSeconds;
use std::fmt;
use std::net::IpAddr;
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;

/// Largest file that is looked at.
const LARGEST_CHAIN: usize = 64 * 1024;
/// Most certificates in it.
const LONGEST_CHAIN: usize = 8;
/// Most names and addresses that are looked at.
const MOST_NAMES: usize = 256;

/// A certificate with those between it and its authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supplied {
    /// DER, the server's own first.
    pub chain: Vec<Vec<u8>>,
    names: Vec<Covered>,
    addresses: Vec<IpAddr>,
    not_before: UnixSeconds,
    not_after: UnixSeconds,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Covered {
    Exactly(DnsName),
    /// Any one label before it (RFC 9525 section 6.3).
    OneBelow(DnsName),
}

/// Why a file is no certificate to serve with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SuppliedError {
    /// There is no certificate in it.
    None,
    /// It is larger, or holds more certificates, than any chain.
    TooLarge,
    /// The certificate with that number, from 1, cannot be read.
    Damaged {
        /// Its place in the file.
        number: usize,
    },
    /// The first one is that of an authority.
    AuthorityFirst,
    /// It names no host and no address.
    Nameless,
}

impl fmt::Display for SuppliedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str(
                "there is no certificate in it; it must be PEM, a text that begins with -----BEGIN CERTIFICATE-----",
            ),
            Self::TooLarge => write!(
                f,
                "it is too large for a certificate; it may hold {LONGEST_CHAIN} of them in {} KiB",
                LARGEST_CHAIN / 1024
            ),
            Self::Damaged { number } => write!(f, "certificate number {number} in it is damaged; export it again"),
            Self::AuthorityFirst => f.write_str(
                "the first certificate in it is that of an authority; put the one of this box first, and those \
                 between it and the authority after it",
            ),
            Self::Nameless => f.write_str(
                "it names no host and no address (subject alternative names), so browsers refuse it; have it issued \
                 for the names of this box",
            ),
        }
    }
}

impl std::error::Error for SuppliedError {}

/// What is odd about a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SuppliedWarning {
    /// It ended that long ago.
    Expired {
        /// Days.
        days: u64,
    },
    /// It begins only then.
    NotYetValid {
        /// Days.
        days: u64,
    },
    /// It ends soon.
    Expiring {
        /// Days.
        days: u64,
    },
    /// It does not cover a name of this box.
    NotCovered(DnsName),
}

/// A certificate with so many days left is worth a word.
const SOON: u64 = 21;

impl fmt::Display for SuppliedWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired { days } => {
                write!(f, "it expired {days} days ago by the clock of this box; bring a new one")
            }
            Self::NotYetValid { days } => write!(
                f,
                "it becomes valid in {days} days by the clock of this box; is the clock right? see `clock` in the \
                 state directory"
            ),
            Self::Expiring { days } => write!(f, "it expires in {days} days; bring a new one"),
            Self::NotCovered(name) => {
                write!(
                    f,
                    "it does not cover {name}; whoever uses that name gets the local authority's certificate"
                )
            }
        }
    }
}

impl Supplied {
    /// Reads a file: the server's certificate first, in PEM.
    ///
    /// # Errors
    /// When it cannot be served.
    pub fn parse(pem: &[u8]) -> Result<Self, SuppliedError> {
        if pem.len() > LARGEST_CHAIN {
            return Err(SuppliedError::TooLarge);
        }
        let mut chain = Vec::new();
        for found in Pem::iter_from_buffer(pem) {
            let number = chain.len() + 1;
            let found = found.map_err(|_| SuppliedError::Damaged { number })?;
            // Some tools put the key, or parameters, into the same file.
            if found.label != "CERTIFICATE" {
                continue;
            }
            if number > LONGEST_CHAIN {
                return Err(SuppliedError::TooLarge);
            }
            let whole = X509Certificate::from_der(&found.contents).is_ok_and(|(rest, _)| rest.is_empty());
            if !whole {
                return Err(SuppliedError::Damaged { number });
            }
            chain.push(found.contents);
        }
        let first = chain.first().ok_or(SuppliedError::None)?;
        let (_, parsed) =
            X509Certificate::from_der(first).map_err(|_| SuppliedError::Damaged { number: 1 })?;
        if parsed.is_ca() && chain.len() > 1 {
            return Err(SuppliedError::AuthorityFirst);
        }
        let (names, addresses) = subjects(&parsed);
        if names.is_empty() && addresses.is_empty() {
            return Err(SuppliedError::Nameless);
        }
        let validity = parsed.validity();
        let (not_before, not_after) =
            (seconds(validity.not_before.timestamp()), seconds(validity.not_after.timestamp()));
        Ok(Self { names, addresses, not_before, not_after, chain })
    }

    /// The names that stand in it as they are, the first one first.
    pub fn names(&self) -> impl Iterator<Item = &DnsName> {
        self.names.iter().filter_map(|covered| match covered {
            Covered::Exactly(name) => Some(name),
            Covered::OneBelow(_) => None,
        })
    }

    /// Whether a browser that asks for `name` takes it.
    #[must_use]
    pub fn covers(&self, name: &DnsName) -> bool {
        let text = name.as_str();
        self.names.iter().any(|covered| match covered {
            Covered::Exactly(own) => own == name,
            Covered::OneBelow(above) => text.split_once('.').is_some_and(|(_, rest)| rest == above.as_str()),
        })
    }

    /// Whether a browser that asks for `address` takes it.
    #[must_use]
    pub fn covers_address(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address.to_canonical())
    }

    /// What is odd about it on a box with these names.
    #[must_use]
    pub fn warnings(&self, names: &[DnsName], now: UnixSeconds) -> Vec<SuppliedWarning> {
        const DAY: u64 = 86_400;
        let mut warnings = Vec::new();
        let left = self.not_after.0.saturating_sub(now.0) / DAY;
        if now < self.not_before {
            let days = (self.not_before.0 - now.0).div_ceil(DAY);
            warnings.push(SuppliedWarning::NotYetValid { days });
        } else if now > self.not_after {
            warnings.push(SuppliedWarning::Expired { days: (now.0 - self.not_after.0) / DAY });
        } else if left < SOON {
            warnings.push(SuppliedWarning::Expiring { days: left });
        }
        // No authority but our own vouches for names of the link.
        let other = names.iter().filter(|name| !name.is_within("local") && !self.covers(name));
        warnings.extend(other.cloned().map(SuppliedWarning::NotCovered));
        warnings
    }
}

fn subjects(certificate: &X509Certificate<'_>) -> (Vec<Covered>, Vec<IpAddr>) {
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    let Ok(Some(alternative)) = certificate.subject_alternative_name() else { return (names, addresses) };
    for name in alternative.value.general_names.iter().take(MOST_NAMES) {
        match Host::of(name) {
            Some(Host::Name(name)) => match name.strip_prefix("*.") {
                Some(above) => names.extend(DnsName::parse(above).map(Covered::OneBelow)),
                None => names.extend(DnsName::parse(name).map(Covered::Exactly)),
            },
            Some(Host::Address(bytes)) => addresses.extend(address(bytes)),
            None => {}
        }
    }
    (names, addresses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, IsCa, KeyPair};

    fn name(text: &str) -> DnsName {
        DnsName::parse(text).expect("a name")
    }

    /// A certificate for these names, good from the year 2027 for a year.
    fn pem(names: &[&str], is_ca: bool) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.not_before = rcgen::date_time_ymd(2027, 1, 1);
        params.not_after = rcgen::date_time_ymd(2028, 1, 1);
        if is_ca {
            params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        }
        params.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate").pem()
    }

    const IN_2027: UnixSeconds = UnixSeconds(1_800_000_000);

    #[test]
    fn it_is_served_for_the_names_that_it_covers() {
        let own = Supplied::parse(pem(&["box.example.org", "*.bulle.example", "10.0.0.7"], false).as_bytes());
        let own = own.expect("a certificate");
        for covered in ["box.example.org", "a.bulle.example"] {
            assert!(own.covers(&name(covered)), "{covered}");
        }
        for other in
            ["example.org", "bulle.example", "a.b.bulle.example", "a.box.example.org", "bulle.internal"]
        {
            assert!(!own.covers(&name(other)), "{other}");
        }
        assert!(own.covers_address([10, 0, 0, 7].into()) && !own.covers_address([10, 0, 0, 8].into()));
    }

    #[test]
    fn what_is_odd_is_told_and_stops_nothing() {
        let own = Supplied::parse(pem(&["box.example.org"], false).as_bytes()).expect("a certificate");
        let names = [name("box.example.org"), name("bulle.internal"), name("bulle.local")];
        let not_covered = SuppliedWarning::NotCovered(name("bulle.internal"));
        assert_eq!(own.warnings(&names, IN_2027), [not_covered]);
        let only = |now| match own.warnings(&[], UnixSeconds(now)).as_slice() {
            [only] => only.clone(),
            other => panic!("{other:?}"),
        };
        let end = own.not_after.0;
        assert_eq!(only(end + 3 * 86_400 + 5), SuppliedWarning::Expired { days: 3 });
        assert_eq!(only(end - 5 * 86_400 - 5), SuppliedWarning::Expiring { days: 5 });
        assert_eq!(only(own.not_before.0 - 5), SuppliedWarning::NotYetValid { days: 1 });
        assert!(only(0).to_string().contains("is the clock right?"));
    }

    #[test]
    fn what_cannot_be_served_is_refused_with_the_reason() {
        let (leaf, ca) = (pem(&["box.example.org"], false), pem(&["ca.example.org"], true));
        let refused = |pem: &str| Supplied::parse(pem.as_bytes()).expect_err("refused");
        assert_eq!(refused(""), SuppliedError::None);
        assert_eq!(
            refused("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
            SuppliedError::None
        );
        assert_eq!(refused(&format!("{ca}{leaf}")), SuppliedError::AuthorityFirst);
        assert_eq!(refused(&pem(&[], false)), SuppliedError::Nameless);
        let cut = leaf.lines().take(4).chain(["-----END CERTIFICATE-----"]).collect::<Vec<_>>().join("\n");
        assert_eq!(refused(&format!("{leaf}{cut}\n")), SuppliedError::Damaged { number: 2 });
        assert_eq!(refused(&leaf.repeat(LONGEST_CHAIN + 1)), SuppliedError::TooLarge);
        assert_eq!(refused(&" ".repeat(LARGEST_CHAIN + 1)), SuppliedError::TooLarge);
        assert!(Supplied::parse(format!("{leaf}{ca}").as_bytes()).is_ok_and(|own| own.chain.len() == 2));
    }
}
