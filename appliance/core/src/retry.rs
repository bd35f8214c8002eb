//! Something that has to be done, and may fail: it is tried again until it is done, ever less often, and said when it
//! goes on failing.
//!
//! Not here: what is to be done, or doing it.
//! Invariant: what is wanted is either done, under way, or will be tried at [`Retry::poll_timeout`]; what was wanted
//! anew while it was under way is done once more.

use base::Instant;
use std::time::Duration;

/// The pauses after failures; the last one stays.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
];
/// Failures in a row after which a person should hear of it: the first ones may be a moment's.
const WORTH_SAYING: u32 = 3;

/// One such thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retry {
    wanted: bool,
    under_way: bool,
    failures: u32,
    /// When it may be tried again.
    again: Option<Instant>,
}

impl Retry {
    /// Nothing is to be done.
    pub const NEW: Self = Self { wanted: false, under_way: false, failures: 0, again: None };

    /// It has to be done, or done once more.
    pub const fn handle_wanted(&mut self) {
        self.wanted = true;
    }

    /// Whether to begin now. Whoever hears yes begins, and answers with [`Retry::handle_done`].
    pub fn poll_effect(&mut self, now: Instant) -> bool {
        let begin = self.wanted && !self.under_way && self.again.is_none_or(|again| now >= again);
        if begin {
            (self.wanted, self.under_way, self.again) = (false, true, None);
        }
        begin
    }

    /// It was done, or it failed.
    pub fn handle_done(&mut self, done: bool, now: Instant) {
        if !self.under_way {
            return;
        }
        self.under_way = false;
        if done {
            self.failures = 0;
            return;
        }
        let [.., last] = PAUSES;
        let step = usize::try_from(self.failures).unwrap_or(usize::MAX);
        self.again = Some(now + PAUSES.get(step).copied().unwrap_or(last));
        self.failures = self.failures.saturating_add(1);
        self.wanted = true;
    }

    /// When it is tried again; `None` when nothing waits for time.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        if self.wanted && !self.under_way { self.again } else { None }
    }

    /// Whether it has failed often enough for a person to hear of it, and is not done yet.
    #[must_use]
    pub const fn is_worth_saying(&self) -> bool {
        self.failures >= WORTH_SAYING
    }

    /// Whether nothing is left to be done.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        !self.wanted && !self.under_way
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Instant = Instant::from_millis(1000);

    #[test]
    fn what_is_wanted_is_begun_once_and_done_once() {
        let mut retry = Retry::default();
        assert!(!retry.poll_effect(START) && retry.is_done());
        retry.handle_wanted();
        assert!(retry.poll_effect(START) && !retry.poll_effect(START) && !retry.is_done());
        retry.handle_done(true, START);
        assert!(retry.is_done() && !retry.poll_effect(START));
    }

    #[test]
    fn what_is_wanted_while_it_is_under_way_is_done_once_more() {
        let mut retry = Retry::default();
        retry.handle_wanted();
        assert!(retry.poll_effect(START));
        retry.handle_wanted();
        assert!(!retry.poll_effect(START), "one at a time");
        retry.handle_done(true, START);
        assert!(retry.poll_effect(START));
    }

    #[test]
    fn failures_are_tried_again_ever_less_often_and_said_from_the_third_on() {
        let mut retry = Retry::default();
        retry.handle_wanted();
        let mut now = START;
        let mut pauses = Vec::new();
        for failure in 1..=7 {
            assert!(retry.poll_effect(now));
            retry.handle_done(false, now);
            assert!(!retry.poll_effect(now));
            assert_eq!(retry.is_worth_saying(), failure >= 3);
            let again = retry.poll_timeout().unwrap();
            pauses.push(again.saturating_duration_since(now).as_secs());
            now = again;
        }
        assert_eq!(pauses, [1, 2, 5, 10, 30, 30, 30]);
        assert!(retry.poll_effect(now));
        retry.handle_done(true, now);
        assert!(retry.is_done() && !retry.is_worth_saying() && retry.poll_timeout().is_none());
    }

    proptest! {
        #[test]
        fn nothing_that_is_wanted_is_ever_lost(steps in proptest::collection::vec((0_u8..4, 0_u64..40), 0..60)) {
            let mut retry = Retry::default();
            let (mut now, mut open, mut under_way) = (START, false, false);
            for (step, seconds) in steps {
                now = now + Duration::from_secs(seconds);
                match step {
                    0 => {
                        retry.handle_wanted();
                        open = true;
                    }
                    1 if retry.poll_effect(now) => (open, under_way) = (false, true),
                    1 => {}
                    done => {
                        retry.handle_done(done == 2, now);
                        open |= under_way && done != 2;
                        under_way = false;
                    }
                }
                prop_assert_eq!(retry.is_done(), !open && !under_way);
            }
            if !retry.is_done() {
                retry.handle_done(false, now);
                prop_assert!(retry.poll_effect(retry.poll_timeout().unwrap_or(now)));
            }
        }
    }
}
