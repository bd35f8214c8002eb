//! `bulle serve`: puts the parts together, waits for the end, and takes them apart again.

use crate::accept::{self, Gate, ListenError, Permit};
use crate::clocks::Clocks;
use crate::http::explain::{self, Explanation};
use crate::http::headers::Host;
use crate::http::page::{self, Page};
use crate::hub::Hub;
use crate::memory::{self, Arena};
use crate::state::{StateDir, StateError};
use crate::tls::{self, TlsError};
use crate::turn::{self, TurnConfig, TurnError, TurnHandle};
use crate::{VERSION, host, http};
use appliance_core::settings::Settings;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rand_core::OsRng;
use relay_core::mailbox::{self, Rate};
use relay_core::turn::{CredentialSecret, Credentials};
use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tower_service::Service;
use tracing::{info, warn};

/// How long a TLS handshake may take.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// How long the sessions get to hear the goodbye.
pub const STOP_TIME: Duration = Duration::from_secs(3);

/// Why the daemon did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServeError {
    /// An address cannot be listened on.
    Listen(ListenError),
    /// The state directory cannot be used.
    State(StateError),
    /// There is no certificate to serve with.
    Tls(TlsError),
    /// STUN and TURN cannot be served.
    Turn(TurnError),
    /// There is no memory for envelopes.
    Memory(io::Error),
    /// The system refused something that every program needs.
    System(io::Error),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(error) => error.fmt(f),
            Self::State(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
            Self::Turn(error) => write!(f, "cannot serve STUN and TURN (`turn.listen`): {error}"),
            Self::Memory(error) => {
                write!(f, "cannot reserve the memory of `limits.mailbox`: {error}; choose a smaller size")
            }
            Self::System(error) => write!(f, "the system refuses to run bulle: {error}"),
        }
    }
}

impl std::error::Error for ServeError {}

/// Serves until it is asked to stop.
///
/// # Errors
/// When it cannot start.
pub fn serve(settings: &Settings) -> Result<(), ServeError> {
    let hardening = memory::harden();
    if hardening.core_dumps || hardening.attachable {
        warn!("this system does not let bulle forbid core dumps and debuggers");
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(ServeError::System)?;
    let result = runtime.block_on(run(settings));
    // Tasks that are left hold nothing that matters.
    runtime.shutdown_background();
    result
}

async fn run(settings: &Settings) -> Result<(), ServeError> {
    let mut signals = Signals::new().map_err(ServeError::System)?;
    let https = listen("http.https", &settings.https)?;
    let redirect = listen("http.redirect", &settings.redirect)?;

    let state = StateDir::open(&settings.state_dir).map_err(ServeError::State)?;
    let clocks = Arc::new(Clocks::new(state.read_clock()));
    let behind = clocks.wall().behind;
    if behind > 0 {
        warn!(
            behind_s = behind,
            "this machine's clock is behind what is known to have passed, so that is used instead; if the clock is \
             right, delete the file `clock` in the state directory"
        );
    }
    let tls = tls::set_up(&state, &settings.names, &clocks).map_err(ServeError::Tls)?;
    tls::keep_clock(&state, &clocks);

    let arena = usize::try_from(settings.limits.mailbox).ok().and_then(NonZeroUsize::new);
    let arena = arena.ok_or_else(|| ServeError::Memory(io::ErrorKind::InvalidInput.into()))?;
    let arena = Arena::new(arena).map_err(ServeError::Memory)?;
    if !arena.is_locked() {
        warn!(
            "messages may be swapped to disk: the limit for locked memory is too low (LimitMEMLOCK, ulimit -l)"
        );
    }
    let (turn, credentials) = turn(settings, &clocks)?.unzip();
    let turn_port = turn.as_ref().and_then(|turn| turn.listening().first()).map_or(0, SocketAddr::port);
    let hub = Hub::new(mailbox_config(settings, turn_port), arena, credentials, Arc::clone(&clocks));

    let (stop, stopped) = watch::channel(false);
    let limits = &settings.limits;
    let gate = Gate::new(limits.connections as usize, limits.connections_per_address as usize);
    let explanation = Explanation {
        ca: tls.ca.clone(),
        https_port: port(&https),
        fallback: settings.names.first().map_or_else(
            || Host::at(std::net::Ipv4Addr::LOCALHOST.into(), port(&https)),
            |name| Host::named(name.clone(), port(&https)),
        ),
    };
    greet(settings, &tls, &https, &redirect, &state).map_err(ServeError::System)?;

    let pages = page::router(Page {
        hub: Arc::clone(&hub),
        clocks: Arc::clone(&clocks),
        security_contact: settings.security_contact.clone(),
    });
    let acceptor = TlsAcceptor::from(Arc::clone(&tls.config));
    for listener in https {
        let (acceptor, pages, stopped) = (acceptor.clone(), pages.clone(), stopped.clone());
        let serve =
            move |stream, permit| secure(acceptor.clone(), stream, pages.clone(), permit, stopped.clone());
        tokio::spawn(accept::take(listener, Arc::clone(&gate), stop.subscribe(), serve));
    }
    let explanations = explain::router(explanation);
    for listener in redirect {
        let (explanations, stopped) = (explanations.clone(), stopped.clone());
        let serve = move |stream, permit| plain(stream, explanations.clone(), permit, stopped.clone());
        tokio::spawn(accept::take(listener, Arc::clone(&gate), stop.subscribe(), serve));
    }
    tokio::spawn(Arc::clone(&hub).keep_time());
    let certificate = tokio::spawn(tls::keep(tls, state, settings.names.clone(), clocks));
    info!("started");

    signals.wait().await;
    info!("stopping");
    certificate.abort();
    drop(turn);
    let _ = stop.send(true);
    hub.stop();
    tokio::select! {
        gone = timeout(STOP_TIME, hub.emptied()) => {
            if gone.is_err() {
                info!("some sessions did not say goodbye in time");
            }
        }
        () = signals.wait() => info!("asked twice"),
    }
    // Whatever came in between is overwritten as well.
    hub.stop();
    info!("stopped");
    Ok(())
}

/// STUN and TURN with a secret that lives as long as this run, and who mints credentials for it.
fn turn(settings: &Settings, clocks: &Arc<Clocks>) -> Result<Option<(TurnHandle, Credentials)>, ServeError> {
    let wanted = &settings.turn;
    if wanted.listen.is_empty() {
        return Ok(None);
    }
    let secret = CredentialSecret::random(&mut OsRng);
    let config = TurnConfig {
        listen: wanted.listen.clone(),
        relay_ports: wanted.ports.first..=wanted.ports.last,
        external: wanted.external.clone(),
        ..TurnConfig::default()
    };
    let handle = turn::spawn(config, secret.clone(), Arc::clone(clocks)).map_err(ServeError::Turn)?;
    Ok(Some((handle, Credentials::new(secret))))
}

fn mailbox_config(settings: &Settings, turn_port: u16) -> mailbox::Config {
    let limits = &settings.limits;
    mailbox::Config {
        turn_port,
        sessions: limits.sessions,
        idle: limits.idle,
        frames: Rate {
            amount: limits.frames_per_second,
            per: Duration::from_secs(1),
            burst: limits.frames_burst,
        },
        ..mailbox::Config::default()
    }
}

fn listen(key: &'static str, addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, ServeError> {
    addresses
        .iter()
        .map(|address| accept::listen(key, *address))
        .collect::<Result<_, _>>()
        .map_err(ServeError::Listen)
}

fn port(listeners: &[TcpListener]) -> u16 {
    listeners.first().and_then(|listener| listener.local_addr().ok()).map_or(0, |address| address.port())
}

/// One connection over TLS.
async fn secure(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    pages: Router,
    permit: Permit,
    stopped: watch::Receiver<bool>,
) {
    // Boxed, here and below, so that a session does not carry the state of handshakes for life.
    if let Ok(Ok(stream)) = timeout(HANDSHAKE_TIME, Box::pin(acceptor.accept(stream))).await {
        Box::pin(answer(stream, pages, permit, stopped)).await;
    }
}

/// One connection without TLS.
async fn plain(stream: TcpStream, pages: Router, permit: Permit, stopped: watch::Receiver<bool>) {
    Box::pin(answer(stream, pages, permit, stopped)).await;
}

async fn answer<S>(stream: S, pages: Router, permit: Permit, mut stopped: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // A session takes the permit along when it takes the connection over.
    let permit = Arc::new(permit);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&permit));
        let mut pages = pages.clone();
        async move { pages.call(request.map(Body::new)).await }
    });
    let connection = http::connection().serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = tokio::time::sleep(http::CONNECTION_TIME) => {}
        _ = stopped.wait_for(|stop| *stop) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(STOP_TIME, connection).await;
}

/// Tells whoever started it where it is.
fn greet(
    settings: &Settings,
    tls: &tls::Tls,
    https: &[TcpListener],
    redirect: &[TcpListener],
    state: &StateDir,
) -> io::Result<()> {
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
    for name in &settings.names {
        writeln!(out, "  page    https://{}/", Host::named(name.clone(), port(https)))?;
    }
    writeln!(out, "  CA      {}", tls.ca.fingerprint)?;
    writeln!(out, "  state   {}", state.path().display())?;
    if tls.ca_is_new {
        writeln!(out, "This box has just made its certificate authority; each phone has to trust it once.")?;
    }
    for name in &tls.names_left_out {
        writeln!(
            out,
            "Warning: {name} is not in the certificate, since the authority was made before that name was set. \
             To change that, delete ca.crt and ca.key; every phone must then trust the new authority."
        )?;
    }
    out.flush()
}

/// The ways in which a daemon is asked to stop.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    /// The terminal was closed.
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}
