//! A node and its clients, with time moved by hand.

use std::collections::BTreeMap;
use std::time::Duration;

use base::Instant;
use relay_core::mailbox::fuzzing::{Repeatable, assert_invariants};
use relay_core::mailbox::{Config, Event, Mailbox, SessionId, Violation};
use wire::{
    Address, BLOCK, Challenge, ClientFrame, Kind, NodeFrame, Reason, ReceiveKey, Signature, SigningKey, Ttl,
};

/// What a client heard, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Welcome { instance: [u8; 16], challenge: Challenge },
    Subscribed { req: u32, next: u64 },
    Deposited { req: u32 },
    Appended { req: u32, seq: u64 },
    Deliver { address: Address, seq: u64, envelope: Vec<u8> },
    Credentials { req: u32, username: String, password: String, ttl_s: u32 },
    Refused { req: u32, reason: Reason, retry_s: u32, next: u64 },
    Pong { nonce: u32 },
    Bye { reason: Reason },
    Unsubscribed { address: Address, reason: Reason },
}

impl Heard {
    pub(crate) fn decode(bytes: &[u8]) -> Self {
        match NodeFrame::decode(bytes).expect("the node says frames only") {
            NodeFrame::Welcome { instance, challenge, .. } => Self::Welcome { instance, challenge },
            NodeFrame::Subscribed { req, next } => Self::Subscribed { req, next },
            NodeFrame::Deposited { req } => Self::Deposited { req },
            NodeFrame::Appended { req, seq } => Self::Appended { req, seq },
            NodeFrame::Deliver { address, seq, envelope } => {
                Self::Deliver { address, seq, envelope: envelope.to_vec() }
            }
            NodeFrame::Credentials { req, username, password, ttl_s } => {
                Self::Credentials { req, username: username.to_owned(), password: password.to_owned(), ttl_s }
            }
            NodeFrame::Refused { req, reason, retry_s, next } => Self::Refused { req, reason, retry_s, next },
            NodeFrame::Pong { nonce } => Self::Pong { nonce },
            NodeFrame::Bye { reason } => Self::Bye { reason },
            NodeFrame::Unsubscribed { address, reason } => Self::Unsubscribed { address, reason },
        }
    }

    /// The reason of a refusal.
    pub(crate) fn refusal(&self) -> Option<Reason> {
        if let Self::Refused { reason, .. } = self { Some(*reason) } else { None }
    }

    /// Number and first byte of a delivery.
    pub(crate) fn delivery(&self) -> Option<(u64, u8)> {
        if let Self::Deliver { seq, envelope, .. } = self { Some((*seq, envelope[0])) } else { None }
    }
}

pub(crate) struct Node {
    pub(crate) mailbox: Mailbox<Vec<u8>, Repeatable>,
    pub(crate) now: Instant,
    /// Leaves out the check of the invariants, for a test with very many steps.
    pub(crate) trusted: bool,
    challenges: BTreeMap<SessionId, Challenge>,
}

impl Node {
    pub(crate) fn new(config: Config, blocks: usize) -> Self {
        let mailbox = Mailbox::new(config, vec![0; blocks * BLOCK], Repeatable(1));
        Self { mailbox, now: Instant::from_millis(1_000_000), trusted: false, challenges: BTreeMap::new() }
    }

    /// A session whose welcome was read.
    pub(crate) fn open(&mut self) -> SessionId {
        let id = self.mailbox.open_session(self.now).expect("there is room for a session");
        let Some(Heard::Welcome { challenge, .. }) = self.pull(id) else { panic!("a welcome comes first") };
        self.challenges.insert(id, challenge);
        id
    }

    pub(crate) fn close(&mut self, id: SessionId) {
        self.mailbox.close_session(id, self.now);
        self.check();
    }

    fn check(&self) {
        if !self.trusted {
            assert_invariants(&self.mailbox);
        }
    }

    pub(crate) fn challenge(&self, id: SessionId) -> Challenge {
        self.challenges[&id]
    }

    pub(crate) fn send(&mut self, id: SessionId, frame: &ClientFrame<'_>) -> Result<(), Violation> {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        let result = self.mailbox.handle_frame(id, &bytes, self.now);
        self.check();
        result
    }

    /// Sends a request and hears its answer, when no delivery waits.
    pub(crate) fn ask(&mut self, id: SessionId, frame: &ClientFrame<'_>) -> Heard {
        self.send(id, frame).expect("the request is well-formed");
        self.pull(id).expect("a request is answered")
    }

    pub(crate) fn subscribe(&mut self, id: SessionId, kind: Kind, key: &SigningKey, from: u64) -> Heard {
        let signature = Signature::subscribe(key, kind, &self.challenge(id));
        self.ask(id, &ClientFrame::Subscribe { req: 1, kind, key: ReceiveKey::of(key), signature, from })
    }

    pub(crate) fn deposit(&mut self, id: SessionId, address: Address, byte: u8) -> Heard {
        self.deposit_for(id, address, byte, Ttl::Brief, 1)
    }

    pub(crate) fn deposit_for(
        &mut self,
        id: SessionId,
        address: Address,
        byte: u8,
        ttl: Ttl,
        blocks: usize,
    ) -> Heard {
        self.ask(id, &ClientFrame::Deposit { req: 2, address, ttl, envelope: &vec![byte; blocks * BLOCK] })
    }

    pub(crate) fn append(
        &mut self,
        id: SessionId,
        address: Address,
        byte: u8,
        expected: Option<u64>,
    ) -> Heard {
        let envelope = [byte; BLOCK];
        self.ask(id, &ClientFrame::Append { req: 3, address, expected, ttl: Ttl::Brief, envelope: &envelope })
    }

    pub(crate) fn acknowledge(&mut self, id: SessionId, address: Address, seq: u64) {
        self.acknowledge_all(id, address, seq, seq);
    }

    pub(crate) fn acknowledge_all(&mut self, id: SessionId, address: Address, first: u64, last: u64) {
        self.send(id, &ClientFrame::Acknowledge { address, first, last })
            .expect("an acknowledgement is no violation");
    }

    pub(crate) fn pull(&mut self, id: SessionId) -> Option<Heard> {
        let mut bytes = Vec::new();
        let some = self.mailbox.poll_transmit(id, self.now, &mut bytes);
        self.check();
        some.then(|| Heard::decode(&bytes))
    }

    pub(crate) fn pull_all(&mut self, id: SessionId) -> Vec<Heard> {
        core::iter::from_fn(|| self.pull(id)).collect()
    }

    /// Numbers and first bytes of everything that is delivered now.
    pub(crate) fn deliveries(&mut self, id: SessionId) -> Vec<(u64, u8)> {
        self.pull_all(id)
            .iter()
            .map(|heard| heard.delivery().expect("nothing but deliveries waits"))
            .collect()
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        core::iter::from_fn(|| self.mailbox.poll_event()).collect()
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.mailbox.handle_timeout(self.now);
        assert!(self.mailbox.poll_timeout().is_none_or(|at| at > self.now), "no timeout in the past");
        self.check();
    }

    /// Whether `byte` is anywhere in the memory of envelopes.
    pub(crate) fn holds(&self, byte: u8) -> bool {
        self.mailbox.expose_storage().contains(&byte)
    }
}

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub(crate) fn queue(seed: u8) -> Address {
    Address::of(Kind::Queue, &ReceiveKey::of(&key(seed)))
}

pub(crate) fn log(seed: u8) -> Address {
    Address::of(Kind::Log, &ReceiveKey::of(&key(seed)))
}

pub(crate) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
