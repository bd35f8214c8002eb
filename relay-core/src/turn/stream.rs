//! STUN and ChannelData over TCP and TLS: where one message ends and the next begins
//! (RFC 8489, section 6.2.2; RFC 8656, section 12.5).

use super::channel::{CHANNEL_HEADER_LEN, ChannelNumber};
use super::limits::MAX_DATAGRAM;
use crate::stun::{HEADER_LEN, MAGIC_COOKIE};

/// A stream that carries something else, or a message longer than any that is looked at: close it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotTurn;

impl core::fmt::Display for NotTurn {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the stream carries neither STUN nor ChannelData")
    }
}

impl core::error::Error for NotTurn {}

/// How many bytes at the beginning of `bytes` are the first message, padding included; nothing when there are too few
/// to tell. They may not all be there yet.
///
/// # Errors
/// When the stream cannot go on.
pub fn message_len(bytes: &[u8]) -> Result<Option<usize>, NotTurn> {
    let Some(first) = bytes.first() else { return Ok(None) };
    let is_channel_data = ChannelNumber::is_first_byte(*first);
    if !is_channel_data && first >> 6 != 0 {
        return Err(NotTurn);
    }
    let Some([_, _, high, low]) = bytes.first_chunk::<4>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let whole = if is_channel_data {
        // "it MUST be padded to a multiple of four bytes"
        CHANNEL_HEADER_LEN + length.next_multiple_of(4)
    } else if length.is_multiple_of(4) {
        HEADER_LEN + length
    } else {
        return Err(NotTurn);
    };
    if whole > MAX_DATAGRAM { Err(NotTurn) } else { Ok(Some(whole)) }
}

/// Whether a stream that begins with these bytes is one of TURN: a client begins with a request, which nothing
/// else looks like (RFC 8489, section 5).
pub fn begins_with_request(bytes: &[u8]) -> bool {
    let Some([first, _, _, length, cookie @ ..]) = bytes.first_chunk::<8>() else { return false };
    first >> 6 == 0 && length.is_multiple_of(4) && *cookie == MAGIC_COOKIE.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_says_how_long_it_is() {
        assert_eq!(message_len(&[]), Ok(None));
        assert_eq!(message_len(&[0, 1, 0]), Ok(None));
        assert_eq!(message_len(&[0, 1, 0, 0]), Ok(Some(20)));
        assert_eq!(message_len(&[0, 3, 0, 8, 0x21]), Ok(Some(28)));
        for (length, whole) in [(0, 4), (1, 8), (4, 8), (5, 12)] {
            assert_eq!(message_len(&[0x40, 0, 0, length, 7]), Ok(Some(whole)));
        }
    }

    #[test]
    fn what_is_no_turn_is_known_at_its_first_byte() {
        for first in [0x80, 0xC0, 0xFF, b'\x80' | 0x16] {
            assert_eq!(message_len(&[first]), Err(NotTurn));
        }
        // "the message length … its last two bits are always zero" (RFC 8489, section 5).
        assert_eq!(message_len(&[0, 1, 0, 1]), Err(NotTurn));
    }

    #[test]
    fn a_stream_of_turn_begins_with_a_request_and_no_other_does() {
        assert!(begins_with_request(b"\0\x03\0\x08\x21\x12\xA4\x42"));
        for other in [
            &b"GET / HT"[..],
            b"\x01\x02 nonse",
            b"\0\x01\0\x01\x21\x12\xA4\x42",
            b"\0\x01\0\0\x21\x12\xA4",
            b"",
        ] {
            assert!(!begins_with_request(other), "{other:?}");
        }
    }

    #[test]
    fn a_message_that_is_too_long_ends_the_stream() {
        let longest = u16::try_from(MAX_DATAGRAM - HEADER_LEN).expect("it fits");
        let [high, low] = longest.to_be_bytes();
        assert_eq!(message_len(&[0, 1, high, low]), Ok(Some(MAX_DATAGRAM)));
        assert_eq!(message_len(&[0, 1, 0xFF, 0xFC]), Err(NotTurn));
        assert_eq!(message_len(&[0x40, 0, 0xFF, 0xFF]), Err(NotTurn));
    }
}
