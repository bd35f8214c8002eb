use super::*;
use crate::wifi::access_point::Complaint;
use crate::wifi::decide::{Modes, Pmf, Surroundings, Width, decide};
use crate::wifi::fixtures::{self, Domain};
use crate::wifi::{BandWish, Country, Credentials, PersonKey, Plan, Policy, Security, SecurityWish};
use base::Private;

fn plan(policy: &Policy) -> Plan {
    let domain = if policy.country.is_some() { Domain::Europe } else { Domain::World };
    decide(&fixtures::hwsim(domain), &Surroundings::default(), policy).unwrap()
}

fn rendered(plan: &Plan, credentials: &Credentials) -> String {
    render(plan, credentials, "wlan7", "/run/x/control", "/run/x/keys").configuration.to_string()
}

/// The configuration of a box that nobody has configured, whole.
#[test]
fn an_unconfigured_box_is_rendered_like_this() {
    assert_eq!(
        rendered(&plan(&Policy::default()), &fixtures::credentials()),
        "\
interface=wlan7
driver=nl80211
ctrl_interface=/run/x/control
logger_syslog=0
logger_syslog_level=4
logger_stdout=0
logger_stdout_level=4
ssid2=42756c6c6520c3a974c3a9
utf8_ssid=1
hw_mode=g
channel=1
ieee80211n=1
ieee80211ax=1
wmm_enabled=1
max_num_sta=50
ap_isolate=1
ap_max_inactivity=60
skip_inactivity_poll=0
disassoc_low_ack=1
wpa_group_rekey=3600
wpa_strict_rekey=1
wpa_disable_eapol_key_retries=0
auth_algs=1
ignore_broadcast_ssid=0
eap_server=0
wpa=2
rsn_pairwise=CCMP
wpa_key_mgmt=WPA-PSK SAE
ieee80211w=1
wpa_passphrase=correct horse battery staple
sae_require_mfp=1
sae_pwe=2
sae_password=correct horse battery staple
"
    );
}

#[test]
fn five_gigahertz_with_a_country_is_rendered_like_this() {
    let policy = Policy {
        country: Country::new("FR"),
        band: BandWish::Band5,
        security: SecurityWish::Wpa3,
        isolation: false,
        ..Policy::default()
    };
    let text = rendered(&plan(&policy), &fixtures::credentials());
    for part in [
        "country_code=FR\nieee80211d=1\nieee80211h=1\nhw_mode=a\nchannel=36\nieee80211n=1\nht_capab=[HT40+]\n",
        "ieee80211ac=1\nvht_oper_chwidth=1\nvht_oper_centr_freq_seg0_idx=42\n",
        "ieee80211ax=1\nhe_oper_chwidth=1\nhe_oper_centr_freq_seg0_idx=42\n",
        "ap_isolate=0\n",
        "wpa_key_mgmt=SAE\nieee80211w=2\nsae_require_mfp=1\n",
    ] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    assert!(!text.contains("wpa_passphrase"), "{text}");
}

#[test]
fn the_board_of_a_pi_gets_wpa2_without_what_its_firmware_stumbles_over() {
    let plan =
        decide(&fixtures::cyw43455(Domain::World), &Surroundings::default(), &Policy::default()).unwrap();
    let text = rendered(&plan, &fixtures::credentials());
    assert!(text.contains("wpa_key_mgmt=WPA-PSK\nieee80211w=0\n"), "{text}");
    assert!(text.contains("max_num_sta=8\n") && text.contains("ap_max_inactivity=180\n"), "{text}");
    assert!(!text.contains("sae_"), "{text}");
}

#[test]
fn every_width_has_its_lines() {
    let mut plan = plan(&Policy { country: Country::new("FR"), band: BandWish::Band5, ..Policy::default() });
    plan.modes = Modes { ht: true, vht: true, he: false };
    let mut lines = |width| {
        plan.width = width;
        let text = rendered(&plan, &fixtures::credentials());
        let wanted = |line: &&str| line.starts_with("ht_capab") || line.starts_with("vht");
        text.lines().filter(wanted).map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(lines(Width::Mhz20), "vht_oper_chwidth=0");
    assert_eq!(lines(Width::Mhz40Above), "ht_capab=[HT40+] vht_oper_chwidth=0");
    assert_eq!(lines(Width::Mhz40Below), "ht_capab=[HT40-] vht_oper_chwidth=0");
    assert_eq!(
        lines(Width::Mhz80 { centre: 42, above: false }),
        "ht_capab=[HT40-] vht_oper_chwidth=1 vht_oper_centr_freq_seg0_idx=42"
    );
}

#[test]
fn keys_per_person_stand_in_a_file_for_wpa2_and_as_identifiers_for_wpa3() {
    let person = |person, key| PersonKey { person, key: fixtures::passphrase(key) };
    let credentials = fixtures::credentials()
        .with_persons(vec![person(12, "pppppppppppppppppppp"), person(3, "qqqqqqqqqqqqqqqqqqqq")])
        .unwrap();
    let files = render(&plan(&Policy::default()), &credentials, "w", "/c", "/keys");
    assert!(files.configuration.contains("wpa_psk_file=/keys\n"));
    assert!(
        files
            .configuration
            .contains("sae_password=qqqqqqqqqqqqqqqqqqqq|id=p3\nsae_password=pppppppppppppppppppp|id=p12\n")
    );
    assert_eq!(
        files.keys.as_str(),
        "keyid=p3 00:00:00:00:00:00 qqqqqqqqqqqqqqqqqqqq\nkeyid=p12 00:00:00:00:00:00 pppppppppppppppppppp\n"
    );
    assert_eq!(format!("{files:?}"), "Files(..)");
}

#[test]
fn no_key_or_name_can_add_a_line() {
    for awkward in ["#comment=yes or no, mister", "  a key between spaces  ", "\"quoted\" and \\ escaped"] {
        let credentials = Credentials::new(
            crate::wifi::Ssid::new("a\u{2028}b #c\"").unwrap(),
            fixtures::passphrase(awkward),
        );
        let text = rendered(&plan(&Policy::default()), &credentials);
        assert!(text.contains(&format!("\nwpa_passphrase={awkward}\n")));
        assert!(text.contains("\nssid2=61e280a862"), "{text}");
        let plain = rendered(&plan(&Policy::default()), &fixtures::credentials());
        assert_eq!(text.lines().count(), plain.lines().count());
    }
}

#[test]
fn every_line_of_a_configuration_is_a_key_and_a_value() {
    for security in
        [Security::Wpa2(Pmf::Off), Security::Wpa2(Pmf::Optional), Security::Wpa2AndWpa3, Security::Wpa3]
    {
        let plan = Plan { security, ..plan(&Policy::default()) };
        let text = rendered(&plan, &fixtures::credentials());
        assert!(text.lines().all(|line| line.split_once('=').is_some_and(|(key, _)| !key.is_empty())));
        assert_eq!(text.contains("sae_password="), security.sae());
        assert_eq!(text.contains("wpa_passphrase="), security.psk());
    }
}

const MAC: &str = "02:00:00:00:01:0f";

#[test]
fn events_of_stations_carry_their_address_hidden() {
    type Made = fn(Private<crate::mac::Mac>) -> News;
    let known: [(&str, Made); 3] = [
        ("AP-STA-CONNECTED", News::Joined),
        ("AP-STA-DISCONNECTED", News::Left),
        ("AP-STA-POSSIBLE-PSK-MISMATCH", News::WrongKey),
    ];
    for (name, expected) in known {
        for rest in ["", " keyid=p3", " auth_alg=sae"] {
            let datagram = format!("<3>{name} {MAC}{rest}");
            let Message::News(news) = message(datagram.as_bytes()) else { panic!("{datagram}") };
            let text = format!("{news:?}");
            assert!(text.contains("Private(..)") && !text.contains("15"), "{text}");
            let (News::Joined(mac) | News::Left(mac) | News::WrongKey(mac)) = news else { panic!("{text}") };
            assert_eq!(news, expected(mac));
        }
        for wrong in
            ["", " ", " 02:00:00:00:01", " 02:00:00:00:01:0f:00", " 02:00:00:00:01:0g", " +2:00:00:00:01:00"]
        {
            let datagram = format!("<3>{name}{wrong}");
            assert_eq!(message(datagram.as_bytes()), Message::News(News::Other), "{datagram}");
        }
    }
}

#[test]
fn events_of_the_network_are_known() {
    for (text, news) in [
        ("<3>AP-ENABLED ", News::Enabled),
        ("<3>AP-ENABLED", News::Enabled),
        ("<3>AP-DISABLED ", News::Disabled),
        ("<3>INTERFACE-DISABLED ", News::InterfaceDisabled),
        ("<3>AP-REJECTED-MAX-STA 02:00:00:00:00:01", News::Full),
        ("<3>CTRL-EVENT-TERMINATING ", News::Ending),
        (
            "<3>DFS-CAC-START freq=5260 chan=52 sec_chan=1, width=0, seg0=0, seg1=0, cac_time=60s",
            News::Listening { seconds: 60 },
        ),
        ("<3>DFS-CAC-START cac_time=4000000000s", News::Listening { seconds: 3600 }),
        ("<3>DFS-CAC-START cac_time=-1s", News::Other),
        ("<3>DFS-CAC-START", News::Other),
        ("<3>SOMETHING-NEW", News::Other),
        ("<3>", News::Other),
    ] {
        assert_eq!(message(text.as_bytes()), Message::News(news), "{text}");
    }
    for reply in ["PONG\n", "OK\n", "FAIL\n", "", "<", "<3", "<x>AP-ENABLED"] {
        assert_eq!(message(reply.as_bytes()), Message::Reply(reply.as_bytes()), "{reply}");
    }
}

#[test]
fn the_status_tells_how_far_and_how_many() {
    let status = |text: &str| status(text.as_bytes());
    let enabled = "state=ENABLED\nphy=phy0\nfreq=2437\nnum_sta_non_erp=0\nbss[0]=wlan0\nbssid[0]=02:00:00:00:00:00\n\
                   ssid[0]=x\nnum_sta[0]=2\n";
    assert_eq!(status(enabled), Some(Status { phase: Phase::Enabled, stations: 2 }));
    for (state, phase) in [
        ("COUNTRY_UPDATE", Phase::Rising),
        ("ACS", Phase::Rising),
        ("HT_SCAN", Phase::Rising),
        ("DFS", Phase::Rising),
        ("DISABLED", Phase::Down),
        ("UNINITIALIZED", Phase::Down),
        ("NO_IR", Phase::Down),
    ] {
        assert_eq!(status(&format!("state={state}\n")), Some(Status { phase, stations: 0 }));
    }
    assert_eq!(status("FAIL\n"), None);
    assert_eq!(status("state=ENABLED\nnum_sta[0]=-1\n"), None);
    assert_eq!(status("state=ENABLED\nnum_sta[0]=70000\n"), None);
}

#[test]
fn the_version_is_read_from_what_hostapd_prints() {
    assert_eq!(version(b"hostapd v2.10\nUser space daemon for IEEE 802.11 AP management,\n"), Some((2, 10)));
    assert_eq!(version(b"hostapd v2.11-devel\n"), Some((2, 11)));
    for wrong in [&b""[..], b"hostapd", b"hostapd v2", b"hostapd v2.x", b"\xffhostapd v2.10"] {
        assert_eq!(version(wrong), None);
    }
}

#[test]
fn complaints_are_understood_and_everything_else_is_dropped() {
    for (line, expected) in [
        ("Could not set channel for kernel driver", Some(Complaint::Channel)),
        (
            "wlan0: IEEE 802.11 Configured channel (14) or frequency (2484) (secondary_channel=0) not found from the channel list of the current mode (1) IEEE 802.11g",
            Some(Complaint::Channel),
        ),
        ("Line 3: unknown configuration item 'x'", Some(Complaint::Configuration)),
        ("rfkill: WLAN hard blocked", Some(Complaint::SwitchedOff)),
        ("rfkill: Cannot open RFKILL control device", None),
        ("Could not read interface wlan0 flags: No such device", Some(Complaint::NoInterface)),
        ("nl80211: Could not configure driver mode", Some(Complaint::Driver)),
        ("wlan0: STA 02:00:00:00:01:0f IEEE 802.11: associated", None),
        ("", None),
    ] {
        assert_eq!(complaint(line.as_bytes()), expected, "{line}");
    }
}
