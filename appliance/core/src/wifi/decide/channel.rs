//! Which band and channel: never one that the kernel marks, and without a country only what is allowed
//! everywhere.

use super::{Band5Obstacle, ChannelObstacle, Modes, Notice, Refusal, Surroundings, Survey, Width};
use crate::wifi::facts::{self, Band, BandFacts, Channel, RadioFacts};
use crate::wifi::policy::{BandWish, ChannelWish, Policy};

/// Channels of 2.4 GHz that do not overlap, and that every country allows.
const CHANNELS_2: [u8; 3] = [1, 6, 11];
/// Channels of 5 GHz without radars, in nearly every country.
const CHANNELS_5: [u8; 4] = [36, 40, 44, 48];
/// The centre of 80 MHz over all of [`CHANNELS_5`].
const CENTRE_80: u8 = 42;

/// Where the access point will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) band: Band,
    pub(super) number: u8,
    pub(super) width: Width,
    pub(super) modes: Modes,
}

pub(super) fn decide(
    facts: &RadioFacts,
    around: &Surroundings,
    policy: &Policy,
    notices: &mut Vec<Notice>,
) -> Result<Spot, Refusal> {
    country_notices(facts, policy, notices);
    let band = band(facts, policy, notices);
    if let ChannelWish::Number(asked) = policy.channel {
        match obstacle(facts, band, asked, policy) {
            None => return Ok(spot(facts, band, asked)),
            Some(obstacle) => notices.push(Notice::ChannelNotPossible { asked, obstacle }),
        }
    }
    let candidates: &[u8] = match band {
        Band::Band2 => &CHANNELS_2,
        Band::Band5 => &CHANNELS_5,
    };
    let usable = candidates.iter().copied().filter(|number| usable(facts, band, *number, policy));
    match usable.min_by_key(|number| business(around, band, *number)) {
        Some(number) => Ok(spot(facts, band, number)),
        None if facts.self_managed => Err(Refusal::NoChannel { self_managed: true }),
        None if policy.country.is_none() => Err(Refusal::CountryNeeded),
        None => Err(Refusal::NoChannel { self_managed: false }),
    }
}

fn country_notices(facts: &RadioFacts, policy: &Policy, notices: &mut Vec<Notice>) {
    match policy.country {
        None => notices.push(Notice::CountryUnset),
        Some(asked) if facts.country != Some(asked) => {
            notices.push(Notice::CountryIgnored { self_managed: facts.self_managed });
        }
        Some(_) => {}
    }
}

/// 5 GHz only when asked for, or when there is nothing else.
fn band(facts: &RadioFacts, policy: &Policy, notices: &mut Vec<Notice>) -> Band {
    let first_of = |band| match band {
        Band::Band2 => CHANNELS_2.iter().any(|number| usable(facts, band, *number, policy)),
        Band::Band5 => CHANNELS_5.iter().any(|number| usable(facts, band, *number, policy)),
    };
    let asked_channel_is_in_5 = matches!(policy.channel, ChannelWish::Number(number) if number > 14);
    let wants_5 = match policy.band {
        BandWish::Band5 => true,
        BandWish::Band2 => false,
        BandWish::Auto => asked_channel_is_in_5 || !first_of(Band::Band2),
    };
    if !wants_5 {
        return Band::Band2;
    }
    if first_of(Band::Band5) {
        return Band::Band5;
    }
    if policy.band == BandWish::Band5 || asked_channel_is_in_5 {
        notices.push(Notice::No5Ghz(if facts.band5.is_none() {
            Band5Obstacle::NotThere
        } else if policy.country.is_none() {
            Band5Obstacle::CountryUnset
        } else if facts.self_managed {
            Band5Obstacle::SelfManaged
        } else {
            Band5Obstacle::NotAllowed
        }));
    }
    Band::Band2
}

fn usable(facts: &RadioFacts, band: Band, number: u8, policy: &Policy) -> bool {
    obstacle(facts, band, number, policy).is_none()
}

/// Why the access point may not be there.
fn obstacle(facts: &RadioFacts, band: Band, number: u8, policy: &Policy) -> Option<ChannelObstacle> {
    let Some(channel) = facts.band(band).and_then(|band| band.channel(number)) else {
        return Some(ChannelObstacle::NotThere);
    };
    if channel.disabled {
        Some(ChannelObstacle::Disabled)
    } else if channel.no_ir {
        Some(ChannelObstacle::NoIr)
    } else if channel.radar {
        Some(ChannelObstacle::Radar)
    } else if policy.country.is_none() && !(band == Band::Band2 && CHANNELS_2.contains(&number)) {
        Some(ChannelObstacle::CountryUnset)
    } else {
        None
    }
}

/// How busy it is around a channel; the least is chosen, and among equals the first.
fn business(around: &Surroundings, band: Band, number: u8) -> u32 {
    let weigh = |survey: &Survey| {
        // A network that is heard takes about a twentieth of the air with its beacons and its stations.
        u32::from(survey.busy.unwrap_or(0).min(1000)) + u32::from(survey.networks.min(100)) * 50
    };
    let near = |survey: &&Survey| match (facts::number(survey.frequency), band) {
        // Channels of 2.4 GHz are four numbers wide.
        (Some(other), Band::Band2) => other <= 14 && other.abs_diff(number) < 4,
        (Some(other), Band::Band5) => other == number,
        (None, _) => false,
    };
    around.surveys.iter().filter(near).map(weigh).sum()
}

fn spot(facts: &RadioFacts, band: Band, number: u8) -> Spot {
    let facts = facts.band(band).cloned().unwrap_or_default();
    let modes =
        Modes { ht: facts.ht, vht: facts.vht && facts.ht && band == Band::Band5, he: facts.he && facts.ht };
    // On 2.4 GHz there is room for three networks of 20 MHz, and for one of 40.
    let width = match band {
        Band::Band2 => Width::Mhz20,
        Band::Band5 => width_5(&facts, number, modes),
    };
    Spot { band, number, width, modes }
}

fn width_5(facts: &BandFacts, number: u8, modes: Modes) -> Width {
    if !(facts.ht40 && modes.ht) {
        return Width::Mhz20;
    }
    // Pairs are 36+40, 44+48, 149+153, ...: the lower number is 36 and a multiple of eight more.
    let above = (number % 8 == 4 && number < 149) || (number % 8 == 5 && number >= 149);
    let other = if above { number.saturating_add(4) } else { number.saturating_sub(4) };
    let allowed = |channel: &Channel| channel.free();
    let pair = facts.channel(number).zip(facts.channel(other)).is_some_and(|(first, second)| {
        let forbidden = if above { first.no_ht40_plus } else { first.no_ht40_minus };
        allowed(first) && allowed(second) && !forbidden
    });
    let four = CHANNELS_5
        .iter()
        .all(|number| facts.channel(*number).is_some_and(|channel| allowed(channel) && !channel.no_80mhz));
    match (pair, modes.vht && four && CHANNELS_5.contains(&number)) {
        (true, true) => Width::Mhz80 { centre: CENTRE_80, above },
        (true, false) if above => Width::Mhz40Above,
        (true, false) => Width::Mhz40Below,
        (false, _) => Width::Mhz20,
    }
}
