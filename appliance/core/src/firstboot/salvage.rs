//! Finds the state on a disk whose file system no longer does.
//!
//! A state is one small file, and a file system lays those down in one piece, from the beginning of a block on. So
//! whatever has become of its tables, a whole state shows itself by its first bytes and proves itself by its checksum.

use super::BoxState;
use super::seal::{Board, open, prefix};

/// Where files begin: at multiples of the smallest block that a file system has.
pub const SALVAGE_STEP: usize = 1024;

/// The newest state of this board among those that begin in the first `starts` bytes; `bytes` goes on behind them by
/// [`super::LARGEST_FILE`] where the disk does, and begins at a multiple of [`SALVAGE_STEP`].
#[must_use]
pub fn salvage(bytes: &[u8], starts: usize, board: &Board) -> Option<BoxState> {
    let states = (0..starts.min(bytes.len())).step_by(SALVAGE_STEP).filter_map(|at| {
        let file = prefix(bytes.get(at..)?)?;
        open(file, board).ok()
    });
    // Old copies lie about until something else is written there.
    states.max_by_key(|state| state.writes)
}
