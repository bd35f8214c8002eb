//! A bubble in one thread: several real clients, the real mailbox, and a network that the test makes bad.
//!
//! Everything is drawn from one seed and time is moved by hand, so that a run can be repeated. WebRTC is played:
//! an offer and its answer that both arrive make a connection, if the test lets devices reach each other.

#![allow(dead_code, reason = "each test uses its part")]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that breaks should stop"
)]

use core::time::Duration;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use base::Instant;
use client_core::{
    ChannelEvent, Client, Command, Config, DeliveryState, Event, LinkEvent, LinkState, MessageId, Notice,
    Path, PeerId, Signal, Text, Transmit, TurnServer, UnixMillis,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use relay_core::mailbox::{self, Cause, Mailbox, SessionId};
use wire::BubbleSecret;

/// Where the wall clocks begin.
const WALL: u64 = 1_800_000_000_000;

/// Steps without time passing after which something spins.
const SPIN: u32 = 20_000;

/// What a phone has seen.
#[derive(Default)]
pub(crate) struct Seen {
    /// Texts by the writer's pseudonym, as they were shown.
    pub(crate) texts: BTreeMap<String, Vec<String>>,
    /// Where each own message stands.
    pub(crate) deliveries: BTreeMap<MessageId, DeliveryState>,
    /// The numbers of own messages, in the order of sending.
    pub(crate) mine: Vec<MessageId>,
    /// Who is here, by pseudonym.
    pub(crate) here: BTreeMap<String, PeerId>,
    /// Who was ever here.
    pub(crate) names: BTreeMap<PeerId, String>,
    pub(crate) paths: BTreeMap<PeerId, Path>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) link: Option<LinkState>,
    pub(crate) renewed: u32,
    pub(crate) opened: u32,
    pub(crate) turns: Vec<Option<TurnServer>>,
}

/// The played end of a WebRTC connection.
#[derive(Clone, Debug)]
struct Rtc {
    token: u64,
    open: bool,
}

pub(crate) struct Phone {
    pub(crate) name: String,
    pub(crate) client: Client,
    pub(crate) seen: Seen,
    /// Counts carriers; frames of an older one are lost.
    carrier: u64,
    session: Option<SessionId>,
    /// No new carriers, and those that are there say nothing any more.
    pub(crate) cut: bool,
    /// Its clock against the others', in milliseconds.
    pub(crate) skew: i64,
    rtc: BTreeMap<PeerId, Rtc>,
    /// What the carrier holds back while the phone is cut off: it is a reliable stream.
    held: Vec<Happening>,
    last_to_node: Instant,
    last_to_phone: Instant,
}

enum Happening {
    Dialled { phone: usize, carrier: u64 },
    ToNode { phone: usize, carrier: u64, bytes: Vec<u8> },
    ToPhone { phone: usize, carrier: u64, bytes: Vec<u8> },
    Broken { phone: usize, carrier: u64 },
    Channel { to: usize, token: u64, event: ChannelEvent },
}

pub(crate) type Tamper = Box<dyn FnMut(usize, Vec<u8>, &mut ChaCha20Rng) -> Vec<Vec<u8>>>;

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) rng: ChaCha20Rng,
    pub(crate) phones: Vec<Phone>,
    pub(crate) secret: BubbleSecret,
    pub(crate) node: Mailbox<Vec<u8>, ChaCha20Rng>,
    node_config: mailbox::Config,
    blocks: usize,
    /// Whether devices can reach each other.
    pub(crate) direct: bool,
    /// Whether frames on data channels vanish.
    pub(crate) channels_dead: bool,
    /// What devices hand out as the path.
    pub(crate) path: Path,
    /// Longest delay of a frame.
    pub(crate) delay: Duration,
    /// Whether the node is there at all.
    pub(crate) node_up: bool,
    pub(crate) turn: Option<u32>,
    /// Changes what the node says to a phone.
    pub(crate) tamper: Option<Tamper>,
    /// Everything that passed the node, both ways.
    pub(crate) wiretap: Vec<u8>,
    /// Frames that the node said to each phone, as they were.
    pub(crate) said: Vec<Vec<Vec<u8>>>,
    queue: BinaryHeap<Reverse<(Instant, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    counter: u64,
    /// Texts handed to `send`, by writer and reader.
    pub(crate) sent: BTreeMap<(String, String), Vec<String>>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with(seed, mailbox::Config::default(), 4096)
    }

    pub(crate) fn with(seed: u64, node_config: mailbox::Config, blocks: usize) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        let mut rng = ChaCha20Rng::from_seed(bytes);
        let mut secret = [0; 32];
        rng.fill_bytes(&mut secret);
        let node = new_node(&node_config, blocks, &mut rng);
        Self {
            now: Instant::from_millis(1),
            rng,
            phones: Vec::new(),
            secret: BubbleSecret::from_random(secret),
            node,
            node_config,
            blocks,
            direct: false,
            channels_dead: false,
            path: Path::Direct,
            delay: Duration::from_millis(30),
            node_up: true,
            turn: None,
            tamper: None,
            wiretap: Vec::new(),
            said: Vec::new(),
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            counter: 0,
            sent: BTreeMap::new(),
        }
    }

    /// A phone joins.
    pub(crate) fn join(&mut self, name: &str, rtc: bool) -> usize {
        self.join_with(name, rtc, self.secret.clone(), 0)
    }

    pub(crate) fn join_with(&mut self, name: &str, rtc: bool, secret: BubbleSecret, skew: i64) -> usize {
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        let config = Config { pseudonym: name.into(), secret, rtc };
        let client = Client::new(&config, seed, self.now, self.wall_of(skew)).unwrap();
        self.phones.push(Phone {
            name: name.to_owned(),
            client,
            seen: Seen::default(),
            carrier: 0,
            session: None,
            cut: false,
            skew,
            rtc: BTreeMap::new(),
            held: Vec::new(),
            last_to_node: Instant::ZERO,
            last_to_phone: Instant::ZERO,
        });
        self.said.push(Vec::new());
        let phone = self.phones.len() - 1;
        self.drain(phone);
        phone
    }

    pub(crate) fn peer(&self, phone: usize, other: usize) -> PeerId {
        let name = &self.phones[other].name;
        let names = &self.phones[phone].seen.names;
        *names.iter().rev().find(|(_, n)| *n == name).unwrap_or_else(|| panic!("{phone} knows {other}")).0
    }

    pub(crate) fn knows(&self, phone: usize, other: usize) -> bool {
        self.phones[phone].seen.here.contains_key(&self.phones[other].name)
    }

    pub(crate) fn send(&mut self, from: usize, to: usize, text: &str) {
        let peer = self.peer(from, to);
        self.command(from, Command::Send { peer, text: Text::from(text) }).unwrap();
        let key = (self.phones[from].name.clone(), self.phones[to].name.clone());
        self.sent.entry(key).or_default().push(text.to_owned());
    }

    pub(crate) fn command(
        &mut self,
        phone: usize,
        command: Command,
    ) -> Result<(), client_core::CommandError> {
        let wall = self.wall(phone);
        let result = self.phones[phone].client.handle_command(command, self.now, wall);
        self.drain(phone);
        result
    }

    pub(crate) fn texts(&self, reader: usize, writer: usize) -> Vec<String> {
        self.phones[reader].seen.texts.get(&self.phones[writer].name).cloned().unwrap_or_default()
    }

    pub(crate) fn path(&self, phone: usize, other: usize) -> Path {
        self.phones[phone].seen.paths.get(&self.peer(phone, other)).copied().unwrap_or_default()
    }

    /// The phone's radio: when cut, nothing goes through and nobody is told.
    pub(crate) fn cut(&mut self, phone: usize, cut: bool) {
        self.phones[phone].cut = cut;
        for happening in core::mem::take(&mut self.phones[phone].held) {
            let delay = self.delay;
            self.later(delay, happening);
        }
        self.phones[phone].last_to_node = self.now + self.delay;
        self.phones[phone].last_to_phone = self.now + self.delay;
    }

    /// The carrier breaks, and both ends notice.
    pub(crate) fn break_carrier(&mut self, phone: usize) {
        let carrier = self.phones[phone].carrier;
        self.later(Duration::from_millis(1), Happening::Broken { phone, carrier });
    }

    /// The node loses its memory and comes back.
    pub(crate) fn restart_node(&mut self) {
        self.node = new_node(&self.node_config, self.blocks, &mut self.rng);
        for phone in 0..self.phones.len() {
            self.phones[phone].session = None;
            self.break_carrier(phone);
        }
    }

    pub(crate) fn purge_node(&mut self) {
        self.node.purge(Cause::Panic);
        self.node_events();
    }

    /// All WebRTC connections of a phone break, and both ends notice after a while.
    pub(crate) fn break_channels(&mut self, phone: usize) {
        for (_, rtc) in core::mem::take(&mut self.phones[phone].rtc) {
            for to in 0..self.phones.len() {
                let after = self.random_delay() * 50;
                self.later(after, Happening::Channel { to, token: rtc.token, event: ChannelEvent::Closed });
            }
        }
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until `done`, at most for `limit`.
    #[track_caller]
    pub(crate) fn run_until(&mut self, limit: Duration, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let end = self.now + limit;
        while !done(self) {
            assert!(self.step(end), "not in time: {what}\n{}", self.describe());
        }
    }

    #[track_caller]
    pub(crate) fn all_know_each_other(&mut self) {
        self.run_until(Duration::from_secs(30), "all know each other", |world| {
            let count = world.phones.len();
            (0..count).all(|a| (0..count).all(|b| a == b || world.knows(a, b)))
        });
    }

    /// Every text was shown once, in its order, to the one whom it was for, and its writer knows.
    #[track_caller]
    pub(crate) fn assert_all_arrived_once_and_in_order(&self) {
        for ((from, to), texts) in &self.sent {
            let reader = self.phones.iter().find(|phone| phone.name == *to).unwrap();
            let shown = reader.seen.texts.get(from).cloned().unwrap_or_default();
            assert_eq!(&shown, texts, "{from} to {to}\n{}", self.describe());
        }
        for phone in &self.phones {
            assert_eq!(phone.client.unsent(), 0, "{}", phone.name);
            for (id, state) in &phone.seen.deliveries {
                assert_eq!(*state, DeliveryState::Delivered, "{} of {}", id.0, phone.name);
            }
        }
    }

    pub(crate) fn all_delivered(&self) -> bool {
        self.phones.iter().all(|phone| phone.client.unsent() == 0)
    }

    pub(crate) fn describe(&self) -> String {
        let mut text = String::new();
        for phone in &self.phones {
            let shown = phone.seen.texts.iter().map(|(from, texts)| (from, texts.len())).collect::<Vec<_>>();
            text += &format!(
                "{}: link {:?}, unsent {}, shown {shown:?}, paths {:?}, notices {:?}, counters {:?}, next {:?}\n",
                phone.name,
                phone.seen.link,
                phone.client.unsent(),
                phone.seen.paths,
                phone.seen.notices,
                phone.client.counters(),
                phone.client.poll_timeout(),
            );
        }
        format!("at {:?}\n{text}", self.now)
    }

    /// One happening, at most at `end`; `false` when there is none before it.
    fn step(&mut self, end: Instant) -> bool {
        let mut at = self.queue.peek().map(|Reverse((at, _))| *at);
        let earlier = |at: Option<Instant>, other: Option<Instant>| [at, other].into_iter().flatten().min();
        for phone in &self.phones {
            at = earlier(at, phone.client.poll_timeout());
        }
        at = earlier(at, self.node.poll_timeout());
        let Some(at) = at.filter(|at| *at <= end) else { return false };
        if at > self.now {
            self.now = at;
            self.counter_at(true);
        }
        self.counter_at(false);
        if let Some(Reverse((due, id))) = self.queue.peek().copied()
            && due <= self.now
        {
            self.queue.pop();
            if let Some(happening) = self.happenings.remove(&id) {
                self.happen(happening);
            }
            return true;
        }
        for phone in 0..self.phones.len() {
            if self.phones[phone].client.poll_timeout().is_some_and(|at| at <= self.now) {
                let wall = self.wall(phone);
                self.phones[phone].client.handle_timeout(self.now, wall);
                self.drain(phone);
            }
        }
        if self.node.poll_timeout().is_some_and(|at| at <= self.now) {
            self.node.handle_timeout(self.now);
            self.node_events();
        }
        true
    }

    fn counter_at(&mut self, moved: bool) {
        thread_local!(static STEPS: core::cell::Cell<u32> = const { core::cell::Cell::new(0) });
        STEPS.with(|steps| {
            steps.set(if moved { 0 } else { steps.get() + 1 });
            assert!(steps.get() < SPIN, "something spins\n{}", self.describe());
        });
    }

    fn happen(&mut self, happening: Happening) {
        if let Happening::ToNode { phone, .. } | Happening::ToPhone { phone, .. } = &happening
            && self.phones[*phone].cut
        {
            let phone = *phone;
            self.phones[phone].held.push(happening);
            return;
        }
        match happening {
            Happening::Dialled { phone, carrier } => {
                if carrier != self.phones[phone].carrier {
                    return;
                }
                let up = self.node_up && !self.phones[phone].cut;
                let session = if up { self.node.open_session(self.now).ok() } else { None };
                self.phones[phone].session = session;
                let event = if session.is_some() { LinkEvent::Up } else { LinkEvent::Down };
                self.link(phone, event);
                self.pull(phone);
            }
            Happening::ToNode { phone, carrier, bytes } => {
                let Some(session) = self.phones[phone].session else { return };
                if carrier != self.phones[phone].carrier || self.phones[phone].cut {
                    return;
                }
                self.wiretap.extend_from_slice(&bytes);
                if self.node.handle_frame(session, &bytes, self.now).is_err() {
                    self.pull(phone);
                    self.break_carrier(phone);
                }
                self.node_events();
                self.pull(phone);
            }
            Happening::ToPhone { phone, carrier, bytes } => {
                if carrier == self.phones[phone].carrier && !self.phones[phone].cut {
                    let wall = self.wall(phone);
                    self.phones[phone].client.handle_frame(&bytes, self.now, wall);
                    self.drain(phone);
                }
            }
            Happening::Broken { phone, carrier } => {
                if carrier == self.phones[phone].carrier {
                    self.hang_up(phone);
                    self.phones[phone].carrier += 1;
                    if !self.phones[phone].cut {
                        self.link(phone, LinkEvent::Down);
                    }
                }
            }
            Happening::Channel { to, token, event } => {
                let Some(peer) =
                    self.phones[to].rtc.iter().find(|(_, rtc)| rtc.token == token).map(|(peer, _)| *peer)
                else {
                    return;
                };
                match &event {
                    ChannelEvent::Open { .. } => self.phones[to].rtc.get_mut(&peer).unwrap().open = true,
                    ChannelEvent::Closed => {
                        self.phones[to].rtc.remove(&peer);
                    }
                    ChannelEvent::Data(_) if self.channels_dead || self.phones[to].cut => return,
                    ChannelEvent::Data(_) | ChannelEvent::Signal(_) | ChannelEvent::Path { .. } => {}
                }
                self.channel(to, peer, event);
            }
        }
    }

    fn link(&mut self, phone: usize, event: LinkEvent) {
        let wall = self.wall(phone);
        self.phones[phone].client.handle_link(event, self.now, wall);
        self.drain(phone);
    }

    pub(crate) fn channel(&mut self, phone: usize, peer: PeerId, event: ChannelEvent) {
        let wall = self.wall(phone);
        self.phones[phone].client.handle_channel(peer, event, self.now, wall);
        self.drain(phone);
    }

    fn hang_up(&mut self, phone: usize) {
        if let Some(session) = self.phones[phone].session.take() {
            self.node.close_session(session, self.now);
        }
    }

    fn node_events(&mut self) {
        while let Some(event) = self.node.poll_event() {
            match event {
                mailbox::Event::Wake(session) => {
                    if let Some(phone) = self.phone_of(session) {
                        self.pull(phone);
                    }
                }
                mailbox::Event::CredentialsWanted { session, req } => {
                    match self.turn {
                        Some(ttl_s) => self.node.grant_credentials(session, req, "user", "pass", ttl_s),
                        None => self.node.refuse_credentials(session, req),
                    }
                    if let Some(phone) = self.phone_of(session) {
                        self.pull(phone);
                    }
                }
                mailbox::Event::Close { session, .. } => {
                    if let Some(phone) = self.phone_of(session) {
                        self.pull(phone);
                        self.break_carrier(phone);
                    }
                }
            }
        }
    }

    fn phone_of(&self, session: SessionId) -> Option<usize> {
        self.phones.iter().position(|phone| phone.session == Some(session))
    }

    /// Takes what the node has to say to a phone.
    fn pull(&mut self, phone: usize) {
        let Some(session) = self.phones[phone].session else { return };
        loop {
            let mut bytes = Vec::new();
            if !self.node.poll_transmit(session, self.now, &mut bytes) {
                break;
            }
            self.wiretap.extend_from_slice(&bytes);
            self.said[phone].push(bytes.clone());
            let frames = match self.tamper.take() {
                Some(mut tamper) => {
                    let frames = tamper(phone, bytes, &mut self.rng);
                    self.tamper = Some(tamper);
                    frames
                }
                None => vec![bytes],
            };
            for bytes in frames {
                self.say(phone, bytes);
            }
        }
    }

    /// The node says something to a phone, whatever it is.
    pub(crate) fn say(&mut self, phone: usize, bytes: Vec<u8>) {
        let carrier = self.phones[phone].carrier;
        let at = (self.now + self.random_delay()).max(self.phones[phone].last_to_phone);
        self.phones[phone].last_to_phone = at;
        self.at(at, Happening::ToPhone { phone, carrier, bytes });
    }

    fn drain(&mut self, phone: usize) {
        loop {
            if let Some(transmit) = self.phones[phone].client.poll_transmit() {
                match transmit {
                    Transmit::Node(bytes) => {
                        let carrier = self.phones[phone].carrier;
                        let at = (self.now + self.random_delay()).max(self.phones[phone].last_to_node);
                        self.phones[phone].last_to_node = at;
                        self.at(at, Happening::ToNode { phone, carrier, bytes });
                    }
                    Transmit::Channel { peer, bytes } => self.on_channel(phone, peer, bytes),
                }
                continue;
            }
            match self.phones[phone].client.poll_event() {
                Some(event) => self.event(phone, event),
                None => break,
            }
        }
    }

    fn on_channel(&mut self, phone: usize, peer: PeerId, bytes: Vec<u8>) {
        if self.phones[phone].cut {
            return;
        }
        let Some(rtc) = self.phones[phone].rtc.get(&peer).filter(|rtc| rtc.open).cloned() else { return };
        let Some(to) = self.other_end(phone, rtc.token) else { return };
        // One ordered stream: the delay is the same for all.
        let delay = self.delay / 4;
        self.later(delay, Happening::Channel { to, token: rtc.token, event: ChannelEvent::Data(bytes) });
    }

    fn other_end(&self, phone: usize, token: u64) -> Option<usize> {
        let has =
            |other: &usize| *other != phone && self.phones[*other].rtc.values().any(|rtc| rtc.token == token);
        (0..self.phones.len()).find(has)
    }

    fn event(&mut self, phone: usize, event: Event) {
        let seen = &mut self.phones[phone].seen;
        match event {
            Event::Link(LinkState::Reconnect) => {
                seen.link = Some(LinkState::Reconnect);
                self.hang_up(phone);
                self.phones[phone].carrier += 1;
                let carrier = self.phones[phone].carrier;
                let delay = self.random_delay();
                self.later(delay, Happening::Dialled { phone, carrier });
            }
            Event::Link(state) => seen.link = Some(state),
            Event::PeerHere { peer, pseudonym, .. } => {
                seen.here.insert(pseudonym.expose().to_owned(), peer);
                seen.names.insert(peer, pseudonym.expose().to_owned());
            }
            Event::PeerLeft { peer } => seen.here.retain(|_, id| *id != peer),
            Event::Message { peer, id, mine, text, .. } => {
                if mine {
                    seen.mine.push(id);
                    seen.deliveries.insert(id, DeliveryState::Pending);
                } else {
                    let name = seen.names[&peer].clone();
                    seen.texts.entry(name).or_default().push(text.expose().to_owned());
                }
            }
            Event::Delivery { id, state } => {
                seen.deliveries.insert(id, state);
            }
            Event::Path { peer, path } => {
                seen.paths.insert(peer, path);
            }
            Event::OpenChannel { peer, polite, turn } => {
                seen.opened += 1;
                seen.turns.push(turn);
                let token = if polite { 0 } else { self.rng.next_u64() };
                self.phones[phone].rtc.insert(peer, Rtc { token, open: false });
                if !polite {
                    let sdp = format!("offer canary-sdp {token}");
                    self.channel(phone, peer, ChannelEvent::Signal(Signal::Offer { sdp: sdp.into() }));
                    self.channel(phone, peer, ChannelEvent::Signal(Signal::EndOfCandidates));
                }
            }
            Event::RemoteSignal { peer, signal } => self.remote_signal(phone, peer, &signal),
            Event::CloseChannel { peer } => {
                self.phones[phone].rtc.remove(&peer);
            }
            Event::TurnRenewed(_) => seen.renewed += 1,
            Event::Notice(notice) => seen.notices.push(notice),
        }
    }

    fn remote_signal(&mut self, phone: usize, peer: PeerId, signal: &Signal) {
        let token = |sdp: &Text| sdp.expose().rsplit(' ').next().unwrap().parse::<u64>().unwrap();
        match signal {
            Signal::Offer { sdp } => {
                let token = token(sdp);
                self.phones[phone].rtc.insert(peer, Rtc { token, open: false });
                let sdp = format!("answer canary-sdp {token}");
                self.channel(phone, peer, ChannelEvent::Signal(Signal::Answer { sdp: sdp.into() }));
            }
            Signal::Answer { sdp } => {
                let token = token(sdp);
                let matches = self.phones[phone].rtc.get(&peer).is_some_and(|rtc| rtc.token == token);
                let Some(other) = self.other_end(phone, token).filter(|_| matches) else { return };
                let reachable = self.direct && !self.phones[phone].cut && !self.phones[other].cut;
                let (delay, event) = if reachable {
                    (self.delay, ChannelEvent::Open { path: self.path })
                } else {
                    (Duration::from_secs(15), ChannelEvent::Closed)
                };
                self.later(delay, Happening::Channel { to: phone, token, event: event.clone() });
                self.later(delay + Duration::from_millis(1), Happening::Channel { to: other, token, event });
            }
            Signal::Candidate { .. } | Signal::EndOfCandidates => {}
        }
    }

    fn later(&mut self, delay: Duration, happening: Happening) {
        self.at(self.now + delay, happening);
    }

    fn at(&mut self, at: Instant, happening: Happening) {
        self.counter += 1;
        self.queue.push(Reverse((at, self.counter)));
        self.happenings.insert(self.counter, happening);
    }

    fn random_delay(&mut self) -> Duration {
        let most = u32::try_from(self.delay.as_micros()).unwrap().max(1);
        Duration::from_micros(u64::from(self.rng.next_u32() % most))
    }

    pub(crate) fn random(&mut self, below: usize) -> usize {
        (self.rng.next_u32() as usize) % below
    }

    fn wall(&self, phone: usize) -> UnixMillis {
        self.wall_of(self.phones[phone].skew)
    }

    fn wall_of(&self, skew: i64) -> UnixMillis {
        UnixMillis((WALL + self.now.as_micros() / 1000).saturating_add_signed(skew))
    }
}

fn new_node(config: &mailbox::Config, blocks: usize, rng: &mut ChaCha20Rng) -> Mailbox<Vec<u8>, ChaCha20Rng> {
    let mut seed = [0; 32];
    rng.fill_bytes(&mut seed);
    Mailbox::new(config.clone(), vec![0; blocks * wire::BLOCK], ChaCha20Rng::from_seed(seed))
}
