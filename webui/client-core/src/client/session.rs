//! Frames of the node, and what follows from the session's beginning and end.

use base::Instant;
use core::time::Duration;
use wire::{ClientFrame, Kind, NodeFrame, Reason, ReceiveKey, Signature};

use super::Client;
use crate::api::{Event, LinkState, Notice, TurnServer, UnixMillis};
use crate::broadcast::Broadcast;
use crate::conversation::Source;
use crate::envelope;
use crate::hub::{Hub, Timer, Turn};
use crate::link::{Request, Session};

/// The shortest pause after a refusal, whatever the node says.
const MIN_RETRY: Duration = Duration::from_secs(1);

/// The longest.
const MAX_RETRY: Duration = Duration::from_secs(300);

impl Client {
    /// Takes one frame apart.
    pub(super) fn node_frame(&mut self, frame: &[u8], now: Instant, wall: UnixMillis) {
        let Ok(frame) = NodeFrame::decode(frame) else {
            if self.hub.counters.frames == 0 {
                self.hub.notice(Notice::NodeMalformed);
            }
            self.hub.counters.frames += 1;
            return;
        };
        match frame {
            NodeFrame::Welcome { instance, challenge, turn_port, limits } => {
                let session = Session { challenge, turn_port, limits, reading: false };
                if let Some(lost) = self.hub.link.handle_welcome(instance, session, now) {
                    self.greeted(session, lost, now, wall);
                }
            }
            NodeFrame::Subscribed { req, next: _ } => match self.hub.link.answer(req) {
                Some(Request::Inbox) => self.reading(now),
                Some(
                    Request::Directory
                    | Request::Publish
                    | Request::Credentials
                    | Request::Block { .. }
                    | Request::Deposit(..),
                )
                | None => {}
            },
            NodeFrame::Deposited { req } => {
                if let Some(Request::Deposit(peer, cargo)) = self.hub.link.answer(req) {
                    self.with_conversation(peer, |conversation, contact, hub| {
                        conversation.handle_deposited(cargo, contact, hub, now);
                    });
                }
            }
            NodeFrame::Appended { req, seq: _ } => {
                if self.hub.link.answer(req) == Some(Request::Block { carries: true }) {
                    let sent = self.hub.broadcast.as_mut().and_then(Broadcast::handle_appended);
                    if let Some((peer, cargo)) = sent {
                        self.with_conversation(peer, |conversation, contact, hub| {
                            conversation.handle_deposited(cargo, contact, hub, now);
                        });
                    }
                }
            }
            NodeFrame::Deliver { address, seq, envelope } => {
                if address == self.hub.inbox {
                    self.hub.arrived(seq, now);
                    match envelope::open(&self.hub.inbox_seal, Kind::Queue, &address, envelope) {
                        Some(parcel) => self.parcel(&parcel, Source::Mailbox, None, now, wall),
                        None => self.hub.counters.envelopes += 1,
                    }
                } else if address == self.hub.keys.broadcast {
                    self.publishing.next_block = self.publishing.next_block.max(seq.saturating_add(1));
                    let key = &self.hub.keys.broadcast_seal;
                    let parcel = match envelope::open(key, Kind::Log, &address, envelope) {
                        Some(cell) => {
                            self.hub.broadcast.as_mut().and_then(|broadcast| broadcast.handle_cell(&cell))
                        }
                        None => {
                            self.hub.counters.envelopes += 1;
                            None
                        }
                    };
                    if let Some(parcel) = parcel {
                        self.parcel(&parcel, Source::Mailbox, None, now, wall);
                    }
                } else if address == self.hub.keys.directory {
                    self.publishing.next = self.publishing.next.max(seq.saturating_add(1));
                    match envelope::open(&self.hub.keys.directory_seal, Kind::Log, &address, envelope) {
                        Some(entry) => self.directory_entry(&entry, now, wall),
                        None => self.hub.counters.envelopes += 1,
                    }
                }
            }
            NodeFrame::Credentials { req, username, password, ttl_s } => {
                if let Some(Request::Credentials) = self.hub.link.answer(req) {
                    self.credentials(username, password, ttl_s, now);
                }
            }
            NodeFrame::Refused { req, reason, retry_s, next: _ } => {
                let retry = Duration::from_secs(retry_s.into()).clamp(MIN_RETRY, MAX_RETRY);
                if let Some(request) = self.hub.link.answer(req) {
                    self.refused(request, reason, retry, now);
                }
            }
            NodeFrame::Pong { nonce: _ } => self.hub.link.handle_pong(),
            NodeFrame::Unsubscribed { address, reason } => {
                if address == self.hub.inbox && reason == Reason::TakenOver {
                    self.hub.notice(Notice::InboxTakenOver);
                }
                // A session that does not bring us our mail is of no use.
                let todo = self.hub.link.lose(now, &mut self.hub.rng);
                self.act(todo, now);
            }
            NodeFrame::Bye { reason: _ } => {
                let todo = self.hub.link.lose(now, &mut self.hub.rng);
                self.act(todo, now);
            }
        }
    }

    /// The session is gone: what was asked is asked again on the next.
    pub(super) fn link_lost(&mut self, now: Instant) {
        self.hub.waiting.clear();
        self.hub.arrivals.handle_lost();
        self.hub.broadcast.iter_mut().for_each(Broadcast::handle_lost);
        self.hub.deadlines.remove(&Timer::Arrivals);
        if matches!(self.hub.turn, Turn::Asked) {
            self.hub.turn = Turn::Unknown;
        }
        if core::mem::replace(&mut self.hub.link_told, false) {
            self.hub.tell(Event::Link(LinkState::Down));
        }
        for peer in self.directory.ids() {
            self.with_conversation(peer, |conversation, contact, hub| {
                conversation.handle_link_lost(contact, hub, now);
            });
        }
    }

    /// Requests that the node never answered are treated as refused.
    pub(super) fn retry_overdue(&mut self, now: Instant) {
        while let Some(request) = self.hub.link.pop_overdue(now) {
            self.refused(request, Reason::NodeFull, MIN_RETRY, now);
        }
    }

    /// The node has greeted. With `lost`, it is another node than before, or one without memory.
    fn greeted(&mut self, session: Session, lost: bool, now: Instant, wall: UnixMillis) {
        if lost {
            if self.publishing.next > 0 {
                self.hub.notice(Notice::NodeRestarted);
            }
            (self.publishing.next, self.publishing.next_block) = (0, 0);
            self.hub.turn = Turn::Unknown;
            for peer in self.directory.ids() {
                self.with_conversation(peer, |conversation, _, hub| conversation.handle_node_lost(hub, now));
            }
        }
        self.hub.keep_credentials(now);
        self.subscribe(Request::Inbox, &session, now);
        self.subscribe(Request::Directory, &session, now);
        // Who has messages for us there sends them again when we are seen to be back.
        let back = lost || self.hub.broadcast.is_some();
        if back || self.hub.deadlines.get(&Timer::Publish).is_none_or(|at| at <= now) {
            self.publish(now, wall);
        }
    }

    fn subscribe(&mut self, request: Request, session: &Session, now: Instant) {
        let keys = &self.hub.keys;
        let (kind, key, from) = match request {
            Request::Directory => (Kind::Log, &keys.directory_receive, self.publishing.next),
            Request::Inbox if self.hub.broadcast.is_some() => {
                (Kind::Log, &keys.broadcast_receive, self.publishing.next_block)
            }
            Request::Inbox
            | Request::Publish
            | Request::Credentials
            | Request::Block { .. }
            | Request::Deposit(..) => (Kind::Queue, &self.hub.inbox_key, 0),
        };
        let req = self.hub.link.request(request, now);
        let signature = Signature::subscribe(key, kind, &session.challenge);
        let key = ReceiveKey::of(key);
        self.hub.send(&ClientFrame::Subscribe { req, kind, key, signature, from });
    }

    /// The inbox is being read: everything may go.
    fn reading(&mut self, now: Instant) {
        self.hub.link.handle_reading();
        if let Some(broadcast) = &mut self.hub.broadcast {
            broadcast.handle_reading(now, &mut self.hub.rng);
        }
        self.hub.link_told = true;
        self.hub.tell(Event::Link(LinkState::Up));
        self.drive_all(now);
    }

    fn drive_all(&mut self, now: Instant) {
        for peer in self.directory.ids() {
            self.with_conversation(peer, |conversation, contact, hub| conversation.drive(contact, hub, now));
        }
    }

    fn credentials(&mut self, username: &str, password: &str, ttl_s: u32, now: Instant) {
        let Some(session) = self.hub.link.session() else { return };
        let turn =
            TurnServer { port: session.turn_port, username: username.into(), password: password.into() };
        if matches!(self.hub.turn, Turn::Have(_)) {
            self.hub.tell(Event::TurnRenewed(turn.clone()));
        }
        self.hub.turn = Turn::Have(turn);
        let renew = Duration::from_secs(u64::from(ttl_s) * 3 / 4).max(Duration::from_secs(10));
        self.hub.deadlines.set(Timer::Turn, now + renew);
        self.drive_all(now);
    }

    fn refused(&mut self, request: Request, reason: Reason, retry: Duration, now: Instant) {
        let retry_s = u32::try_from(retry.as_secs()).unwrap_or(u32::MAX);
        // Too many members for one log, or a node that has no room: to the person it is the same.
        let crowded = matches!(request, Request::Block { .. }) && reason == Reason::MailboxFull;
        if crowded || matches!(reason, Reason::NodeFull | Reason::TooFast) {
            // Said once for a pause, however many deposits it meets.
            if self.hub.link.hold_until() <= now {
                let full = reason != Reason::TooFast;
                self.hub.notice(if full {
                    Notice::NodeFull { retry_s }
                } else {
                    Notice::TooFast { retry_s }
                });
            }
            self.hub.link.hold(now + retry);
        }
        match request {
            // Without these the session is of no use: begin again, later each time.
            Request::Inbox | Request::Directory => {
                let todo = self.hub.link.lose(now, &mut self.hub.rng);
                self.act(todo, now);
            }
            Request::Publish => self.hub.deadlines.set(Timer::Publish, now + retry),
            // The next block goes when it is time, whatever became of this one.
            Request::Block { carries: true } => {
                self.hub.broadcast.iter_mut().for_each(Broadcast::handle_refused);
            }
            Request::Block { carries: false } => {}
            Request::Credentials => {
                if reason == Reason::NoTurn {
                    self.hub.turn = Turn::Absent;
                    self.drive_all(now);
                } else {
                    self.hub.deadlines.set(Timer::Turn, now + retry);
                }
            }
            Request::Deposit(peer, cargo) => {
                self.with_conversation(peer, |conversation, contact, hub| {
                    conversation.handle_refused(cargo, now + retry);
                    if reason == Reason::MailboxFull && conversation.hold(now, now + retry) {
                        hub.notice(Notice::PeerMailboxFull { peer, retry_s });
                    }
                    conversation.drive(contact, hub, now);
                });
            }
        }
    }
}

impl Hub {
    /// Asks for new credentials before the old ones end.
    pub(crate) fn renew_turn(&mut self, now: Instant) {
        if self.link.takes_frames() && !matches!(self.turn, Turn::Absent) {
            self.ask_for_credentials(now);
        } else {
            // The next session asks, when somebody wants a channel.
            self.turn = Turn::Unknown;
        }
    }
}
