//! The client as one pure state machine: a device in a bubble, everything in memory.
//!
//! The browser's worker, native phones and tests all drive the same [`Client`]. It never reads a clock, opens
//! a socket or spawns a task: its owner follows the loop that `relay-core` describes.
//! `docs/protocol/messages.md` says what it puts into envelopes, so that somebody else could write another.
#![forbid(unsafe_code)]

mod api;
mod arrivals;
mod backoff;
mod box_channel;
mod broadcast;
mod channel;
mod choice;
mod client;
mod conversation;
mod directory;
mod envelope;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod group;
mod hub;
mod inbox;
pub mod keyring;
mod keys;
mod link;
mod outbox;
mod parcel;
mod pseudonym;
mod requests;
mod safety;

pub use api::{
    ChannelEvent, Command, DeliveryState, Event, FailReason, LinkEvent, LinkState, MAX_CANDIDATE,
    MAX_CHANNEL_FRAME, MAX_MID, MAX_PSEUDONYM, MAX_PSEUDONYM_CHARS, MAX_SDP, MAX_TEXT, MessageId, Notice,
    Path, PeerId, Signal, Text, Transmit, TurnServer, UnixMillis,
};
pub use arrivals::{Arrivals, Run};
pub use box_channel::{BoxChannel, BoxChannelEvent, THE_BOX};
pub use broadcast::MAX_MEMBERS as MAX_BROADCAST_MEMBERS;
pub use choice::{Choice, Way};
pub use client::{Client, Config};
pub use error::{CommandError, NewError};
pub use hub::Counters;
pub use requests::{Request, Requests, RequestsEvent, Verb};
