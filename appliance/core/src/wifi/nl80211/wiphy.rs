//! Radios: the kernel tells of each in a dozen messages, which are put together here.

use super::message::{Attributes, Value};
use super::{Frame, reply};
use crate::wifi::facts::{
    BandFacts, Channel, Combination, Limit, MOST_CHANNELS, MOST_COMBINATIONS, MOST_RADIOS, RadioFacts,
    RadioId,
};

/// The cipher suites of IEEE 802.11, 9.4.2.24.2: CCMP-128 and BIP-CMAC-128.
const CCMP: u32 = 0x000f_ac04;
const BIP: u32 = 0x000f_ac06;
/// The kinds of interfaces that matter here.
const STATION: u16 = 2;
const ACCESS_POINT: u16 = 3;
/// The bit of `NL80211_EXT_FEATURE_SAE_OFFLOAD_AP`.
const SAE_OFFLOAD_AP: usize = 51;
/// The bit of 802.11n's capabilities that says 40 MHz (IEEE 802.11, 9.4.2.55.2).
const HT_40MHZ: u16 = 1 << 1;

/// Collects the answers to [`Request::Wiphys`](super::Request::Wiphys).
#[derive(Clone, Debug, Default)]
pub struct Wiphys {
    radios: Vec<RadioFacts>,
}

impl Wiphys {
    /// One more message. Of more than [`MOST_RADIOS`] radios, the first are kept.
    pub fn handle(&mut self, frame: &Frame<'_>) {
        let attributes = frame.attributes();
        let Some(phy) = attributes.get(1).and_then(Value::u32) else { return };
        let Some(radio) = self.radio(phy) else { return };
        for (kind, value) in attributes {
            match kind {
                22 => bands(radio, value.nested()),
                32 => radio.access_point |= value.nested().has(ACCESS_POINT),
                57 => ciphers(radio, value.bytes()),
                120 => combinations(radio, value.nested()),
                // Present means yes, whatever flags it carries.
                141 => radio.own_sme = true,
                202 => radio.stations = value.u16(),
                216 => radio.self_managed = true,
                217 => radio.sae_offload |= bit(value.bytes(), SAE_OFFLOAD_AP),
                _ => {}
            }
        }
    }

    /// The radios in the order in which the kernel named them, each with what its messages said. What the
    /// kernel tells elsewhere (driver, interface, domain, switches) is left for the caller.
    #[must_use]
    pub fn finish(self) -> Vec<RadioFacts> {
        self.radios
    }

    fn radio(&mut self, phy: u32) -> Option<&mut RadioFacts> {
        if let Some(at) = self.radios.iter().position(|radio| radio.phy == phy) {
            return self.radios.get_mut(at);
        }
        if self.radios.len() >= MOST_RADIOS {
            return None;
        }
        self.radios.push(empty(phy));
        self.radios.last_mut()
    }
}

fn empty(phy: u32) -> RadioFacts {
    RadioFacts {
        phy,
        id: RadioId { driver: String::new(), device: String::new() },
        interface: None,
        access_point: false,
        combinations: Vec::new(),
        band2: None,
        band5: None,
        ccmp: false,
        bip: false,
        own_sme: false,
        sae_offload: false,
        stations: None,
        self_managed: false,
        country: None,
        soft_blocked: false,
        hard_blocked: false,
    }
}

fn bit(bytes: &[u8], bit: usize) -> bool {
    bytes.get(bit / 8).is_some_and(|byte| byte & (1 << (bit % 8)) != 0)
}

fn ciphers(radio: &mut RadioFacts, bytes: &[u8]) {
    for suite in bytes.as_chunks().0 {
        match u32::from_ne_bytes(*suite) {
            CCMP => radio.ccmp = true,
            BIP => radio.bip = true,
            _ => {}
        }
    }
}

fn bands(radio: &mut RadioFacts, bands: Attributes<'_>) {
    for (kind, value) in bands {
        let band = match kind {
            0 => radio.band2.get_or_insert_default(),
            1 => radio.band5.get_or_insert_default(),
            _ => continue,
        };
        for (kind, value) in value.nested() {
            match kind {
                1 => channels(band, value.nested()),
                4 => {
                    band.ht = true;
                    band.ht40 = value.u16().is_some_and(|bits| bits & HT_40MHZ != 0);
                }
                8 => band.vht = true,
                9 => band.he |= he(value.nested()),
                _ => {}
            }
        }
    }
}

/// 802.11ax counts when it is there for access points.
fn he(kinds: Attributes<'_>) -> bool {
    kinds.into_iter().any(|(_, value)| {
        let kind = value.nested();
        kind.has(3) && kind.get(1).is_some_and(|types| types.nested().has(ACCESS_POINT))
    })
}

/// A band's channels come in several messages, each once.
fn channels(band: &mut BandFacts, list: Attributes<'_>) {
    for (_, value) in list {
        let channel = value.nested();
        let Some(frequency) = channel.get(1).and_then(Value::u32).and_then(|mhz| u16::try_from(mhz).ok())
        else {
            continue;
        };
        let full = band.channels.len() >= MOST_CHANNELS;
        if full || band.channels.iter().any(|other| other.frequency == frequency) {
            continue;
        }
        band.channels.push(Channel {
            frequency,
            // A channel that may not be used 20 MHz wide is none for us.
            disabled: channel.has(2) || channel.has(16),
            no_ir: channel.has(3) || channel.has(4),
            radar: channel.has(5),
            indoor: channel.has(14),
            no_ht40_minus: channel.has(9),
            no_ht40_plus: channel.has(10),
            no_80mhz: channel.has(11),
            power: channel.get(6).and_then(Value::u32).unwrap_or(0),
        });
    }
}

fn combinations(radio: &mut RadioFacts, list: Attributes<'_>) {
    let small = |value: Option<Value<'_>>| {
        value.and_then(Value::u32).map_or(0, |number| u16::try_from(number).unwrap_or(u16::MAX))
    };
    radio.combinations = list
        .into_iter()
        .take(MOST_COMBINATIONS)
        .map(|(_, value)| {
            let combination = value.nested();
            let limits = combination.get(1).map(Value::nested).into_iter().flatten();
            Combination {
                limits: limits
                    .take(MOST_COMBINATIONS)
                    .map(|(_, value)| {
                        let types = value.nested().get(2).map(Value::nested);
                        let has = |kind| types.is_some_and(|types| types.has(kind));
                        Limit {
                            most: small(value.nested().get(1)),
                            access_point: has(ACCESS_POINT),
                            station: has(STATION),
                        }
                    })
                    .collect(),
                most: small(combination.get(2)),
                channels: small(combination.get(4)),
            }
        })
        .collect();
}

impl RadioFacts {
    /// Adds what [`reply::carrier`] read, when the interface is this radio's first.
    pub fn add_interface(&mut self, carrier: &reply::Carrier) {
        if carrier.phy == self.phy && self.interface.is_none() {
            self.interface = Some(carrier.interface.clone());
        }
    }
}
