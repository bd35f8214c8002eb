//! The access point: which radio, which channel, which security, and what to do when it falls silent.
//!
//! ```text
//! nl80211 bytes ─▶ RadioFacts ─┐
//!                  Policy ─────┴▶ choose ─▶ Plan ─▶ hostapd.conf
//!                                            └────▶ AccessPoint (machine) ─▶ effects, events
//! control socket bytes ─▶ control::{Event, Status} ─▶┘
//! ```
//!
//! Not here: sockets, processes, files; those are `appliance::wifi`.
//! Invariant: nothing is ever sent on a frequency that the kernel marks as disabled, as "no initiating
//! radiation" or as radar; WPA2 with a long key is the least there is, and who asks for WPA3 only gets nothing
//! else.

pub mod access_point;
pub mod credentials;
pub mod decide;
pub mod facts;
#[cfg(test)]
mod fixtures;
#[doc(hidden)]
pub mod fuzzing;
pub mod hostapd;
pub mod nl80211;
pub mod policy;

pub use access_point::{Event, Failure};
pub use credentials::{CredentialError, Credentials, Passphrase, PersonKey, Ssid};
pub use decide::{Choice, Notice, Plan, Refusal, Security, Surroundings, Survey, choose, decide};
pub use facts::{Band, Interface, RadioFacts, RadioId};
pub use policy::{BandWish, ChannelWish, Country, Policy, SecurityWish};
