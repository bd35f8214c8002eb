//! From an outcome to a packet.

use super::LARGEST_UDP;
use super::wire::{Code, HEADER, Head, IN, Query, kind};
use super::zone::{Authority, Outcome, Record};
use std::time::Duration;

/// How long a device may remember that there is no such name.
const NEGATIVE_TTL: Duration = Duration::from_secs(60);
/// Where the name of the question stands: every record of ours is about that name.
const THE_QUESTION: [u8; 2] = [0xc0, 12];

/// An answer that only says what is wrong.
pub(super) fn refusal(head: &Head, code: Code) -> Vec<u8> {
    header(head, code, false, false, [0; 4])
}

/// The answer to `query`, in at most `limit` bytes.
pub(super) fn render(query: &Query<'_>, outcome: &Outcome, authority: &Authority, limit: usize) -> Vec<u8> {
    let code = match outcome {
        Outcome::Found { .. } | Outcome::NoData => Code::NoError,
        Outcome::NoName => Code::NameError,
        Outcome::Refused => Code::Refused,
        Outcome::BadVersion => Code::BadVersion,
    };
    let mut body = query.question.to_vec();
    // EDNS goes last and must fit, so its room is kept.
    let edns = query.edns.map(|_| edns(code)).unwrap_or_default();
    let room = limit.saturating_sub(HEADER + edns.len());
    let (mut answers, mut authorities, mut cut) = (0, 0, false);
    match outcome {
        Outcome::Found { records, ttl } => {
            for record in records {
                let bytes = record_bytes(record, *ttl, authority);
                if body.len() + bytes.len() > room {
                    cut = true;
                    break;
                }
                body.extend(bytes);
                answers += 1;
            }
            if cut {
                // RFC 2181 section 9: whoever sees that it was cut throws the rest away and asks over TCP.
                body.truncate(query.question.len());
                answers = 0;
            }
        }
        Outcome::NoData | Outcome::NoName => {
            let soa = [&[0], soa(authority).as_slice()].concat();
            // RFC 2308 section 2: without it the answer is still one, and is not remembered.
            if body.len() + soa.len() <= room {
                body.extend(soa);
                authorities = 1;
            }
        }
        Outcome::Refused | Outcome::BadVersion => {}
    }
    body.extend(&edns);
    let authoritative = matches!(outcome, Outcome::Found { .. } | Outcome::NoData | Outcome::NoName);
    let counts = [1, answers, authorities, u16::from(!edns.is_empty())];
    let mut packet = header(&query.head, code, authoritative, cut, counts);
    packet.extend(body);
    packet
}

fn header(head: &Head, code: Code, authoritative: bool, cut: bool, counts: [u16; 4]) -> Vec<u8> {
    let flag = |set: bool, bit: u16| if set { bit } else { 0 };
    let flags = 0x8000
        | u16::from(head.opcode) << 11
        | flag(authoritative, 0x0400)
        | flag(cut, 0x0200)
        | flag(head.recursion_desired, 0x0100)
        // "Recursion available": there is nobody behind us, and some stub resolvers look no further without it.
        | 0x0080
        | flag(head.checking_disabled, 0x0010)
        | code as u16 & 0x0f;
    let mut packet = Vec::with_capacity(LARGEST_UDP);
    packet.extend(head.id.to_be_bytes());
    packet.extend(flags.to_be_bytes());
    packet.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
    packet
}

/// RFC 6891 section 6.1.2: root, type, our size, the upper bits of the code, version 0, no flags, no options.
fn edns(code: Code) -> Vec<u8> {
    let size = u16::try_from(LARGEST_UDP).unwrap_or(u16::MAX).to_be_bytes();
    let upper = u8::try_from(code as u16 >> 4).unwrap_or_default();
    [&[0][..], &kind::OPT.to_be_bytes(), &size, &[upper, 0, 0, 0], &[0, 0]].concat()
}

fn record_bytes(record: &Record, ttl: Duration, authority: &Authority) -> Vec<u8> {
    let with = |kind, data: &[u8]| [&THE_QUESTION[..], &fields(kind, ttl, data)].concat();
    match record {
        Record::A(v4) => with(kind::A, &v4.octets()),
        Record::Aaaa(v6) => with(kind::AAAA, &v6.octets()),
        Record::Ptr(name) => with(kind::PTR, &name_bytes(name.as_str())),
        Record::Soa => [&THE_QUESTION[..], &soa(authority)].concat(),
    }
}

/// What follows the name of a record.
fn fields(kind: u16, ttl: Duration, data: &[u8]) -> Vec<u8> {
    let ttl = u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX).to_be_bytes();
    let length = u16::try_from(data.len()).unwrap_or_default().to_be_bytes();
    [&kind.to_be_bytes()[..], &IN.to_be_bytes(), &ttl, &length, data].concat()
}

/// The start of authority of the root as we see it (RFC 1035 section 3.3.13), from its type on.
fn soa(authority: &Authority) -> Vec<u8> {
    let mut data = name_bytes(authority.server.as_ref().map_or("", |name| name.as_str()));
    // Nobody reads mail here: the root, which is a name and no mailbox.
    data.push(0);
    let minimum = u32::try_from(NEGATIVE_TTL.as_secs()).unwrap_or_default();
    for number in [1, 3600, 600, 86_400, minimum] {
        data.extend(u32::to_be_bytes(number));
    }
    fields(kind::SOA, NEGATIVE_TTL, &data)
}

/// A name as it is sent.
fn name_bytes(name: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(u8::try_from(label.len()).unwrap_or_default());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}
