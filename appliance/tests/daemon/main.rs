//! The real program, with real sockets and real TLS on loopback.
//!
//! Every daemon that these tests start is looked at when it ends: what it logged may hold no error and nothing
//! that identifies anybody.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "these are tests; helpers outside of test functions count as tests too"
)]

mod claim;
mod control;
mod names;
mod page;
mod peer;
mod poll;
mod portal;
mod reload;
mod session;
mod start;
mod stop;
mod storm;
mod support;
mod turn;
