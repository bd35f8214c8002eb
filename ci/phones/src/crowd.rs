//! Everybody at once: sessions that only come, stay, and go, as when the power is back or a meeting begins.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use base::Instant;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use wire::{ClientFrame, NodeFrame};

use crate::clock::Clock;
use crate::session::{Carrier, Node};
use crate::usage;

/// Who is not let in waits so long at first, and twice as long each time, as the client does.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// An answer to a session that is open. The node may have much to do, and is not given up for that.
const ANSWER: Duration = Duration::from_secs(60);

/// What it took.
#[derive(Clone, Copy, Debug)]
pub struct Came {
    /// Sessions that were open at the same time, all of them answering.
    pub sessions: usize,
    /// Attempts that it took.
    pub tries: usize,
    /// Until the last one was open.
    pub after: Duration,
}

/// Opens so many sessions in the same moment, each until it is let in; sees that each is answered when all are open;
/// and ends them all in the same moment.
///
/// # Errors
/// When not all were open after `limit`, or one was not answered.
pub async fn run(node: &Node, count: usize, limit: Duration) -> Result<Came> {
    let files = usage::raise_open_files();
    ensure!(
        files > count as u64 + 100,
        "--crowd {count} needs more open files than the {files} that this process may have; `ulimit -n` raises them"
    );
    let (clock, tries) = (Clock::start(), Arc::new(AtomicUsize::new(0)));
    let all_there = Arc::new(Barrier::new(count + 1));
    let mut sessions = JoinSet::new();
    for _ in 0..count {
        let (node, tries, all_there) = (node.clone(), Arc::clone(&tries), Arc::clone(&all_there));
        sessions.spawn(async move {
            let mut carrier = come(&node, &tries).await?;
            all_there.wait().await;
            answered(&mut carrier).await?;
            // Nobody goes before everybody was answered.
            all_there.wait().await;
            anyhow::Ok(())
        });
    }
    let open = timeout(limit, all_there.wait()).await;
    ensure!(open.is_ok(), "not all of {count} sessions were open after {} s", limit.as_secs());
    let after = clock.now().saturating_duration_since(Instant::ZERO);
    let answers = async {
        tokio::select! {
            _ = all_there.wait() => Ok(()),
            // One that ends now has failed: the others wait for it.
            Some(ended) = sessions.join_next() => ended?,
        }
    };
    answers.await.context("a session that was open")?;
    while let Some(ended) = sessions.join_next().await {
        ended??;
    }
    Ok(Came { sessions: count, tries: tries.load(Ordering::Relaxed), after })
}

/// Tries until it is let in and welcomed.
async fn come(node: &Node, tries: &AtomicUsize) -> Result<Carrier> {
    let mut pause = FIRST_PAUSE;
    loop {
        tries.fetch_add(1, Ordering::Relaxed);
        if let Ok(carrier) = welcomed(node).await {
            return Ok(carrier);
        }
        let mut bytes = [0];
        getrandom::getrandom(&mut bytes)?;
        sleep(pause / 2 + pause / 2 * bytes[0].into() / 256).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn welcomed(node: &Node) -> Result<Carrier> {
    let mut carrier = node.open().await?;
    let first = heard(&mut carrier).await?;
    ensure!(
        matches!(NodeFrame::decode(&first), Ok(NodeFrame::Welcome { .. })),
        "the first word is no welcome"
    );
    Ok(carrier)
}

async fn answered(carrier: &mut Carrier) -> Result<()> {
    let mut frame = Vec::new();
    ClientFrame::Ping { nonce: 7 }.encode(&mut frame);
    carrier.send(Message::Binary(frame.into())).await?;
    let answer = heard(carrier).await?;
    ensure!(matches!(NodeFrame::decode(&answer), Ok(NodeFrame::Pong { nonce: 7 })), "the answer is no pong");
    Ok(())
}

async fn heard(carrier: &mut Carrier) -> Result<Vec<u8>> {
    match timeout(ANSWER, carrier.next()).await.context("no answer")? {
        Some(Ok(Message::Binary(frame))) => Ok(frame.to_vec()),
        Some(Ok(other)) => bail!("the node said {other:?}"),
        Some(Err(error)) => Err(error.into()),
        None => bail!("the node closed it"),
    }
}
