//! Bytes as small hexadecimal digits, two for each, and back.

use core::fmt::{self, Write};

/// Writes the digits of `bytes`.
///
/// # Errors
/// Those of `out`.
pub fn write(out: &mut impl Write, bytes: impl IntoIterator<Item = u8>) -> fmt::Result {
    bytes.into_iter().try_for_each(|byte| {
        out.write_char(digit(byte >> 4))?;
        out.write_char(digit(byte & 15))
    })
}

/// Reads digits into `bytes`: exactly twice as many, and small ones, so that bytes have one form. `None` for anything
/// else, and then what is in `bytes` means nothing.
pub fn read(digits: &[u8], bytes: &mut [u8]) -> Option<()> {
    if digits.len() != 2 * bytes.len() {
        return None;
    }
    for (pair, byte) in digits.chunks_exact(2).zip(bytes) {
        let &[high, low] = pair else { return None };
        *byte = value(high)? << 4 | value(low)?;
    }
    Some(())
}

const fn digit(nibble: u8) -> char {
    (if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }) as char
}

const fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        let mut text = String::new();
        write(&mut text, all.iter().copied()).unwrap();
        assert!(text.starts_with("000102") && text.ends_with("fdfeff"));
        let mut back = [0; 256];
        assert_eq!(read(text.as_bytes(), &mut back), Some(()));
        assert_eq!(back.as_slice(), all);
    }

    #[test]
    fn what_is_not_its_one_form_is_refused() {
        for text in ["", "0", "000", "0000", "0G", "0A", " 0", "é", "+1", "0x"] {
            assert_eq!(read(text.as_bytes(), &mut [0]), None, "{text}");
        }
        assert_eq!(read(b"", &mut []), Some(()));
    }
}
