//! Who is here: one entry per device, the newest wins, and silence means gone.

pub(crate) mod entry;

use base::Instant;
use core::time::Duration;
use std::collections::{BTreeMap, HashMap};
use wire::Address;

use crate::api::{PeerId, Text, UnixMillis};
use crate::broadcast::cell::CellKey;
use crate::conversation::Conversation;
use crate::group::suite::{DeviceKey, PeerPackage};
use crate::keys::SealKey;
use entry::Entry;

/// Devices known at once. Those who are gone and never talked make room for new ones.
pub(crate) const MAX_PEERS: usize = 1024;

/// How long an entry lives, at the node and here.
pub(crate) const ENTRY_TTL: Duration = Duration::from_secs(600);

/// How often the own entry is published again.
pub(crate) const PUBLISH_EVERY: Duration = Duration::from_secs(240);

/// A device as its newest entry describes it.
pub(crate) struct Contact {
    pub(crate) id: PeerId,
    pub(crate) device: DeviceKey,
    pub(crate) serial: u64,
    pub(crate) pseudonym: Text,
    pub(crate) inbox: Address,
    pub(crate) seal: SealKey,
    pub(crate) package: Option<PeerPackage>,
    pub(crate) rtc: bool,
    /// By what cells are sealed for it, where the bubble broadcasts.
    pub(crate) cell: Option<CellKey>,
    pub(crate) published: UnixMillis,
    /// Whether the owner was told that they are here.
    pub(crate) present: bool,
    /// Whether they said goodbye: this device will never be back.
    pub(crate) left: bool,
    /// Whether the person has compared the safety number with them, and found it the same.
    pub(crate) verified: bool,
    pub(crate) expires: Instant,
}

/// A device and what we have to say to each other.
pub(crate) struct Peer {
    pub(crate) contact: Contact,
    pub(crate) conversation: Option<Box<Conversation>>,
}

/// What an entry changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Somebody is here, or back, or is called otherwise.
    Here(PeerId),
    /// They are still here.
    Still(PeerId),
    /// They have left for good.
    Left(PeerId),
    /// It is older than what is known.
    Stale(PeerId),
    /// Of somebody unknown who has left already.
    Nobody,
    /// There is no room.
    Full,
}

/// Everybody.
#[derive(Default)]
pub(crate) struct Directory {
    peers: BTreeMap<PeerId, Peer>,
    by_device: HashMap<DeviceKey, PeerId>,
    last: u32,
}

impl Directory {
    /// The peer with this number.
    pub(crate) fn get(&mut self, peer: PeerId) -> Option<&mut Peer> {
        self.peers.get_mut(&peer)
    }

    /// The newest entry known of a device.
    pub(crate) fn known(&self, device: &DeviceKey) -> Option<(PeerId, u64)> {
        let peer = *self.by_device.get(device)?;
        Some((peer, self.peers.get(&peer)?.contact.serial))
    }

    /// All peers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values()
    }

    /// The numbers of all peers.
    pub(crate) fn ids(&self) -> Vec<PeerId> {
        self.peers.keys().copied().collect()
    }

    /// A verified entry of another device.
    pub(crate) fn update(
        &mut self,
        entry: Entry,
        seal: SealKey,
        now: Instant,
        wall: UnixMillis,
    ) -> (Change, Option<PeerId>) {
        let expires = now + ENTRY_TTL.saturating_sub(age(entry.published, wall));
        let Some((id, serial)) = self.known(&entry.device) else {
            return self.insert(entry, seal, expires);
        };
        let Some(peer) = self.peers.get_mut(&id) else { return (Change::Nobody, None) };
        let contact = &mut peer.contact;
        if entry.serial <= serial || contact.left {
            return (Change::Stale(id), None);
        }
        let renamed = contact.pseudonym != entry.pseudonym;
        contact.serial = entry.serial;
        contact.pseudonym = entry.pseudonym;
        contact.inbox = entry.inbox;
        contact.seal = seal;
        contact.rtc = entry.rtc;
        contact.cell = entry.cell;
        contact.published = entry.published;
        contact.expires = expires;
        if entry.left {
            contact.left = true;
            contact.present = false;
            contact.package = None;
            return (Change::Left(id), None);
        }
        contact.package = entry.package;
        let news = renamed || !contact.present;
        contact.present = true;
        (if news { Change::Here(id) } else { Change::Still(id) }, None)
    }

    /// The second value is who made room.
    fn insert(&mut self, entry: Entry, seal: SealKey, expires: Instant) -> (Change, Option<PeerId>) {
        if entry.left {
            return (Change::Nobody, None);
        }
        let mut evicted = None;
        if self.peers.len() >= MAX_PEERS {
            let is_stranger =
                |peer: &&Peer| !peer.contact.present && !peer.contact.verified && peer.conversation.is_none();
            let gone = self.peers.values().find(is_stranger);
            let Some(gone) = gone.map(|peer| (peer.contact.id, peer.contact.device)) else {
                return (Change::Full, None);
            };
            self.peers.remove(&gone.0);
            self.by_device.remove(&gone.1);
            evicted = Some(gone.0);
        }
        self.last += 1;
        let id = PeerId(self.last);
        self.by_device.insert(entry.device, id);
        let contact = Contact {
            id,
            device: entry.device,
            serial: entry.serial,
            pseudonym: entry.pseudonym,
            inbox: entry.inbox,
            seal,
            package: entry.package,
            rtc: entry.rtc,
            cell: entry.cell,
            published: entry.published,
            present: true,
            left: false,
            verified: false,
            expires,
        };
        self.peers.insert(id, Peer { contact, conversation: None });
        (Change::Here(id), evicted)
    }
}

/// How old an entry is, as far as the clocks agree. When they do not, it counts as new: the node keeps nothing
/// longer than its time, so an age beyond that only shows a clock that is wrong.
fn age(published: UnixMillis, wall: UnixMillis) -> Duration {
    match wall.0.checked_sub(published.0).map(Duration::from_millis) {
        Some(age) if age <= ENTRY_TTL => age,
        Some(_) | None => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::suite::Device;

    fn entry(device: u32, serial: u64, left: bool) -> (Entry, SealKey) {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&device.to_be_bytes());
        let entry = Entry {
            device: DeviceKey(key),
            serial,
            pseudonym: "Ana".into(),
            inbox: Address::from_bytes([1; 32]),
            package: None,
            rtc: false,
            since: UnixMillis(0),
            published: UnixMillis(0),
            left,
            cell: None,
        };
        let keys = crate::keys::BubbleKeys::of(&wire::BubbleSecret::from_random([0; 32]));
        let seal = keys.inbox(&entry.inbox);
        (entry, seal)
    }

    fn update(directory: &mut Directory, device: u32, serial: u64, left: bool) -> Change {
        let (entry, seal) = entry(device, serial, left);
        directory.update(entry, seal, Instant::ZERO, UnixMillis(0)).0
    }

    #[test]
    fn the_newest_entry_wins_in_whatever_order_they_come() {
        let mut directory = Directory::default();
        assert_eq!(update(&mut directory, 1, 5, false), Change::Here(PeerId(1)));
        assert_eq!(update(&mut directory, 1, 4, false), Change::Stale(PeerId(1)));
        assert_eq!(update(&mut directory, 1, 6, false), Change::Still(PeerId(1)));
        assert_eq!(update(&mut directory, 1, 7, true), Change::Left(PeerId(1)));
        assert_eq!(update(&mut directory, 1, 8, false), Change::Stale(PeerId(1)), "left is final");
        assert_eq!(update(&mut directory, 2, 8, true), Change::Nobody);
    }

    #[test]
    fn it_is_bounded_and_those_who_are_gone_make_room() {
        let mut directory = Directory::default();
        for device in 0..MAX_PEERS as u32 {
            assert!(matches!(update(&mut directory, device, 1, false), Change::Here(_)));
        }
        assert_eq!(update(&mut directory, 9999, 1, false), Change::Full);
        assert_eq!(update(&mut directory, 0, 2, true), Change::Left(PeerId(1)));
        assert!(matches!(update(&mut directory, 9999, 1, false), Change::Here(_)));
        assert_eq!(directory.iter().count(), MAX_PEERS);
        assert_eq!(directory.by_device.len(), MAX_PEERS);
    }

    #[test]
    fn a_wrong_clock_makes_nobody_disappear() {
        let minutes = |m: u64| UnixMillis(m * 60_000);
        assert_eq!(age(minutes(0), minutes(3)), Duration::from_secs(180));
        assert_eq!(age(minutes(3), minutes(0)), Duration::ZERO, "their clock is ahead");
        assert_eq!(age(minutes(0), minutes(600)), Duration::ZERO, "their clock is behind");
    }

    #[test]
    fn a_device_is_known_by_its_key() {
        let mut directory = Directory::default();
        update(&mut directory, 1, 5, false);
        let mut key = [0; 32];
        key[3] = 1;
        assert_eq!(directory.known(&DeviceKey(key)), Some((PeerId(1), 5)));
        assert_eq!(directory.known(&Device::new(&[1; 32]).key()), None);
    }
}
