//! Base64 with padding (RFC 4648, section 4): what TURN passwords are written in, and the ids of user names.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Writes `bytes` in base64.
pub(super) fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for block in bytes.chunks(3) {
        let mut word = [0; 4];
        word.iter_mut().skip(1).zip(block).for_each(|(to, from)| *to = *from);
        let word = u32::from_be_bytes(word);
        for digit in 0..4 {
            let index = (word >> (18 - 6 * digit)) as usize & 63;
            let sign = if digit > block.len() { b'=' } else { ALPHABET.get(index).copied().unwrap_or(b'=') };
            out.push(char::from(sign));
        }
    }
    out
}

/// Reads exactly `N` bytes, a multiple of three, so that there is no padding.
pub(super) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    if !N.is_multiple_of(3) || text.len() != N / 3 * 4 {
        return None;
    }
    let mut out = [0; N];
    for (bytes, signs) in out.chunks_mut(3).zip(text.as_bytes().chunks(4)) {
        let mut word = 0_u32;
        for sign in signs {
            let digit = ALPHABET.iter().position(|one| one == sign)?;
            word = word << 6 | u32::try_from(digit).ok()?;
        }
        bytes.iter_mut().zip(word.to_be_bytes().into_iter().skip(1)).for_each(|(to, from)| *to = from);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn it_agrees_with_the_vectors_of_rfc_4648() {
        let vectors = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
        ];
        for (plain, encoded) in vectors {
            assert_eq!(encode(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn what_was_written_reads_back_and_nothing_else_reads() {
        for byte in 0..=255_u8 {
            let bytes = [byte, 7, !byte, byte.rotate_left(3), byte, 1];
            assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }
        for text in ["", "Zm9", "Zm9vY", "Zm8=", "Zm9vYmFy", "Zm-v", "Zm9\u{e9}", "Zm9 "] {
            assert_eq!(decode::<3>(text), None, "{text}");
        }
        assert_eq!(decode::<4>("Zm9vYg=="), None);
    }
}
