//! Parcels that arrive: finding out whose they are, joining the group that they invite to.

use base::Instant;

use super::Client;
use crate::api::{Notice, PeerId, UnixMillis};
use crate::conversation::{Conversation, Source};
use crate::directory::Peer;
use crate::group;
use crate::group::suite::{GroupError, GroupTag};
use crate::parcel::{Invitation, Parcel, ParcelError};

impl Client {
    /// One parcel. `from` is the peer at the other end of the channel, if it came by one.
    pub(super) fn parcel(
        &mut self,
        bytes: &[u8],
        source: Source,
        from: Option<PeerId>,
        now: Instant,
        wall: UnixMillis,
    ) {
        let parcel = match Parcel::decode(bytes) {
            Ok(parcel) => parcel,
            Err(ParcelError::Version) => {
                if !core::mem::replace(&mut self.publishing.version_told, true) {
                    self.hub.notice(Notice::OtherVersion);
                }
                return;
            }
            Err(ParcelError::Malformed) => {
                self.hub.counters.parcels += 1;
                return;
            }
        };
        let known = self.hub.by_group.get(&parcel.group).copied();
        let peer = match (known, parcel.invitation) {
            (Some(peer), _) => Some(peer),
            (None, Some(invitation)) => self.join(parcel.group, &invitation, now, wall),
            (None, None) => None,
        };
        let Some(peer) = peer.filter(|peer| from.is_none_or(|from| from == *peer)) else {
            self.hub.counters.parcels += 1;
            return;
        };
        self.with_conversation(peer, |conversation, contact, hub| {
            conversation.receive(&parcel, source, contact, hub, now);
        });
    }

    /// Joins the group of an invitation, if it is what it says.
    fn join(
        &mut self,
        tag: GroupTag,
        invitation: &Invitation<'_>,
        now: Instant,
        wall: UnixMillis,
    ) -> Option<PeerId> {
        let id = self.learn(invitation.entry, now, wall)?;
        let Peer { contact, conversation } = self.directory.get(id)?;
        let conversation = conversation.get_or_insert_with(|| Box::new(Conversation::new(now)));
        if !conversation.groups.has_room() {
            return None;
        }
        match self.hub.device.join(tag, invitation.welcome, contact.device) {
            Ok(group) => {
                let package_at = contact.published;
                conversation.groups.add(group::Entry { tag, group, welcome: None, package_at });
                self.hub.by_group.insert(tag, id);
                Some(id)
            }
            Err(error) => {
                let notice = match error {
                    GroupError::Impersonation => Notice::Impersonation { peer: id },
                    GroupError::Malformed | GroupError::Change | GroupError::Library => {
                        Notice::Unreadable { peer: id }
                    }
                };
                conversation.complain(notice, &mut self.hub, now);
                None
            }
        }
    }
}
