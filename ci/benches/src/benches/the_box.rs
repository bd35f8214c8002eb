//! The box as it is flashed, in a virtual machine: how large, how soon, how hungry. `ci/benches/box` measures,
//! this reports.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::Effort;
use crate::report::Report;

const TOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The boards that are shipped.
const SHIPPED: [&str; 2] = ["rpi5", "kubb-mini"];

/// What is downloaded, in MB: 10^6 bytes, as everybody who offers downloads counts.
const COMPRESSED_MB: f64 = 130.0;
/// The root file system with the tree that it is verified by.
const ROOT_MIB: f64 = 95.0;
/// Of the booted system, as `free` tells.
const MEMORY_MIB: f64 = 130.0;
/// To the first page, against the peer.
const RATIO: f64 = 0.5;

/// How large the images are.
pub(super) fn size(_: Effort, report: &mut Report) -> Result<()> {
    for board in SHIPPED {
        let file = format!("{TOP}/out/image/{board}/sizes.json");
        let text = fs::read(&file).with_context(|| format!("{file}: `ci/image {board}` makes it"))?;
        let sizes: Value = serde_json::from_slice(&text)?;
        let bytes = |name: &str| {
            sizes.get(name).and_then(Value::as_f64).with_context(|| format!("{file}: no {name}"))
        };
        report.figure_at_most(
            &format!("{board}-compressed"),
            &[bytes("compressed")? / 1e6],
            "MB",
            COMPRESSED_MB,
        );
        let root = bytes("root")? / f64::from(1 << 20);
        report.figure_at_most(&format!("{board}-root"), &[root], "MiB", ROOT_MIB);
    }
    Ok(())
}

/// From the kernel's first instruction to the first page, beside the same packages as Debian starts them.
pub(super) fn start(effort: Effort, report: &mut Report) -> Result<()> {
    let found = measure(&["start", "--rounds", &effort.rounds.to_string()])?;
    let rounds = |name: &str| -> Result<Vec<f64>> {
        let list =
            found.get(name).and_then(Value::as_array).with_context(|| format!("no rounds of {name}"))?;
        Ok(list.iter().filter_map(Value::as_f64).collect())
    };
    let (own, peer) = (rounds("box")?, rounds("peer")?);
    report.figure("first-page", &own, "s");
    report.figure("first-page-of-the-peer", &peer, "s");
    report.figure_at_most("ratio", &ratios(&own, &peer)?, "x", RATIO);
    // What was worked until then depends less on what else the machine does.
    let (own, peer) = (rounds("box_cpu")?, rounds("peer_cpu")?);
    report.figure("processors", &own, "s");
    report.figure("processors-of-the-peer", &peer, "s");
    report.figure("processors-ratio", &ratios(&own, &peer)?, "x");
    Ok(())
}

fn ratios(own: &[f64], peer: &[f64]) -> Result<Vec<f64>> {
    ensure!(own.len() == peer.len(), "rounds are missing");
    Ok(own.iter().zip(peer).map(|(own, peer)| own / peer).collect())
}

/// What the box needs and writes as it serves.
pub(super) fn operation(effort: Effort, report: &mut Report) -> Result<()> {
    let found = measure(&["operation", "--seconds", &effort.operation_s.to_string()])?;
    let value = |name: &str| found.get(name).and_then(Value::as_f64).with_context(|| format!("no {name}"));
    report.figure_at_most("memory", &[value("memory_mib")?], "MiB", MEMORY_MIB);
    report.figure("memory-after-ten-phones", &[value("memory_after_phones_mib")?], "MiB");
    let per_hour = value("bytes_written")? * 3600.0 / value("seconds")?;
    report.figure_at_most("written-to-the-card", &[per_hour], "B/h", 0.0);
    report.note("seconds", effort.operation_s);
    Ok(())
}

/// Runs the measuring program where QEMU is, which is the root `image` that lies in this one.
fn measure(words: &[&str]) -> Result<Value> {
    ensure!(
        Path::new("/image/usr/bin/qemu-system-aarch64").exists(),
        "the root `image` is missing: `ci/in image true`"
    );
    let output = Command::new("chroot")
        .args([
            "/image",
            "/usr/bin/env",
            "-C",
            "/ws",
            "PYTHONDONTWRITEBYTECODE=1",
            "python3",
            "-m",
            "ci.benches.box.measure",
        ])
        .args(words)
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("chroot: not started")?;
    ensure!(output.status.success(), "ci/benches/box/measure.py {} failed", words.join(" "));
    Ok(serde_json::from_slice(&output.stdout)?)
}
