//! Who may have how much while there is not enough for all: max-min shares, found anew every few milliseconds.
//!
//! One [`Share`] stands for one thing that becomes scarce. Whoever uses it has a [`Meter`]. While there is enough,
//! nothing is counted. When there is not, whoever wants less than an equal part gets all of it, and the rest is
//! divided equally among those who want more; what is above is dropped, at the cost of two additions.
//!
//! How much there is to share out is not known and not asked for: it is what went through when it became scarce,
//! a tenth less when it is scarce again, and more, slowly, while it is not. So it follows the machine, the network and
//! what dropping itself costs. What has gathered meanwhile is to go quickly, since a queue that is full loses what
//! comes from anybody: until it has, half of it is shared out.
//!
//! Invariants: whoever wants at most the [level](Share::level) loses nothing, and the level is never less than half of an
//! equal part of what goes through; nobody goes without one packet per
//! window; whoever owns the meters bounds them.

use core::time::Duration;

use base::Instant;

/// What is wanted is counted for so long, and then shared out anew.
pub(super) const WINDOW: Duration = Duration::from_millis(10);
/// What a packet counts beside its bytes: its way through the system, and through the air, is most of what it costs.
pub(super) const PACKET_COST: u32 = 1024;
/// Windows in which what has gathered may go, before there is a tenth less to share out.
const DRAIN: u32 = 4;
/// So large a part more there is after each window in which it was not scarce: two hundred windows for all of it.
const MORE_PARTS: u64 = 200;
/// Windows in which all had enough before nothing is counted any more: a second.
const CALM: u32 = 100;
/// There is always so large a part to share out of what came through at first: where dropping does not help, it ends
/// there.
const LEAST_PARTS: u64 = 16;

/// What one party has wanted in the window that runs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meter {
    window: u32,
    wanted: u32,
}

/// What is scarce, and how it is shared out.
#[derive(Debug)]
pub(super) struct Share {
    /// How long it has to be scarce before it is shared out.
    patience: Duration,
    /// How long it has to be scarce while it is shared out before there is less of it.
    nerve: Duration,
    /// The most that there is in a window, where somebody said so.
    ceiling: Option<u64>,
    state: State,
    /// Since when it has been scarce without a pause.
    scarce_since: Option<Instant>,
    /// Whether it is scarce, for as long as matters; where that shows in single packets, whether it was in the window
    /// that runs.
    scarce: bool,
    /// Names the window that runs.
    window: u32,
    began: Instant,
    /// What each may have in the window that runs.
    level: u32,
    /// What each has wanted in a window, while it is shared out. As many as there are meters.
    wanted: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// There is enough.
    Calm,
    /// There is not, and it is counted who wants how much.
    Counting,
    /// There is so much per window, and never less than `least`. It has been enough for `calm` windows, and scarce for
    /// `scarce`.
    Sharing { amount: u64, least: u64, calm: u32, scarce: u32 },
}

impl Share {
    /// Shared out when it has been scarce for `patience`, and always where it has a ceiling: bytes per second.
    pub(super) fn new(patience: Duration, ceiling: Option<u64>) -> Self {
        let per_window = |bytes: u64| (bytes.saturating_mul(WINDOW.as_millis() as u64) / 1000).max(1);
        let ceiling = ceiling.map(per_window);
        let state = ceiling.map_or(State::Calm, |amount| State::Sharing {
            amount,
            least: amount / LEAST_PARTS,
            calm: 0,
            scarce: 0,
        });
        Self {
            patience,
            nerve: patience / 6,
            ceiling,
            state,
            scarce_since: None,
            scarce: false,
            window: 1,
            began: Instant::ZERO,
            level: ceiling.map_or(u32::MAX, clamped),
            wanted: Vec::new(),
        }
    }

    /// Whether anybody is asked before a packet goes on.
    pub(super) const fn is_active(&self) -> bool {
        !matches!(self.state, State::Calm)
    }

    /// What each may have in the window that runs.
    pub(super) const fn level(&self) -> u32 {
        self.level
    }

    /// Whether a meter was used in the window that runs.
    pub(super) const fn counts(&self, meter: &Meter) -> bool {
        meter.window == self.window
    }

    /// Counts a packet of this length, and says whether it may go on.
    pub(super) fn admits(&self, meter: &mut Meter, length: usize) -> bool {
        self.admits_up_to(self.level, meter, length)
    }

    /// The same for one who has less than a party of its own.
    pub(super) fn admits_up_to(&self, level: u32, meter: &mut Meter, length: usize) -> bool {
        if !self.counts(meter) {
            *meter = Meter { window: self.window, wanted: 0 };
        }
        let before = meter.wanted;
        meter.wanted = before.saturating_add(PACKET_COST).saturating_add(clamped(length as u64));
        before < level
    }

    /// It is scarce now, or it is not.
    pub(super) fn note(&mut self, scarce: bool, now: Instant) {
        if !scarce {
            self.scarce_since = None;
            self.scarce &= self.nerve.is_zero();
            return;
        }
        let since = *self.scarce_since.get_or_insert(now);
        let lasted = now.saturating_duration_since(since);
        self.scarce |= lasted >= self.nerve;
        if !self.is_active() && lasted >= self.patience {
            self.state = State::Counting;
            self.begin(u32::MAX, now);
        }
    }

    /// Whether the window is over.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.is_active() && now.saturating_duration_since(self.began) >= WINDOW
    }

    /// Begins the next window. `meters` are those of everybody.
    pub(super) fn share_out<'a>(&mut self, meters: impl Iterator<Item = &'a Meter>, now: Instant) {
        // A window that lasted longer has counted more.
        let lasted = now.saturating_duration_since(self.began).max(WINDOW).as_micros();
        let window = self.window;
        let used = meters.filter(|meter| meter.window == window);
        let per_window = used.map(|meter| {
            let wanted = u128::from(meter.wanted) * WINDOW.as_micros() / lasted;
            u32::try_from(wanted).unwrap_or(u32::MAX)
        });
        self.wanted.clear();
        self.wanted.extend(per_window);
        let total: u64 = self.wanted.iter().copied().map(u64::from).sum();
        let ceiling = self.ceiling.unwrap_or(u64::MAX);
        let (amount, least, calm, scarce) = match self.state {
            State::Calm => return,
            State::Counting => (total, total / LEAST_PARTS, 0, 1),
            State::Sharing { amount, least, scarce, .. } if self.scarce => {
                let less = if scarce.is_multiple_of(DRAIN) { amount / 10 } else { 0 };
                (amount - less, least, 0, scarce.saturating_add(1))
            }
            State::Sharing { amount, least, calm, .. } => {
                let calm = if total <= amount { calm + 1 } else { 0 };
                (amount.saturating_add(amount / MORE_PARTS + 1), least, calm, 0)
            }
        };
        let amount = amount.max(least).min(ceiling);
        if calm >= CALM && self.ceiling.is_none() {
            self.state = State::Calm;
            self.wanted = Vec::new();
            return;
        }
        self.state = State::Sharing { amount, least, calm: calm.min(CALM), scarce };
        let now_shared = if scarce > 0 { amount / 2 } else { amount };
        let level = level(&mut self.wanted, now_shared);
        self.begin(level, now);
    }

    const fn begin(&mut self, level: u32, now: Instant) {
        self.window = self.window.wrapping_add(1);
        self.began = now;
        self.level = level;
        self.scarce = false;
    }
}

/// Up to where each may have what it wants, so that all of them together have `amount`.
fn level(wanted: &mut [u32], amount: u64) -> u32 {
    wanted.sort_unstable();
    let (mut left, mut most) = (amount, 0);
    for (wanted, parties) in wanted.iter().zip((1..=wanted.len() as u64).rev()) {
        let part = left / parties;
        if u64::from(*wanted) > part {
            // Nobody goes without a packet.
            return clamped(part).max(1);
        }
        left -= u64::from(*wanted);
        most = *wanted;
    }
    // Enough for all: whoever wants more finds what is left.
    clamped(left.saturating_add(u64::from(most)))
}

fn clamped(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    /// Of each packet here, which counts 2000.
    const LENGTH: usize = 2000 - PACKET_COST as usize;
    /// So many packets are dropped in the time in which one goes on.
    const DROPS: u64 = 20;
    const QUEUE: usize = 2000;
    const PATIENCE: Duration = Duration::from_millis(30);

    #[test]
    fn the_level_is_that_of_max_min_shares() {
        for (mut wanted, amount, expected) in [
            (vec![], 10, 10),
            (vec![7], 10, 10),
            (vec![70], 10, 10),
            (vec![1, 2, 100], 12, 9),
            (vec![50, 1, 50], 21, 10),
            (vec![3, 3, 3], 9, 3),
            (vec![4, 4, 4], 9, 3),
            (vec![1, 1, 1], 9, 7),
        ] {
            assert_eq!(level(&mut wanted, amount), expected, "{wanted:?}");
        }
    }

    /// A thread that gets so many packets done per millisecond, and drops twenty times as many, behind a queue that
    /// takes so many and no more; and parties that send.
    struct Relay {
        share: Share,
        meters: Vec<Meter>,
        per_ms: u64,
        queue: VecDeque<usize>,
        now: Instant,
    }

    impl Relay {
        fn new(per_ms: u64, parties: usize) -> Self {
            let share = Share::new(PATIENCE, None);
            let meters = vec![Meter::default(); parties];
            Self { share, meters, per_ms, queue: VecDeque::new(), now: Instant::from_millis(1000) }
        }

        /// One millisecond; how many packets of each went on.
        fn step(&mut self, wanted: &[u64]) -> Vec<u64> {
            if self.share.is_due(self.now) {
                self.share.share_out(self.meters.iter(), self.now);
            }
            // All send at the same pace, each for as long as it has something.
            for round in 0..wanted.iter().copied().max().unwrap_or_default() {
                let senders = wanted.iter().enumerate().filter(|(_, wanted)| **wanted > round);
                let room = QUEUE - self.queue.len();
                self.queue.extend(senders.map(|(sender, _)| sender).take(room));
            }
            let mut passed = vec![0; wanted.len()];
            let mut time = self.per_ms * DROPS;
            while time >= DROPS
                && let Some(sender) = self.queue.pop_front()
            {
                let goes_on = !self.share.is_active() || self.share.admits(&mut self.meters[sender], LENGTH);
                passed[sender] += u64::from(goes_on);
                time -= if goes_on { DROPS } else { 1 };
            }
            self.now = self.now + Duration::from_millis(1);
            self.share.note(!self.queue.is_empty(), self.now);
            passed
        }
    }

    #[test]
    fn while_there_is_enough_nothing_is_counted() {
        let mut relay = Relay::new(100, 2);
        for _ in 0..1000 {
            assert_eq!(relay.step(&[50, 50]), [50, 50]);
            assert!(!relay.share.is_active());
        }
        // Nor is it for a moment of too much.
        for at in 0..1000 {
            relay.step(&[if at % 50 < 20 { 120 } else { 0 }, 0]);
            assert!(!relay.share.is_active());
        }
    }

    #[test]
    fn when_the_flood_is_over_nothing_is_counted_any_more() {
        let mut relay = Relay::new(100, 2);
        for _ in 0..500 {
            relay.step(&[1000, 5]);
        }
        assert!(relay.share.is_active());
        for _ in 0..20 {
            relay.step(&[0, 5]);
        }
        for _ in 0..1200 {
            assert_eq!(relay.step(&[5, 5]), [5, 5]);
        }
        assert!(!relay.share.is_active());
        assert_eq!(relay.share.wanted.capacity(), 0);
    }

    #[test]
    fn a_ceiling_holds_from_the_first_packet_on() {
        let mut share = Share::new(PATIENCE, Some(2_000_000));
        let mut meters = [Meter::default(); 2];
        let mut passed = [0; 2];
        let mut now = Instant::from_millis(1000);
        for _ in 0..1000 {
            now = now + Duration::from_millis(1);
            if share.is_due(now) {
                share.share_out(meters.iter(), now);
            }
            for ((meter, passed), wanted) in meters.iter_mut().zip(&mut passed).zip([100, 1]) {
                *passed += (0..wanted).filter(|_| share.admits(meter, LENGTH)).count();
            }
        }
        // A thousand in a second: who wants the thousandth of a second's part has half of it.
        assert!((950..=1100).contains(&(passed[0] + passed[1])), "{passed:?}");
        assert!(passed[1] >= 490, "{passed:?}");
    }

    #[test]
    fn where_dropping_does_not_help_a_part_still_goes_through() {
        let mut share = Share::new(PATIENCE, None);
        let mut meter = Meter::default();
        let mut passed = 0;
        for ms in 1000..3000 {
            let now = Instant::from_millis(ms);
            share.note(true, now);
            if share.is_due(now) {
                share.share_out(core::iter::once(&meter), now);
            }
            passed += (0..100).filter(|_| !share.is_active() || share.admits(&mut meter, LENGTH)).count();
        }
        assert!(passed as u64 >= 2000 * 100 / LEAST_PARTS / 2, "{passed}");
    }

    #[test]
    fn nobody_goes_without_a_packet_per_window() {
        let mut share = Share::new(PATIENCE, Some(1));
        let mut meters = [Meter::default(); 50];
        for ms in 1000..1100 {
            let now = Instant::from_millis(ms * 10);
            share.share_out(meters.iter(), now);
            assert!(meters.iter_mut().all(|meter| share.admits(meter, 9000)));
            assert!(meters.iter_mut().all(|meter| !share.admits(meter, 0)));
        }
    }

    proptest! {
        /// However many there are and whatever they want: those who want clearly less than their equal part lose
        /// nothing, those who want more get alike, and what there is is used.
        #[test]
        fn each_gets_its_share(wanted in prop::collection::vec(0_u64..60, 1..8), per_ms in 50_u64..200) {
            let mut relay = Relay::new(per_ms, wanted.len());
            for _ in 0..1000 {
                relay.step(&wanted);
            }
            let mut passed = vec![0; wanted.len()];
            for _ in 0..1000 {
                for (sum, passed) in passed.iter_mut().zip(relay.step(&wanted)) {
                    *sum += passed;
                }
            }
            let mut per_window: Vec<u32> = wanted.iter().map(|wanted| clamped(*wanted * 1000)).collect();
            let total = wanted.iter().sum::<u64>();
            // Dropping takes its time as well.
            let per_ms = per_ms - total.saturating_sub(per_ms) / DROPS;
            let fair = u64::from(level(&mut per_window, per_ms * 1000));
            for (passed, wanted) in passed.iter().zip(&wanted) {
                if *wanted * 1000 <= fair * 3 / 4 {
                    prop_assert!(*passed >= wanted * 900, "who wants less has nearly all of it: {} of {}", passed, wanted * 1000);
                }
                if *wanted * 1000 <= fair / 3 {
                    // What waited at the beginning and waits at the end is not the same.
                    prop_assert!(passed.abs_diff(wanted * 1000) <= wanted * 20, "who wants little has all of it: {} of {}", passed, wanted * 1000);
                }
                // A packet per window above, at most.
                prop_assert!(*passed <= (fair * 5 / 4 + 100).max(wanted.min(&1) * 1000).max(fair), "{} of {}", passed, fair);
            }
            let all = total.min(per_ms) * 1000;
            prop_assert!(passed.iter().sum::<u64>() >= all * 3 / 4, "what there is is used: {:?} of {}", passed, all);
        }
    }
}
