//! The data channel to one peer: when to open it, whose turn it is to offer, whether it still lives.
//!
//! The side with the smaller device key is *impolite*: it makes the offers and counts the sessions. The polite
//! side asks it to begin, and answers. Everything about an older session is stale and ignored.

use base::Instant;
use core::time::Duration;
use std::collections::VecDeque;

use rand_core::RngCore;

use crate::api::{ChannelEvent, Event, Path, Signal};
use crate::backoff::Backoff;
use crate::directory::Contact;
use crate::hub::Hub;
use crate::parcel::{ChannelFrame, MAX_SIGNALS, SignalBody};

/// Signals waiting to be sent, or waiting for the credentials. What is more is dropped: the attempt fails and
/// is made again.
pub(crate) const MAX_QUEUED: usize = 128;

/// How long signals are collected before they go together.
const BATCH: Duration = Duration::from_millis(30);

/// How long signals are worth anything.
pub(crate) const SIGNAL_TTL: Duration = Duration::from_secs(60);

/// How long an attempt may take.
const ATTEMPT: Duration = Duration::from_secs(20);

/// Attempts are not made more often than this, whatever the peer says.
const PAUSE: Duration = Duration::from_secs(1);

/// Without a word from the peer for so long, it is asked for one.
const QUIET: Duration = Duration::from_secs(2);

/// The same, while people talk.
const QUIET_IN_TALK: Duration = Duration::from_secs(1);

/// How long after the last word people are taken to talk.
const TALK: Duration = Duration::from_secs(60);

/// When it has not answered for so long, it is looked whether the node is silent, too.
const CHECK: Duration = Duration::from_millis(300);

/// How long it may take to answer.
const ANSWER: Duration = Duration::from_secs(3);

/// The same, when the node had been silent too and is reached again by another carrier: then it was this device that
/// changed its network, and the channel leads through the one before.
const ANSWER_AFTER_CHANGE: Duration = Duration::from_millis(700);

/// A channel that nobody used for so long is not opened again by itself.
const INTEREST: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not before then.
    Closed(Instant),
    /// The impolite side was asked to begin; until then.
    Asked(Instant),
    /// Waiting for TURN credentials; until then.
    Waiting(Instant),
    /// The driver is at it; until then.
    Opening(Instant),
    Open(Path),
}

/// The peer was asked for a word.
#[derive(Clone, Copy, Debug)]
struct Ping {
    asked: Instant,
    until: Instant,
    /// The node was to be asked as well.
    checked: bool,
    /// The network has changed meanwhile.
    changed: bool,
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Channel {
    state: State,
    wanted_until: Instant,
    backoff: Backoff,
    session: u64,
    /// Counts openings, so that the outbox knows what went where.
    number: u32,
    heard: Instant,
    ping: Option<Ping>,
    started: Option<Instant>,
    asking: bool,
    /// Ours, to be sent.
    out: VecDeque<Signal>,
    out_since: Instant,
    /// The peer's, for a driver that was not told to open yet; of the session with the number.
    early: VecDeque<Signal>,
    early_session: u64,
}

impl Channel {
    /// Closed and not wanted.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            state: State::Closed(now),
            wanted_until: now,
            backoff: Backoff::new(Duration::from_secs(1), Duration::from_secs(300)),
            session: 0,
            number: 0,
            heard: now,
            ping: None,
            started: None,
            asking: false,
            out: VecDeque::new(),
            out_since: now,
            early: VecDeque::new(),
            early_session: 0,
        }
    }

    /// The open channel's number.
    pub(crate) const fn open_number(&self) -> Option<u32> {
        match self.state {
            State::Open(_) => Some(self.number),
            State::Closed(_) | State::Asked(_) | State::Waiting(_) | State::Opening(_) => None,
        }
    }

    /// The open channel's path.
    pub(crate) const fn path(&self) -> Option<Path> {
        match self.state {
            State::Open(path) => Some(path),
            State::Closed(_) | State::Asked(_) | State::Waiting(_) | State::Opening(_) => None,
        }
    }

    /// Somebody talks, or looks at the conversation.
    pub(crate) fn want(&mut self, now: Instant) {
        self.wanted_until = now + INTEREST;
    }

    /// The network may have changed: try at once, and look whether what is open still lives.
    pub(crate) fn handle_change(&mut self, contact: &Contact, hub: &mut Hub, now: Instant) {
        self.backoff.reset();
        match self.state {
            State::Closed(_) => self.state = State::Closed(now),
            State::Open(_) => self.ping(contact, hub, now),
            State::Asked(_) | State::Waiting(_) | State::Opening(_) => {}
        }
    }

    /// Others are silent: look whether what is open still lives.
    pub(crate) fn doubt(&mut self, contact: &Contact, hub: &mut Hub, now: Instant) {
        if matches!(self.state, State::Open(_)) && self.ping.is_none() {
            self.ping(contact, hub, now);
        }
    }

    /// The node is reached again by another carrier. Says whether what went over an open channel must go another way:
    /// the peer is as silent as the node was, and has little time left to say something.
    pub(crate) fn handle_link_made(&mut self, contact: &Contact, hub: &mut Hub, now: Instant) -> bool {
        match self.state {
            State::Closed(_) => false,
            // What was to be negotiated may have gone into the silence, and then nobody answers.
            State::Asked(_) | State::Waiting(_) | State::Opening(_) => {
                self.close(contact, hub);
                self.state = State::Closed(now);
                false
            }
            State::Open(_) => {
                let Some(ping) = &mut self.ping else { return false };
                ping.changed = true;
                ping.until = ping.until.min((ping.asked + ANSWER_AFTER_CHANGE).max(now));
                true
            }
        }
    }

    /// The local end did something; data is somebody else's business. Says whether an open channel is gone.
    pub(crate) fn handle_event(&mut self, event: ChannelEvent, hub: &mut Hub, now: Instant) -> bool {
        match event {
            ChannelEvent::Signal(signal) => {
                let negotiating = matches!(self.state, State::Opening(_) | State::Open(_));
                if negotiating && signal.is_bounded() && self.out.len() < MAX_QUEUED {
                    if self.out.is_empty() {
                        self.out_since = now;
                    }
                    self.out.push_back(signal);
                }
                false
            }
            ChannelEvent::Open { path } => {
                if !matches!(self.state, State::Closed(_) | State::Asked(_)) {
                    self.number = self.number.wrapping_add(1);
                    self.state = State::Open(sane(path));
                    self.backoff.reset();
                    self.heard = now;
                    self.ping = None;
                }
                false
            }
            ChannelEvent::Path { path } => {
                if matches!(self.state, State::Open(_)) {
                    self.state = State::Open(sane(path));
                }
                false
            }
            ChannelEvent::Closed => self.fail(hub, now),
            ChannelEvent::Data(_) => false,
        }
    }

    /// A frame came over the open channel.
    pub(crate) const fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.ping = None;
    }

    /// The peer's half of a negotiation. Says whether an open channel is gone by it.
    pub(crate) fn handle_signals(
        &mut self,
        body: SignalBody,
        contact: &Contact,
        hub: &mut Hub,
        now: Instant,
    ) -> bool {
        if !hub.rtc {
            return false;
        }
        let polite = is_polite(contact, hub);
        if body.want {
            // Only the impolite side begins, and not again when it has begun since.
            let calm = self.started.is_none_or(|at| at + PAUSE <= now);
            if polite || body.session < self.session || !calm {
                return false;
            }
            let lost = self.close(contact, hub);
            self.want(now);
            self.state = State::Closed(now);
            self.backoff.reset();
            self.start(contact, hub, now);
            return lost;
        }
        if body.session < self.session || (!polite && body.session > self.session) {
            return false;
        }
        let mut lost = false;
        if body.session > self.session {
            if body.session != self.early_session {
                self.early.clear();
                self.early_session = body.session;
            }
            self.keep_early(body.signals);
            if !self.early.iter().any(|signal| matches!(signal, Signal::Offer { .. })) {
                return false;
            }
            lost = self.close(contact, hub);
            self.session = body.session;
            self.want(now);
            self.state = State::Waiting(now + ATTEMPT);
            self.open_if_ready(contact, hub, now);
            return lost;
        }
        match self.state {
            State::Opening(_) | State::Open(_) => {
                for signal in body.signals {
                    hub.tell(Event::RemoteSignal { peer: contact.id, signal });
                }
            }
            State::Waiting(_) => self.keep_early(body.signals),
            State::Closed(_) | State::Asked(_) => {}
        }
        lost
    }

    /// Time has passed, or something that matters has changed. Says whether an open channel is gone.
    pub(crate) fn drive(&mut self, contact: &Contact, hub: &mut Hub, now: Instant) -> bool {
        match self.state {
            State::Closed(from) => {
                if from <= now && self.is_wanted(contact, hub, now) {
                    self.start(contact, hub, now);
                }
                false
            }
            State::Asked(until) => {
                if until <= now {
                    self.fail(hub, now);
                }
                false
            }
            State::Waiting(until) => {
                if until <= now {
                    self.fail(hub, now);
                } else {
                    self.open_if_ready(contact, hub, now);
                }
                false
            }
            State::Opening(until) => {
                if until <= now {
                    self.close(contact, hub);
                    self.fail(hub, now);
                }
                false
            }
            State::Open(_) => match self.ping {
                Some(Ping { until, changed, .. }) if until <= now => {
                    self.close(contact, hub);
                    if changed {
                        // Nothing is wrong with the way that there may be now.
                        self.state = State::Closed(now);
                    } else {
                        self.fail(hub, now);
                    }
                    true
                }
                Some(Ping { asked, checked: false, .. }) if asked + CHECK <= now => {
                    hub.link.check();
                    self.ping = self.ping.map(|ping| Ping { checked: true, ..ping });
                    false
                }
                None if self.quiet_at() <= now => {
                    self.ping(contact, hub, now);
                    false
                }
                Some(_) | None => false,
            },
        }
    }

    /// When to call [`drive`](Self::drive).
    pub(crate) fn poll_timeout(&self, contact: &Contact, hub: &Hub, now: Instant) -> Option<Instant> {
        match self.state {
            State::Closed(from) => self.is_wanted(contact, hub, now).then_some(from),
            State::Asked(until) | State::Waiting(until) | State::Opening(until) => Some(until),
            State::Open(_) => match self.ping {
                Some(Ping { asked, until, checked: false, .. }) => Some(until.min(asked + CHECK)),
                Some(Ping { until, .. }) => Some(until),
                None => Some(self.quiet_at()),
            },
        }
    }

    /// When signals are to be sent, if there are any.
    pub(crate) fn signals_due(&self) -> Option<Instant> {
        (!self.out.is_empty() || self.asking).then(|| self.out_since + BATCH)
    }

    /// The signals that are to be sealed and sent now.
    pub(crate) fn take_signals(&mut self, now: Instant) -> Option<SignalBody> {
        if (self.out.is_empty() && !self.asking) || self.out_since + BATCH > now {
            return None;
        }
        if self.asking {
            self.asking = false;
            return Some(SignalBody { session: self.session, want: true, signals: Vec::new() });
        }
        // Descriptions are large: as many as surely fit into one envelope.
        let mut bytes = 0;
        let mut signals = Vec::new();
        while let Some(signal) = self.out.front() {
            bytes += size_of_signal(signal);
            if signals.len() == MAX_SIGNALS || (bytes > 2 * crate::MAX_SDP && !signals.is_empty()) {
                break;
            }
            signals.extend(self.out.pop_front());
        }
        Some(SignalBody { session: self.session, want: false, signals })
    }

    /// Forgets signals that nobody can send any more.
    pub(crate) fn drop_stale_signals(&mut self, now: Instant) {
        if self.out_since + SIGNAL_TTL < now {
            self.out.clear();
            self.asking = false;
        }
    }

    /// Closes what is open or being opened. Says whether it was open.
    pub(crate) fn close(&mut self, contact: &Contact, hub: &mut Hub) -> bool {
        let open = matches!(self.state, State::Open(_));
        if open || matches!(self.state, State::Opening(_)) {
            hub.tell(Event::CloseChannel { peer: contact.id });
        }
        self.out.clear();
        self.asking = false;
        self.ping = None;
        self.state = State::Closed(Instant::ZERO);
        open
    }

    fn fail(&mut self, hub: &mut Hub, now: Instant) -> bool {
        let open = matches!(self.state, State::Open(_));
        if !matches!(self.state, State::Closed(from) if from > now) {
            self.state = State::Closed(now + self.backoff.fail(&mut hub.rng));
        }
        self.out.clear();
        self.asking = false;
        self.ping = None;
        open
    }

    fn is_wanted(&self, contact: &Contact, hub: &Hub, now: Instant) -> bool {
        now < self.wanted_until && hub.rtc && contact.rtc && contact.present && hub.link.is_up()
    }

    fn start(&mut self, contact: &Contact, hub: &mut Hub, now: Instant) {
        self.started = Some(now);
        if is_polite(contact, hub) {
            self.asking = true;
            self.out_since = now;
            self.state = State::Asked(now + ATTEMPT);
        } else {
            self.session += 1;
            self.state = State::Waiting(now + ATTEMPT);
            self.open_if_ready(contact, hub, now);
        }
    }

    fn open_if_ready(&mut self, contact: &Contact, hub: &mut Hub, now: Instant) {
        let Some(turn) = hub.turn(now) else { return };
        let polite = is_polite(contact, hub);
        self.state = State::Opening(now + ATTEMPT);
        hub.tell(Event::OpenChannel { peer: contact.id, polite, turn });
        if self.early_session == self.session {
            // The offer first, whatever came before it.
            let (offers, others): (Vec<_>, Vec<_>) =
                self.early.drain(..).partition(|signal| matches!(signal, Signal::Offer { .. }));
            for signal in offers.into_iter().chain(others) {
                hub.tell(Event::RemoteSignal { peer: contact.id, signal });
            }
        }
        self.early.clear();
    }

    fn keep_early(&mut self, signals: Vec<Signal>) {
        self.early_session = self.early_session.max(self.session);
        for signal in signals {
            if self.early.len() < MAX_QUEUED {
                self.early.push_back(signal);
            }
        }
    }

    fn quiet_at(&self) -> Instant {
        let talk = self.heard + INTEREST < self.wanted_until + TALK;
        self.heard + if talk { QUIET_IN_TALK } else { QUIET }
    }

    fn ping(&mut self, contact: &Contact, hub: &mut Hub, now: Instant) {
        self.ping = Some(Ping { asked: now, until: now + ANSWER, checked: false, changed: false });
        let nonce = hub.rng.next_u32();
        hub.send_channel(contact.id, &ChannelFrame::Ping(nonce));
    }
}

/// Whether we wait for the peer's offers.
fn is_polite(contact: &Contact, hub: &Hub) -> bool {
    hub.device.key() > contact.device
}

/// A channel that is open is direct or relayed, whatever else the driver says.
const fn sane(path: Path) -> Path {
    match path {
        Path::Relayed => Path::Relayed,
        Path::Direct | Path::Mailbox | Path::Broadcast | Path::None => Path::Direct,
    }
}

fn size_of_signal(signal: &Signal) -> usize {
    match signal {
        Signal::Offer { sdp } | Signal::Answer { sdp } => sdp.len(),
        Signal::Candidate { candidate, mid, .. } => {
            candidate.len() + mid.as_ref().map_or(0, crate::Text::len)
        }
        Signal::EndOfCandidates => 0,
    }
}
