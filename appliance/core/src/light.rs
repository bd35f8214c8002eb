//! The light of a box without a screen: which one, and what it says.
//!
//! Steady: the box serves. Slowly: it starts, or waits for somebody who can reach it. Fast: something is wrong, and the
//! join card and the screen say what.
//! Not here: switching it.

use std::time::Duration;

/// Lights that are looked at.
pub const MOST_LIGHTS: usize = 64;

/// What a light says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Light {
    /// The box starts, or nobody can reach it yet.
    #[default]
    Waiting,
    /// Phones can reach it.
    Serving,
    /// Something is wrong that a person should see to.
    Wrong,
}

/// What is known, as far as it matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The box has decided what to be.
    pub decided: bool,
    /// Its Wi-Fi is on the air, or it is in the network of its cable.
    pub reachable: bool,
    /// Settings, radio, packet filter, network or disk are not as they should be.
    pub wrong: bool,
}

impl Light {
    /// What to say.
    #[must_use]
    pub const fn of(facts: Facts) -> Self {
        match facts {
            Facts { wrong: true, .. } => Self::Wrong,
            Facts { decided: true, reachable: true, .. } => Self::Serving,
            Facts { .. } => Self::Waiting,
        }
    }

    /// For how long it is on and off in turns; `None`: it stays on.
    #[must_use]
    pub const fn rhythm(self) -> Option<Duration> {
        match self {
            Self::Serving => None,
            Self::Waiting => Some(Duration::from_millis(800)),
            Self::Wrong => Some(Duration::from_millis(150)),
        }
    }
}

/// The light to use among those of these names; `None` where none is the box's own.
///
/// Boards name them plainly (`ACT`) or as `device:colour:function`. Lights of keyboards, sockets, disks and radios are
/// left to what they belong to.
#[must_use]
pub fn choose<S: AsRef<str>>(names: &[S]) -> Option<usize> {
    let rank = |name: &str| {
        let function = name.rsplit(':').next().unwrap_or_default();
        let function =
            function.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-').to_ascii_lowercase();
        let is_of_input = name.starts_with("input");
        let known = ["act", "status", "led", "activity", "heartbeat", "indicator", "pwr", "power"];
        known.iter().position(|known| *known == function).filter(|_| !is_of_input)
    };
    let ranked = names.iter().take(MOST_LIGHTS).enumerate();
    ranked
        .filter_map(|(index, name)| Some((rank(name.as_ref())?, name.as_ref(), index)))
        .min()
        .map(|(.., index)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_comes_first_and_serving_needs_somebody_who_can_come() {
        let facts = |decided, reachable, wrong| Light::of(Facts { decided, reachable, wrong });
        assert_eq!(facts(false, false, false), Light::Waiting);
        assert_eq!(facts(true, false, false), Light::Waiting);
        assert_eq!(facts(true, true, false), Light::Serving);
        assert_eq!(facts(true, true, true), Light::Wrong);
        assert_eq!(facts(false, false, true), Light::Wrong);
    }

    #[test]
    fn the_three_can_be_told_apart_by_eye() {
        let all = [Light::Waiting, Light::Serving, Light::Wrong].map(Light::rhythm);
        assert_eq!(all[1], None);
        // Five times as fast, and not so fast that it looks steady.
        assert!(all[0] > all[2].map(|fast| fast * 5));
        assert!(all[2] >= Some(Duration::from_millis(100)));
    }

    #[test]
    fn the_light_of_the_board_is_used_and_none_of_anything_else() {
        let chosen = |names: &[&str]| choose(names).map(|index| names[index].to_owned());
        assert_eq!(chosen(&["PWR", "ACT", "mmc0::"]).as_deref(), Some("ACT"), "Raspberry Pi 5");
        assert_eq!(chosen(&["led0", "default-on"]).as_deref(), Some("led0"));
        assert_eq!(chosen(&["green:power", "blue:status-1", "blue:wlan"]).as_deref(), Some("blue:status-1"));
        assert_eq!(
            chosen(&["input3::capslock", "phy0-led", "mmc0::", "enp1s0-0::lan", "sda::disk"]),
            None,
            "a PC"
        );
        assert_eq!(chosen(&["input4::power"]), None);
        assert_eq!(chosen(&[]), None);
    }
}
