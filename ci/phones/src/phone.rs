//! One phone: moves bytes between its client, the carrier to the node and its WebRTC connections.
//!
//! All that happens comes through one queue; after each input everything is drained, as the machines ask for.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use base::Instant;
use client_core::{
    ChannelEvent, Client, Command, Config, Event, LinkEvent, LinkState, PeerId, Transmit, TurnServer,
    UnixMillis,
};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::clock::{Clock, FAR, wall_ms};
use crate::conversation::Half;
use crate::rtc::{Peer, PeerEvent, Policy, Setup};
use crate::session::{self, CarrierEvent, Node};

/// Inputs that wait for the phone; a datagram that finds the queue full is dropped, as by a network.
const MAX_INPUTS: usize = 512;

/// The largest datagram that is read.
const MAX_DATAGRAM: usize = 2048;

/// After leaving, the last frames get so long to be written.
const FAREWELL: Duration = Duration::from_millis(200);

/// What a phone is made from.
#[derive(Clone, Debug)]
pub struct Setting {
    /// How others see it.
    pub pseudonym: String,
    /// The bubble it joins.
    pub secret: wire::BubbleSecret,
    /// Where the node is.
    pub node: Node,
    /// How it connects; none for a phone without WebRTC.
    pub policy: Option<Policy>,
}

/// What the fleet tells all its phones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Go on.
    Run,
    /// Say goodbye and stop.
    Stop,
}

/// What one phone tells the fleet, each once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Milestone {
    /// The path that was asked for stands.
    Connected,
    /// The conversation is complete.
    Done,
}

enum Input {
    Carrier(u32, CarrierEvent),
    Datagram { peer: PeerId, connection: u32, from: SocketAddr, bytes: Vec<u8> },
}

struct Connection {
    number: u32,
    peer: Peer,
    socket: Arc<UdpSocket>,
    reader: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// A phone that is switched on.
pub struct Phone {
    clock: Clock,
    setting: Setting,
    client: Client,
    half: Half,
    local: IpAddr,
    carrier: Option<JoinHandle<()>>,
    carriers: u32,
    writer: Option<mpsc::Sender<Vec<u8>>>,
    connections: HashMap<PeerId, Connection>,
    connection_count: u32,
    inputs: mpsc::Sender<Input>,
    queue: mpsc::Receiver<Input>,
    why_down: Option<String>,
}

impl Phone {
    /// Switches a phone on. `seed` is random and used for nothing else.
    ///
    /// # Errors
    /// When the client refuses the pseudonym, or this machine has no way to the node.
    pub async fn new(setting: Setting, half: Half, seed: [u8; 32], clock: Clock) -> Result<Self> {
        let config = Config {
            pseudonym: setting.pseudonym.as_str().into(),
            secret: setting.secret.clone(),
            rtc: setting.policy.is_some(),
            broadcast: false,
        };
        let client = Client::new(&config, seed, clock.now(), UnixMillis(wall_ms()))?;
        let (inputs, queue) = mpsc::channel(MAX_INPUTS);
        Ok(Self {
            clock,
            local: address_towards(setting.node.address()).await?,
            setting,
            client,
            half,
            carrier: None,
            carriers: 0,
            writer: None,
            connections: HashMap::new(),
            connection_count: 0,
            inputs,
            queue,
            why_down: None,
        })
    }

    /// Runs until the fleet says stop. Returns the books, and why the last carrier was lost, if one was.
    pub async fn run(
        mut self,
        milestones: mpsc::Sender<Milestone>,
        mut orders: watch::Receiver<Order>,
    ) -> (Half, Option<String>) {
        let (mut connected, mut done) = (false, false);
        loop {
            self.drain().await;
            if self.half.is_connected() && !connected {
                connected = true;
                let _ = milestones.send(Milestone::Connected).await;
            }
            if self.half.is_done() && !done {
                done = true;
                let _ = milestones.send(Milestone::Done).await;
            }
            let now = self.clock.now();
            let next = self
                .connections
                .values()
                .filter_map(|connection| connection.peer.poll_timeout())
                .chain(self.client.poll_timeout())
                .min()
                .map_or(FAR, |at| at.saturating_duration_since(now));
            tokio::select! {
                biased;
                () = stopped(&mut orders) => break,
                input = self.queue.recv() => if let Some(input) = input { self.take(input) },
                () = tokio::time::sleep(next) => self.tick(),
            }
            // What came meanwhile is put in before draining, so that a burst costs one round.
            for _ in 0..MAX_INPUTS {
                let Ok(input) = self.queue.try_recv() else { break };
                self.take(input);
            }
        }
        self.leave().await;
        (self.half, self.why_down)
    }

    fn tick(&mut self) {
        let now = self.clock.now();
        for connection in self.connections.values_mut() {
            if connection.peer.poll_timeout().is_some_and(|at| at <= now) {
                connection.peer.handle_timeout(now);
            }
        }
        if self.client.poll_timeout().is_some_and(|at| at <= now) {
            self.client.handle_timeout(now, UnixMillis(wall_ms()));
        }
    }

    fn take(&mut self, input: Input) {
        let (now, wall) = (self.clock.now(), UnixMillis(wall_ms()));
        match input {
            Input::Carrier(number, _) if number != self.carriers => {}
            Input::Carrier(_, CarrierEvent::Up(writer)) => {
                self.writer = Some(writer);
                self.client.handle_link(LinkEvent::Up, now, wall);
            }
            Input::Carrier(_, CarrierEvent::Frame(frame)) => self.client.handle_frame(&frame, now, wall),
            Input::Carrier(_, CarrierEvent::Down(why)) => {
                self.writer = None;
                self.why_down = Some(why);
                self.client.handle_link(LinkEvent::Down, now, wall);
            }
            Input::Datagram { peer, connection, from, bytes } => {
                if let Some(found) = self.connections.get_mut(&peer)
                    && found.number == connection
                {
                    found.peer.handle_datagram(from, &bytes, now);
                }
            }
        }
    }

    async fn drain(&mut self) {
        loop {
            let mut idle = true;
            let (now, wall) = (self.clock.now(), UnixMillis(wall_ms()));
            while let Some(transmit) = self.client.poll_transmit() {
                idle = false;
                match transmit {
                    Transmit::Node(frame) => {
                        // A carrier that is too far behind is as good as lost; the client finds out by itself.
                        if self.writer.as_ref().is_some_and(|writer| writer.try_send(frame).is_err()) {
                            self.writer = None;
                        }
                    }
                    Transmit::Channel { peer, bytes } => {
                        if let Some(connection) = self.connections.get_mut(&peer) {
                            connection.peer.send(bytes, now);
                        }
                    }
                }
            }
            while let Some(event) = self.client.poll_event() {
                idle = false;
                self.obey(event, now, wall).await;
            }
            let mut said = Vec::new();
            for (peer, connection) in &mut self.connections {
                while let Some((to, bytes)) = connection.peer.poll_transmit() {
                    // A datagram that the socket does not take is lost, as on a network.
                    let _ = connection.socket.try_send_to(&bytes, to);
                }
                while let Some(event) = connection.peer.poll_event() {
                    said.push((*peer, event));
                }
            }
            for (peer, event) in said {
                idle = false;
                let event = match event {
                    PeerEvent::Signal(signal) => ChannelEvent::Signal(signal),
                    PeerEvent::Open(path) => ChannelEvent::Open { path },
                    PeerEvent::Path(path) => ChannelEvent::Path { path },
                    PeerEvent::Data(bytes) => ChannelEvent::Data(bytes),
                    PeerEvent::Closed => {
                        self.connections.remove(&peer);
                        ChannelEvent::Closed
                    }
                };
                self.client.handle_channel(peer, event, now, wall);
            }
            if idle {
                return;
            }
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the rest is for the screen, which the script stands for"
    )]
    async fn obey(&mut self, event: Event, now: Instant, wall: UnixMillis) {
        match &event {
            Event::Link(LinkState::Reconnect) => self.reconnect(),
            Event::OpenChannel { peer, polite, turn } => {
                if self.connect(*peer, *polite, turn.as_ref(), now).await.is_err() {
                    self.client.handle_channel(*peer, ChannelEvent::Closed, now, wall);
                }
            }
            Event::RemoteSignal { peer, signal } => {
                if let Some(connection) = self.connections.get_mut(peer) {
                    connection.peer.handle_signal(signal, now);
                }
            }
            Event::CloseChannel { peer } => self.disconnect(*peer, now),
            _ => {}
        }
        for command in self.half.handle_event(&event, now) {
            if self.client.handle_command(command, now, wall).is_err() {
                self.half.refused();
            }
        }
    }

    fn reconnect(&mut self) {
        if let Some(old) = self.carrier.take() {
            old.abort();
        }
        self.writer = None;
        self.carriers += 1;
        let (number, inputs) = (self.carriers, self.inputs.clone());
        self.carrier = Some(tokio::spawn(session::run(self.setting.node.clone(), move |event| {
            let inputs = inputs.clone();
            async move { inputs.send(Input::Carrier(number, event)).await.is_ok() }
        })));
    }

    async fn connect(
        &mut self,
        peer: PeerId,
        polite: bool,
        turn: Option<&TurnServer>,
        now: Instant,
    ) -> Result<()> {
        self.disconnect(peer, now);
        let policy = self.setting.policy.context("a phone without WebRTC")?;
        let socket = Arc::new(UdpSocket::bind((self.local, 0)).await?);
        let setup = Setup {
            local: socket.local_addr()?,
            server: turn.map(|turn| SocketAddr::new(self.setting.node.address().ip(), turn.port)),
            credentials: turn.map(|turn| (turn.username.clone(), turn.password.clone())),
            policy,
            polite,
        };
        let mut transaction = [0; 12];
        getrandom::getrandom(&mut transaction)?;
        self.connection_count += 1;
        let number = self.connection_count;
        let reader = tokio::spawn(read(socket.clone(), peer, number, self.inputs.clone()));
        let made = Peer::new(setup, transaction, self.clock, now);
        self.connections.insert(peer, Connection { number, peer: made, socket, reader });
        Ok(())
    }

    fn disconnect(&mut self, peer: PeerId, now: Instant) {
        if let Some(mut connection) = self.connections.remove(&peer) {
            connection.peer.close(now);
            while let Some((to, bytes)) = connection.peer.poll_transmit() {
                let _ = connection.socket.try_send_to(&bytes, to);
            }
        }
    }

    async fn leave(&mut self) {
        let now = self.clock.now();
        let peers: Vec<PeerId> = self.connections.keys().copied().collect();
        for peer in peers {
            self.disconnect(peer, now);
        }
        let _ = self.client.handle_command(Command::Leave, now, UnixMillis(wall_ms()));
        self.drain().await;
        // Dropping the sender lets the carrier write what it has and close.
        self.writer = None;
        if let Some(carrier) = self.carrier.take() {
            let abort = carrier.abort_handle();
            if tokio::time::timeout(FAREWELL, carrier).await.is_err() {
                abort.abort();
            }
        }
    }
}

/// Ends when the fleet says stop, or is gone.
async fn stopped(orders: &mut watch::Receiver<Order>) {
    let _ = orders.wait_for(|order| *order == Order::Stop).await;
}

async fn read(socket: Arc<UdpSocket>, peer: PeerId, connection: u32, inputs: mpsc::Sender<Input>) {
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        // An error is an ICMP answer to something that we sent: ICE draws its own conclusions.
        let Ok((len, from)) = socket.recv_from(&mut buffer).await else { continue };
        let bytes = buffer.get(..len).unwrap_or_default().to_vec();
        match inputs.try_send(Input::Datagram { peer, connection, from, bytes }) {
            Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => return,
        }
    }
}

/// Our own address on the way to `node`.
async fn address_towards(node: SocketAddr) -> Result<IpAddr> {
    let any: IpAddr = if node.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(node).await.context("there is no way to the node")?;
    Ok(socket.local_addr()?.ip())
}
