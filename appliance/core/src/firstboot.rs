//! What a box makes for itself the first time it starts, and the file that carries it over the next power cut.
//!
//! ```text
//! random numbers ─▶ Secrets ─▶ BoxState ─▶ seal to the board ─▶ bytes ─▶ (driver) state, state.previous
//! bytes of both copies, board ─▶ restore ─▶ Restored: go on, or start as a new box, and why
//! bytes of a damaged disk, board ─▶ salvage ─▶ BoxState
//! ```
//!
//! Not here: files, and what is in the authority of the page, which `bulle serve` makes for itself ([`Served`]).
//! Invariants: nothing is derived from a serial or a hardware address; a file that is not whole is never believed;
//! a state of another board is kept, and never used.

mod claim_code;
mod codec;
mod restore;
mod salvage;
mod seal;
mod secrets;
mod served;
#[cfg(test)]
mod tests;

pub use claim_code::{CLAIM_SYMBOLS, is_claim_code};
pub use codec::{BoxState, LARGEST_STATE};
pub use restore::{Copies, Copy, Lost, Restored, restore};
pub use salvage::{SALVAGE_STEP, salvage};
pub use seal::{Board, BoardSource, LARGEST_FILE, OpenError, inspect, open, seal};
pub use secrets::{Invitation, Secrets, Ula, WIFI_KEY_BITS};
pub use served::{LARGEST_SERVED, Served, ServedFile};
