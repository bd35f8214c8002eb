//! The driver of multicast DNS: starts the library, and hands its news to `appliance_core::lan`.
//!
//! The library has a thread and sockets of its own, on UDP port 5353, and follows addresses as they come and go.
//! It logs nothing: it would log addresses.

use crate::clocks::Clocks;
use crate::host;
use crate::live::Live;
use appliance_core::lan::{Event, Lan};
use appliance_core::settings::MdnsSettings;
use mdns_sd::{DaemonEvent, IfKind, IfPredicate, Receiver, ServiceDaemon, ServiceInfo};
use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tracing::{info, warn};

/// What the box offers. The second is for those who look for any page.
const SERVICES: [&str; 2] = ["_bulle._tcp.local.", "_https._tcp.local."];
/// The file in the runtime directory that holds the name in use.
const NAME_FILE: &str = "mdns-name";

/// A running announcer. Dropping it takes the announcements back.
pub struct Announcer {
    daemon: ServiceDaemon,
    settings: MdnsSettings,
    task: tokio::task::JoinHandle<()>,
}

impl fmt::Debug for Announcer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Announcer").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        self.task.abort();
        // Says goodbye to those who remember us (RFC 6762 section 10.1).
        let _ = self.daemon.shutdown();
    }
}

impl Announcer {
    /// Announces the page on `port`.
    ///
    /// # Errors
    /// When the library cannot start, in its words.
    pub fn start(
        settings: &MdnsSettings,
        port: u16,
        live: Arc<Live>,
        clocks: Arc<Clocks>,
    ) -> Result<Self, mdns_sd::Error> {
        let daemon = ServiceDaemon::new()?;
        daemon.disable_interface(IfKind::All)?;
        if settings.interfaces.is_empty() {
            let outward = IfPredicate::new(|interface| !interface.is_loopback());
            daemon.enable_interface(IfKind::Predicate(outward))?;
        } else {
            let named: Vec<IfKind> = settings.interfaces.iter().cloned().map(IfKind::Name).collect();
            daemon.enable_interface(named)?;
        }
        let news = daemon.monitor()?;
        let host = format!("{}.", settings.name.in_local());
        for service in SERVICES {
            let info = ServiceInfo::new(service, settings.name.as_str(), &host, "", port, None)?;
            daemon.register(info.enable_addr_auto())?;
        }
        let lan = Lan::new(&settings.name, clocks.now());
        let task = tokio::spawn(follow(lan, news, settings.interfaces.clone(), live, clocks));
        Ok(Self { daemon, settings: settings.clone(), task })
    }

    /// What it was started with.
    #[must_use]
    pub const fn settings(&self) -> &MdnsSettings {
        &self.settings
    }
}

async fn follow(
    mut lan: Lan,
    news: Receiver<DaemonEvent>,
    interfaces: Vec<String>,
    live: Arc<Live>,
    clocks: Arc<Clocks>,
) {
    report(&live, lan.name().as_str());
    loop {
        let deadline = lan.poll_timeout();
        let at = deadline.map(|deadline| clocks.at(deadline));
        tokio::select! {
            event = news.recv_async() => match event {
                Ok(event) => hand_over(&mut lan, &event, &clocks),
                // The library has ended.
                Err(_) => return,
            },
            () = async { tokio::time::sleep_until(at.unwrap_or_else(tokio::time::Instant::now)).await }, if at.is_some() => {
                if !host::has_address(&interfaces) {
                    lan.handle_no_network();
                }
                lan.handle_timeout(clocks.now());
            }
        }
        while let Some(event) = lan.poll_event() {
            match event {
                Event::Announced => info!("found by multicast DNS"),
                Event::Renamed(name) => {
                    warn!(
                        "another machine has our name on the link; the box goes by another one, which the page tells"
                    );
                    report(&live, name.as_str());
                    live.found_on_link(name);
                }
                Event::Silent => warn!(
                    "nothing is announced by multicast DNS: another program keeps UDP port 5353 to itself; stop it, or \
                     let it share the port (avahi: disallow-other-stacks=no)"
                ),
            }
        }
    }
}

fn hand_over(lan: &mut Lan, event: &DaemonEvent, clocks: &Clocks) {
    match event {
        DaemonEvent::Announce(_, _) => lan.handle_announced(),
        DaemonEvent::NameChange(change) => lan.handle_renamed(&change.new_name),
        DaemonEvent::IpAdd(address) if !address.is_loopback() => lan.handle_address(clocks.now()),
        DaemonEvent::Error(_) => warn!("multicast DNS met an error"),
        DaemonEvent::IpAdd(_) | DaemonEvent::IpDel(_) | DaemonEvent::Respond(_) => {}
        // The library may learn to tell more.
        _ => {}
    }
}

/// Tells the controller, which keeps the join card.
fn report(live: &Live, name: &str) {
    let settings = live.settings();
    let Some(dir) = &settings.controller.runtime else { return };
    if replace(dir, &format!("{name}\n")).is_err() {
        warn!("the name on the link could not be written to `box.runtime`");
    }
}

fn replace(dir: &Path, text: &str) -> std::io::Result<()> {
    let part = dir.join(format!("{NAME_FILE}.part"));
    fs::write(&part, text)?;
    fs::rename(part, dir.join(NAME_FILE))
}
