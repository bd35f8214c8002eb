//! Packets through TURN, beside coturn and a bare forwarder in the same rounds (goals P1 to P7).

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use base::Instant;
use phones::clock::Clock;
use phones::usage::{median, raise_open_files};

use super::Effort;
use crate::netns::Netns;
use crate::node;
use crate::peers;
use crate::report::{Report, version};
use crate::turn::client::Allocation;
use crate::turn::flows::{self, Flow, Outcome};
use crate::turn::revocation;
use crate::turn::servers::{ADDRESS, Kind, Running, client_address};

/// Flows of the measurements at saturation and at a pace.
const FLOWS: usize = 100;
/// Flows of the bursts.
const BULK_FLOWS: usize = 4;
/// Clients that ask for an allocation at the same time.
const TOGETHER: usize = 64;
/// Processor time is compared at this pace; below the quiet one, delay is.
const BUSY: u32 = 20_000;
const QUIET: u32 = 2_000;

/// What one kind of server cost, round by round: by the name of the figure.
type Rounds = BTreeMap<(&'static str, Kind), Vec<f64>>;

/// Measures all servers that are there, one after the other in each round.
pub(super) fn run(effort: Effort, report: &mut Report) -> Result<()> {
    raise_open_files();
    report.note("bulle", version(&node::program().to_string_lossy(), &["--version"]));
    let mut kinds = vec![Kind::Bulle, Kind::Forwarder, Kind::TrainForwarder];
    if let Some(version) = peers::version("turnserver", "--version") {
        report.note("coturn", version);
        kinds.extend([Kind::Coturn, Kind::CoturnMultiplex]);
    } else {
        report.note("coturn", "not installed, not measured");
    }
    let netns = Netns::new()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut rounds = Rounds::new();
    for round in 1..=effort.rounds {
        for kind in &kinds {
            println!("turn            round {round} of {}: {}", effort.rounds, kind.name());
            measure(*kind, effort, &netns, &runtime, &mut rounds).with_context(|| kind.name())?;
        }
    }
    tell(&rounds, report);
    Ok(())
}

impl PartialOrd for Kind {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Kind {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.name().cmp(other.name())
    }
}

fn measure(
    kind: Kind,
    effort: Effort,
    netns: &Netns,
    runtime: &tokio::runtime::Runtime,
    rounds: &mut Rounds,
) -> Result<()> {
    let packets = effort.packets;
    let mut note = |name: &'static str, value: f64| rounds.entry((name, kind)).or_default().push(value);
    let running = Running::start(kind, 3 * FLOWS + BULK_FLOWS + 1, runtime)?;
    // Each of these gives nanoseconds of the server's processor time for each packet that arrived.
    let cost = |work: &mut (dyn FnMut() -> Result<Outcome> + Send)| -> Result<(f64, Outcome)> {
        let before = running.server.cpu_ns()?;
        let outcome = netns.inside(|| {
            pin_to_second()?;
            work()
        })?;
        let spent = running.server.cpu_ns()? - before;
        Ok((spent as f64 / outcome.arrived.max(1) as f64, outcome))
    };
    let mut lost = 0;

    let through: Vec<Flow> = netns.inside(|| flows::to_peers(kind, &running, 0, FLOWS))?;
    cost(&mut || flows::saturate(&through, false, packets / 20))?;
    if kind != Kind::TrainForwarder && kind != Kind::CoturnMultiplex {
        let (ns, outcome) = cost(&mut || flows::saturate(&through, false, packets))?;
        note("client-to-peer", ns);
        lost += outcome.lost;
        let (ns, outcome) = cost(&mut || flows::saturate(&through, true, packets))?;
        note("peer-to-client", ns);
        lost += outcome.lost;
        let seconds = u64::from(effort.seconds);
        let (ns, outcome) = cost(&mut || flows::paced(&through, BUSY, u64::from(BUSY) * seconds))?;
        note("busy", ns);
        note("busy-p50", percentile(&outcome.delays, 0.5));
        note("busy-p99", percentile(&outcome.delays, 0.99));
        lost += outcome.lost;
        let (ns, outcome) = cost(&mut || flows::paced(&through, QUIET, u64::from(QUIET) * seconds))?;
        note("quiet", ns);
        note("quiet-p99", percentile(&outcome.delays, 0.99));
        lost += outcome.lost;
    }
    let bulk: Vec<Flow> = netns.inside(|| flows::to_peers(kind, &running, FLOWS, BULK_FLOWS))?;
    cost(&mut || flows::bursts(&bulk, packets / 20))?;
    note("bulk", cost(&mut || flows::bursts(&bulk, packets * 4))?.0);
    if matches!(kind, Kind::Bulle | Kind::Coturn) {
        let between = netns.inside(|| flows::between_clients(&running, FLOWS + BULK_FLOWS, FLOWS))?;
        cost(&mut || flows::saturate(&between, false, packets / 20))?;
        let (ns, outcome) = cost(&mut || flows::saturate(&between, false, packets))?;
        note("client-to-client", ns);
        lost += outcome.lost;
        note("binding", cost(&mut || flows::bindings(packets / 2))?.0);
        // Clients with logins of their own. For coturn there is one login, and no limit for each.
        let login = running.fresh_login(runtime)?;
        let flood = netns.inside(|| flows::Flood::new(&login))?;
        let calm = netns.inside(|| flows::to_peers(kind, &running, 3 * FLOWS + BULK_FLOWS, 1))?;
        let (_, outcome) = cost(&mut || flows::flooded(&calm, &flood, effort.seconds))?;
        let sent = (outcome.arrived + outcome.lost).max(1);
        note("flooded-lost", outcome.lost as f64 * 100.0 / sent as f64);
        let login = running.fresh_login(runtime)?;
        note("first-relayed", netns.inside(|| flows::first_relayed(&login))?);
    }
    note("lost", lost as f64);
    drop(running);
    if kind == Kind::Bulle {
        note("revocation", revocation::until_the_last_packet(netns)?);
    }
    if matches!(kind, Kind::Bulle | Kind::Coturn) {
        allocations(kind, effort, netns, runtime, &mut note)?;
    }
    Ok(())
}

/// What an allocation costs, in a server that has nothing else to do.
fn allocations(
    kind: Kind,
    effort: Effort,
    netns: &Netns,
    runtime: &tokio::runtime::Runtime,
    note: &mut impl FnMut(&'static str, f64),
) -> Result<()> {
    let count = effort.sessions[0];
    let running = Running::start(kind, count, runtime)?;
    let unasked = |numbers: std::ops::Range<usize>| -> Result<Vec<Allocation>> {
        netns.inside(|| {
            let one = |number| {
                Allocation::unasked((client_address(number), 0).into(), ADDRESS, running.login(number)?)
            };
            numbers.map(one).collect()
        })
    };
    let ask = |all: &mut [Allocation]| {
        netns.inside(|| {
            pin_to_second()?;
            all.chunks_mut(TOGETHER).try_for_each(Allocation::ask_together)
        })
    };
    let few = 20.min(count);
    let mut warm = unasked(0..few)?;
    ask(&mut warm)?;
    let mut all = unasked(few..count)?;
    let made = all.len() as f64;
    let (rss, cpu, clock) = (running.server.rss_kib()?, running.server.cpu_ns()?, Clock::start());
    ask(&mut all)?;
    let took = clock.now().saturating_duration_since(Instant::ZERO);
    note("allocation-cpu", (running.server.cpu_ns()? - cpu) as f64 / 1e3 / made);
    note("allocations-per-second", made / took.as_secs_f64());
    note("allocation-rss", (running.server.rss_kib()? - rss) / made);
    for allocation in &mut all {
        netns.inside(|| allocation.free())?;
    }
    std::thread::sleep(Duration::from_secs(1));
    note("rss-after", running.server.rss_kib()? / rss);
    Ok(())
}

fn tell(rounds: &Rounds, report: &mut Report) {
    for ((name, kind), values) in rounds {
        let unit = match *name {
            "lost" => "packets",
            "allocations-per-second" => "1/s",
            "allocation-rss" => "KiB",
            "rss-after" => "x",
            "flooded-lost" => "%",
            "revocation" => "ms",
            "first-relayed" | "allocation-cpu" | "busy-p50" | "busy-p99" | "quiet-p99" => "us",
            _ => "ns",
        };
        let figure = format!("{}-{name}", kind.name());
        if (*name, *kind) == ("allocations-per-second", Kind::Bulle) {
            report.figure_at_least(&figure, values, unit, 20_000.0);
            continue;
        }
        let goal = match (*name, *kind) {
            ("lost", Kind::Bulle) => Some(0.0),
            ("allocation-rss", Kind::Bulle) => Some(3.0),
            ("allocation-cpu", Kind::Bulle) => Some(45.0),
            ("rss-after", Kind::Bulle) => Some(1.1),
            // "Revocable within a second".
            ("revocation", Kind::Bulle) => Some(1000.0),
            _ => None,
        };
        match goal {
            Some(goal) => report.figure_at_most(&figure, values, unit, goal),
            None => report.figure(&figure, values, unit),
        }
    }
    // A ratio is taken within a round, where both met the same machine.
    let goals = [
        ("client-to-peer", Kind::Forwarder, 1.10),
        ("client-to-peer", Kind::Coturn, 0.90),
        ("peer-to-client", Kind::Forwarder, 1.10),
        ("peer-to-client", Kind::Coturn, 0.80),
        ("bulk", Kind::TrainForwarder, 2.0),
        ("bulk", Kind::CoturnMultiplex, 0.5),
        ("client-to-client", Kind::Coturn, 0.45),
        ("busy", Kind::Coturn, 0.55),
        ("quiet-p99", Kind::Forwarder, 1.3),
        ("binding", Kind::Coturn, 0.80),
    ];
    for (name, other, goal) in goals {
        let (Some(ours), Some(theirs)) = (rounds.get(&(name, Kind::Bulle)), rounds.get(&(name, other)))
        else {
            continue;
        };
        let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
        report.figure_at_most(&format!("{name}-bulle-to-{}", other.name()), &ratios, "x", goal);
    }
    let (Some(ours), Some(bare)) =
        (rounds.get(&("busy-p99", Kind::Bulle)), rounds.get(&("busy-p99", Kind::Forwarder)))
    else {
        return;
    };
    let added: Vec<f64> = ours.iter().zip(bare).map(|(ours, bare)| ours - bare).collect();
    report.figure_at_most("busy-p99-added", &added, "us", 400.0);
}

/// The client has the second processor, the server the first.
fn pin_to_second() -> Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(1);
    rustix::thread::sched_setaffinity(None, &set).context("a second processor is needed")
}

fn percentile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() as f64 * part) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().or_else(|| median(values)).unwrap_or(0.0)
}
