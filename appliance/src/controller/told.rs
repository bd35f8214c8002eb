//! What `bulle serve` tells: that the box was claimed, which name it got, and what its authority is.
//!
//! It talks to strangers, so nothing that it writes is followed, trusted for its length, or shown unchecked.

use super::world::World;
use crate::files;
use appliance_core::names::DnsName;
use appliance_core::pki::Fingerprint;

/// Larger than any certificate of ours.
const LARGEST_CERTIFICATE: usize = 16 * 1024;
/// Longest name, with its end of line.
const LONGEST_NAME: usize = 256;

/// What was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// The box was claimed with the right code.
    pub(super) claimed: bool,
    /// The name that multicast DNS gave it.
    pub(super) name: Option<DnsName>,
    /// Its certificate authority.
    pub(super) authority: Option<Fingerprint>,
}

impl Told {
    /// Reads it all again.
    #[must_use]
    pub(super) fn read(world: &World) -> Self {
        let name = files::read(&world.shared().join("mdns-name"), LONGEST_NAME).ok().flatten();
        let authority = world.data().join(super::store::SERVE).join("ca.crt");
        let authority = files::read(&authority, LARGEST_CERTIFICATE).ok().flatten();
        Self {
            claimed: world.shared().join("claimed").symlink_metadata().is_ok_and(|meta| meta.is_file()),
            name: name
                .and_then(|bytes| DnsName::parse(std::str::from_utf8(&bytes).ok()?.trim()))
                .filter(|name| name.is_within("local")),
            authority: authority.and_then(|pem| Fingerprint::of_pem(&pem)),
        }
    }
}
