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
    let around = Surroundings { hostapd, surveys: Vec::new() };
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
