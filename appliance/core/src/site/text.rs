//! From the bytes of a file that any editor may have saved to text, and plain words where that fails.

use crate::settings::{Problem, ProblemKind, SettingsError};

/// Largest file that is read, in bytes.
pub const LARGEST_FILE: usize = 64 * 1024;

/// Characters that word processors put in place of what was typed, and what TOML wants.
const TYPOGRAPHY: [(char, &str); 10] = [
    ('\u{201c}', "\""),
    ('\u{201d}', "\""),
    ('\u{201e}', "\""),
    ('\u{ab}', "\""),
    ('\u{bb}', "\""),
    ('\u{2018}', "'"),
    ('\u{2019}', "'"),
    ('\u{2013}', "-"),
    ('\u{2014}', "-"),
    ('\u{a0}', "a space"),
];

/// The text of a file, without the mark that some editors put in front.
///
/// # Errors
/// When it is too long, or not in UTF-8; with what it seems to be instead.
pub fn decode(bytes: &[u8]) -> Result<&str, SettingsError> {
    if bytes.len() > LARGEST_FILE {
        let message = format!("this file is larger than {} KiB; is it the right one?", LARGEST_FILE / 1024);
        return Err(encoding(1, message));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        let message = "this file is saved as UTF-16; save it as UTF-8 (in Notepad: Save as, Encoding)";
        return Err(encoding(1, message.to_owned()));
    }
    let bytes = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let (before, after) = bytes.split_at_checked(error.valid_up_to()).unwrap_or((bytes, &[]));
        let byte = after.first().copied().unwrap_or_default();
        let seems = match windows_1252(byte) {
            Some(meant) => format!("it looks like {meant} in the old Windows encoding (Windows-1252)"),
            None => format!("the byte 0x{byte:02X} cannot stand there"),
        };
        encoding(line(before), format!("this file is not saved as UTF-8: {seems}; save it as UTF-8"))
    })?;
    if let Some(at) = text.find('\0') {
        let message = "there is a zero byte in this file; it is damaged, or no text file".to_owned();
        return Err(encoding(line(text.as_bytes().get(..at).unwrap_or_default()), message));
    }
    Ok(text)
}

/// Adds what a word processor may have done to a message about the syntax.
pub(super) fn explain(text: &str, mut error: SettingsError) -> SettingsError {
    // A Mac of old ended lines with the carriage return alone.
    let lone_return = text.contains('\r') && !text.contains('\n');
    for problem in &mut error.problems {
        let ProblemKind::Syntax { message, .. } = &mut problem.kind else { continue };
        if lone_return {
            *message += "; the lines of this file end in a way that TOML does not know: save it with Unix or \
                         Windows line ends";
            continue;
        }
        // An unclosed quote is noticed on a later line than the one that opened it.
        let culprit = text
            .lines()
            .take(problem.line)
            .enumerate()
            .filter_map(|(at, line)| Some((at, typographic(line)?)))
            .last()
            .filter(|(at, _)| at + 2 >= problem.line);
        if let Some((at, (found, wanted))) = culprit {
            *message = format!(
                "a word processor has put {found} (U+{:04X}) into line {}; TOML wants {wanted} there",
                u32::from(found),
                at + 1,
            );
        }
    }
    error
}

/// The first typographic character outside of a comment.
fn typographic(line: &str) -> Option<(char, &'static str)> {
    let code = line.split('#').next().unwrap_or_default();
    code.chars().find_map(|c| TYPOGRAPHY.iter().find(|(from, _)| *from == c).copied())
}

/// What a byte above ASCII commonly is in Windows-1252, whose upper half is that of ISO 8859-1.
fn windows_1252(byte: u8) -> Option<String> {
    match byte {
        0x80 => Some("€".to_owned()),
        0x91..=0x94 => Some("a typographic quote".to_owned()),
        0xa0..=0xff => Some(char::from(byte).to_string()),
        _ => None,
    }
}

fn line(before: &[u8]) -> usize {
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

fn encoding(line: usize, message: String) -> SettingsError {
    SettingsError { problems: vec![Problem { line, kind: ProblemKind::Encoding { message } }] }
}
