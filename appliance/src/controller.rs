//! The controller of a box, `bulle box`: finds out what this machine is connected to, decides what to be, and makes
//! networkd, the packet filter, the access point and `bulle serve` so.
//!
//! ```text
//! bulle.toml ─▶ site ──┐                               ┌▶ apply   networkd, nft, bulle.toml of serve
//! /data ──────▶ store ─┤                               ├▶ radio   wifi::AccessPoint
//! /sys, kernel ▶ links ┼▶ appliance_core::mode ─▶ Run ─┼▶ join card: boot_partition, screen
//! serve ──────▶ shared ┘                               └▶ status, sd_notify
//! ```
//!
//! It runs as root and never reads what a radio or a network sends: that is for `bulle serve`, which has no rights.
//! What it reads of `bulle serve` are three small files, taken with suspicion.
//! Invariant: whatever is wrong with settings, disk, radio or cable, the box comes up, shows why, and stays shut.

mod apply;
mod boot_partition;
mod button;
mod clock;
mod command;
mod commands;
mod light;
mod links;
mod neighbours;
mod partition;
mod radio;
mod run;
mod salvage;
mod screen;
mod served;
mod services;
mod show;
mod status;
mod store;
mod told;
mod world;

pub use command::BoxArgs;
pub use run::run;
pub use status::Status;
pub use store::{Checked, check};
pub use world::World;

use std::io;

/// Why the controller cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControllerError {
    /// The system refused something without which there is nothing to do.
    #[error("the controller of the box cannot run: {0}")]
    System(#[from] io::Error),
}
