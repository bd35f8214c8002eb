use super::*;
use crate::wifi::facts::BandFacts;
use crate::wifi::fixtures::{self, Domain};
use crate::wifi::{BandWish, ChannelWish, SecurityWish};

const FRANCE: Option<Country> = Country::new("FR");
const AMERICA: Option<Country> = Country::new("US");

fn around() -> Surroundings {
    Surroundings { hostapd: Some((2, 10)), ..Surroundings::default() }
}

fn plan(facts: &RadioFacts, policy: &Policy) -> Plan {
    decide(facts, &around(), policy).unwrap()
}

fn in_country(country: Option<Country>) -> Policy {
    Policy { country, ..Policy::default() }
}

/// Radio, domain, and what an unconfigured box does with it.
#[test]
fn without_a_word_from_the_owner_each_radio_gets_what_it_can_do_safely() {
    let both = Security::Wpa2AndWpa3;
    let bare = Security::Wpa2(Pmf::Off);
    for (facts, security, stations) in [
        (fixtures::hwsim(Domain::World), both, 50),
        (fixtures::cyw43455(Domain::World), bare, 8),
        (fixtures::cyw43455_sae(Domain::World), bare, 8),
        (fixtures::ax200(), both, 14),
        (fixtures::ax210(), both, 14),
        (fixtures::mt7921u(Domain::World), both, 15),
        (fixtures::unknown_fullmac(), bare, 8),
    ] {
        let plan = plan(&facts, &Policy::default());
        let name = &facts.id.driver;
        assert_eq!((plan.security, plan.stations), (security, stations), "{name}");
        assert_eq!((plan.band, plan.channel, plan.width), (Band::Band2, 1, Width::Mhz20), "{name}");
        assert!(plan.isolation && plan.notices.contains(&Notice::CountryUnset), "{name}");
    }
}

#[test]
fn a_radio_without_access_point_mode_is_refused() {
    assert_eq!(
        decide(&fixtures::rtl8812au(), &around(), &Policy::default()),
        Err(Refusal::NoAccessPointMode)
    );
}

#[test]
fn a_radio_that_is_switched_off_is_refused_and_a_blocked_one_is_not() {
    let mut facts = fixtures::hwsim(Domain::World);
    facts.soft_blocked = true;
    assert!(decide(&facts, &around(), &Policy::default()).is_ok());
    facts.hard_blocked = true;
    assert_eq!(decide(&facts, &around(), &Policy::default()), Err(Refusal::SwitchedOff));
}

#[test]
fn less_than_wpa2_is_refused() {
    let facts = RadioFacts { ccmp: false, ..fixtures::hwsim(Domain::World) };
    assert_eq!(decide(&facts, &around(), &Policy::default()), Err(Refusal::NoWpa2));
}

#[test]
fn who_asks_for_wpa3_only_gets_it_or_nothing() {
    let policy = Policy { security: SecurityWish::Wpa3, ..Policy::default() };
    for (facts, hostapd, expected) in [
        (fixtures::hwsim(Domain::World), Some((2, 10)), Ok(Security::Wpa3)),
        (fixtures::hwsim(Domain::World), None, Ok(Security::Wpa3)),
        (fixtures::cyw43455(Domain::World), Some((2, 11)), Err(Refusal::NoWpa3(Wpa3Obstacle::Driver))),
        (fixtures::cyw43455_sae(Domain::World), Some((2, 10)), Err(Refusal::NoWpa3(Wpa3Obstacle::Hostapd))),
        (fixtures::cyw43455_sae(Domain::World), None, Err(Refusal::NoWpa3(Wpa3Obstacle::Hostapd))),
        (fixtures::cyw43455_sae(Domain::World), Some((2, 11)), Ok(Security::Wpa3)),
        (
            fixtures::unknown_fullmac(),
            Some((2, 11)),
            Err(Refusal::NoWpa3(Wpa3Obstacle::ManagementProtection)),
        ),
    ] {
        let around = Surroundings { hostapd, ..Surroundings::default() };
        assert_eq!(decide(&facts, &around, &policy).map(|plan| plan.security), expected);
    }
}

#[test]
fn a_softmac_radio_protects_management_frames_with_wpa2_too() {
    let policy = Policy { security: SecurityWish::Wpa2, ..Policy::default() };
    assert_eq!(plan(&fixtures::hwsim(Domain::World), &policy).security, Security::Wpa2(Pmf::Optional));
    // raspberrypi/linux#3619: with ieee80211w=1 this chip keeps phones out.
    let pi = plan(&fixtures::cyw43455(Domain::World), &policy);
    assert_eq!(pi.security, Security::Wpa2(Pmf::Off));
    assert!(pi.notices.contains(&Notice::NoManagementProtection));
}

#[test]
fn five_gigahertz_comes_with_a_country_that_allows_it_and_only_when_asked_for() {
    let policy = |band, country| Policy { band, ..in_country(country) };
    let wide = Width::Mhz80 { centre: 42, above: true };
    for (facts, band, country, expected, notice) in [
        (fixtures::hwsim(Domain::Europe), BandWish::Auto, FRANCE, (Band::Band2, 1, Width::Mhz20), None),
        (fixtures::hwsim(Domain::Europe), BandWish::Band5, FRANCE, (Band::Band5, 36, wide), None),
        (fixtures::cyw43455(Domain::America), BandWish::Band5, AMERICA, (Band::Band5, 36, wide), None),
        (
            fixtures::hwsim(Domain::World),
            BandWish::Band5,
            None,
            (Band::Band2, 1, Width::Mhz20),
            Some(Band5Obstacle::CountryUnset),
        ),
        (
            fixtures::ax200(),
            BandWish::Band5,
            FRANCE,
            (Band::Band2, 1, Width::Mhz20),
            Some(Band5Obstacle::SelfManaged),
        ),
        (
            fixtures::unknown_fullmac(),
            BandWish::Band5,
            FRANCE,
            (Band::Band2, 1, Width::Mhz20),
            Some(Band5Obstacle::NotThere),
        ),
        (
            fixtures::hwsim(Domain::World),
            BandWish::Band5,
            FRANCE,
            (Band::Band2, 1, Width::Mhz20),
            Some(Band5Obstacle::NotAllowed),
        ),
    ] {
        let plan = plan(&facts, &policy(band, country));
        assert_eq!((plan.band, plan.channel, plan.width), expected, "{}", facts.id.driver);
        let said = plan.notices.iter().find(|notice| matches!(notice, Notice::No5Ghz(_)));
        assert_eq!(said.copied(), notice.map(Notice::No5Ghz), "{}", facts.id.driver);
    }
}

#[test]
fn a_radio_of_five_gigahertz_only_is_used_where_the_country_allows_it() {
    let facts = RadioFacts { band2: None, ..fixtures::hwsim(Domain::Europe) };
    assert_eq!(plan(&facts, &in_country(FRANCE)).band, Band::Band5);
    let facts = RadioFacts { band2: None, ..fixtures::hwsim(Domain::World) };
    assert_eq!(decide(&facts, &around(), &Policy::default()), Err(Refusal::CountryNeeded));
    assert_eq!(
        decide(&facts, &around(), &in_country(FRANCE)),
        Err(Refusal::NoChannel { self_managed: false })
    );
    let facts = RadioFacts { band2: None, ..fixtures::ax200() };
    assert_eq!(
        decide(&facts, &around(), &in_country(FRANCE)),
        Err(Refusal::NoChannel { self_managed: true })
    );
}

#[test]
fn a_channel_of_ones_own_is_taken_where_it_is_allowed() {
    let policy = |channel, country| Policy { channel: ChannelWish::Number(channel), ..in_country(country) };
    let world = fixtures::hwsim(Domain::World);
    let europe = fixtures::hwsim(Domain::Europe);
    for (facts, asked, country, got, obstacle) in [
        (&europe, 3, FRANCE, 3, None),
        (&europe, 13, FRANCE, 13, None),
        (&europe, 44, FRANCE, 44, None),
        (&world, 6, None, 6, None),
        (&world, 3, None, 1, Some(ChannelObstacle::CountryUnset)),
        (&world, 13, None, 1, Some(ChannelObstacle::NoIr)),
        (&europe, 14, FRANCE, 1, Some(ChannelObstacle::Disabled)),
        (&europe, 52, FRANCE, 36, Some(ChannelObstacle::Radar)),
        (&europe, 15, FRANCE, 36, Some(ChannelObstacle::NotThere)),
        (&europe, 0, FRANCE, 1, Some(ChannelObstacle::NotThere)),
        (&europe, 255, FRANCE, 36, Some(ChannelObstacle::NotThere)),
    ] {
        let plan = plan(facts, &policy(asked, country));
        assert_eq!(plan.channel, got, "{asked}");
        let expected = obstacle.map(|obstacle| Notice::ChannelNotPossible { asked, obstacle });
        let said = plan.notices.iter().find(|notice| matches!(notice, Notice::ChannelNotPossible { .. }));
        assert_eq!(said.copied(), expected, "{asked}");
    }
}

#[test]
fn the_quietest_of_the_channels_that_do_not_overlap_is_chosen() {
    let facts = fixtures::hwsim(Domain::World);
    let heard = |surveys: &[(u16, Option<u16>, u16)]| {
        let surveys = surveys.iter().map(|(frequency, busy, networks)| Survey {
            frequency: *frequency,
            busy: *busy,
            networks: *networks,
        });
        let around = Surroundings { surveys: surveys.collect(), ..Surroundings::default() };
        decide(&facts, &around, &Policy::default()).unwrap().channel
    };
    assert_eq!(heard(&[]), 1);
    assert_eq!(heard(&[(2412, None, 3), (2437, None, 1), (2462, None, 2)]), 6);
    assert_eq!(heard(&[(2412, Some(300), 0), (2437, Some(200), 0), (2462, Some(100), 0)]), 11);
    // A network on channel 3 disturbs 1 and 6.
    assert_eq!(heard(&[(2422, None, 1)]), 11);
    // One on 5 GHz disturbs nobody here, and nonsense is not counted.
    assert_eq!(heard(&[(5180, Some(1000), 9), (1, Some(60000), 60000)]), 1);
}

#[test]
fn forty_megahertz_need_a_free_neighbour_and_eighty_all_four() {
    let policy = Policy { band: BandWish::Band5, ..in_country(FRANCE) };
    let with = |change: &dyn Fn(&mut BandFacts)| {
        let mut facts = fixtures::hwsim(Domain::Europe);
        change(facts.band5.as_mut().unwrap());
        let plan = plan(&facts, &policy);
        (plan.channel, plan.width)
    };
    let at = |band: &mut BandFacts, number| -> usize {
        band.channels.iter().position(|channel| channel.number() == Some(number)).unwrap()
    };
    let set = |number, change: &'static dyn Fn(&mut Channel)| {
        move |band: &mut BandFacts| {
            let at = at(band, number);
            change(&mut band.channels[at]);
        }
    };
    assert_eq!(with(&|band| band.vht = false), (36, Width::Mhz40Above));
    assert_eq!(with(&|band| band.ht40 = false), (36, Width::Mhz20));
    assert_eq!(with(&|band| band.ht = false), (36, Width::Mhz20));
    assert_eq!(with(&set(48, &|channel| channel.no_80mhz = true)), (36, Width::Mhz40Above));
    assert_eq!(with(&set(36, &|channel| channel.no_ht40_plus = true)), (36, Width::Mhz20));
    assert_eq!(with(&set(40, &|channel| channel.no_ir = true)), (36, Width::Mhz20));
    assert_eq!(with(&set(36, &|channel| channel.disabled = true)), (40, Width::Mhz20));
    assert_eq!(with(&|band| band.channels.drain(..2).for_each(drop)), (44, Width::Mhz40Above));
    assert_eq!(with(&|band| band.channels.drain(..3).for_each(drop)), (48, Width::Mhz20));
}

#[test]
fn stations_are_as_many_as_asked_for_but_no_more_than_the_radio_carries() {
    let policy = |stations| Policy { stations: Some(stations), ..Policy::default() };
    let pi = fixtures::cyw43455(Domain::World);
    assert_eq!(plan(&pi, &policy(5)).stations, 5);
    assert_eq!(plan(&pi, &policy(0)).stations, 1);
    let capped = plan(&pi, &policy(30));
    assert_eq!(capped.stations, 8);
    assert!(capped.notices.contains(&Notice::StationsCapped { asked: 30, most: 8 }));
    // What the driver says counts, unless we know better.
    let says = |most| RadioFacts { stations: Some(most), ..fixtures::unknown_fullmac() };
    assert_eq!(plan(&says(20), &Policy::default()).stations, 20);
    assert!(plan(&says(0), &Policy::default()).notices.contains(&Notice::StationsAssumed { most: 8 }));
    for (driver, most) in [("rtw88_8822bu", 31), ("rtw_8822bu", 31), ("ath9k_htc", 7), ("rtw89_8852be", 50)] {
        let mut facts = fixtures::mt7921u(Domain::World);
        facts.id.driver = driver.into();
        assert_eq!(plan(&facts, &Policy::default()).stations, most, "{driver}");
    }
    let pi_says = RadioFacts { stations: Some(32), ..fixtures::cyw43455(Domain::World) };
    assert_eq!(plan(&pi_says, &Policy::default()).stations, 8);
}

#[test]
fn a_country_that_the_radio_does_not_follow_is_said() {
    let ignored = |facts: &RadioFacts| {
        let notices = plan(facts, &in_country(FRANCE)).notices;
        [false, true].map(|self_managed| notices.contains(&Notice::CountryIgnored { self_managed }))
    };
    assert_eq!(ignored(&fixtures::hwsim(Domain::Europe)), [false, false]);
    assert_eq!(ignored(&fixtures::hwsim(Domain::World)), [true, false]);
    assert_eq!(ignored(&fixtures::ax200()), [false, true]);
}

#[test]
fn among_several_radios_the_safest_wins_then_the_roomiest() {
    let choose =
        |radios: &[RadioFacts]| choose(radios, &around(), &Policy::default()).map(|plan| plan.radio.driver);
    let pi = fixtures::cyw43455(Domain::World);
    let usb = fixtures::mt7921u(Domain::World);
    assert_eq!(choose(&[pi.clone(), usb.clone()]).as_deref(), Ok("mt7921u"));
    assert_eq!(choose(&[usb, fixtures::ax200()]).as_deref(), Ok("mt7921u"));
    assert_eq!(choose(&[fixtures::rtl8812au(), pi.clone()]).as_deref(), Ok("brcmfmac"));
    assert_eq!(choose(&[]), Err(Refusal::NoRadio));
    assert_eq!(choose(&[fixtures::rtl8812au()]), Err(Refusal::NoAccessPointMode));
    // The reason that the owner can do something about.
    let off = RadioFacts { hard_blocked: true, ..pi };
    assert_eq!(choose(&[off, fixtures::rtl8812au()]), Err(Refusal::SwitchedOff));
}

#[test]
fn the_choice_does_not_depend_on_the_order_in_which_radios_are_named_and_says_why() {
    let numbered = |facts: RadioFacts, phy: u32| RadioFacts {
        id: RadioId { device: format!("device-{phy}"), ..facts.id },
        phy,
        ..facts
    };
    let world = Domain::World;
    let with = |radios: &[RadioFacts], policy: &Policy| {
        let plan = choose(radios, &around(), policy).unwrap();
        let mut turned = radios.to_vec();
        turned.reverse();
        assert_eq!(choose(&turned, &around(), policy).unwrap(), plan);
        (plan.radio.device, plan.choice.merit, plan.choice.to_string())
    };
    let ours = |radios: &[RadioFacts]| with(radios, &Policy::default());
    let same = [2, 0, 1].map(|phy| numbered(fixtures::hwsim(world), phy));
    let text = "the first of 3 radios, others are as good";
    assert_eq!(ours(&same), ("device-0".into(), Merit::First, text.into()));
    let safer = [numbered(fixtures::cyw43455(world), 0), numbered(fixtures::mt7921u(world), 1)];
    assert_eq!(ours(&safer), ("device-1".into(), Merit::Security, "the safest of 2 radios".into()));
    let roomier = [numbered(fixtures::mt7921u(world), 0), numbered(fixtures::hwsim(world), 1)];
    assert_eq!(ours(&roomier).1, Merit::Stations);
    let narrow = RadioFacts { band5: None, ..numbered(fixtures::hwsim(Domain::Europe), 0) };
    let wide = numbered(fixtures::hwsim(Domain::Europe), 1);
    let both = [narrow, wide.clone()];
    assert_eq!(with(&both, &in_country(Country::new("FR"))).1, Merit::Bands);
    let five = Policy { band: BandWish::Band5, ..in_country(Country::new("FR")) };
    let (device, merit, _) = with(&both, &five);
    assert_eq!((device.as_str(), merit), ("device-1", Merit::BandWish));
    let deaf = RadioFacts { access_point: false, ..numbered(fixtures::hwsim(world), 0) };
    let (device, merit, _) = ours(&[deaf, wide.clone()]);
    assert_eq!((device.as_str(), merit), ("device-1", Merit::OnlyOne));
    assert_eq!(ours(&[wide]).2, "the only radio of this box");
}

#[test]
fn another_network_of_the_same_name_is_said() {
    let around = Surroundings { name_heard: true, ..around() };
    let plan = decide(&fixtures::hwsim(Domain::World), &around, &Policy::default()).unwrap();
    let said = plan.notices.iter().find(|notice| **notice == Notice::NameHeard).unwrap().to_string();
    assert!(said.contains("same name") && said.contains("`wifi.ssid`"), "{said}");
}

#[test]
fn a_plan_fits_the_radio_it_was_made_for_and_none_that_can_less() {
    let facts = fixtures::hwsim(Domain::World);
    let plan = plan(&facts, &Policy::default());
    assert!(plan.fits(&facts));
    let spoilt: [fn(&mut RadioFacts); 8] = [
        |facts| facts.id.device.push('x'),
        |facts| facts.access_point = false,
        |facts| facts.hard_blocked = true,
        |facts| facts.own_sme = true,
        |facts| facts.bip = false,
        |facts| facts.ccmp = false,
        |facts| facts.band2 = None,
        |facts| facts.band2.as_mut().unwrap().channels[0].no_ir = true,
    ];
    for (number, spoil) in spoilt.into_iter().enumerate() {
        let mut other = facts.clone();
        spoil(&mut other);
        assert!(!plan.fits(&other), "{number}");
    }
}

#[test]
fn a_radio_whose_access_point_shares_its_channel_is_known() {
    assert!(fixtures::ax200().one_channel_only());
    assert!(fixtures::cyw43455(Domain::World).one_channel_only());
    let mut facts = fixtures::ax200();
    facts.combinations[0].channels = 2;
    assert!(!facts.one_channel_only());
}

mod any {
    use super::*;
    use proptest::prelude::*;

    fn radio() -> impl Strategy<Value = RadioFacts> {
        let flags = proptest::collection::vec(any::<[bool; 6]>(), 40);
        (flags, any::<[bool; 8]>(), proptest::option::of(any::<u16>())).prop_map(|(flags, bits, stations)| {
            let mut facts = fixtures::hwsim(Domain::Europe);
            let bands = [&mut facts.band2, &mut facts.band5];
            let channels = bands.into_iter().flat_map(|band| &mut band.as_mut().unwrap().channels);
            for (channel, [disabled, no_ir, radar, plus, minus, eighty]) in channels.zip(flags) {
                (channel.disabled, channel.no_ir, channel.radar) = (disabled, no_ir, radar);
                (channel.no_ht40_plus, channel.no_ht40_minus, channel.no_80mhz) = (plus, minus, eighty);
            }
            let [ccmp, bip, own_sme, sae_offload, self_managed, no2, no5, named] = bits;
            facts.band2 = facts.band2.filter(|_| !no2);
            facts.band5 = facts.band5.filter(|_| !no5);
            facts.country = named.then_some(()).and(FRANCE);
            RadioFacts { ccmp, bip, own_sme, sae_offload, self_managed, stations, ..facts }
        })
    }

    fn policy() -> impl Strategy<Value = Policy> {
        (any::<u8>(), any::<u8>(), any::<bool>(), any::<bool>(), proptest::option::of(any::<u16>())).prop_map(
            |(wishes, channel, country, isolation, stations)| Policy {
                country: country.then_some(()).and(FRANCE),
                band: [BandWish::Auto, BandWish::Band2, BandWish::Band5][usize::from(wishes % 3)],
                channel: if channel % 3 == 0 { ChannelWish::Auto } else { ChannelWish::Number(channel) },
                security: [
                    SecurityWish::Auto,
                    SecurityWish::Wpa3,
                    SecurityWish::Wpa2AndWpa3,
                    SecurityWish::Wpa2,
                ][usize::from(wishes / 3 % 4)],
                isolation,
                stations,
            },
        )
    }

    proptest! {
        #[test]
        fn no_plan_ever_sends_where_it_may_not(facts in radio(), policy in policy(), old in any::<bool>()) {
            let hostapd = Some(if old { (2, 10) } else { (2, 11) });
            let around = Surroundings { hostapd, name_heard: old, ..Surroundings::default() };
            if let Ok(plan) = decide(&facts, &around, &policy) {
                let band = facts.band(plan.band).unwrap();
                let channel = band.channel(plan.channel).unwrap();
                prop_assert!(channel.free());
                if policy.country.is_none() {
                    prop_assert!(plan.band == Band::Band2 && [1, 6, 11].contains(&plan.channel));
                }
                let others: &[u8] = match plan.width {
                    Width::Mhz20 => &[],
                    Width::Mhz40Above => &[plan.channel + 4],
                    Width::Mhz40Below => &[plan.channel - 4],
                    Width::Mhz80 { .. } => &[36, 40, 44, 48],
                };
                for other in others {
                    prop_assert!(band.channel(*other).unwrap().free());
                }
                prop_assert!(policy.security != SecurityWish::Wpa3 || plan.security == Security::Wpa3);
                prop_assert!(!plan.security.sae() || facts.bip);
                prop_assert!(plan.stations > 0 && plan.notices.len() <= MOST_NOTICES);
            }
        }
    }
}
