//! Takes connections and hands them on, within limits: how many in all, how many from one address, and how long
//! a handshake may take.
//!
//! Invariant: an address is kept only while a connection from it is open, in memory, to be counted; it is never
//! logged. A refused connection costs the others nothing.

use base::Private;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tracing::warn;

/// Connections that wait for [`take`] in the kernel.
const BACKLOG: i32 = 1024;
/// How long to rest when the system is out of descriptors or memory.
const REST: Duration = Duration::from_millis(100);

/// Why an address could not be listened on.
#[derive(Debug)]
pub struct ListenError {
    /// The key of the settings that names it.
    pub key: &'static str,
    /// The address, as the operator gave it.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, address, source } = self;
        write!(f, "cannot listen on {address} (`{key}`): ")?;
        let port = address.port();
        let kind = source.kind();
        if kind == io::ErrorKind::AddrInUse {
            write!(
                f,
                "port {port} is in use by another program; stop that program, or choose another port in `{key}`"
            )
        } else if kind == io::ErrorKind::PermissionDenied {
            write!(
                f,
                "port {port} needs a privilege; choose a port from 1024 up in `{key}`, or grant CAP_NET_BIND_SERVICE"
            )
        } else if kind == io::ErrorKind::AddrNotAvailable {
            write!(f, "this machine does not have that address; correct `{key}`")
        } else {
            write!(f, "{source}; correct `{key}`")
        }
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Opens a listening socket; `[::]` takes IPv4 too.
///
/// # Errors
/// When the system refuses.
pub fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, ListenError> {
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(!address.ip().is_unspecified())?;
        }
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    open().map_err(|source| ListenError { key, address, source })
}

/// Opens a listening socket on an address that this machine may get only later.
///
/// # Errors
/// When the system refuses.
pub fn listen_early(key: &'static str, address: SocketAddr) -> Result<TcpListener, ListenError> {
    let open = || {
        let socket = early_socket(address, Type::STREAM, Protocol::TCP)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    open().map_err(|source| ListenError { key, address, source })
}

/// A socket that can be bound to an address that this machine does not have yet.
///
/// # Errors
/// When the system refuses.
pub fn early_socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
        socket.set_freebind_v6(true)?;
    } else {
        socket.set_freebind_v4(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// How many connections there may be.
#[derive(Debug)]
pub struct Gate {
    total: usize,
    per_source: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    /// At most [`Gate::total`] entries, since each stands for an open connection.
    sources: HashMap<Private<IpAddr>, usize>,
}

/// The right to one connection; dropping it gives it back.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    source: Private<IpAddr>,
}

impl Gate {
    /// With that many connections in all, and that many from one source.
    #[must_use]
    pub fn new(total: usize, per_source: usize) -> Arc<Self> {
        Arc::new(Self { total, per_source, open: Mutex::default() })
    }

    /// One more connection; `None` when there are enough.
    #[must_use]
    pub fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Permit> {
        let source = Private::new(source(peer));
        let mut open = self.open();
        if open.total >= self.total {
            return None;
        }
        let count = open.sources.entry(source).or_default();
        if *count >= self.per_source {
            return None;
        }
        *count += 1;
        open.total += 1;
        Some(Permit { gate: Arc::clone(self), source })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.open().total
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.gate.open();
        open.total = open.total.saturating_sub(1);
        if let Entry::Occupied(mut entry) = open.sources.entry(self.source) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

/// Whom to count a connection for: an IPv4 address, or the /64 that one IPv6 subscriber has to himself.
pub(crate) fn source(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() >> 64 << 64).into()),
    }
}

/// Takes connections until `stop` turns true, and gives each, with the right to
/// exist, to `serve` in a task of its own.
pub async fn take<F, S>(listener: TcpListener, gate: Arc<Gate>, mut stop: watch::Receiver<bool>, serve: S)
where
    S: Fn(TcpStream, Permit) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                // Beyond the limit the connection is closed at once: a browser says so and can try again.
                let Some(permit) = gate.admit(peer.ip()) else { continue };
                let _ = stream.set_nodelay(true);
                tokio::spawn(serve(stream, permit));
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                warn!(kind = ?error.kind(), "no connection can be taken for the moment");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// The client went away before we got to it.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_source_beyond_its_limit_is_refused_and_others_are_not() {
        let gate = Gate::new(3, 2);
        let first = gate.admit(ip("10.0.0.1"));
        let _second = gate.admit(ip("::ffff:10.0.0.1"));
        assert!(gate.admit(ip("10.0.0.1")).is_none());
        let _other = gate.admit(ip("10.0.0.2")).expect("another source has room");
        assert!(gate.admit(ip("10.0.0.3")).is_none(), "the whole is full");
        drop(first);
        assert!(gate.admit(ip("10.0.0.1")).is_some());
    }

    #[test]
    fn a_source_is_forgotten_with_its_last_connection() {
        let gate = Gate::new(8, 8);
        drop((gate.admit(ip("2001:db8::1")), gate.admit(ip("2001:db8::2"))));
        assert_eq!(gate.count(), 0);
        assert!(gate.open().sources.is_empty());
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_source() {
        let gate = Gate::new(8, 1);
        let _one = gate.admit(ip("2001:db8::1"));
        assert!(gate.admit(ip("2001:db8::2")).is_none());
        assert!(gate.admit(ip("2001:db8:0:1::2")).is_some());
    }

    #[test]
    fn nothing_of_an_address_is_printed() {
        let gate = Gate::new(8, 1);
        let permit = gate.admit(ip("192.0.2.77"));
        assert!(!format!("{gate:?} {permit:?}").contains("192"));
    }
}
