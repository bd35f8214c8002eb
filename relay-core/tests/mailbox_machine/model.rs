//! The mailbox beside a model of it: plain lists, no arena, no turns, no timers.
//!
//! `Reference` says what the node must hold and answer; `Beside` applies each transition to both and compares
//! every frame. Run more with `PROPTEST_CASES=10000`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use base::Instant;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config as Cases, FileFailurePersistence, TestRunner};
use relay_core::mailbox::fuzzing::assert_invariants;
use relay_core::mailbox::{Cause, Config, Event, Rate, SessionId, Ttls};
use wire::{Address, BLOCK, ClientFrame, Kind, Reason, ReceiveKey, Signature, Ttl};

use crate::harness::{Heard, Node, key};

/// Blocks of the node under test.
const BLOCKS: usize = 24;

/// Keys in play; each opens a queue and a log.
const KEYS: u8 = 3;

fn config() -> Config {
    let unhurried = Rate { amount: 1_000_000_000, per: Duration::from_secs(1), burst: 1_000_000_000 };
    Config {
        turn_port: 0,
        sessions: 4,
        mailboxes: 5,
        envelopes_per_mailbox: 6,
        blocks_per_mailbox: 11,
        readers_per_log: 2,
        subscriptions: 3,
        window: 3,
        ttl: Ttls::new([1, 5, 12, 30].map(Duration::from_secs)),
        idle: Duration::from_secs(40),
        frames: unhurried,
        bytes: unhurried,
        openings: unhurried,
    }
}

/// One thing that happens. Sessions and keys are meant modulo how many there are.
#[derive(Clone, Debug, PartialEq)]
enum Transition {
    Open,
    Close { who: usize },
    Subscribe { who: usize, kind: Kind, key: u8, from: u64, honest: bool },
    Unsubscribe { who: usize, kind: Kind, key: u8 },
    Deposit { who: usize, key: u8, ttl: Ttl, blocks: usize },
    Append { who: usize, key: u8, expected: Option<u64>, ttl: Ttl, blocks: usize },
    Acknowledge { who: usize, kind: Kind, key: u8, first: u64, more: u64 },
    Pull { who: usize, count: usize },
    Pass { ms: u64 },
    Purge,
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Queue), Just(Kind::Log)]
}

fn ttls() -> impl Strategy<Value = Ttl> {
    prop::sample::select(Ttl::ALL.to_vec())
}

fn transitions() -> impl Strategy<Value = Transition> {
    let who = 0_usize..4;
    let key = 1..=KEYS;
    prop_oneof![
        2 => Just(Transition::Open),
        1 => who.clone().prop_map(|who| Transition::Close { who }),
        4 => (who.clone(), kinds(), key.clone(), 0_u64..12, prop::bool::weighted(0.95))
            .prop_map(|(who, kind, key, from, honest)| Transition::Subscribe { who, kind, key, from, honest }),
        1 => (who.clone(), kinds(), key.clone())
            .prop_map(|(who, kind, key)| Transition::Unsubscribe { who, kind, key }),
        8 => (who.clone(), key.clone(), ttls(), 1_usize..5)
            .prop_map(|(who, key, ttl, blocks)| Transition::Deposit { who, key, ttl, blocks }),
        5 => (who.clone(), key.clone(), prop::option::of(1_u64..8), ttls(), 1_usize..5)
            .prop_map(|(who, key, expected, ttl, blocks)| Transition::Append { who, key, expected, ttl, blocks }),
        6 => (who.clone(), kinds(), key, 1_u64..20, 0_u64..4)
            .prop_map(|(who, kind, key, first, more)| Transition::Acknowledge { who, kind, key, first, more }),
        9 => (who, 1_usize..6).prop_map(|(who, count)| Transition::Pull { who, count }),
        3 => (0_u64..15_000).prop_map(|ms| Transition::Pass { ms }),
        1 => prop::bool::weighted(0.1).prop_map(|purge| if purge { Transition::Purge } else { Transition::Open }),
    ]
}

type Place = (Kind, u8);

#[derive(Clone, Debug)]
struct Entry {
    seq: u64,
    expires: Instant,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Pile {
    next: u64,
    entries: Vec<Entry>,
    readers: Vec<SessionId>,
}

impl Pile {
    fn blocks(&self) -> usize {
        self.entries.iter().map(|entry| entry.bytes.len() / BLOCK).sum()
    }
}

#[derive(Debug)]
struct Client {
    answers: VecDeque<Heard>,
    cursors: BTreeMap<Place, u64>,
    heard: Instant,
    bad_signatures: u8,
    closing: bool,
    awake: bool,
}

/// What the node must be.
#[derive(Debug)]
struct Reference {
    config: Config,
    first_seq: u64,
    piles: BTreeMap<Place, Pile>,
    clients: BTreeMap<SessionId, Client>,
}

impl Reference {
    fn expire(&mut self, now: Instant) {
        for pile in self.piles.values_mut() {
            pile.entries.retain(|entry| entry.expires > now);
        }
        self.vanish();
    }

    fn vanish(&mut self) {
        for pile in self.piles.values().filter(|pile| pile.entries.is_empty() && pile.readers.is_empty()) {
            self.first_seq = self.first_seq.max(pile.next);
        }
        self.piles.retain(|_, pile| !pile.entries.is_empty() || !pile.readers.is_empty());
    }

    fn blocks(&self) -> usize {
        self.piles.values().map(Pile::blocks).sum()
    }

    fn pile(&mut self, place: Place) -> &mut Pile {
        let next = self.first_seq;
        self.piles.entry(place).or_insert_with(|| Pile { next, entries: Vec::new(), readers: Vec::new() })
    }

    fn put(
        &mut self,
        place: Place,
        expected: Option<u64>,
        ttl: Ttl,
        now: Instant,
        bytes: Vec<u8>,
    ) -> Result<u64, (Reason, u32, u64)> {
        let blocks = bytes.len() / BLOCK;
        let ttl = self.config.ttl.of(ttl);
        let (next, envelopes, held) =
            self.piles.get(&place).map_or((self.first_seq, 0, 0), |p| (p.next, p.entries.len(), p.blocks()));
        if expected.is_some_and(|expected| expected != next) {
            return Err((Reason::Conflict, 0, next));
        }
        if envelopes >= self.config.envelopes_per_mailbox as usize
            || held + blocks > self.config.blocks_per_mailbox as usize
        {
            return Err((Reason::MailboxFull, 5, 0));
        }
        let depositable = (self.config.mailboxes - self.config.mailboxes / 8) as usize;
        // Of each mailbox one block is its own, and half of the node is shared by the others.
        let shared: usize = self.piles.values().map(|pile| pile.blocks().saturating_sub(1)).sum();
        let shared = shared - held.saturating_sub(1) + (held + blocks - 1);
        if shared > BLOCKS / 2
            || self.blocks() + blocks > BLOCKS
            || (!self.piles.contains_key(&place) && self.piles.len() >= depositable)
        {
            return Err((Reason::NodeFull, 5, 0));
        }
        let pile = self.pile(place);
        pile.entries.push(Entry { seq: next, expires: now + ttl, bytes });
        pile.next += 1;
        Ok(next)
    }

    fn subscribe(
        &mut self,
        id: SessionId,
        place: Place,
        from: u64,
        honest: bool,
    ) -> Result<u64, (Reason, u32, u64)> {
        let (kind, _) = place;
        let client = self.clients.get_mut(&id).unwrap();
        let known = client.cursors.contains_key(&place);
        if !known && client.cursors.len() >= self.config.subscriptions as usize {
            return Err((Reason::TooManySubscriptions, 0, 0));
        }
        if !honest {
            client.bad_signatures += 1;
            return Err((Reason::BadSignature, 0, 0));
        }
        if !self.piles.contains_key(&place) && self.piles.len() >= self.config.mailboxes as usize {
            return Err((Reason::NodeFull, 5, 0));
        }
        let readers_per_log = self.config.readers_per_log as usize;
        let pile = self.pile(place);
        if !known {
            if kind == Kind::Log && pile.readers.len() >= readers_per_log {
                return Err((Reason::MailboxFull, 5, 0));
            }
            let before = if kind == Kind::Queue { pile.readers.pop() } else { None };
            pile.readers.push(id);
            if let Some(before) = before {
                let before = self.clients.get_mut(&before).unwrap();
                before.cursors.remove(&place);
                before
                    .answers
                    .push_back(Heard::Unsubscribed { address: address(place), reason: Reason::TakenOver });
            }
        }
        let cursor = if kind == Kind::Queue { 0 } else { from };
        self.clients.get_mut(&id).unwrap().cursors.insert(place, cursor);
        Ok(self.piles[&place].next)
    }

    fn leave(&mut self, id: SessionId, place: Place) {
        if let Some(client) = self.clients.get_mut(&id)
            && client.cursors.remove(&place).is_some()
        {
            self.piles.get_mut(&place).unwrap().readers.retain(|reader| *reader != id);
        }
        self.vanish();
    }

    fn leave_all(&mut self, id: SessionId) {
        let places: Vec<_> =
            self.clients.get(&id).map_or(Vec::new(), |c| c.cursors.keys().copied().collect());
        for place in places {
            self.leave(id, place);
        }
    }

    fn in_flight(&self, id: SessionId) -> usize {
        let queues = self.clients[&id].cursors.iter().filter(|((kind, _), _)| *kind == Kind::Queue);
        queues
            .map(|(place, cursor)| self.piles[place].entries.iter().filter(|e| e.seq < *cursor).count())
            .sum()
    }

    /// What may be delivered to this session now: one envelope for each mailbox.
    fn deliverable(&self, id: SessionId) -> BTreeMap<Place, &Entry> {
        let shut = self.in_flight(id) >= self.config.window as usize;
        let client = &self.clients[&id];
        let open = client.cursors.iter().filter(|((kind, _), _)| !(shut && *kind == Kind::Queue));
        open.filter_map(|(place, cursor)| {
            self.piles[place].entries.iter().find(|entry| entry.seq >= *cursor).map(|entry| (*place, entry))
        })
        .collect()
    }
}

fn address((kind, seed): Place) -> Address {
    Address::of(kind, &ReceiveKey::of(&key(seed)))
}

/// Bytes that are all different from zero and tell which envelope they are of.
fn content(number: u32, blocks: usize) -> Vec<u8> {
    let digits = [number % 255, number / 255 % 255, number / 255 / 255 % 255, 7];
    digits.map(|digit| digit as u8 + 1).into_iter().cycle().take(blocks * BLOCK).collect()
}

/// The node and its model, in step.
struct Beside {
    node: Node,
    model: Reference,
    order: Vec<SessionId>,
    envelopes: u32,
    /// Per session and mailbox, since its last subscription: what was delivered.
    delivered: BTreeMap<(SessionId, Place), BTreeSet<u64>>,
    trace: Vec<String>,
}

impl Beside {
    fn new() -> Self {
        let model =
            Reference { config: config(), first_seq: 1, piles: BTreeMap::new(), clients: BTreeMap::new() };
        Self {
            node: Node::new(config(), BLOCKS),
            model,
            order: Vec::new(),
            envelopes: 0,
            delivered: BTreeMap::new(),
            trace: Vec::new(),
        }
    }

    fn apply(&mut self, transition: &Transition) {
        let now = self.node.now;
        self.model.expire(now);
        match transition {
            Transition::Open => {
                if self.order.len() < config().sessions as usize {
                    let id = self.node.open();
                    self.order.push(id);
                    let client = Client {
                        answers: VecDeque::new(),
                        cursors: BTreeMap::new(),
                        heard: now,
                        bad_signatures: 0,
                        closing: false,
                        awake: false,
                    };
                    self.model.clients.insert(id, client);
                } else {
                    self.node.mailbox.open_session(now).unwrap_err();
                }
            }
            Transition::Close { who } => {
                if let Some(id) = self.session(*who) {
                    self.end(id);
                }
            }
            Transition::Subscribe { who, kind, key, from, honest } => {
                self.subscribe(*who, (*kind, *key), *from, *honest);
            }
            Transition::Unsubscribe { who, kind, key } => {
                if let Some(id) = self.session(*who) {
                    self.say(id, &ClientFrame::Unsubscribe { address: address((*kind, *key)) });
                    self.model.leave(id, (*kind, *key));
                }
            }
            Transition::Deposit { who, key, ttl, blocks } => {
                self.put(*who, (Kind::Queue, *key), None, *ttl, *blocks);
            }
            Transition::Append { who, key, expected, ttl, blocks } => {
                self.put(*who, (Kind::Log, *key), *expected, *ttl, *blocks);
            }
            Transition::Acknowledge { who, kind, key, first, more } => {
                self.acknowledge(*who, (*kind, *key), *first, *first + *more);
            }
            Transition::Pull { who, count } => {
                if let Some(id) = self.session(*who) {
                    for _ in 0..*count {
                        if !self.pull(id) {
                            break;
                        }
                    }
                }
            }
            Transition::Pass { ms } => self.pass(Duration::from_millis(*ms)),
            Transition::Purge => self.purge(),
        }
        self.drain_events();
        self.compare();
    }

    fn session(&self, who: usize) -> Option<SessionId> {
        if self.order.is_empty() { None } else { Some(self.order[who % self.order.len()]) }
    }

    fn say(&mut self, id: SessionId, frame: &ClientFrame<'_>) {
        let now = self.node.now;
        self.model.clients.get_mut(&id).unwrap().heard = now;
        if self.node.send(id, frame).is_err() {
            self.model.clients.get_mut(&id).unwrap().closing = true;
            self.model.leave_all(id);
        }
    }

    fn subscribe(&mut self, who: usize, place: Place, from: u64, honest: bool) {
        let Some(id) = self.session(who) else { return };
        let (kind, seed) = place;
        let signer = if honest { key(seed) } else { key(99) };
        let signature = Signature::subscribe(&signer, kind, &self.node.challenge(id));
        let result = self.model.subscribe(id, place, from, honest);
        if result.is_ok() {
            self.delivered.retain(|(_, other), _| !(place.0 == Kind::Queue && *other == place));
            self.delivered.remove(&(id, place));
        }
        let answer = match result {
            Ok(next) => Heard::Subscribed { req: 1, next },
            Err((reason, retry_s, next)) => Heard::Refused { req: 1, reason, retry_s, next },
        };
        let client = self.model.clients.get_mut(&id).unwrap();
        client.answers.push_back(answer);
        let last = client.bad_signatures >= 3;
        self.say(
            id,
            &ClientFrame::Subscribe { req: 1, kind, key: ReceiveKey::of(&key(seed)), signature, from },
        );
        assert_eq!(self.model.clients[&id].closing, last);
        if last {
            self.end(id);
        }
    }

    fn put(&mut self, who: usize, place: Place, expected: Option<u64>, ttl: Ttl, blocks: usize) {
        let Some(id) = self.session(who) else { return };
        self.envelopes += 1;
        let bytes = content(self.envelopes, blocks);
        let answer = match (self.model.put(place, expected, ttl, self.node.now, bytes.clone()), place.0) {
            (Ok(_), Kind::Queue) => Heard::Deposited { req: 2 },
            (Ok(seq), Kind::Log) => Heard::Appended { req: 2, seq },
            (Err((reason, retry_s, next)), _) => Heard::Refused { req: 2, reason, retry_s, next },
        };
        self.model.clients.get_mut(&id).unwrap().answers.push_back(answer);
        let (address, envelope) = (address(place), bytes.as_slice());
        let frame = match place.0 {
            Kind::Queue => ClientFrame::Deposit { req: 2, address, ttl, envelope },
            Kind::Log => ClientFrame::Append { req: 2, address, expected, ttl, envelope },
        };
        self.say(id, &frame);
    }

    fn acknowledge(&mut self, who: usize, place: Place, first: u64, last: u64) {
        let Some(id) = self.session(who) else { return };
        if place.0 == Kind::Queue
            && let Some(&cursor) = self.model.clients[&id].cursors.get(&place)
        {
            let arrived = |seq| (first..=last).contains(&seq) && seq < cursor;
            self.model.pile(place).entries.retain(|entry| !arrived(entry.seq));
        }
        self.say(id, &ClientFrame::Acknowledge { address: address(place), first, last });
    }

    /// Pulls one frame and checks that it is one that may come now.
    fn pull(&mut self, id: SessionId) -> bool {
        self.model.expire(self.node.now);
        let heard = self.node.pull(id);
        self.trace.push(format!("{id:?} {:?}", heard.as_ref().map(core::mem::discriminant)));
        let client = self.model.clients.get_mut(&id).unwrap();
        if let Some(answer) = client.answers.pop_front() {
            assert_eq!(heard, Some(answer));
            return true;
        }
        let deliverable = self.model.deliverable(id);
        let Some(heard) = heard else {
            assert!(deliverable.is_empty(), "the node keeps back what may be delivered: {deliverable:?}");
            self.model.clients.get_mut(&id).unwrap().awake = false;
            return false;
        };
        let Heard::Deliver { address: to, seq, envelope } = heard else {
            panic!("{heard:?} was not asked for")
        };
        let (place, entry) =
            deliverable.into_iter().find(|(place, _)| address(*place) == to).expect("delivered what may be");
        assert_eq!((seq, &envelope), (entry.seq, &entry.bytes), "in order, and unchanged");
        assert!(
            self.delivered.entry((id, place)).or_default().insert(seq),
            "nothing twice to one subscription"
        );
        self.model.clients.get_mut(&id).unwrap().cursors.insert(place, seq + 1);
        true
    }

    fn pass(&mut self, time: Duration) {
        self.node.pass(time);
        let now = self.node.now;
        self.model.expire(now);
        let idle = self.model.config.idle;
        let silent: Vec<_> =
            self.model.clients.iter().filter(|(_, c)| c.heard + idle <= now).map(|(id, _)| *id).collect();
        for id in silent {
            self.model.clients.get_mut(&id).unwrap().closing = true;
            self.model.leave_all(id);
            self.end_with(id, Reason::Idle);
        }
    }

    fn purge(&mut self) {
        self.node.mailbox.purge(Cause::Panic);
        assert!(self.node.mailbox.expose_storage().iter().all(|byte| *byte == 0));
        let highest = self.model.piles.values().map(|pile| pile.next).max().unwrap_or_default();
        self.model.first_seq = self.model.first_seq.max(highest);
        self.model.piles.clear();
        for id in self.order.clone() {
            let client = self.model.clients.get_mut(&id).unwrap();
            client.answers.clear();
            client.cursors.clear();
            self.end_with(id, Reason::Shutdown);
        }
    }

    fn end_with(&mut self, id: SessionId, reason: Reason) {
        let mut heard = self.node.pull_all(id);
        assert_eq!(heard.pop(), Some(Heard::Bye { reason }));
        assert_eq!(heard, Vec::from(core::mem::take(&mut self.model.clients.get_mut(&id).unwrap().answers)));
        self.end(id);
    }

    fn end(&mut self, id: SessionId) {
        self.node.close(id);
        self.model.leave_all(id);
        self.model.clients.remove(&id);
        self.order.retain(|other| *other != id);
        self.delivered.retain(|(session, _), _| *session != id);
    }

    fn drain_events(&mut self) {
        for event in self.node.events() {
            self.trace.push(format!("{event:?}"));
            match event {
                Event::Wake(id) => {
                    let client = self.model.clients.get_mut(&id).expect("only open sessions are woken");
                    assert!(!client.awake, "a session is woken once until all was pulled");
                    client.awake = true;
                }
                Event::CredentialsWanted { .. } | Event::CredentialsShown { .. } | Event::Left(_) => {
                    panic!("nobody said that")
                }
                Event::Close { session, .. } => {
                    assert!(!self.model.clients.contains_key(&session), "{event:?}");
                }
            }
        }
    }

    fn compare(&self) {
        assert_invariants(&self.node.mailbox);
        let counters = self.node.mailbox.counters();
        let model = &self.model;
        assert_eq!(counters.sessions as usize, model.clients.len());
        assert_eq!(
            counters.subscriptions as usize,
            model.clients.values().map(|c| c.cursors.len()).sum::<usize>()
        );
        assert_eq!(counters.mailboxes as usize, model.piles.len());
        assert_eq!(counters.envelopes as usize, model.piles.values().map(|p| p.entries.len()).sum::<usize>());
        assert_eq!(counters.blocks_used as usize, model.blocks());
        let live =
            self.node.mailbox.expose_storage().chunks(BLOCK).filter(|block| **block != [0; BLOCK]).count();
        assert_eq!(live, model.blocks(), "what is held, and zeros");
        for (id, client) in &model.clients {
            let waits = !client.answers.is_empty() || !model.deliverable(*id).is_empty();
            assert!(client.awake || !waits, "a session with something to pull was woken");
        }
        let first = model.piles.values().flat_map(|p| &p.entries).map(|entry| entry.expires).min();
        if let Some(first) = first {
            assert!(
                self.node.mailbox.poll_timeout().is_some_and(|at| at <= first),
                "a timer before the first expiry"
            );
        }
    }
}

fn play(steps: &[Transition]) -> Vec<String> {
    let mut beside = Beside::new();
    for step in steps {
        beside.apply(step);
    }
    // Nothing is lost: whoever reads on gets everything that is still held.
    for id in beside.order.clone() {
        while beside.pull(id) {}
    }
    beside.drain_events();
    beside.trace
}

fn cases() -> Cases {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mailbox_machine/model.regressions");
    Cases { failure_persistence: Some(Box::new(FileFailurePersistence::Direct(file))), ..Cases::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_mailbox_is_what_its_model_is(steps in proptest::collection::vec(transitions(), 1..120)) {
        play(&steps);
    }
}

#[test]
fn the_generator_and_the_node_do_the_same_every_time() {
    let run = || {
        let mut runner = TestRunner::deterministic();
        let steps = proptest::collection::vec(transitions(), 100).new_tree(&mut runner).unwrap().current();
        let trace = play(&steps);
        (steps, trace)
    };
    let (steps, trace) = run();
    assert_eq!((&steps, &trace), (&run().0, &run().1));
    assert!(trace.len() > 20);
}
