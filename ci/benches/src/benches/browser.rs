//! What a person waits for, seen by real browsers: `ci/harness/bench.mjs` measures, this reports.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::Effort;
use crate::report::{Report, version};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../harness/bench.mjs");
const FIGURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../out/bench");

/// A session that was cut is taken up again within so long, with nothing lost.
const GOAL_RESUMED_MS: f64 = 2000.0;

/// From opening a join link to the first screen, and to a page that can be used.
pub(super) fn page_ready(effort: Effort, report: &mut Report) -> Result<()> {
    measure("page-ready", &[], effort, report)
}

/// From opening a conversation to a path.
pub(super) fn connect(effort: Effort, report: &mut Report) -> Result<()> {
    measure("connect", &[], effort, report)
}

/// From the end of both connections to a message that was written then and is read.
pub(super) fn resume(effort: Effort, report: &mut Report) -> Result<()> {
    measure("resume", &[("resumed", GOAL_RESUMED_MS)], effort, report)
}

fn measure(name: &str, goals: &[(&str, f64)], effort: Effort, report: &mut Report) -> Result<()> {
    report.note("chromium", version("chromium", &["--version"]));
    let status = Command::new("node")
        .args([SCRIPT, name, "--rounds", &effort.rounds.to_string()])
        .stdout(std::process::Stdio::null())
        .status()
        .context("node: not started")?;
    ensure!(status.success(), "ci/harness/bench.mjs {name} failed");
    let file = format!("{FIGURES}/{name}.json");
    let found: Value = serde_json::from_slice(&fs::read(&file).with_context(|| file.clone())?)?;
    let unit = found.get("unit").and_then(Value::as_str).unwrap_or("ms");
    for (figure, rounds) in found.get("figures").and_then(Value::as_object).context("no figures")? {
        let rounds: Vec<f64> = rounds.as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        match goals.iter().find(|(name, _)| name == figure) {
            Some((_, goal)) => report.figure_at_most(figure, &rounds, unit, *goal),
            None => report.figure(figure, &rounds, unit),
        }
    }
    if let Some(slowed) = found.get("slowed") {
        report.note("cpu_slowed", slowed.clone());
    }
    Ok(())
}
