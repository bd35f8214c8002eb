//! What `bulle serve` tells: that the box was claimed, what time its administrator has, and which name it got.
//!
//! It talks to strangers, so nothing that it writes is followed, trusted for its length, or shown unchecked.

use super::world::World;
use crate::files;
use appliance_core::clock;
use appliance_core::names::DnsName;
use base::UnixSeconds;

/// Longest word about a claim: the digits of a time.
const LONGEST_CLAIM: usize = 32;
/// Longest name, with its end of line.
const LONGEST_NAME: usize = 256;

/// What was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// The box was claimed with the right code.
    pub(super) claimed: bool,
    /// What the device of who claimed it said that the time was, at that moment.
    pub(super) time: Option<UnixSeconds>,
    /// The name that multicast DNS gave it.
    pub(super) name: Option<DnsName>,
}

impl Told {
    /// Reads it all again.
    #[must_use]
    pub(super) fn read(world: &World) -> Self {
        let name = files::read(&world.shared().join("mdns-name"), LONGEST_NAME).ok().flatten();
        let claim = world.shared().join("claimed");
        let word = files::read(&claim, LONGEST_CLAIM).ok().flatten();
        Self {
            time: word.and_then(|word| clock::from_text(&word)),
            claimed: claim.symlink_metadata().is_ok_and(|meta| meta.is_file()),
            name: name
                .and_then(|bytes| DnsName::parse(std::str::from_utf8(&bytes).ok()?.trim()))
                .filter(|name| name.is_within("local")),
        }
    }
}
