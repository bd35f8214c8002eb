//! Which of several radios, and why: the choice depends on what they can do and on their numbers, and not on the order
//! in which the kernel happens to name them.

use super::{Notice, Plan, Refusal, Security, Surroundings, decide};
use crate::wifi::{Policy, RadioFacts};
use std::cmp::Reverse;

/// Why a radio was chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Radios that the kernel knows; 0 where nobody looked at others.
    pub radios: u8,
    /// What the chosen one has over the next best.
    pub merit: Merit,
}

/// What a radio has over the next best, from the most important.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Merit {
    /// It is the only one that can be what is asked for.
    #[default]
    OnlyOne,
    /// It keeps the network safer.
    Security,
    /// It can be on the band that was asked for.
    BandWish,
    /// It carries more stations.
    Stations,
    /// It knows more bands.
    Bands,
    /// The other one is as good, and comes later.
    First,
}

/// What radios are compared by; the greatest is chosen.
type Rank = (Security, bool, u16, u8, Reverse<u32>);

/// Chooses among several radios: of those that can be an access point, the safest, then the one that can be on the
/// band that was asked for, then the one that carries most, then the one that knows most bands, then the kernel's
/// first.
///
/// # Errors
/// When none of them can be an access point: the reason of the one that came closest.
pub fn choose(radios: &[RadioFacts], around: &Surroundings, policy: &Policy) -> Result<Plan, Refusal> {
    let mut able: Vec<(Rank, Plan)> = Vec::with_capacity(radios.len());
    let mut refusal = Refusal::NoRadio;
    for facts in radios {
        match decide(facts, around, policy) {
            Ok(plan) => able.push((rank(facts, &plan), plan)),
            Err(next) if closeness(next) > closeness(refusal) => refusal = next,
            Err(_) => {}
        }
    }
    able.sort_by_key(|(rank, _)| Reverse(*rank));
    let merit = match able.as_slice() {
        [(best, _), (next, _), ..] => merit(best, next),
        _ => Merit::OnlyOne,
    };
    let (_, mut plan) = able.into_iter().next().ok_or(refusal)?;
    plan.choice = Choice { radios: u8::try_from(radios.len()).unwrap_or(u8::MAX), merit };
    Ok(plan)
}

fn rank(facts: &RadioFacts, plan: &Plan) -> Rank {
    let on_wish = !plan.notices.iter().any(|notice| matches!(notice, Notice::No5Ghz(_)));
    let bands = u8::from(facts.band2.is_some()) + u8::from(facts.band5.is_some());
    (plan.security, on_wish, plan.stations, bands, Reverse(facts.phy))
}

fn merit(best: &Rank, next: &Rank) -> Merit {
    if best.0 != next.0 {
        Merit::Security
    } else if best.1 != next.1 {
        Merit::BandWish
    } else if best.2 != next.2 {
        Merit::Stations
    } else if best.3 != next.3 {
        Merit::Bands
    } else {
        Merit::First
    }
}

/// How close a refused radio came to being an access point: the higher, the more there is for the owner to do.
const fn closeness(refusal: Refusal) -> u8 {
    match refusal {
        Refusal::NoRadio => 0,
        Refusal::NoAccessPointMode => 1,
        Refusal::NoWpa2 => 2,
        Refusal::NoChannel { .. } => 3,
        Refusal::NoWpa3(_) => 4,
        Refusal::CountryNeeded => 5,
        Refusal::SwitchedOff => 6,
    }
}
