//! The radios of this machine, asked of the kernel. Everything here blocks, for seconds when a driver hangs.

use super::netlink::{self, Netlink};
use super::sysfs::{self, Phy};
use super::{Dirs, PrepareError};
use appliance_core::wifi::access_point::{RadioPulse, Traffic};
use appliance_core::wifi::decide::{Surroundings, Survey};
use appliance_core::wifi::nl80211::{self, LinkChange, Request, Wiphys};
use appliance_core::wifi::{BandWish, Country, Interface, Plan, Policy, RadioFacts, Ssid, choose, decide};
use std::io;
use std::time::Duration;

/// For so long the kernel may take to load the rules of a country.
const DOMAIN_PATIENCE: Duration = Duration::from_millis(1500);
const DOMAIN_BEAT: Duration = Duration::from_millis(50);
/// For so long a scan of a few channels may take.
const SCAN_PATIENCE: Duration = Duration::from_millis(1500);
/// What was heard longer ago, in milliseconds, belongs to another scan.
const FRESH: u32 = 3000;
/// The channels that are listened to: those among which is chosen.
const FREQUENCIES_2: [u16; 3] = [2412, 2437, 2462];
const FREQUENCIES_5: [u16; 4] = [5180, 5200, 5220, 5240];

/// All radios with all facts. Where the kernel lists none it is not asked, since to answer it would load all of Wi-Fi.
pub(super) fn probe(dirs: &Dirs) -> io::Result<Vec<RadioFacts>> {
    if !sysfs::any_radio(&dirs.sys) {
        return Ok(Vec::new());
    }
    let Some(mut netlink) = Netlink::open()? else { return Ok(Vec::new()) };
    probe_with(&mut netlink, dirs)
}

fn probe_with(netlink: &mut Netlink, dirs: &Dirs) -> io::Result<Vec<RadioFacts>> {
    let mut wiphys = Wiphys::default();
    netlink.ask(Request::Wiphys, |frame| wiphys.handle(frame))?;
    let mut radios = wiphys.finish();
    let mut carriers = Vec::new();
    netlink.ask(Request::Interfaces, |frame| carriers.extend(nl80211::carrier(frame)))?;
    carriers.sort_by_key(|carrier| carrier.interface.index);
    for radio in &mut radios {
        carriers.iter().for_each(|carrier| radio.add_interface(carrier));
        radio.country = domain(netlink, radio.phy);
        if let Some(phy) = Phy::find(&dirs.sys, radio.phy) {
            radio.id = phy.id();
            (radio.soft_blocked, radio.hard_blocked) = phy.blocked();
        }
    }
    Ok(radios)
}

fn domain(netlink: &mut Netlink, phy: u32) -> Option<Country> {
    let mut country = None;
    netlink.ask(Request::Domain { phy }, |frame| country = nl80211::domain(frame)).ok()?;
    country
}

/// Switches on, names the country, listens, decides.
pub(super) fn prepare(
    dirs: &Dirs,
    policy: &Policy,
    ssid: &Ssid,
    hostapd: Option<(u16, u16)>,
) -> Result<Plan, PrepareError> {
    let Some(mut netlink) = Netlink::open()? else {
        return Ok(choose(&[], &Surroundings::default(), policy)?);
    };
    let radios = probe_with(&mut netlink, dirs)?;
    for radio in radios.iter().filter(|radio| radio.soft_blocked) {
        if let Some(phy) = Phy::find(&dirs.sys, radio.phy) {
            phy.unblock()?;
        }
    }
    set_domain(&mut netlink, policy.country, &radios)?;
    let radios = probe_with(&mut netlink, dirs)?;
    let mut around = Surroundings { hostapd, ..Surroundings::default() };
    let first = choose(&radios, &around, policy)?;
    let Some(chosen) = radios.iter().find(|radio| radio.id == first.radio) else { return Ok(first) };
    let interface = interface(&mut netlink, dirs, chosen)?;
    // Whatever can be heard on the radio that it will be; deaf is no reason to stay silent.
    if let Some(interface) = &interface {
        let heard = listen(&mut netlink, interface, policy, ssid);
        (around.surveys, around.name_heard) = heard.unwrap_or_default();
    }
    let mut plan = decide(chosen, &around, policy)?;
    plan.choice = first.choice;
    plan.interface = interface.map(|interface| interface.name);
    Ok(plan)
}

/// The radio's interface; it gets one when somebody has removed its own.
fn interface(netlink: &mut Netlink, dirs: &Dirs, radio: &RadioFacts) -> io::Result<Option<Interface>> {
    if radio.interface.is_some() {
        return Ok(radio.interface.clone());
    }
    netlink.ask(Request::NewInterface { phy: radio.phy, name: &free_name(dirs) }, |_| ())?;
    let radios = probe_with(netlink, dirs)?;
    Ok(radios.into_iter().find(|other| other.phy == radio.phy).and_then(|radio| radio.interface))
}

fn set_domain(netlink: &mut Netlink, country: Option<Country>, radios: &[RadioFacts]) -> io::Result<()> {
    let follows = radios.iter().filter(|radio| !radio.self_managed).map(|radio| radio.phy).next();
    let Some(phy) = follows else { return Ok(()) };
    if domain(netlink, phy) == country {
        return Ok(());
    }
    netlink.ask(Request::SetDomain { country }, |_| ())?;
    // The rules are loaded from a file, behind our back.
    let beats = DOMAIN_PATIENCE.as_millis() / DOMAIN_BEAT.as_millis();
    for _ in 0..beats {
        if domain(netlink, phy) == country {
            break;
        }
        std::thread::sleep(DOMAIN_BEAT);
    }
    Ok(())
}

/// Listens to the channels among which is chosen, without sending anything.
/// Gives back how busy they are, and whether another network of our name is there.
fn listen(
    netlink: &mut Netlink,
    interface: &Interface,
    policy: &Policy,
    ssid: &Ssid,
) -> io::Result<(Vec<Survey>, bool)> {
    let frequencies: &[u16] = match policy.band {
        BandWish::Auto | BandWish::Band2 => &FREQUENCIES_2,
        BandWish::Band5 => &FREQUENCIES_5,
    };
    let index = interface.index;
    netlink::change_link(index, LinkChange::On)?;
    let scans = netlink.scans()?;
    netlink.ask(Request::Scan { index, frequencies }, |_| ())?;
    scans.wait(SCAN_PATIENCE);
    let mut surveys = Vec::new();
    // Not every driver measures; networks can be counted with all.
    let _ = netlink.ask(Request::Survey { index }, |frame| nl80211::survey(frame, &mut surveys));
    surveys.retain(|survey| frequencies.contains(&survey.frequency));
    for frequency in frequencies {
        if !surveys.iter().any(|survey| survey.frequency == *frequency) {
            surveys.push(Survey { frequency: *frequency, ..Survey::default() });
        }
    }
    let mut name_heard = false;
    netlink.ask(Request::Networks { index }, |frame| {
        let Some(bss) = nl80211::networks(frame, ssid, FRESH) else { return };
        name_heard |= bss.named_as_ours;
        if let Some(survey) = surveys.iter_mut().find(|survey| survey.frequency == bss.frequency) {
            survey.networks = survey.networks.saturating_add(1);
        }
    })?;
    Ok((surveys, name_heard))
}

/// The interface of the plan's radio, which may have been away: at its place, if what is there now can do what was
/// decided. It is given the name of before, since others know it by that.
/// Any other radio needs a decision of its own.
pub(super) fn locate(dirs: &Dirs, plan: &Plan) -> io::Result<Option<Interface>> {
    let Some(mut netlink) = Netlink::open()? else { return Ok(None) };
    let radios = probe_with(&mut netlink, dirs)?;
    let Some(radio) = radios.iter().find(|radio| plan.fits(radio)) else { return Ok(None) };
    if let Some(phy) = Phy::find(&dirs.sys, radio.phy).filter(|_| radio.soft_blocked) {
        phy.unblock()?;
    }
    let mut found = interface(&mut netlink, dirs, radio)?;
    let name = plan.interface.as_deref().filter(|name| !taken(dirs, name));
    if let (Some(found), Some(name)) = (&mut found, name) {
        netlink::change_link(found.index, LinkChange::Rename(name))?;
        name.clone_into(&mut found.name);
    }
    Ok(found)
}

fn taken(dirs: &Dirs, name: &str) -> bool {
    dirs.sys.join("class/net").join(name).exists()
}

fn free_name(dirs: &Dirs) -> String {
    let mut names = (0..100).map(|i| format!("wlan{i}"));
    names.find(|name| !taken(dirs, name)).unwrap_or_else(|| "bulle-wlan".to_owned())
}

/// The radio's signs of life; `None` when the interface is gone.
pub(super) fn pulse(dirs: &Dirs, interface: &Interface) -> io::Result<Option<RadioPulse>> {
    let gone = |error: &io::Error| error.raw_os_error() == Some(nix::libc::ENODEV);
    let Some(mut netlink) = Netlink::open()? else { return Ok(None) };
    let index = interface.index;
    let mut carrier = None;
    match netlink.ask(Request::Interface { index }, |frame| carrier = nl80211::carrier(frame)) {
        Err(error) if gone(&error) => return Ok(None),
        other => other?,
    }
    let answers = netlink.ask(Request::Stations { index }, |_| ()).is_ok();
    let traffic: Option<Traffic> = sysfs::traffic(&dirs.sys, &interface.name);
    Ok(Some(RadioPulse {
        sends: carrier.is_some_and(|carrier| carrier.access_point && carrier.frequency.is_some()),
        answers,
        traffic: traffic.unwrap_or_default(),
    }))
}
