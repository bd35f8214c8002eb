//! What a message costs that goes through the mailbox, beside brokers in the same rounds (goals P10 to P12).

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use phones::clock::Clock;
use phones::usage::{self, quantile};
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::Message;
use wire::NodeFrame;

use super::Effort;
use crate::contenders::{self, Contender};
use crate::pairs::{self, Pace, Pairs};
use crate::report::Report;
use crate::sessions::{self, Protocol};

/// P10: pairs, and messages of each that are under way, with what CPU per message should at most be of that of a peer.
const LOADS: [Load; 2] = [
    Load { name: "200-pairs", pairs: 200, window: 1, goals: &[("mosquitto", 0.92), ("nats-server", 0.36)] },
    Load { name: "50-pairs", pairs: 50, window: 4, goals: &[("nats-server", 1.0)] },
];
/// P11: messages per second of all pairs.
const PER_SECOND: u32 = 2000;
/// P11: delay of half and of 99 % of them, of that of the echo.
const GOAL_DELAY: f64 = 1.2;
/// P12: resident memory per envelope, of its padded block.
const GOAL_STORED: f64 = 1.2;
/// P12: resident memory after the purge, of that before.
const GOAL_AFTER: f64 = 1.1;

/// Packets of the TURN bench for each message of this one.
const PACKETS_PER_MESSAGE: u64 = 10;
/// Messages of each pair before anything is counted.
const WARM: usize = 5;
/// A broker that keeps messages back for so long has stalled.
const PATIENCE: Duration = Duration::from_secs(120);

/// P12: sessions that deposit, and envelopes of each.
const DEPOSITORS: usize = 8;
const DEPOSITS: usize = 1000;
const SETTLE: Duration = Duration::from_secs(1);

struct Load {
    name: &'static str,
    pairs: usize,
    window: usize,
    goals: &'static [(&'static str, f64)],
}

/// What one round of one server showed.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    /// By load; none where it stalled.
    cpu_us: [Option<f64>; LOADS.len()],
    per_second: [Option<f64>; LOADS.len()],
    delay_us: [f64; 2],
}

/// Measures all servers that are there, one after the other in each round, and what the node stores.
pub(super) fn run(effort: Effort, report: &mut Report) -> Result<()> {
    usage::raise_open_files();
    let names = contenders::all(report);
    report.note(
        "message",
        "1,024 bytes: to the brokers as they are, to bulle and the echo padded to a block of 4,096",
    );
    report.note(
        "delivery",
        "at least once, confirmed to the writer and by the reader: bulle, mosquitto; at most once: NATS, the echo",
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut rounds: Vec<Vec<Round>> = vec![Vec::new(); names.len()];
    let mut stored = Vec::new();
    for round in 1..=effort.rounds {
        for (name, rounds) in names.iter().zip(&mut rounds) {
            println!("mailbox    round {round} of {}: {name}", effort.rounds);
            let found = measure(name, effort, &runtime).with_context(|| (*name).to_owned())?;
            rounds.push(found);
        }
        stored.push(store(&runtime).context("stored envelopes")?);
    }
    tell(&names, &rounds, report);
    let column = |pick: fn(&Stored) -> f64| stored.iter().map(pick).collect::<Vec<_>>();
    report.figure("bulle-deposits", &column(|stored| stored.per_second), "/s");
    report.figure_at_most("stored-envelope-to-block", &column(|stored| stored.to_block), "x", GOAL_STORED);
    report.figure_at_most("memory-after-purge", &column(|stored| stored.after), "x", GOAL_AFTER);
    Ok(())
}

fn tell(names: &[&str], rounds: &[Vec<Round>], report: &mut Report) {
    let column = |rounds: &[Round], pick: &dyn Fn(&Round) -> Option<f64>| {
        rounds.iter().filter_map(pick).collect::<Vec<_>>()
    };
    for (name, rounds) in names.iter().zip(rounds) {
        for (index, load) in LOADS.iter().enumerate() {
            let cpu = column(rounds, &|round| *round.cpu_us.get(index)?);
            if cpu.is_empty() {
                report.note(&format!("{name}-{}", load.name), "stalls");
            }
            report.figure(&format!("{name}-cpu-per-message-{}", load.name), &cpu, "us");
            let rate = column(rounds, &|round| *round.per_second.get(index)?);
            report.figure(&format!("{name}-messages-{}", load.name), &rate, "/s");
        }
        report.figure(&format!("{name}-delay-p50"), &column(rounds, &|round| Some(round.delay_us[0])), "us");
        report.figure(&format!("{name}-delay-p99"), &column(rounds, &|round| Some(round.delay_us[1])), "us");
    }
    // A ratio is taken within a round, where both met the same machine.
    let ours = rounds.first().map(Vec::as_slice).unwrap_or_default();
    for (name, theirs) in names.iter().zip(rounds).skip(1) {
        let ratio = |pick: &dyn Fn(&Round) -> Option<f64>| {
            ours.iter().zip(theirs).filter_map(|(a, b)| Some(pick(a)? / pick(b)?)).collect::<Vec<_>>()
        };
        for (index, load) in LOADS.iter().enumerate() {
            let figure = format!("cpu-{}-bulle-to-{name}", load.name);
            let ratios = ratio(&|round| *round.cpu_us.get(index)?);
            match load.goals.iter().find(|(peer, _)| peer == name) {
                Some((_, goal)) => report.figure_at_most(&figure, &ratios, "x", *goal),
                None => report.figure(&figure, &ratios, "x"),
            }
        }
        for (index, part) in ["p50", "p99"].into_iter().enumerate() {
            let figure = format!("delay-{part}-bulle-to-{name}");
            let ratios = ratio(&|round| round.delay_us.get(index).copied());
            if *name == "bare" {
                report.figure_at_most(&figure, &ratios, "x", GOAL_DELAY);
            } else {
                report.figure(&figure, &ratios, "x");
            }
        }
    }
}

fn measure(name: &str, effort: Effort, runtime: &Runtime) -> Result<Round> {
    let contender = Contender::start(name, "mailbox", runtime)?;
    contender.server.pin()?;
    let mut round = Round::default();
    for (index, load) in LOADS.iter().enumerate() {
        let messages = usize::try_from(effort.packets / PACKETS_PER_MESSAGE)? / load.pairs;
        let saturated = runtime.block_on(saturate(&contender, load, messages.max(WARM)))?;
        if let (Some((cpu, rate)), Some(to_cpu), Some(to_rate)) =
            (saturated, round.cpu_us.get_mut(index), round.per_second.get_mut(index))
        {
            (*to_cpu, *to_rate) = (Some(cpu), Some(rate));
        }
    }
    let count = 200;
    let interval = Duration::from_secs(1) * count / PER_SECOND;
    let messages = usize::try_from(effort.seconds * PER_SECOND / count)?;
    let delays = runtime.block_on(async {
        let pairs = Pairs::open(&contender.protocol, contender.address, usize::try_from(count)?).await?;
        let (pairs, _) = pairs.talk(WARM, Pace::Every(interval)).await?;
        pairs.talk(messages, Pace::Every(interval)).await
    })?;
    round.delay_us = [0.5, 0.99].map(|share| quantile(&delays.1, share).unwrap_or_default());
    Ok(round)
}

/// CPU per message in microseconds, and messages per second; none when it stalled.
async fn saturate(contender: &Contender, load: &Load, messages: usize) -> Result<Option<(f64, f64)>> {
    let pace = Pace::Window(load.window);
    let pairs = Pairs::open(&contender.protocol, contender.address, load.pairs).await?;
    let Ok(warm) = tokio::time::timeout(PATIENCE, pairs.talk(WARM, pace)).await else { return Ok(None) };
    let (before, began) = (contender.server.cpu_ns()?, Clock::start());
    let Ok(done) = tokio::time::timeout(PATIENCE, warm?.0.talk(messages, pace)).await else {
        return Ok(None);
    };
    done?;
    let (spent, all) = (seconds(&began), (load.pairs * messages) as f64);
    Ok(Some(((contender.server.cpu_ns()? - before) as f64 / 1e3 / all, all / spent)))
}

fn seconds(since: &Clock) -> f64 {
    since.now().as_micros() as f64 / 1e6
}

/// What envelopes cost that wait for somebody.
struct Stored {
    per_second: f64,
    to_block: f64,
    after: f64,
}

fn store(runtime: &Runtime) -> Result<Stored> {
    let contender = Contender::start("bulle", "stored", runtime)?;
    let Contender { server, protocol, address, node, .. } = &contender;
    runtime.block_on(async {
        let mut depositors = sessions::open(protocol, *address, 0, DEPOSITORS).await?;
        tokio::time::sleep(SETTLE).await;
        let (base, began) = (server.rss_kib()?, Clock::start());
        let all =
            depositors.iter_mut().enumerate().map(|(number, session)| deposit(protocol, session, number));
        futures_util::future::try_join_all(all).await?;
        let spent = seconds(&began);
        tokio::time::sleep(SETTLE).await;
        let full = server.rss_kib()?;
        node.as_ref().context("not ours")?.purge()?;
        tokio::time::sleep(SETTLE).await;
        let count = (DEPOSITORS * DEPOSITS) as f64;
        Ok(Stored {
            per_second: count / spent,
            to_block: (full - base) * 1024.0 / count / wire::BLOCK as f64,
            after: server.rss_kib()? / base,
        })
    })
}

/// Puts envelopes into a queue that nobody reads, each when the one before is in it.
async fn deposit(protocol: &Protocol, session: &mut sessions::Session, number: usize) -> Result<()> {
    // Not its own queue, which it would be given at once.
    let frame = pairs::frame(protocol, 1000 + number, 0, 0);
    for _ in 0..DEPOSITS {
        session.send(Message::Binary(frame.clone().into())).await?;
        let answer = session.next().await.context("the session ended")??.into_data();
        let answer = NodeFrame::decode(&answer)?;
        ensure!(matches!(answer, NodeFrame::Deposited { .. }), "not deposited: {answer:?}");
    }
    Ok(())
}
