use super::*;
use crate::claim::ClaimHash;
use crate::golden::golden;
use crate::prefix::Prefix;
use crate::settings::{HostFacts, LogLevel, Probes, Typed};
use proptest::prelude::*;

fn bubble() -> Bubble {
    Bubble {
        interface: "wlan0".to_owned(),
        range: Range::default(),
        ula: Ula([1, 2, 3, 4, 5]),
        portal_api: None,
    }
}

fn cable(serves: bool) -> Cable {
    Cable {
        interface: "eth0".to_owned(),
        fixed: None,
        client: ClientName::default(),
        ntp: Vec::new(),
        secret: address_secret(&[7; 16]),
        serves,
    }
}

/// With a cable to look after the box.
pub(crate) fn wifi() -> Plan {
    Plan { bubble: Some(bubble()), cable: Some(cable(false)), spare: Vec::new() }
}

pub(crate) fn wifi_alone() -> Plan {
    Plan { bubble: Some(bubble()), cable: None, spare: Vec::new() }
}

pub(crate) fn lan() -> Plan {
    Plan { bubble: None, cable: Some(cable(true)), spare: Vec::new() }
}

fn prefix(text: &str) -> Prefix {
    Prefix::parse(text).expect("a network")
}

fn all(plan: &Plan) -> String {
    files(plan).iter().map(|file| format!("### {}\n{}", file.name, file.contents)).collect()
}

#[test]
fn the_files_are_the_ones_that_were_agreed_upon() {
    golden("network/tests/wifi.network", &all(&wifi()));
    golden("network/tests/lan.network", &all(&lan()));
    let mut plan = lan();
    plan.bubble =
        Some(Bubble { portal_api: Some("https://box.example.org/captive-portal/api".into()), ..bubble() });
    plan.cable = Some(Cable {
        fixed: Some(Fixed {
            address: "192.0.2.5".parse().expect("an address"),
            prefix: prefix("192.0.2.0/24"),
            gateway: "192.0.2.1".parse().ok(),
            dns: vec!["192.0.2.2".parse().expect("an address")],
        }),
        ntp: vec!["192.0.2.3".parse().expect("an address")],
        ..cable(true)
    });
    golden("network/tests/fixed.network", &all(&plan));
}

#[test]
fn a_box_whose_address_was_taken_has_another_name_with_the_router_and_keeps_the_lease() {
    let named = |client| {
        let plan = Plan { cable: Some(Cable { client, ..cable(true) }), ..lan() };
        files(&plan).remove(0).contents
    };
    assert!(named(ClientName(0)).contains("[DHCPv4]\nClientIdentifier=mac\n"));
    let second = named(ClientName(2));
    assert!(second.contains("[DHCPv4]\nClientIdentifier=duid\nDUIDType=link-layer\nIAID=2\n"), "{second}");
    assert!(second.contains("SendRelease=no\n"), "{second}");
}

#[test]
fn sockets_that_are_not_used_are_on_and_have_no_address() {
    let spare = vec!["eth1".to_owned(), "eth2".to_owned()];
    let all = files(&Plan { spare, ..lan() });
    let file = all.iter().find(|file| file.name == "30-bulle-spare.network").expect("a file");
    assert!(file.contents.contains("Name=eth1 eth2\n"), "{}", file.contents);
    for line in ["DHCP=no", "IPv6AcceptRA=no", "LinkLocalAddressing=no", "LLMNR=no", "RequiredForOnline=no"] {
        assert!(file.contents.lines().any(|found| found == line), "{line}");
    }
    assert!(!file.contents.contains("Address="), "{}", file.contents);
}

#[test]
fn nothing_is_forwarded_and_no_resolver_is_believed() {
    for plan in [wifi(), wifi_alone(), lan()] {
        for file in files(&plan) {
            for line in ["IPv4Forwarding=no", "IPv6Forwarding=no", "LLMNR=no", "MulticastDNS=no"] {
                assert!(file.contents.lines().any(|found| found == line), "{line}");
            }
            assert!(!file.contents.contains("UseDNS=yes") && !file.contents.contains("IPMasquerade"));
        }
    }
}

#[test]
fn the_bubble_makes_room_for_the_network_on_the_cable() {
    assert_eq!(choose(None, &[]).router().to_string(), "10.77.0.1");
    assert_eq!(choose(None, &[prefix("192.168.1.0/24")]), Range::default());
    assert_eq!(choose(None, &[prefix("10.0.0.0/8")]).router().to_string(), "172.30.77.1");
    assert_eq!(choose(None, &[prefix("10.77.0.128/25")]).router().to_string(), "172.30.77.1");
    let all = [prefix("10.0.0.0/8"), prefix("172.16.0.0/12")];
    assert_eq!(choose(None, &all).router().to_string(), "192.168.77.1");
    let everything = [prefix("10.0.0.0/8"), prefix("172.16.0.0/12"), prefix("192.168.0.0/16")];
    assert_eq!(choose(None, &everything), Range::default());
    // Once phones have addresses, they keep them while that is possible.
    let second = choose(None, &[prefix("10.77.0.0/16")]);
    assert_eq!(choose(Some(second), &[]), second);
    assert_eq!(choose(Some(second), &[second.prefix()]), Range::default());
}

#[test]
fn the_daemon_reads_what_the_controller_writes() {
    let serve = Serve {
        state_dir: "/run/bulle/serve".into(),
        runtime: "/run/bulle/claim".into(),
        claim: ClaimHash::of("7KQ2M-9XD04", [3; 16]),
        certificate: None,
        names: Vec::new(),
        probes: Probes::Online,
        log_level: Some(LogLevel::Warn),
        decided: true,
    };
    let host = HostFacts { ipv6: true, state_dir: "/nowhere".into() };
    for (name, plan) in
        [("wifi", wifi()), ("lan", lan()), ("nothing", Plan { bubble: None, cable: None, spare: Vec::new() })]
    {
        let written = settings(&plan, &serve).resolve(&host);
        let text = written.to_string();
        let back = Typed::parse(&text).expect(&text).resolve(&host);
        assert_eq!(back, written);
        golden(&format!("network/tests/{name}.toml"), &text);
    }
}

#[test]
fn a_box_announces_itself_when_it_has_decided() {
    let serve = |decided| Serve {
        state_dir: "/run/bulle/serve".into(),
        runtime: "/run/bulle/claim".into(),
        claim: None,
        certificate: None,
        names: Vec::new(),
        probes: Probes::Online,
        log_level: None,
        decided,
    };
    assert_eq!(settings(&lan(), &serve(false)).mdns_interfaces, None);
    assert!(settings(&lan(), &serve(true)).mdns_interfaces.is_some());
}

#[test]
fn the_names_of_an_owners_certificate_are_served_as_well() {
    let serve = Serve {
        state_dir: "/run/bulle/serve".into(),
        runtime: "/run/bulle/claim".into(),
        claim: None,
        certificate: Some(("/run/bulle/certificate.pem".into(), "/run/bulle/key.pem".into())),
        names: (0..20).filter_map(|i| crate::names::DnsName::parse(&format!("box{i}.example.org"))).collect(),
        probes: Probes::Online,
        log_level: None,
        decided: true,
    };
    let host = HostFacts { ipv6: true, state_dir: "/nowhere".into() };
    let text = settings(&wifi(), &serve).resolve(&host).to_string();
    assert!(text.contains("\"bulle.internal\", \"bulle.local\", \"box0.example.org\""), "{text}");
    assert!(Typed::parse(&text).is_ok() && !text.contains("box8."), "{text}");
}

#[test]
fn addresses_on_the_cable_tell_nothing_of_the_machine_id() {
    let secret = address_secret(&[7; 16]);
    assert_ne!(*secret, [7; 16]);
    assert_ne!(secret, address_secret(&[8; 16]));
    assert!(!format!("{:?}", cable(true)).contains("secret"));
}

proptest! {
    #[test]
    fn a_range_overlaps_no_network_while_there_is_another_one(
        networks in proptest::collection::vec((any::<u32>(), 12_u8..=32), 0..4),
    ) {
        let taken: Vec<Prefix> = networks
            .into_iter()
            .filter_map(|(address, bits)| {
                // In the private blocks, where they can hurt.
                let address = match address % 3 {
                    0 => 0x0a00_0000 | address >> 8,
                    1 => 0xac10_0000 | address >> 12,
                    _ => 0xc0a8_0000 | address >> 16,
                };
                Prefix::around(Ipv4Addr::from_bits(address).into(), bits.max(16))
            })
            .collect();
        let range = choose(None, &taken);
        prop_assert!(taken.iter().all(|network| !range.overlaps(network)));
        prop_assert!(range.prefix().contains(range.router().into()));
    }
}
