//! The body of the fuzz target `mailbox_session`: bytes become what two clients and time do to a node.

use core::time::Duration;

use base::Instant;
use rand_core::{CryptoRng, RngCore};
use wire::{Address, BLOCK, ClientFrame, Kind, NodeFrame, ReceiveKey, Signature, SigningKey, Ttl};

pub use super::invariants::assert_invariants;
use super::{Cause, Config, Event, Mailbox, Memory, Rate, SessionId, Ttls};

/// Numbers that look random and are the same in every run. Not for keys.
#[derive(Clone, Debug)]
pub struct Repeatable(pub u64);

impl RngCore for Repeatable {
    fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    /// SplitMix64 (Steele, Lea and Flood 2014).
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        for piece in dest.chunks_mut(8) {
            let bytes = self.next_u64().to_le_bytes();
            piece.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        }
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl CryptoRng for Repeatable {}

/// A node so small that a short input reaches every limit.
pub fn small() -> Config {
    let second = Duration::from_secs(1);
    Config {
        turn_port: 3478,
        sessions: 3,
        mailboxes: 6,
        envelopes_per_mailbox: 4,
        blocks_per_mailbox: 8,
        readers_per_log: 1,
        subscriptions: 3,
        window: 3,
        ttl: Ttls::new([1, 10, 30, 100].map(Duration::from_secs)),
        idle: Duration::from_secs(60),
        frames: Rate { amount: 20, per: second, burst: 80 },
        bytes: Rate { amount: 1 << 18, per: second, burst: 1 << 20 },
        openings: Rate { amount: 1, per: second, burst: 8 },
    }
}

/// Two clients do what the bytes say; the invariants hold after every step.
pub fn session(data: &[u8]) {
    let mut node = Node {
        mailbox: Mailbox::new(small(), vec![0; 24 * BLOCK], Repeatable(0)),
        sessions: [None, None],
        now: Instant::ZERO,
        out: Vec::new(),
    };
    let mut bytes = data.iter().copied();
    let mut steps = 0;
    while let Some(op) = bytes.next()
        && steps < 256
    {
        node.step(op, &mut bytes);
        assert_invariants(&node.mailbox);
        steps += 1;
    }
}

struct Node {
    mailbox: Mailbox<Vec<u8>, Repeatable>,
    sessions: [Option<SessionId>; 2],
    now: Instant,
    out: Vec<u8>,
}

impl Node {
    fn step(&mut self, op: u8, bytes: &mut impl Iterator<Item = u8>) {
        let who = usize::from(op & 1);
        let mut next = || bytes.next().unwrap_or_default();
        match (op >> 1) % 12 {
            0 => {
                let len = usize::from(next());
                let raw: Vec<u8> = bytes.take(len).collect();
                self.raw(who, &raw);
            }
            1 => {
                let (which, from) = (next(), next());
                self.subscribe(who, which, u64::from(from));
            }
            2 => {
                let (req, which, ttl, size) = (u32::from(next()), next(), next(), next());
                let envelope = envelope(size);
                let ttl = class(ttl);
                self.frame(
                    who,
                    &ClientFrame::Deposit { req, address: address(which), ttl, envelope: &envelope },
                );
            }
            3 => {
                let (req, which, ttl, size) = (u32::from(next()), next(), next(), next());
                let envelope = envelope(size);
                let expected = (ttl & 0x80 != 0).then(|| u64::from(next()));
                let ttl = class(ttl);
                let address = address(which);
                self.frame(who, &ClientFrame::Append { req, address, expected, ttl, envelope: &envelope });
            }
            4 => {
                let (which, first) = (next(), u64::from(next()));
                let last = first + u64::from(next() & 0x0f);
                self.frame(who, &ClientFrame::Acknowledge { address: address(which), first, last });
            }
            5 => self.frame(who, &ClientFrame::Unsubscribe { address: address(next()) }),
            6 => {
                self.now = self.now + Duration::from_millis(u64::from(next()) * 100);
                self.mailbox.handle_timeout(self.now);
                assert!(self.mailbox.poll_timeout().is_none_or(|at| at > self.now), "no timeout in the past");
            }
            7 | 8 => {
                for _ in 0..next() & 7 {
                    self.pull(who);
                }
            }
            9 => match next() {
                0 => self.frame(who, &ClientFrame::Leave),
                1 => self.frame(who, &ClientFrame::KeepCredentials { username: "name", password: "word" }),
                req => self.frame(who, &ClientFrame::RequestCredentials { req: u32::from(req) }),
            },
            10 => self.news(next()),
            _ => match next() {
                0 => self.mailbox.purge(Cause::Panic),
                2 => {
                    if let Some(id) = self.id(who) {
                        self.mailbox.revoke(id);
                    }
                }
                3 => self.mailbox.handle_memory(Memory::Short),
                4 => self.mailbox.handle_memory(Memory::Exhausted),
                5 => self.mailbox.handle_memory(Memory::Enough),
                1 => {
                    self.frame(who, &ClientFrame::Ping { nonce: 1 });
                    self.now = self.now + Duration::from_secs(30);
                }
                _ => {
                    if let Some(id) = self.sessions.get_mut(who).and_then(Option::take) {
                        self.mailbox.close_session(id, self.now);
                    }
                }
            },
        }
    }

    fn id(&mut self, who: usize) -> Option<SessionId> {
        let slot = self.sessions.get_mut(who)?;
        if slot.is_none() {
            *slot = self.mailbox.open_session(self.now).ok();
        }
        *slot
    }

    fn frame(&mut self, who: usize, frame: &ClientFrame<'_>) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        self.raw(who, &bytes);
    }

    fn raw(&mut self, who: usize, bytes: &[u8]) {
        let Some(id) = self.id(who) else { return };
        if self.mailbox.handle_frame(id, bytes, self.now).is_err() {
            self.end(id);
        }
    }

    fn subscribe(&mut self, who: usize, which: u8, from: u64) {
        let Some(id) = self.id(who) else { return };
        let Some(challenge) = self.mailbox.sessions.get(&id).map(|session| session.challenge) else { return };
        let (key, kind) = (key(which), kind(which));
        let signer = if which & 0x40 == 0 { key.clone() } else { self::key(which ^ 1) };
        let signature = Signature::subscribe(&signer, kind, &challenge);
        self.frame(who, &ClientFrame::Subscribe { req: 0, kind, key: ReceiveKey::of(&key), signature, from });
    }

    /// Pulls one frame, which decodes.
    fn pull(&mut self, who: usize) -> bool {
        let Some(id) = self.id(who) else { return false };
        self.out.clear();
        let some = self.mailbox.poll_transmit(id, self.now, &mut self.out);
        assert_eq!(some, !self.out.is_empty(), "a frame has bytes");
        assert!(!some || NodeFrame::decode(&self.out).is_ok(), "the node says frames only");
        some
    }

    fn news(&mut self, choice: u8) {
        while let Some(event) = self.mailbox.poll_event() {
            match event {
                Event::Wake(_) | Event::CredentialsShown { .. } | Event::Left(_) => {}
                Event::CredentialsWanted { session, req } if choice == 0 => {
                    self.mailbox.refuse_credentials(session, req);
                }
                Event::CredentialsWanted { session, req } => {
                    self.mailbox.grant_credentials(session, req, "name", "word", 60);
                }
                Event::Close { session, .. } => self.end(session),
            }
        }
    }

    /// Pulls all that is left of a session, of which the last is `Bye`, and closes it.
    fn end(&mut self, id: SessionId) {
        assert_invariants(&self.mailbox);
        // It may have been pulled before.
        let mut bye = true;
        self.out.clear();
        while self.mailbox.poll_transmit(id, self.now, &mut self.out) {
            bye = matches!(NodeFrame::decode(&self.out), Ok(NodeFrame::Bye { .. }));
            self.out.clear();
        }
        assert!(bye, "the last frame says why");
        self.mailbox.close_session(id, self.now);
        for slot in &mut self.sessions {
            if *slot == Some(id) {
                *slot = None;
            }
        }
    }
}

fn kind(which: u8) -> Kind {
    if which & 1 == 0 { Kind::Queue } else { Kind::Log }
}

fn key(which: u8) -> SigningKey {
    SigningKey::from_bytes(&[which & 7; 32])
}

/// One of eight mailboxes that have readers, or of many that have none.
fn address(which: u8) -> Address {
    if which & 0x80 == 0 {
        Address::of(kind(which), &ReceiveKey::of(&key(which)))
    } else {
        Address::from_bytes([which; 32])
    }
}

fn class(which: u8) -> Ttl {
    match which & 3 {
        0 => Ttl::Brief,
        1 => Ttl::Short,
        2 => Ttl::Medium,
        _ => Ttl::Long,
    }
}

fn envelope(size: u8) -> Vec<u8> {
    vec![size | 1; (usize::from(size) % wire::MAX_BLOCKS + 1) * BLOCK]
}
