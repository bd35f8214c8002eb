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

#[path = "netsim/moves.rs"]
mod moves;
#[path = "netsim/tamper.rs"]
pub(crate) mod tamper;

use core::time::Duration;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use base::Instant;
use client_core::{
    ChannelEvent, Client, Command, Config, DeliveryState, LinkState, MessageId, Notice, Path, PeerId, Text,
    TurnServer, UnixMillis,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use relay_core::mailbox::{self, Cause, Mailbox, SessionId};
use wire::BubbleSecret;

/// Where the wall clocks begin.
const WALL: u64 = 1_800_000_000_000;

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
    pub(crate) safety: BTreeMap<PeerId, String>,
    pub(crate) verified: BTreeMap<PeerId, bool>,
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
    /// Leads through a network that one of the two has left.
    stranded: bool,
}

pub(crate) struct Phone {
    pub(crate) name: String,
    pub(crate) client: Client,
    pub(crate) seen: Seen,
    /// Counts carriers; frames of an older one are lost.
    carrier: u64,
    /// Up to this one, carriers lead through a network that the phone has left.
    stranded: u64,
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
    DialledBeside { phone: usize, carrier: u64 },
    Idle { session: SessionId },
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
    /// Whether those who join do so by an invitation to a bubble that broadcasts.
    pub(crate) broadcast: bool,
    /// What each phone gave to the node: when, which kind of frame, how long.
    pub(crate) gave: Vec<Vec<(Instant, u8, usize)>>,
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
            broadcast: false,
            gave: Vec::new(),
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
        let config = Config { pseudonym: name.into(), secret, rtc, broadcast: self.broadcast };
        let client = Client::new(&config, seed, self.now, self.wall_of(skew)).unwrap();
        self.phones.push(Phone {
            name: name.to_owned(),
            client,
            seen: Seen::default(),
            carrier: 0,
            stranded: 0,
            session: None,
            cut: false,
            skew,
            rtc: BTreeMap::new(),
            held: Vec::new(),
            last_to_node: Instant::ZERO,
            last_to_phone: Instant::ZERO,
        });
        self.said.push(Vec::new());
        self.gave.push(Vec::new());
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

    /// The phone goes into another network: what it had open is dead, nobody is told, and what it opens now works.
    pub(crate) fn strand(&mut self, phone: usize) {
        let phone = &mut self.phones[phone];
        phone.stranded = phone.carrier;
        phone.rtc.values_mut().for_each(|rtc| rtc.stranded = true);
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
        self.assert_arrived(|texts| texts);
    }

    /// The same, in whatever order.
    #[track_caller]
    pub(crate) fn assert_all_arrived_once(&self) {
        self.assert_arrived(|mut texts| {
            texts.sort();
            texts
        });
    }

    #[track_caller]
    fn assert_arrived(&self, compared: impl Fn(Vec<String>) -> Vec<String>) {
        for ((from, to), texts) in &self.sent {
            let reader = self.phones.iter().find(|phone| phone.name == *to).unwrap();
            let shown = reader.seen.texts.get(from).cloned().unwrap_or_default();
            assert_eq!(compared(shown), compared(texts.clone()), "{from} to {to}\n{}", self.describe());
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
