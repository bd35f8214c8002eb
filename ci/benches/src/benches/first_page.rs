//! How soon a box that was just switched on shows its page.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use phones::clock::Clock;

use super::Effort;
use crate::report::{Report, version};
use crate::{http, node};

/// From exec to the page, in milliseconds.
const GOAL_MS: f64 = 300.0;

/// After which a box that does not answer is taken for dead.
const LIMIT: Duration = Duration::from_secs(20);

/// Measures a first start, which makes the CA, and later ones.
pub(super) fn run(effort: Effort, report: &mut Report) -> Result<()> {
    report.note("bulle", version(&node::program().to_string_lossy(), &["--version"]));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut first, mut later) = (Vec::new(), Vec::new());
    let node = node::Node::new("first-page", Ipv4Addr::LOCALHOST, true)?;
    for _ in 0..effort.rounds.max(2) {
        node.forget()?;
        first.push(once(&node, &runtime)?);
        later.push(once(&node, &runtime)?);
    }
    report.figure_at_most("first-start", &first, "ms", GOAL_MS);
    report.figure_at_most("later-start", &later, "ms", GOAL_MS);
    Ok(())
}

fn once(node: &node::Node, runtime: &tokio::runtime::Runtime) -> Result<f64> {
    let tls = http::dangerous_client();
    let clock = Clock::start();
    let server = node.start()?;
    let took = runtime.block_on(async {
        tokio::time::timeout(LIMIT, async {
            loop {
                // Refused until it listens; a visitor would reload, and we do so every millisecond.
                if let Ok(mut stream) = http::connect(node.https, &tls).await {
                    let answer = http::get(&mut stream, &node.https.to_string(), "/").await?;
                    ensure!(answer.status == 200, "the page answers {}", answer.status);
                    return Ok(clock.now().as_micros() as f64 / 1e3);
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .context("no page within 20 s")?
    })?;
    drop(server);
    Ok(took)
}
