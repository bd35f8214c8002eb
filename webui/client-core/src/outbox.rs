//! The sending side of one conversation: keeps each message until the peer's end-to-end receipt.

use base::Instant;
use core::time::Duration;
use std::collections::VecDeque;
use zeroize::Zeroizing;

use crate::api::{DeliveryState, MessageId};
use crate::group::suite::GroupTag;
use crate::parcel::DeliveryId;

/// Messages to one peer without a receipt. Smaller than how far MLS and the receiver look back.
pub(crate) const MAX_OUTBOX: usize = 256;

/// How long a receipt over the data channel may take before the mailbox is used as well.
pub(crate) const CHANNEL_PATIENCE: Duration = Duration::from_secs(2);

/// After how long a deposit without a receipt is doubted, when the peer is seen to be alive.
pub(crate) const DEPOSIT_PATIENCE: Duration = Duration::from_secs(60);

/// The same, when the peer has receipted a later message: the mailbox keeps the order, so it is lost, unless the later
/// one came over the data channel.
pub(crate) const OVERTAKEN_PATIENCE: Duration = Duration::from_secs(5);

/// Where a message stands with the mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deposit {
    /// To be deposited at this moment, when there is a link.
    Due(Instant),
    /// Asked for, not answered.
    Asked,
    /// The node has confirmed it, then.
    Done(Instant),
}

/// One message without a receipt.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) delivery: DeliveryId,
    pub(crate) message: MessageId,
    /// For sealing it again, when the group changed or MLS has moved on too far.
    pub(crate) content: Zeroizing<Vec<u8>>,
    pub(crate) group: GroupTag,
    /// Of the sealed bytes in their group.
    pub(crate) generation: u32,
    /// The MLS message, so that a repeated one is the same bytes.
    pub(crate) sealed: Vec<u8>,
    /// The channel that it was sent on last, by its number.
    pub(crate) on_channel: Option<u32>,
    pub(crate) deposit: Deposit,
    /// The peer has a later one.
    pub(crate) overtaken: bool,
    /// What the owner was told.
    pub(crate) told: DeliveryState,
}

/// Messages to one peer, in their order.
#[derive(Debug, Default)]
pub(crate) struct Outbox(VecDeque<Item>);

impl Outbox {
    /// Whether there is room for one more.
    pub(crate) fn has_room(&self) -> bool {
        self.0.len() < MAX_OUTBOX
    }

    /// How many wait for a receipt.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds one at the end, within [`MAX_OUTBOX`].
    pub(crate) fn push(&mut self, item: Item) {
        if self.has_room() {
            self.0.push_back(item);
        }
    }

    /// All, in their order.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Item> {
        self.0.iter_mut()
    }

    /// The one with this identifier.
    pub(crate) fn get(&mut self, delivery: DeliveryId) -> Option<&mut Item> {
        self.0.iter_mut().find(|item| item.delivery == delivery)
    }

    /// Those that were not sent on the channel with this number, in their order.
    pub(crate) fn waiting_for_channel(&self, number: u32) -> Vec<DeliveryId> {
        self.0.iter().filter(|item| item.on_channel != Some(number)).map(|item| item.delivery).collect()
    }

    /// Those that are to be deposited now, in their order: none goes before an earlier one that has to wait.
    pub(crate) fn due(&self, now: Instant) -> Vec<DeliveryId> {
        let mut due = Vec::new();
        for item in &self.0 {
            match item.deposit {
                Deposit::Due(at) if at <= now => due.push(item.delivery),
                Deposit::Due(_) => break,
                Deposit::Asked | Deposit::Done(_) => {}
            }
        }
        due
    }

    /// The peer has it.
    pub(crate) fn receipt(&mut self, delivery: DeliveryId) -> Option<MessageId> {
        let at = self.0.iter().position(|item| item.delivery == delivery)?;
        self.0.iter_mut().take(at).for_each(|earlier| earlier.overtaken = true);
        self.0.remove(at).map(|item| item.message)
    }

    /// Deposits that others have overtaken are made again.
    pub(crate) fn expire(&mut self, now: Instant) {
        for item in &mut self.0 {
            if item.lost_at().is_some_and(|at| at <= now) {
                (item.deposit, item.overtaken) = (Deposit::Due(now), false);
            }
        }
    }

    /// Takes out everything.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = MessageId> {
        core::mem::take(&mut self.0).into_iter().map(|item| item.message)
    }

    /// The link is gone: what was asked and not answered is asked again on the next one.
    ///
    /// With `lost`, the node's memory is gone too, and with it what it had confirmed.
    pub(crate) fn unlink(&mut self, lost: bool, now: Instant) {
        for item in &mut self.0 {
            match item.deposit {
                Deposit::Asked => item.deposit = Deposit::Due(now),
                Deposit::Done(_) if lost => item.deposit = Deposit::Due(now),
                Deposit::Done(_) | Deposit::Due(_) => {}
            }
        }
    }

    /// The peer is alive: deposits that it should have fetched long ago are doubted.
    pub(crate) fn doubt(&mut self, now: Instant) {
        for item in &mut self.0 {
            if let Deposit::Done(at) = item.deposit
                && now.saturating_duration_since(at) > DEPOSIT_PATIENCE
            {
                item.deposit = Deposit::Due(now);
            }
        }
    }

    /// The channel is gone: what waits for its receipt goes to the mailbox now.
    pub(crate) fn without_channel(&mut self, now: Instant) {
        for item in &mut self.0 {
            if let Deposit::Due(at) = item.deposit {
                item.deposit = Deposit::Due(at.min(now));
            }
        }
    }

    /// When the next deposit is due, or to be made again.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let first_due = self.0.iter().find_map(|item| match item.deposit {
            Deposit::Due(at) => Some(at),
            Deposit::Asked | Deposit::Done(_) => None,
        });
        self.0.iter().filter_map(Item::lost_at).chain(first_due).min()
    }
}

impl Item {
    /// When a deposit that was confirmed counts as lost.
    fn lost_at(&self) -> Option<Instant> {
        match self.deposit {
            Deposit::Done(at) if self.overtaken => Some(at + OVERTAKEN_PATIENCE),
            Deposit::Done(_) | Deposit::Due(_) | Deposit::Asked => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(n: u8, deposit: Deposit) -> Item {
        Item {
            delivery: DeliveryId([n; 16]),
            message: MessageId(n.into()),
            content: Zeroizing::default(),
            group: GroupTag([0; 16]),
            generation: 0,
            sealed: Vec::new(),
            on_channel: None,
            deposit,
            overtaken: false,
            told: DeliveryState::Pending,
        }
    }

    fn ids(numbers: &[u8]) -> Vec<DeliveryId> {
        numbers.iter().map(|n| DeliveryId([*n; 16])).collect()
    }

    #[test]
    fn it_is_bounded() {
        let mut outbox = Outbox::default();
        for _ in 0..=MAX_OUTBOX {
            outbox.push(item(1, Deposit::Asked));
        }
        assert_eq!(outbox.len(), MAX_OUTBOX);
        assert!(!outbox.has_room());
    }

    #[test]
    fn a_lost_link_forgets_what_was_not_confirmed_and_a_lost_node_forgets_all() {
        let now = Instant::from_millis(5);
        let mut outbox = Outbox::default();
        outbox.push(item(1, Deposit::Asked));
        outbox.push(item(2, Deposit::Done(Instant::ZERO)));
        outbox.unlink(false, now);
        let states = |outbox: &mut Outbox| outbox.iter_mut().map(|item| item.deposit).collect::<Vec<_>>();
        assert_eq!(states(&mut outbox), [Deposit::Due(now), Deposit::Done(Instant::ZERO)]);
        outbox.unlink(true, now);
        assert_eq!(states(&mut outbox), [Deposit::Due(now), Deposit::Due(now)]);
    }

    #[test]
    fn none_goes_before_an_earlier_one_that_waits() {
        let (now, later) = (Instant::from_millis(5), Instant::from_millis(6));
        let mut outbox = Outbox::default();
        for (n, deposit) in [
            (1, Deposit::Done(now)),
            (2, Deposit::Due(now)),
            (3, Deposit::Asked),
            (4, Deposit::Due(later)),
            (5, Deposit::Due(now)),
        ] {
            outbox.push(item(n, deposit));
        }
        assert_eq!(outbox.due(now), ids(&[2]));
        assert_eq!(outbox.due(later), ids(&[2, 4, 5]));
        assert_eq!(outbox.poll_timeout(), Some(now));
        outbox.receipt(DeliveryId([2; 16]));
        assert_eq!(outbox.poll_timeout(), Some(later), "that is when the fifth can go");
    }

    #[test]
    fn what_the_peer_must_have_missed_is_deposited_again() {
        let start = Instant::from_millis(5);
        let mut outbox = Outbox::default();
        for n in 1..=4 {
            outbox.push(item(n, Deposit::Done(start)));
        }
        outbox.expire(start + DEPOSIT_PATIENCE);
        assert_eq!((outbox.due(start + DEPOSIT_PATIENCE), outbox.poll_timeout()), (vec![], None));
        outbox.receipt(DeliveryId([3; 16]));
        let lost = start + OVERTAKEN_PATIENCE;
        assert_eq!(outbox.poll_timeout(), Some(lost));
        outbox.expire(start);
        assert_eq!(outbox.due(start), []);
        outbox.expire(lost);
        assert_eq!(outbox.due(lost), ids(&[1, 2]), "not the fourth");
        assert_eq!(outbox.poll_timeout(), Some(lost));
    }

    #[test]
    fn a_receipt_takes_one_message_out_once() {
        let mut outbox = Outbox::default();
        outbox.push(item(1, Deposit::Asked));
        outbox.push(item(2, Deposit::Asked));
        assert_eq!(outbox.receipt(DeliveryId([2; 16])), Some(MessageId(2)));
        assert_eq!(outbox.receipt(DeliveryId([2; 16])), None);
        assert_eq!(outbox.len(), 1);
    }
}
