//! Which way a session is carried: by a WebSocket wherever there is one, by a data channel to the box where it is
//! refused, by plain requests where there is none either.
//!
//! It learns from what fails and keeps no memory of any network: each new attempt begins with the WebSocket, unless the
//! last one hung until it was given up, which is how some networks refuse; then it begins with the next way.

use base::Instant;
use core::time::Duration;

/// How often better ways are tried while another one carries the session.
const RETURN: Duration = Duration::from_secs(30);

/// A way to carry a session; the better ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// One connection.
    WebSocket,
    /// A WebRTC data channel to the box.
    DataChannel,
    /// Many requests.
    Requests,
}

/// The machine.
#[derive(Debug, Default)]
pub struct Choice {
    /// Whether this browser has WebRTC, and the invitation says by what the box is known there.
    data_channel: bool,
    /// The last attempt hung, this way.
    hung: Option<Way>,
    /// What carries the session.
    carrying: Option<Way>,
    /// When to try for something better beside it.
    return_at: Option<Instant>,
}

impl Choice {
    /// No way has failed yet.
    pub fn new(data_channel: bool) -> Self {
        Self { data_channel, ..Self::default() }
    }

    /// A new attempt begins: which way to go first.
    pub fn dial(&mut self) -> Way {
        (self.carrying, self.return_at) = (None, None);
        self.hung.take().and_then(|way| self.after(way)).unwrap_or(Way::WebSocket)
    }

    /// This way was refused: which way to go at once.
    pub fn handle_refused(&self, way: Way) -> Option<Way> {
        // What is no better than what carries the session needs no trying.
        self.after(way).filter(|next| self.carrying.is_none_or(|carrying| *next < carrying))
    }

    /// The attempt took too long, and is given up.
    pub const fn handle_hung(&mut self, way: Way) {
        self.hung = Some(way);
    }

    /// The box there is not the one of the invitation: no data channel is opened to it.
    pub const fn handle_impostor(&mut self) {
        self.data_channel = false;
    }

    /// The session is carried this way; or still is, after something better was refused again.
    pub fn handle_up(&mut self, way: Way, now: Instant) {
        self.carrying = Some(way);
        self.return_at = (way != Way::WebSocket).then(|| now + RETURN);
    }

    /// What carries the session.
    pub const fn carrying(&self) -> Option<Way> {
        self.carrying
    }

    /// The network may have changed, and with it who refuses what.
    pub fn handle_change(&mut self, now: Instant) {
        self.return_at = self.return_at.map(|_| now);
    }

    /// When to ask [`Choice::is_return_due`] again.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.return_at
    }

    /// Whether better ways should be tried now, beside the one that carries the session; asked once.
    pub fn is_return_due(&mut self, now: Instant) -> bool {
        let due = self.return_at.is_some_and(|at| at <= now);
        if due {
            self.return_at = Some(now + RETURN);
        }
        due
    }

    const fn after(&self, way: Way) -> Option<Way> {
        match way {
            Way::WebSocket if self.data_channel => Some(Way::DataChannel),
            Way::WebSocket | Way::DataChannel => Some(Way::Requests),
            Way::Requests => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Instant {
        Instant::from_millis(s * 1000)
    }

    #[test]
    fn what_is_refused_is_followed_by_the_next_way_at_once_and_the_last_by_nothing() {
        let mut choice = Choice::new(true);
        assert_eq!(choice.dial(), Way::WebSocket);
        assert_eq!(choice.handle_refused(Way::WebSocket), Some(Way::DataChannel));
        assert_eq!(choice.handle_refused(Way::DataChannel), Some(Way::Requests));
        assert_eq!(choice.handle_refused(Way::Requests), None);
        assert_eq!(choice.dial(), Way::WebSocket, "the next network may be another one");
    }

    #[test]
    fn without_webrtc_or_a_pin_requests_follow_at_once() {
        let mut choice = Choice::new(false);
        assert_eq!(choice.handle_refused(Way::WebSocket), Some(Way::Requests));
        choice.handle_hung(Way::WebSocket);
        assert_eq!(choice.dial(), Way::Requests);
    }

    #[test]
    fn after_a_way_that_hung_the_next_one_comes_first_once() {
        let mut choice = Choice::new(true);
        for (hung, next) in [
            (Way::WebSocket, Way::DataChannel),
            (Way::DataChannel, Way::Requests),
            (Way::Requests, Way::WebSocket),
        ] {
            choice.handle_hung(hung);
            assert_eq!(choice.dial(), next);
            assert_eq!(choice.dial(), Way::WebSocket);
        }
    }

    #[test]
    fn a_box_that_is_not_the_one_of_the_invitation_gets_no_data_channel() {
        let mut choice = Choice::new(true);
        choice.handle_impostor();
        assert_eq!(choice.handle_refused(Way::WebSocket), Some(Way::Requests));
        choice.handle_hung(Way::WebSocket);
        assert_eq!(choice.dial(), Way::Requests);
    }

    #[test]
    fn while_another_way_carries_it_better_ones_are_tried_now_and_then() {
        let mut choice = Choice::new(true);
        choice.handle_up(Way::Requests, at(0));
        assert!(!choice.is_return_due(at(29)));
        assert!(choice.is_return_due(at(30)) && !choice.is_return_due(at(30)));
        assert_eq!(choice.poll_timeout(), Some(at(60)));
        assert_eq!(choice.handle_refused(Way::WebSocket), Some(Way::DataChannel));
        assert_eq!(choice.handle_refused(Way::DataChannel), None, "that is what carries it");
        choice.handle_up(Way::DataChannel, at(31));
        assert_eq!(choice.poll_timeout(), Some(at(61)));
        assert_eq!(choice.handle_refused(Way::WebSocket), None);
        choice.handle_change(at(32));
        assert!(choice.is_return_due(at(32)));
        choice.handle_up(Way::WebSocket, at(33));
        choice.handle_change(at(34));
        assert_eq!(choice.poll_timeout(), None, "it is back");
    }
}
