//! The command `bench`, run by `ci/bench` inside the root `e2e`.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command that speaks to its caller")]

use std::path::PathBuf;
use std::process::ExitCode;

use bench::benches::{ALL, Effort};
use bench::node;
use bench::report::Report;
use clap::Parser;

/// Measures, prints one line per figure, and writes out/bench/NAME.json.
#[derive(Debug, Parser)]
struct Arguments {
    /// Which benches; without names, all
    names: Vec<String>,
    /// Name the benches and stop
    #[arg(long)]
    list: bool,
    /// Few rounds and few sessions: shows that the benches work, not what things cost
    #[arg(long)]
    quick: bool,
    /// Rounds of each measurement
    #[arg(long)]
    rounds: Option<usize>,
    /// Where the figures go
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        for bench in ALL {
            println!("{:<14} {}", bench.name, bench.about);
        }
        return ExitCode::SUCCESS;
    }
    if let Some(unknown) = arguments.names.iter().find(|name| ALL.iter().all(|bench| bench.name != **name)) {
        eprintln!("bench: there is no bench called {unknown}; --list names them");
        return ExitCode::from(2);
    }
    let mut effort = if arguments.quick { Effort::QUICK } else { Effort::FULL };
    effort.rounds = arguments.rounds.unwrap_or(effort.rounds).clamp(1, 99);
    let out = arguments.out.unwrap_or_else(|| node::beside("../../bench"));
    let mut failed = 0;
    for bench in ALL
        .iter()
        .filter(|bench| arguments.names.is_empty() || arguments.names.iter().any(|n| n == bench.name))
    {
        let mut report = Report::new(bench.name);
        if let Err(e) = (bench.run)(effort, &mut report).and_then(|()| report.write(&out)) {
            eprintln!("bench: {}: {e:#}", bench.name);
            failed += 1;
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
