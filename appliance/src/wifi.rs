//! The access point's hands: what the kernel knows of radios, and hostapd as a child.
//!
//! What is decided is decided in [`appliance_core::wifi`]; here bytes are moved.
//!
//! ```text
//! prepare ─▶ radios ─▶ netlink, sysfs            before the start
//! AccessPoint ─▶ driver ─▶ hostapd, radios, sysfs   while it runs
//! ```
//!
//! Absent on purpose: any log of hostapd, since it holds addresses, and any file outside of `Dirs::run`, which
//! is in RAM and for root only.

mod confine;
mod driver;
mod hostapd;
mod netlink;
mod radios;
mod show;
mod sysfs;

pub use show::show;

use appliance_core::wifi::{Credentials, Event, Plan, Policy, RadioFacts, Refusal, Ssid};
use driver::{Driver, Order, RealRadio};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Events that wait to be fetched.
const MOST_EVENTS: usize = 16;
/// Orders that wait to be carried out.
const MOST_ORDERS: usize = 4;

/// Where the access point lives on this machine.
#[derive(Clone, Debug)]
pub struct Dirs {
    /// A directory for configuration, keys and control sockets: made here, for root only, in RAM.
    pub run: PathBuf,
    /// `/sys`.
    pub sys: PathBuf,
    /// The program.
    pub hostapd: PathBuf,
    /// The user that the program becomes, where there is such a user.
    pub user: &'static str,
}

impl Default for Dirs {
    fn default() -> Self {
        Self {
            run: "/run/bulle-wifi".into(),
            sys: "/sys".into(),
            hostapd: "/usr/sbin/hostapd".into(),
            user: "bulle-wifi",
        }
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// There is none to be had from the radios of this machine.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The kernel could not be asked.
    #[error("cannot ask the kernel about Wi-Fi radios: {0}")]
    Kernel(#[from] io::Error),
}

/// What the kernel says about each radio. Takes some milliseconds, or seconds when a driver hangs.
///
/// # Errors
/// When the kernel cannot be asked. A kernel without any Wi-Fi answers with no radios.
pub fn probe(dirs: &Dirs) -> io::Result<Vec<RadioFacts>> {
    radios::probe(dirs)
}

/// Everything before the start: switches radios on, names the country, listens for a moment to what is on
/// the air, also for another network of the name that it will have, and decides. Takes up to four seconds, usually half of one.
///
/// # Errors
/// When no radio can be an access point as the policy wants, or the kernel cannot be asked.
pub async fn prepare(dirs: &Dirs, policy: &Policy, ssid: &Ssid) -> Result<Plan, PrepareError> {
    let hostapd = hostapd::ask_version(dirs).await;
    let (dirs, policy, ssid) = (dirs.clone(), policy.clone(), ssid.clone());
    tokio::task::spawn_blocking(move || radios::prepare(&dirs, &policy, &ssid, hostapd))
        .await
        .map_err(io::Error::other)?
}

/// A running access point. Dropping it ends hostapd, too; [`AccessPoint::stop`] waits for that.
#[derive(Debug)]
pub struct AccessPoint {
    events: mpsc::Receiver<Event>,
    orders: mpsc::Sender<Order>,
    task: tokio::task::JoinHandle<()>,
}

impl AccessPoint {
    /// Starts it, and goes on trying until it is stopped or dropped.
    #[must_use]
    pub fn start(plan: Plan, credentials: Credentials, dirs: Dirs) -> Self {
        let (event, events) = mpsc::channel(MOST_EVENTS);
        let (order, orders) = mpsc::channel(MOST_ORDERS);
        let radio = Arc::new(RealRadio::new(&plan, dirs.clone()));
        let driver = Driver { plan, credentials, dirs, radio, orders, events: event };
        Self { events, orders: order, task: tokio::spawn(driver.run()) }
    }

    /// The next news; `None` when the access point is no more.
    pub async fn event(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// Other keys, for instance when a person was added or shut out. Stations have to prove themselves again.
    pub async fn change_credentials(&self, credentials: Credentials) {
        // Nobody listens when it is over.
        let _ = self.orders.send(Order::NewCredentials(credentials)).await;
    }

    /// Says goodbye to stations and ends hostapd.
    pub async fn stop(self) {
        let _ = self.orders.send(Order::Stop).await;
        let _ = self.task.await;
    }
}
