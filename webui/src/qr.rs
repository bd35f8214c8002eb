//! A text as the outline of a QR code (ISO/IEC 18004), for an SVG path.

use core::fmt::Write;

use fast_qr::{ECL, QRBuilder};
use minicbor::{Decode, Encode};

/// White modules around the code, which readers need to find it.
pub const QUIET: usize = 4;

/// A square picture.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Picture {
    /// Its side, in modules, quiet zone included.
    #[n(0)]
    pub side: u32,
    /// The dark modules: the `d` of an SVG path.
    #[n(1)]
    pub path: String,
}

/// The code that says `text`, or nothing when the text is too long for one.
pub fn picture(text: &str) -> Option<Picture> {
    let code = QRBuilder::new(text).ecl(ECL::M).build().ok()?;
    let mut path = String::new();
    for row in 0..code.size {
        let mut run = 0;
        // One column more than there is, so that a run at the edge ends too.
        for column in 0..=code.size {
            let dark = column < code.size && is_dark(&code, row, column);
            if dark {
                run += 1;
            } else if run > 0 {
                let (x, y) = (column - run + QUIET, row + QUIET);
                // Writing to a String does not fail.
                let _ = write!(path, "M{x} {y}h{run}v1h-{run}z");
                run = 0;
            }
        }
    }
    Some(Picture { side: u32::try_from(code.size + 2 * QUIET).ok()?, path })
}

fn is_dark(code: &fast_qr::QRCode, row: usize, column: usize) -> bool {
    code.data.get(row * code.size + column).is_some_and(|module| module.value())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_fits_and_has_its_three_corners() {
        let picture =
            picture("https://bulle.internal:8443/#AQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJ").unwrap();
        // A finder pattern begins with seven dark modules, at three corners.
        assert!(picture.path.starts_with("M4 4h7v1h-7z"), "{}", picture.path);
        let right = picture.side as usize - QUIET - 7;
        assert!(picture.path.contains(&format!("M{right} 4h7v1h-7z")));
        assert!(picture.path.contains(&format!("M4 {right}h7v1h-7z")));
    }

    #[test]
    fn a_text_that_no_code_holds_is_refused() {
        assert_eq!(picture(&"x".repeat(4000)), None);
    }
}
