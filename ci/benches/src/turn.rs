//! Packets through a TURN server, and through what is cheaper than any: a bare forwarder.

pub mod client;
pub mod flows;
pub mod revocation;
pub mod servers;
