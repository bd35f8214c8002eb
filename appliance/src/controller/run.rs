//! The controller at work: one loop over facts, time and news.

use super::ControllerError;
use super::apply::{Applier, Certificate, SERVE_USER};
use super::boot_partition::BootPartition;
use super::button::Button;
use super::clock;
use super::commands;
use super::light::Light;
use super::links::{Link, links};
use super::neighbours::Neighbours;
use super::partition::Partition;
use super::radio::Radio;
use super::screen::Screen;
use super::served::ServedDir;
use super::show::CardOnDisk;
use super::status::Status;
use super::store::{self, Place, Store};
use super::told::Told;
use super::world::World;
use crate::clocks::Clocks;
use crate::{files, memory, notify};
use appliance_core::button::Gesture;
use appliance_core::claim::ClaimHash;
use appliance_core::firstboot::{Served, ServedFile};
use appliance_core::light;
use appliance_core::mode::{Cable, Decision, Facts, Mode, ModeMachine};
use appliance_core::names::DnsName;
use appliance_core::network::{self, Bubble, Leases, Plan, Range, Serve, Socket, Sockets};
use appliance_core::retry::Retry;
use appliance_core::settings::{Probes, SettingsError};
use appliance_core::site::Site;
use appliance_core::wifi::{Credentials, Passphrase, Ssid};
use base::Instant;
use nix::unistd::User;
use rand_core::OsRng;
use std::io;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;
use tracing::{info, warn};

/// How often facts are looked at.
const TICK: Duration = Duration::from_secs(1);
/// The same until there is a decision, because somebody has just switched the box on and waits.
const FIRST_TICK: Duration = Duration::from_millis(200);

/// Larger than any lease that networkd keeps.
const LARGEST_LEASE: usize = 16 * 1024;

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

pub(super) struct Controller {
    pub(super) clocks: Clocks,
    pub(super) boot: BootPartition,
    pub(super) store: Store,
    saving: Retry,
    pub(super) screen: Screen,
    pub(super) applier: Applier,
    pub(super) radio: Radio,
    pub(super) machine: ModeMachine,
    pub(super) site: Result<Site, SettingsError>,
    /// The owner's certificate where the daemon finds it, or why it is not there.
    pub(super) certificate: Option<Result<Certificate, String>>,
    /// The decision that was carried out.
    pub(super) decision: Option<Decision>,
    pub(super) range: Option<Range>,
    pub(super) links: Vec<Link>,
    /// The interface of the cable, and how it is followed.
    cable: Option<String>,
    sockets: Sockets,
    pub(super) leases: Leases,
    /// Who is on the cable, from when there is an address to ask about.
    neighbours: Option<Neighbours>,
    light: Light,
    button: Button,
    pub(super) told: Told,
    pub(super) served: ServedDir,
    pub(super) card: CardOnDisk,
    pub(super) carrier_since: Option<Instant>,
    pub(super) apply_failed: Option<io::Error>,
    pub(super) status: Option<Status>,
    /// Whether the box is what it decided to be.
    pub(super) settled: bool,
    pub(super) world: World,
}

impl Controller {
    fn new(world: World) -> Result<Self, ControllerError> {
        let clocks = Clocks::new(None);
        let boot = BootPartition::new(Partition::new(world.boot(), world.is_real()));
        let site = read_site(&boot);
        // The kernel makes us wait here until its random numbers are good.
        let store = Store::open(Place::of(&world), store::board(world.sys()), &mut OsRng);
        if let Some(error) = &store.unwritten {
            warn!(%error, "the secrets of this box could not be written; they last until the power goes");
        }
        // It was looked through if need was, and is as much memory as the partition has room.
        let _ = files::remove(&world.data_remains());
        let known = store.state.served.get(ServedFile::Clock).and_then(appliance_core::clock::from_text);
        clock::handle_kept(known, &clocks, &world);
        let applier = Applier::new(&world)?;
        let served = ServedDir::new(world.serve());
        served.fill(&store.state.served, User::from_name(SERVE_USER).ok().flatten().as_ref())?;
        let mut controller = Self {
            boot,
            store,
            saving: Retry::NEW,
            screen: Screen::new(world.tty(), world.sys()),
            applier,
            radio: Radio::new(&world),
            machine: ModeMachine::new(clocks.now()),
            site,
            certificate: None,
            decision: None,
            range: None,
            links: Vec::new(),
            cable: None,
            sockets: Sockets::default(),
            leases: Leases::default(),
            neighbours: None,
            light: Light::new(world.sys()),
            button: Button::new(world.input(), world.sys()),
            told: Told::default(),
            served,
            card: CardOnDisk::default(),
            carrier_since: None,
            apply_failed: None,
            status: None,
            settled: false,
            clocks,
            world,
        };
        controller.take_certificate();
        if controller.store.new {
            controller.card.hurry();
        }
        Ok(controller)
    }

    fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()?.as_ref().ok()
    }

    /// The name in the owner's certificate, which phones may trust without further ado.
    pub(super) fn own_name(&self) -> Option<&DnsName> {
        self.certificate()?.names.first()
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
        let mut wait = Duration::ZERO;
        loop {
            tokio::select! {
                () = sleep(wait) => {}
                () = self.radio.news() => {}
                gesture = self.button.gesture() => obey(gesture),
                _ = hang_up.recv() => {
                    info!("reading the settings of the box again");
                    self.site = read_site(&self.boot);
                    self.take_certificate();
                    self.card.hurry();
                    self.radio.forget_refusal();
                    // Names, keys and channels may have changed: as if it had just been decided.
                    self.decision = None;
                    self.settled = false;
                }
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            }
            self.turn().await;
            wait = if self.decision.is_some() { TICK } else { FIRST_TICK };
        }
        notify::stopping();
        info!("stopping");
        // The daemon has stopped before, and left the time.
        if let Some(served) = self.served.read().filter(|served| *served != self.store.state.served) {
            self.keep(served);
        }
        self.radio.stop().await;
        Ok(())
    }

    /// Looks at everything once, and does what follows from it.
    async fn turn(&mut self) {
        self.radio.look(self.clocks.now());
        self.button.look();
        self.links = links(self.world.sys());
        self.look_for_cable(self.clocks.now());
        self.look_at_lease(self.clocks.now());
        self.told = Told::read(&self.world);
        if self.told.claimed && !self.store.state.is_claimed() {
            info!("the box has been claimed");
            self.store.claim(&mut OsRng);
            self.told.time.inspect(|told| clock::handle_told(*told, &self.clocks, &self.world));
        }
        self.keep_served();
        self.save_again(self.clocks.now());
        self.decide().await;
        self.apply().await;
        self.show();
        self.shine();
        self.tell();
        notify::alive();
    }

    /// By this the boot loader is told that the version is good.
    fn tell(&mut self) {
        let works = self.apply_failed.is_none() && !self.applier.is_wrong();
        if !self.settled && self.decision.is_some() && works {
            self.settled = true;
            info!("ready");
            if let Err(error) = files::replace(&self.world.settled(), b"", 0o644) {
                warn!(%error, "nobody can be told that the box is ready");
            }
        }
    }

    /// What the daemon keeps goes to the disk when it is another authority, and from time to time else.
    fn keep_served(&mut self) {
        let Some(served) = self.served.look() else { return };
        if served != self.store.state.served && self.served.may_save(self.clocks.now()) {
            self.keep(served);
        }
    }

    /// What could not be written is tried again, ever less often: a disk may be full for a moment only.
    fn save_again(&mut self, now: Instant) {
        if self.store.unwritten.is_none() {
            self.saving = Retry::NEW;
            return;
        }
        if self.saving.is_done() {
            // The first attempt has failed already.
            self.saving.handle_wanted();
            let _ = self.saving.poll_effect(now);
            self.saving.handle_done(false, now);
        }
        if self.saving.poll_effect(now) {
            self.store.save(&mut OsRng);
            self.saving.handle_done(self.store.unwritten.is_none(), now);
            if self.store.unwritten.is_none() {
                info!("the state of the box is written now");
            }
        }
    }

    fn keep(&mut self, served: Served) {
        self.store.keep(served, &mut OsRng);
        if let Some(error) = &self.store.unwritten {
            warn!(%error, "what the daemon keeps could not be written; it lasts until the power goes");
        }
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
                    if changed || moved || !self.radio.runs() || self.radio.wants_another(now) {
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

    /// The interface of the cable.
    pub(super) fn cable(&self) -> Option<&Link> {
        let cable = self.cable.as_ref()?;
        self.links.iter().find(|link| link.name == *cable)
    }

    fn named_cable(&self) -> Option<&str> {
        self.site.as_ref().ok()?.lan.interface.as_deref()
    }

    /// Sockets that may be the cable's, where the owner has not named one.
    fn sockets(&self) -> impl Iterator<Item = &Link> {
        let free = self.named_cable().is_none();
        self.links.iter().filter(move |link| free && link.physical && !link.wireless)
    }

    /// Finds the cable: where the owner says, else where it is plugged in.
    fn look_for_cable(&mut self, now: Instant) {
        let found = match self.named_cable() {
            Some(named) => Some(named.to_owned()),
            None => {
                let mut sockets = std::mem::take(&mut self.sockets);
                let all: Vec<_> = self
                    .sockets()
                    .map(|link| Socket {
                        name: &link.name,
                        plugged: link.carrier,
                        answered: link.routable().next().is_some(),
                    })
                    .collect();
                let found = sockets.handle_sockets(&all, now).map(str::to_owned);
                self.sockets = sockets;
                found
            }
        };
        if found != self.cable {
            if self.cable.is_some() {
                info!("another socket has the cable now");
            }
            self.carrier_since = None;
            self.leases.handle_moved();
            self.neighbours = None;
            self.cable = found;
        }
    }

    /// Asks whether another machine has the address that the router gave, and hears whether one says so.
    fn look_at_lease(&mut self, now: Instant) {
        let Some(cable) = self.cable() else { return };
        let file = files::read(&self.world.lease(cable.index), LARGEST_LEASE).ok().flatten();
        let given = file.and_then(|file| network::leased(&file));
        let given = given.filter(|given| cable.addresses.iter().any(|(ours, _)| ours == given));
        if given.is_some() && !self.neighbours.as_ref().is_some_and(|known| known.are_on(cable)) {
            self.neighbours = Neighbours::of(cable);
        }
        self.leases.handle_address(given, now);
        let Some(neighbours) = &self.neighbours else { return };
        neighbours.claimed().for_each(|address| self.leases.handle_claim(address, now));
        if let Some(address) = self.leases.poll_probe(now) {
            neighbours.ask(address);
        }
    }

    /// The other sockets, which are kept on so that a cable in them is seen.
    fn spare(&self) -> Vec<String> {
        let others = self.sockets().filter(|link| self.cable.as_ref() != Some(&link.name));
        others.map(|link| link.name.clone()).collect()
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

    fn shine(&mut self) {
        let wifi = self.decision.is_some_and(|decision| decision.mode == Mode::Wifi);
        let in_network = self.cable().is_some_and(|link| link.carrier && link.routable().next().is_some());
        self.light.show(light::Light::of(light::Facts {
            decided: self.decision.is_some(),
            reachable: if wifi { self.radio.on_air() } else { in_network },
            wrong: self.site.is_err()
                || self.radio.is_wrong()
                || self.apply_failed.is_some()
                || self.applier.is_wrong()
                || self.store.unwritten.is_some(),
        }));
    }

    /// What the box is called.
    pub(super) fn name(&self) -> String {
        let site = self.site.as_ref().ok();
        let given = site.and_then(|site| site.name.as_ref());
        given.map_or_else(|| self.store.state.secrets.name(), |name| name.expose().to_owned())
    }

    pub(super) fn ssid(&self) -> Result<Ssid, appliance_core::wifi::CredentialError> {
        let site = self.site.as_ref().ok();
        let given = site.and_then(|site| site.ssid.as_ref().or(site.name.as_ref()));
        given.map_or_else(|| Ssid::new(&self.store.state.secrets.name()), |given| Ok(given.clone()))
    }

    /// The networks that follow from the decision; before it, only what finding out needs.
    pub(super) fn plan(&self) -> Plan {
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
                portal_api: self.own_name().map(|name| format!("https://{name}/captive-portal/api")),
            }),
            spare: self.spare(),
            cable: self.cable().map(|link| network::Cable {
                interface: link.name.clone(),
                fixed: site.and_then(|site| site.lan.fixed.clone()),
                client: self.leases.name(),
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
            state_dir: self.world.serve(),
            runtime: self.world.shared(),
            claim: invitation.and_then(|new| ClaimHash::of(&new.claim_code, new.claim_salt)),
            certificate: self.certificate().map(|own| own.files.clone()),
            names: self.certificate().map(|own| own.names.clone()).unwrap_or_default(),
            probes: site.and_then(|site| site.probes).unwrap_or(Probes::Online),
            log_level: site.and_then(|site| site.log_level),
            decided: self.decision.is_some(),
        };
        let plan = self.plan();
        let now = self.clocks.now();
        let failed = self.applier.apply(&plan, &serve, now).await.err();
        if let Some(error) = failed.as_ref().filter(|_| self.apply_failed.is_none()) {
            warn!(%error, "the network could not be set up; it is tried again");
        }
        self.apply_failed = failed;
    }
}

/// Does what was asked for with the button, beside everything else.
fn obey(gesture: Gesture) {
    let arguments: &[_] = match gesture {
        Gesture::SwitchOff => {
            info!("the power button was pressed: the box is switched off");
            &["--no-block", "poweroff"]
        }
        Gesture::Purge => {
            info!("the power button was pressed three times: everything is purged");
            &["kill", "--kill-whom=main", "--signal=SIGUSR1", "bulle.service"]
        }
    };
    tokio::spawn(async move {
        if let Err(error) = commands::run("systemctl", arguments, "").await {
            warn!(%error, "what was asked for with the power button was not done; press again");
        }
    });
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
