//! A TURN server (RFC 8656), over UDP, TCP and TLS, as a state machine: it moves no byte itself.
//!
//! ```text
//!  client --ChannelData--> handle_client_input --> Forward: out of that relay socket, to that peer
//!  client <--ChannelData-- Forward: out of the server socket <-- handle_peer_input <-- peer
//!  client --ChannelData--> handle_client_input --> Forward: ChannelData, to the client that the peer address is
//! ```
//!
//! One input, then drain [`Server::poll_transmit`] and [`Server::poll_effect`], then wait for the next input or
//! for [`Server::poll_timeout`].
//! Data never enters the machine: a [`Forward`] says which part of the caller's own buffer goes where, and which
//! header goes before it. Nothing on that way allocates or locks.
//!
//! What it is not: it opens no socket ([`Effect`] asks the driver to), reads no clock, and keeps no table of who
//! talked to whom beyond the permissions that a client asked for and that end with its allocation.
//!
//! Credentials are made by the box for a member and checked by computation ([`Credentials`]): nothing is stored
//! for a credential that made no allocation.
//!
//! Invariants:
//! - No byte reaches a peer, or comes from one, without a permission that a client with a right password made.
//! - No peer is an address of the box itself, except the relayed addresses of other clients ([`PeerPolicy`]).
//! - Whoever floods takes from nobody else: under overload each account has its share (`fairness`).
//! - Every table has a limit in [`Limits`] or in the `limits` file; a full table refuses and forgets nobody.

mod allocation;
mod auth;
mod base64;
mod channel;
mod counters;
mod credentials;
mod fairness;
mod five_tuple;
mod forward;
mod hash;
mod holders;
mod limits;
mod parties;
mod peer_policy;
mod refusal;
mod server;
mod stream;

#[doc(hidden)]
pub mod fuzzing;

pub use allocation::{AllocationId, Family, RelayId};
pub use channel::ChannelNumber;
pub use counters::Counters;
pub use credentials::{Account, CredentialSecret, Credentials, Minted};
pub use five_tuple::{FiveTuple, Transport};
pub use forward::{Forward, MAX_GROWTH, Out};
pub use holders::{ABSENCE, Holders, MAX_ABSENT};
pub use limits::{
    DEFAULT_LIFETIME, DEFAULT_RELAY_PORTS, LONGEST_CREDENTIAL, Limits, MAX_CHANNELS, MAX_DATAGRAM,
    MAX_LIFETIME, MAX_PERMISSIONS,
};
pub use peer_policy::{Denied, PeerPolicy};
pub use refusal::Refusal;
pub use server::{BindError, Config, Effect, Load, RelayAddresses, Server, Transmit};
pub use stream::{NotTurn, begins_with_request, message_len};

#[cfg(test)]
mod tests;
