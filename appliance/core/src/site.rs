//! What the owner wrote into `bulle.toml` on the partition that every desktop shows, checked.
//!
//! Every key is optional; an empty file, or none, is the first journey: the box decides by what it finds.
//! Not here: reading the file, or the daemon's own settings ([`crate::settings`]), which the box writes itself.
//! Invariant: a file with any problem changes nothing; the box then stays on the cable and says line and reason.

mod keys;
mod reader;
#[cfg(test)]
mod tests;
mod text;

pub use keys::KEYS;
pub use text::{LARGEST_FILE, decode};

use crate::prefix::Prefix;
use crate::settings::{LogLevel, Probes, SettingsError};
use crate::wifi::{Policy, Ssid};
use std::net::IpAddr;

/// Longest name of a file on the partition.
pub const LONGEST_FILE_NAME: usize = 64;

/// The file, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Site {
    /// `name`: what the box is called, and its Wi-Fi unless `wifi.ssid` says otherwise.
    pub name: Option<Ssid>,
    /// `mode`
    pub mode: ModeWish,
    /// `country` and `[wifi]`, as the access point wants them.
    pub wifi: Policy,
    /// `wifi.ssid`
    pub ssid: Option<Ssid>,
    /// `wifi.probes`; without it, phones are told what makes them stay.
    pub probes: Option<Probes>,
    /// `[lan]`
    pub lan: Lan,
    /// `[tls]`
    pub tls: Option<TlsFiles>,
    /// `log.level`
    pub log_level: Option<LogLevel>,
}

/// How the box is to be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ModeWish {
    /// By what it finds: a cable with a router, else Wi-Fi.
    #[default]
    Auto,
    /// By its own Wi-Fi.
    Wifi,
    /// On the network of its cable.
    Lan,
}

/// The network on the cable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lan {
    /// `lan.interface`: where there are several.
    pub interface: Option<String>,
    /// `lan.address`; `None` is `"dhcp"`.
    pub fixed: Option<Fixed>,
    /// `lan.ntp`
    pub ntp: Vec<IpAddr>,
}

/// An address that does not come by DHCP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    /// `lan.address`, the part before the slash.
    pub address: IpAddr,
    /// The network around it.
    pub prefix: Prefix,
    /// `lan.gateway`
    pub gateway: Option<IpAddr>,
    /// `lan.dns`
    pub dns: Vec<IpAddr>,
}

/// A certificate of the owner's, by the names of its files beside `bulle.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// `tls.certificate`
    pub certificate: String,
    /// `tls.key`
    pub key: String,
}

impl Site {
    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// Every problem found, each with its line.
    pub fn parse(bytes: &[u8]) -> Result<Self, SettingsError> {
        let text = decode(bytes)?;
        reader::read(text).map_err(|error| text::explain(text, error))
    }
}
