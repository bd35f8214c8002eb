//! Tells whoever started the daemon where it is.

use super::services::Services;
use crate::http::headers::Host;
use crate::live::Live;
use crate::session::peer::Peers;
use crate::state::StateDir;
use crate::tls::Tls;
use crate::{VERSION, host};
use std::io::{self, Write};
use tokio::net::TcpListener;

/// What there is to tell.
pub(super) struct Found<'a> {
    pub(super) https: &'a [TcpListener],
    pub(super) redirect: &'a [TcpListener],
    pub(super) metrics: &'a [TcpListener],
    pub(super) services: &'a Services,
    pub(super) peers: &'a Peers,
    pub(super) tls: &'a Tls,
    pub(super) state: &'a StateDir,
}

/// Writes it to standard output.
pub(super) fn greet(live: &Live, found: &Found<'_>) -> io::Result<()> {
    let Found { https, redirect, metrics, services, peers, tls, state } = found;
    let mut out = io::stdout().lock();
    writeln!(out, "Bulle {VERSION}")?;
    for (label, scheme, listeners) in [("page", "https", https), ("trust", "http", redirect)] {
        for address in listeners.iter().filter_map(|listener| listener.local_addr().ok()) {
            for ip in host::reachable(address) {
                writeln!(out, "  {label:<7} {scheme}://{}/", Host::at(ip, address.port()))?;
            }
        }
    }
    // After the addresses: not every network resolves the names.
    for name in live.names() {
        writeln!(out, "  page    https://{}/", Host::named(name, services.ports().https))?;
    }
    for address in services.name_server() {
        writeln!(out, "  dns     {address}")?;
    }
    for address in peers.listening() {
        writeln!(out, "  webrtc  {address}")?;
    }
    for address in metrics.iter().filter_map(|listener| listener.local_addr().ok()) {
        writeln!(out, "  counts  http://{address}/metrics")?;
    }
    for warning in &tls.warnings {
        writeln!(out, "Warning: {warning}")?;
    }
    if tls.ca_is_new {
        writeln!(out, "This box has just made its certificate authority; each phone has to trust it once.")?;
    }
    writeln!(out, "  CA      {}", tls.ca.fingerprint)?;
    writeln!(out, "  state   {}", state.path().display())?;
    out.flush()
}
