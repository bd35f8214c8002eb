//! Word to the service manager (systemd's `sd_notify`), where there is one.
//!
//! What cannot be said is not worth stopping for: without a service manager nobody listens.

use crate::hub::Hub;
use sd_notify::NotifyState;
use std::sync::Arc;
use std::time::Duration;

/// The daemon serves.
pub fn ready() {
    let _ = sd_notify::notify(&[NotifyState::Ready]);
}

/// The daemon reads its settings again; [`ready`] follows.
pub fn reloading() {
    // systemd wants to know that the word is not an old one.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        let _ = sd_notify::notify(&[NotifyState::Reloading, now]);
    }
}

/// All is well; for those that have a beat of their own.
pub fn alive() {
    let _ = sd_notify::notify(&[NotifyState::Watchdog]);
}

/// The daemon ends.
pub fn stopping() {
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
}

/// Tells the service manager that all is well, twice in the time that it asks for, for as long as the runtime runs
/// this task and the mailbox answers.
pub async fn keep_alive(hub: Arc<Hub>) {
    let Some(within) = sd_notify::watchdog_enabled() else { return };
    let mut beat = tokio::time::interval((within / 2).max(Duration::from_millis(1)));
    loop {
        beat.tick().await;
        // Waits for the lock that everything goes through; whoever holds it for good stops this.
        let _ = hub.sessions();
        // Apart, since a service manager that does not read would hold up the runtime.
        let sent = tokio::task::spawn_blocking(|| sd_notify::notify(&[NotifyState::Watchdog]));
        let _ = sent.await;
    }
}
