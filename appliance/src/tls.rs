//! Shows the certificates, and renews ours while the daemon runs.
//!
//! `appliance_core::pki` decides; this reads and writes the files and swaps what the handshakes show: the
//! operator's own certificate ([`supplied`]) to those who ask for a name that it covers, ours to all others.

mod supplied;
#[cfg(test)]
mod tests;

pub use supplied::SuppliedFileError;

use crate::clocks::{BUILD_TIME, Clocks};
use crate::live::Live;
use crate::state::{StateDir, StateError};
use appliance_core::clock;
use appliance_core::names::DnsName;
use appliance_core::pki::{
    self, CaInfo, Effect, Identity, Leaf, PEER_FILE, PeerCertificate, PkiError, Plan, Renewal,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use supplied::Loaded;
use tracing::{info, warn};

/// How a client says that it speaks TURN behind TLS (RFC 7443).
pub const TURN_PROTOCOL: &[u8] = b"stun.turn";

/// Why there is no certificate to serve with.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// The authority cannot be used.
    Pki(PkiError),
    /// The operator's certificate cannot be used.
    Supplied(SuppliedFileError),
    /// The files cannot be read or written.
    State(StateError),
    /// The TLS library refuses what we made: a bug.
    Library(rustls::Error),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pki(error) => error.fmt(f),
            Self::Supplied(error) => error.fmt(f),
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

/// The certificates in use. Cheap to share; a new one is used by the next handshake.
#[derive(Debug)]
pub struct Certificates {
    own: RwLock<Arc<CertifiedKey>>,
    supplied: RwLock<Option<Loaded>>,
}

impl Certificates {
    /// Whether the operator's certificate vouches for that name: others than our own authority trust it.
    #[must_use]
    pub fn is_supplied_for(&self, name: &DnsName) -> bool {
        self.supplied().as_ref().is_some_and(|supplied| supplied.certificate.covers(name))
    }

    fn supplied(&self) -> RwLockReadGuard<'_, Option<Loaded>> {
        self.supplied.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().and_then(DnsName::parse);
        if let (Some(name), Some(supplied)) = (name, self.supplied().as_ref())
            && supplied.certificate.covers(&name)
        {
            return Some(Arc::clone(&supplied.key));
        }
        Some(Arc::clone(&self.own.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// What was set up at the start.
#[derive(Debug)]
pub struct Tls {
    /// For the handshakes.
    pub config: Arc<ServerConfig>,
    /// What the handshakes show.
    pub certificates: Arc<Certificates>,
    /// What phones are asked to trust.
    pub ca: CaInfo,
    /// Whether the authority was made just now.
    pub ca_is_new: bool,
    /// What the operator should know: names and certificates that will be refused, and why.
    pub warnings: Vec<String>,
    renewal: Renewal,
    saved_clock: Option<base::UnixSeconds>,
}

/// Reads or makes the authority and the certificate, and reads the operator's.
///
/// # Errors
/// When one of them cannot be used, or the files cannot.
pub fn set_up(state: &StateDir, live: &Live, clocks: &Clocks) -> Result<Tls, TlsError> {
    let settings = live.settings();
    let supplied = match &settings.certificate {
        Some(files) => Loaded::read(files, None).map_err(TlsError::Supplied)?,
        None => None,
    };
    // What is older than our own certificate is not now.
    if let Some(moment) = pki::made_at(&state.read_pki()?) {
        clocks.raise(moment);
    }
    let names = live.names();
    let plan = plan(state, &live.identity(), clocks)?;
    let mut warnings = left_out(&plan);
    warnings.extend(supplied.iter().flat_map(|loaded| loaded.warnings(&names, clocks.wall().now)));
    let certificates =
        Arc::new(Certificates { own: RwLock::new(certified(&plan.leaf)?), supplied: RwLock::new(supplied) });
    let resolver: Arc<dyn ResolvesServerCert> = Arc::<Certificates>::clone(&certificates);
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(TlsError::Library)?
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"http/1.1".to_vec(), TURN_PROTOCOL.to_vec()];
    // A table of past sessions would tell who was here; a full handshake costs a phone one millisecond.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    let renewal = Renewal::new(&plan.leaf, plan.scope, clocks.now());
    Ok(Tls {
        config: Arc::new(config),
        certificates,
        ca: plan.ca,
        ca_is_new: plan.ca_is_new,
        warnings,
        renewal,
        saved_clock: state.read_clock(),
    })
}

/// By what phones know this box as a WebRTC peer: what was kept, or a new one, which is kept from now on.
///
/// # Errors
/// When it cannot be made, or the files cannot be used.
pub fn peer_certificate(state: &StateDir) -> Result<PeerCertificate, TlsError> {
    let kept = state.read_peer()?;
    if let Some(kept) = &kept {
        if let Some(certificate) = PeerCertificate::read(kept) {
            return Ok(certificate);
        }
        warn!(
            "the file {PEER_FILE} in the state directory is damaged, so it was made anew; invitations from before know \
             another box, and whoever joins by them uses plain requests where a WebSocket is refused"
        );
    }
    let (certificate, file) = PeerCertificate::generate().map_err(TlsError::Pki)?;
    state.write_peer(&file)?;
    Ok(certificate)
}

/// When [`handle_timeout`] should be called.
#[must_use]
pub fn poll_timeout(tls: &Tls, clocks: &Clocks) -> tokio::time::Instant {
    clocks.at(tls.renewal.poll_timeout())
}

/// Looks after the certificates and the saved time. Time has come.
pub fn handle_timeout(tls: &mut Tls, state: &StateDir, live: &Live, clocks: &Clocks) {
    tls.renewal.handle_timeout(clocks.now());
    carry_out(tls, state, live, clocks);
}

/// Settings or names have changed.
pub fn follow(tls: &mut Tls, state: &StateDir, live: &Live, clocks: &Clocks) {
    look(tls, state, live, clocks);
    carry_out(tls, state, live, clocks);
}

fn carry_out(tls: &mut Tls, state: &StateDir, live: &Live, clocks: &Clocks) {
    while let Some(effect) = tls.renewal.poll_effect() {
        match effect {
            Effect::Look => look(tls, state, live, clocks),
            Effect::Issue(reason) => match renew(tls, state, &live.identity(), clocks) {
                Ok(()) => info!(?reason, "certificate renewed"),
                Err(error) => warn!(%error, "the certificate could not be renewed; trying again"),
            },
        }
    }
}

/// Looks at everything that a certificate depends on.
fn look(tls: &mut Tls, state: &StateDir, live: &Live, clocks: &Clocks) {
    let told = clocks.look();
    reread(tls, live, clocks);
    // Whoever told the time may not be there after a power cut.
    keep_clock(tls, state, clocks, told);
    tls.renewal.handle_look(&live.identity(), clocks.wall().now, clocks.now());
}

/// Takes the operator's certificate again where its files changed.
fn reread(tls: &Tls, live: &Live, clocks: &Clocks) {
    let settings = live.settings();
    let replace = |with| *tls.certificates.supplied.write().unwrap_or_else(PoisonError::into_inner) = with;
    let Some(files) = &settings.certificate else {
        if tls.certificates.supplied().is_some() {
            replace(None);
        }
        return;
    };
    let read = Loaded::read(files, tls.certificates.supplied().as_ref());
    match read {
        Ok(None) => {}
        Ok(Some(loaded)) => {
            for warning in loaded.warnings(&live.names(), clocks.wall().now) {
                warn!("{warning}");
            }
            replace(Some(loaded));
            info!("the operator's certificate was read again");
        }
        Err(error) => warn!(%error, "the certificate that is served stays"),
    }
}

/// Keeps the time for the next start, where it is worth a write; of less a difference `for_good`: nobody knows it better
/// afterwards.
pub fn keep_clock(tls: &mut Tls, state: &StateDir, clocks: &Clocks, for_good: bool) {
    let now = clocks.wall().now;
    if !clock::is_worth_saving(now, tls.saved_clock, for_good) {
        return;
    }
    match state.write_clock(now) {
        Ok(()) => tls.saved_clock = Some(now),
        Err(_) => warn!("the time could not be saved in the state directory"),
    }
}

fn renew(tls: &mut Tls, state: &StateDir, machine: &Identity, clocks: &Clocks) -> Result<(), TlsError> {
    let plan = plan(state, machine, clocks)?;
    let fresh = certified(&plan.leaf)?;
    *tls.certificates.own.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    tls.renewal.handle_issued(&plan.leaf, clocks.now());
    Ok(())
}

fn plan(state: &StateDir, machine: &Identity, clocks: &Clocks) -> Result<Plan, TlsError> {
    let plan =
        pki::plan(&state.read_pki()?, machine, clocks.wall().now, BUILD_TIME).map_err(TlsError::Pki)?;
    state.write_pki(&plan.writes)?;
    Ok(plan)
}

fn left_out(plan: &Plan) -> Vec<String> {
    let over = plan.ca_is_over.then(|| {
        "the certificate authority in ca.crt has expired by the clock of this machine; if that clock is right, delete \
         ca.crt and ca.key: a new authority is then made, and every phone must be told to trust it"
            .to_owned()
    });
    let names = plan.names_left_out.iter().map(|name| {
        format!(
            "{name} is not in the certificate, since the authority was made before that name was set. \
             To change that, delete ca.crt and ca.key; every phone must then trust the new authority."
        )
    });
    over.into_iter().chain(names).collect()
}

fn certified(leaf: &Leaf) -> Result<Arc<CertifiedKey>, TlsError> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf.key.to_vec()));
    let chain = vec![CertificateDer::from(leaf.certificate.clone())];
    let key =
        CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(TlsError::Library)?;
    Ok(Arc::new(key))
}
