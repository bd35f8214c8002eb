//! The groups that two devices have with each other: one as a rule, two when both began at once.
//!
//! All stay readable. Sending uses one that the peer is known to have, of those the one with the smallest tag,
//! so that both sides settle on the same without asking.

pub(crate) mod suite;

use crate::api::UnixMillis;
use suite::{Device, Group, GroupError, GroupTag};
use zeroize::Zeroizing;

/// Groups with one peer. More are refused: an honest peer makes two at most, unless its Welcome went stale.
pub(crate) const MAX_GROUPS: usize = 4;

/// One group and what is known about it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) tag: GroupTag,
    pub(crate) group: Group,
    /// The Welcome, as long as the peer is not known to have used it.
    pub(crate) welcome: Option<Vec<u8>>,
    /// When the key package that it was made from was published, by the peer's clock.
    pub(crate) package_at: UnixMillis,
}

/// The groups with one peer.
#[derive(Debug, Default)]
pub(crate) struct Groups(Vec<Entry>);

impl Groups {
    /// Whether one more may be added.
    pub(crate) fn has_room(&self) -> bool {
        self.0.len() < MAX_GROUPS
    }

    /// Adds one, within [`MAX_GROUPS`].
    pub(crate) fn add(&mut self, entry: Entry) {
        if self.has_room() {
            self.0.push(entry);
        }
    }

    /// The group to send in.
    pub(crate) fn current(&mut self) -> Option<&mut Entry> {
        let known = self.0.iter().filter(|entry| entry.welcome.is_none()).map(|entry| entry.tag).min();
        match known {
            Some(tag) => self.get(tag),
            None => self.0.last_mut(),
        }
    }

    /// The group with this tag.
    pub(crate) fn get(&mut self, tag: GroupTag) -> Option<&mut Entry> {
        self.0.iter_mut().find(|entry| entry.tag == tag)
    }

    /// Decrypts in the group with this tag, which shows that the peer has it.
    pub(crate) fn open(
        &mut self,
        device: &Device,
        tag: GroupTag,
        message: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, GroupError> {
        let entry = self.get(tag).ok_or(GroupError::Malformed)?;
        let content = entry.group.open(device, message)?;
        entry.welcome = None;
        Ok(content)
    }
}
