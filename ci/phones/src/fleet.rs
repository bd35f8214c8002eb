//! Many phones in pairs against one node, and the account of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use client_core::Path;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::conversation::{Fault, Half, Plan};
use crate::phone::{Milestone, Order, Phone, Setting};
use crate::rtc::Policy;
use crate::session::{Node, Transport};
use crate::usage;

/// More phones than one process should be asked for.
pub const MAX_PHONES: usize = 2000;

/// What a run is made from.
#[derive(Clone, Debug)]
pub struct Options {
    /// The node, `https://host:port`.
    pub url: String,
    /// Where it is reached, when not where its name leads.
    pub connect: Option<SocketAddr>,
    /// Its CA, PEM.
    pub ca: PathBuf,
    /// Phones, an even number.
    pub count: usize,
    /// One phone alone, in this bubble; its mate is switched on by another process.
    pub half: Option<HalfPair>,
    /// Phones in one bubble, an even number; the rest go into further bubbles.
    pub bubble: usize,
    /// Messages that each phone writes to its mate.
    pub messages: u32,
    /// How they are to go.
    pub path: Path,
    /// How sessions with the node are carried.
    pub transport: Transport,
    /// Phones that are switched on per second; 0 for all at once.
    pub rate: u32,
    /// When to give up.
    pub limit: Duration,
}

/// One phone of a pair that two processes share, each in a network of its own.
#[derive(Clone, Debug)]
pub struct HalfPair {
    /// The bubble that both are in.
    pub secret: wire::BubbleSecret,
    /// Which of the two this is, 0 or 1.
    pub index: usize,
}

/// How long one phone of a shared pair stays on for its mate, which may still wait for a receipt.
const LINGER: Duration = Duration::from_secs(3);

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No phone is on yet.
    Before,
    /// All phones are connected to their mates.
    Connected,
    /// All conversations are complete, all phones still on.
    Done,
}

/// The account of a run.
#[derive(Debug)]
pub struct Account {
    options: Options,
    halves: Vec<(Half, Option<String>)>,
    exchange: Option<Duration>,
    cpu: Duration,
    memory_kib: u64,
}

/// Runs a fleet; `at` is called at each phase.
///
/// # Errors
/// When it cannot begin. What goes wrong later stands in the account.
pub async fn run(mut options: Options, mut at: impl FnMut(Phase)) -> Result<Account> {
    let count = if options.half.is_some() { 1 } else { options.count };
    ensure!(
        options.half.is_some() || (count >= 2 && count.is_multiple_of(2)),
        "--count must be even: phones talk in pairs"
    );
    ensure!(options.count <= MAX_PHONES, "--count may be {MAX_PHONES} at most");
    ensure!(
        options.bubble >= 2 && options.bubble.is_multiple_of(2),
        "--bubble must be even: pairs share a bubble"
    );
    options.count = count;
    usage::raise_open_files();
    let clock = Clock::start();
    let node = Node::new(&options.url, &options.ca, options.connect).await?.by(options.transport);
    let cpu_before = usage::cpu();
    at(Phase::Before);

    let (milestones, mut reached) = mpsc::channel(options.count * 2);
    let (orders, order) = watch::channel(Order::Run);
    let mut phones = JoinSet::new();
    let first = options.half.as_ref().map_or(0, |half| half.index);
    let mut secret = random_secret()?;
    let pause = if options.rate == 0 { Duration::ZERO } else { Duration::from_secs(1) / options.rate };
    for index in first..first + options.count {
        if let Some(half) = &options.half {
            secret = half.secret.clone();
        } else if index % options.bubble == 0 {
            secret = random_secret()?;
        }
        let setting = Setting {
            pseudonym: pseudonym(index),
            secret: secret.clone(),
            node: node.clone(),
            policy: match options.path {
                Path::Direct => Some(Policy::Direct),
                Path::Relayed => Some(Policy::Relay),
                Path::Mailbox | Path::Broadcast | Path::None => None,
            },
        };
        let plan = Plan { mate: pseudonym(index ^ 1), messages: options.messages, path: options.path };
        let (milestones, order) = (milestones.clone(), order.clone());
        let mut seed = [0; 32];
        getrandom::getrandom(&mut seed)?;
        phones.spawn(async move {
            let half = Half::new(plan, clock.now());
            let phone = Phone::new(setting, half, seed, clock).await?;
            anyhow::Ok(phone.run(milestones, order).await)
        });
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    drop(milestones);

    let (mut connected, mut done, mut since, mut exchange) = (0, 0, None, None);
    let _ = tokio::time::timeout(options.limit, async {
        while done < options.count {
            let Some(milestone) = reached.recv().await else { break };
            match milestone {
                Milestone::Connected => {
                    connected += 1;
                    since.get_or_insert(clock.now());
                    if connected == options.count {
                        at(Phase::Connected);
                    }
                }
                Milestone::Done => done += 1,
            }
        }
        if done == options.count {
            exchange = since.map(|since| clock.now().saturating_duration_since(since));
            at(Phase::Done);
        }
    })
    .await;
    if options.half.is_some() {
        tokio::time::sleep(LINGER).await;
    }
    let memory_kib = usage::memory_kib("self").map_or(0, |(_, most)| most);
    let cpu = usage::cpu().saturating_sub(cpu_before);
    let _ = orders.send(Order::Stop);
    let mut halves = Vec::with_capacity(options.count);
    while let Some(phone) = phones.join_next().await {
        halves.push(phone??);
    }
    Ok(Account { options, halves, exchange, cpu, memory_kib })
}

impl Account {
    /// Whether every message arrived exactly once, in order, on the path that was asked for.
    pub fn is_good(&self) -> bool {
        self.halves.len() == self.options.count
            && self.halves.iter().all(|(half, _)| half.is_done() && half.faults().is_empty())
    }

    /// The account as figures.
    pub fn to_json(&self) -> Value {
        let times = |pick: fn(&Half) -> Option<Duration>| {
            let mut ms: Vec<f64> = self
                .halves
                .iter()
                .filter_map(|(half, _)| pick(half))
                .map(|at| at.as_secs_f64() * 1e3)
                .collect();
            ms.sort_by(f64::total_cmp);
            json!({
                "phones": ms.len(),
                "median_ms": usage::quantile(&ms, 0.5),
                "p99_ms": usage::quantile(&ms, 0.99),
                "max_ms": ms.last(),
            })
        };
        let faults: Vec<&Fault> = self.halves.iter().flat_map(|(half, _)| half.faults()).collect();
        let received: u64 = self.halves.iter().map(|(half, _)| u64::from(half.received())).sum();
        let troubles = self.halves.iter().fold((0, 0), |sum, (half, _)| {
            let (notices, reconnects) = half.troubles();
            (sum.0 + notices, sum.1 + reconnects)
        });
        json!({
            "good": self.is_good(),
            "path": format!("{:?}", self.options.path).to_lowercase(),
            "phones": self.options.count,
            "phones_per_bubble": self.options.bubble.min(self.options.count),
            "messages_expected": self.options.count as u64 * u64::from(self.options.messages),
            "messages_received": received,
            "done": self.halves.iter().filter(|(half, _)| half.is_done()).count(),
            "joined": times(|half| half.times().joined),
            "found_mate": times(|half| half.times().found),
            "path_up": times(|half| half.times().path),
            "connect": times(|half| Some(half.times().path?.saturating_sub(half.times().found?))),
            "exchange_s": self.exchange.map(|took| took.as_secs_f64()),
            "messages_per_s": self.exchange.map(|took| received as f64 / took.as_secs_f64()),
            "cpu_s": self.cpu.as_secs_f64(),
            "cpu_ms_per_phone": self.cpu.as_secs_f64() * 1e3 / self.options.count as f64,
            "memory_kib": self.memory_kib,
            "notices": troubles.0,
            "sessions_lost": troubles.1,
            "faults": faults.len(),
        })
    }

    /// What went wrong, in a few lines.
    pub fn complaints(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (half, why) in &self.halves {
            if half.is_done() && half.faults().is_empty() {
                continue;
            }
            let times = half.times();
            let stage = match (times.joined, times.found, times.path) {
                (None, ..) => "never joined",
                (_, None, _) => "never saw its mate",
                (.., None) => "never got the path",
                (Some(_), Some(_), Some(_)) => "did not finish",
            };
            let why = why.as_deref().unwrap_or("no carrier was lost");
            lines.push(format!("a phone {stage}: heard {}, {:?}; {why}", half.received(), half.faults()));
            if lines.len() == 10 {
                lines.push("and perhaps more".to_owned());
                break;
            }
        }
        lines
    }
}

fn pseudonym(index: usize) -> String {
    format!("phone {}", index + 1)
}

fn random_secret() -> Result<wire::BubbleSecret> {
    let mut bytes = [0; 32];
    getrandom::getrandom(&mut bytes)?;
    Ok(wire::BubbleSecret::from_random(bytes))
}
