//! Which envelopes of the inbox have arrived, and when to tell the node.
//!
//! The first after a pause is told at once; those that follow within [`TOGETHER`] are told in one frame. Each frame costs
//! the phone's radio and the box as much as a short message, and nobody waits for this one: the envelope is here.

use core::time::Duration;

use base::Instant;

/// For so long what arrives is told together.
const TOGETHER: Duration = Duration::from_millis(50);

/// With so many untold, waiting ends: well below what a node has under way in a session.
const MOST: u32 = 8;

/// The numbers of envelopes that are to be told, the first and the last.
pub type Run = (u64, u64);

/// What the node was not told of yet.
#[derive(Debug, Default)]
pub struct Arrivals {
    untold: Option<Run>,
    count: u32,
    quiet_until: Option<Instant>,
}

impl Arrivals {
    /// Envelope `seq` is here. What is to be told now, if anything.
    pub fn handle_arrival(&mut self, seq: u64, now: Instant) -> Option<Run> {
        // Numbers rise within a session, and gaps are what has expired.
        let first = self.untold.map_or(seq, |(first, _)| first.min(seq));
        let last = self.untold.map_or(seq, |(_, last)| last.max(seq));
        self.untold = Some((first, last));
        self.count += 1;
        if self.count >= MOST || self.quiet_until.is_none_or(|until| until <= now) {
            return self.tell(now);
        }
        None
    }

    /// Time has come, or the session is about to end: what is to be told now, if anything.
    pub fn tell(&mut self, now: Instant) -> Option<Run> {
        self.count = 0;
        let run = self.untold.take()?;
        self.quiet_until = Some(now + TOGETHER);
        Some(run)
    }

    /// When to call [`Arrivals::tell`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.untold.and(self.quiet_until)
    }

    /// The session is gone; the node brings what it was not told of once more.
    pub fn handle_lost(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(milliseconds: u64) -> Instant {
        Instant::from_millis(milliseconds)
    }

    #[test]
    fn the_first_is_told_at_once_and_the_next_together() {
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.handle_arrival(4, at(0)), Some((4, 4)));
        assert_eq!(arrivals.poll_timeout(), None);
        assert_eq!((arrivals.handle_arrival(5, at(10)), arrivals.handle_arrival(7, at(20))), (None, None));
        assert_eq!(arrivals.poll_timeout(), Some(at(50)));
        assert_eq!(arrivals.tell(at(50)), Some((5, 7)));
        assert_eq!((arrivals.tell(at(50)), arrivals.poll_timeout()), (None, None));
        assert_eq!(arrivals.handle_arrival(8, at(99)), None);
        assert_eq!(arrivals.handle_arrival(9, at(100)), Some((8, 9)), "a late timer is made up for");
        assert_eq!(arrivals.handle_arrival(10, at(1000)), Some((10, 10)), "after a pause, at once");
    }

    #[test]
    fn many_do_not_wait() {
        let mut arrivals = Arrivals::default();
        let told: Vec<Run> = (1..=17).filter_map(|seq| arrivals.handle_arrival(seq, at(0))).collect();
        assert_eq!(told, [(1, 1), (2, 9), (10, 17)]);
    }

    #[test]
    fn a_lost_session_leaves_nothing_to_tell() {
        let mut arrivals = Arrivals::default();
        let _ = arrivals.handle_arrival(1, at(0));
        let _ = arrivals.handle_arrival(2, at(1));
        arrivals.handle_lost();
        assert_eq!((arrivals.poll_timeout(), arrivals.tell(at(60))), (None, None));
        assert_eq!(arrivals.handle_arrival(1, at(60)), Some((1, 1)), "it comes again");
    }
}
