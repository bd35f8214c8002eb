//! The node as pure state machines.
//!
//! Everything that passes through the box is an envelope in a [`mailbox`] or a packet in a TURN allocation
//! ([`turn`]); [`stun`] tells a client its own address, so that two browsers on one network find each other
//! without multicast. [`exchange`] is how a session goes by plain requests where a WebSocket is refused.
//!
//! # The contract of every machine here
//!
//! A machine never reads a clock, opens a socket, spawns a task or draws randomness of its own: time comes in
//! with each call, randomness through the constructor. Its owner follows one loop:
//!
//! 1. give it **one** input (`handle_…(.., now)`),
//! 2. drain what it has to say (`poll_transmit`, `poll_event`, `poll_effect`) until nothing is left,
//! 3. wait for the next input, at most until `poll_timeout`, and then call `handle_timeout(now)`.
//!
//! A machine computes what should change in the world and never changes it.
//!
//! # Absent on purpose
//!
//! There is no map from sender to recipient, no last-seen time, and no notion of a person.
#![forbid(unsafe_code)]

pub mod exchange;
pub mod mailbox;
pub mod stun;
pub mod turn;
