//! The screen of the box, a console of characters, and a light that blinks when something is wrong.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What every console has at least.
const SMALLEST: (usize, usize) = (80, 25);
/// Points of the largest letter that the kernel takes by itself.
const LETTER: (usize, usize) = (16, 32);
/// Lights that a board may have, the most useful first.
const LIGHTS: [&str; 3] = ["ACT", "led0", "PWR"];

/// The screen.
#[derive(Debug)]
pub(super) struct Screen {
    tty: PathBuf,
    sys: PathBuf,
    shown: Zeroizing<String>,
    light: Option<Light>,
}

#[derive(Debug)]
struct Light {
    trigger: PathBuf,
    before: String,
    blinks: bool,
}

impl Screen {
    /// A screen that shows nothing of ours yet.
    #[must_use]
    pub(super) fn new(tty: PathBuf, sys: &Path) -> Self {
        let light = LIGHTS.iter().find_map(|name| {
            let trigger = sys.join("class/leds").join(name).join("trigger");
            // The one in brackets is in force.
            let all = fs::read_to_string(&trigger).ok()?;
            let before = all.split('[').nth(1)?.split(']').next()?.to_owned();
            Some(Light { trigger, before, blinks: false })
        });
        Self { tty, sys: sys.to_owned(), shown: Zeroizing::default(), light }
    }

    /// Columns and rows, guessed from the points.
    #[must_use]
    pub(super) fn size(&self) -> (usize, usize) {
        let points = fs::read_to_string(self.sys.join("class/graphics/fb0/virtual_size")).unwrap_or_default();
        let mut sides = points.trim().split(',').map(|side| side.parse::<usize>().unwrap_or_default());
        let (width, height) = (sides.next().unwrap_or_default(), sides.next().unwrap_or_default());
        ((width / LETTER.0).max(SMALLEST.0), (height / LETTER.1).max(SMALLEST.1))
    }

    /// Shows this in place of everything else. A box without a screen shows nothing.
    pub(super) fn show(&mut self, text: Zeroizing<String>) {
        if *text == *self.shown {
            return;
        }
        if let Ok(mut tty) = OpenOptions::new().write(true).open(&self.tty) {
            // No cursor, no blanking, nothing left of what stood there, not even above the screen.
            let mut all = Zeroizing::new(String::with_capacity(text.len() + 64));
            all.push_str("\u{1b}[?25l\u{1b}[9;0]\u{1b}[H\u{1b}[2J\u{1b}[3J");
            all.push_str(&text);
            let _ = tty.write_all(all.as_bytes());
        }
        self.shown = text;
    }

    /// Lets the light blink, or leaves it as it was.
    pub(super) fn warn(&mut self, wrong: bool) {
        let Some(light) = self.light.as_mut().filter(|light| light.blinks != wrong) else { return };
        light.blinks = wrong;
        let _ = fs::write(&light.trigger, if wrong { "timer" } else { light.before.as_str() });
        if wrong && let Some(dir) = light.trigger.parent() {
            let _ = fs::write(dir.join("delay_on"), "150");
            let _ = fs::write(dir.join("delay_off"), "850");
        }
    }
}
