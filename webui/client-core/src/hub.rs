//! What all conversations of a client share: its keys, its link, its timers, and where its words go.

use base::{Deadlines, Instant};
use ed25519_dalek::SigningKey;
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore;
use std::collections::{HashMap, VecDeque};
use wire::{Address, ClientFrame, Kind, Ttl};

use crate::api::{Event, MessageId, Notice, PeerId, Transmit, TurnServer};
use crate::arrivals::{self, Arrivals};
use crate::broadcast::Broadcast;
use crate::directory::Contact;
use crate::envelope;
use crate::group::suite::{Device, GroupTag};
use crate::keys::{BubbleKeys, SealKey};
use crate::link::{Cargo, Link, Request};
use crate::parcel::ChannelFrame;

/// What may come due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Timer {
    /// The session with the node.
    Link,
    /// The own directory entry.
    Publish,
    /// The TURN credentials.
    Turn,
    /// Telling the node what has arrived.
    Arrivals,
    /// The next block for all.
    Broadcast,
    /// Something with a peer.
    Peer(PeerId),
}

/// The TURN credentials.
#[derive(Clone, Debug)]
pub(crate) enum Turn {
    /// Not asked for yet.
    Unknown,
    /// Asked for.
    Asked,
    /// Here they are.
    Have(TurnServer),
    /// The node has no TURN.
    Absent,
}

/// What was ignored, by cause. Numbers only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames of the node that are no frames.
    pub frames: u64,
    /// Envelopes that do not open: not sealed for their mailbox in this bubble.
    pub envelopes: u64,
    /// Directory entries that are malformed, unsigned, or do not fit their device.
    pub entries: u64,
    /// Parcels that are malformed, of no group of ours, or do not decrypt.
    pub parcels: u64,
    /// Changes of a group, which this version does not take part in.
    pub changes: u64,
}

/// See the module.
pub(crate) struct Hub {
    pub(crate) rng: ChaCha20Rng,
    pub(crate) keys: BubbleKeys,
    pub(crate) device: Device,
    pub(crate) inbox_key: SigningKey,
    pub(crate) inbox: Address,
    pub(crate) inbox_seal: SealKey,
    pub(crate) rtc: bool,
    pub(crate) left: bool,
    /// The own directory entry as it was published last, for invitations.
    pub(crate) own_entry: Vec<u8>,
    pub(crate) link: Link,
    /// Whether the owner was told that the link is up, or is being made.
    pub(crate) link_told: bool,
    pub(crate) arrivals: Arrivals,
    /// Where the bubble broadcasts.
    pub(crate) broadcast: Option<Broadcast>,
    pub(crate) turn: Turn,
    /// Which peer a group is with. Bounded by the groups of all peers.
    pub(crate) by_group: HashMap<GroupTag, PeerId>,
    /// Peers that wait for a deposit to be answered before they make theirs, each once.
    pub(crate) waiting: VecDeque<PeerId>,
    pub(crate) deadlines: Deadlines<Timer>,
    pub(crate) counters: Counters,
    /// Drained by the owner after each input, and bounded by what one input can cause.
    pub(crate) transmits: VecDeque<Transmit>,
    /// As `transmits`.
    pub(crate) events: VecDeque<Event>,
    pub(crate) next_message: u64,
    /// Asked for by the owner, after each input.
    pub(crate) wants_carrier: bool,
}

impl Hub {
    /// Sends a frame to the node.
    pub(crate) fn send(&mut self, frame: &ClientFrame<'_>) {
        if self.link.takes_frames() {
            let mut bytes = Vec::new();
            frame.encode(&mut bytes);
            self.transmits.push_back(Transmit::Node(bytes));
        }
    }

    /// Envelope `seq` of the inbox is here.
    pub(crate) fn arrived(&mut self, seq: u64, now: Instant) {
        let run = self.arrivals.handle_arrival(seq, now);
        self.acknowledge(run);
    }

    /// Tells the node what has arrived and was not told yet.
    pub(crate) fn tell_arrivals(&mut self, now: Instant) {
        let run = self.arrivals.tell(now);
        self.acknowledge(run);
    }

    fn acknowledge(&mut self, run: Option<arrivals::Run>) {
        if let Some((first, last)) = run {
            self.send(&ClientFrame::Acknowledge { address: self.inbox, first, last });
        }
        match self.arrivals.poll_timeout() {
            Some(at) => self.deadlines.set(Timer::Arrivals, at),
            None => {
                self.deadlines.remove(&Timer::Arrivals);
            }
        }
    }

    /// Sends a parcel on its way to a peer, through the inbox or to all. The caller has made sure of the link and of a
    /// slot.
    pub(crate) fn deposit(&mut self, contact: &Contact, cargo: Cargo, ttl: Ttl, parcel: &[u8], now: Instant) {
        if let Some(broadcast) = &mut self.broadcast {
            let mut id = [0; 8];
            self.rng.fill_bytes(&mut id);
            if let Some(to) = contact.cell {
                broadcast.push((contact.id, cargo), to, parcel, id);
            }
            return;
        }
        let address = contact.inbox;
        let envelope = envelope::seal(&contact.seal, Kind::Queue, &address, parcel, &mut self.rng);
        let Some(envelope) = envelope else { return };
        let req = self.link.request(Request::Deposit(contact.id, cargo), now);
        self.send(&ClientFrame::Deposit { req, address, ttl, envelope: &envelope });
    }

    /// Whether one more parcel may be sent on its way.
    pub(crate) fn has_slot(&self) -> bool {
        self.broadcast.as_ref().map_or_else(|| self.link.has_slot(), Broadcast::has_room)
    }

    /// Sends the block that goes now, if it is time.
    pub(crate) fn send_block(&mut self, now: Instant) {
        let Some(broadcast) = &mut self.broadcast else { return };
        let Some((cell, carries)) = broadcast.poll_cell(now, &mut self.rng) else { return };
        let address = self.keys.broadcast;
        let envelope = envelope::seal(&self.keys.broadcast_seal, Kind::Log, &address, &cell, &mut self.rng);
        let Some(envelope) = envelope else { return };
        let req = self.link.request(Request::Block { carries }, now);
        let ttl = Ttl::Brief;
        self.send(&ClientFrame::Append { req, address, expected: None, ttl, envelope: &envelope });
    }

    /// A message goes or comes through the node, or waits for it. Where the bubble broadcasts, the node is not to see
    /// from our attention that it does.
    pub(crate) fn attend(&mut self, now: Instant) {
        if self.broadcast.is_none() {
            self.link.attend(now);
        }
    }

    /// Sends a frame on a peer's data channel.
    pub(crate) fn send_channel(&mut self, peer: PeerId, frame: &ChannelFrame<'_>) {
        self.transmits.push_back(Transmit::Channel { peer, bytes: frame.encode() });
    }

    /// Tells the owner.
    pub(crate) fn tell(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// Tells the person.
    pub(crate) fn notice(&mut self, notice: Notice) {
        self.tell(Event::Notice(notice));
    }

    /// A number for a message.
    pub(crate) const fn message_id(&mut self) -> MessageId {
        self.next_message += 1;
        MessageId(self.next_message)
    }

    /// So many random bytes.
    pub(crate) fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    /// The credentials, asking for them when there are none yet. None while they are on their way.
    #[expect(clippy::option_option, reason = "not known yet, known to be absent, known")]
    pub(crate) fn turn(&mut self, now: Instant) -> Option<Option<TurnServer>> {
        match &self.turn {
            Turn::Have(server) => Some(Some(server.clone())),
            Turn::Absent => Some(None),
            Turn::Asked => None,
            Turn::Unknown => {
                let session = self.link.session()?;
                if session.turn_port == 0 {
                    self.turn = Turn::Absent;
                    return Some(None);
                }
                self.ask_for_credentials(now);
                None
            }
        }
    }

    /// Goes on in a new session with the credentials of the one before, whose connection was lost, and has them
    /// renewed; if they have ended meanwhile, what comes are new ones.
    pub(crate) fn keep_credentials(&mut self, now: Instant) {
        if let Turn::Have(TurnServer { username, password, .. }) = self.turn.clone() {
            let (username, password) = (username.expose(), password.expose());
            self.send(&ClientFrame::KeepCredentials { username, password });
            self.ask_for_credentials(now);
        }
    }

    /// Asks for TURN credentials.
    pub(crate) fn ask_for_credentials(&mut self, now: Instant) {
        let req = self.link.request(Request::Credentials, now);
        self.send(&ClientFrame::RequestCredentials { req });
        if !matches!(self.turn, Turn::Have(_)) {
            self.turn = Turn::Asked;
        }
    }

    /// Remembers that a peer waits for a slot. Bounded, since each is there once.
    pub(crate) fn wait_for_slot(&mut self, peer: PeerId) {
        if !self.waiting.contains(&peer) {
            self.waiting.push_back(peer);
        }
    }
}
