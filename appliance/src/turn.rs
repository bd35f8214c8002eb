//! The driver of the TURN server: sockets, one thread, one clock. It moves bytes and decides nothing.
//!
//! It never binds a wildcard. Where it is asked to, it binds each address of the machine and follows their coming
//! and going, so that an answer leaves from the address that the client has reached, and the relayed transport
//! address is one that the client can reach as well.
//!
//! The thread wakes for packets, for the machine's next deadline, and every [`RESCAN`] to look at the addresses.
//!
//! ```text
//! sockets ──batch──▶ event_loop ──datagram──▶ machine ──Forward──▶ wires ──train──▶ sockets
//! ```

mod addresses;
mod event_loop;
mod pace;
mod sockets;
mod streams;
mod train;
mod wires;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{fmt, io};

use mio::Waker;
use relay_core::turn::{
    Account, Counters, CredentialSecret, DEFAULT_RELAY_PORTS, FiveTuple, Limits, Transport,
};
use thiserror::Error;

use self::event_loop::{Command, EventLoop};
use crate::clocks::Clocks;

/// The port of STUN and TURN (RFC 8656, section 16).
pub const DEFAULT_PORT: u16 = 3478;
/// How often the addresses of the machine are looked at.
pub const RESCAN: Duration = Duration::from_secs(2);

/// Settings of the driver.
#[derive(Clone, Debug)]
pub struct TurnConfig {
    /// Where to listen. `0.0.0.0` stands for all IPv4 addresses of this machine, `[::]` for all its addresses.
    pub listen: Vec<SocketAddr>,
    /// Ports of relayed transport addresses.
    pub relay_ports: RangeInclusive<u16>,
    /// Addresses that clients are told, where they are not those that clients reach: the first of each family.
    pub external: Vec<IpAddr>,
    /// How many allocations.
    pub limits: Limits,
    /// Addresses that no client may reach through the box, besides those that nobody ever may.
    pub denied_peers: Vec<IpAddr>,
    /// For tests on one machine only: lets clients reach every service on loopback.
    pub dangerous_allow_loopback_peers: bool,
}

impl Default for TurnConfig {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, DEFAULT_PORT))],
            relay_ports: DEFAULT_RELAY_PORTS,
            external: Vec::new(),
            limits: Limits::default(),
            denied_peers: Vec::new(),
            dangerous_allow_loopback_peers: false,
        }
    }
}

/// Why the TURN server did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TurnError {
    /// Another program listens there.
    #[error("port {port} is taken by another program; stop that program, or choose another port for TURN")]
    PortInUse {
        /// The port.
        port: u16,
    },
    /// Ports below 1024 need a privilege.
    #[error("port {port} may not be used without privileges; choose a port above 1023 for TURN")]
    PortNotAllowed {
        /// The port.
        port: u16,
    },
    /// A configured address is not one of this machine.
    #[error(
        "this machine does not have the address that TURN should listen on (port {port}); use one that it has"
    )]
    NoSuchAddress {
        /// The port that goes with it.
        port: u16,
    },
    /// Nothing to listen on.
    #[error("this machine has no address to listen on for TURN; connect a network, or name an address")]
    NoAddress,
    /// The operating system said no.
    #[error("the operating system did not let TURN start")]
    Host(#[from] io::Error),
}

/// A running TURN server. Dropping it stops the server and frees all allocations.
pub struct TurnHandle {
    line: Line,
    counters: Arc<Mutex<Counters>>,
    listening: Vec<SocketAddr>,
    thread: Option<JoinHandle<()>>,
}

impl TurnHandle {
    /// Where it listens, as of its start: never an unspecified address.
    pub fn listening(&self) -> &[SocketAddr] {
        &self.listening
    }

    /// What has been counted, as of the last time that the thread went to sleep.
    pub fn counters(&self) -> Counters {
        self.counters.lock().map(|counters| counters.clone()).unwrap_or_default()
    }

    /// Ends a credential before its time: its allocations are freed, and it makes no more.
    pub fn revoke(&self, username: &str) {
        self.line.say(Command::Revoke(username.to_owned().into()));
    }

    /// Where clients are brought to whose TLS somebody else takes off.
    pub fn intake(&self) -> Intake {
        Intake(self.line.clone())
    }

    /// Where accounts are ended.
    pub fn revoker(&self) -> Revoker {
        Revoker(self.line.clone())
    }

    /// Frees all allocations at once.
    pub fn clear(&self) {
        self.line.say(Command::Clear);
    }

    /// Stops the server and waits until its sockets are closed.
    pub fn shut_down(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        self.line.say(Command::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic in there was printed by its own thread.
            let _ = thread.join();
        }
    }
}

/// How the thread is told.
#[derive(Clone)]
struct Line {
    commands: Sender<Command>,
    waker: Arc<Waker>,
}

impl Line {
    fn say(&self, command: Command) {
        // Both fail only when the thread has ended, and then there is nothing left to do.
        if self.commands.send(command).is_ok() {
            let _ = self.waker.wake();
        }
    }
}

/// Ends accounts before their time: their allocations are freed, and their credentials make no more.
#[derive(Clone)]
pub struct Revoker(Line);

impl Revoker {
    /// Ends this one.
    pub fn revoke(&self, account: Account) {
        self.0.say(Command::RevokeAccount(account));
    }
}

impl fmt::Debug for Revoker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Revoker(..)")
    }
}

/// Takes streams of TURN clients.
#[derive(Clone)]
pub struct Intake(Line);

impl Intake {
    /// Hands over one end of a pair whose other end carries the bytes of the client. It is closed when there is no
    /// room, and when the client breaks the protocol.
    pub fn hand_over(&self, stream: UnixStream, client: SocketAddr, server: SocketAddr) {
        self.0.say(Command::Stream(stream, FiveTuple::new(client, server, Transport::Tls)));
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Intake(..)")
    }
}

impl Drop for TurnHandle {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for TurnHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnHandle").field("sockets", &self.listening.len()).finish_non_exhaustive()
    }
}

/// Binds the sockets and starts the server on a thread of its own. `secret` and `clocks` are shared with whoever
/// mints credentials.
///
/// # Errors
/// When a socket cannot be bound; the error says which port, and what to do.
pub fn spawn(
    config: TurnConfig,
    secret: CredentialSecret,
    clocks: Arc<Clocks>,
) -> Result<TurnHandle, TurnError> {
    let (commands, inbox) = channel();
    let counters = Arc::new(Mutex::new(Counters::default()));
    let event_loop = EventLoop::new(config, secret, clocks, inbox, Arc::clone(&counters))?;
    let waker = event_loop.waker();
    let listening = event_loop.listening();
    let thread = std::thread::Builder::new().name("turn".to_owned()).spawn(move || event_loop.run())?;
    Ok(TurnHandle { line: Line { commands, waker }, counters, listening, thread: Some(thread) })
}

#[cfg(test)]
mod tests;
