//! Flows of packets between two ends, with the server under measurement in the middle.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base::Instant;
use phones::clock::Clock;
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};

use super::client::{Allocation, Login};
use super::servers::{ADDRESS, BINDING_REQUEST, Kind, Running, client_address};

/// Application bytes of a packet.
pub const PAYLOAD: usize = 1000;
/// The channel of every allocation.
pub const CHANNEL: u16 = 0x4000;
/// A packet that has not come by then is lost.
const LOST: Duration = Duration::from_millis(200);
/// Packets under way at once: fewer than any socket holds.
const UNDER_WAY: usize = 64;
/// Packets per second of a client beside one that floods.
const CALM: u32 = 1_000;
/// Packets of a burst.
pub const BURST: usize = 32;

/// One end of a flow.
#[derive(Debug)]
pub struct End {
    socket: UdpSocket,
    /// What it sends.
    packet: Vec<u8>,
    // The allocation lasts as long as the flow.
    _allocation: Option<Allocation>,
}

/// Both ends.
#[derive(Debug)]
pub struct Flow {
    /// The client.
    pub near: End,
    /// The peer, or another client.
    pub far: End,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Packets that arrived.
    pub arrived: u64,
    /// Packets that did not.
    pub lost: u64,
    /// How long the way took, of each that arrived, in microseconds; where that is asked for.
    pub delays: Vec<f64>,
}

impl End {
    fn new(socket: UdpSocket, channel: bool, allocation: Option<Allocation>) -> Result<Self> {
        socket.set_read_timeout(Some(LOST))?;
        let mut packet = Vec::new();
        if channel {
            packet.extend(CHANNEL.to_be_bytes());
            packet.extend(u16::try_from(PAYLOAD)?.to_be_bytes());
        }
        packet.resize(packet.len() + PAYLOAD, 7);
        Ok(Self { socket, packet, _allocation: allocation })
    }
}

/// Flows from clients to peers. `first` counts the allocations that were made before.
///
/// # Errors
/// When the server refuses.
pub fn to_peers(kind: Kind, running: &Running, first: usize, count: usize) -> Result<Vec<Flow>> {
    (first..first + count)
        .map(|number| {
            let local = SocketAddr::from((client_address(number), 0));
            let peer = UdpSocket::bind(local)?;
            let peer_address = peer.local_addr()?;
            let near = if kind.is_turn() {
                let mut allocation = Allocation::new(local, ADDRESS, running.login(number)?)?;
                allocation.bind(CHANNEL, peer_address)?;
                peer.connect(allocation.relayed)?;
                End::new(allocation.socket.try_clone()?, true, Some(allocation))?
            } else {
                let socket = UdpSocket::bind(local)?;
                socket.connect(ADDRESS)?;
                peer.connect(register(&socket, peer_address)?)?;
                End::new(socket, false, None)?
            };
            Ok(Flow { near, far: End::new(peer, false, None)? })
        })
        .collect()
}

/// Flows between clients of the same server. `first` counts the allocations that were made before.
///
/// # Errors
/// When the server refuses.
pub fn between_clients(running: &Running, first: usize, count: usize) -> Result<Vec<Flow>> {
    (0..count)
        .map(|number| {
            let local = SocketAddr::from((client_address(number), 0));
            let mut one = Allocation::new(local, ADDRESS, running.login(first + 2 * number)?)?;
            let mut other = Allocation::new(local, ADDRESS, running.login(first + 2 * number + 1)?)?;
            one.bind(CHANNEL, other.relayed)?;
            other.bind(CHANNEL, one.relayed)?;
            Ok(Flow {
                near: End::new(one.socket.try_clone()?, true, Some(one))?,
                far: End::new(other.socket.try_clone()?, true, Some(other))?,
            })
        })
        .collect()
}

/// Tells a bare forwarder where a client's packets go; where its peer reaches it.
fn register(socket: &UdpSocket, peer: SocketAddr) -> Result<SocketAddr> {
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket.send(format!("\u{0}{peer}").as_bytes())?;
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer).context("the forwarder does not answer")?;
    Ok(std::str::from_utf8(buffer.get(..length).unwrap_or_default())?.parse()?)
}

/// Sends `packets` packets as fast as they go through without loss: some are always under way.
///
/// # Errors
/// Those of the sockets.
pub fn saturate(flows: &[Flow], backwards: bool, packets: u64) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut buffer = [0; 2048];
    let mut first = 0;
    while outcome.arrived + outcome.lost < packets {
        let round =
            || (first..first + UNDER_WAY.min(flows.len())).filter_map(|at| flows.get(at % flows.len()));
        for flow in round() {
            let from = if backwards { &flow.far } else { &flow.near };
            from.socket.send(&from.packet)?;
        }
        for flow in round() {
            let to = if backwards { &flow.near } else { &flow.far };
            match to.socket.recv(&mut buffer) {
                Ok(length) if length >= PAYLOAD => outcome.arrived += 1,
                _ => outcome.lost += 1,
            }
        }
        first = (first + UNDER_WAY) % flows.len();
    }
    Ok(outcome)
}

/// Sends `packets` packets one by one, `per_second` of them, and takes the time of each.
///
/// # Errors
/// Those of the sockets.
pub fn paced(flows: &[Flow], per_second: u32, packets: u64) -> Result<Outcome> {
    paced_beside(flows, per_second, packets, || ())
}

/// The same, and something else whenever there is nothing to do.
fn paced_beside(flows: &[Flow], per_second: u32, packets: u64, mut beside: impl FnMut()) -> Result<Outcome> {
    for flow in flows {
        flow.far.socket.set_nonblocking(true)?;
    }
    let gap = Duration::from_secs(1) / per_second;
    let mut outcome = Outcome::default();
    let mut under_way: VecDeque<(usize, Instant)> = VecDeque::new();
    let mut buffer = [0; 2048];
    let clock = Clock::start();
    let passed = |since: Instant| clock.now().saturating_duration_since(since);
    let mut sent = 0_u64;
    while sent < packets || !under_way.is_empty() {
        if sent < packets && passed(Instant::ZERO) >= gap * u32::try_from(sent)? {
            let at = usize::try_from(sent)? % flows.len();
            if let Some(flow) = flows.get(at) {
                flow.near.socket.send(&flow.near.packet)?;
                under_way.push_back((at, clock.now()));
            }
            sent += 1;
        }
        let Some((at, left)) = under_way.front().copied() else {
            beside();
            continue;
        };
        let Some(flow) = flows.get(at) else { continue };
        match flow.far.socket.recv(&mut buffer) {
            Ok(_) => {
                outcome.arrived += 1;
                outcome.delays.push(passed(left).as_secs_f64() * 1e6);
                under_way.pop_front();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if passed(left) > LOST {
                    outcome.lost += 1;
                    under_way.pop_front();
                }
                beside();
            }
            Err(error) => return Err(error.into()),
        }
    }
    for flow in flows {
        flow.far.socket.set_nonblocking(false)?;
    }
    Ok(outcome)
}

/// Sends bursts of packets that leave as one train each, to the far end or back.
///
/// # Errors
/// Those of the sockets.
pub fn bursts(flows: &[Flow], packets: u64) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut buffer = vec![0; 1 << 16];
    let ends: Vec<_> = flows
        .iter()
        .map(|flow| {
            let train: Vec<u8> = flow.near.packet.repeat(BURST);
            let sending = UdpSocketState::new(UdpSockRef::from(&flow.near.socket))?;
            let receiving = UdpSocketState::new(UdpSockRef::from(&flow.far.socket))?;
            flow.far.socket.set_nonblocking(false)?;
            ensure!(sending.max_gso_segments() >= BURST, "this kernel sends no trains (GSO)");
            Ok((flow, train, sending, receiving))
        })
        .collect::<Result<_>>()?;
    while outcome.arrived + outcome.lost < packets {
        for (flow, train, sending, _) in &ends {
            let transmit = Transmit {
                destination: ADDRESS,
                ecn: None,
                contents: train,
                segment_size: Some(flow.near.packet.len()),
                src_ip: None,
            };
            sending.try_send(UdpSockRef::from(&flow.near.socket), &transmit)?;
        }
        for (flow, _, _, receiving) in &ends {
            let mut arrived = 0;
            while arrived < BURST {
                let mut meta = [RecvMeta::default()];
                let socket = UdpSockRef::from(&flow.far.socket);
                match receiving.recv(socket, &mut [IoSliceMut::new(&mut buffer)], &mut meta) {
                    Ok(_) => arrived += meta[0].len.div_ceil(meta[0].stride.max(1)),
                    Err(_) => break,
                }
            }
            outcome.arrived += arrived as u64;
            outcome.lost += (BURST - arrived.min(BURST)) as u64;
        }
    }
    Ok(outcome)
}

/// A client that sends more than a server can relay: trains, whose packets go to two peers by turns, so that they are
/// cheap to send and each costs the server its whole way.
#[derive(Debug)]
pub struct Flood {
    socket: UdpSocket,
    sending: UdpSocketState,
    train: Vec<u8>,
    segment: usize,
    // Nobody reads what comes there.
    _peers: [UdpSocket; 2],
    _allocation: Allocation,
}

impl Flood {
    /// A client with a login of its own.
    ///
    /// # Errors
    /// When the server refuses, or the kernel sends no trains.
    pub fn new(login: &Login) -> Result<Self> {
        let local = SocketAddr::from((client_address(0), 0));
        let mut allocation = Allocation::new(local, ADDRESS, login)?;
        let peers = [UdpSocket::bind(local)?, UdpSocket::bind(local)?];
        let mut train = Vec::new();
        for (peer, channel) in peers.iter().zip(CHANNEL..) {
            allocation.bind(channel, peer.local_addr()?)?;
            train.extend(channel.to_be_bytes());
            train.extend(u16::try_from(PAYLOAD)?.to_be_bytes());
            train.resize(train.len() + PAYLOAD, 7);
        }
        let segment = train.len() / peers.len();
        let train = train.repeat(BURST / peers.len());
        let socket = allocation.socket.try_clone()?;
        let sending = UdpSocketState::new(UdpSockRef::from(&socket))?;
        ensure!(sending.max_gso_segments() >= BURST, "this kernel sends no trains (GSO)");
        Ok(Self { socket, sending, train, segment, _peers: peers, _allocation: allocation })
    }

    fn send(&self) {
        let transmit = Transmit {
            destination: ADDRESS,
            ecn: None,
            contents: &self.train,
            segment_size: Some(self.segment),
            src_ip: None,
        };
        // A socket that is full is what a flood is.
        let _ = self.sending.try_send(UdpSockRef::from(&self.socket), &transmit);
    }
}

/// A flow of a thousand packets per second, while another client floods. What becomes of the flow.
///
/// # Errors
/// Those of the sockets.
pub fn flooded(calm: &[Flow], flood: &Flood, seconds: u32) -> Result<Outcome> {
    paced_beside(calm, CALM, u64::from(CALM) * u64::from(seconds), || flood.send())
}

/// Microseconds from having a login until the first packet has come through: an allocation, a channel, a packet.
///
/// # Errors
/// When the server refuses, or the packet does not come.
pub fn first_relayed(login: &Login) -> Result<f64> {
    let local = SocketAddr::from((client_address(0), 0));
    let peer = UdpSocket::bind(local)?;
    peer.set_read_timeout(Some(Duration::from_secs(5)))?;
    let address = peer.local_addr()?;
    let clock = Clock::start();
    let mut allocation = Allocation::new(local, ADDRESS, login)?;
    allocation.bind(CHANNEL, address)?;
    let end = End::new(allocation.socket.try_clone()?, true, None)?;
    end.socket.send(&end.packet)?;
    peer.recv(&mut [0; PAYLOAD]).context("the first packet does not come")?;
    Ok(clock.now().saturating_duration_since(Instant::ZERO).as_secs_f64() * 1e6)
}

/// Asks for its own address so many times, 64 at once.
///
/// # Errors
/// Those of the sockets.
pub fn bindings(requests: u64) -> Result<Outcome> {
    let sockets = (0..UNDER_WAY)
        .map(|number| {
            let socket = UdpSocket::bind((client_address(number), 0))?;
            socket.connect(ADDRESS)?;
            socket.set_read_timeout(Some(LOST))?;
            Ok(socket)
        })
        .collect::<Result<Vec<_>>>()?;
    let mut request = BINDING_REQUEST;
    let mut outcome = Outcome::default();
    let mut buffer = [0; 256];
    while outcome.arrived + outcome.lost < requests {
        request[8..12].copy_from_slice(&u32::try_from(outcome.arrived + outcome.lost)?.to_be_bytes());
        for socket in &sockets {
            socket.send(&request)?;
        }
        for socket in &sockets {
            match socket.recv(&mut buffer) {
                Ok(_) => outcome.arrived += 1,
                Err(_) => outcome.lost += 1,
            }
        }
    }
    Ok(outcome)
}
