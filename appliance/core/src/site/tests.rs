use super::*;
use crate::settings::examples::{keys_in, switched_on};
use crate::wifi::{BandWish, ChannelWish, Country, SecurityWish};
use proptest::prelude::*;
use std::collections::BTreeSet;

const TEMPLATE: &str = include_str!("../../../../image/fat/bulle.toml");
const MANUAL: &str = include_str!("../../../../docs/configuration.md");

fn parse(text: &str) -> Site {
    Site::parse(text.as_bytes()).expect("valid")
}

fn problem(bytes: impl AsRef<[u8]>) -> String {
    Site::parse(bytes.as_ref()).expect_err("this must be refused").to_string()
}

#[test]
fn an_empty_file_is_the_first_journey() {
    let site = parse("");
    assert_eq!(site, Site::default());
    assert_eq!(site.mode, ModeWish::Auto);
    assert!(site.wifi.isolation && site.wifi.country.is_none());
}

#[test]
fn the_template_as_delivered_changes_nothing() {
    assert_eq!(parse(TEMPLATE), Site::default());
}

#[test]
fn the_template_names_every_key_and_each_line_can_be_switched_on() {
    let text = switched_on(TEMPLATE);
    let site = parse(&text);
    assert_eq!(site.wifi.country, Country::new("FR"));
    assert!(site.tls.is_some() && site.lan.fixed.is_some());
    assert_eq!(keys_in(&text), KEYS.iter().map(|key| (key.section, key.name)).collect());
}

#[test]
fn the_manual_has_an_entry_for_every_key_and_for_no_other() {
    let documented: BTreeSet<&str> = MANUAL
        .lines()
        .filter_map(|line| line.strip_prefix("#### `").and_then(|rest| rest.strip_suffix('`')))
        .collect();
    let keys: BTreeSet<String> = KEYS.iter().map(crate::settings::Key::path).collect();
    assert_eq!(documented, keys.iter().map(String::as_str).collect());
}

#[test]
fn every_key_is_taken_over() {
    let site = parse(
        "name = \"Chez nous\"\nmode = \"lan\"\ncountry = \"fr\"\n[wifi]\nssid = \"Bulle d'été\"\nband = \"5\"\n\
         channel = 36\nsecurity = \"wpa2+wpa3\"\nisolation = false\nstations = 7\nprobes = \"portal\"\n\
         [lan]\ninterface = \"eth1\"\naddress = \"192.0.2.5/24\"\ngateway = \"192.0.2.1\"\ndns = \"192.0.2.2\"\n\
         ntp = [\"192.0.2.3\", \"fd00::1\"]\n[tls]\ncertificate = \"a.crt\"\nkey = \"a.key\"\n[log]\nlevel = \"warn\"\n",
    );
    assert_eq!(site.name.as_ref().map(Ssid::expose), Some("Chez nous"));
    assert_eq!(site.mode, ModeWish::Lan);
    assert_eq!(site.wifi.country.map(|c| c.to_string()).as_deref(), Some("FR"));
    assert_eq!(site.ssid.as_ref().map(Ssid::expose), Some("Bulle d'été"));
    assert_eq!(
        (site.wifi.band, site.wifi.channel, site.wifi.security),
        (BandWish::Band5, ChannelWish::Number(36), SecurityWish::Wpa2AndWpa3)
    );
    assert_eq!((site.wifi.isolation, site.wifi.stations), (false, Some(7)));
    assert_eq!(site.probes, Some(Probes::Portal));
    assert_eq!(site.lan.interface.as_deref(), Some("eth1"));
    let fixed = site.lan.fixed.expect("a fixed address");
    assert_eq!(
        (fixed.address.to_string(), fixed.prefix.to_string()),
        ("192.0.2.5".into(), "192.0.2.0/24".into())
    );
    assert_eq!(fixed.gateway.map(|g| g.to_string()).as_deref(), Some("192.0.2.1"));
    assert_eq!((fixed.dns.len(), site.lan.ntp.len()), (1, 2));
    assert_eq!(site.tls.map(|tls| (tls.certificate, tls.key)), Some(("a.crt".into(), "a.key".into())));
    assert_eq!(site.log_level, Some(LogLevel::Warn));
}

#[test]
fn a_wrong_value_is_told_with_line_key_expectation_and_finding() {
    assert_eq!(
        problem("\ncountry = \"France\"\n"),
        "line 2: `country`: expected the two letters of a country such as \"FR\", found the text \"France\""
    );
    assert_eq!(
        problem("[wifi]\nband = 5\n"),
        "line 2: `wifi.band`: expected one of \"auto\", \"2.4\", \"5\", found the number 5"
    );
    for wrong in [
        "name = \"\"",
        "name = \"0123456789012345678901234567890é\"",
        "mode = \"mesh\"",
        "[wifi]\nchannel = 0",
        "[wifi]\nchannel = 178",
        "[wifi]\nchannel = \"6\"",
        "[wifi]\nstations = 0",
        "[wifi]\nisolation = \"yes\"",
        "[lan]\ninterface = \"../eth0\"",
        "[lan]\ninterface = \"lo\"",
        "[lan]\ninterface = \"a234567890123456\"",
        "[lan]\naddress = \"192.0.2.5\"",
        "[lan]\naddress = \"192.0.2.0/24\"",
        "[lan]\naddress = \"127.0.0.1/8\"",
        "[lan]\naddress = \"192.0.2.5/33\"",
        "[lan]\naddress = \"192.0.2.5/+24\"",
        "[lan]\nntp = [\"0.0.0.0\"]",
        "[tls]\ncertificate = \"../x\"\nkey = \"y\"",
        "[tls]\ncertificate = \"a\\\\b\"\nkey = \"y\"",
        "[tls]\ncertificate = \".x\"\nkey = \"y\"",
    ] {
        assert!(problem(wrong).contains("expected"), "{wrong}");
    }
}

#[test]
fn values_that_need_each_other_are_told_apart() {
    assert_eq!(
        problem("[lan]\ngateway = \"192.0.2.1\""),
        "line 2: `lan.gateway`: expected `lan.address` beside it: with DHCP, `lan.gateway` comes from the router, \
         found the text \"192.0.2.1\""
    );
    assert!(
        problem("[lan]\naddress = \"192.0.2.5/24\"\ngateway = \"198.51.100.1\"")
            .starts_with("line 3: `lan.gateway`: expected an address within 192.0.2.0/24")
    );
    assert!(problem("[tls]\nkey = \"a.key\"").contains("expected `tls.certificate` beside it"));
    assert!(problem("[tls]\ncertificate = \"a\"").contains("expected `tls.key` beside it"));
}

#[test]
fn a_key_of_the_top_below_a_section_and_a_misspelt_one_are_recognised() {
    assert_eq!(
        problem("[wifi]\ncountry = \"FR\""),
        "line 2: there is no key `wifi.country`; did you mean `country`?"
    );
    assert_eq!(problem("contry = \"FR\""), "line 1: there is no key `contry`; did you mean `country`?");
    assert_eq!(problem("[wlan]\n"), "line 1: there is no key `[wlan]`; did you mean `[lan]`?");
    assert_eq!(problem("ssid = \"a\""), "line 1: there is no key `ssid`; did you mean `wifi.ssid`?");
    assert!(problem("[mode]\n").starts_with("line 1: `mode`: expected one of"));
}

#[test]
fn what_editors_do_to_a_file_is_understood_or_said_plainly() {
    assert_eq!(parse("\u{feff}country = \"FR\"\r\n[wifi]\r\n").wifi.country, Country::new("FR"));
    assert_eq!(
        problem(b"# caf\xe9\n"),
        "line 1: this file is not saved as UTF-8: it looks like é in the old Windows encoding (Windows-1252); \
         save it as UTF-8"
    );
    assert!(problem(b"\nname = \x93Bulle\x94\n").contains("line 2"));
    assert!(problem(b"\nname = \x93Bulle\x94\n").contains("a typographic quote"));
    assert!(problem(b"\x81").contains("0x81"));
    assert!(problem(b"\xff\xfen\0a\0").contains("UTF-16"));
    assert!(problem("name = \"a\"\n\0").starts_with("line 2: there is a zero byte"));
    assert_eq!(
        problem("mode = \"lan\"\nname = “Bulle”\n"),
        "line 2, column 8: not valid TOML: a word processor has put “ (U+201C) into line 2; TOML wants \" there"
    );
    assert!(problem("country = \"FR\"\rmode = \"lan\"\r").contains("Unix or Windows line ends"));
    assert!(problem([b'#'; LARGEST_FILE + 1]).contains("larger than 64 KiB"));
    assert!(Site::parse(&[b'#'; LARGEST_FILE]).is_ok());
}

#[test]
fn a_typographic_quote_in_a_comment_or_a_text_is_no_mistake() {
    assert_eq!(parse("# l’été\nname = \"L’été\"").name.as_ref().map(Ssid::expose), Some("L’été"));
    assert!(!problem("# “quoted”\nname = \n").contains("word processor"));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Site::parse(&bytes);
    }

    #[test]
    fn no_value_makes_the_reader_panic(
        key in proptest::sample::select(KEYS),
        value in r#"-?[0-9]{1,20}|"[a-z0-9 ./:\[\]-]{0,24}"|\[("[a-z:0-9.]{0,9}",){0,20}\]|true|1979-05-27|\{\}|0x[0-9a-f]{1,17}"#,
    ) {
        let section = if key.section.is_empty() { String::new() } else { format!("[{}]\n", key.section) };
        let _ = Site::parse(format!("{section}{} = {value}", key.name).as_bytes());
    }
}
