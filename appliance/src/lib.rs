//! The daemon `bulle`: the only place with sockets, files and clocks. It moves bytes and decides nothing that a
//! core could decide.
//!
//! ```text
//! cli ─▶ serve ─▶ state   the files that outlive a boot: authority, certificate, last known time
//!           │ ──▶ tls     shows the certificate, renews it
//!           │ ──▶ accept  limits connections ─▶ http   the page, embedded
//!           │                                 └▶ session  WebSocket or poll ◀─▶ hub ◀─▶ relay_core::mailbox
//!           ├───▶ turn    STUN and TURN over UDP
//!           ├───▶ dns     the bubble's own names
//!           ├───▶ mdns    found on a LAN
//!           ├───▶ pressure  refuses and purges when memory runs short
//!           ├───▶ control  `bulle dump` and `bulle purge`, for root and the same user
//!           └───▶ live    settings and names that change while it runs
//! ```
//!
//! Absent on purpose: any outgoing connection, any log line with an address in it, any write of content to disk,
//! and HSTS, since a browser that remembers it for a private authority cannot be let back in.

pub mod accept;
pub mod assets;
pub mod claim;
pub mod cli;
pub mod clocks;
pub mod control;
pub mod controller;
pub mod dns;
pub mod files;
pub mod host;
pub mod http;
pub mod hub;
pub mod invite;
#[doc(hidden)]
pub mod leak_guard;
pub mod live;
pub mod mdns;
pub mod memory;
pub mod metrics;
pub mod notify;
pub mod pressure;
pub mod serve;
pub mod session;
pub mod state;
pub mod tls;
pub mod turn;
pub mod wifi;

/// What `bulle --version` says.
pub const VERSION: &str = if cfg!(webui) {
    env!("CARGO_PKG_VERSION")
} else {
    concat!(env!("CARGO_PKG_VERSION"), " (without web client)")
};
