//! What may change while the daemon runs, without anybody being disconnected: most settings, and the names of the
//! box.
//!
//! Whoever needs them asks each time, or waits for [`Live::changed`].

use crate::host;
use appliance_core::lan;
use appliance_core::names::DnsName;
use appliance_core::pki::Identity;
use appliance_core::settings::Settings;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::watch;

/// The settings in force and the name that multicast DNS gave us.
#[derive(Debug)]
pub struct Live {
    state: RwLock<State>,
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    settings: Arc<Settings>,
    on_link: Option<DnsName>,
}

impl Live {
    /// At the start.
    #[must_use]
    pub fn new(settings: Settings) -> Arc<Self> {
        let state = RwLock::new(State { settings: Arc::new(settings), on_link: None });
        Arc::new(Self { state, changes: watch::Sender::new(0) })
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner).settings)
    }

    /// Names under which this box is reached now, at least one.
    #[must_use]
    pub fn names(&self) -> Vec<DnsName> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let Some(mdns) = &state.settings.mdns else { return state.settings.names.clone() };
        let wanted = mdns.name.in_local();
        lan::names(&state.settings.names, &wanted, state.on_link.as_ref().unwrap_or(&wanted))
    }

    /// What this machine is called now, for its certificate. A name that is another machine's on the link is not ours,
    /// even where it is this machine's host name.
    #[must_use]
    pub fn identity(&self) -> Identity {
        let mut identity = host::identity(&self.names());
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if let (Some(mdns), Some(current)) = (&state.settings.mdns, &state.on_link) {
            let wanted = mdns.name.in_local();
            if wanted != *current {
                identity.names.remove(&wanted);
            }
        }
        identity
    }

    /// The name to lead people to: one that needs no multicast DNS, where there is one.
    #[must_use]
    pub fn main_name(&self) -> Option<DnsName> {
        let names = self.names();
        let plain = names.iter().find(|name| !name.is_within("local"));
        plain.or(names.first()).cloned()
    }

    /// These are the settings from now on.
    pub fn replace(&self, settings: Settings) {
        {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            if settings.mdns != state.settings.mdns {
                state.on_link = None;
            }
            state.settings = Arc::new(settings);
        }
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Multicast DNS gave us this name.
    pub fn found_on_link(&self, name: DnsName) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).on_link = Some(name);
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// To wait for the next change of anything in here.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
