//! The ways in which a daemon is asked for something.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// To end.
    Stop,
    /// To read the settings again.
    Reload,
    /// To purge everything that is held, now.
    Purge,
}

/// Waits to be asked.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// The terminal was closed; or, for a daemon that has none, the settings have changed.
    hang_up: Signal,
    /// A gesture that is no command: what watches a button sends it.
    user: Signal,
    reloads: bool,
}

impl Signals {
    /// From now on signals end nothing by themselves. `reloads` says what SIGHUP means.
    pub(super) fn new(reloads: bool) -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
            reloads,
        })
    }

    /// The next wish.
    pub(super) async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.user.recv() => Wish::Purge,
            _ = self.hang_up.recv() => if self.reloads { Wish::Reload } else { Wish::Stop },
        }
    }

    /// Until it is asked to end.
    pub(super) async fn stop(&mut self) {
        while self.next().await != Wish::Stop {}
    }
}
