//! Bodies of the fuzz targets for what comes from the kernel and from hostapd.

use super::decide::{Surroundings, decide};
use super::facts::{MOST_CHANNELS, MOST_COMBINATIONS, MOST_RADIOS};
use super::hostapd::{News, complaint, message, status, version};
use super::nl80211::{Frames, Wiphys, carrier, domain, family, networks, survey};
use super::{Policy, RadioFacts, Ssid};

/// Whatever a datagram of the kernel holds, reading it ends, stays within its limits, and makes no plan to send
/// where that is not allowed.
pub fn nl80211(data: &[u8]) {
    let mut wiphys = Wiphys::default();
    let mut surveys = Vec::new();
    let Ok(ssid) = Ssid::new("Bulle") else { return };
    for frame in Frames::new(data).flatten() {
        wiphys.handle(&frame);
        survey(&frame, &mut surveys);
        let _ = (family(&frame), domain(&frame), networks(&frame, &ssid, 1000), frame.error());
        if let Some(carrier) = carrier(&frame) {
            assert!((1..=15).contains(&carrier.interface.name.len()));
        }
    }
    let radios = wiphys.finish();
    assert!(radios.len() <= MOST_RADIOS && surveys.len() <= MOST_CHANNELS);
    let around = Surroundings { surveys, ..Surroundings::default() };
    for facts in &radios {
        bounded(facts);
        if let Ok(plan) = decide(facts, &around, &Policy::default()) {
            let channel = facts.band(plan.band).and_then(|band| band.channel(plan.channel));
            assert!(channel.is_some_and(super::facts::Channel::free));
        }
    }
}

fn bounded(facts: &RadioFacts) {
    assert!(facts.combinations.len() <= MOST_COMBINATIONS);
    assert!(facts.combinations.iter().all(|combination| combination.limits.len() <= MOST_COMBINATIONS));
    for band in [&facts.band2, &facts.band5].into_iter().flatten() {
        assert!(band.channels.len() <= MOST_CHANNELS);
    }
}

/// Whatever hostapd says or prints, nothing of its text comes through.
pub fn hostapd(data: &[u8]) {
    let _ = (status(data), version(data), complaint(data));
    if let super::hostapd::Message::News(news) = message(data) {
        let text = format!("{news:?}");
        assert!(text.len() <= "Listening { seconds: 3600 }".len(), "{}", text.len());
        assert!(!matches!(news, News::Listening { seconds: 3601.. }));
    }
}
