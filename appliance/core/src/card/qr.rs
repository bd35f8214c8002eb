//! QR codes as modules, and as characters.

use fast_qr::ECL;
use fast_qr::qr::QRBuilder;
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// Light modules around a code on a screen (ISO/IEC 18004 asks for four; every reader takes two).
const QUIET: usize = 2;

/// A code: a square of dark and light modules.
pub struct Qr {
    size: usize,
    dark: Vec<bool>,
}

/// The text is too long for any code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QrError;

impl fmt::Display for QrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text is too long for a QR code")
    }
}

impl std::error::Error for QrError {}

impl Qr {
    /// The smallest code of `text`.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(text: &str) -> Result<Self, QrError> {
        let code = QRBuilder::new(text).ecl(ECL::L).build().map_err(|_| QrError)?;
        let modules = code.data.get(..code.size * code.size).ok_or(QrError)?;
        Ok(Self { size: code.size, dark: modules.iter().map(|module| module.value()).collect() })
    }

    /// Modules on a side.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Whether a module is dark; what lies outside is light.
    #[must_use]
    pub fn is_dark(&self, x: usize, y: usize) -> bool {
        x < self.size && self.dark.get(y * self.size + x).copied().unwrap_or(false)
    }

    /// The dark modules of each row as runs: row, first column, how many.
    pub(super) fn runs(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        (0..self.size).flat_map(move |y| {
            let mut x = 0;
            std::iter::from_fn(move || {
                while x < self.size && !self.is_dark(x, y) {
                    x += 1;
                }
                let start = x;
                while x < self.size && self.is_dark(x, y) {
                    x += 1;
                }
                (start < x).then_some((y, start, x - start))
            })
        })
    }
}

impl Drop for Qr {
    fn drop(&mut self) {
        // The code says the same as the text.
        self.dark.zeroize();
    }
}

impl fmt::Debug for Qr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Qr").field("size", &self.size).finish_non_exhaustive()
    }
}

/// Two modules per character. With colours it is black on white on every terminal; without, light modules are
/// drawn, as fits a dark terminal, and readers take it inverted too.
#[must_use]
pub fn half_blocks(code: &Qr, colours: bool) -> Zeroizing<String> {
    let light = |x: usize, y: usize| {
        let inside = |at: usize| at.checked_sub(QUIET).filter(|at| *at < code.size());
        match (inside(x), inside(y)) {
            (Some(x), Some(y)) => !code.is_dark(x, y),
            (_, _) => true,
        }
    };
    let side = code.size() + 2 * QUIET;
    // Three bytes for a character, and the colours of each line.
    let mut text = Zeroizing::new(String::with_capacity(side.div_ceil(2) * (side * 3 + 16)));
    for y in (0..side).step_by(2) {
        text.push_str(if colours { "\u{1b}[97;40m" } else { "" });
        for x in 0..side {
            text.push(match (light(x, y), y + 1 < side && light(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        text.push_str(if colours { "\u{1b}[0m\n" } else { "\n" });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_square_with_a_quiet_zone_around_it() {
        let code = Qr::new("https://bulle.local:8443/").expect("a code");
        let text = half_blocks(&code, false);
        let side = code.size() + 2 * QUIET;
        assert_eq!(text.lines().count(), side.div_ceil(2));
        for line in text.lines() {
            assert_eq!(line.chars().count(), side);
            // The last line is half a line when the side is odd.
            assert!(
                ["██", "▀▀"].iter().any(|quiet| line.starts_with(quiet) && line.ends_with(quiet)),
                "{line}"
            );
        }
    }

    #[test]
    fn runs_are_the_dark_modules() {
        let code = Qr::new("bulle").expect("a code");
        let dark: usize = code.runs().map(|(_, _, length)| length).sum();
        assert_eq!(dark, code.dark.iter().filter(|dark| **dark).count());
        assert!(code.runs().all(|(y, x, length)| (x..x + length).all(|x| code.is_dark(x, y))));
    }

    #[test]
    fn what_is_too_long_has_no_code() {
        assert_eq!(Qr::new(&"x".repeat(10_000)).err(), Some(QrError));
    }
}
