//! The directory: saying that we are here, hearing who else is.

use base::Instant;
use wire::{ClientFrame, Kind, Ttl};

use super::Client;
use crate::api::{Event, Notice, PeerId, Text, UnixMillis};
use crate::backoff::jitter;
use crate::broadcast::Broadcast;
use crate::directory::entry::{self, Draft};
use crate::directory::{Change, PUBLISH_EVERY};
use crate::envelope;
use crate::group::suite::GroupError;
use crate::hub::Timer;
use crate::link::Request;
use crate::parcel::ParcelError;

impl Client {
    /// Makes a new own entry, with a new key package.
    pub(super) fn prepare_entry(&mut self, wall: UnixMillis, left: bool) -> Result<(), GroupError> {
        let package = if left { Vec::new() } else { self.hub.device.rotate()? };
        self.publishing.serial += 1;
        let draft = Draft {
            serial: self.publishing.serial,
            pseudonym: &self.publishing.pseudonym,
            inbox: self.hub.inbox,
            package,
            rtc: self.hub.rtc,
            since: self.publishing.since,
            published: wall,
            left,
            cell: self.hub.broadcast.as_ref().map(Broadcast::key),
        };
        self.hub.own_entry = draft.sign(&self.hub.device, &self.hub.keys.directory);
        Ok(())
    }

    /// Publishes the own entry, and sets the time for the next. Without a session, the next one does it.
    pub(super) fn publish(&mut self, now: Instant, wall: UnixMillis) {
        if self.hub.left || !self.hub.link.takes_frames() || self.prepare_entry(wall, false).is_err() {
            return;
        }
        self.append_entry(now);
        let next = now + jitter(PUBLISH_EVERY, &mut self.hub.rng);
        self.hub.deadlines.set(Timer::Publish, next);
    }

    /// Publishes that we have left.
    pub(super) fn say_goodbye(&mut self, now: Instant, wall: UnixMillis) {
        self.hub.deadlines.remove(&Timer::Publish);
        if self.hub.link.takes_frames() && self.prepare_entry(wall, true).is_ok() {
            self.append_entry(now);
        }
    }

    /// An opened entry of the directory log.
    pub(super) fn directory_entry(&mut self, bytes: &[u8], now: Instant, wall: UnixMillis) {
        let _ = self.learn(bytes, now, wall);
    }

    /// Learns of a device from its entry, wherever it came from. Says who it is, also when the entry was old.
    pub(super) fn learn(&mut self, bytes: &[u8], now: Instant, wall: UnixMillis) -> Option<PeerId> {
        let entry = entry::claim(bytes).and_then(|(device, serial)| {
            if device == self.hub.device.key() {
                return Ok(Err(None));
            }
            // What is not newer needs no costly checks.
            match self.directory.known(&device) {
                Some((peer, known)) if known >= serial => Ok(Err(Some(peer))),
                Some(_) | None => entry::verify(bytes, &self.hub.keys.directory).map(Ok),
            }
        });
        let entry = match entry {
            Ok(Ok(entry)) => entry,
            Ok(Err(known)) => return known,
            Err(ParcelError::Malformed) => {
                self.hub.counters.entries += 1;
                return None;
            }
            Err(ParcelError::Version) => {
                if !core::mem::replace(&mut self.publishing.version_told, true) {
                    self.hub.notice(Notice::OtherVersion);
                }
                return None;
            }
        };
        let seal = self.hub.keys.inbox(&entry.inbox);
        let (pseudonym, since) = (entry.pseudonym.clone(), entry.since);
        let (change, evicted) = self.directory.update(entry, seal, now, wall);
        if let Some(gone) = evicted {
            self.hub.deadlines.remove(&Timer::Peer(gone));
        }
        match change {
            Change::Here(peer) => {
                let passes_as_another = self.has_the_name_of_a_verified(peer, &pseudonym);
                self.hub.tell(Event::PeerHere { peer, pseudonym, since });
                if passes_as_another {
                    self.hub.notice(Notice::OtherDevice { peer });
                }
                self.seen(peer, now);
                Some(peer)
            }
            Change::Still(peer) => {
                self.seen(peer, now);
                Some(peer)
            }
            Change::Left(peer) => {
                self.hub.tell(Event::PeerLeft { peer });
                self.with_conversation(peer, |conversation, contact, hub| {
                    conversation.handle_left(contact, hub, now);
                });
                Some(peer)
            }
            Change::Stale(peer) => Some(peer),
            Change::Nobody => None,
            Change::Full => {
                if !core::mem::replace(&mut self.publishing.full_told, true) {
                    self.hub.notice(Notice::DirectoryFull);
                }
                None
            }
        }
    }

    /// Whether somebody who was not verified is called as somebody who was.
    fn has_the_name_of_a_verified(&self, peer: PeerId, pseudonym: &Text) -> bool {
        let name = |text: &Text| text.expose().to_lowercase();
        let verified =
            |id: PeerId| self.directory.iter().any(|other| other.contact.id == id && other.contact.verified);
        !verified(peer)
            && self
                .directory
                .iter()
                .any(|other| other.contact.verified && name(&other.contact.pseudonym) == name(pseudonym))
    }

    /// A peer has just shown to be alive.
    fn seen(&mut self, peer: PeerId, now: Instant) {
        self.with_conversation(peer, |conversation, _, _| conversation.outbox.doubt(now));
        self.peer_due(peer, now);
    }

    fn append_entry(&mut self, now: Instant) {
        let address = self.hub.keys.directory;
        let seal = &self.hub.keys.directory_seal;
        let Some(envelope) =
            envelope::seal(seal, Kind::Log, &address, &self.hub.own_entry, &mut self.hub.rng)
        else {
            return;
        };
        let req = self.hub.link.request(Request::Publish, now);
        self.hub.send(&ClientFrame::Append {
            req,
            address,
            expected: None,
            ttl: Ttl::Short,
            envelope: &envelope,
        });
    }
}
