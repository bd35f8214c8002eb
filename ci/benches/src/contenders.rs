//! Servers that carry messages over TLS WebSockets: ours, the bare minimum, and brokers of others.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::runtime::Runtime;

use crate::node::{self, Node, Scratch};
use crate::peers;
use crate::pki::{self, Files};
use crate::process::Server;
use crate::report::{Report, version};
use crate::sessions::Protocol;

/// One of them, as long as this value lives.
#[derive(Debug)]
pub struct Contender {
    /// The program.
    pub server: Server,
    /// What it speaks.
    pub protocol: Protocol,
    /// Where it listens.
    pub address: SocketAddr,
    /// Ours, if it is ours.
    pub node: Option<Node>,
    _files: Option<Scratch>,
}

/// The names of those that can be measured here, ours first; their versions go into the report.
pub fn all(report: &mut Report) -> Vec<&'static str> {
    report.note("bulle", version(&node::program().to_string_lossy(), &["--version"]));
    report.note("bare", "tokio-tungstenite and rustls, 4 KiB buffers, boxed handshakes; it echoes");
    let mut names = vec!["bulle", "bare"];
    for (name, argument) in [("mosquitto", "-h"), ("nats-server", "--version")] {
        match peers::version(name, argument) {
            Some(version) => {
                report.note(name, version);
                names.push(name);
            }
            None => report.note(name, "not installed, not measured"),
        }
    }
    names
}

impl Contender {
    /// Starts the one of that name for a bench, and waits until it listens.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(name: &str, bench: &str, runtime: &Runtime) -> Result<Self> {
        let contender = match name {
            "bulle" => {
                let node = Node::new(bench, Ipv4Addr::LOCALHOST, false)?;
                let server = node.start_ready()?;
                let protocol = Protocol::Bulle(runtime.block_on(node.client())?);
                let address = node.https;
                Self { server, protocol, address, node: Some(node), _files: None }
            }
            "bare" => {
                let (scratch, files, address) = place(&std::env::temp_dir(), bench)?;
                let mut command = Command::new(node::beside("bare-websocket"));
                command.arg(address.to_string()).args([&files.certificate, &files.key]);
                let mut server = Server::start(&mut command)?;
                server.wait_for_line("ready")?;
                Self { server, protocol: Protocol::Bare, address, node: None, _files: Some(scratch) }
            }
            "mosquitto" => broker(name, Protocol::Mqtt, |port, certificate, key| {
                format!(
                    "user root\npersistence false\nallow_anonymous true\nmax_connections -1\nlog_dest none\n\
                     listener {port} 127.0.0.1\nprotocol websockets\ncertfile {certificate}\nkeyfile {key}\n"
                )
            })?,
            "nats-server" => broker(name, Protocol::Nats, |port, certificate, key| {
                format!(
                    "host: 127.0.0.1\nport: -1\nmax_connections: 65536\n\
                     websocket {{ host: 127.0.0.1, port: {port}, tls {{ cert_file: {certificate:?}, \
                     key_file: {key:?} }} }}\n"
                )
            })?,
            _ => bail!("there is no such server"),
        };
        runtime.block_on(wait_until_it_listens(contender.address))?;
        Ok(contender)
    }
}

/// A broker out of the root of the peers, with settings made of port, certificate and key.
fn broker(name: &str, protocol: Protocol, settings: impl Fn(u16, &str, &str) -> String) -> Result<Contender> {
    let (scratch, files, address) = place(&peers::shared(), name)?;
    let certificate = peers::seen_from_inside(&files.certificate)?.display().to_string();
    let key = peers::seen_from_inside(&files.key)?.display().to_string();
    let file = scratch.path().join("settings");
    fs::write(&file, settings(address.port(), &certificate, &key))?;
    let server = Server::start(peers::command(name).arg("-c").arg(peers::seen_from_inside(&file)?))?;
    Ok(Contender { server, protocol, address, node: None, _files: Some(scratch) })
}

fn place(parent: &std::path::Path, name: &str) -> Result<(Scratch, Files, SocketAddr)> {
    let scratch = Scratch::below(parent, name)?;
    let files = pki::make(scratch.path())?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, node::free_port(Ipv4Addr::LOCALHOST)?));
    Ok((scratch, files, address))
}

async fn wait_until_it_listens(address: SocketAddr) -> Result<()> {
    for _ in 0..1000 {
        if tokio::net::TcpStream::connect(address).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bail!("it does not listen after 10 s")
}
