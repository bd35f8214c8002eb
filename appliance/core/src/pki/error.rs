//! Why there is no certificate authority to work with.

use super::PkiFile;
use std::fmt;

/// Why there is no certificate authority to work with. Every text names the file and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PkiError {
    /// One of the authority's two files is missing.
    Incomplete {
        /// The file that is missing.
        missing: PkiFile,
    },
    /// A file of the authority is not what it should be.
    Damaged {
        /// Which.
        file: PkiFile,
    },
    /// The authority's key belongs to another certificate.
    Mismatch,
    /// The cryptographic library could not make a key or a certificate: a bug.
    Issue,
}

/// What to do where the authority's files are unusable.
const REMEDY: &str = "put back your copy of ca.crt and ca.key; or, if there is none, delete both: \
     a new authority is then made, and every phone must be told to trust it again";

impl fmt::Display for PkiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete { missing } => {
                write!(f, "the file {} of the certificate authority is missing; {REMEDY}", missing.name())
            }
            Self::Damaged { file } => {
                write!(f, "the file {} of the certificate authority is damaged; {REMEDY}", file.name())
            }
            Self::Mismatch => {
                write!(f, "the files ca.crt and ca.key do not belong together; {REMEDY}")
            }
            Self::Issue => {
                f.write_str("a key or certificate could not be made; this is a bug, please report it")
            }
        }
    }
}

impl std::error::Error for PkiError {}
