use super::examples::{keys_in, switched_on};
use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

const EXAMPLE: &str = include_str!("../../../bulle.toml");
const MANUAL: &str = include_str!("../../../../docs/configuration.md");

fn host() -> HostFacts {
    HostFacts { ipv6: true, state_dir: "/state".into() }
}

fn problem(text: &str) -> String {
    Typed::parse(text).expect_err("this must be refused").to_string()
}

#[test]
fn an_empty_file_gives_the_defaults() {
    let settings = Typed::parse("").expect("an empty file is fine").resolve(&host());
    assert_eq!(settings.https, ["[::]:8443".parse().expect("an address")]);
    assert_eq!(settings.turn.listen.first().map(SocketAddr::port), Some(3478));
}

#[test]
fn without_ipv6_the_defaults_listen_on_ipv4() {
    let settings = Typed::default().resolve(&HostFacts { ipv6: false, ..host() });
    assert_eq!(settings.redirect, ["0.0.0.0:8080".parse().expect("an address")]);
}

#[test]
fn the_example_as_delivered_changes_nothing() {
    assert_eq!(Typed::parse(EXAMPLE).expect("the example parses"), Typed::default());
}

#[test]
fn the_example_names_every_key_with_its_default_where_there_is_one() {
    let text = switched_on(EXAMPLE);
    let shown = Typed::parse(&text).expect("the example parses with every key switched on");
    let mut expected = Typed::default().resolve(&host());
    expected.state_dir = "/var/lib/bulle".into();
    expected.security_contact = Some("mailto:security@example.org".to_owned());
    expected.certificate =
        Some(CertificateFiles { certificate: "/etc/bulle/box.crt".into(), key: "/etc/bulle/box.key".into() });
    expected.turn.bandwidth = Some(10_000_000);
    let name = DnsLabel::parse("bulle").expect("a label");
    expected.mdns = Some(MdnsSettings { name, interfaces: Vec::new() });
    let claim = format!("{}:{}", "00".repeat(16), "00".repeat(32));
    expected.controller =
        ControllerSettings { claim: ClaimHash::parse(&claim), runtime: Some("/run/bulle".into()) };
    assert_eq!(shown.resolve(&host()), expected);
    assert_eq!(keys_in(&text), KEYS.iter().map(|key| (key.section, key.name)).collect());
}

#[test]
fn the_manual_has_an_entry_for_every_key_and_for_no_other() {
    let documented: BTreeSet<&str> = MANUAL
        .lines()
        .filter_map(|line| line.strip_prefix("### `").and_then(|rest| rest.strip_suffix('`')))
        .collect();
    let keys: BTreeSet<String> = KEYS.iter().map(|key| format!("{}.{}", key.section, key.name)).collect();
    assert_eq!(documented, keys.iter().map(String::as_str).collect());
}

#[test]
fn settings_written_out_read_back_the_same() {
    let odd = "[http]\nhttps = [\"10.0.0.1:1\", \"[::1]:2\"]\nredirect = []\nnames = [\"a.b\"]\n\
               security_contact = \"tel:+33\"\n[turn]\nexternal = [\"203.0.113.7\"]\nbandwidth = \"1 Gbit/s\"\n\
               [webrtc]\nlisten = [\"10.0.0.1:3479\"]\n\
               [dns]\nlisten = [\"10.77.0.1:53\", \"[fd00:77::1]:53\"]\nprefixes = \"10.77.0.0/24\"\n\
               [portal]\nprobes = \"portal\"\n[mdns]\nname = \"salon\"\ninterfaces = [\"eth0\"]\n\
               [metrics]\nlisten = \"127.0.0.1:9464\"\n[box]\nruntime = \"/run/x\"\n[limits]\nmailbox = \"1500 KiB\"\nidle = \"61 s\"\nretention = \"2 h\"\n[state]\ndir = \"/a \\\"b\\\" \\\\ c\"\n";
    for text in ["", odd] {
        let settings = Typed::parse(text).expect("valid").resolve(&host());
        let written = settings.to_string();
        let back = Typed::parse(&written).expect(&written).resolve(&host());
        assert_eq!(back, settings, "{written}");
        let always = |key: &&Key| {
            !matches!(
                (key.section, key.name),
                ("http", "security_contact" | "certificate" | "key")
                    | ("turn", "bandwidth")
                    | ("mdns" | "box", _)
            )
        };
        for key in KEYS.iter().filter(always) {
            assert!(written.contains(&format!("\n{} = ", key.name)), "{}", key.name);
        }
    }
}

#[test]
fn what_disconnects_nobody_changes_at_once_and_the_rest_waits() {
    let read = |text: &str| Typed::parse(text).expect("valid").resolve(&host());
    let before = read("[http]\nnames = [\"a.b\"]");
    let at_once = "[http]\nnames = [\"c.d\"]\nsecurity_contact = \"tel:+33\"\ncertificate = \"/a\"\nkey = \"/b\"\n\
                   [dns]\nlisten = [\"10.0.0.1:53\"]\n[portal]\nprobes = \"online\"\n[mdns]\nname = \"x\"\n";
    assert_eq!(before.changed_to(read(at_once)), (read(at_once), Vec::new()));
    let waits = "[http]\nnames = [\"c.d\"]\nhttps = \"[::]:1\"\nredirect = []\n[turn]\nlisten = []\n[webrtc]\nlisten = []\n[metrics]\nlisten = \"[::1]:9\"\n[box]\nruntime = \"/r\"\n\
                 [limits]\nsessions = 1\n[state]\ndir = \"/s\"\n[log]\nlevel = \"warn\"\n";
    let keys = [
        "http.https",
        "http.redirect",
        "[turn]",
        "webrtc.listen",
        "metrics.listen",
        "box.runtime",
        "[limits]",
        "state.dir",
        "log.level",
    ];
    assert_eq!(before.changed_to(read(waits)), (read("[http]\nnames = [\"c.d\"]"), keys.to_vec()));
}

#[test]
fn a_wrong_value_is_told_with_key_line_expectation_and_finding() {
    assert_eq!(
        problem("[http]\n\nhttps = 8443\n"),
        "line 3: `http.https`: expected an address with a port such as \"0.0.0.0:8443\" or \"[::]:8443\", \
         or a list of them, found the number 8443"
    );
    assert_eq!(
        problem("[limits]\nsessions = 0"),
        "line 2: `limits.sessions`: expected a whole number from 1 to 1000000, found the number 0"
    );
    assert_eq!(
        problem("[log]\nlevel = \"loud\""),
        "line 2: `log.level`: expected one of \"error\", \"warn\", \"info\", \"debug\", \"trace\", \
         found the text \"loud\""
    );
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    assert_eq!(
        problem("[turn]\nlisten = []\nport = \"49160-49170\""),
        "line 3: there is no key `turn.port`; did you mean `turn.ports`?"
    );
    assert_eq!(problem("[htpp]\n"), "line 1: there is no key `[htpp]`; did you mean `[http]`?");
    assert_eq!(problem("names = []"), "line 1: there is no key `names`; did you mean `http.names`?");
    assert_eq!(
        problem("[turn]\nlevel = 1"),
        "line 2: there is no key `turn.level`; did you mean `log.level`?"
    );
    assert_eq!(problem("[log]\nzzzzzzzzzzzz = 1"), "line 2: there is no key `log.zzzzzzzzzzzz`");
}

#[test]
fn a_key_in_place_of_a_section_is_refused() {
    assert_eq!(problem("log = true"), "line 1: `log`: expected a section [log], found true");
}

#[test]
fn every_problem_is_told_at_once_in_the_order_of_the_lines() {
    let text = problem("[turn]\nports = 1\n[log]\nlevel = 2\n[http]\nnames = [\"10.0.0.1\"]\n");
    let lines: Vec<&str> = text.lines().filter_map(|line| line.split(':').next()).collect();
    assert_eq!(lines, ["line 2", "line 4", "line 6"]);
}

#[test]
fn no_more_problems_are_told_than_the_limit() {
    let mut text = String::from("[http]\n");
    for i in 0..error::MOST_PROBLEMS + 5 {
        text += &format!("unknown{i} = 1\n");
    }
    assert_eq!(Typed::parse(&text).expect_err("refused").problems.len(), error::MOST_PROBLEMS);
}

#[test]
fn a_list_is_refused_beyond_its_limit() {
    let list = |n: usize| format!("[http]\nhttps = [{}]", vec!["\"[::]:1\""; n].join(","));
    assert!(Typed::parse(&list(reader::LONGEST_LIST)).is_ok());
    assert!(problem(&list(reader::LONGEST_LIST + 1)).starts_with("line 2: `http.https`"));
}

#[test]
fn a_security_contact_is_an_address_and_cannot_carry_a_second_line() {
    assert!(Typed::parse("[http]\nsecurity_contact = \"tel:+33-1\"").is_ok());
    for wrong in ["security@example.org", "mailto:", "mailto:a b", "mailto:a\\nExpires: 1"] {
        let text = format!("[http]\nsecurity_contact = \"{wrong}\"");
        assert!(problem(&text).starts_with("line 2: `http.security_contact`"), "{wrong}");
    }
}

#[test]
fn a_key_that_needs_another_one_says_so() {
    assert_eq!(
        problem("[http]\ncertificate = \"/a\""),
        "line 2: `http.certificate` is of no use without `http.key`; add that, or take this out"
    );
    assert!(problem("[http]\nkey = \"/a\"").contains("without `http.certificate`"));
    assert!(problem("[mdns]\ninterfaces = [\"eth0\"]").contains("without `mdns.name`"));
    let claim = format!("{}:{}", "00".repeat(16), "00".repeat(32));
    assert!(problem(&format!("[box]\nclaim = \"{claim}\"")).contains("without `box.runtime`"));
}

#[test]
fn the_name_server_listens_on_addresses_of_its_own() {
    for wrong in ["0.0.0.0:53", "[::]:53"] {
        assert!(
            problem(&format!("[dns]\nlisten = [\"10.77.0.1:53\", \"{wrong}\"]")).contains("`dns.listen`")
        );
    }
    assert!(problem("[dns]\nprefixes = [\"10.77.0.1/24\"]").contains("`dns.prefixes`"));
}

#[test]
fn counts_are_told_on_this_machine_alone() {
    assert!(Typed::parse("[metrics]\nlisten = [\"127.0.0.1:9464\", \"[::1]:9464\"]").is_ok());
    for wrong in ["0.0.0.0:9464", "[::]:9464", "10.0.0.1:9464"] {
        let text = problem(&format!("[metrics]\nlisten = [\"127.0.0.1:1\", \"{wrong}\"]"));
        assert!(text.contains("`metrics.listen`: expected an address of this machine alone"), "{text}");
    }
}

#[test]
fn an_interface_is_named_as_the_kernel_can_name_it() {
    assert!(Typed::parse("[mdns]\nname = \"a\"\ninterfaces = [\"br-lan.1\"]").is_ok());
    for wrong in ["", "a b", "a/b", "..", "an-interface-name"] {
        let text = format!("[mdns]\nname = \"a\"\ninterfaces = [\"{wrong}\"]");
        assert!(problem(&text).contains("`mdns.interfaces`"), "{wrong}");
    }
}

#[test]
fn a_syntax_error_names_its_line() {
    assert!(problem("[http]\nnames = [\n").starts_with("line "), "{}", problem("[http]\nnames = [\n"));
    assert!(problem("[http\n").starts_with("line 1, column 6: not valid TOML: "));
}

#[test]
fn what_is_quoted_back_cannot_drive_a_terminal() {
    let text = problem("[log]\nlevel = \"\\u001b[31m\"\n\"\u{9b}x\" = 1");
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        let _ = Typed::parse(&text);
    }

    #[test]
    fn no_value_makes_the_reader_panic(
        key in proptest::sample::select(KEYS),
        value in r#"-?[0-9]{1,20}|"[a-z0-9 .:\[\]-]{0,24}"|\[("[a-z:0-9.]{0,9}",){0,20}\]|true|1979-05-27|\{\}|0x[0-9a-f]{1,17}"#,
    ) {
        let _ = Typed::parse(&format!("[{}]\n{} = {value}", key.section, key.name));
    }
}
