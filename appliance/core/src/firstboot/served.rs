//! What `bulle serve` makes for itself and needs again at the next start: its few files, as they are.
//!
//! It works on a copy in memory; the controller keeps them with the secrets of the box, so that one file is whole or
//! is not, and only one program writes to the disk.

use crate::pki::{self, Fingerprint, PEER_FILE, PkiFile, Stored};
use std::fmt;
use zeroize::Zeroizing;

/// Largest of these files, in bytes. A certificate with all the names and addresses that it may have is half of that.
pub const LARGEST_SERVED: usize = 8 * 1024;

/// One of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServedFile {
    /// Of the page's authority and its certificate.
    Pki(PkiFile),
    /// The latest time that was seen.
    Clock,
    /// By what phones know the box as a WebRTC peer: join links name it, so it has to last.
    Peer,
}

impl ServedFile {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Pki(PkiFile::CaCertificate),
        Self::Pki(PkiFile::CaKey),
        Self::Pki(PkiFile::LeafCertificate),
        Self::Pki(PkiFile::LeafKey),
        Self::Clock,
        Self::Peer,
    ];

    /// Its name in the state directory of the daemon.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pki(file) => file.name(),
            Self::Clock => "clock",
            Self::Peer => PEER_FILE,
        }
    }

    /// Whether only the daemon may read it.
    #[must_use]
    pub const fn is_secret(self) -> bool {
        match self {
            Self::Pki(file) => file.is_secret(),
            Self::Clock => false,
            Self::Peer => true,
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Pki(PkiFile::CaCertificate) => 0,
            Self::Pki(PkiFile::CaKey) => 1,
            Self::Pki(PkiFile::LeafCertificate) => 2,
            Self::Pki(PkiFile::LeafKey) => 3,
            Self::Clock => 4,
            Self::Peer => 5,
        }
    }
}

/// The files, as far as there are any.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Served(Box<[Option<Zeroizing<Vec<u8>>>; ServedFile::ALL.len()]>);

impl Served {
    /// The content of a file.
    #[must_use]
    pub fn get(&self, file: ServedFile) -> Option<&[u8]> {
        self.0.get(file.index())?.as_ref().map(|bytes| bytes.as_slice())
    }

    /// Takes a file in; false, and nothing is changed, when it is too large to be one of these.
    #[must_use]
    pub fn put(&mut self, file: ServedFile, bytes: Zeroizing<Vec<u8>>) -> bool {
        let fits = bytes.len() <= LARGEST_SERVED;
        if let Some(place) = self.0.get_mut(file.index()).filter(|_| fits) {
            *place = Some(bytes);
        }
        fits
    }

    /// Those that there are.
    pub fn files(&self) -> impl Iterator<Item = (ServedFile, &[u8])> {
        ServedFile::ALL.into_iter().filter_map(|file| Some((file, self.get(file)?)))
    }

    /// Whether the daemon could go on with them: an authority, and a certificate that it vouches for. In between it
    /// has written some of them only.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        pki::is_settled(&self.stored())
    }

    /// Of the authority.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        Fingerprint::of_pem(self.get(ServedFile::Pki(PkiFile::CaCertificate))?)
    }

    /// Of the certificate that the box shows as a WebRTC peer.
    #[must_use]
    pub fn peer_fingerprint(&self) -> Option<Fingerprint> {
        Fingerprint::of_pem(self.get(ServedFile::Peer)?)
    }

    fn stored(&self) -> Stored {
        let plain = |file| self.get(ServedFile::Pki(file)).map(<[u8]>::to_vec);
        Stored {
            ca_certificate: plain(PkiFile::CaCertificate),
            ca_key: plain(PkiFile::CaKey).map(Zeroizing::new),
            leaf_certificate: plain(PkiFile::LeafCertificate),
            leaf_key: plain(PkiFile::LeafKey).map(Zeroizing::new),
        }
    }
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.files().map(|(file, _)| file.name())).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firstboot::tests::served;

    #[test]
    fn files_are_taken_up_to_their_limit_and_shown_by_name_alone() {
        let mut served = Served::default();
        assert!(served.put(ServedFile::Clock, Zeroizing::new(vec![b'1'; LARGEST_SERVED])));
        assert!(!served.put(ServedFile::Clock, Zeroizing::new(vec![b'2'; LARGEST_SERVED + 1])));
        assert_eq!(served.get(ServedFile::Clock).map(|bytes| bytes[0]), Some(b'1'));
        assert_eq!(format!("{served:?}"), "{\"clock\"}");
    }

    #[test]
    fn what_is_half_written_is_not_settled() {
        let whole = served(1);
        assert!(whole.is_settled() && whole.fingerprint().is_some());
        for missing in PkiFile::ALL {
            let mut half = Served::default();
            for (file, bytes) in whole.files().filter(|(file, _)| *file != ServedFile::Pki(missing)) {
                assert!(half.put(file, Zeroizing::new(bytes.to_vec())));
            }
            assert!(!half.is_settled(), "without {}", missing.name());
        }
        // A new key beside the old certificate.
        let mut torn = whole;
        let key = ServedFile::Pki(PkiFile::LeafKey);
        let other = served(2).get(key).map(<[u8]>::to_vec).expect("a key");
        assert!(torn.put(key, Zeroizing::new(other)));
        assert!(!torn.is_settled());
        assert!(!Served::default().is_settled());
    }
}
