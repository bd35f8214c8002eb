//! The controller at work: one loop over facts, time and news.

use super::ControllerError;
use super::apply::Applier;
use super::boot_partition::BootPartition;
use super::links::{Link, links};
use super::radio::Radio;
use super::screen::Screen;
use super::status::Status;
use super::store::{self, Store};
use super::told::Told;
use super::world::World;
use crate::clocks::Clocks;
use crate::{files, invite, memory, notify};
use appliance_core::card::{self, Card};
use appliance_core::claim::ClaimHash;
use appliance_core::mode::{Cable, Decision, Facts, Mode, ModeMachine};
use appliance_core::network::{self, Bubble, NAMES, Plan, Range, Serve};
use appliance_core::settings::{Probes, SettingsError};
use appliance_core::site::Site;
use appliance_core::wifi::{Credentials, Passphrase, Ssid};
use base::Instant;
use rand_core::OsRng;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

/// How often facts are looked at.
const TICK: Duration = Duration::from_secs(1);
/// How long the card must have stayed the same before it is written: addresses and names settle one by one.
const CARD_SETTLES: Duration = Duration::from_secs(2);
/// How often the card is written in one run, so that a cable that comes and goes cannot wear out the disk.
const MOST_CARDS: u32 = 16;
/// How long a fixed address may take to be there.
const ADDRESS_TIME: Duration = Duration::from_secs(10);

/// Runs until it is asked to stop.
///
/// # Errors
/// When the system does not let it begin.
pub fn run(world: World) -> Result<(), ControllerError> {
    let hardening = memory::harden();
    if hardening.core_dumps || hardening.attachable {
        warn!("this system does not let bulle forbid core dumps and debuggers");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(Controller::new(world)?.serve())
}

struct Controller {
    clocks: Clocks,
    boot: BootPartition,
    store: Store,
    screen: Screen,
    applier: Applier,
    radio: Radio,
    machine: ModeMachine,
    site: Result<Site, SettingsError>,
    /// The owner's certificate where the daemon finds it, or why it is not there.
    certificate: Option<Result<(PathBuf, PathBuf), String>>,
    /// The decision that was carried out.
    decision: Option<Decision>,
    range: Option<Range>,
    links: Vec<Link>,
    told: Told,
    card: CardOnDisk,
    carrier_since: Option<Instant>,
    apply_failed: Option<io::Error>,
    status: Option<Status>,
    ready: bool,
    world: World,
}

/// What is known about the card on the partition.
#[derive(Default)]
struct CardOnDisk {
    /// The card that is wanted, and since when.
    wanted: Option<(Option<Card>, Instant)>,
    /// Whether that one is there.
    written: bool,
    writes: u32,
    failed: Option<io::Error>,
}

impl Controller {
    fn new(world: World) -> Result<Self, ControllerError> {
        let clocks = Clocks::new(None);
        let boot = BootPartition::new(world.boot(), world.is_real());
        let site = read_site(&boot);
        // The kernel makes us wait here until its random numbers are good.
        let store = Store::open(&world.data(), store::board(world.sys()), &mut OsRng);
        if let Some(error) = &store.unwritten {
            warn!(%error, "the secrets of this box could not be written; they last until the power goes");
        }
        let applier = Applier::new(&world)?;
        let mut controller = Self {
            boot,
            store,
            screen: Screen::new(world.tty(), world.sys()),
            applier,
            radio: Radio::new(&world),
            machine: ModeMachine::new(clocks.now()),
            site,
            certificate: None,
            decision: None,
            range: None,
            links: Vec::new(),
            told: Told::default(),
            card: CardOnDisk::default(),
            carrier_since: None,
            apply_failed: None,
            status: None,
            ready: false,
            clocks,
            world,
        };
        controller.take_certificate();
        Ok(controller)
    }

    /// The partition with the settings is shut to the daemon, so that it gets copies.
    fn take_certificate(&mut self) {
        let tls = self.site.as_ref().ok().and_then(|site| site.tls.as_ref());
        self.certificate = tls.map(|tls| self.applier.take_certificate(&self.boot, tls));
    }

    async fn serve(mut self) -> Result<(), ControllerError> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.radio.news() => {}
                _ = hang_up.recv() => {
                    info!("reading the settings of the box again");
                    notify::reloading();
                    self.site = read_site(&self.boot);
                    self.take_certificate();
                    self.radio.forget_refusal();
                    // Names, keys and channels may have changed: as if it had just been decided.
                    self.decision = None;
                    self.ready = false;
                }
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            }
            self.turn().await;
        }
        notify::stopping();
        info!("stopping");
        self.radio.stop().await;
        Ok(())
    }

    /// Looks at everything once, and does what follows from it.
    async fn turn(&mut self) {
        self.radio.look();
        self.links = links(self.world.sys());
        self.told = Told::read(&self.world);
        if self.told.claimed && !self.store.state.is_claimed() {
            info!("the box has been claimed");
            self.store.claim(&mut OsRng);
        }
        self.decide().await;
        self.apply().await;
        self.show();
        if !self.ready && self.decision.is_some() {
            self.ready = true;
            notify::ready();
            info!("ready");
        }
        notify::alive();
    }

    async fn decide(&mut self) {
        // A radio that turns out to be unable changes the decision at once, and nothing else does twice.
        for _ in 0..3 {
            let now = self.clocks.now();
            let facts = self.facts(now);
            self.machine.handle_facts(facts, now);
            let _ = self.machine.poll_effect();
            let Some(decision) = self.machine.current() else { return };
            let before = self.decision.replace(decision);
            let changed = before.map(|before| before.mode) != Some(decision.mode);
            match decision.mode {
                Mode::Lan => self.radio.stop().await,
                Mode::Wifi => {
                    let range = self.choose_range();
                    let moved = self.range.replace(range).is_some_and(|before| before != range);
                    if changed || moved || !self.radio.runs() {
                        self.start_radio().await;
                    }
                }
            }
            if !self.radio.is_wrong() || decision.mode == Mode::Lan {
                return;
            }
        }
    }

    fn facts(&mut self, now: Instant) -> Facts {
        let cable = self.cable().map_or(Cable::Absent, |link| match (link.carrier, link.routable().next()) {
            (false, _) => Cable::Unplugged,
            (true, None) => Cable::Silent,
            (true, Some(_)) => Cable::Network,
        });
        if cable >= Cable::Silent {
            self.carrier_since.get_or_insert(now);
        } else {
            self.carrier_since = None;
        }
        Facts {
            wish: self.site.as_ref().ok().map(|site| site.mode),
            radio: self.radio.fact(),
            cable,
            stations: self.radio.stations(),
        }
    }

    /// The interface of the cable: the one that the owner named, else the first that has a socket.
    fn cable(&self) -> Option<&Link> {
        let named = self.site.as_ref().ok().and_then(|site| site.lan.interface.as_deref());
        match named {
            Some(name) => self.links.iter().find(|link| link.name == name),
            None => self.links.iter().find(|link| link.physical && !link.wireless),
        }
    }

    fn choose_range(&self) -> Range {
        let taken: Vec<_> = self
            .cable()
            .into_iter()
            .flat_map(|link| link.addresses.iter().filter(|(address, _)| address.is_ipv4()))
            .map(|(_, prefix)| *prefix)
            .collect();
        network::choose(self.range, &taken)
    }

    async fn start_radio(&mut self) {
        let Ok(site) = &self.site else { return };
        let secrets = &self.store.state.secrets;
        // Both were made to fit.
        let (Ok(ssid), Ok(key)) = (self.ssid(), Passphrase::new(secrets.wifi_key.clone())) else { return };
        self.radio.start(&site.wifi.clone(), Credentials::new(ssid, key)).await;
    }

    /// What the box is called.
    fn name(&self) -> String {
        let site = self.site.as_ref().ok();
        let given = site.and_then(|site| site.name.as_ref());
        given.map_or_else(|| self.store.state.secrets.name(), |name| name.expose().to_owned())
    }

    fn ssid(&self) -> Result<Ssid, appliance_core::wifi::CredentialError> {
        let site = self.site.as_ref().ok();
        let given = site.and_then(|site| site.ssid.as_ref().or(site.name.as_ref()));
        given.map_or_else(|| Ssid::new(&self.store.state.secrets.name()), |given| Ok(given.clone()))
    }

    /// The networks that follow from the decision; before it, only what finding out needs.
    fn plan(&self) -> Plan {
        let site = self.site.as_ref().ok();
        let wifi = self.decision.is_some_and(|decision| decision.mode == Mode::Wifi);
        let radio = self.radio.plan().filter(|_| wifi).and_then(|plan| {
            let named = plan.interface.clone();
            named.or_else(|| Some(self.links.iter().find(|link| link.wireless)?.name.clone()))
        });
        let secrets = &self.store.state.secrets;
        Plan {
            bubble: radio.map(|interface| Bubble {
                interface,
                range: self.range.unwrap_or_default(),
                ula: secrets.ula,
                // Only a certificate of the owner's may be one that phones trust by themselves.
                portal_api: None,
            }),
            cable: self.cable().map(|link| network::Cable {
                interface: link.name.clone(),
                fixed: site.and_then(|site| site.lan.fixed.clone()),
                ntp: site.map(|site| site.lan.ntp.clone()).unwrap_or_default(),
                secret: network::address_secret(&secrets.machine_id),
                serves: !wifi,
            }),
        }
    }

    async fn apply(&mut self) {
        let site = self.site.as_ref().ok();
        let invitation = self.store.state.secrets.invitation.as_ref();
        let serve = Serve {
            state_dir: self.world.data().join(store::SERVE),
            runtime: self.world.shared(),
            claim: invitation.and_then(|new| ClaimHash::of(&new.claim_code, new.claim_salt)),
            certificate: self.certificate.clone().and_then(Result::ok),
            probes: site.and_then(|site| site.probes).unwrap_or(Probes::Online),
            log_level: site.and_then(|site| site.log_level),
        };
        let plan = self.plan();
        let failed = self.applier.apply(&plan, &serve).await.err();
        if let Some(error) = failed.as_ref().filter(|_| self.apply_failed.is_none()) {
            warn!(%error, "the network could not be set up; it is tried again");
        }
        self.apply_failed = failed;
    }

    fn show(&mut self) {
        let now = self.clocks.now();
        let remarks = self.remarks(now);
        let card = self.make_card(&remarks);
        let (columns, rows) = self.screen.size();
        self.screen.show(card::console(&card, columns, rows));
        self.screen.warn(self.site.is_err() || self.radio.is_wrong());
        // Once claimed, a card is written only to say what is wrong with the settings.
        let wanted = !self.store.state.is_claimed() || self.site.is_err();
        if self.decision.is_some() {
            self.put_card(wanted.then_some(card), now);
        }
        let status = Status {
            decision: self.decision.map(|decision| decision.to_string()),
            radio: self.radio.plan().map(ToString::to_string),
            on_air: self.radio.on_air(),
            stations: self.radio.stations(),
            cable: match (self.cable(), self.cable().is_some_and(|link| link.routable().next().is_some())) {
                (None, _) => "no socket",
                (Some(link), _) if !link.carrier => "not plugged in",
                (Some(_), false) => "plugged in, no network answers",
                (Some(_), true) => "in a network",
            },
            claimed: self.store.state.is_claimed(),
            remarks,
        };
        if self.status.as_ref() != Some(&status) {
            if let Err(error) = files::replace(&Status::path(&self.world), status.text().as_bytes(), 0o644) {
                info!(%error, "the status could not be written");
            }
            self.status = Some(status);
        }
    }

    /// Sentences for the owner, the most important first. None of them holds a secret.
    fn remarks(&self, now: Instant) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Err(error) = &self.site {
            remarks.extend(error.problems.iter().map(|problem| format!("bulle.toml, {problem}")));
        }
        remarks.extend(self.decision.map(|decision| decision.to_string()));
        remarks.extend(self.radio.remarks());
        remarks.extend(self.store.lost.map(|lost| lost.to_string()));
        let data = files::read(&self.world.data_word(), 16).ok().flatten().unwrap_or_default();
        if data.trim_ascii() == b"lost" || self.store.unwritten.is_some() {
            remarks.push(
                "The disk of this box cannot be written: its keys last until the power goes, and then everybody has \
                 to join anew. Replace the card or the disk."
                    .to_owned(),
            );
        } else if data.trim_ascii() == b"rebuilt" {
            remarks.push(
                "The disk of this box was damaged and has been made anew around what could be read. If this happens \
                 twice, replace it."
                    .to_owned(),
            );
        }
        if self.applier.filter_failed.is_some() {
            remarks.push("The packet filter could not be set, so the box lets nobody in.".to_owned());
        }
        if self.apply_failed.is_some() {
            remarks.push("The network of this box could not be set up; it is tried again.".to_owned());
        }
        if let Some(Err(error)) = &self.certificate {
            remarks.push(format!(
                "The certificate of bulle.toml is not used, its file cannot be read: {error}. The box vouches for \
                 itself meanwhile."
            ));
        }
        let fixed = self.site.as_ref().ok().and_then(|site| site.lan.fixed.as_ref());
        let late = self.carrier_since.is_some_and(|since| now >= since + ADDRESS_TIME);
        let has = |wanted: IpAddr| {
            self.cable().is_some_and(|link| link.addresses.iter().any(|(address, _)| *address == wanted))
        };
        if late && fixed.is_some_and(|fixed| !has(fixed.address)) {
            remarks.push(
                "The address in `lan.address` of bulle.toml could not be taken: another machine on this network has \
                 it. Choose another one."
                    .to_owned(),
            );
        }
        remarks
    }

    fn make_card(&self, remarks: &[String]) -> Card {
        let wifi = self.decision.is_some_and(|decision| decision.mode == Mode::Wifi);
        let secrets = &self.store.state.secrets;
        let host = if wifi {
            NAMES[0].to_owned()
        } else {
            self.told.name.as_ref().map_or_else(|| NAMES[1].to_owned(), ToString::to_string)
        };
        let page = format!("https://{host}/");
        let invitation = secrets.invitation.as_ref().map(|new| card::Invitation {
            link: invite::link(&page, &new.bubble),
            claim_code: new.claim_code.clone(),
        });
        let addresses = if wifi {
            self.plan().bubble.map(|bubble| bubble.addresses().to_vec()).unwrap_or_default()
        } else {
            self.cable().map(|link| link.routable().collect()).unwrap_or_default()
        };
        Card {
            name: self.name(),
            // Who has claimed the box hands the key out; the screen is for everybody in the room.
            wifi: self
                .ssid()
                .ok()
                .filter(|_| wifi && invitation.is_some())
                .map(|ssid| card::Wifi { ssid: ssid.expose().to_owned(), key: secrets.wifi_key.clone() }),
            page,
            addresses,
            invitation,
            fingerprint: self.told.authority,
            remarks: remarks.to_vec(),
            urgent: self.site.as_ref().err().map_or(0, |error| error.problems.len()),
        }
    }

    fn put_card(&mut self, wanted: Option<Card>, now: Instant) {
        let first = self.card.wanted.is_none();
        let since = match &self.card.wanted {
            Some((before, since)) if *before == wanted => *since,
            _ => {
                self.card.written = false;
                now
            }
        };
        // What has been claimed is taken away at once, and the first card is not waited for.
        let at_once = first || wanted.is_none();
        let settled = at_once || now >= since + CARD_SETTLES;
        if !self.card.written && settled && (wanted.is_none() || self.card.writes < MOST_CARDS) {
            let failed = self.boot.put(wanted.as_ref()).err();
            if let Some(error) = failed.as_ref().filter(|_| self.card.failed.is_none()) {
                warn!(%error, "the join card could not be written to the partition BULLE; it is on the screen");
            }
            self.card.written = failed.is_none();
            self.card.writes += 1;
            self.card.failed = failed;
        }
        self.card.wanted = Some((wanted, since));
    }
}

fn read_site(boot: &BootPartition) -> Result<Site, SettingsError> {
    match boot.settings() {
        Ok(Some(bytes)) => Site::parse(&bytes),
        Ok(None) => Ok(Site::default()),
        Err(error) => {
            warn!(%error, "bulle.toml cannot be read; the box does without");
            Ok(Site::default())
        }
    }
}
