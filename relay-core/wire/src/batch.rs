//! Several frames in one piece, for a carrier that has no messages of its own: each with its length before it.

use crate::{DecodeError, MAX_FRAME};

/// Bytes before a frame: its length, big endian.
const HEAD: usize = 4;

/// A batch that has so many bytes takes no further frame.
const FULL: usize = 64 * 1024;

/// The most frames in one batch.
pub const MAX_BATCH_FRAMES: usize = 32;

/// The largest batch, in bytes: one that was not quite full, and the largest frame.
pub const MAX_BATCH: usize = FULL - 1 + HEAD + MAX_FRAME;

/// Frames on their way together.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    frames: usize,
}

impl Batch {
    /// Whether no further frame fits.
    pub const fn is_full(&self) -> bool {
        self.frames >= MAX_BATCH_FRAMES || self.bytes.len() >= FULL
    }

    /// Whether there is nothing in it.
    pub const fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Takes the frame that `write` appends; the batch stays as it was when that says that there is none.
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
        let head = self.bytes.len();
        self.bytes.extend([0; HEAD]);
        let body = self.bytes.len();
        let written = write(&mut self.bytes);
        let len = u32::try_from(self.bytes.len().saturating_sub(body)).unwrap_or(u32::MAX);
        match self.bytes.get_mut(head..body) {
            Some(place) if written => {
                place.copy_from_slice(&len.to_be_bytes());
                self.frames += 1;
                true
            }
            Some(_) | None => {
                self.bytes.truncate(head);
                false
            }
        }
    }

    /// Takes this frame.
    pub fn push(&mut self, frame: &[u8]) {
        self.push_with(|bytes| {
            bytes.extend_from_slice(frame);
            true
        });
    }

    /// As it is sent.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// The frames of a batch, in order; what they say is not looked at.
///
/// # Errors
/// When the bytes are not whole frames within the limits, and at least one.
pub fn frames_of(batch: &[u8]) -> Result<impl Iterator<Item = &[u8]>, DecodeError> {
    if batch.len() > MAX_BATCH {
        return Err(DecodeError::TooLarge);
    }
    let (mut rest, mut count) = (batch, 0);
    while !rest.is_empty() {
        let (frame, after) = split_first(rest).ok_or(DecodeError::Malformed)?;
        count += 1;
        if frame.len() > MAX_FRAME || count > MAX_BATCH_FRAMES {
            return Err(DecodeError::TooLarge);
        }
        rest = after;
    }
    if count == 0 {
        return Err(DecodeError::Malformed);
    }
    let mut rest = batch;
    Ok(core::iter::from_fn(move || {
        let (frame, after) = split_first(rest)?;
        rest = after;
        Some(frame)
    }))
}

fn split_first(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*head)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(batch: &[u8]) -> Result<Vec<&[u8]>, DecodeError> {
        frames_of(batch).map(Iterator::collect)
    }

    #[test]
    fn frames_come_out_as_they_went_in() {
        let mut batch = Batch::default();
        assert!(batch.is_empty());
        batch.push(b"one");
        assert!(!batch.push_with(|bytes| {
            bytes.extend(b"half a fra");
            false
        }));
        batch.push(b"");
        batch.push(b"three");
        assert_eq!(frames(&batch.into_bytes()), Ok(vec![&b"one"[..], b"", b"three"]));
    }

    #[test]
    fn a_full_batch_of_the_largest_frames_is_within_the_limit() {
        let mut batch = Batch::default();
        batch.push(&[7; FULL - HEAD - 1]);
        assert!(!batch.is_full());
        batch.push(&[7; MAX_FRAME]);
        assert!(batch.is_full());
        let bytes = batch.into_bytes();
        assert_eq!(bytes.len(), MAX_BATCH);
        assert_eq!(frames(&bytes).map(|frames| frames.len()), Ok(2));
    }

    #[test]
    fn a_batch_is_full_of_small_frames_too() {
        let mut batch = Batch::default();
        while !batch.is_full() {
            batch.push(b"x");
        }
        let mut bytes = batch.into_bytes();
        assert_eq!(frames(&bytes).map(|frames| frames.len()), Ok(MAX_BATCH_FRAMES));
        bytes.extend([0; HEAD]);
        assert_eq!(frames(&bytes), Err(DecodeError::TooLarge));
    }

    #[test]
    fn what_is_cut_short_or_too_large_is_no_batch() {
        for bytes in [&[][..], &[0], &[0, 0, 0], &[0, 0, 0, 1], &[0, 0, 0, 2, 9], &[255, 255, 255, 255, 1]] {
            assert_eq!(frames(bytes), Err(DecodeError::Malformed), "{bytes:?}");
        }
        let mut frame = Batch::default();
        frame.push(&vec![0; MAX_FRAME + 1]);
        assert_eq!(frames(&frame.into_bytes()), Err(DecodeError::TooLarge));
        assert_eq!(frames(&vec![0; MAX_BATCH + 1]), Err(DecodeError::TooLarge));
    }
}
