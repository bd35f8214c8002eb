//! `bulle radio`: what the radios of this machine are, and what would be done with them, for an operator.

use super::{Dirs, hostapd, radios};
use appliance_core::wifi::decide::{Surroundings, decide};
use appliance_core::wifi::facts::BandFacts;
use appliance_core::wifi::{Band, Policy, RadioFacts};
use std::io::{self, Write};

/// Writes it. Changes nothing on the machine: neither switches nor the country.
///
/// # Errors
/// When the kernel cannot be asked, or `out` cannot be written to.
pub fn show(dirs: &Dirs, policy: &Policy, out: &mut impl Write) -> io::Result<()> {
    let hostapd = hostapd::version_now(dirs);
    let all = radios::probe(dirs)?;
    match hostapd {
        Some((major, minor)) => writeln!(out, "hostapd {major}.{minor}")?,
        None => writeln!(out, "hostapd: not found at {}", dirs.hostapd.display())?,
    }
    if all.is_empty() {
        return writeln!(out, "{}", appliance_core::wifi::Refusal::NoRadio);
    }
    let around = Surroundings { hostapd, ..Surroundings::default() };
    all.iter().try_for_each(|facts| radio(facts, &around, policy, out))
}

fn radio(facts: &RadioFacts, around: &Surroundings, policy: &Policy, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\nRadio {}: driver {}, device {}", facts.phy, facts.id.driver, facts.id.device)?;
    let yes = |yes| if yes { "yes" } else { "no" };
    let interface = facts.interface.as_ref().map_or("none", |interface| interface.name.as_str());
    writeln!(out, "  interface           {interface}")?;
    writeln!(out, "  access point        {}", yes(facts.access_point))?;
    writeln!(out, "  WPA2                {}", yes(facts.ccmp))?;
    let wpa3 = match (facts.own_sme, facts.sae_offload) {
        (false, _) => "done by hostapd",
        (true, true) => "done by the driver",
        (true, false) => "no",
    };
    writeln!(out, "  WPA3                {wpa3}")?;
    writeln!(out, "  protected frames    {}", yes(facts.bip))?;
    match facts.stations {
        Some(stations) => writeln!(out, "  devices at most     {stations}")?,
        None => writeln!(out, "  devices at most     not said")?,
    }
    let country = facts.country.map_or_else(|| "the whole world".to_owned(), |country| country.to_string());
    let made = if facts.self_managed { ", made by the radio itself" } else { "" };
    writeln!(out, "  rules               {country}{made}")?;
    if facts.hard_blocked || facts.soft_blocked {
        let by = if facts.hard_blocked { "a switch of this machine" } else { "software" };
        writeln!(out, "  switched off        by {by}")?;
    }
    if facts.one_channel_only() {
        writeln!(out, "  channels at a time  one")?;
    }
    for band in [Band::Band2, Band::Band5] {
        match facts.band(band) {
            Some(facts) => writeln!(out, "  {band:<19} {}", channels(facts))?,
            None => writeln!(out, "  {band:<19} no")?,
        }
    }
    match decide(facts, around, policy) {
        Ok(plan) => {
            writeln!(out, "  as an access point  {plan}")?;
            plan.notices.iter().try_for_each(|notice| writeln!(out, "    {notice}"))
        }
        Err(refusal) => writeln!(out, "  as an access point  no: {refusal}"),
    }
}

/// The channels on which an access point may begin, and what the radio can do there.
fn channels(facts: &BandFacts) -> String {
    let free = facts.channels.iter().filter(|channel| channel.free());
    let numbers: Vec<String> = free.filter_map(|channel| Some(channel.number()?.to_string())).collect();
    let modes = [("n", facts.ht), ("ac", facts.vht), ("ax", facts.he)];
    let modes: Vec<&str> = modes.iter().filter(|(_, has)| *has).map(|(name, _)| *name).collect();
    let numbers = if numbers.is_empty() { "none".to_owned() } else { numbers.join(" ") };
    format!(
        "channels {numbers}; 802.11{}",
        if modes.is_empty() { "a/b/g".to_owned() } else { modes.join("/") }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use appliance_core::wifi::nl80211::{Frames, Wiphys};
    use appliance_core::wifi::{BandWish, Country};

    /// What a kernel 7.3 said about a simulated radio in France.
    const HWSIM: &[u8] = include_bytes!("../../../ci/fuzz/corpus/wifi_nl80211/hwsim-in-france");

    fn shown(change: impl FnOnce(&mut RadioFacts), policy: &Policy) -> String {
        let mut wiphys = Wiphys::default();
        Frames::new(HWSIM).for_each(|frame| wiphys.handle(&frame.unwrap()));
        let mut facts = wiphys.finish().remove(0);
        facts.id.driver = "mac80211_hwsim".into();
        facts.id.device = "hwsim0".into();
        facts.country = Country::new("FR");
        change(&mut facts);
        let mut out = Vec::new();
        radio(&facts, &Surroundings::default(), policy, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_real_radio_is_shown_like_this() {
        let policy = Policy { country: Country::new("FR"), band: BandWish::Band5, ..Policy::default() };
        assert_eq!(
            shown(|_| (), &policy),
            "
Radio 0: driver mac80211_hwsim, device hwsim0
  interface           none
  access point        yes
  WPA2                yes
  WPA3                done by hostapd
  protected frames    yes
  devices at most     not said
  rules               FR
  channels at a time  one
  2.4 GHz             channels 1 2 3 4 5 6 7 8 9 10 11 12 13; 802.11n/ax
  5 GHz               channels 36 40 44 48 149 153 157 161 165 169 171 172 173; 802.11n/ac/ax
  as an access point  5 GHz, channel 36 (80 MHz wide), WPA3, and WPA2 for older phones, at most 50 devices \
             at a time
"
        );
    }

    #[test]
    fn what_is_in_the_way_is_said_and_what_would_help() {
        let text = shown(
            |facts| {
                (facts.own_sme, facts.self_managed, facts.soft_blocked) = (true, true, true);
                (facts.country, facts.band5) = (None, None);
            },
            &Policy::default(),
        );
        for part in [
            "WPA3                no\n",
            "the whole world, made by the radio itself\n",
            "switched off        by software\n",
            "5 GHz               no\n",
            "    No country is set, so only what is allowed everywhere is used",
            "    WPA3 is not offered: the driver of this radio cannot do it as an access point.",
        ] {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
        let refused = shown(|facts| facts.access_point = false, &Policy::default());
        assert!(
            refused.contains("as an access point  no: The Wi-Fi radio of this box cannot be"),
            "{refused}"
        );
    }

    #[test]
    fn a_machine_without_hostapd_is_told_so() {
        let dirs = Dirs { hostapd: "/nowhere/hostapd".into(), ..Dirs::default() };
        let mut out = Vec::new();
        show(&dirs, &Policy::default(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("hostapd: not found at /nowhere/hostapd\n"), "{text}");
    }
}
