use super::*;
use crate::wifi::Country;
use crate::wifi::decide::{Surroundings, Survey, decide};
use crate::wifi::facts::{Channel, Interface, MOST_CHANNELS, MOST_RADIOS, RadioFacts};
use crate::wifi::{Policy, Security};

/// What a kernel 7.3 said about a simulated radio in France, byte for byte.
const HWSIM: &[u8] = include_bytes!("../../../../../ci/fuzz/corpus/wifi_nl80211/hwsim-in-france");
const FAMILY: &[u8] = include_bytes!("../../../../../ci/fuzz/corpus/wifi_nl80211/family");
const INTERFACES: &[u8] = include_bytes!("../../../../../ci/fuzz/corpus/wifi_nl80211/interfaces");
const SURVEY: &[u8] = include_bytes!("../../../../../ci/fuzz/corpus/wifi_nl80211/survey");
const DOMAIN: &[u8] = include_bytes!("../../../../../ci/fuzz/corpus/wifi_nl80211/domain");
const NETWORK: &[u8] = include_bytes!("../../../../../ci/fuzz/corpus/wifi_nl80211/network");
const NAMED: &[u8] = include_bytes!("../../../../../ci/fuzz/corpus/wifi_nl80211/network-named");

fn frames(bytes: &[u8]) -> Vec<Frame<'_>> {
    Frames::new(bytes).collect::<Result<_, _>>().unwrap()
}

fn radios(bytes: &[u8]) -> Vec<RadioFacts> {
    let mut wiphys = Wiphys::default();
    frames(bytes).iter().for_each(|frame| wiphys.handle(frame));
    wiphys.finish()
}

#[test]
fn a_real_radio_is_read_whole() {
    let all = radios(HWSIM);
    let [facts] = &all[..] else { panic!("one radio") };
    assert!(facts.access_point && facts.ccmp && facts.bip);
    assert!(!facts.own_sme && !facts.sae_offload && !facts.self_managed);
    assert_eq!(facts.stations, None);
    assert!(facts.one_channel_only());
    let band2 = facts.band2.as_ref().unwrap();
    assert!(band2.ht && band2.ht40 && !band2.vht && band2.he);
    let free = |band: &crate::wifi::facts::BandFacts| -> Vec<u8> {
        band.channels.iter().filter(|channel| channel.free()).filter_map(Channel::number).collect()
    };
    assert_eq!(free(band2), (1..=13).collect::<Vec<_>>());
    let band5 = facts.band5.as_ref().unwrap();
    assert!(band5.ht && band5.vht && band5.he);
    assert!(free(band5).starts_with(&[36, 40, 44, 48]) && !free(band5).contains(&52));
    assert!(band5.channel(52).unwrap().radar && band5.channel(36).unwrap().indoor);
    assert_eq!(band5.channel(36).unwrap().power, 2300);
    let plan = decide(facts, &Surroundings::default(), &Policy::default()).unwrap();
    assert_eq!(plan.security, Security::Wpa2AndWpa3);
}

#[test]
fn the_other_answers_of_a_real_kernel_are_read() {
    assert_eq!(family(&frames(FAMILY)[0]), Some(Family { id: 37, scan_group: Some(20) }));
    let carriers: Vec<_> = frames(INTERFACES).iter().filter_map(carrier).collect();
    assert_eq!(
        carriers,
        [Carrier {
            interface: Interface { index: 2, name: "wlan0".into() },
            phy: 0,
            access_point: true,
            frequency: Some(2437)
        }]
    );
    assert_eq!(domain(&frames(DOMAIN)[0]), Country::new("FR"));
    let mut surveys = vec![];
    frames(SURVEY).iter().for_each(|frame| survey(frame, &mut surveys));
    assert!(surveys.iter().any(|survey| survey.frequency == 2437 && survey.busy.is_some()), "{surveys:?}");
    let name = crate::wifi::Ssid::new("nobody's").unwrap();
    let heard: Vec<_> = frames(NETWORK).iter().filter_map(|frame| networks(frame, &name, u32::MAX)).collect();
    assert_eq!(heard, [Bss { frequency: 2437, named_as_ours: false }]);
    let ours = crate::wifi::Ssid::new("Bulle").unwrap();
    let heard: Vec<_> = frames(NAMED).iter().filter_map(|frame| networks(frame, &ours, 3000)).collect();
    assert_eq!(heard, [Bss { frequency: 2437, named_as_ours: true }]);
}

#[test]
fn of_a_network_that_was_heard_nothing_is_kept_but_whether_it_has_our_name() {
    let ours = crate::wifi::Ssid::new("Bulle").unwrap();
    let heard = |elements: u16, bytes: &[u8], ago: u32| {
        let bss = [number(2, 2437), number(10, ago), attribute(elements, bytes)].concat();
        let message = generic(34, &[attribute(47, &bss)]);
        networks(&frames(&message)[0], &ours, 3000).map(|bss| bss.named_as_ours)
    };
    for elements in [6, 11] {
        assert_eq!(heard(elements, b"\x01\x01\x82\x00\x05Bulle\x03\x01\x06", 100), Some(true));
        assert_eq!(heard(elements, b"\x00\x06Bulle2", 100), Some(false));
        assert_eq!(heard(elements, b"\x00\x04Bull", 100), Some(false));
        // Elements that end too early, and none at all.
        assert_eq!(heard(elements, b"\x01\x01\x82\x00\x05Bul", 100), Some(false));
        assert_eq!(heard(elements, b"", 100), Some(false));
    }
    assert_eq!(heard(6, b"\x00\x05Bulle", 3001), None, "that may have been this box, earlier");
}

#[test]
fn an_error_is_a_positive_number_and_success_is_none() {
    let reply = |code: i32| [&20_u32.to_ne_bytes()[..], &[2, 0, 0, 0], &[0; 8], &code.to_ne_bytes()].concat();
    for (code, error) in [(-19, 19), (0, 0), (i32::MIN, i32::MAX)] {
        let bytes = reply(code);
        let frame = frames(&bytes)[0];
        assert_eq!((frame.kind, frame.error()), (ERROR, error));
    }
}

#[test]
fn what_is_cut_short_is_an_error_and_never_a_guess() {
    for end in 1..16 {
        assert!(Frames::new(&HWSIM[..end]).next().unwrap().is_err(), "{end}");
    }
    let short = [&8_u32.to_ne_bytes()[..], &[0; 12]].concat();
    assert_eq!(Frames::new(&short).next().unwrap().unwrap_err(), MessageError);
    // After an error nothing more is read.
    assert_eq!(Frames::new(&short).count(), 1);
    for end in (0..HWSIM.len()).step_by(101) {
        crate::wifi::fuzzing::nl80211(&HWSIM[..end]);
    }
}

/// Messages made by hand, in the shape of the kernel's.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = (4 + value.len() as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn generic(command: u8, attributes: &[Vec<u8>]) -> Vec<u8> {
    let attributes = attributes.concat();
    let mut bytes = (20 + attributes.len() as u32).to_ne_bytes().to_vec();
    bytes.extend([37, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, command, 1, 0, 0]);
    bytes.extend(attributes);
    bytes
}

fn number(kind: u16, value: u32) -> Vec<u8> {
    attribute(kind, &value.to_ne_bytes())
}

#[test]
fn flags_of_a_full_mac_radio_are_read() {
    let mut features = [0; 8];
    features[51 / 8] |= 1 << (51 % 8);
    let bytes = generic(
        3,
        &[
            number(1, 4),
            number(141, 0),
            attribute(202, &8_u16.to_ne_bytes()),
            attribute(216, &[]),
            attribute(217, &features),
            attribute(32, &attribute(3, &[])),
            attribute(57, &[0x04, 0xac, 0x0f, 0x00, 0x06, 0xac, 0x0f, 0x00, 0x01]),
        ],
    );
    let all = radios(&bytes);
    let [facts] = &all[..] else { panic!("one radio") };
    assert_eq!((facts.phy, facts.stations), (4, Some(8)));
    assert!(facts.own_sme && facts.self_managed && facts.sae_offload && facts.access_point);
    assert!(facts.ccmp && facts.bip);
}

#[test]
fn radios_and_channels_beyond_the_limits_are_left_out() {
    let many: Vec<u8> = (0..100).flat_map(|phy| generic(3, &[number(1, phy)])).collect();
    assert_eq!(radios(&many).len(), MOST_RADIOS);
    let channels: Vec<u8> = (0..200).flat_map(|i| attribute(i, &number(1, 5000 + u32::from(i)))).collect();
    let band = attribute(22, &attribute(1, &attribute(1, &channels)));
    let all = radios(&generic(3, &[number(1, 0), band]));
    assert_eq!(all[0].band5.as_ref().unwrap().channels.len(), MOST_CHANNELS);
    let mut surveys = vec![];
    for frequency in 0..200 {
        let bytes = generic(51, &[attribute(84, &number(1, frequency))]);
        survey(&frames(&bytes)[0], &mut surveys);
    }
    assert_eq!(surveys.len(), MOST_CHANNELS);
}

#[test]
fn a_channel_is_told_in_several_messages_and_kept_once() {
    let channel = |flags: &[u16]| {
        let flags = flags.iter().flat_map(|flag| attribute(*flag, &[]));
        let channel: Vec<u8> = number(1, 2412).into_iter().chain(flags).collect();
        attribute(22, &attribute(0, &attribute(1, &attribute(0, &channel))))
    };
    let read = |flags: &[u16]| {
        let bytes =
            [generic(3, &[number(1, 0), channel(flags)]), generic(3, &[number(1, 0), channel(&[])])].concat();
        let band = radios(&bytes)[0].band2.clone().unwrap();
        assert_eq!(band.channels.len(), 1);
        band.channels[0]
    };
    assert!(read(&[]).free());
    for flag in [2, 3, 4, 5, 16] {
        assert!(!read(&[flag]).free(), "{flag}");
    }
    let flags = read(&[9, 10, 11, 14]);
    assert!(flags.no_ht40_minus && flags.no_ht40_plus && flags.no_80mhz && flags.indoor && flags.free());
}

#[test]
fn business_is_a_share_of_the_time_whatever_the_counters_say() {
    let busy = |time: u64, busy: u64| {
        let info = [number(1, 2437), attribute(4, &time.to_ne_bytes()), attribute(5, &busy.to_ne_bytes())];
        let bytes = generic(51, &[attribute(84, &info.concat())]);
        let mut surveys = vec![];
        survey(&frames(&bytes)[0], &mut surveys);
        surveys
    };
    let expected = |busy| vec![Survey { frequency: 2437, busy, networks: 0 }];
    assert_eq!(busy(100, 25), expected(Some(250)));
    assert_eq!(busy(100, 900), expected(Some(1000)));
    assert_eq!(busy(0, 5), expected(None));
    // Counters that make no sense at least do no harm.
    assert!(busy(u64::MAX, u64::MAX)[0].busy.unwrap() <= 1000);
}

#[test]
fn names_that_could_do_harm_elsewhere_are_not_taken() {
    let named = |name: &[u8]| {
        let bytes = generic(7, &[number(1, 0), number(3, 5), attribute(4, name), number(5, 3)]);
        carrier(&frames(&bytes)[0]).map(|carrier| carrier.interface.name)
    };
    assert_eq!(named(b"wlan0\0").as_deref(), Some("wlan0"));
    for wrong in
        [&b"\0"[..], b"", b"a b\0", b"a\nb\0", b"\xff\0", b"sixteen-letters!\0", b"../../etc\0", b"..\0"]
    {
        assert_eq!(named(wrong), None, "{wrong:?}");
    }
}

#[test]
fn requests_are_the_bytes_that_the_kernel_expects() {
    let bytes = Request::SetDomain { country: Country::new("FR") }.encode(37, 9);
    let frame = frames(&bytes)[0];
    assert_eq!((frame.kind, frame.sequence, frame.command), (37, 9, 27));
    assert_eq!(frame.attributes().get(33).unwrap().bytes(), b"FR\0");
    let world = Request::SetDomain { country: None }.encode(37, 9);
    assert_eq!(frames(&world)[0].attributes().get(33).unwrap().bytes(), b"00\0");

    let bytes = Request::Scan { index: 3, frequencies: &[2412, 2437] }.encode(37, 1);
    let list = frames(&bytes)[0].attributes().get(44).unwrap().nested();
    let list: Vec<_> = list.into_iter().map(|(kind, value)| (kind, value.u32())).collect();
    assert_eq!(list, [(1, Some(2412)), (2, Some(2437))]);

    let bytes = Request::NewInterface { phy: 2, name: "wlan3" }.encode(37, 1);
    let attributes = frames(&bytes)[0].attributes();
    assert_eq!(attributes.get(4).unwrap().name(15), Some("wlan3"));
    assert_eq!(attributes.get(5).unwrap().u32(), Some(2));

    assert_eq!(frames(&Request::Family.encode(37, 1))[0].kind, CONTROL);
    assert!(Request::Wiphys.is_dump() && !Request::Family.is_dump());
    assert!(frames(&Request::Wiphys.encode(37, 1))[0].attributes().has(174));

    // `struct ifinfomsg`: family, type, index, flags, and which flags are meant.
    let on = LinkChange::On.encode(5, 7);
    let words: Vec<u32> = on[16..].as_chunks().0.iter().map(|word| u32::from_ne_bytes(*word)).collect();
    assert_eq!((frames(&on)[0].kind, frames(&on)[0].sequence, &words[..]), (16, 7, &[0, 5, 1, 1][..]));
    let rename = LinkChange::Rename("wlan0").encode(5, 7);
    assert_eq!(rename[24..28], [0; 4]);
    assert_eq!(Attributes::new(&rename[32..]).get(3).unwrap().name(15), Some("wlan0"));
}
