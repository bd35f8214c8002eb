//! The driver of the name server: UDP and TCP sockets. It moves bytes, and `appliance_core::dns` decides.
//!
//! Each address of the settings has a socket of its own, so that an answer leaves from the address that was asked;
//! one that the box does not have yet is bound all the same, since a radio may come up after the daemon.

use crate::accept::{self, Gate, ListenError, Permit};
use crate::clocks::Clocks;
use appliance_core::dns::{Counters, LARGEST_QUERY, Responder, Transport, Zone};
use appliance_core::names::DnsName;
use appliance_core::prefix::Prefix;
use appliance_core::settings::{DnsSettings, Probes};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::warn;

/// The key of the settings that names the addresses.
const KEY: &str = "dns.listen";
/// Connections at a time: they serve the few answers that do not fit into a datagram.
const CONNECTIONS: usize = 64;
/// Connections at a time from one address.
const CONNECTIONS_PER_ADDRESS: usize = 8;
/// Queries on one connection.
const QUERIES_PER_CONNECTION: usize = 64;
/// How long a connection may wait for the rest of a query, or for the next one (RFC 7766 section 6.2.3).
const CONNECTION_IDLE: Duration = Duration::from_secs(10);
/// How often to look for a port that is free for both protocols, where any will do.
const TRIES: u32 = 8;
/// How long to rest when the system is out of memory.
const REST: Duration = Duration::from_millis(100);

/// A running name server. Dropping it closes its sockets.
pub struct NameServer {
    shared: Arc<Shared>,
    open: Vec<Listening>,
    _stop: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
}

struct Shared {
    responder: Mutex<Responder>,
    clocks: Arc<Clocks>,
    gate: Arc<Gate>,
}

struct Listening {
    /// As in the settings.
    wanted: SocketAddr,
    /// As it is.
    address: SocketAddr,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl NameServer {
    /// Opens the sockets.
    ///
    /// # Errors
    /// When the system refuses one.
    pub fn start(
        settings: &DnsSettings,
        names: Vec<DnsName>,
        probes: Probes,
        clocks: Arc<Clocks>,
    ) -> Result<Self, ListenError> {
        let responder =
            Responder::new(Zone::new(names, hosts(settings), probes), prefixes(settings), clocks.now());
        let gate = Gate::new(CONNECTIONS, CONNECTIONS_PER_ADDRESS);
        let shared = Arc::new(Shared { responder: Mutex::new(responder), clocks, gate });
        let (stop, stopped) = watch::channel(false);
        let mut server = Self { shared, open: Vec::new(), _stop: stop, stopped };
        for address in &settings.listen {
            server.listen(*address)?;
        }
        Ok(server)
    }

    /// Follows other settings or names. Sockets that stay are not touched.
    ///
    /// # Errors
    /// When the system refuses a new address; the others are served.
    pub async fn reconfigure(
        &mut self,
        settings: &DnsSettings,
        names: Vec<DnsName>,
        probes: Probes,
    ) -> Result<(), ListenError> {
        let zone = Zone::new(names, hosts(settings), probes);
        self.shared.responder().handle_settings(zone, prefixes(settings));
        let gone = self.open.extract_if(.., |open| !settings.listen.contains(&open.wanted)).collect();
        close(gone).await;
        let mut result = Ok(());
        for address in &settings.listen {
            if !self.open.iter().any(|open| open.wanted == *address) {
                result = self.listen(*address).and(result);
            }
        }
        result
    }

    /// Closes all sockets, and waits until they are.
    pub async fn shut_down(mut self) {
        close(std::mem::take(&mut self.open)).await;
    }

    /// Where it answers.
    pub fn listening(&self) -> impl Iterator<Item = SocketAddr> {
        self.open.iter().map(|open| open.address)
    }

    /// What has been answered, in numbers.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.shared.responder().counters()
    }

    /// Devices whose rates are watched.
    #[must_use]
    pub fn sources(&self) -> usize {
        self.shared.responder().sources()
    }

    /// Forgets who has asked.
    pub fn forget(&self) {
        self.shared.responder().forget();
    }

    fn listen(&mut self, wanted: SocketAddr) -> Result<(), ListenError> {
        let mut tries = 1..TRIES;
        let (socket, listener, address) = loop {
            match open(wanted) {
                // With port 0 both get the same, and somebody else may have it for the other protocol.
                Err(error) if wanted.port() == 0 && tries.next().is_some() => drop(error),
                result => break result?,
            }
        };
        let udp = tokio::spawn(answer_datagrams(socket, Arc::clone(&self.shared)));
        let tcp = tokio::spawn(take(listener, Arc::clone(&self.shared), self.stopped.clone()));
        self.open.push(Listening { wanted, address, tasks: [udp, tcp] });
        Ok(())
    }
}

impl fmt::Debug for NameServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameServer").field("sockets", &self.open.len()).finish_non_exhaustive()
    }
}

impl Shared {
    fn responder(&self) -> MutexGuard<'_, Responder> {
        self.responder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, packet: &[u8], from: IpAddr, transport: Transport) -> Option<Vec<u8>> {
        self.responder().handle_query(packet, from, transport, self.clocks.now())
    }
}

/// Waits until the sockets are closed, so that the addresses can be listened on again at once.
async fn close(mut gone: Vec<Listening>) {
    for listening in &mut gone {
        for task in &mut listening.tasks {
            task.abort();
            // That it was cancelled is what was asked for.
            let _ = task.await;
        }
    }
}

/// What the names of the box resolve to.
fn hosts(settings: &DnsSettings) -> Vec<IpAddr> {
    let mut hosts = Vec::new();
    for address in settings.listen.iter().map(SocketAddr::ip) {
        if !hosts.contains(&address) {
            hosts.push(address);
        }
    }
    hosts
}

fn prefixes(settings: &DnsSettings) -> Vec<Prefix> {
    if settings.prefixes.is_empty() {
        return hosts(settings).into_iter().map(Prefix::usual).collect();
    }
    settings.prefixes.clone()
}

/// Both sockets, on one port.
fn open(wanted: SocketAddr) -> Result<(UdpSocket, TcpListener, SocketAddr), ListenError> {
    let error = |source| ListenError { key: KEY, address: wanted, source };
    let socket = datagrams(wanted).map_err(error)?;
    let address = socket.local_addr().map_err(error)?;
    let listener = accept::listen_early(KEY, address)?;
    Ok((socket, listener, address))
}

fn datagrams(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = accept::early_socket(address, socket2::Type::DGRAM, socket2::Protocol::UDP)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

async fn answer_datagrams(socket: UdpSocket, shared: Arc<Shared>) {
    // One byte more than is looked at, so that a longer query is known to be longer.
    let mut buffer = [0; LARGEST_QUERY + 1];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) => {
                let packet = buffer.get(..length).unwrap_or_default();
                if let Some(answer) = shared.answer(packet, from.ip(), Transport::Udp) {
                    // A phone that has gone away, or a full queue: it will ask again.
                    let _ = socket.send_to(&answer, from).await;
                }
            }
            // What the network says about an earlier answer.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => {
                warn!(kind = ?error.kind(), "no query can be read for the moment");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

async fn take(listener: TcpListener, shared: Arc<Shared>, stopped: watch::Receiver<bool>) {
    let gate = Arc::clone(&shared.gate);
    let serve = |stream, permit| answer_connection(stream, permit, Arc::clone(&shared));
    accept::take(listener, gate, stopped, serve).await;
}

async fn answer_connection(mut stream: TcpStream, _permit: Permit, shared: Arc<Shared>) {
    let Ok(peer) = stream.peer_addr() else { return };
    for _ in 0..QUERIES_PER_CONNECTION {
        let turn = timeout(CONNECTION_IDLE, answer_one(&mut stream, peer.ip(), &shared)).await;
        if !matches!(turn, Ok(Ok(true))) {
            return;
        }
    }
}

/// One query, with its length before it (RFC 1035 section 4.2.2). False when there is nothing more to say.
async fn answer_one(stream: &mut TcpStream, from: IpAddr, shared: &Shared) -> io::Result<bool> {
    let length = usize::from(stream.read_u16().await?);
    if length > LARGEST_QUERY {
        return Ok(false);
    }
    let mut packet = vec![0; length];
    stream.read_exact(&mut packet).await?;
    let Some(answer) = shared.answer(&packet, from, Transport::Tcp) else { return Ok(false) };
    let length = u16::try_from(answer.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    stream.write_all(&[&length.to_be_bytes()[..], &answer].concat()).await?;
    Ok(true)
}
