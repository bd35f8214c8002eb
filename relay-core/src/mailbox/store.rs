//! What is held: the mailboxes, their envelopes, their quotas and their times.
//!
//! It knows sessions as readers only, by number; who deposited an envelope is not written down.

use core::ops::{Bound, Range};
use std::collections::{BTreeMap, VecDeque};

use base::{Arena, Chain, Deadlines, Instant, Storage};
use wire::{Address, Kind, Reason};

use super::session::Refusal;
use super::{Config, SessionId};

const _: () = assert!(base::BLOCK == wire::BLOCK, "an envelope of whole blocks fills blocks of the arena");

/// Seconds after which a full mailbox or node is worth another try: long enough for a reader to have acknowledged
/// something, short enough that a person does not give up.
const RETRY_FULL_S: u32 = 5;

/// A mailbox, by a number that is never given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PlaceId(u64);

impl PlaceId {
    pub(super) const fn of(number: u64) -> Self {
        Self(number)
    }

    pub(super) const fn number(self) -> u64 {
        self.0
    }
}

/// One mailbox.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) kind: Kind,
    pub(super) address: Address,
    /// The sequence number of the next envelope.
    pub(super) next: u64,
    /// In the order of their numbers; bounded by `Config::envelopes_per_mailbox`.
    entries: VecDeque<Entry>,
    /// Bounded by `Config::blocks_per_mailbox`.
    pub(super) blocks: u32,
    /// One at most of a queue; bounded by `Config::readers_per_log` of a log.
    pub(super) readers: Vec<SessionId>,
}

#[derive(Debug)]
struct Entry {
    seq: u64,
    expires: Instant,
    envelope: Chain,
}

/// An envelope to be put somewhere.
#[derive(Clone, Copy)]
pub(super) struct Incoming<'b> {
    pub(super) kind: Kind,
    pub(super) address: Address,
    pub(super) expected: Option<u64>,
    pub(super) expires: Instant,
    pub(super) envelope: &'b [u8],
}

/// All mailboxes of the node.
#[derive(Debug)]
pub(super) struct Store<S> {
    arena: Arena<S>,
    /// Bounded by `Config::mailboxes`.
    places: BTreeMap<PlaceId, Place>,
    /// As many as `places`.
    by_address: BTreeMap<(Kind, Address), PlaceId>,
    /// At most one for each mailbox: not after the first of its envelopes expires.
    deadlines: Deadlines<PlaceId>,
    envelopes: u32,
    /// Of each mailbox, the first so many blocks are its own.
    own_blocks: u32,
    /// Blocks that mailboxes hold beyond their own; at most half of the node.
    shared_used: u32,
    last_place: u64,
    /// Where the numbers of a new mailbox begin: above all that were given at addresses which have vanished
    /// since, so that no number comes twice at one address.
    first_seq: u64,
}

impl<S: Storage> Store<S> {
    pub(super) fn new(storage: S, config: &Config) -> Self {
        let arena = Arena::new(storage);
        let own_blocks = arena.total_blocks() / config.openings.burst.saturating_mul(8).max(1);
        Self {
            arena,
            places: BTreeMap::new(),
            by_address: BTreeMap::new(),
            deadlines: Deadlines::default(),
            envelopes: 0,
            own_blocks: own_blocks.max(1),
            shared_used: 0,
            last_place: 0,
            first_seq: 1,
        }
    }

    /// Whether this mailbox is in being.
    pub(super) fn find(&self, kind: Kind, address: Address) -> Option<PlaceId> {
        self.by_address.get(&(kind, address)).copied()
    }

    pub(super) fn get(&self, place: PlaceId) -> Option<&Place> {
        self.places.get(&place)
    }

    pub(super) fn places(&self) -> impl Iterator<Item = (PlaceId, &Place)> {
        self.places.iter().map(|(id, place)| (*id, place))
    }

    /// Those whose numbers are higher.
    pub(super) fn places_after(&self, after: PlaceId) -> impl Iterator<Item = (PlaceId, &Place)> {
        self.places.range((Bound::Excluded(after), Bound::Unbounded)).map(|(id, place)| (*id, place))
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) const fn envelopes(&self) -> u32 {
        self.envelopes
    }

    pub(super) const fn arena(&self) -> &Arena<S> {
        &self.arena
    }

    /// Whether the deadline of this mailbox is not after the first of its envelopes expires.
    pub(super) fn expires_in_time(&self, id: PlaceId) -> bool {
        let first =
            self.places.get(&id).and_then(|place| place.entries.iter().map(|entry| entry.expires).min());
        first.is_none_or(|first| self.deadlines.get(&id).is_some_and(|deadline| deadline <= first))
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Puts an envelope at the end of its mailbox, which comes into being if need be.
    pub(super) fn put(&mut self, incoming: Incoming<'_>, config: &Config) -> Result<(PlaceId, u64), Refusal> {
        let Incoming { kind, address, expected, expires, envelope } = incoming;
        let existing = self.find(kind, address);
        let place = existing.and_then(|id| self.places.get(&id));
        let next = place.map_or(self.first_seq, |place| place.next);
        if expected.is_some_and(|expected| expected != next) {
            return Err(Refusal { reason: Reason::Conflict, retry_s: 0, next });
        }

        let needs = u32::try_from(envelope.len().div_ceil(wire::BLOCK)).unwrap_or(u32::MAX);
        let (envelopes, blocks) = place.map_or((0, 0), |place| (place.envelopes(), place.blocks));
        let will_hold = blocks.saturating_add(needs);
        if envelopes >= config.envelopes_per_mailbox || will_hold > config.blocks_per_mailbox {
            return Err(Refusal::new(Reason::MailboxFull, RETRY_FULL_S));
        }
        let shared = self.shared_used - self.beyond(blocks) + self.beyond(will_hold);
        if shared > self.arena.total_blocks() / 2 {
            return Err(Refusal::new(Reason::NodeFull, RETRY_FULL_S));
        }
        if existing.is_none() && self.places.len() >= deposit_mailboxes(config) {
            return Err(Refusal::new(Reason::NodeFull, RETRY_FULL_S));
        }

        let Ok(envelope) = self.arena.store(envelope) else {
            return Err(Refusal::new(Reason::NodeFull, RETRY_FULL_S));
        };
        let id = existing.unwrap_or_else(|| self.open(kind, address));
        let Some(place) = self.places.get_mut(&id) else {
            self.arena.free(envelope);
            return Err(Refusal::new(Reason::NodeFull, RETRY_FULL_S));
        };
        place.entries.push_back(Entry { seq: next, expires, envelope });
        place.next = next + 1;
        place.blocks = will_hold;
        self.shared_used = shared;
        self.envelopes += 1;
        if self.deadlines.get(&id).is_none_or(|deadline| expires < deadline) {
            self.deadlines.set(id, expires);
        }
        Ok((id, next))
    }

    /// Adds a reader; of a queue, instead of the one before, who is handed back.
    pub(super) fn subscribe(
        &mut self,
        kind: Kind,
        address: Address,
        reader: SessionId,
        config: &Config,
    ) -> Result<(PlaceId, Option<SessionId>), Refusal> {
        let id = match self.find(kind, address) {
            Some(id) => id,
            None if self.places.len() >= config.mailboxes as usize => {
                return Err(Refusal::new(Reason::NodeFull, RETRY_FULL_S));
            }
            None => self.open(kind, address),
        };
        let Some(place) = self.places.get_mut(&id) else {
            return Err(Refusal::new(Reason::NodeFull, RETRY_FULL_S));
        };
        let mut before = None;
        match kind {
            _ if place.readers.contains(&reader) => {}
            Kind::Queue => {
                before = place.readers.pop();
                place.readers.push(reader);
            }
            Kind::Log if place.readers.len() >= config.readers_per_log as usize => {
                return Err(Refusal::new(Reason::MailboxFull, RETRY_FULL_S));
            }
            Kind::Log => place.readers.push(reader),
        }
        Ok((id, before))
    }

    /// Removes a reader; the mailbox vanishes if nothing is left of it.
    pub(super) fn unsubscribe(&mut self, id: PlaceId, reader: SessionId) {
        if let Some(place) = self.places.get_mut(&id) {
            place.readers.retain(|other| *other != reader);
        }
        self.vanish_if_vacant(id);
    }

    /// The first envelope whose number is not below `cursor`, and whether another one follows.
    pub(super) fn next_from(&self, id: PlaceId, cursor: u64) -> Option<(u64, &Chain, bool)> {
        let entries = &self.places.get(&id)?.entries;
        let at = entries.partition_point(|entry| entry.seq < cursor);
        let entry = entries.get(at)?;
        Some((entry.seq, &entry.envelope, at + 1 < entries.len()))
    }

    /// How many envelopes have numbers below `cursor`.
    pub(super) fn count_below(&self, id: PlaceId, cursor: u64) -> u32 {
        let below = self.places.get(&id).map_or(0, |place| place.entries.partition_point(|e| e.seq < cursor));
        u32::try_from(below).unwrap_or(u32::MAX)
    }

    /// Purges the envelopes with these numbers; how many there were.
    pub(super) fn remove(&mut self, id: PlaceId, numbers: Range<u64>) -> u32 {
        let Some(place) = self.places.get_mut(&id) else { return 0 };
        let from = place.entries.partition_point(|entry| entry.seq < numbers.start);
        let to = place.entries.partition_point(|entry| entry.seq < numbers.end);
        if from >= to {
            return 0;
        }
        let before = place.blocks;
        let mut removed = 0;
        for entry in place.entries.drain(from..to) {
            place.blocks -= entry.envelope.blocks();
            self.arena.free(entry.envelope);
            removed += 1;
        }
        let (after, emptied) = (place.blocks, place.entries.is_empty());
        if emptied {
            place.entries = VecDeque::new();
        }
        self.envelopes -= removed;
        self.shared_used -= self.beyond(before) - self.beyond(after);
        if emptied {
            self.deadlines.remove(&id);
            self.vanish_if_vacant(id);
        }
        removed
    }

    /// Purges all envelopes of one mailbox, which still stands; how many that were.
    pub(super) fn empty(&mut self, id: PlaceId) -> u32 {
        let Some(place) = self.places.get_mut(&id) else { return 0 };
        let before = core::mem::take(&mut place.blocks);
        let mut purged = 0;
        for entry in core::mem::take(&mut place.entries) {
            self.arena.free(entry.envelope);
            purged += 1;
        }
        self.envelopes -= purged;
        self.shared_used -= self.beyond(before);
        self.deadlines.remove(&id);
        purged
    }

    /// Purges what has expired in one mailbox whose deadline has come: which one, how many, and its readers.
    ///
    /// The mailbox still stands, so that its readers can be brought up to date; `vanish_if_vacant` follows.
    pub(super) fn expire_one(&mut self, now: Instant) -> Option<(PlaceId, u32)> {
        let id = self.deadlines.pop_due(now)?;
        let Some(place) = self.places.get_mut(&id) else { return Some((id, 0)) };
        let before = place.blocks;
        let mut kept = VecDeque::new();
        let mut expired = 0;
        let mut first = None;
        for entry in core::mem::take(&mut place.entries) {
            if entry.expires <= now {
                place.blocks -= entry.envelope.blocks();
                self.arena.free(entry.envelope);
                expired += 1;
            } else {
                first = Some(first.map_or(entry.expires, |first: Instant| first.min(entry.expires)));
                kept.push_back(entry);
            }
        }
        place.entries = kept;
        let after = place.blocks;
        self.envelopes -= expired;
        self.shared_used -= self.beyond(before) - self.beyond(after);
        if let Some(first) = first {
            self.deadlines.set(id, first);
        }
        Some((id, expired))
    }

    /// Forgets a mailbox that is empty and has no reader.
    pub(super) fn vanish_if_vacant(&mut self, id: PlaceId) {
        let Some(place) = self.places.get(&id) else { return };
        if !place.entries.is_empty() || !place.readers.is_empty() {
            return;
        }
        self.first_seq = self.first_seq.max(place.next);
        self.by_address.remove(&(place.kind, place.address));
        self.deadlines.remove(&id);
        self.places.remove(&id);
    }

    /// Overwrites everything; how many envelopes that were.
    pub(super) fn clear(&mut self) -> u32 {
        let highest = self.places.values().map(|place| place.next).max();
        self.first_seq = self.first_seq.max(highest.unwrap_or_default());
        self.places.clear();
        self.by_address.clear();
        self.deadlines.clear();
        self.arena.clear();
        self.shared_used = 0;
        core::mem::take(&mut self.envelopes)
    }

    /// How much longer than usual it takes until a session may bring another mailbox into being: sixteen times for
    /// each halving of the free blocks, or of the free mailboxes.
    pub(super) fn slowdown(&self, config: &Config) -> u32 {
        let mailboxes = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        let by_mailboxes = slowdown(config.mailboxes.saturating_sub(mailboxes), config.mailboxes);
        slowdown(self.arena.free_blocks(), self.arena.total_blocks()).max(by_mailboxes)
    }

    /// The blocks that mailboxes hold beyond their own, counted one by one.
    pub(super) fn is_shared_use_right(&self) -> bool {
        self.places.values().map(|place| self.beyond(place.blocks)).sum::<u32>() == self.shared_used
    }

    const fn beyond(&self, blocks: u32) -> u32 {
        blocks.saturating_sub(self.own_blocks)
    }

    fn open(&mut self, kind: Kind, address: Address) -> PlaceId {
        self.last_place += 1;
        let id = PlaceId(self.last_place);
        let place = Place {
            kind,
            address,
            next: self.first_seq,
            entries: VecDeque::new(),
            blocks: 0,
            readers: Vec::new(),
        };
        self.places.insert(id, place);
        self.by_address.insert((kind, address), id);
        id
    }
}

impl Place {
    /// Envelopes held.
    pub(super) fn envelopes(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    /// Their numbers, ends and blocks, in order.
    pub(super) fn envelopes_held(&self) -> impl Iterator<Item = (u64, Instant, u32)> {
        self.entries.iter().map(|entry| (entry.seq, entry.expires, entry.envelope.blocks()))
    }

    /// Their numbers and blocks, in order.
    pub(super) fn sizes(&self) -> impl Iterator<Item = (u64, u32)> {
        self.entries.iter().map(|entry| (entry.seq, entry.envelope.blocks()))
    }
}

fn slowdown(free: u32, total: u32) -> u32 {
    let (mut slowdown, mut level) = (1, total / 2);
    while free < level && slowdown < 1 << 24 {
        slowdown *= 16;
        level /= 2;
    }
    slowdown
}

/// How many mailboxes may be in being for a deposit to bring another one: seven eighths of all, so that readers
/// always find room for theirs.
const fn deposit_mailboxes(config: &Config) -> usize {
    (config.mailboxes - config.mailboxes / 8) as usize
}
