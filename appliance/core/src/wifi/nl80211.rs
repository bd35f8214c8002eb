//! The kernel's words about radios: generic netlink, family `nl80211`.
//!
//! Both directions: requests as bytes, and what comes back as facts. Only the few attributes that the
//! decision and the watchdog need are read; everything else is skipped, as the kernel adds to it with every
//! release. Numbers are those of the kernel's `uapi/linux/nl80211.h`, `genetlink.h` and `netlink.h`.
//!
//! Invariant: whatever the bytes are, reading ends, holds no more than the limits in
//! [`facts`](super::facts), and never keeps an address of a station or of another network.

mod message;
mod reply;
mod request;
#[cfg(test)]
mod tests;
mod wiphy;

pub use message::{Attributes, Frame, Frames, MessageError};
pub use reply::{Bss, Carrier, Family, carrier, domain, family, networks, survey};
pub use request::{LinkChange, Request};
pub use wiphy::Wiphys;

/// The netlink message that ends a dump.
pub const DONE: u16 = 3;
/// The netlink message that carries an error, or 0 for success.
pub const ERROR: u16 = 2;
/// The generic netlink family that knows the others.
pub const CONTROL: u16 = 16;
