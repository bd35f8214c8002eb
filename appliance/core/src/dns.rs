//! The bubble's own name server: a few names that it knows, and a quick "no" to everything else.
//!
//! It is no resolver: it asks nobody, caches nothing, and answers as the authority for the root, since there is no
//! Internet behind it. Phones that get a quick "no" give up at once; phones that get silence hang (RFC 1035,
//! RFC 2308 for the "no", RFC 6891 for EDNS).
//! Not here: sockets, and multicast DNS.
//! Invariant: an answer goes to an address inside the bubble or it is not given, it is never longer than what was
//! asked for, and what the asking device is called or wants to know leaves no trace.

mod answer;
mod wire;
mod zone;

#[cfg(test)]
mod tests;

pub use zone::Zone;

use crate::bucket::Bucket;
use crate::prefix::Prefix;
use base::{Instant, Private};
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use wire::{Bad, Query};

/// Longest answer over UDP that we send or ask for: it fits into every Ethernet frame (DNS flag day 2020).
pub const LARGEST_UDP: usize = 1232;
/// Longest answer over UDP to those who know no EDNS (RFC 1035 section 4.2.1).
pub const LARGEST_PLAIN_UDP: usize = 512;
/// Longest query that is looked at: a name of 255 bytes and room for options.
pub const LARGEST_QUERY: usize = 1232;
/// Devices whose rates are watched apart from the others.
pub const MOST_SOURCES: usize = 1024;
/// Queries of one device in one second, over time.
const SOURCE_PER_SECOND: u32 = 100;
/// Queries of one device at once.
const SOURCE_BURST: u32 = 400;
/// Queries of all devices in one second, over time.
const ALL_PER_SECOND: u32 = 5_000;
/// Queries of all devices at once.
const ALL_BURST: u32 = 10_000;

/// How a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In a datagram: a long answer is cut, and the client asks again over TCP.
    Udp,
    /// On a connection.
    Tcp,
}

/// What has been answered, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// With a record.
    pub found: u64,
    /// That there is no such name, or nothing of that type.
    pub absent: u64,
    /// That this is not answered, or not understood.
    pub refused: u64,
    /// Not at all: from outside, too many, or no query.
    pub dropped: u64,
}

/// Answers queries.
pub struct Responder {
    zone: Zone,
    prefixes: Vec<Prefix>,
    all: Bucket,
    /// At most [`MOST_SOURCES`].
    sources: HashMap<Private<IpAddr>, Bucket>,
    counters: Counters,
}

impl Responder {
    /// Knows what `zone` says, and answers those inside `prefixes`.
    #[must_use]
    pub fn new(zone: Zone, prefixes: Vec<Prefix>, now: Instant) -> Self {
        let all = Bucket::new(ALL_PER_SECOND, ALL_BURST, now);
        Self { zone, prefixes, all, sources: HashMap::new(), counters: Counters::default() }
    }

    /// From now on it knows this and answers those.
    pub fn handle_settings(&mut self, zone: Zone, prefixes: Vec<Prefix>) {
        self.zone = zone;
        self.prefixes = prefixes;
    }

    /// What has been answered.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Devices whose rates are watched.
    #[must_use]
    pub fn sources(&self) -> usize {
        self.sources.len()
    }

    /// Forgets who has asked. How much all together may ask stays.
    pub fn forget(&mut self) {
        self.sources = HashMap::new();
    }

    /// The answer to what `from` sent; `None` when it gets none.
    pub fn handle_query(
        &mut self,
        packet: &[u8],
        from: IpAddr,
        transport: Transport,
        now: Instant,
    ) -> Option<Vec<u8>> {
        let from = from.to_canonical();
        let answer = if self.is_welcome(from) && self.admit(from, now) {
            self.answer(packet, transport)
        } else {
            None
        };
        if answer.is_none() {
            self.counters.dropped += 1;
        }
        answer
    }

    fn answer(&mut self, packet: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let query = match Query::decode(packet) {
            Ok(query) => query,
            Err(Bad::Silent) => return None,
            Err(Bad::Say(head, code)) => {
                self.counters.refused += 1;
                return Some(answer::refusal(&head, code));
            }
        };
        let outcome = self.zone.resolve(&query);
        match &outcome {
            zone::Outcome::Found { .. } => self.counters.found += 1,
            zone::Outcome::NoData | zone::Outcome::NoName => self.counters.absent += 1,
            zone::Outcome::Refused | zone::Outcome::BadVersion => self.counters.refused += 1,
        }
        let limit = match (transport, &query.edns) {
            (Transport::Tcp, _) => usize::from(u16::MAX),
            (Transport::Udp, None) => LARGEST_PLAIN_UDP,
            // RFC 6891 section 6.2.3: values lower than 512 are treated as 512.
            (Transport::Udp, Some(edns)) => usize::from(edns.udp_size).clamp(LARGEST_PLAIN_UDP, LARGEST_UDP),
        };
        Some(answer::render(&query, &outcome, self.zone.authority(), limit))
    }

    fn is_welcome(&self, from: IpAddr) -> bool {
        // A link-local address cannot come from further away than the link (RFC 4291 section 2.5.6).
        let on_link = matches!(from, IpAddr::V6(v6) if v6.is_unicast_link_local());
        on_link || from.is_loopback() || self.prefixes.iter().any(|prefix| prefix.contains(from))
    }

    fn admit(&mut self, from: IpAddr, now: Instant) -> bool {
        if !self.all.take(now) {
            return false;
        }
        let from = Private::new(from);
        if self.sources.len() >= MOST_SOURCES && !self.sources.contains_key(&from) {
            self.sources.retain(|_, bucket| !bucket.is_full(now));
            if self.sources.len() >= MOST_SOURCES {
                // Whoever fills the table shares the rate of all.
                return true;
            }
        }
        let bucket = || Bucket::new(SOURCE_PER_SECOND, SOURCE_BURST, now);
        self.sources.entry(from).or_insert_with(bucket).take(now)
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder").field("counters", &self.counters).finish_non_exhaustive()
    }
}

/// Body of a fuzz target: whatever is asked, the answer is one to that question, and no longer than allowed.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let now = Instant::ZERO;
    let zone = Zone::new(
        crate::names::DnsName::parse("bulle.internal").into_iter().collect(),
        (1..=40).map(|i| IpAddr::from([10, 77, 0, i])).collect(),
        crate::settings::Probes::Online,
    );
    let mut responder = Responder::new(zone, Vec::new(), now);
    let outside = IpAddr::from([192, 0, 2, 1]);
    assert_eq!(responder.handle_query(data, outside, Transport::Udp, now), None);
    let inside = IpAddr::from([127, 0, 0, 1]);
    for (transport, longest) in [(Transport::Udp, LARGEST_UDP), (Transport::Tcp, usize::from(u16::MAX))] {
        let Some(answer) = responder.handle_query(data, inside, transport, now) else { continue };
        assert!(answer.len() <= longest && answer.len() >= wire::HEADER);
        assert_eq!(answer.get(..2), data.get(..2), "the same number");
        assert!(answer.get(2).is_some_and(|flags| flags & 0x80 != 0), "an answer");
        assert!(data.get(2).is_some_and(|flags| flags & 0x80 == 0), "no answer to an answer");
        if let Ok(query) = Query::decode(data) {
            let end = wire::HEADER + query.question.len();
            assert_eq!(answer.get(wire::HEADER..end), Some(query.question), "the question as it was asked");
        }
    }
}
