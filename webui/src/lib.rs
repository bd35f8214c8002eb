//! The browser client: two programs that talk by messages.
//!
//! - `page` shows the screen and holds WebRTC, which browsers offer to pages only.
//! - `worker` owns the [`client_core::Client`], all keys and the one WebSocket to the node.
//!
//! Keys never leave the worker; the page gets the texts that it shows and bytes that it cannot read. Nothing is
//! written to storage, to the console, to the address bar or to the title.
//!
//! What needs no browser is plain Rust and tested natively: [`bridge`] (what the two say to each other), [`model`]
//! (what is on the screen), [`invitation`], [`qr`], [`text`] (every word that a person reads).
#![forbid(unsafe_code)]

pub mod bridge;
pub mod invitation;
pub mod model;
pub mod qr;
pub mod text;

#[cfg(target_arch = "wasm32")]
pub mod page;
#[cfg(target_arch = "wasm32")]
pub mod worker;

#[cfg(target_arch = "wasm32")]
mod rtc;
#[cfg(target_arch = "wasm32")]
mod stopped;
