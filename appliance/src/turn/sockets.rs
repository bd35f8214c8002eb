//! Sockets: how they are made, how whole batches go in and out of them, and how a failure is told.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mio::event::Source;
use mio::net::{TcpListener, UdpSocket};
use mio::{Interest, Registry, Token};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::UdpGroSegment;
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use relay_core::turn::BindError;
use socket2::{Domain, Protocol, Socket, Type};

use super::TurnError;

/// Room for datagrams that wait while the thread is busy, as far as the system grants it.
const SERVER_BUFFER: usize = 4 << 20;
/// Streams that wait in the kernel.
const BACKLOG: i32 = 128;
/// Files that the rest of the daemon needs beside relay sockets.
const OTHER_FILES: u64 = 1024;

/// What the system can do with trains at one address of this machine.
///
/// It is asked with a socket of its own that is gone afterwards: the library sets up what it is given for QUIC, which
/// wants to be told the time, the address and the class of each datagram, and lets none be cut. What we relay is
/// cut as for any other program, and being told costs time for each datagram.
pub(super) fn trains(address: IpAddr) -> io::Result<Arc<UdpSocketState>> {
    let asked =
        Socket::new(Domain::for_address(SocketAddr::new(address, 0)), Type::DGRAM, Some(Protocol::UDP))?;
    asked.bind(&SocketAddr::new(address, 0).into())?;
    Ok(Arc::new(UdpSocketState::new(UdpSockRef::from(&asked))?))
}

/// A UDP socket that takes and gives whole batches: what came as one train from the network card (GRO) is one
/// read, and what goes to one place as one train (GSO) is one write.
pub(super) struct Port {
    socket: UdpSocket,
    /// Shared by all sockets of one address: what one of them learns of the way there holds for all.
    trains: Arc<UdpSocketState>,
    /// Datagrams, or trains of them, that are asked for at once: as many as came the last times.
    slots: usize,
}

impl Port {
    /// Binds one UDP socket to one address. IPv6 sockets carry IPv6 only.
    pub(super) fn bind(address: SocketAddr, trains: Arc<UdpSocketState>) -> io::Result<Self> {
        let kind = Type::DGRAM.nonblocking();
        let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // A system without trains works with single datagrams.
        let _ = setsockopt(&socket, UdpGroSegment, &true);
        socket.bind(&address.into())?;
        Ok(Self { socket: UdpSocket::from_std(socket.into()), trains, slots: FEWEST_SLOTS })
    }

    /// The same for a socket that clients send to.
    pub(super) fn bind_server(address: SocketAddr) -> io::Result<Self> {
        let port = Self::bind(address, trains(address.ip())?)?;
        let buffers = socket2::SockRef::from(&port.socket);
        // The system caps what it grants, and works with less.
        let _ = buffers.set_recv_buffer_size(SERVER_BUFFER);
        let _ = buffers.set_send_buffer_size(SERVER_BUFFER);
        Ok(port)
    }

    /// What the system can do with trains at its address.
    pub(super) fn trains(&self) -> Arc<UdpSocketState> {
        Arc::clone(&self.trains)
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.socket.register(registry, token, Interest::READABLE)
    }

    /// Datagrams that may go to one place as one train.
    pub(super) fn longest_train(&self) -> usize {
        self.trains.max_gso_segments()
    }

    /// Sends datagrams of `segment` bytes each, of which the last may be shorter, to one place. What does not fit
    /// into the socket, or has no way, is lost, as on any network; says whether all of it fitted.
    pub(super) fn send(&self, bytes: &[u8], segment: usize, to: SocketAddr) -> bool {
        if bytes.len() > segment {
            let transmit = Transmit {
                destination: to,
                ecn: None,
                contents: bytes,
                segment_size: Some(segment),
                src_ip: None,
            };
            match self.trains.try_send(UdpSockRef::from(&self.socket), &transmit) {
                Ok(()) => return true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => {}
            }
            // A network card or a link that does not take trains: one by one.
        }
        let empty = bytes.is_empty().then_some(bytes);
        bytes.chunks(segment.max(1)).chain(empty).fold(true, |fitted, datagram| {
            let sent = self.socket.send_to(datagram, to);
            fitted && !sent.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        })
    }
}

/// Listens for streams at one address. IPv6 sockets carry IPv6 only.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Trains are at least read in pairs, so that one read of a single datagram tells that there is no other.
const FEWEST_SLOTS: usize = 2;
/// The most that one system call brings.
const MOST_SLOTS: usize = 32;
/// A train is as long as the longest datagram of IP.
const SLOT: usize = 1 << 16;

/// Where datagrams are received into, and who sent them.
pub(super) struct Inbound {
    buffer: Vec<u8>,
    meta: [RecvMeta; MOST_SLOTS],
    filled: usize,
}

impl Inbound {
    pub(super) fn new() -> Self {
        // Pages that no datagram ever fills are never had.
        Self { buffer: vec![0; SLOT * MOST_SLOTS], meta: [RecvMeta::default(); MOST_SLOTS], filled: 0 }
    }

    /// Receives what waits, up to a batch; says whether the socket may have more.
    ///
    /// # Errors
    /// Those of the socket, `WouldBlock` when nothing waits.
    pub(super) fn fill(&mut self, port: &mut Port) -> io::Result<bool> {
        self.filled = 0;
        let mut room = self.buffer.chunks_exact_mut(SLOT);
        let mut slices: [IoSliceMut<'_>; MOST_SLOTS] =
            std::array::from_fn(|_| IoSliceMut::new(room.next().unwrap_or_default()));
        let slots = port.slots.clamp(FEWEST_SLOTS, MOST_SLOTS);
        let slices = slices.get_mut(..slots).unwrap_or_default();
        self.filled = port.trains.recv(UdpSockRef::from(&port.socket), slices, &mut self.meta)?;
        let more = self.filled == slots;
        if more {
            port.slots = slots * 2;
        } else if self.filled < slots / 4 {
            port.slots = slots / 2;
        }
        Ok(more)
    }

    /// What was received, datagram by datagram.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = (&[u8], SocketAddr)> {
        let slots = self.buffer.chunks_exact(SLOT).zip(&self.meta).take(self.filled);
        slots.flat_map(|(bytes, meta)| {
            let bytes = bytes.get(..meta.len).unwrap_or_default();
            let empty = bytes.is_empty().then_some(bytes);
            let stride = if meta.stride == 0 { bytes.len() } else { meta.stride };
            bytes.chunks(stride.max(1)).chain(empty).map(|datagram| (datagram, meta.addr))
        })
    }
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

#[cfg(test)]
mod tests {
    use nix::sys::socket::getsockopt;
    use nix::sys::socket::sockopt::{IpRecvTos, Ipv4PacketInfo, ReceiveTimestampns};

    use super::*;

    #[test]
    fn sockets_take_trains_and_are_told_nothing_else() {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let port = Port::bind(address, trains(address.ip()).unwrap()).unwrap();
        assert!(getsockopt(&port.socket, UdpGroSegment).unwrap());
        assert!(!getsockopt(&port.socket, Ipv4PacketInfo).unwrap());
        assert!(!getsockopt(&port.socket, IpRecvTos).unwrap());
        assert!(!getsockopt(&port.socket, ReceiveTimestampns).unwrap());
    }
}
