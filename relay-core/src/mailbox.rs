//! Blind store-and-forward: envelopes at addresses that mean nothing, in memory only.
//!
//! [`Mailbox`] is the whole delivery service as one state machine. A client opens a session, shows with a
//! signature over that session's challenge that it holds a receive key, and is then sent what lies at that key's
//! address; anybody may deposit at an address that they know. What is acknowledged, too old or purged is
//! overwritten at once.
//!
//! What it is not: it knows no person, no name, no content; it keeps nothing across a restart; it never reaches
//! out. It holds no link from a sender to an envelope, so its fairness is built on addresses and on the pace of
//! sessions instead (see [`Config`]).
//!
//! # Invariants
//!
//! - What was accepted is delivered to the reader in order, and is dropped only by acknowledgement, by its time
//!   or by a purge; a full mailbox refuses, and never makes room.
//! - Within one subscription nothing is delivered twice.
//! - A sequence number never comes twice at one address while the node runs.
//! - Bytes that are no longer held are zero.
//! - Every table has a named limit in [`Config`] or beside its type; a full one refuses with the time after which
//!   another try makes sense.
//!
//! # How a driver uses it
//!
//! ```text
//! open_session ─▶ loop { poll_transmit until false; wait for a frame, a wake or the timeout; handle it }
//! ```
//!
//! Deliveries are pulled: nothing is copied out of the arena before the driver can write it to the socket, so a
//! slow reader costs nothing. [`Event::Wake`] says that there is something to pull.

mod config;
mod counters;
mod event;
#[doc(hidden)]
pub mod fuzzing;
mod held;
mod invariants;
mod machine;
mod pace;
mod purge;
mod requests;
mod session;
mod store;

pub use config::{Config, Rate, Ttls};
pub use counters::{Cause, Counters, Refusals};
pub use event::{Event, OpenRefused, SessionId, Shown, Violation};
pub use held::{HeldEnvelope, HeldMailbox, HeldSession};
pub use machine::Mailbox;
pub use purge::Memory;
