//! The UDP socket: an answer leaves from the address that was asked, whichever of the machine's that is.

use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, Socket as Raw, Type};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Room for datagrams that wait while we are busy, as far as the system grants it.
const BUFFER: usize = 1 << 20;
/// What came as one train is one read; a train is as long as the longest datagram of IP.
const SLOT: usize = 1 << 16;
/// Trains that one read brings at most.
const SLOTS: usize = 8;

/// One socket. `[::]` takes IPv4 too.
pub(super) struct Socket {
    socket: UdpSocket,
    state: UdpSocketState,
    is_v6: bool,
}

impl Socket {
    /// Binds it.
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        let raw = Raw::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            raw.set_only_v6(!address.ip().is_unspecified())?;
        }
        raw.set_nonblocking(true)?;
        // The system caps what it grants, and works with less.
        let _ = raw.set_recv_buffer_size(BUFFER);
        let _ = raw.set_send_buffer_size(BUFFER);
        raw.bind(&address.into())?;
        let state = UdpSocketState::new(UdpSockRef::from(&raw))?;
        Ok(Self { socket: UdpSocket::from_std(raw.into())?, state, is_v6: address.is_ipv6() })
    }

    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Waits for datagrams.
    pub(super) async fn receive(&self, inbound: &mut Inbound) -> io::Result<()> {
        inbound.filled = 0;
        let mut room = inbound.buffer.chunks_exact_mut(SLOT);
        let mut slices: [IoSliceMut<'_>; SLOTS] =
            std::array::from_fn(|_| IoSliceMut::new(room.next().unwrap_or_default()));
        let meta = &mut inbound.meta;
        inbound.filled = self
            .socket
            .async_io(Interest::READABLE, || {
                self.state.recv(UdpSockRef::from(&self.socket), &mut slices, meta)
            })
            .await?;
        Ok(())
    }

    /// Sends a datagram from that address of ours. What does not fit into the socket, or has no way, is lost, as on
    /// any network.
    pub(super) fn send(&self, bytes: &[u8], from: Option<IpAddr>, to: SocketAddr) {
        let destination = match to.ip() {
            IpAddr::V4(v4) if self.is_v6 => SocketAddr::new(v4.to_ipv6_mapped().into(), to.port()),
            IpAddr::V4(_) | IpAddr::V6(_) => to,
        };
        let transmit = Transmit { destination, ecn: None, contents: bytes, segment_size: None, src_ip: from };
        let _ = self
            .socket
            .try_io(Interest::WRITABLE, || self.state.try_send(UdpSockRef::from(&self.socket), &transmit));
    }
}

/// Where datagrams are received into.
pub(super) struct Inbound {
    buffer: Vec<u8>,
    meta: [RecvMeta; SLOTS],
    filled: usize,
}

impl Inbound {
    pub(super) fn new() -> Self {
        // Pages that no datagram ever fills are never had.
        Self { buffer: vec![0; SLOT * SLOTS], meta: [RecvMeta::default(); SLOTS], filled: 0 }
    }

    /// What was received, datagram by datagram: its bytes, who sent it, to which address of ours.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = (&[u8], SocketAddr, Option<IpAddr>)> {
        let slots = self.buffer.chunks_exact(SLOT).zip(&self.meta).take(self.filled);
        slots.flat_map(|(bytes, meta)| {
            let bytes = bytes.get(..meta.len).unwrap_or_default();
            let stride = if meta.stride == 0 { bytes.len() } else { meta.stride };
            let from = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
            let to = meta.dst_ip.map(|ip| ip.to_canonical());
            bytes.chunks(stride.max(1)).map(move |datagram| (datagram, from, to))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks at `to`; gives the address that the answer came from.
    async fn answered_from(at: SocketAddr, to: IpAddr) -> SocketAddr {
        let socket = Socket::bind(at).expect("bound");
        let port = socket.local_addr().expect("an address").port();
        let own: SocketAddr = if to.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" }.parse().expect("one");
        let client = UdpSocket::bind(own).await.expect("bound");
        client.send_to(b"ask", (to, port)).await.expect("sent");
        let mut inbound = Inbound::new();
        socket.receive(&mut inbound).await.expect("received");
        let (bytes, from, local) = inbound.datagrams().next().expect("one");
        assert_eq!((bytes, from), (&b"ask"[..], client.local_addr().expect("an address")));
        socket.send(b"answer", local, from);
        let mut answer = [0; 16];
        let (length, source) = client.recv_from(&mut answer).await.expect("received");
        assert_eq!(answer.get(..length), Some(&b"answer"[..]));
        source
    }

    #[tokio::test]
    async fn an_answer_leaves_from_the_address_that_was_asked() {
        for (at, to) in [
            ("127.0.0.1:0", "127.0.0.1"),
            ("0.0.0.0:0", "127.0.0.7"),
            ("[::]:0", "127.0.0.7"),
            ("[::]:0", "::1"),
        ] {
            let to = to.parse().expect("an address");
            assert_eq!(answered_from(at.parse().expect("an address"), to).await.ip(), to, "{at}");
        }
    }
}
