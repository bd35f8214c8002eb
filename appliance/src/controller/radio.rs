//! The radio and its access point, as far as the controller sees them.

use super::world::World;
use crate::wifi::{self, AccessPoint, Dirs, PrepareError};
use appliance_core::mode;
use appliance_core::wifi::{Credentials, Event, Failure, Plan, Policy, RadioFacts};
use base::Instant;
use std::time::Duration;
use tracing::{info, warn};

/// How long a radio that is gone may take to be back before another one takes its place.
const GONE_LASTS: Duration = Duration::from_secs(5);

/// What the radio is doing.
#[derive(Debug)]
pub(super) struct Radio {
    dirs: Dirs,
    running: Option<(Plan, AccessPoint)>,
    /// Why there is no access point although one was wanted.
    refused: Option<String>,
    /// Why nobody can join at the moment.
    failure: Option<Failure>,
    /// What the kernel said last while nothing ran, or while the radio was gone.
    known: Vec<RadioFacts>,
    /// Since when the radio has been gone while another one could be used.
    replaceable: Option<Instant>,
    /// Why the access point is full.
    full: bool,
    on_air: bool,
    stations: u16,
    seen: mode::Radio,
}

impl Radio {
    /// No access point yet.
    #[must_use]
    pub(super) fn new(world: &World) -> Self {
        let dirs = Dirs { run: world.wifi(), sys: world.sys().to_owned(), ..Dirs::default() };
        Self {
            dirs,
            running: None,
            refused: None,
            failure: None,
            known: Vec::new(),
            replaceable: None,
            full: false,
            on_air: false,
            stations: 0,
            seen: mode::Radio::Absent,
        }
    }

    /// Asks the kernel what is there, unless an access point is well.
    pub(super) fn look(&mut self, now: Instant) {
        let gone = self.failure == Some(Failure::RadioGone);
        if self.running.is_some() && !gone {
            self.replaceable = None;
            return;
        }
        let radios = wifi::probe(&self.dirs).unwrap_or_default();
        let able = radios.iter().any(|radio| radio.access_point);
        self.seen = match radios.as_slice() {
            [] => mode::Radio::Absent,
            _ if able => mode::Radio::Able,
            _ => mode::Radio::Unable,
        };
        // The same radio is taken back without a new decision, by who keeps the access point up.
        let back = self.plan().is_some_and(|plan| radios.iter().any(|radio| plan.fits(radio)));
        if gone && able && !back {
            self.replaceable.get_or_insert(now);
        } else {
            self.replaceable = None;
        }
        // Another radio, or the same in another state, may do what was refused.
        if radios != self.known {
            self.refused = None;
            self.known = radios;
        }
    }

    /// Whether the radio has been gone for long enough, and another one can take its place.
    #[must_use]
    pub(super) fn wants_another(&self, now: Instant) -> bool {
        self.replaceable.is_some_and(|since| now >= since + GONE_LASTS)
    }

    /// What the decision needs to know.
    #[must_use]
    pub(super) fn fact(&self) -> mode::Radio {
        match (&self.running, &self.failure) {
            (Some(_), Some(Failure::RadioGone)) => mode::Radio::Absent,
            (Some(_), Some(_)) => mode::Radio::Failed,
            (Some(_), None) => mode::Radio::Able,
            (None, _) if self.refused.is_some() => mode::Radio::Unable,
            (None, _) => self.seen,
        }
    }

    /// Tries anew what was refused: settings have changed.
    pub(super) fn forget_refusal(&mut self) {
        self.refused = None;
    }

    /// Begins to be an access point.
    pub(super) async fn start(&mut self, policy: &Policy, credentials: Credentials) {
        self.stop().await;
        match wifi::prepare(&self.dirs, policy, &credentials.ssid).await {
            Ok(plan) => {
                info!("starting the access point");
                let running = AccessPoint::start(plan.clone(), credentials, self.dirs.clone());
                (self.refused, self.failure) = (None, None);
                self.running = Some((plan, running));
            }
            Err(error @ PrepareError::Refused(_)) => {
                self.refused = Some(error.to_string());
                // Switching radios on and naming the country has changed what the kernel says.
                self.known = wifi::probe(&self.dirs).unwrap_or_default();
            }
            Err(error @ PrepareError::Kernel(_)) => {
                warn!("the kernel could not be asked about radios");
                self.refused = Some(error.to_string());
            }
        }
    }

    /// Ends being one.
    pub(super) async fn stop(&mut self) {
        if let Some((_, running)) = self.running.take() {
            running.stop().await;
        }
        (self.on_air, self.stations, self.full, self.failure) = (false, 0, false, None);
        self.replaceable = None;
    }

    /// Waits for news and takes it in. Never returns while there is no access point.
    pub(super) async fn news(&mut self) {
        let Some((_, running)) = &mut self.running else { return std::future::pending().await };
        match running.event().await {
            Some(Event::Enabled | Event::Recovered) => (self.on_air, self.failure) = (true, None),
            Some(Event::Stations(stations)) => {
                self.stations = stations;
                let most = self.running.as_ref().map_or(0, |(plan, _)| plan.stations);
                self.full &= stations >= most;
            }
            Some(Event::Full { stations }) => (self.stations, self.full) = (stations, true),
            Some(Event::Failed(failure)) => {
                (self.on_air, self.stations, self.failure) = (false, 0, Some(failure));
            }
            None => {
                self.running = None;
                (self.on_air, self.stations, self.full, self.failure) = (false, 0, false, None);
            }
        }
    }

    /// Whether there is an access point, on the air or about to be.
    #[must_use]
    pub(super) const fn runs(&self) -> bool {
        self.running.is_some()
    }

    /// Its plan.
    #[must_use]
    pub(super) fn plan(&self) -> Option<&Plan> {
        self.running.as_ref().map(|(plan, _)| plan)
    }

    /// Whether phones can join.
    #[must_use]
    pub(super) const fn on_air(&self) -> bool {
        self.on_air
    }

    /// Phones on it.
    #[must_use]
    pub(super) const fn stations(&self) -> u16 {
        self.stations
    }

    /// What the owner should know.
    pub(super) fn remarks(&self) -> impl Iterator<Item = String> {
        let full = self.full.then(|| {
            "The Wi-Fi is full: further phones can join when one has left. Another radio can carry more."
                .to_owned()
        });
        let notices = self.plan().map(|plan| plan.notices.as_slice()).unwrap_or_default();
        let notices = notices.iter().map(ToString::to_string);
        self.refused
            .clone()
            .into_iter()
            .chain(self.failure.map(|failure| failure.to_string()))
            .chain(full)
            .chain(notices)
    }

    /// Whether something keeps phones from joining.
    #[must_use]
    pub(super) const fn is_wrong(&self) -> bool {
        self.refused.is_some() || self.failure.is_some()
    }
}
