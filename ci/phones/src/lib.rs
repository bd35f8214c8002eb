//! Phones without a screen: the real client core, a real TLS WebSocket and real WebRTC, hundreds in a process.
//!
//! They stand for browsers where a browser is too heavy: two hundred of them exchange messages in pairs through
//! one node, and every message is accounted for. What a browser does differently (its own ICE, DTLS and SCTP,
//! `.local` candidates) is tested with browsers; here the other implementation is `str0m`.
//!
//! [`rtc`] and [`relay`] are machines without sockets, [`phone`] moves their bytes, [`fleet`] sets phones against
//! each other and counts. [`crowd`] is as many sessions as there can be, which do nothing.
#![forbid(unsafe_code)]

pub mod clock;
pub mod conversation;
pub mod crowd;
pub mod fleet;
pub mod phone;
pub mod relay;
pub mod rtc;
pub mod session;
pub mod usage;
