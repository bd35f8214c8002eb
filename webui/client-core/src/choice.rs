//! Which way a session is carried: by a WebSocket wherever there is one, by plain requests where it is refused.
//!
//! It learns from what fails and keeps no memory of any network: each new attempt begins with the WebSocket, unless the
//! last one hung until it was given up, which is how some proxies refuse.

use base::Instant;
use core::time::Duration;

/// How often the WebSocket is tried while requests carry the session.
const RETURN: Duration = Duration::from_secs(30);

/// A way to carry a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// One connection.
    WebSocket,
    /// Many requests.
    Requests,
}

/// The machine.
#[derive(Debug, Default)]
pub struct Choice {
    /// The last attempt at a WebSocket hung.
    hung: bool,
    /// When to try for a WebSocket beside the requests that carry the session.
    return_at: Option<Instant>,
}

impl Choice {
    /// No way has failed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new attempt begins: which way to go first.
    pub fn dial(&mut self) -> Way {
        self.return_at = None;
        if core::mem::take(&mut self.hung) { Way::Requests } else { Way::WebSocket }
    }

    /// This way was refused: which way to go at once.
    pub const fn handle_refused(&self, way: Way) -> Option<Way> {
        match way {
            Way::WebSocket => Some(Way::Requests),
            Way::Requests => None,
        }
    }

    /// The attempt took too long, and is given up.
    pub fn handle_hung(&mut self, way: Way) {
        self.hung = way == Way::WebSocket;
    }

    /// The session is carried this way; or still is, after a WebSocket was refused again.
    pub fn handle_up(&mut self, way: Way, now: Instant) {
        self.return_at = (way == Way::Requests).then(|| now + RETURN);
    }

    /// The network may have changed, and with it who refuses what.
    pub fn handle_change(&mut self, now: Instant) {
        self.return_at = self.return_at.map(|_| now);
    }

    /// When to ask [`Choice::is_return_due`] again.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.return_at
    }

    /// Whether a WebSocket should be tried now, beside the requests; asked once.
    pub fn is_return_due(&mut self, now: Instant) -> bool {
        let due = self.return_at.is_some_and(|at| at <= now);
        if due {
            self.return_at = Some(now + RETURN);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Instant {
        Instant::from_millis(s * 1000)
    }

    #[test]
    fn a_refused_websocket_is_followed_by_requests_at_once_and_these_by_nothing() {
        let mut choice = Choice::new();
        assert_eq!(choice.dial(), Way::WebSocket);
        assert_eq!(choice.handle_refused(Way::WebSocket), Some(Way::Requests));
        assert_eq!(choice.handle_refused(Way::Requests), None);
        assert_eq!(choice.dial(), Way::WebSocket, "the next network may be another one");
    }

    #[test]
    fn after_a_websocket_that_hung_requests_come_first_once() {
        let mut choice = Choice::new();
        choice.handle_hung(Way::WebSocket);
        assert_eq!(choice.dial(), Way::Requests);
        assert_eq!(choice.dial(), Way::WebSocket);
        choice.handle_hung(Way::Requests);
        assert_eq!(choice.dial(), Way::WebSocket);
    }

    #[test]
    fn while_requests_carry_it_a_websocket_is_tried_now_and_then() {
        let mut choice = Choice::new();
        choice.handle_up(Way::Requests, at(0));
        assert!(!choice.is_return_due(at(29)));
        assert!(choice.is_return_due(at(30)) && !choice.is_return_due(at(30)));
        assert_eq!(choice.poll_timeout(), Some(at(60)));
        choice.handle_change(at(31));
        assert!(choice.is_return_due(at(31)));
        choice.handle_up(Way::WebSocket, at(32));
        choice.handle_change(at(33));
        assert_eq!(choice.poll_timeout(), None, "it is back");
    }
}
