//! Read with another implementation's codec, which also writes the questions.

use super::*;
use crate::names::DnsName;
use crate::settings::Probes;
use hickory_proto::op::{DnsResponse, Edns, Message, MessageType, OpCode, Query as Asked, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType};
use proptest::prelude::*;
use std::str::FromStr;
use std::time::Duration;

const NOW: Instant = Instant::ZERO;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn zone(probes: Probes) -> Zone {
    let names = ["bulle.internal", "bulle.local"].into_iter().filter_map(DnsName::parse).collect();
    Zone::new(names, vec![ip("10.77.0.1"), ip("fd00:77::1")], probes)
}

fn responder(probes: Probes) -> Responder {
    let prefixes = ["10.77.0.0/24", "fd00:77::/64"].into_iter().filter_map(Prefix::parse).collect();
    Responder::new(zone(probes), prefixes, NOW)
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Asked::query(Name::from_str(name).expect("a name"), kind));
    message
}

fn send(responder: &mut Responder, message: &Message, transport: Transport) -> Option<DnsResponse> {
    let bytes = message.to_vec().expect("a packet");
    let answer = responder.handle_query(&bytes, ip("10.77.0.9"), transport, NOW)?;
    let answer = DnsResponse::from_buffer(answer).expect("another implementation can read it");
    assert_eq!(answer.metadata.id, message.metadata.id);
    assert_eq!(answer.queries, message.queries);
    Some(answer)
}

fn ask(probes: Probes, name: &str, kind: RecordType) -> DnsResponse {
    send(&mut responder(probes), &question(name, kind), Transport::Udp).expect("an answer")
}

fn addresses(answer: &DnsResponse) -> Vec<IpAddr> {
    let address = |data: &RData| {
        if let RData::A(v4) = data {
            IpAddr::V4(v4.0)
        } else if let RData::AAAA(v6) = data {
            IpAddr::V6(v6.0)
        } else {
            panic!("{data:?}")
        }
    };
    answer.answers.iter().map(|record| address(&record.data)).collect()
}

/// "No", with the start of authority by which it may be remembered.
fn assert_absent(answer: &DnsResponse, code: ResponseCode, what: &str) {
    assert_eq!(answer.metadata.response_code, code, "{what}");
    assert!(answer.answers.is_empty(), "{what}");
    let [soa] = answer.authorities.as_slice() else { panic!("{what}: {answer:?}") };
    assert!(matches!(&soa.data, RData::SOA(soa) if soa.minimum == 60), "{what}");
    assert!(soa.name.is_root() && soa.ttl == 60);
}

#[test]
fn the_names_of_the_box_are_its_addresses_by_authority() {
    for name in ["bulle.internal.", "bulle.local.", "BULLE.internal."] {
        let answer = ask(Probes::Offline, name, RecordType::A);
        assert_eq!(addresses(&answer), [ip("10.77.0.1")], "{name}");
        let flags = answer.metadata;
        assert!(
            flags.authoritative && flags.recursion_available && flags.recursion_desired && !flags.truncation
        );
        assert_eq!(addresses(&ask(Probes::Offline, name, RecordType::AAAA)), [ip("fd00:77::1")]);
    }
}

#[test]
fn the_addresses_of_the_box_have_its_name() {
    let v6 = format!("1.{}7.7.0.0.0.0.d.f.ip6.arpa.", "0.".repeat(23));
    for name in ["1.0.77.10.in-addr.arpa.", v6.as_str()] {
        let answer = ask(Probes::Offline, name, RecordType::PTR);
        let [record] = answer.answers.as_slice() else { panic!("{name}: {answer:?}") };
        assert!(matches!(&record.data, RData::PTR(name) if name.0.to_string() == "bulle.internal."));
        assert_absent(&ask(Probes::Offline, name, RecordType::A), ResponseCode::NoError, name);
    }
    assert_absent(
        &ask(Probes::Offline, "2.0.77.10.in-addr.arpa.", RecordType::PTR),
        ResponseCode::NXDomain,
        "another address",
    );
}

#[test]
fn a_name_that_exists_has_nothing_of_other_types() {
    for kind in [RecordType::HTTPS, RecordType::SVCB, RecordType::MX, RecordType::TXT, RecordType::NS] {
        assert_absent(&ask(Probes::Offline, "bulle.internal.", kind), ResponseCode::NoError, "a type");
    }
}

#[test]
fn everything_else_does_not_exist() {
    for name in [
        "example.org.",
        "www.google.com.",
        "a.bulle.internal.",
        "xbulle.internal.",
        // What browsers ask to find out whether they should resolve elsewhere: "no" is what stops them.
        "use-application-dns.net.",
        "mask.icloud.com.",
        "mask-h2.icloud.com.",
        "ipv4only.arpa.",
        "wpad.",
        "_dns-sd._udp.example.org.",
    ] {
        for kind in [RecordType::A, RecordType::AAAA, RecordType::HTTPS] {
            assert_absent(&ask(Probes::Portal, name, kind), ResponseCode::NXDomain, name);
        }
    }
}

/// RFC 8020: "When a server denies a name, everything below it is denied, too."
#[test]
fn what_lies_above_a_name_is_not_denied() {
    for name in ["internal.", "local.", "arpa.", "in-addr.arpa.", "10.in-addr.arpa.", "com.", "apple.com."] {
        assert_absent(&ask(Probes::Online, name, RecordType::A), ResponseCode::NoError, name);
    }
    assert_absent(&ask(Probes::Offline, "apple.com.", RecordType::A), ResponseCode::NXDomain, "apple.com");
    assert_absent(&ask(Probes::Offline, ".", RecordType::NS), ResponseCode::NoError, "the root");
    let root = ask(Probes::Offline, ".", RecordType::SOA);
    assert!(matches!(root.answers.as_slice(), [soa] if soa.record_type() == RecordType::SOA));
}

/// RFC 9462 section 4: a resolver without designated ones "SHOULD return NODATA" for these names.
#[test]
fn there_is_no_encrypted_resolver_to_go_to() {
    for name in ["_dns.resolver.arpa.", "resolver.arpa."] {
        assert_absent(&ask(Probes::Online, name, RecordType::SVCB), ResponseCode::NoError, name);
    }
}

#[test]
fn the_names_of_probes_lead_here_as_the_operator_wants() {
    let (apple, windows) = ("captive.apple.com.", "dns.msftncsi.com.");
    for probes in [Probes::Online, Probes::Portal] {
        let answer = ask(probes, apple, RecordType::A);
        assert_eq!(addresses(&answer), [ip("10.77.0.1")]);
        assert!(answer.answers.iter().all(|record| record.ttl == 10));
        assert_eq!(addresses(&ask(probes, windows, RecordType::A)), [ip("131.107.255.255")]);
        assert_eq!(addresses(&ask(probes, windows, RecordType::AAAA)), [ip("fd3e:4f5a:5b81::1")]);
        assert_absent(&ask(probes, apple, RecordType::HTTPS), ResponseCode::NoError, apple);
    }
    assert_eq!(addresses(&ask(Probes::Online, apple, RecordType::AAAA)), [ip("fd00:77::1")]);
    // A device is let go by one address, so it gets one to ask from.
    assert_absent(&ask(Probes::Portal, apple, RecordType::AAAA), ResponseCode::NoError, apple);
    for name in [apple, windows] {
        assert_absent(&ask(Probes::Offline, name, RecordType::A), ResponseCode::NXDomain, name);
    }
}

#[test]
fn everything_at_once_other_classes_and_transfers_are_refused() {
    for kind in [RecordType::ANY, RecordType::AXFR, RecordType::IXFR] {
        let answer = ask(Probes::Offline, "bulle.internal.", kind);
        assert_eq!((answer.metadata.response_code, answer.answers.len()), (ResponseCode::Refused, 0));
    }
    let mut chaos = question("version.bind.", RecordType::TXT);
    if let Some(query) = chaos.queries.first_mut() {
        query.set_query_class(DNSClass::CH);
    }
    let answer = send(&mut responder(Probes::Offline), &chaos, Transport::Udp).expect("an answer");
    assert_eq!(answer.metadata.response_code, ResponseCode::Refused);
}

#[test]
fn only_devices_of_the_bubble_are_answered() {
    let mut responder = responder(Probes::Online);
    let bytes = question("bulle.internal.", RecordType::A).to_vec().expect("a packet");
    for (from, welcome) in [
        ("10.77.0.200", true),
        ("::ffff:10.77.0.200", true),
        ("fd00:77::abcd", true),
        ("127.0.0.1", true),
        ("::1", true),
        ("10.77.1.1", false),
        ("192.0.2.1", false),
        ("fd00:78::1", false),
        ("fe80::1", true),
    ] {
        assert_eq!(
            responder.handle_query(&bytes, ip(from), Transport::Udp, NOW).is_some(),
            welcome,
            "{from}"
        );
    }
    assert_eq!(responder.counters(), Counters { found: 6, dropped: 3, ..Counters::default() });
}

#[test]
fn options_are_answered_with_options() {
    let mut message = question("bulle.internal.", RecordType::A);
    let mut edns = Edns::new();
    edns.set_max_payload(4096).set_dnssec_ok(true).set_version(0);
    message.edns = Some(edns);
    let answer = send(&mut responder(Probes::Offline), &message, Transport::Udp).expect("an answer");
    let options = answer.edns.as_ref().expect("options");
    assert_eq!((options.max_payload(), options.version()), (1232, 0));
    // RFC 6891 section 6.1.3: an unknown version is answered with BADVERS.
    message.edns.as_mut().expect("set").set_version(1);
    let answer = send(&mut responder(Probes::Offline), &message, Transport::Udp).expect("an answer");
    // The codec calls 16 by its other name, BADSIG.
    assert_eq!(u16::from(answer.metadata.response_code), 16);
    assert_eq!(answer.edns.as_ref().map(Edns::version), Some(0));
}

#[test]
fn what_does_not_fit_is_cut_and_given_over_tcp() {
    let many: Vec<IpAddr> = (1..=40).map(|i| IpAddr::from([10, 77, 0, i])).collect();
    let zone =
        Zone::new(DnsName::parse("bulle.internal").into_iter().collect(), many.clone(), Probes::Offline);
    let mut responder = Responder::new(zone, vec![Prefix::usual(ip("10.77.0.1"))], NOW);
    let mut message = question("bulle.internal.", RecordType::A);
    let cut = send(&mut responder, &message, Transport::Udp).expect("an answer");
    assert!(cut.metadata.truncation && cut.answers.is_empty());
    let whole = send(&mut responder, &message, Transport::Tcp).expect("an answer");
    assert!(!whole.metadata.truncation);
    assert_eq!(addresses(&whole), many);
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    message.edns = Some(edns);
    assert_eq!(addresses(&send(&mut responder, &message, Transport::Udp).expect("an answer")), many);
}

#[test]
fn what_is_no_question_is_refused_or_dropped() {
    let good = question("bulle.internal.", RecordType::A).to_vec().expect("a packet");
    let answered = |bytes: &[u8]| {
        let answer = responder(Probes::Online).handle_query(bytes, ip("10.77.0.9"), Transport::Udp, NOW)?;
        Some(DnsResponse::from_buffer(answer).expect("readable").metadata.response_code)
    };
    let changed = |at: usize, to: u8| {
        let mut bytes = good.clone();
        bytes[at] = to;
        bytes
    };
    for length in 0..12 {
        assert_eq!(answered(&good[..length]), None, "{length}");
    }
    assert_eq!(answered(&changed(2, 0x81)), None, "an answer is not answered");
    assert_eq!(answered(&changed(2, 0x29)), Some(ResponseCode::NotImp), "an update");
    for length in 12..good.len() {
        assert_eq!(answered(&good[..length]), Some(ResponseCode::FormErr), "{length}");
    }
    let long = [good.as_slice(), &[0]].concat();
    for (bytes, what) in [
        (changed(5, 0), "no question"),
        (changed(5, 2), "two questions"),
        (changed(7, 1), "an answer along with it"),
        (changed(11, 4), "too many records"),
        (changed(12, 0xc0), "a pointer"),
        (changed(12, 64), "a label that is too long"),
        (long, "bytes behind it"),
        (vec![0; LARGEST_QUERY + 1], "too long"),
    ] {
        assert_eq!(answered(&bytes), Some(ResponseCode::FormErr), "{what}");
    }
}

#[test]
fn a_name_that_no_host_can_have_does_not_exist() {
    let mut bytes = question("bulle.internal.", RecordType::A).to_vec().expect("a packet");
    bytes[13] = b'.';
    let answer = responder(Probes::Online).handle_query(&bytes, ip("10.77.0.9"), Transport::Udp, NOW);
    let answer = answer.expect("an answer");
    assert_eq!(answer[3] & 0x0f, 3);
    assert_eq!(answer[12..30], bytes[12..30], "the question as it was asked");
}

#[test]
fn a_device_that_asks_too_much_is_not_answered_and_the_others_are() {
    let mut responder = responder(Probes::Offline);
    let bytes = question("bulle.internal.", RecordType::A).to_vec().expect("a packet");
    let mut ask = |from: &str, now| responder.handle_query(&bytes, ip(from), Transport::Udp, now).is_some();
    let answered = (0..1000).filter(|_| ask("10.77.0.9", NOW)).count();
    assert_eq!(answered, 400);
    assert!(ask("10.77.0.10", NOW));
    let second = NOW + Duration::from_secs(1);
    assert_eq!((0..1000).filter(|_| ask("10.77.0.9", second)).count(), 100);
}

#[test]
fn the_table_of_devices_stays_small_and_forgets_the_quiet_ones() {
    let mut responder = responder(Probes::Offline);
    let bytes = question("bulle.internal.", RecordType::A).to_vec().expect("a packet");
    for i in 0..5000_u128 {
        let from = IpAddr::from((0xfd00_0077_u128 << 96 | i).to_be_bytes());
        assert!(responder.handle_query(&bytes, from, Transport::Udp, NOW).is_some());
        assert!(responder.sources.len() <= MOST_SOURCES);
    }
    responder.handle_query(&bytes, ip("fd00:77::ffff:1"), Transport::Udp, NOW + Duration::from_secs(60));
    assert_eq!(responder.sources.len(), 1);
    assert_eq!(format!("{responder:?}"), format!("Responder {{ counters: {:?}, .. }}", responder.counters()));
}

#[test]
fn other_settings_hold_from_the_next_question_on() {
    let mut responder = responder(Probes::Offline);
    let names = DnsName::parse("salon.internal").into_iter().collect();
    responder.handle_settings(
        Zone::new(names, vec![ip("10.9.0.1")], Probes::Offline),
        vec![Prefix::usual(ip("10.9.0.1"))],
    );
    let bytes = question("salon.internal.", RecordType::A).to_vec().expect("a packet");
    assert!(responder.handle_query(&bytes, ip("10.77.0.9"), Transport::Udp, NOW).is_none());
    let answer = responder.handle_query(&bytes, ip("10.9.0.9"), Transport::Udp, NOW).expect("an answer");
    assert_eq!(addresses(&DnsResponse::from_buffer(answer).expect("readable")), [ip("10.9.0.1")]);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_talk_too_much(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        fuzz(&bytes);
    }

    #[test]
    fn no_damage_to_a_question_does_either(at in 0_usize..44, to: u8, cut in 0_usize..44) {
        let mut message = question("captive.apple.com.", RecordType::A);
        message.edns = Some(Edns::new());
        let mut bytes = message.to_vec().expect("a packet");
        if let Some(byte) = bytes.get_mut(at) {
            *byte = to;
        }
        fuzz(&bytes);
        fuzz(bytes.get(..cut).unwrap_or(&bytes));
    }

    #[test]
    fn every_name_gets_an_answer_that_others_can_read(
        name in "([a-z0-9]{1,63}\\.){1,3}",
        kind in prop_oneof![Just(1_u16), Just(28), Just(12), Just(65), Just(255), any::<u16>()],
    ) {
        let message = question(&name, RecordType::from(kind));
        if let Some(answer) = send(&mut responder(Probes::Online), &message, Transport::Udp) {
            prop_assert!(answer.answers.is_empty() || name.contains("bulle") || name.contains("arpa"));
        }
    }
}
