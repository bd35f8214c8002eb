//! Word to the services of the box, through the service manager: tried again until it is taken.
//!
//! Each is asked beside the controller's own work. It waits until the service has done what was asked, which may be as
//! long as the service itself waits for the controller.

use super::commands;
use appliance_core::retry::Retry;
use base::Instant;
use std::io;
use tokio::task::JoinHandle;
use tracing::{info, warn};

/// What a service can be asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    /// Which service, for the log.
    service: &'static str,
    /// What `systemctl` is called with.
    arguments: &'static [&'static str],
}

/// networkd looks at its files again, or starts if it does not run.
pub(super) const NETWORK: Word =
    Word { service: "systemd-networkd", arguments: &["reload-or-restart", "systemd-networkd.service"] };
/// `bulle serve` looks at its settings again, if it runs. It is never started anew for them: it holds what people sent.
pub(super) const SERVE: Word =
    Word { service: "bulle", arguments: &["try-reload-or-restart", "bulle.service"] };

/// One word, and how far it is.
#[derive(Debug)]
pub(super) struct Asked {
    word: Word,
    retry: Retry,
    task: Option<JoinHandle<io::Result<()>>>,
}

impl Asked {
    /// Nothing is to be said yet.
    pub(super) const fn new(word: Word) -> Self {
        Self { word, retry: Retry::NEW, task: None }
    }

    /// It has to be said, or once more.
    pub(super) const fn want(&mut self) {
        self.retry.handle_wanted();
    }

    /// Looks whether it was taken, and says what is due.
    pub(super) async fn turn(&mut self, now: Instant) {
        if let Some(task) = self.task.take_if(|task| task.is_finished()) {
            let service = self.word.service;
            let done = task.await.map_err(io::Error::other).and_then(|done| done);
            self.retry.handle_done(done.is_ok(), now);
            if let Err(error) = &done {
                if self.retry.is_worth_saying() {
                    warn!(%error, service, "a service does not take its settings; it is asked again");
                } else {
                    info!(%error, service, "a service did not take its settings; it is asked again");
                }
            }
        }
        if self.retry.poll_effect(now) {
            let arguments = self.word.arguments;
            self.task = Some(tokio::spawn(async move { commands::run("systemctl", arguments, "").await }));
        }
    }

    /// Whether the service has refused several times.
    pub(super) const fn is_refused(&self) -> bool {
        self.retry.is_worth_saying()
    }
}
