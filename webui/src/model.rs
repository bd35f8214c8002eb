//! What is on the screen, as plain data: what the worker says goes in, and the pages show what comes out.
//!
//! It draws nothing and decides nothing about delivery; that is the client's business.

use std::collections::{BTreeMap, VecDeque};

use client_core::{
    CommandError, DeliveryState, Event, LinkState, MessageId, NewError, Notice, Path, PeerId, Text,
    UnixMillis,
};

use crate::bridge::ToPage;
use crate::qr::Picture;

#[cfg(test)]
mod tests;

/// Messages of one conversation that stay on the screen; the oldest go first.
pub const MAX_MESSAGES: usize = 1000;

/// Notices shown at once; the oldest go first.
pub const MAX_NOTICES: usize = 3;

/// Where the person is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// At the gate, with or without an invitation.
    #[default]
    Gate,
    /// Keys are being made.
    Joining,
    /// In the bubble.
    Inside,
    /// They said goodbye.
    Left,
}

/// The connection to the box.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// Being made.
    #[default]
    Connecting,
    /// Up.
    Up,
    /// There is none; another try follows by itself.
    Down,
}

/// Somebody, and what was written with them.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// How they call themselves.
    pub name: Text,
    /// Whether they are here.
    pub here: bool,
    /// How messages to them go.
    pub path: Path,
    /// Messages that were not on the screen yet.
    pub unread: u32,
    /// Oldest first.
    pub messages: VecDeque<Message>,
    /// Whether older messages fell out of [`messages`](Self::messages).
    pub cut: bool,
    /// What was being written when the conversation was left.
    pub draft: Text,
    /// Whether the person has found their safety number to be the same.
    pub verified: bool,
}

/// The number that two persons compare, while it is on the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Safety {
    /// Of the conversation with whom.
    pub peer: PeerId,
    /// Twelve groups of five digits.
    pub number: Text,
    /// The same as a QR code.
    pub code: Option<Picture>,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number.
    pub id: MessageId,
    /// Whether we wrote it.
    pub mine: bool,
    /// What was written.
    pub text: Text,
    /// When, by the writer's clock.
    pub at: UnixMillis,
}

/// Something to tell, until it is closed or settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tell {
    /// By the client.
    Notice(Notice),
    /// A message to this peer was not taken.
    NotSent(PeerId, CommandError),
    /// A link to another bubble was opened while in this one.
    AlreadyInside,
}

/// Everything on the screen.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Where the person is.
    pub stage: Stage,
    /// Whether the worker listens.
    pub ready: bool,
    /// Why they are still at the gate.
    pub refused: Option<NewError>,
    /// How others see us.
    pub me: Text,
    /// For inviting others: the link.
    pub invitation: Text,
    /// The link as a QR code.
    pub code: Option<Picture>,
    /// The connection to the box.
    pub link: Link,
    /// In the order in which they came.
    pub peers: BTreeMap<PeerId, Peer>,
    /// The conversation on the screen.
    pub open: Option<PeerId>,
    /// The safety number on the screen.
    pub safety: Option<Safety>,
    /// Whether the page is hidden behind another, so that nothing on it is read.
    pub hidden: bool,
    /// How our messages fare.
    pub deliveries: BTreeMap<MessageId, DeliveryState>,
    /// Messages that would be lost if the page were closed now.
    pub unsent: u32,
    /// Numbered, so that closing one does not move the others.
    pub tells: VecDeque<(u32, Tell)>,
    /// The number of the next notice.
    pub next_tell: u32,
    /// Whether the worker or the page broke down.
    pub stopped: bool,
}

impl Model {
    /// Takes in what the worker says. What concerns WebRTC alone changes nothing here.
    pub fn apply(&mut self, message: ToPage) {
        match message {
            ToPage::Ready => self.ready = true,
            ToPage::Joined { pseudonym, link, code } => {
                self.stage = Stage::Inside;
                self.me = pseudonym;
                self.invitation = link;
                self.code = code;
            }
            ToPage::NotJoined { why } => {
                self.stage = Stage::Gate;
                self.refused = Some(why);
            }
            ToPage::Event(event) => self.apply_event(event),
            ToPage::NotSent { peer, text, why } => {
                if let Some(known) = self.peers.get_mut(&peer)
                    && known.draft.is_empty()
                {
                    known.draft = text;
                }
                self.tell(Tell::NotSent(peer, why));
            }
            ToPage::Unsent { count } => self.unsent = count,
            ToPage::Stopped => self.stopped = true,
            ToPage::Safety { peer, number, code } if self.open == Some(peer) => {
                self.safety = Some(Safety { peer, number, code });
            }
            ToPage::Safety { .. } => {}
            ToPage::Channel { .. } => {}
        }
    }

    fn apply_event(&mut self, event: Event) {
        match event {
            Event::Link(state) => {
                self.link = match state {
                    LinkState::Reconnect => Link::Connecting,
                    LinkState::Up => Link::Up,
                    LinkState::Down => Link::Down,
                }
            }
            Event::PeerHere { peer, pseudonym, .. } => {
                let known = self.peers.entry(peer).or_default();
                known.name = pseudonym;
                known.here = true;
            }
            Event::PeerLeft { peer } => {
                if let Some(known) = self.peers.get_mut(&peer) {
                    known.here = false;
                }
                self.forget_strangers();
            }
            Event::Message { peer, id, mine, text, at, .. } => self.add(peer, Message { id, mine, text, at }),
            Event::Delivery { id, state } => {
                if let Some(known) = self.deliveries.get_mut(&id) {
                    *known = state;
                }
                if matches!(state, DeliveryState::Deposited | DeliveryState::Delivered) {
                    self.tells.retain(|(_, tell)| !is_settled_by_delivery(tell));
                }
            }
            Event::Path { peer, path } => {
                if let Some(known) = self.peers.get_mut(&peer) {
                    known.path = path;
                }
            }
            Event::Notice(notice) => self.tell(Tell::Notice(notice)),
            Event::Verified { peer, verified } => {
                if let Some(known) = self.peers.get_mut(&peer) {
                    known.verified = verified;
                }
                self.safety = None;
            }
            Event::Safety { .. }
            | Event::OpenChannel { .. }
            | Event::RemoteSignal { .. }
            | Event::CloseChannel { .. }
            | Event::TurnRenewed(_) => {}
        }
    }

    fn add(&mut self, peer: PeerId, message: Message) {
        let read = message.mine || (self.open == Some(peer) && !self.hidden);
        if message.mine {
            self.deliveries.insert(message.id, DeliveryState::Pending);
        }
        let known = self.peers.entry(peer).or_default();
        if !read {
            known.unread = known.unread.saturating_add(1);
        }
        known.messages.push_back(message);
        if known.messages.len() > MAX_MESSAGES {
            known.cut = true;
            if let Some(old) = known.messages.pop_front() {
                self.deliveries.remove(&old.id);
            }
        }
    }

    /// Puts the conversation with `peer` on the screen.
    pub fn open(&mut self, peer: PeerId) {
        if self.peers.contains_key(&peer) {
            self.open = Some(peer);
            self.safety = None;
            self.read();
        }
    }

    /// Takes the conversation off the screen.
    pub fn close(&mut self) {
        self.open = None;
        self.safety = None;
        self.forget_strangers();
    }

    /// The page went behind another, or came back.
    pub fn set_hidden(&mut self, hidden: bool) {
        self.hidden = hidden;
        self.read();
    }

    fn read(&mut self) {
        if !self.hidden
            && let Some(known) = self.open.and_then(|peer| self.peers.get_mut(&peer))
        {
            known.unread = 0;
        }
    }

    /// Whoever is gone and was never written with is not worth a line.
    fn forget_strangers(&mut self) {
        let open = self.open;
        self.peers.retain(|id, peer| {
            peer.here
                || peer.verified
                || !peer.messages.is_empty()
                || !peer.draft.is_empty()
                || open == Some(*id)
        });
    }

    /// Shows a notice, once.
    pub fn tell(&mut self, tell: Tell) {
        self.tells.retain(|(_, old)| !is_same_kind(old, &tell));
        self.tells.push_back((self.next_tell, tell));
        self.next_tell = self.next_tell.wrapping_add(1);
        if self.tells.len() > MAX_NOTICES {
            self.tells.pop_front();
        }
    }

    /// Takes a notice off the screen.
    pub fn close_tell(&mut self, number: u32) {
        self.tells.retain(|(known, _)| *known != number);
    }

    /// Somebody, if they are known.
    pub fn peer(&self, peer: PeerId) -> Option<&Peer> {
        self.peers.get(&peer)
    }

    /// A message, if it is still on the screen.
    pub fn message(&self, peer: PeerId, id: MessageId) -> Option<&Message> {
        self.peers.get(&peer)?.messages.iter().rev().find(|message| message.id == id)
    }

    /// How a message of ours fares.
    pub fn delivery(&self, id: MessageId) -> DeliveryState {
        self.deliveries.get(&id).copied().unwrap_or(DeliveryState::Delivered)
    }

    /// How many are here, besides us.
    pub fn here(&self) -> usize {
        self.peers.values().filter(|peer| peer.here).count()
    }

    /// Messages not read yet, of everybody.
    pub fn unread(&self) -> u32 {
        self.peers.values().fold(0, |sum, peer| sum.saturating_add(peer.unread))
    }
}

/// A waiting message that moved on shows that the cause is gone.
fn is_settled_by_delivery(tell: &Tell) -> bool {
    match tell {
        Tell::Notice(Notice::NodeFull { .. } | Notice::PeerMailboxFull { .. } | Notice::TooFast { .. })
        | Tell::NotSent(_, CommandError::OutboxFull) => true,
        Tell::Notice(_) | Tell::NotSent(..) | Tell::AlreadyInside => false,
    }
}

/// A newer notice of the same kind takes the place of an older one, whatever its numbers.
fn is_same_kind(one: &Tell, other: &Tell) -> bool {
    match (one, other) {
        (Tell::Notice(one), Tell::Notice(other)) => {
            core::mem::discriminant(one) == core::mem::discriminant(other)
        }
        (one, other) => one == other,
    }
}
