//! Radios as their drivers describe them to the kernel, for tests.

use super::facts::{BandFacts, Channel, Combination, Interface, Limit, RadioFacts, RadioId};
use super::{Country, Credentials, Passphrase, Ssid};
use zeroize::Zeroizing;

/// The rules of a regulatory domain, as far as they change what a radio may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Domain {
    /// 00: 12 to 14 and all of 5 GHz only where others already send.
    World,
    /// As in the European Union: 1 to 13, 36 to 48 indoors, 52 and up with radars.
    Europe,
    /// As in the United States: 1 to 11, 36 to 48, 149 to 165.
    America,
    /// What Intel's radios make of it on their own: no access point on 5 GHz, ever.
    Intel,
}

fn channel(frequency: u16, domain: Domain) -> Channel {
    let mut channel = Channel { frequency, power: 2000, ..Channel::default() };
    match (domain, channel.number().unwrap()) {
        (Domain::World, 12..=14 | 36..=177) | (Domain::Intel, 36..=177) => channel.no_ir = true,
        (Domain::Europe, 36..=48) => channel.indoor = true,
        (Domain::America | Domain::Intel, 12..=14) | (Domain::Europe, 14 | 149..=177) => {
            channel.disabled = true;
        }
        _ => {}
    }
    if matches!(frequency, 5260..=5720) {
        channel.radar = true;
    }
    channel
}

pub(super) fn band2(domain: Domain) -> BandFacts {
    let numbers = (0..13).map(|i| 2412 + 5 * i).chain([2484]);
    BandFacts {
        channels: numbers.map(|mhz| channel(mhz, domain)).collect(),
        ht: true,
        ..BandFacts::default()
    }
}

pub(super) fn band5(domain: Domain) -> BandFacts {
    let numbers = (5180..=5320).step_by(20).chain((5500..=5720).step_by(20)).chain((5745..=5825).step_by(20));
    BandFacts {
        channels: numbers.map(|mhz| channel(mhz, domain)).collect(),
        ht: true,
        ht40: true,
        vht: true,
        he: false,
    }
}

fn softmac(driver: &str, device: &str, domain: Domain) -> RadioFacts {
    RadioFacts {
        phy: 0,
        id: RadioId { driver: driver.into(), device: device.into() },
        interface: Some(Interface { index: 3, name: "wlan0".into() }),
        access_point: true,
        combinations: vec![],
        band2: Some(band2(domain)),
        band5: Some(band5(domain)),
        ccmp: true,
        bip: true,
        own_sme: false,
        sae_offload: false,
        stations: None,
        self_managed: false,
        country: match domain {
            Domain::World | Domain::Intel => None,
            Domain::Europe => Country::new("FR"),
            Domain::America => Country::new("US"),
        },
        soft_blocked: false,
        hard_blocked: false,
    }
}

fn combination(most_ap: u16, most_station: u16, channels: u16) -> Combination {
    Combination {
        limits: vec![
            Limit { most: most_ap, access_point: true, station: false },
            Limit { most: most_station, access_point: false, station: true },
        ],
        most: most_ap + most_station,
        channels,
    }
}

/// The kernel's simulated radio.
pub(super) fn hwsim(domain: Domain) -> RadioFacts {
    let mut radio = softmac("mac80211_hwsim", "hwsim0", domain);
    for band in [&mut radio.band2, &mut radio.band5] {
        let band = band.as_mut().unwrap();
        (band.ht40, band.vht, band.he) = (true, true, true);
    }
    radio.combinations = vec![combination(2048, 2048, 1)];
    radio
}

/// The radio on the board of a Raspberry Pi 5 (and 4).
pub(super) fn cyw43455(domain: Domain) -> RadioFacts {
    let mut radio = softmac("brcmfmac", "mmc1:0001:1", domain);
    radio.own_sme = true;
    radio.combinations = vec![combination(1, 1, 1)];
    radio
}

/// The same with firmware that does SAE as an access point.
pub(super) fn cyw43455_sae(domain: Domain) -> RadioFacts {
    RadioFacts { sae_offload: true, ..cyw43455(domain) }
}

/// Intel AX200: makes its own rules.
pub(super) fn ax200() -> RadioFacts {
    let mut radio = softmac("iwlwifi", "0000:01:00.0", Domain::Intel);
    radio.self_managed = true;
    for band in [&mut radio.band2, &mut radio.band5] {
        band.as_mut().unwrap().he = true;
    }
    radio.combinations = vec![
        combination(1, 1, 1),
        // Two channels at a time only for stations.
        Combination {
            limits: vec![Limit { most: 2, access_point: false, station: true }],
            most: 2,
            channels: 2,
        },
    ];
    radio
}

/// Intel AX210: like AX200, with 6 GHz, which we do not use.
pub(super) fn ax210() -> RadioFacts {
    RadioFacts { id: RadioId { driver: "iwlwifi".into(), device: "0000:02:00.0".into() }, ..ax200() }
}

/// A USB adapter that follows the country and can do all.
pub(super) fn mt7921u(domain: Domain) -> RadioFacts {
    let mut radio = softmac("mt7921u", "2-1:1.3", domain);
    for band in [&mut radio.band2, &mut radio.band5] {
        band.as_mut().unwrap().he = true;
    }
    radio.combinations = vec![combination(1, 4, 1)];
    radio
}

/// A USB adapter whose driver knows stations only.
pub(super) fn rtl8812au() -> RadioFacts {
    let mut radio = softmac("rtl8812au", "1-1:1.0", Domain::World);
    radio.access_point = false;
    radio.bip = false;
    radio
}

/// A radio of 2.4 GHz only, with a driver that we do not know and that does everything by itself.
pub(super) fn unknown_fullmac() -> RadioFacts {
    let mut radio = softmac("somethingfmac", "1-2:1.0", Domain::World);
    radio.own_sme = true;
    radio.bip = false;
    radio.band5 = None;
    radio
}

pub(super) fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(Zeroizing::new(text.into())).unwrap()
}

pub(super) fn credentials() -> Credentials {
    Credentials::new(Ssid::new("Bulle été").unwrap(), passphrase("correct horse battery staple"))
}
