//! Everything between this device and one other: groups, messages both ways, receipts, the data channel.

mod deliver;

use base::Instant;
use core::time::Duration;

use crate::api::{DeliveryState, Event, FailReason, MessageId, Notice, Path, Text, UnixMillis};
use crate::channel::Channel;
use crate::directory::Contact;
use crate::error::CommandError;
use crate::group::suite::{GroupError, GroupTag, OUT_OF_ORDER};
use crate::group::{self, Groups};
use crate::hub::Hub;
use crate::inbox::{Accepted, Arrived, Inbox};
use crate::link::Cargo;
use crate::outbox::{Deposit, Item, Outbox};
use crate::parcel::{Body, Content, DeliveryId, Parcel, ParcelError, TextBody};

/// Receipts that wait to be sent. The oldest beyond it are forgotten: their messages come again.
pub(crate) const MAX_RECEIPTS: usize = 1024;

/// How long receipts are collected before they go into an envelope together.
const RECEIPT_BATCH: Duration = Duration::from_millis(50);

/// A group that the peer never confirmed is made anew when its key package is older than this against the
/// newest one: the peer may have forgotten the private half.
const PACKAGE_AGE: u64 = 60 * 60 * 1000;

/// What is wrong with a peer's parcels is reported at most so often.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// Where a parcel came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The own inbox.
    Mailbox,
    /// The peer's data channel.
    Channel,
}

/// See the module.
pub(crate) struct Conversation {
    pub(crate) groups: Groups,
    pub(crate) channel: Channel,
    pub(crate) outbox: Outbox,
    inbox: Inbox,
    next_order: u64,
    /// To be sent on the channel.
    receipts_for_channel: Vec<DeliveryId>,
    /// To be deposited.
    receipts: Vec<DeliveryId>,
    receipts_since: Instant,
    /// Being deposited.
    receipts_asked: Vec<DeliveryId>,
    /// The peer's mailbox is full until then.
    hold_until: Instant,
    path: Path,
    complained: Option<Instant>,
}

impl Conversation {
    /// Nothing was said yet.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            groups: Groups::default(),
            channel: Channel::new(now),
            outbox: Outbox::default(),
            inbox: Inbox::default(),
            next_order: 1,
            receipts_for_channel: Vec::new(),
            receipts: Vec::new(),
            receipts_since: now,
            receipts_asked: Vec::new(),
            hold_until: now,
            path: Path::None,
            complained: None,
        }
    }

    /// The person wrote something.
    pub(crate) fn send(
        &mut self,
        text: &Text,
        contact: &Contact,
        hub: &mut Hub,
        (now, wall): (Instant, UnixMillis),
    ) -> Result<(), CommandError> {
        if !self.outbox.has_room() {
            return Err(CommandError::OutboxFull);
        }
        let delivery = DeliveryId(hub.random());
        let order = self.next_order;
        let body = Body::Text(TextBody { order, at: wall.0, text: text.clone() });
        let content = body.encode(Some(delivery));
        self.renew_group(contact, hub).map_err(|_| CommandError::Encryption)?;
        let (group, generation, sealed) = self.seal(&content, hub).map_err(|_| CommandError::Encryption)?;
        self.next_order += 1;
        let message = hub.message_id();
        let deposit = Deposit::Due(now);
        let told = DeliveryState::Pending;
        self.outbox.push(Item {
            delivery,
            message,
            content,
            group,
            generation,
            sealed,
            on_channel: None,
            deposit,
            overtaken: false,
            told,
        });
        hub.tell(Event::Message {
            peer: contact.id,
            id: message,
            mine: true,
            text: text.clone(),
            at: wall,
            order,
        });
        self.channel.want(now);
        if !hub.link.is_up() {
            hub.attend(now);
        }
        self.drive(contact, hub, now);
        Ok(())
    }

    /// A parcel of the peer, in a group that is ours.
    pub(crate) fn receive(
        &mut self,
        parcel: &Parcel<'_>,
        source: Source,
        contact: &Contact,
        hub: &mut Hub,
        now: Instant,
    ) {
        if let Some(delivery) = parcel.delivery
            && self.inbox.has_seen(&delivery)
        {
            self.receipt(delivery, source, now);
            return self.drive(contact, hub, now);
        }
        let content = match self.groups.open(&hub.device, parcel.group, parcel.message) {
            Ok(content) => content,
            Err(error) => return self.refuse(error, parcel.delivery.is_some(), contact, hub, now),
        };
        match Content::decode(&content).and_then(|content| Ok((content.delivery, Body::decode(&content)?))) {
            Ok((delivery, body)) => self.handle_body(body, delivery, source, contact, hub, now),
            Err(ParcelError::Version) => hub.notice(Notice::OtherVersion),
            Err(ParcelError::Malformed) => hub.counters.parcels += 1,
        }
        self.drive(contact, hub, now);
    }

    /// A deposit was confirmed.
    pub(crate) fn handle_deposited(&mut self, cargo: Cargo, contact: &Contact, hub: &mut Hub, now: Instant) {
        match cargo {
            Cargo::Text(delivery) => {
                if let Some(item) = self.outbox.get(delivery) {
                    item.deposit = Deposit::Done(now);
                    tell(item, DeliveryState::Deposited, hub);
                }
            }
            Cargo::Receipts => self.receipts_asked.clear(),
            Cargo::Signals => {}
        }
        self.drive(contact, hub, now);
    }

    /// A deposit was refused, or never answered: it is due again, at `retry` at the earliest.
    pub(crate) fn handle_refused(&mut self, cargo: Cargo, retry: Instant) {
        match cargo {
            Cargo::Text(delivery) => {
                if let Some(item) = self.outbox.get(delivery) {
                    item.deposit = Deposit::Due(retry);
                }
            }
            Cargo::Receipts => self.receipts_again(retry),
            Cargo::Signals => {}
        }
    }

    /// The peer's mailbox is full. Says whether that is news.
    pub(crate) fn hold(&mut self, now: Instant, until: Instant) -> bool {
        let news = self.hold_until <= now;
        self.hold_until = self.hold_until.max(until);
        news
    }

    /// The session with the node is gone.
    pub(crate) fn handle_link_lost(&mut self, contact: &Contact, hub: &mut Hub, now: Instant) {
        self.outbox.unlink(false, now);
        self.receipts_again(now);
        self.drive(contact, hub, now);
    }

    /// A carrier is open again. What is on a channel that has been silent as well goes to the mailbox at once.
    pub(crate) fn handle_link_made(&mut self, contact: &Contact, hub: &mut Hub, now: Instant) {
        if self.channel.handle_link_made(contact, hub, now) {
            self.handle_channel_lost(now);
        }
        self.drive(contact, hub, now);
    }

    /// The node's memory is gone: what it had confirmed is not there any more.
    pub(crate) fn handle_node_lost(&mut self, hub: &mut Hub, now: Instant) {
        self.outbox.unlink(true, now);
        for item in self.outbox.iter_mut() {
            tell(item, DeliveryState::Pending, hub);
        }
    }

    /// The peer has left for good.
    pub(crate) fn handle_left(&mut self, contact: &Contact, hub: &mut Hub, now: Instant) {
        let state = DeliveryState::Failed { why: FailReason::PeerLeft };
        for id in self.outbox.drain() {
            hub.tell(Event::Delivery { id, state });
        }
        self.receipts_for_channel.clear();
        self.receipts.clear();
        self.receipts_asked.clear();
        self.channel.close(contact, hub);
        self.give_up_waiting(contact, hub, now);
        self.drive(contact, hub, now);
    }

    /// The channel is gone: what was on it goes another way.
    pub(crate) fn handle_channel_lost(&mut self, now: Instant) {
        self.outbox.without_channel(now);
    }

    /// Tells the owner about the path even when it is the same as before.
    pub(crate) fn tell_path(&mut self, contact: &Contact, hub: &mut Hub) {
        self.path = self.path_now(contact, hub);
        hub.tell(Event::Path { peer: contact.id, path: self.path });
    }

    fn handle_body(
        &mut self,
        body: Body,
        delivery: Option<DeliveryId>,
        source: Source,
        contact: &Contact,
        hub: &mut Hub,
        now: Instant,
    ) {
        match (body, delivery) {
            (Body::Text(text), Some(delivery)) => {
                let arrived = Arrived { order: text.order, at: UnixMillis(text.at), text: text.text };
                match self.inbox.accept(arrived, now) {
                    Accepted::Yes | Accepted::Duplicate => {
                        self.inbox.remember(delivery);
                        self.receipt(delivery, source, now);
                        self.channel.want(now);
                        if source == Source::Mailbox {
                            hub.attend(now);
                        }
                    }
                    Accepted::TooFar => hub.counters.parcels += 1,
                }
                self.show(contact, hub);
            }
            (Body::Text(_), None) => hub.counters.parcels += 1,
            (Body::Receipt(receipt), _) => {
                for delivery in receipt.deliveries {
                    if let Some(id) = self.outbox.receipt(delivery) {
                        hub.tell(Event::Delivery { id, state: DeliveryState::Delivered });
                    }
                }
            }
            (Body::Signal(signals), _) => {
                if self.channel.handle_signals(signals, contact, hub, now) {
                    self.handle_channel_lost(now);
                }
            }
            (Body::Unknown, Some(delivery)) => self.receipt(delivery, source, now),
            (Body::Unknown, None) => {}
        }
    }

    fn show(&mut self, contact: &Contact, hub: &mut Hub) {
        while let Some(Arrived { order, at, text }) = self.inbox.poll_shown() {
            let id = hub.message_id();
            hub.tell(Event::Message { peer: contact.id, id, mine: false, text, at, order });
        }
    }

    fn give_up_waiting(&mut self, contact: &Contact, hub: &mut Hub, now: Instant) {
        let count = self.inbox.give_up(now);
        if count > 0 {
            hub.notice(Notice::Missing { peer: contact.id, count });
        }
        self.show(contact, hub);
    }

    fn refuse(
        &mut self,
        error: GroupError,
        is_message: bool,
        contact: &Contact,
        hub: &mut Hub,
        now: Instant,
    ) {
        match error {
            GroupError::Change => hub.counters.changes += 1,
            GroupError::Malformed | GroupError::Impersonation | GroupError::Library => {
                hub.counters.parcels += 1;
            }
        }
        if error == GroupError::Impersonation {
            self.complain(Notice::Impersonation { peer: contact.id }, hub, now);
        } else if is_message {
            self.complain(Notice::Unreadable { peer: contact.id }, hub, now);
        }
    }

    /// Tells the person what is wrong with what comes from this peer, not too often.
    pub(crate) fn complain(&mut self, notice: Notice, hub: &mut Hub, now: Instant) {
        if self.complained.is_none_or(|at| at + COMPLAIN_EVERY <= now) {
            self.complained = Some(now);
            hub.notice(notice);
        }
    }

    /// The receipt takes the way that the message took; by the mailbox also when the channel is of no help.
    fn receipt(&mut self, delivery: DeliveryId, source: Source, now: Instant) {
        if !self.receipts_for_channel.contains(&delivery) && self.receipts_for_channel.len() < MAX_RECEIPTS {
            self.receipts_for_channel.push(delivery);
        }
        if source == Source::Mailbox {
            self.receipt_by_mailbox(delivery, now);
        }
    }

    fn receipt_by_mailbox(&mut self, delivery: DeliveryId, now: Instant) {
        if self.receipts.is_empty() {
            self.receipts_since = now;
        }
        if !self.receipts.contains(&delivery) {
            self.receipts.push(delivery);
            if self.receipts.len() > MAX_RECEIPTS {
                self.receipts.remove(0);
            }
        }
    }

    fn receipts_again(&mut self, from: Instant) {
        for delivery in core::mem::take(&mut self.receipts_asked) {
            self.receipt_by_mailbox(delivery, from);
        }
    }

    /// Makes sure that there is a group to send in, and that the peer can still join it.
    fn renew_group(&mut self, contact: &Contact, hub: &mut Hub) -> Result<(), GroupError> {
        let stale = match self.groups.current() {
            None => true,
            Some(entry) => is_stale(entry, contact),
        };
        if !stale {
            return Ok(());
        }
        let package = contact.package.as_ref().ok_or(GroupError::Malformed)?;
        if !self.groups.has_room() {
            // Better a stale group than none.
            return self.groups.current().map(|_| ()).ok_or(GroupError::Malformed);
        }
        let tag = GroupTag(hub.random());
        let (group, welcome) = hub.device.create(tag, package, contact.device)?;
        self.groups.add(group::Entry { tag, group, welcome: Some(welcome), package_at: contact.published });
        hub.by_group.insert(tag, contact.id);
        Ok(())
    }

    /// Encrypts in the current group.
    fn seal(&mut self, content: &[u8], hub: &Hub) -> Result<(GroupTag, u32, Vec<u8>), GroupError> {
        let entry = self.groups.current().ok_or(GroupError::Malformed)?;
        let generation = entry.group.sealed();
        Ok((entry.tag, generation, entry.group.seal(&hub.device, content)?))
    }

    fn path_now(&self, contact: &Contact, hub: &Hub) -> Path {
        match self.channel.path() {
            Some(path) => path,
            None if !hub.link.is_up() || contact.left => Path::None,
            None if hub.broadcast.is_some() => Path::Broadcast,
            None => Path::Mailbox,
        }
    }
}

/// Whether the peer may have forgotten what it needs for joining this group.
fn is_stale(entry: &group::Entry, contact: &Contact) -> bool {
    entry.welcome.is_some() && contact.published.0.saturating_sub(entry.package_at.0) > PACKAGE_AGE
}

/// Whether the receiver may not look back far enough any more.
const fn is_behind(entry: &group::Entry, generation: u32) -> bool {
    entry.group.sealed().saturating_sub(generation) > OUT_OF_ORDER / 2
}

/// Tells the owner how a message fares, once.
fn tell(item: &mut Item, state: DeliveryState, hub: &mut Hub) {
    if item.told != state {
        item.told = state;
        let id: MessageId = item.message;
        hub.tell(Event::Delivery { id, state });
    }
}
