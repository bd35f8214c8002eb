//! Reads what is left of a damaged disk, for [`appliance_core::firstboot::salvage`] to look through.

use appliance_core::firstboot::{Board, BoxState, LARGEST_FILE, SALVAGE_STEP, salvage as newest_in};
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use zeroize::Zeroizing;

/// How much is looked through at a time.
const WINDOW: usize = 1 << 20;
/// A larger partition is none of ours.
const MOST: u64 = 1 << 30;

/// The newest state of this board anywhere on a disk, or on a copy of one.
#[must_use]
pub(super) fn salvage(disk: &Path, board: &Board) -> Option<BoxState> {
    let mut file = File::open(disk).ok()?;
    // The length that a device tells by its metadata is none.
    let length = file.seek(SeekFrom::End(0)).ok()?.min(MOST);
    let mut window = Zeroizing::new(vec![0; WINDOW + LARGEST_FILE]);
    let mut best: Option<BoxState> = None;
    for at in (0..length).step_by(WINDOW) {
        read_around_holes(&file, &mut window, at);
        let found = newest_in(&window, WINDOW, board);
        best = best.into_iter().chain(found).max_by_key(|state| state.writes);
    }
    best
}

/// Fills `bytes`; what cannot be read is zero.
fn read_around_holes(file: &File, bytes: &mut [u8], at: u64) {
    if file.read_exact_at(bytes, at).is_ok() {
        return;
    }
    for (block, at) in bytes.chunks_mut(SALVAGE_STEP).zip((at..).step_by(SALVAGE_STEP)) {
        if file.read_exact_at(block, at).is_err() {
            block.fill(0);
        }
    }
}
