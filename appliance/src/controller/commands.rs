//! The programs that the controller asks: the service manager and the packet filter.

use std::io;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

/// Longer than any of these takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a program to its end with this on its standard input.
///
/// # Errors
/// When it cannot be started, fails, or takes too long. What it said is left out: it may name addresses.
pub(super) async fn run(program: &str, arguments: &[&str], input: &str) -> io::Result<()> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("cannot start {program}: {error}")))?;
    let mut stdin = child.stdin.take();
    let work = async {
        if let Some(stdin) = stdin.as_mut() {
            // A program that does not want it all has its reasons; its status counts.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        drop(stdin);
        child.wait().await
    };
    match timeout(PATIENCE, work).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(io::Error::other(format!("{program} failed ({status})"))),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("{program} does not come to an end"))),
    }
}
