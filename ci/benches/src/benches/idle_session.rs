//! What a session costs that does nothing, beside peers in the same rounds (goals P8 and P9).

use std::time::Duration;

use anyhow::{Context as _, Result};
use phones::usage;

use super::Effort;
use crate::contenders::{self, Contender};
use crate::report::Report;
use crate::sessions::{self, Session};

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
    let mut measured: Vec<_> =
        contenders::all(report).into_iter().map(|name| Peer { name, rounds: vec![] }).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for round in 1..=effort.rounds {
        for peer in &mut measured {
            println!("idle-session    round {round} of {}: {}", effort.rounds, peer.name);
            let contender = Contender::start(peer.name, "idle-session", &runtime);
            let found = contender.and_then(|contender| watch(&contender, effort, &runtime));
            peer.rounds.push(found.with_context(|| peer.name.to_owned())?);
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

fn watch(contender: &Contender, effort: Effort, runtime: &tokio::runtime::Runtime) -> Result<Round> {
    let Contender { server, protocol, address, .. } = contender;
    let address = *address;
    let mut round = Round::default();
    runtime.block_on(async {
        let mut held: Vec<Session> = Vec::new();
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
