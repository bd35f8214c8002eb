//! hostapd, which speaks 802.11 with stations: the files it reads, what it says, and what it is told.
//!
//! Not here: the process and the socket.
//! Invariant: an address of a station leaves this module only as [`Private`](base::Private), and no text of
//! hostapd leaves it at all; what hostapd says becomes an enum or nothing.

mod complaint;
mod control;
mod render;
#[cfg(test)]
mod tests;

pub use complaint::complaint;
pub use control::{Command, Message, News, Phase, Status, message, status, version};
pub use render::{Files, render};

/// The longest message of hostapd that is looked at.
pub const MOST_MESSAGE: usize = 4096;
