//! Puts on its way what is due, by the best path there is.

use base::Instant;
use core::time::Duration;
use wire::Ttl;

use super::{Conversation, RECEIPT_BATCH, is_behind, is_stale};
use crate::api::Event;
use crate::directory::Contact;
use crate::group::suite::GroupTag;
use crate::hub::{Hub, Timer};
use crate::link::Cargo;
use crate::outbox::{CHANNEL_PATIENCE, Deposit};
use crate::parcel::{Body, ChannelFrame, DeliveryId, Invitation, MAX_RECEIPT, Parcel, ReceiptBody, VERSION};

/// A receipt need not wait as long as a message: a repeated message repeats it.
const RECEIPT_TTL: Ttl = Ttl::Medium;

/// When to look again at what is due and could not be sent for no reason that will announce its end.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

impl Conversation {
    /// Does all that is due now, and sets the timer for what comes next.
    pub(crate) fn drive(&mut self, contact: &Contact, hub: &mut Hub, now: Instant) {
        if self.channel.drive(contact, hub, now) {
            self.handle_channel_lost(now);
        }
        if self.inbox.poll_timeout().is_some_and(|at| at <= now) {
            self.give_up_waiting(contact, hub, now);
        }
        self.send_receipts(contact, hub, now);
        self.send_signals(contact, hub, now);
        self.send_on_channel(contact, hub, now);
        self.deposit_texts(contact, hub, now);
        let path = self.path_now(contact, hub);
        if path != self.path {
            self.path = path;
            hub.tell(Event::Path { peer: contact.id, path });
        }
        self.set_timer(contact, hub, now);
    }

    /// Whether a deposit to this peer may be made now; remembers to come back when it may soon.
    fn may_deposit(&self, contact: &Contact, hub: &mut Hub, now: Instant) -> bool {
        let unknown = hub.broadcast.is_some() && contact.cell.is_none();
        if contact.left
            || unknown
            || !hub.link.is_up()
            || self.hold_until > now
            || hub.link.hold_until() > now
        {
            return false;
        }
        if !hub.has_slot() {
            hub.wait_for_slot(contact.id);
            return false;
        }
        true
    }

    fn send_receipts(&mut self, contact: &Contact, hub: &mut Hub, now: Instant) {
        let for_channel = core::mem::take(&mut self.receipts_for_channel);
        if self.channel.open_number().is_some() {
            for deliveries in for_channel.chunks(MAX_RECEIPT) {
                let Some(parcel) = self.receipt_parcel(deliveries, hub) else { return };
                hub.send_channel(contact.id, &ChannelFrame::Parcel(&parcel));
            }
        } else {
            for delivery in for_channel {
                self.receipt_by_mailbox(delivery, now);
            }
        }
        let is_due = self.receipts_due().is_some_and(|at| at <= now);
        if !is_due || !self.may_deposit(contact, hub, now) {
            return;
        }
        let rest = self.receipts.split_off(self.receipts.len().min(MAX_RECEIPT));
        self.receipts_asked = core::mem::replace(&mut self.receipts, rest);
        let Some(parcel) = self.receipt_parcel(&self.receipts_asked.clone(), hub) else { return };
        hub.deposit(contact, Cargo::Receipts, RECEIPT_TTL, &parcel, now);
    }

    /// When receipts go into an envelope, unless some are on their way already.
    fn receipts_due(&self) -> Option<Instant> {
        let ready = !self.receipts.is_empty() && self.receipts_asked.is_empty();
        ready.then(|| self.receipts_since + RECEIPT_BATCH)
    }

    fn receipt_parcel(&mut self, deliveries: &[DeliveryId], hub: &Hub) -> Option<Vec<u8>> {
        let body = Body::Receipt(ReceiptBody { deliveries: deliveries.to_vec() });
        let (group, _, message) = self.seal(&body.encode(None), hub).ok()?;
        Some(self.parcel(None, group, &message, hub))
    }

    fn send_signals(&mut self, contact: &Contact, hub: &mut Hub, now: Instant) {
        self.channel.drop_stale_signals(now);
        while self.channel.signals_due().is_some_and(|at| at <= now) {
            let by_mailbox = hub.link.is_up();
            if by_mailbox && !self.may_deposit(contact, hub, now) {
                return;
            }
            if (!by_mailbox && self.channel.open_number().is_none())
                || self.renew_group(contact, hub).is_err()
            {
                return;
            }
            let Some(body) = self.channel.take_signals(now) else { return };
            let Ok((group, _, message)) = self.seal(&Body::Signal(body).encode(None), hub) else { return };
            let parcel = self.parcel(None, group, &message, hub);
            if by_mailbox {
                hub.deposit(contact, Cargo::Signals, Ttl::Brief, &parcel, now);
            } else {
                hub.send_channel(contact.id, &ChannelFrame::Parcel(&parcel));
            }
        }
    }

    fn send_on_channel(&mut self, contact: &Contact, hub: &mut Hub, now: Instant) {
        let Some(number) = self.channel.open_number() else { return };
        for delivery in self.outbox.waiting_for_channel(number) {
            let Some(parcel) = self.text_parcel(delivery, contact, hub) else { continue };
            hub.send_channel(contact.id, &ChannelFrame::Parcel(&parcel));
            let Some(item) = self.outbox.get(delivery) else { continue };
            item.on_channel = Some(number);
            if let Deposit::Due(_) = item.deposit {
                item.deposit = Deposit::Due(now + CHANNEL_PATIENCE);
            }
        }
    }

    fn deposit_texts(&mut self, contact: &Contact, hub: &mut Hub, now: Instant) {
        self.outbox.expire(now);
        for delivery in self.outbox.due(now) {
            if !self.may_deposit(contact, hub, now) {
                return;
            }
            let Some(parcel) = self.text_parcel(delivery, contact, hub) else { continue };
            let Some(item) = self.outbox.get(delivery) else { continue };
            item.deposit = Deposit::Asked;
            hub.attend(now);
            hub.deposit(contact, Cargo::Text(delivery), Ttl::Long, &parcel, now);
        }
    }

    /// The parcel of a message: the same MLS bytes as ever, unless the receiver could not read them any more.
    fn text_parcel(&mut self, delivery: DeliveryId, contact: &Contact, hub: &mut Hub) -> Option<Vec<u8>> {
        let item = self.outbox.get(delivery)?;
        let (group, generation) = (item.group, item.generation);
        let unreadable = self
            .groups
            .get(group)
            .is_none_or(|entry| is_stale(entry, contact) || is_behind(entry, generation));
        if unreadable {
            self.renew_group(contact, hub).ok()?;
            let content = self.outbox.get(delivery)?.content.clone();
            let (group, generation, sealed) = self.seal(&content, hub).ok()?;
            let item = self.outbox.get(delivery)?;
            (item.group, item.generation, item.sealed) = (group, generation, sealed);
        }
        let item = self.outbox.get(delivery)?;
        let (group, sealed) = (item.group, item.sealed.clone());
        Some(self.parcel(Some(delivery), group, &sealed, hub))
    }

    /// A parcel, with the invitation as long as the peer is not known to be in the group.
    fn parcel(
        &mut self,
        delivery: Option<DeliveryId>,
        group: GroupTag,
        message: &[u8],
        hub: &Hub,
    ) -> Vec<u8> {
        let welcome = self.groups.get(group).and_then(|entry| entry.welcome.as_deref());
        let invitation = welcome.map(|welcome| Invitation { entry: &hub.own_entry, welcome });
        Parcel { version: VERSION, delivery, group, invitation, message }.encode()
    }

    fn set_timer(&self, contact: &Contact, hub: &mut Hub, now: Instant) {
        let from = self.hold_until.max(hub.link.hold_until());
        let blocked = contact.left || !hub.link.is_up() || hub.waiting.contains(&contact.id);
        let by_mailbox = |at: Option<Instant>| at.filter(|_| !blocked).map(|at| at.max(from));
        let signals = self.channel.signals_due();
        let next = [
            self.channel.poll_timeout(contact, hub, now),
            self.inbox.poll_timeout(),
            contact.present.then_some(contact.expires),
            by_mailbox(self.outbox.poll_timeout()),
            by_mailbox(self.receipts_due()),
            if hub.link.is_up() {
                by_mailbox(signals)
            } else {
                signals.filter(|_| self.channel.open_number().is_some())
            },
        ];
        match next.into_iter().flatten().min() {
            Some(at) => {
                hub.deadlines.set(Timer::Peer(contact.id), if at > now { at } else { now + LOOK_AGAIN });
            }
            None => {
                hub.deadlines.remove(&Timer::Peer(contact.id));
            }
        }
    }
}
