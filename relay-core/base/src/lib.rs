//! What every other crate stands on: time that is handed in, values that cannot be printed, deadlines in
//! order, a bounded arena of fixed blocks, and bytes as hexadecimal digits.
//!
//! Nothing here reads a clock, opens a socket or knows what a mailbox is.
#![forbid(unsafe_code)]

mod arena;
mod deadlines;
pub mod hex;
mod private;
mod time;

pub use arena::{Arena, BLOCK, Chain, Full, Storage};
pub use deadlines::Deadlines;
pub use private::Private;
pub use time::{Instant, UnixSeconds};
