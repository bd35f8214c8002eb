//! What relaying costs at least: datagrams of clients go to their peers and back, with no protocol at all.
//!
//!     bare-forwarder ADDRESS [--trains]
//!
//! A client says once where its datagrams go (a zero byte and the address), and is told where its peer reaches it.
//! With `--trains` whole trains are taken and given (GRO, GSO), else batches of datagrams.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a command that speaks to its caller")]

use std::collections::HashMap;
use std::io::IoSliceMut;
use std::net::SocketAddr;

use std::time::Duration;

use anyhow::{Context as _, Result};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::{RcvBuf, UdpGroSegment};
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};

const SERVER: Token = Token(usize::MAX - 1);
const SLOTS: usize = 32;
const SLOT: usize = 1 << 16;

struct Port {
    socket: UdpSocket,
    state: UdpSocketState,
}

impl Port {
    fn bind(address: SocketAddr, trains: bool) -> Result<Self> {
        let socket = UdpSocket::bind(address)?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        setsockopt(&socket, UdpGroSegment, &trains)?;
        Ok(Self { socket, state })
    }

    fn send(&self, bytes: &[u8], stride: usize, to: SocketAddr) {
        if bytes.len() > stride {
            let transmit = Transmit {
                destination: to,
                ecn: None,
                contents: bytes,
                segment_size: Some(stride),
                src_ip: None,
            };
            let _ = self.state.try_send(UdpSockRef::from(&self.socket), &transmit);
        } else {
            let _ = self.socket.send_to(bytes, to);
        }
    }
}

/// A client, and the socket that its peer sees.
struct Pair {
    client: SocketAddr,
    peer: SocketAddr,
    port: Port,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address: SocketAddr = arguments.next().context("bare-forwarder ADDRESS [--trains]")?.parse()?;
    let trains = arguments.next().is_some_and(|word| word == "--trains");
    let mut poll = Poll::new()?;
    let mut server = Port::bind(address, trains)?;
    setsockopt(&server.socket, RcvBuf, &(4 << 20))?;
    poll.registry().register(&mut server.socket, SERVER, Interest::READABLE)?;
    let mut pairs: Vec<Pair> = Vec::new();
    let mut by_client: HashMap<SocketAddr, usize> = HashMap::new();
    let mut buffer = vec![0; SLOTS * SLOT];
    let mut meta = [RecvMeta::default(); SLOTS];
    let mut events = Events::with_capacity(1024);
    let mut unfinished: Vec<Token> = Vec::new();
    println!("ready");
    loop {
        let wait = (!unfinished.is_empty()).then_some(Duration::ZERO);
        poll.poll(&mut events, wait)?;
        let ready: Vec<Token> =
            unfinished.drain(..).chain(events.iter().map(mio::event::Event::token)).collect();
        for token in ready {
            let from_clients = token == SERVER;
            let pair = pairs.get(token.0);
            let Some(port) = (if from_clients { Some(&server) } else { pair.map(|pair| &pair.port) }) else {
                continue;
            };
            // As many as may wait: all of the clients' packets come in at one socket, one peer's at another.
            let slots = if from_clients { SLOTS } else { 2 };
            let mut room = buffer.chunks_exact_mut(SLOT);
            let mut slices: [IoSliceMut<'_>; SLOTS] =
                std::array::from_fn(|_| IoSliceMut::new(room.next().unwrap_or_default()));
            let slices = slices.get_mut(..slots).unwrap_or_default();
            let Ok(received) = port.state.recv(UdpSockRef::from(&port.socket), slices, &mut meta) else {
                continue;
            };
            if received == slots {
                unfinished.push(token);
            }
            let mut newcomers = Vec::new();
            for (bytes, meta) in buffer.chunks_exact(SLOT).zip(&meta).take(received) {
                let bytes = bytes.get(..meta.len).unwrap_or_default();
                if !from_clients {
                    if let Some(pair) = pair {
                        server.send(bytes, meta.stride, pair.client);
                    }
                } else if let Some(pair) = by_client.get(&meta.addr).and_then(|at| pairs.get(*at)) {
                    pair.port.send(bytes, meta.stride, pair.peer);
                } else if let Some(peer) = peer_in(bytes) {
                    newcomers.push((meta.addr, peer));
                }
            }
            for (client, peer) in newcomers {
                let mut port = Port::bind(SocketAddr::new(address.ip(), 0), trains)?;
                poll.registry().register(&mut port.socket, Token(pairs.len()), Interest::READABLE)?;
                let seen = port.socket.local_addr()?;
                by_client.insert(client, pairs.len());
                pairs.push(Pair { client, peer, port });
                let _ = server.socket.send_to(seen.to_string().as_bytes(), client);
            }
        }
    }
}

fn peer_in(bytes: &[u8]) -> Option<SocketAddr> {
    std::str::from_utf8(bytes.strip_prefix(&[0])?).ok()?.parse().ok()
}
