//! What stands beside the page and follows the settings: names, probes, claims, announcements.

use crate::accept::ListenError;
use crate::claim::ClaimDesk;
use crate::clocks::Clocks;
use crate::control::Tables;
use crate::dns::NameServer;
use crate::http::portal::PortalPages;
use crate::live::Live;
use crate::mdns::Announcer;
use appliance_core::dns;
use appliance_core::settings::{MdnsSettings, Settings};
use std::net::SocketAddr;
use std::sync::Arc;
use tracing::{info, warn};

/// Where the box is reached.
#[derive(Clone, Copy)]
pub(super) struct Ports {
    pub(super) http: u16,
    pub(super) https: u16,
}

/// They run as long as this lives.
pub(super) struct Services {
    live: Arc<Live>,
    clocks: Arc<Clocks>,
    ports: Ports,
    name_server: Option<NameServer>,
    announcer: Option<Announcer>,
    portal: Arc<PortalPages>,
    claims: Arc<ClaimDesk>,
}

impl Services {
    /// As the settings want them.
    ///
    /// # Errors
    /// When the name server cannot listen.
    pub(super) async fn start(
        live: &Arc<Live>,
        clocks: &Arc<Clocks>,
        ports: Ports,
    ) -> Result<Self, ListenError> {
        let settings = live.settings();
        let portal = PortalPages::new(Arc::clone(live), Arc::clone(clocks), ports.http, ports.https);
        let mut services = Self {
            live: Arc::clone(live),
            clocks: Arc::clone(clocks),
            ports,
            name_server: None,
            announcer: None,
            portal: Arc::new(portal),
            claims: Arc::new(ClaimDesk::new(&settings.controller, Arc::clone(clocks))),
        };
        services.serve_names(&settings).await?;
        services.announce(settings.mdns.as_ref());
        Ok(services)
    }

    /// Settings or names have changed.
    pub(super) async fn follow(&mut self) {
        let settings = self.live.settings();
        if let Err(error) = self.serve_names(&settings).await {
            warn!(kind = ?error.source.kind(), "an address of `dns.listen` cannot be listened on");
        }
        self.announce(settings.mdns.as_ref());
        self.portal.reconfigure();
        self.claims.reconfigure(&settings.controller);
    }

    /// Forgets what is known of addresses.
    pub(super) fn forget(&self) {
        self.portal.forget();
        self.claims.forget();
        self.name_server.iter().for_each(NameServer::forget);
    }

    /// How much is known of addresses.
    pub(super) fn tables(
        &self,
        (connections, peers, polls): (usize, usize, usize),
        (turn_accounts, absent_accounts): (usize, usize),
    ) -> Tables {
        Tables {
            connections,
            peers,
            polls,
            turn_accounts,
            absent_accounts,
            claim_addresses: self.claims.sources(),
            portal_addresses: self.portal.devices(),
            name_addresses: self.name_server.as_ref().map_or(0, NameServer::sources),
        }
    }

    /// What the name server has counted.
    pub(super) fn names_counted(&self) -> Option<dns::Counters> {
        self.name_server.as_ref().map(NameServer::counters)
    }

    pub(super) fn portal(&self) -> Arc<PortalPages> {
        Arc::clone(&self.portal)
    }

    pub(super) fn claims(&self) -> Arc<ClaimDesk> {
        Arc::clone(&self.claims)
    }

    pub(super) const fn ports(&self) -> Ports {
        self.ports
    }

    /// Where names are served.
    pub(super) fn name_server(&self) -> impl Iterator<Item = SocketAddr> {
        self.name_server.iter().flat_map(NameServer::listening)
    }

    async fn serve_names(&mut self, settings: &Settings) -> Result<(), ListenError> {
        if settings.dns.listen.is_empty() {
            if let Some(server) = self.name_server.take() {
                server.shut_down().await;
            }
            return Ok(());
        }
        let names = self.live.names();
        if let Some(server) = &mut self.name_server {
            return server.reconfigure(&settings.dns, names, settings.probes).await;
        }
        let clocks = Arc::clone(&self.clocks);
        self.name_server = Some(NameServer::start(&settings.dns, names, settings.probes, clocks)?);
        Ok(())
    }

    /// Without it the page is reached by address and by other names, so that nothing else stops.
    fn announce(&mut self, wanted: Option<&MdnsSettings>) {
        if self.announcer.as_ref().map(Announcer::settings) == wanted {
            return;
        }
        self.announcer = None;
        let Some(wanted) = wanted else { return };
        match Announcer::start(wanted, self.ports.https, Arc::clone(&self.live), Arc::clone(&self.clocks)) {
            Ok(announcer) => {
                self.announcer = Some(announcer);
                info!("multicast DNS follows the settings");
            }
            Err(_) => warn!("multicast DNS cannot be started on this machine, so the box is not found by it"),
        }
    }
}
