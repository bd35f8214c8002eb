//! Frames on a data channel, whose messages must be smaller than our largest frame: each in one piece or more.
//!
//! A piece is one message: a byte that says whether more follow, and a part of the frame. All but the last are full,
//! so that nobody makes a frame of crumbs.

use crate::{DecodeError, MAX_FRAME};

/// The largest piece, in bytes. Every browser sends and takes messages of this size (RFC 8831, section 6.6).
pub const MAX_PIECE: usize = 16 * 1024;

/// In front of the last piece of a frame.
const LAST: u8 = 0;

/// In front of all others.
const MORE: u8 = 1;

/// Cuts a frame into its pieces, in order.
pub fn pieces_of(frame: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let mut rest = Some(frame);
    core::iter::from_fn(move || {
        let (part, after) = match rest?.split_at_checked(MAX_PIECE - 1) {
            Some((part, after)) if !after.is_empty() => (part, Some(after)),
            Some(_) | None => (rest?, None),
        };
        rest = after;
        let mut piece = Vec::with_capacity(1 + part.len());
        piece.push(if after.is_some() { MORE } else { LAST });
        piece.extend_from_slice(part);
        Some(piece)
    })
}

/// Puts frames together again.
#[derive(Default)]
pub struct Pieces {
    /// The pieces of a frame that is not whole: at most [`MAX_FRAME`] bytes.
    begun: Vec<u8>,
}

impl core::fmt::Debug for Pieces {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Pieces").field("begun", &self.begun.len()).finish()
    }
}

impl Pieces {
    /// Takes the next piece; gives the frame that it is the last of.
    ///
    /// # Errors
    /// When it is no piece, or makes more than a frame. What comes after that is of no use.
    pub fn push(&mut self, piece: &[u8]) -> Result<Option<Vec<u8>>, DecodeError> {
        let (&head, part) = piece.split_first().ok_or(DecodeError::Malformed)?;
        if piece.len() > MAX_PIECE || self.begun.len() + part.len() > MAX_FRAME {
            return Err(DecodeError::TooLarge);
        }
        self.begun.extend_from_slice(part);
        match head {
            LAST => Ok(Some(core::mem::take(&mut self.begun))),
            MORE if piece.len() == MAX_PIECE => Ok(None),
            _ => Err(DecodeError::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_size_come_out_as_they_went_in() {
        let mut pieces = Pieces::default();
        for (len, count) in [
            (0, 1),
            (1, 1),
            (MAX_PIECE - 1, 1),
            (MAX_PIECE, 2),
            (2 * (MAX_PIECE - 1), 2),
            (2 * (MAX_PIECE - 1) + 1, 3),
            (MAX_FRAME, 5),
        ] {
            let frame: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let all: Vec<_> = pieces_of(&frame).collect();
            assert_eq!(all.len(), count, "{len}");
            assert!(all.iter().all(|piece| piece.len() <= MAX_PIECE));
            let whole: Vec<_> = all.iter().map(|piece| pieces.push(piece)).collect();
            let (last, first) = whole.split_last().unwrap();
            assert!(first.iter().all(|none| *none == Ok(None)));
            assert_eq!(*last, Ok(Some(frame)), "{len}");
        }
    }

    #[test]
    fn what_is_no_piece_is_refused() {
        let refused = |piece: &[u8]| Pieces::default().push(piece).unwrap_err();
        assert_eq!(refused(&[]), DecodeError::Malformed);
        assert_eq!(refused(&[2]), DecodeError::Malformed);
        assert_eq!(refused(&[MORE, 1, 2]), DecodeError::Malformed, "a crumb");
        assert_eq!(refused(&vec![LAST; MAX_PIECE + 1]), DecodeError::TooLarge);
    }

    #[test]
    fn no_more_is_kept_than_a_frame() {
        let mut pieces = Pieces::default();
        let full = vec![MORE; MAX_PIECE];
        let taken = (0..).take_while(|_| pieces.push(&full) == Ok(None)).count();
        assert_eq!(taken, MAX_FRAME / (MAX_PIECE - 1));
        assert!(pieces.begun.len() <= MAX_FRAME);
    }
}
