//! The machine itself: takes inputs apart and hands them to who knows what to do.

mod directory;
mod parcels;
mod session;

use base::{Deadlines, Instant};
use ed25519_dalek::SigningKey;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::collections::{HashMap, VecDeque};
use wire::{Address, Kind, ReceiveKey};
use zeroize::Zeroizing;

use crate::api::{
    ChannelEvent, Command, Event, LinkEvent, LinkState, MAX_CHANNEL_FRAME, MAX_TEXT, PeerId, Text, Transmit,
    UnixMillis,
};
use crate::arrivals::Arrivals;
use crate::broadcast::Broadcast;
use crate::conversation::{Conversation, Source};
use crate::directory::{Contact, Directory, Peer};
use crate::error::{CommandError, NewError};
use crate::group::suite::Device;
use crate::hub::{Counters, Hub, Timer, Turn};
use crate::keys::BubbleKeys;
use crate::link::{Do, Link};
use crate::parcel::ChannelFrame;
use crate::safety;

/// What a client is made from.
#[derive(Clone, Debug)]
pub struct Config {
    /// How others see us; trimmed and checked by [`Client::new`].
    pub pseudonym: Text,
    /// From the invitation.
    pub secret: wire::BubbleSecret,
    /// Whether the driver can make WebRTC connections.
    pub rtc: bool,
    /// Whether the bubble broadcasts, as its invitation says: then there are no direct connections, since the node
    /// would see between whom.
    pub broadcast: bool,
}

/// One device in one bubble, everything in memory.
///
/// Give it one input, then drain [`poll_transmit`](Self::poll_transmit) and [`poll_event`](Self::poll_event),
/// then wait, at most until [`poll_timeout`](Self::poll_timeout). It is ended by dropping it.
pub struct Client {
    hub: Hub,
    directory: Directory,
    publishing: Publishing,
}

impl core::fmt::Debug for Client {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Client(..)")
    }
}

/// What the own directory entry is made from.
struct Publishing {
    pseudonym: Text,
    since: UnixMillis,
    serial: u64,
    /// The next sequence number of the directory log that we have not seen.
    next: u64,
    /// Whether [`Notice::DirectoryFull`](crate::Notice::DirectoryFull) was said.
    full_told: bool,
    /// Whether [`Notice::OtherVersion`](crate::Notice::OtherVersion) was said.
    version_told: bool,
    /// As `next`, of the log of a bubble that broadcasts.
    next_block: u64,
}

impl Client {
    /// A client with new keys. `seed` is 32 bytes of a cryptographic random source, used for nothing else.
    ///
    /// # Errors
    /// When the pseudonym cannot be shown, or the keys cannot be made.
    pub fn new(config: &Config, seed: [u8; 32], now: Instant, wall: UnixMillis) -> Result<Self, NewError> {
        let pseudonym = crate::pseudonym::check(config.pseudonym.expose())?;
        let mut rng = ChaCha20Rng::from_seed(seed);
        let keys = BubbleKeys::of(&config.secret);
        let mut secret = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *secret);
        let device = Device::new(&secret);
        rng.fill_bytes(&mut *secret);
        let inbox_key = SigningKey::from_bytes(&secret);
        let inbox = Address::of(Kind::Queue, &ReceiveKey::of(&inbox_key));
        let broadcast = config.broadcast.then(|| Broadcast::new(&mut rng));
        let hub = Hub {
            inbox_seal: keys.inbox(&inbox),
            rng,
            keys,
            device,
            inbox_key,
            inbox,
            rtc: config.rtc && !config.broadcast,
            left: false,
            own_entry: Vec::new(),
            link: Link::new(now),
            link_told: false,
            arrivals: Arrivals::default(),
            broadcast,
            turn: Turn::Unknown,
            by_group: HashMap::new(),
            waiting: VecDeque::new(),
            deadlines: Deadlines::default(),
            counters: Counters::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            next_message: 0,
            wants_carrier: false,
        };
        let publishing = Publishing {
            pseudonym,
            since: wall,
            serial: 0,
            next: 0,
            full_told: false,
            version_told: false,
            next_block: 0,
        };
        let mut client = Self { hub, directory: Directory::default(), publishing };
        client.prepare_entry(wall, false).map_err(|_| NewError::Keys)?;
        client.handle_timeout(now, wall);
        Ok(client)
    }

    /// Carries out a wish.
    ///
    /// # Errors
    /// When it is not carried out, and then nothing was changed.
    pub fn handle_command(
        &mut self,
        command: Command,
        now: Instant,
        wall: UnixMillis,
    ) -> Result<(), CommandError> {
        if self.hub.left {
            return Err(CommandError::Left);
        }
        match command {
            Command::Send { peer, text } => self.send(peer, &text, now, wall)?,
            Command::Open { peer } => self.open(peer, now)?,
            Command::ShowSafety { peer } => self.show_safety(peer)?,
            Command::Verify { peer, same } => self.verify(peer, same)?,
            Command::NetworkChanged => self.network_changed(now),
            Command::Leave => self.leave(now, wall),
        }
        self.settle(now);
        Ok(())
    }

    /// The session's carrier opened or closed. `_wall` is there since every input has it.
    pub fn handle_link(&mut self, event: LinkEvent, now: Instant, _wall: UnixMillis) {
        let todo = self.hub.link.handle_carrier(event, now, &mut self.hub.rng);
        self.act(todo, now);
        if event == LinkEvent::Up {
            for peer in self.directory.ids() {
                self.with_conversation(peer, |conversation, contact, hub| {
                    conversation.handle_link_made(contact, hub, now);
                });
            }
        }
        self.settle(now);
    }

    /// One frame from the node.
    pub fn handle_frame(&mut self, frame: &[u8], now: Instant, wall: UnixMillis) {
        self.node_frame(frame, now, wall);
        self.hub.link.heard(now);
        self.settle(now);
    }

    /// The local end of a peer's WebRTC connection did something.
    pub fn handle_channel(&mut self, peer: PeerId, event: ChannelEvent, now: Instant, wall: UnixMillis) {
        if let ChannelEvent::Data(bytes) = &event {
            self.channel_data(peer, bytes, now, wall);
        } else {
            self.with_conversation(peer, |conversation, contact, hub| {
                if conversation.channel.handle_event(event, hub, now) {
                    conversation.handle_channel_lost(now);
                }
                conversation.drive(contact, hub, now);
            });
        }
        self.settle(now);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant, wall: UnixMillis) {
        // The link first: what is due for peers may depend on it.
        let todo = self.hub.link.handle_timeout(now);
        self.act(todo, now);
        while let Some(timer) = self.hub.deadlines.pop_due(now) {
            match timer {
                Timer::Link => self.retry_overdue(now),
                Timer::Publish => self.publish(now, wall),
                Timer::Turn => self.hub.renew_turn(now),
                Timer::Arrivals => self.hub.tell_arrivals(now),
                Timer::Broadcast => self.hub.send_block(now),
                Timer::Peer(peer) => self.peer_due(peer, now),
            }
        }
        self.settle(now);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.hub.deadlines.next()
    }

    /// The next bytes to put on their way.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.hub.transmits.pop_front()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.hub.events.pop_front()
    }

    /// Whether the carrier of the session is silent and may be dead. Asked once for each time.
    ///
    /// The driver opens another one beside it then, instead of one that it may be opening so already, and says
    /// [`LinkEvent::Up`] when that takes the place of the silent one. It says nothing when that fails, and gives it up
    /// when the silent one speaks. A driver that cannot do so need not ask: what stays silent is left in the end.
    pub fn wants_another_carrier(&mut self) -> bool {
        core::mem::take(&mut self.hub.wants_carrier)
    }

    /// How many of our messages have no receipt yet: what would be lost if the page were closed now.
    pub fn unsent(&self) -> usize {
        self.directory
            .iter()
            .filter_map(|peer| peer.conversation.as_ref())
            .map(|talk| talk.outbox.len())
            .sum()
    }

    /// What was ignored since the beginning, for tests and for the curious.
    pub const fn counters(&self) -> Counters {
        self.hub.counters
    }

    /// For the fuzz targets.
    pub(crate) const fn hub(&self) -> &Hub {
        &self.hub
    }

    fn send(
        &mut self,
        peer: PeerId,
        text: &Text,
        now: Instant,
        wall: UnixMillis,
    ) -> Result<(), CommandError> {
        if text.is_empty() {
            return Err(CommandError::TextEmpty);
        }
        if text.len() > MAX_TEXT {
            return Err(CommandError::TextTooLong);
        }
        let Peer { contact, conversation } = self.directory.get(peer).ok_or(CommandError::UnknownPeer)?;
        if contact.left {
            return Err(CommandError::PeerLeft);
        }
        let conversation = conversation.get_or_insert_with(|| Box::new(Conversation::new(now)));
        conversation.send(text, contact, &mut self.hub, (now, wall))
    }

    fn open(&mut self, peer: PeerId, now: Instant) -> Result<(), CommandError> {
        let Peer { contact, conversation } = self.directory.get(peer).ok_or(CommandError::UnknownPeer)?;
        let conversation = conversation.get_or_insert_with(|| Box::new(Conversation::new(now)));
        conversation.channel.want(now);
        conversation.tell_path(contact, &mut self.hub);
        conversation.drive(contact, &mut self.hub, now);
        Ok(())
    }

    fn show_safety(&mut self, id: PeerId) -> Result<(), CommandError> {
        let Peer { contact, .. } = self.directory.get(id).ok_or(CommandError::UnknownPeer)?;
        let number = safety::number(&self.hub.device.key(), &contact.device);
        self.hub.tell(Event::Safety { peer: id, number });
        Ok(())
    }

    fn verify(&mut self, id: PeerId, same: bool) -> Result<(), CommandError> {
        let Peer { contact, .. } = self.directory.get(id).ok_or(CommandError::UnknownPeer)?;
        contact.verified = same;
        self.hub.tell(Event::Verified { peer: id, verified: same });
        Ok(())
    }

    fn network_changed(&mut self, now: Instant) {
        let todo = self.hub.link.handle_change(now);
        self.act(todo, now);
        for peer in self.directory.ids() {
            self.with_conversation(peer, |conversation, contact, hub| {
                conversation.channel.handle_change(contact, hub, now);
                conversation.drive(contact, hub, now);
            });
        }
    }

    fn leave(&mut self, now: Instant, wall: UnixMillis) {
        self.say_goodbye(now, wall);
        self.hub.tell_arrivals(now);
        self.hub.send(&wire::ClientFrame::Leave);
        self.hub.left = true;
        self.hub.link.end();
        for peer in self.directory.ids() {
            self.with_conversation(peer, |conversation, contact, hub| {
                conversation.channel.close(contact, hub);
            });
        }
    }

    /// Does what the link asks for.
    fn act(&mut self, todo: Do, now: Instant) {
        match todo {
            Do::Nothing => {}
            Do::Ping(nonce) => {
                self.hub.send(&wire::ClientFrame::Ping { nonce });
                self.doubt_channels(now);
            }
            Do::Lose => self.link_lost(now),
            Do::Redial => {
                self.link_lost(now);
                (self.hub.link_told, self.hub.wants_carrier) = (true, false);
                self.hub.tell(Event::Link(LinkState::Reconnect));
            }
            Do::Double => {
                self.hub.wants_carrier = true;
                self.doubt_channels(now);
            }
        }
    }

    /// Whatever silences the node may silence the others as well: they are asked with it, so that it is known whether
    /// they are still reached when it is found to be reached another way.
    fn doubt_channels(&mut self, now: Instant) {
        for peer in self.directory.ids() {
            self.with_conversation(peer, |conversation, contact, hub| {
                conversation.channel.doubt(contact, hub, now);
                conversation.drive(contact, hub, now);
            });
        }
    }

    fn channel_data(&mut self, peer: PeerId, bytes: &[u8], now: Instant, wall: UnixMillis) {
        let open = self.with_conversation(peer, |conversation, _, _| {
            conversation.channel.heard(now);
            conversation.channel.open_number().is_some()
        });
        if open != Some(true) {
            return;
        }
        let frame = if bytes.len() <= MAX_CHANNEL_FRAME { ChannelFrame::decode(bytes).ok() } else { None };
        match frame {
            Some(ChannelFrame::Parcel(parcel)) => self.parcel(parcel, Source::Channel, Some(peer), now, wall),
            Some(ChannelFrame::Ping(nonce)) => self.hub.send_channel(peer, &ChannelFrame::Pong(nonce)),
            Some(ChannelFrame::Pong(_)) => {}
            None => self.hub.counters.parcels += 1,
        }
        self.with_conversation(peer, |conversation, contact, hub| conversation.drive(contact, hub, now));
    }

    fn peer_due(&mut self, id: PeerId, now: Instant) {
        let Some(Peer { contact, conversation }) = self.directory.get(id) else { return };
        // An open channel shows that they are here, whatever the directory says.
        if let Some(talk) = conversation
            && talk.channel.open_number().is_some()
        {
            contact.expires = contact.expires.max(now + core::time::Duration::from_secs(10));
        }
        if contact.present && contact.expires <= now {
            contact.present = false;
            self.hub.tell(Event::PeerLeft { peer: id });
        }
        match conversation {
            Some(talk) => talk.drive(contact, &mut self.hub, now),
            None if contact.present => self.hub.deadlines.set(Timer::Peer(id), contact.expires),
            None => {}
        }
    }

    /// Calls `f` on the conversation with `peer`, if there is one.
    fn with_conversation<T>(
        &mut self,
        peer: PeerId,
        f: impl FnOnce(&mut Conversation, &Contact, &mut Hub) -> T,
    ) -> Option<T> {
        let Peer { contact, conversation } = self.directory.get(peer)?;
        let conversation = conversation.as_mut()?;
        Some(f(conversation, contact, &mut self.hub))
    }

    /// Looks after the link where somebody asked for it, lets those go on who waited for a slot, and sets the link's
    /// timer.
    fn settle(&mut self, now: Instant) {
        let todo = self.hub.link.take_check(now);
        self.act(todo, now);
        while self.hub.link.is_up() && self.hub.has_slot() {
            let Some(peer) = self.hub.waiting.pop_front() else { break };
            self.with_conversation(peer, |conversation, contact, hub| conversation.drive(contact, hub, now));
        }
        let block = self.hub.broadcast.as_ref().and_then(Broadcast::poll_timeout);
        for (timer, at) in [(Timer::Link, self.hub.link.poll_timeout()), (Timer::Broadcast, block)] {
            match at {
                Some(at) => self.hub.deadlines.set(timer, at),
                None => {
                    self.hub.deadlines.remove(&timer);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
