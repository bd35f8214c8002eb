//! The control socket: how root, or the user that runs the daemon, asks it what it holds, and to purge it.
//!
//! One connection, one line of request, one answer in text that ends with the line `end`, so that half an answer is
//! known from a whole one. The socket lies in the state directory, which others cannot enter; whoever gets there all
//! the same is asked for his user by the kernel.
//! What it is not: reachable over any network, or a way to read what people write. The most that it gives is what the
//! mailbox has: ciphertext.

pub mod client;
mod dump;

pub use dump::{Figures, Tables};

use crate::hub::Hub;
use dump::Dump;
use nix::unistd::geteuid;
use relay_core::mailbox::Cause;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tracing::{info, warn};

/// The name of the socket in the state directory.
pub const SOCKET: &str = "control";
/// The last line of every answer.
const END: &str = "end\n";
/// Longest request.
const LONGEST_REQUEST: u64 = 32;
/// Answers at a time; whoever comes in between hears nothing and tries again.
const ANSWERS: usize = 2;
/// How long a request may take to come, and each piece of an answer to leave.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the sessions that a purge ended get to be gone.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long to rest when the system has no connection for us.
const REST: Duration = Duration::from_millis(100);

/// What only the daemon itself can do; it answers when it is done.
#[derive(Debug)]
pub enum Order {
    /// Forget everything that is not in the mailbox: allocations, tables of addresses.
    Forget(oneshot::Sender<()>),
    /// Tell what is counted.
    Figures(oneshot::Sender<Figures>),
}

/// The open socket. Dropping it takes it away.
#[derive(Debug)]
pub struct Control {
    listener: Option<UnixListener>,
    path: PathBuf,
}

impl Control {
    /// Opens the socket in the state directory, which is ours alone.
    ///
    /// # Errors
    /// When the system refuses, for instance because the path is too long for a socket.
    pub fn open(state: &Path) -> io::Result<Self> {
        let path = state.join(SOCKET);
        // What a power cut left: the directory is locked by us, so nobody listens there.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(Self { listener: Some(listener), path })
    }

    /// Answers, for as long as the runtime runs this task.
    pub async fn serve(mut self, hub: Arc<Hub>, orders: mpsc::Sender<Order>) {
        let Some(listener) = self.listener.take() else { return };
        let places = Arc::new(Semaphore::new(ANSWERS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (hub, orders) = (Arc::clone(&hub), orders.clone());
                    tokio::spawn(async move {
                        // Who goes away before the end misses nothing that matters to us.
                        let _ = answer(stream, &hub, &orders).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    warn!(kind = ?error.kind(), "the control socket takes nobody for the moment");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

async fn answer(stream: UnixStream, hub: &Arc<Hub>, orders: &mpsc::Sender<Order>) -> io::Result<()> {
    let user = stream.peer_cred()?.uid();
    let mut stream = BufReader::new(stream);
    let mut request = String::new();
    timeout(PATIENCE, (&mut stream).take(LONGEST_REQUEST).read_line(&mut request)).await??;
    let mut stream = stream.into_inner();
    if user != 0 && user != geteuid().as_raw() {
        return say(&mut stream, "refused: this is for root and for the user that runs bulle\n").await;
    }
    match request.as_str() {
        "dump\n" => tell(stream, hub, orders, false).await,
        "dump bytes\n" => tell(stream, hub, orders, true).await,
        "purge\n" => {
            let before = hub.counters();
            panic(hub, orders).await;
            let text = format!(
                "purged: {} envelopes in {} mailboxes, {} sessions, and all TURN allocations\n{END}",
                before.envelopes, before.mailboxes, before.sessions
            );
            say(&mut stream, &text).await
        }
        _ => say(&mut stream, "refused: this understands `dump`, `dump bytes` and `purge`\n").await,
    }
}

/// Everything goes, now: envelopes and sessions at once, then what other parts of the daemon know of addresses.
pub async fn panic(hub: &Arc<Hub>, orders: &mpsc::Sender<Order>) {
    hub.purge(Cause::Panic);
    let (done, forgotten) = oneshot::channel();
    if orders.send(Order::Forget(done)).await.is_ok() {
        let _ = forgotten.await;
    }
    info!("everything was purged, as asked");
    tokio::spawn(trim(Arc::clone(hub)));
}

/// Gives back the memory of sessions that were ended, when they are gone.
pub async fn trim(hub: Arc<Hub>) {
    // Some do not say goodbye, and others come back at once: what there is then is given back.
    let _ = timeout(FAREWELL, hub.emptied()).await;
    let _ = tokio::task::spawn_blocking(move || hub.give_back()).await;
}

/// What the daemon has counted; `None` when it is about to end.
pub async fn figures(orders: &mpsc::Sender<Order>) -> Option<Figures> {
    let (reply, figures) = oneshot::channel();
    orders.send(Order::Figures(reply)).await.ok()?;
    figures.await.ok()
}

async fn tell(
    mut stream: UnixStream,
    hub: &Arc<Hub>,
    orders: &mpsc::Sender<Order>,
    bytes: bool,
) -> io::Result<()> {
    let figures = figures(orders).await.ok_or(io::ErrorKind::BrokenPipe)?;
    let mut dump = Dump::new(hub, bytes);
    say(&mut stream, &figures.to_string()).await?;
    // Piece by piece, so that the whole is never in memory and the mailbox is held up by no reader.
    let mut piece = String::new();
    while dump.next(&mut piece) {
        say(&mut stream, &piece).await?;
        piece.clear();
    }
    say(&mut stream, END).await
}

async fn say(stream: &mut UnixStream, text: &str) -> io::Result<()> {
    timeout(PATIENCE, stream.write_all(text.as_bytes())).await?
}
