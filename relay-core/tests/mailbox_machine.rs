//! The mailbox from outside: what clients see, what is refused, what is left when it is over.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "mailbox_machine/corpus.rs"]
mod corpus;
#[path = "mailbox_machine/delivery.rs"]
mod delivery;
#[path = "mailbox_machine/harness.rs"]
mod harness;
#[path = "mailbox_machine/limits.rs"]
mod limits;
#[path = "mailbox_machine/model.rs"]
mod model;
#[path = "mailbox_machine/purge.rs"]
mod purge;
#[path = "mailbox_machine/sessions.rs"]
mod sessions;
