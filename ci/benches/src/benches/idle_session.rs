//! What a session costs that does nothing, beside peers in the same rounds (goals P8 and P9).

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use phones::usage;

use super::Effort;
use crate::node::{self, Node, Scratch};
use crate::peers;
use crate::pki;
use crate::process::Server;
use crate::report::{Report, version};
use crate::sessions::{self, Protocol, Session};

/// P8: resident memory per idle session, in KiB.
const GOAL_KIB: f64 = 18.0;
/// P8: of one core while all sessions are idle, in percent.
const GOAL_IDLE_PERCENT: f64 = 0.1;
/// P9: TLS, upgrade and log-in, in microseconds of CPU.
const GOAL_LOGIN_US: f64 = 160.0;

/// Sessions that are opened before anything is counted, so that what is made once is made.
const WARM: usize = 20;

/// After the last session, memory is read when the server has had time to put things away.
const SETTLE: Duration = Duration::from_secs(1);

/// How long the idle CPU is watched.
const WATCH: Duration = Duration::from_secs(5);

/// What one round of one server showed.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    kib: [f64; 2],
    login_us: f64,
    idle_percent: f64,
    base_kib: f64,
}

struct Peer {
    name: &'static str,
    rounds: Vec<Round>,
}

/// Measures all servers that are there, one after the other in each round.
pub(super) fn run(effort: Effort, report: &mut Report) -> Result<()> {
    let open_files = usage::raise_open_files();
    report.note("open_files", open_files);
    let mut measured = vec![Peer { name: "bulle", rounds: vec![] }, Peer { name: "bare", rounds: vec![] }];
    report.note("bulle", version(&node::program().to_string_lossy(), &["--version"]));
    report.note("bare", "tokio-tungstenite and rustls, 4 KiB buffers, boxed handshakes");
    for (name, argument) in [("mosquitto", "-h"), ("nats-server", "--version")] {
        match peers::version(name, argument) {
            Some(version) => {
                report.note(name, version);
                measured.push(Peer { name, rounds: vec![] });
            }
            None => report.note(name, "not installed, not measured"),
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for round in 1..=effort.rounds {
        for peer in &mut measured {
            println!("idle-session    round {round} of {}: {}", effort.rounds, peer.name);
            let found = measure(peer.name, effort, &runtime).with_context(|| peer.name.to_owned())?;
            peer.rounds.push(found);
        }
    }
    tell(&measured, effort, report);
    Ok(())
}

fn tell(peers: &[Peer], effort: Effort, report: &mut Report) {
    let column = |peer: &Peer, pick: &dyn Fn(&Round) -> f64| peer.rounds.iter().map(pick).collect::<Vec<_>>();
    for peer in peers {
        let ours = peer.name == "bulle";
        for (index, sessions) in effort.sessions.iter().enumerate() {
            let name = format!("{}-rss-per-session-at-{sessions}", peer.name);
            let kib = column(peer, &|round| round.kib.get(index).copied().unwrap_or(0.0));
            if ours {
                report.figure_at_most(&name, &kib, "KiB", GOAL_KIB);
            } else {
                report.figure(&name, &kib, "KiB");
            }
        }
        let login = column(peer, &|round| round.login_us);
        let idle = column(peer, &|round| round.idle_percent);
        if ours {
            report.figure_at_most("bulle-cpu-per-login", &login, "us", GOAL_LOGIN_US);
            report.figure_at_most("bulle-idle-cpu", &idle, "%", GOAL_IDLE_PERCENT);
        } else {
            report.figure(&format!("{}-cpu-per-login", peer.name), &login, "us");
            report.figure(&format!("{}-idle-cpu", peer.name), &idle, "%");
        }
        report.figure(
            &format!("{}-rss-without-sessions", peer.name),
            &column(peer, &|round| round.base_kib),
            "KiB",
        );
    }
    // A ratio is taken within a round, where both met the same machine.
    let Some((ours, others)) = peers.split_first() else { return };
    for other in others {
        let ratio = |pick: fn(&Round) -> f64| {
            ours.rounds.iter().zip(&other.rounds).map(|(a, b)| pick(a) / pick(b)).collect::<Vec<_>>()
        };
        report.figure(&format!("rss-bulle-to-{}", other.name), &ratio(|round| round.kib[1]), "x");
        report.figure(&format!("login-bulle-to-{}", other.name), &ratio(|round| round.login_us), "x");
    }
}

fn measure(name: &str, effort: Effort, runtime: &tokio::runtime::Runtime) -> Result<Round> {
    let scratch = Scratch::new(name)?;
    let files = pki::make(scratch.path())?;
    let port = node::free_port(Ipv4Addr::LOCALHOST)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match name {
        "bulle" => {
            let node = Node::new("idle-session", Ipv4Addr::LOCALHOST, false)?;
            let server = node.start_ready()?;
            let client = runtime.block_on(node.client())?;
            watch(&server, &Protocol::Bulle(client), node.https, effort, runtime)
        }
        "bare" => {
            let mut server = Server::start(
                Command::new(node::beside("bare-websocket"))
                    .arg(address.to_string())
                    .args([&files.certificate, &files.key]),
            )?;
            server.wait_for_line("ready")?;
            watch(&server, &Protocol::Bare, address, effort, runtime)
        }
        "mosquitto" => {
            let scratch = Scratch::below(&peers::shared(), name)?;
            let files = pki::make(scratch.path())?;
            let settings = format!(
                "user root\npersistence false\nallow_anonymous true\nmax_connections -1\nlog_dest none\n\
                 listener {port} 127.0.0.1\nprotocol websockets\ncertfile {}\nkeyfile {}\n",
                peers::seen_from_inside(&files.certificate)?.display(),
                peers::seen_from_inside(&files.key)?.display()
            );
            let file = scratch.path().join("mosquitto.conf");
            fs::write(&file, settings)?;
            let file = peers::seen_from_inside(&file)?;
            let server = Server::start(peers::command("mosquitto").arg("-c").arg(file))?;
            watch(&server, &Protocol::Mqtt, address, effort, runtime)
        }
        _ => {
            let scratch = Scratch::below(&peers::shared(), name)?;
            let files = pki::make(scratch.path())?;
            let settings = format!(
                "host: 127.0.0.1\nport: -1\nmax_connections: 65536\n\
                 websocket {{ host: 127.0.0.1, port: {port}, tls {{ cert_file: {:?}, key_file: {:?} }} }}\n",
                peers::seen_from_inside(&files.certificate)?,
                peers::seen_from_inside(&files.key)?
            );
            let file = scratch.path().join("nats.conf");
            fs::write(&file, settings)?;
            let file = peers::seen_from_inside(&file)?;
            let server = Server::start(peers::command("nats-server").arg("-c").arg(file))?;
            watch(&server, &Protocol::Nats, address, effort, runtime)
        }
    }
}

fn watch(
    server: &Server,
    protocol: &Protocol,
    address: SocketAddr,
    effort: Effort,
    runtime: &tokio::runtime::Runtime,
) -> Result<Round> {
    let mut round = Round::default();
    runtime.block_on(async {
        let mut held: Vec<Session> = Vec::new();
        wait_until_it_listens(address).await?;
        held.extend(sessions::open(protocol, address, 0, WARM).await?);
        tokio::time::sleep(SETTLE).await;
        let base = server.rss_kib()?;
        round.base_kib = base;
        for (slot, wanted) in round.kib.iter_mut().zip(effort.sessions) {
            let more = (wanted + WARM).saturating_sub(held.len());
            let before = server.cpu_ns()?;
            held.extend(sessions::open(protocol, address, held.len(), more).await?);
            round.login_us = (server.cpu_ns()? - before) as f64 / 1e3 / more as f64;
            tokio::time::sleep(SETTLE).await;
            *slot = (server.rss_kib()? - base) / wanted as f64;
        }
        let before = server.cpu_ns()?;
        tokio::time::sleep(WATCH).await;
        round.idle_percent = (server.cpu_ns()? - before) as f64 / WATCH.as_nanos() as f64 * 100.0;
        Ok(round)
    })
}

async fn wait_until_it_listens(address: SocketAddr) -> Result<()> {
    for _ in 0..1000 {
        if tokio::net::TcpStream::connect(address).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    anyhow::bail!("it does not listen after 10 s")
}
