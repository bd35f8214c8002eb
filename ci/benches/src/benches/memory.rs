//! What the node needs: alone, and for each phone that uses it as phones do.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Result, ensure};
use client_core::Path;
use phones::fleet::{self, Options, Phase};
use phones::usage;

use super::Effort;
use crate::node::{self, Node};
use crate::report::{Report, version};

/// Each phone writes so many messages to its mate.
const MESSAGES: u32 = 5;

/// Before memory is read, what is made once is made and what is put away is put away.
const SETTLE: Duration = Duration::from_secs(1);

/// Measures the idle node, and with all phones connected and talking directly.
pub(super) fn run(effort: Effort, report: &mut Report) -> Result<()> {
    usage::raise_open_files();
    report.note("bulle", version(&node::program().to_string_lossy(), &["--version"]));
    report.note("phones", effort.phones);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (mut idle, mut per_phone, mut after) = (vec![], vec![], vec![]);
    let (mut cpu, mut connect, mut rate) = (vec![], vec![], vec![]);
    for _ in 0..effort.rounds.min(3) {
        let node = Node::new("memory", Ipv4Addr::LOCALHOST, true)?;
        let server = node.start_ready()?;
        std::thread::sleep(SETTLE);
        let before = (server.rss_kib()?, server.cpu_ns()?);
        let options = Options {
            half: None,
            url: node.url(),
            connect: Some(node.https),
            ca: node.authority()?,
            count: effort.phones,
            bubble: effort.phones,
            messages: MESSAGES,
            path: Path::Direct,
            transport: Default::default(),
            rate: 0,
            limit: Duration::from_secs(120),
        };
        let mut with_phones = None;
        let account = runtime.block_on(fleet::run(options, |phase| {
            if phase == Phase::Done {
                with_phones = server.rss_kib().ok().zip(server.cpu_ns().ok());
            }
        }))?;
        ensure!(account.is_good(), "the phones did not succeed:\n{}", account.complaints().join("\n"));
        std::thread::sleep(SETTLE);
        let (rss, ns) = with_phones.unwrap_or_default();
        idle.push(before.0 / 1024.0);
        per_phone.push((rss - before.0) / effort.phones as f64);
        after.push(server.rss_kib()? / 1024.0);
        cpu.push((ns - before.1) as f64 / 1e6 / effort.phones as f64);
        let figures = account.to_json();
        connect.extend(figures.pointer("/connect/median_ms").and_then(serde_json::Value::as_f64));
        rate.extend(figures.pointer("/messages_per_s").and_then(serde_json::Value::as_f64));
    }
    report.figure("node-idle", &idle, "MiB");
    report.figure("node-per-phone", &per_phone, "KiB");
    report.figure("node-after-phones-left", &after, "MiB");
    report.figure("node-cpu-per-phone", &cpu, "ms");
    report.figure("phones-connect-direct", &connect, "ms");
    report.figure("phones-messages", &rate, "1/s");
    Ok(())
}
