//! What a person may call themselves, so that no name can pretend to be something else on a screen.

use crate::api::{MAX_PSEUDONYM, MAX_PSEUDONYM_CHARS, Text};
use crate::error::NewError;

/// The pseudonym in `text`, without the spaces around it.
pub(crate) fn check(text: &str) -> Result<Text, NewError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(NewError::PseudonymEmpty);
    }
    if text.len() > MAX_PSEUDONYM || text.chars().count() > MAX_PSEUDONYM_CHARS {
        return Err(NewError::PseudonymTooLong);
    }
    if text.chars().any(is_refused) {
        return Err(NewError::PseudonymCharacter);
    }
    Ok(text.into())
}

/// Control characters, line and paragraph separators, and what turns the direction of the text around it.
fn is_refused(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pseudonym_is_trimmed_and_may_be_in_any_script() {
        for (given, kept) in [("  Ana ", "Ana"), ("ياسمين", "ياسمين"), ("Jean-Noël 🫧", "Jean-Noël 🫧")]
        {
            assert_eq!(check(given).unwrap().expose(), kept);
        }
    }

    #[test]
    fn a_pseudonym_that_would_mislead_is_refused() {
        assert_eq!(check(" \t"), Err(NewError::PseudonymEmpty));
        assert_eq!(check(&"x".repeat(64)).map(|text| text.len()), Ok(64));
        assert_eq!(check(&"x".repeat(65)), Err(NewError::PseudonymTooLong));
        assert_eq!(check(&"🫧".repeat(64)).map(|text| text.len()), Ok(256));
        for bad in ["a\nb", "a\u{202e}b", "a\u{2066}b", "a\u{0}b", "a\u{200f}b"] {
            assert_eq!(check(bad), Err(NewError::PseudonymCharacter));
        }
    }
}
