//! The appliance as pure state machines: what the settings say, what the PKI should be, what time it is at least.
//!
//! No sockets, no files, no clocks in here: the daemon hands in bytes and the time, and carries out what
//! these modules plan.
//! One thing is not handed in: key generation and signing draw from the operating system inside `aws-lc`,
//! which offers no other way, and which is the one place where that is an advantage.
#![forbid(unsafe_code)]

pub mod clock;
pub mod names;
pub mod pki;
pub mod settings;
