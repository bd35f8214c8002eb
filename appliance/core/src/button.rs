//! The power button of the box: what its presses mean.
//!
//! One press switches off, which forgets everything as well; three, each soon after the one before, purge at once and
//! leave the box on. Two are taken for a mistake.
//! Formats: `struct input_event` of the kernel's `linux/input.h`, and the bit map `capabilities/key` of an input device
//! in sysfs. Not here: opening devices.

use base::Instant;
use std::time::Duration;

/// Buttons that are listened to.
pub const MOST_BUTTONS: usize = 8;
/// Longer than the text of any device's keys.
pub const LARGEST_KEYS: usize = 1024;
/// Bytes of an event on a 64-bit kernel: two of time, then type, code and value.
pub const EVENT: usize = 24;

/// A press later than this after the one before does not belong to it.
const TOGETHER: Duration = Duration::from_millis(1500);
/// As many presses purge.
const PURGE: u32 = 3;

/// `EV_KEY`: a key has changed.
const KEY: u16 = 1;
/// `KEY_POWER`.
const POWER: u16 = 116;
/// It went down; 0 is up, and 2 a repetition while it is down.
const DOWN: i32 = 1;

/// What is asked for with a button.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gesture {
    /// The box is to be switched off.
    SwitchOff,
    /// Everything that the relay holds is to be overwritten, now.
    Purge,
}

/// Presses that may become a gesture.
#[derive(Clone, Copy, Debug, Default)]
pub struct Presses {
    count: u32,
    last: Option<Instant>,
}

impl Presses {
    /// The button was pressed.
    pub fn handle_press(&mut self, now: Instant) -> Option<Gesture> {
        let before = self.handle_timeout(now);
        self.count = self.count.saturating_add(1);
        self.last = Some(now);
        // The presses that follow, of a hand that does not count, are no gesture of their own.
        if self.count == PURGE { Some(Gesture::Purge) } else { before }
    }

    /// When no more presses are to be expected.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.last.map(|last| last + TOGETHER)
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Gesture> {
        self.poll_timeout().filter(|end| *end <= now)?;
        let Self { count, .. } = std::mem::take(self);
        (count == 1).then_some(Gesture::SwitchOff)
    }
}

/// Whether a device with these keys (`capabilities/key`) has a power button.
#[must_use]
pub fn has_power(keys: &str) -> bool {
    let (word, bit) = (usize::from(POWER) / 64, POWER % 64);
    // The last word holds the first keys.
    let word = keys.split_ascii_whitespace().rev().nth(word);
    word.and_then(|word| u64::from_str_radix(word, 16).ok()).is_some_and(|word| word >> bit & 1 == 1)
}

/// Whether this event of a device is a press of its power button.
#[must_use]
pub fn is_press(event: &[u8; EVENT]) -> bool {
    let [.., t0, t1, c0, c1, v0, v1, v2, v3] = *event;
    u16::from_ne_bytes([t0, t1]) == KEY
        && u16::from_ne_bytes([c0, c1]) == POWER
        && i32::from_ne_bytes([v0, v1, v2, v3]) == DOWN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    /// What presses at these milliseconds and the quiet after them come to.
    fn gestures(presses: &[u64]) -> Vec<(u64, Gesture)> {
        let (mut button, mut seen) = (Presses::default(), Vec::new());
        for ms in 0..20_000 {
            if button.poll_timeout().is_some_and(|due| due <= at(ms)) {
                seen.extend(button.handle_timeout(at(ms)).map(|gesture| (ms, gesture)));
            }
            for _ in presses.iter().filter(|press| **press == ms) {
                seen.extend(button.handle_press(at(ms)).map(|gesture| (ms, gesture)));
            }
        }
        assert_eq!(button.poll_timeout(), None, "it came to rest");
        seen
    }

    #[test]
    fn one_press_switches_off_when_no_other_follows() {
        assert_eq!(gestures(&[100]), [(1600, Gesture::SwitchOff)]);
    }

    #[test]
    fn two_presses_are_a_mistake() {
        assert_eq!(gestures(&[100, 1500]), []);
    }

    #[test]
    fn three_presses_purge_at_once_and_never_switch_off() {
        assert_eq!(gestures(&[100, 1000, 2000]), [(2000, Gesture::Purge)]);
        assert_eq!(gestures(&[100, 100, 100]), [(100, Gesture::Purge)]);
    }

    #[test]
    fn a_hand_that_goes_on_pressing_has_asked_once() {
        assert_eq!(gestures(&[100, 300, 500, 700, 900, 1100, 2500]), [(500, Gesture::Purge)]);
    }

    #[test]
    fn presses_far_apart_are_told_apart() {
        assert_eq!(gestures(&[100, 1600]), [(1600, Gesture::SwitchOff), (3100, Gesture::SwitchOff)]);
    }

    #[test]
    fn a_press_after_a_late_look_does_not_lose_the_one_before() {
        let mut button = Presses::default();
        assert_eq!(button.handle_press(at(0)), None);
        assert_eq!(button.handle_press(at(9000)), Some(Gesture::SwitchOff));
    }

    #[test]
    fn the_power_button_is_found_by_its_key() {
        assert!(has_power("10000000000000 0\n"), "a button of ACPI");
        assert!(has_power("1000000000007 ff9f207ac14057ff 10000000000000 fffffffffffffffe"), "a keyboard");
        for not in
            ["", "0", "10000000000000", "0 10000000000000 0 0", "8000 0 0", "zz 0", "1fffffffffffffffff 0"]
        {
            assert!(!has_power(not), "{not}");
        }
    }

    #[test]
    fn only_the_way_down_is_a_press() {
        let event = |kind: u16, code: u16, value: i32| {
            let mut event = [0x55; EVENT];
            event[16..18].copy_from_slice(&kind.to_ne_bytes());
            event[18..20].copy_from_slice(&code.to_ne_bytes());
            event[20..].copy_from_slice(&value.to_ne_bytes());
            event
        };
        assert!(is_press(&event(1, 116, 1)));
        for (kind, code, value) in [(1, 116, 0), (1, 116, 2), (1, 115, 1), (0, 116, 1), (4, 116, 1)] {
            assert!(!is_press(&event(kind, code, value)), "{kind} {code} {value}");
        }
    }
}
