//! The servers, each on the first processor: the client has the other one for itself.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::tungstenite::Message;
use wire::{ClientFrame, NodeFrame};

use super::client::Login;
use crate::netns::SERVER;
use crate::node::{self, Node};
use crate::peers;
use crate::process::Server;

/// Where all of them listen.
pub const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(SERVER), 3478);
/// Asks for one's own address (RFC 8489, section 5), without a transaction of its own.
pub const BINDING_REQUEST: [u8; 20] =
    [0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// A server that starts is asked this often, and so many times.
const BETWEEN_TRIES: Duration = Duration::from_millis(50);
const TRIES: u32 = 600;
/// Allocations that share one login of ours.
const ALLOCATIONS_PER_LOGIN: usize = 16;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `bulle serve`.
    Bulle,
    /// The limit: no TURN at all, packets by batches.
    Forwarder,
    /// The limit for bursts: the same with trains (GRO and GSO).
    TrainForwarder,
    /// coturn as it comes.
    Coturn,
    /// coturn with one socket for all peers, and trains.
    CoturnMultiplex,
}

impl Kind {
    /// In figures.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bulle => "bulle",
            Self::Forwarder => "forwarder",
            Self::TrainForwarder => "train-forwarder",
            Self::Coturn => "coturn",
            Self::CoturnMultiplex => "coturn-multiplex",
        }
    }

    /// Whether it speaks TURN.
    pub const fn is_turn(self) -> bool {
        !matches!(self, Self::Forwarder | Self::TrainForwarder)
    }
}

/// A server that runs, and who may use it.
#[derive(Debug)]
pub struct Running {
    /// The process.
    pub server: Server,
    /// Enough of them.
    pub logins: Vec<Login>,
    // Its files go with it.
    node: Option<Node>,
}

impl Running {
    /// Starts one, for so many allocations.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(kind: Kind, allocations: usize, runtime: &tokio::runtime::Runtime) -> Result<Self> {
        let running = match kind {
            Kind::Bulle => {
                let node = Node::new("turn", SERVER, true)?;
                let server = node.start_ready()?;
                let wanted = allocations.div_ceil(ALLOCATIONS_PER_LOGIN);
                let logins = runtime.block_on(logins(&node, wanted))?;
                Self { server, logins, node: Some(node) }
            }
            Kind::Forwarder | Kind::TrainForwarder => {
                let mut command = Command::new(node::beside("bare-forwarder"));
                command.arg(ADDRESS.to_string());
                if kind == Kind::TrainForwarder {
                    command.arg("--trains");
                }
                let mut server = Server::start(&mut command)?;
                server.wait_for_line("ready")?;
                Self { server, logins: Vec::new(), node: None }
            }
            Kind::Coturn | Kind::CoturnMultiplex => {
                let mut command = peers::command("turnserver");
                command.args(["-n", "--relay-threads=1", "--lt-cred-mech"]);
                command.args(["--realm=bench", "--user=bench:bench", "--no-tls"]);
                command.args(["--log-file=/dev/null", "--pidfile=/run/turnserver.pid", "--min-port=20000"]);
                command.args([&format!("--listening-ip={SERVER}"), &format!("--relay-ip={SERVER}")]);
                command.arg(format!("--allowed-peer-ip={SERVER}"));
                if kind == Kind::CoturnMultiplex {
                    command.args(["--multiplex-peer", "--udp-gso"]);
                }
                let server = Server::start(&mut command)?;
                wait_for_answer()?;
                let login = Login { name: "bench".to_owned(), password: "bench".to_owned() };
                Self { server, logins: vec![login], node: None }
            }
        };
        running.server.pin().with_context(|| kind.name().to_owned())?;
        Ok(running)
    }

    /// A login that was issued this moment; for coturn, the one that there is.
    ///
    /// # Errors
    /// When the session fails.
    pub fn fresh_login(&self, runtime: &tokio::runtime::Runtime) -> Result<Login> {
        match &self.node {
            Some(node) => runtime.block_on(async { login(&node.client().await?).await }),
            None => self.login(0).cloned(),
        }
    }

    /// The login of the allocation with this number.
    ///
    /// # Errors
    /// When there are fewer.
    pub fn login(&self, number: usize) -> Result<&Login> {
        let index = if self.logins.len() == 1 { 0 } else { number / ALLOCATIONS_PER_LOGIN };
        self.logins.get(index).context("too few logins")
    }
}

/// Asks until somebody answers: coturn tells nobody when it listens.
fn wait_for_answer() -> Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(ADDRESS)?;
    socket.set_read_timeout(Some(BETWEEN_TRIES))?;
    for _ in 0..TRIES {
        // Refused at once until somebody listens.
        if socket.send(&BINDING_REQUEST).and_then(|_| socket.recv(&mut [0; 128])).is_ok() {
            return Ok(());
        }
        std::thread::sleep(BETWEEN_TRIES);
    }
    bail!("nobody answers at {ADDRESS}")
}

/// What clients are given, each in a session of its own: all that one is given share its quota.
async fn logins(node: &Node, count: usize) -> Result<Vec<Login>> {
    let client = node.client().await?;
    let mut logins = Vec::new();
    for _ in 0..count {
        logins.push(login(&client).await?);
    }
    Ok(logins)
}

async fn login(client: &phones::session::Node) -> Result<Login> {
    let mut session = client.open().await?;
    while let Some(message) = session.next().await {
        let Message::Binary(bytes) = message? else { continue };
        let frame = NodeFrame::decode(&bytes)?;
        if let NodeFrame::Credentials { username, password, .. } = frame {
            return Ok(Login { name: username.to_string(), password: password.to_string() });
        }
        ensure!(matches!(frame, NodeFrame::Welcome { .. }), "no credentials");
        let mut frame = Vec::new();
        ClientFrame::RequestCredentials { req: 1 }.encode(&mut frame);
        session.send(Message::Binary(frame.into())).await?;
    }
    bail!("the session ended")
}

/// Any address of the other network, by turns.
pub const fn client_address(number: usize) -> Ipv4Addr {
    let first = crate::netns::FIRST_CLIENT.to_bits();
    Ipv4Addr::from_bits(first + (number % crate::netns::CLIENTS as usize) as u32)
}
