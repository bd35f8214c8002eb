//! `bulle serve`: puts the parts together, waits for the end, and takes them apart again.

mod connection;
mod greet;
mod reload;
mod services;
mod signals;

pub use reload::Reread;

use crate::accept::{self, Gate, ListenError};
use crate::clocks::{CLOCK_TOLD, Clocks, SYNCHRONIZED};
use crate::control::{self, Control, Figures, Order};
use crate::host::AddressChanges;
use crate::http::explain::{self, Explanation};
use crate::http::page::{self, Page};
use crate::hub::{Hub, TurnDesk};
use crate::live::Live;
use crate::memory::{self, Arena};
use crate::session::peer::Peers;
use crate::session::poll::Polls;
use crate::state::{StateDir, StateError};
use crate::tls::{self, TlsError};
use crate::turn::{self, TurnConfig, TurnError, TurnHandle};
use crate::{metrics, notify, pressure};
use appliance_core::settings::Settings;
use connection::Behind;
use greet::Found;
use rand_core::OsRng;
use relay_core::mailbox::{self, Rate, Ttls};
use relay_core::turn::{CredentialSecret, Credentials, Limits};
use services::{Ports, Services};
use signals::{Signals, Wish};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

/// How long a TLS handshake may take.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// How long the sessions get to hear the goodbye.
pub const STOP_TIME: Duration = Duration::from_secs(3);
/// Orders of the control socket and of collectors that wait.
const ORDERS: usize = 4;

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

/// Serves until it is asked to stop. With `reread`, SIGHUP reads the settings again; without, it stops as well.
///
/// # Errors
/// When it cannot start.
pub fn serve(settings: Settings, reread: Option<Reread>) -> Result<(), ServeError> {
    let hardening = memory::harden();
    if hardening.core_dumps || hardening.attachable {
        warn!("this system does not let bulle forbid core dumps and debuggers");
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(ServeError::System)?;
    let result = runtime.block_on(run(&Live::new(settings), reread));
    // Tasks that are left hold nothing that matters.
    runtime.shutdown_background();
    result
}

async fn run(live: &Arc<Live>, reread: Option<Reread>) -> Result<(), ServeError> {
    let settings = &*live.settings();
    let mut signals = Signals::new(reread.is_some()).map_err(ServeError::System)?;
    let https = listen("http.https", &settings.https)?;
    let redirect = listen("http.redirect", &settings.redirect)?;

    let state = StateDir::open(&settings.state_dir).map_err(ServeError::State)?;
    let clocks = Arc::new(Clocks::new(state.read_clock()).believing(clock_signs(settings)));
    // Before the authority: when that is complete, the controller of a box keeps all that is there.
    let peer = tls::peer_certificate(&state).map_err(ServeError::Tls)?;
    let mut tls = tls::set_up(&state, live, &clocks).map_err(ServeError::Tls)?;
    let behind = clocks.wall().behind;
    if behind > 0 {
        warn!(
            behind_s = behind,
            "this machine's clock is behind what is known to have passed, so that is used instead; if the clock is \
             right, delete the files `clock` and `server.crt` in the state directory"
        );
    }
    tls::keep_clock(&mut tls, &state, &clocks, false);

    let arena = usize::try_from(settings.limits.mailbox).ok().and_then(NonZeroUsize::new);
    let arena = arena.ok_or_else(|| ServeError::Memory(io::ErrorKind::InvalidInput.into()))?;
    let arena = Arena::new(arena).map_err(ServeError::Memory)?;
    if !arena.is_locked() {
        warn!(
            "messages may be swapped to disk: the limit for locked memory is too low (LimitMEMLOCK, ulimit -l)"
        );
    }
    let counted = listen("metrics.listen", &settings.metrics)?;
    // Before anybody is told where it is: who knows that may ask at once.
    let control = Control::open(state.path());
    if let Err(error) = &control {
        warn!(kind = ?error.kind(), "there is no control socket, so `bulle dump` and `bulle purge` do not work");
    }
    let (turn, desk) = turn(settings, &clocks)?.unzip();
    let turn_port = turn.as_ref().and_then(|turn| turn.listening().first()).map_or(0, SocketAddr::port);
    let hub = Hub::new(mailbox_config(settings, turn_port), arena, desk, Arc::clone(&clocks));
    let ports = Ports { http: port(&redirect), https: port(&https) };
    // From before the first of them can have news.
    let mut changes = live.changed();
    let mut addresses = AddressChanges::listen();
    let mut services = Services::start(live, &clocks, ports).await.map_err(ServeError::Listen)?;

    let (stop, stopped) = watch::channel(false);
    let limits = &settings.limits;
    let gate = Gate::new(limits.connections as usize, limits.connections_per_address as usize);
    let peers =
        Peers::start(Arc::clone(&hub), Arc::clone(live), &peer, limits.connections_per_address as usize);
    let peers = peers.map_err(ServeError::Listen)?;
    let found = Found {
        https: &https,
        redirect: &redirect,
        metrics: &counted,
        services: &services,
        peers: &peers,
        tls: &tls,
        state: &state,
    };
    greet::greet(live, &found).map_err(ServeError::System)?;

    let polls = Polls::new(Arc::clone(&hub), limits.connections_per_address as usize);
    let pages = page::router(Page {
        hub: Arc::clone(&hub),
        peers: Arc::clone(&peers),
        polls: Arc::clone(&polls),
        clocks: Arc::clone(&clocks),
        live: Arc::clone(live),
        claims: services.claims(),
        portal: services.portal(),
        certificates: Arc::clone(&tls.certificates),
    });
    let acceptor = TlsAcceptor::from(Arc::clone(&tls.config));
    let behind = Behind { acceptor, pages, turn: turn.as_ref().map(TurnHandle::intake) };
    for listener in https {
        let (behind, stopped) = (behind.clone(), stopped.clone());
        let serve = move |stream, permit| connection::secure(behind.clone(), stream, permit, stopped.clone());
        tokio::spawn(accept::take(listener, Arc::clone(&gate), stop.subscribe(), serve));
    }
    let explanations = explain::router(Explanation {
        ca: tls.ca.clone(),
        https_port: ports.https,
        live: Arc::clone(live),
        portal: services.portal(),
    });
    for listener in redirect {
        let (explanations, stopped) = (explanations.clone(), stopped.clone());
        let serve =
            move |stream, permit| connection::plain(stream, explanations.clone(), permit, stopped.clone());
        tokio::spawn(accept::take(listener, Arc::clone(&gate), stop.subscribe(), serve));
    }
    let (orders, mut ordered) = mpsc::channel(ORDERS);
    let collectors = Gate::new(metrics::CONNECTIONS, metrics::CONNECTIONS);
    for listener in counted {
        let router = metrics::router(orders.clone());
        let serve = move |stream, permit| metrics::serve(stream, router.clone(), permit);
        tokio::spawn(accept::take(listener, Arc::clone(&collectors), stop.subscribe(), serve));
    }
    tokio::spawn(Arc::clone(&hub).keep_time());
    tokio::spawn(notify::keep_alive(Arc::clone(&hub)));
    tokio::spawn(pressure::watch(Arc::clone(&hub), Arc::clone(&gate), Arc::clone(&clocks)));
    let control = control.ok().map(|control| tokio::spawn(control.serve(Arc::clone(&hub), orders.clone())));
    info!("started");
    notify::ready();

    loop {
        tokio::select! {
            wish = signals.next() => match (wish, &reread) {
                (Wish::Reload, Some(reread)) => {
                    notify::reloading();
                    reload::reload(live, reread);
                    services.follow().await;
                    tls::follow(&mut tls, &state, live, &clocks);
                    notify::ready();
                }
                (Wish::Purge, _) => {
                    let (hub, orders) = (Arc::clone(&hub), orders.clone());
                    tokio::spawn(async move { control::panic(&hub, &orders).await });
                }
                (Wish::Stop, _) | (Wish::Reload, None) => break,
            },
            Some(order) = ordered.recv() => match order {
                Order::Forget(done) => {
                    services.forget();
                    turn.iter().for_each(TurnHandle::clear);
                    let _ = done.send(());
                }
                Order::Figures(reply) => {
                    let figures = Figures {
                        mailbox: hub.counters(),
                        turn: turn.as_ref().map(TurnHandle::counters),
                        names: services.names_counted(),
                        tables: services.tables(
                            (gate.count(), peers.count(), polls.count()),
                            hub.turn_accounts(),
                        ),
                    };
                    let _ = reply.send(figures);
                }
            },
            _ = changes.changed() => {
                services.follow().await;
                tls::follow(&mut tls, &state, live, &clocks);
            }
            () = addresses.next() => tls::follow(&mut tls, &state, live, &clocks),
            () = tokio::time::sleep_until(tls::poll_timeout(&tls, &clocks)) => {
                tls::handle_timeout(&mut tls, &state, live, &clocks);
            }
        }
    }
    notify::stopping();
    info!("stopping");
    if let Some(control) = control {
        control.abort();
        // Its file goes when the task has.
        let _ = control.await;
    }
    tls::keep_clock(&mut tls, &state, &clocks, true);
    drop((turn, services));
    let _ = stop.send(true);
    hub.stop();
    tokio::select! {
        gone = timeout(STOP_TIME, hub.emptied()) => {
            if gone.is_err() {
                info!("some sessions did not say goodbye in time");
            }
        }
        () = signals.stop() => info!("asked twice"),
    }
    // Whatever came in between is overwritten as well.
    hub.stop();
    info!("stopped");
    Ok(())
}

/// What shows that somebody who knows has set this machine's clock.
fn clock_signs(settings: &Settings) -> Vec<PathBuf> {
    let told = settings.controller.runtime.as_ref().map(|runtime| runtime.join(CLOCK_TOLD));
    told.into_iter().chain([PathBuf::from(SYNCHRONIZED)]).collect()
}

/// STUN and TURN with a secret that lives as long as this run, and who mints and ends credentials for it.
fn turn(settings: &Settings, clocks: &Arc<Clocks>) -> Result<Option<(TurnHandle, TurnDesk)>, ServeError> {
    let wanted = &settings.turn;
    if wanted.listen.is_empty() {
        return Ok(None);
    }
    let secret = CredentialSecret::random(&mut OsRng);
    let config = TurnConfig {
        listen: wanted.listen.clone(),
        relay_ports: wanted.ports.first..=wanted.ports.last,
        external: wanted.external.clone(),
        limits: turn_limits(settings),
        ..TurnConfig::default()
    };
    let handle = turn::spawn(config, secret.clone(), Arc::clone(clocks)).map_err(ServeError::Turn)?;
    let desk = TurnDesk { credentials: Credentials::new(secret), revoker: handle.revoker() };
    Ok(Some((handle, desk)))
}

fn turn_limits(settings: &Settings) -> Limits {
    let limits = &settings.limits;
    Limits {
        allocations: usize::try_from(limits.allocations).unwrap_or(usize::MAX),
        allocations_per_account: limits.allocations_per_session,
        allocations_per_source: limits.allocations_per_address,
        bandwidth: settings.turn.bandwidth,
    }
}

fn mailbox_config(settings: &Settings, turn_port: u16) -> mailbox::Config {
    let limits = &settings.limits;
    mailbox::Config {
        turn_port,
        sessions: limits.sessions,
        idle: limits.idle,
        ttl: Ttls::at_most(limits.retention),
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
