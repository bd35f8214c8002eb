//! The screen of the box, a console of characters.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What every console has at least.
const SMALLEST: (usize, usize) = (80, 25);
/// Points of the largest letter that the kernel takes by itself.
const LETTER: (usize, usize) = (16, 32);

/// The screen.
#[derive(Debug)]
pub(super) struct Screen {
    tty: PathBuf,
    sys: PathBuf,
    shown: Zeroizing<String>,
}

impl Screen {
    /// A screen that shows nothing of ours yet.
    #[must_use]
    pub(super) fn new(tty: PathBuf, sys: &Path) -> Self {
        Self { tty, sys: sys.to_owned(), shown: Zeroizing::default() }
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
}
