//! Shows the certificate, and renews it while the daemon runs.
//!
//! `appliance_core::pki` decides; this reads and writes the files and swaps what the handshakes show.

use crate::clocks::{BUILD_TIME, Clocks};
use crate::host;
use crate::state::{StateDir, StateError};
use appliance_core::names::DnsName;
use appliance_core::pki::{self, CaInfo, Effect, Leaf, PkiError, Plan, Renewal};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use tracing::{info, warn};

/// How often the time is kept for the next start, in looks of [`Renewal`].
const LOOKS_PER_SAVED_CLOCK: u32 = 60;

/// Why there is no certificate to serve with.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// The authority cannot be used.
    Pki(PkiError),
    /// The files cannot be read or written.
    State(StateError),
    /// The TLS library refuses what we made: a bug.
    Library(rustls::Error),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pki(error) => error.fmt(f),
            Self::State(error) => error.fmt(f),
            Self::Library(error) => {
                write!(f, "TLS cannot be set up; this is a bug, please report it: {error}")
            }
        }
    }
}

impl std::error::Error for TlsError {}

impl From<StateError> for TlsError {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

/// The certificate in use. Cheap to share; a new one is used by the next handshake.
#[derive(Debug)]
pub struct Certificate(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// What was set up at the start.
#[derive(Debug)]
pub struct Tls {
    /// For the handshakes.
    pub config: Arc<ServerConfig>,
    /// What phones are asked to trust.
    pub ca: CaInfo,
    /// Whether the authority was made just now.
    pub ca_is_new: bool,
    /// Names of the settings that the certificate lacks, since the authority may not vouch for them.
    pub names_left_out: Vec<DnsName>,
    certificate: Arc<Certificate>,
    renewal: Renewal,
}

/// Reads or makes the authority and the certificate.
///
/// # Errors
/// When the authority is damaged or the files cannot be used.
pub fn set_up(state: &StateDir, names: &[DnsName], clocks: &Clocks) -> Result<Tls, TlsError> {
    let plan = plan(state, names, clocks)?;
    let certificate = Arc::new(Certificate(RwLock::new(certified(&plan.leaf)?)));
    let resolver: Arc<dyn ResolvesServerCert> = Arc::<Certificate>::clone(&certificate);
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(TlsError::Library)?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A table of past sessions would tell who was here; a full handshake costs a phone one millisecond.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    let renewal = Renewal::new(&plan.leaf, plan.scope, clocks.now());
    Ok(Tls {
        config: Arc::new(config),
        ca: plan.ca,
        ca_is_new: plan.ca_is_new,
        names_left_out: plan.names_left_out,
        certificate,
        renewal,
    })
}

/// Looks after the certificate and the saved time, until the daemon ends.
pub async fn keep(mut tls: Tls, state: StateDir, names: Vec<DnsName>, clocks: Arc<Clocks>) {
    let mut looks = 0_u32;
    loop {
        tokio::time::sleep_until(clocks.at(tls.renewal.poll_timeout())).await;
        tls.renewal.handle_timeout(clocks.now());
        while let Some(effect) = tls.renewal.poll_effect() {
            match effect {
                Effect::Look => {
                    looks = looks.wrapping_add(1);
                    if looks.is_multiple_of(LOOKS_PER_SAVED_CLOCK) {
                        keep_clock(&state, &clocks);
                    }
                    let machine = host::identity(&names);
                    tls.renewal.handle_look(&machine, clocks.wall().now, clocks.now());
                }
                Effect::Issue(reason) => match renew(&mut tls, &state, &names, &clocks) {
                    Ok(()) => info!(?reason, "certificate renewed"),
                    Err(error) => warn!(%error, "the certificate could not be renewed; trying again"),
                },
            }
        }
    }
}

/// Keeps the time for the next start, where this machine's own clock may know less.
pub fn keep_clock(state: &StateDir, clocks: &Clocks) {
    if state.write_clock(clocks.wall().now).is_err() {
        warn!("the time could not be saved in the state directory");
    }
}

fn renew(tls: &mut Tls, state: &StateDir, names: &[DnsName], clocks: &Clocks) -> Result<(), TlsError> {
    let plan = plan(state, names, clocks)?;
    let fresh = certified(&plan.leaf)?;
    *tls.certificate.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    tls.renewal.handle_issued(&plan.leaf, clocks.now());
    Ok(())
}

fn plan(state: &StateDir, names: &[DnsName], clocks: &Clocks) -> Result<Plan, TlsError> {
    let identity = host::identity(names);
    let plan =
        pki::plan(&state.read_pki()?, &identity, clocks.wall().now, BUILD_TIME).map_err(TlsError::Pki)?;
    state.write_pki(&plan.writes)?;
    Ok(plan)
}

fn certified(leaf: &Leaf) -> Result<Arc<CertifiedKey>, TlsError> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf.key.to_vec()));
    let chain = vec![CertificateDer::from(leaf.certificate.clone())];
    let key =
        CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(TlsError::Library)?;
    Ok(Arc::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leak_guard::LeakGuard;

    fn shown(tls: &Tls) -> Vec<u8> {
        let key = tls.certificate.0.read().expect("not poisoned");
        key.cert.first().expect("a certificate").to_vec()
    }

    #[test]
    fn a_renewed_certificate_is_shown_by_the_next_handshake_and_kept() {
        let _guard = LeakGuard::install();
        let dir = std::env::temp_dir().join(format!("bulle-tls-{}", std::process::id()));
        let state = StateDir::open(&dir).expect("a directory");
        let names: Vec<DnsName> = DnsName::parse("bulle.local").into_iter().collect();
        let clocks = Clocks::new(None);
        let mut tls = set_up(&state, &names, &clocks).expect("a first start");
        let (ca, before) = (tls.ca.clone(), shown(&tls));
        // Nothing is due, so nothing changes; without its file the certificate is made again.
        renew(&mut tls, &state, &names, &clocks).expect("a look");
        assert_eq!(shown(&tls), before);
        std::fs::remove_file(dir.join("server.crt")).expect("removed");
        renew(&mut tls, &state, &names, &clocks).expect("a renewal");
        let after = shown(&tls);
        assert_ne!(after, before);
        drop(state);
        let state = StateDir::open(&dir).expect("a directory");
        let again = set_up(&state, &names, &clocks).expect("a second start");
        assert_eq!((again.ca.clone(), shown(&again)), (ca, after));
        std::fs::remove_dir_all(dir).expect("removed");
    }
}
