//! Sockets: how they are made, and how a failure is told.

use std::io;
use std::net::SocketAddr;

use mio::net::UdpSocket;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use relay_core::turn::BindError;
use socket2::{Domain, Protocol, Socket, Type};

use super::TurnError;

/// Room for datagrams that wait while the thread is busy, as far as the system grants it.
const SERVER_BUFFER: usize = 4 << 20;
/// Files that the rest of the daemon needs beside relay sockets.
const OTHER_FILES: u64 = 1024;

/// Binds one UDP socket to one address. IPv6 sockets carry IPv6 only.
pub(super) fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(UdpSocket::from_std(socket.into()))
}

/// The same for a socket that clients send to.
pub(super) fn bind_server(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = bind(address)?;
    let buffers = socket2::SockRef::from(&socket);
    // The system caps what it grants, and works with less.
    let _ = buffers.set_recv_buffer_size(SERVER_BUFFER);
    let _ = buffers.set_send_buffer_size(SERVER_BUFFER);
    Ok(socket)
}

/// Why the server cannot listen, in the operator's words.
pub(super) fn listen_error(error: io::Error, port: u16) -> TurnError {
    if error.kind() == io::ErrorKind::AddrInUse {
        TurnError::PortInUse { port }
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        TurnError::PortNotAllowed { port }
    } else if error.kind() == io::ErrorKind::AddrNotAvailable {
        TurnError::NoSuchAddress { port }
    } else {
        TurnError::Host(error)
    }
}

/// Why a relayed transport address cannot be bound, in the machine's words.
pub(super) fn relay_error(error: &io::Error) -> BindError {
    if error.kind() == io::ErrorKind::AddrInUse { BindError::PortInUse } else { BindError::Unavailable }
}

/// Each relayed transport address is a file: asks the system for as many as the limits allow.
pub(super) fn raise_file_limit(relays: usize) {
    let wanted = OTHER_FILES + relays as u64;
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < wanted
    {
        // With fewer files there are fewer allocations, each refused with 508.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard);
    }
}
