//! What the operator wrote, checked; and what follows from it on this machine.
//!
//! Two forms: [`Typed`] is the file as written, every key optional; [`Settings`] is complete, with the
//! defaults of this host filled in. [`Typed::parse`] finds every problem at once and names the line, the
//! key, what was expected and what was found.
//! Not here: reading the file, or binding anything that it names.
//! Invariant: a key that is not in [`KEYS`] is refused, and every key of [`KEYS`] stands in
//! `docs/configuration.md` and in the example `appliance/bulle.toml`.

mod change;
mod error;
#[cfg(test)]
pub(crate) mod examples;
mod keys;
pub(crate) mod reader;
mod render;
#[cfg(test)]
mod tests;
mod units;

pub use error::{Problem, ProblemKind, SettingsError};
pub use keys::{KEYS, Key};

use crate::claim::ClaimHash;
use crate::names::{DnsLabel, DnsName};
use crate::prefix::Prefix;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Port of HTTPS where nothing else is said: reachable without privileges.
pub const HTTPS_PORT: u16 = 8443;
/// Port of the page that explains and redirects.
pub const REDIRECT_PORT: u16 = 8080;
/// Port of STUN and TURN, RFC 8489 section 18.6.
pub const TURN_PORT: u16 = 3478;
/// Port of sessions over WebRTC: the one beside. They have none of their own anywhere.
pub const WEBRTC_PORT: u16 = 3479;

/// The file as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Typed {
    /// `http.https`
    pub https: Option<Vec<SocketAddr>>,
    /// `http.redirect`
    pub redirect: Option<Vec<SocketAddr>>,
    /// `http.names`
    pub names: Option<Vec<DnsName>>,
    /// `http.security_contact`
    pub security_contact: Option<String>,
    /// `http.certificate`
    pub certificate: Option<PathBuf>,
    /// `http.key`
    pub key: Option<PathBuf>,
    /// `turn.listen`
    pub turn_listen: Option<Vec<SocketAddr>>,
    /// `turn.ports`
    pub turn_ports: Option<PortRange>,
    /// `turn.external`
    pub turn_external: Option<Vec<IpAddr>>,
    /// `turn.bandwidth`
    pub turn_bandwidth: Option<u64>,
    /// `webrtc.listen`
    pub webrtc_listen: Option<Vec<SocketAddr>>,
    /// `dns.listen`
    pub dns_listen: Option<Vec<SocketAddr>>,
    /// `dns.prefixes`
    pub dns_prefixes: Option<Vec<Prefix>>,
    /// `portal.probes`
    pub probes: Option<Probes>,
    /// `mdns.name`
    pub mdns_name: Option<DnsLabel>,
    /// `mdns.interfaces`
    pub mdns_interfaces: Option<Vec<String>>,
    /// `metrics.listen`
    pub metrics_listen: Option<Vec<SocketAddr>>,
    /// `box.claim`
    pub claim: Option<ClaimHash>,
    /// `box.runtime`
    pub runtime: Option<PathBuf>,
    /// `limits.connections`
    pub connections: Option<u32>,
    /// `limits.connections_per_address`
    pub connections_per_address: Option<u32>,
    /// `limits.sessions`
    pub sessions: Option<u32>,
    /// `limits.mailbox`
    pub mailbox: Option<u64>,
    /// `limits.frames_per_second`
    pub frames_per_second: Option<u32>,
    /// `limits.frames_burst`
    pub frames_burst: Option<u32>,
    /// `limits.allocations`
    pub allocations: Option<u32>,
    /// `limits.allocations_per_session`
    pub allocations_per_session: Option<u32>,
    /// `limits.allocations_per_address`
    pub allocations_per_address: Option<u32>,
    /// `limits.idle`
    pub idle: Option<Duration>,
    /// `limits.retention`
    pub retention: Option<Duration>,
    /// `state.dir`
    pub state_dir: Option<PathBuf>,
    /// `log.level`
    pub log_level: Option<LogLevel>,
}

/// What the settings need to know about the machine they are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFacts {
    /// Whether an IPv6 socket can be made.
    pub ipv6: bool,
    /// Where this daemon keeps its state unless told otherwise.
    pub state_dir: PathBuf,
}

/// Everything the daemon needs to know, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where HTTPS listens.
    pub https: Vec<SocketAddr>,
    /// Where the explaining page listens; may be empty.
    pub redirect: Vec<SocketAddr>,
    /// Names under which this box is reached.
    pub names: Vec<DnsName>,
    /// Where to report a security problem of this box.
    pub security_contact: Option<String>,
    /// The operator's own certificate, for the names that it covers.
    pub certificate: Option<CertificateFiles>,
    /// STUN and TURN.
    pub turn: TurnSettings,
    /// Where sessions over WebRTC are carried; empty switches them off.
    pub webrtc: Vec<SocketAddr>,
    /// The bubble's own name server.
    pub dns: DnsSettings,
    /// What devices are told that ask whether there is an Internet.
    pub probes: Probes,
    /// Being found on a LAN; none where that is switched off.
    pub mdns: Option<MdnsSettings>,
    /// Where counts are told, on this machine alone; empty switches it off.
    pub metrics: Vec<SocketAddr>,
    /// What the controller of a box hands over; nothing on other machines.
    pub controller: ControllerSettings,
    /// What one client, and all together, may take.
    pub limits: LimitSettings,
    /// Where the certificate authority and the clock are kept.
    pub state_dir: PathBuf,
    /// How much is logged.
    pub log_level: LogLevel,
}

/// STUN and TURN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnSettings {
    /// Where it listens; empty switches it off.
    pub listen: Vec<SocketAddr>,
    /// Ports for relayed transport addresses.
    pub ports: PortRange,
    /// Addresses to announce instead of the machine's own, when it sits behind a port forward.
    pub external: Vec<IpAddr>,
    /// Bytes per second that are relayed at most; none: as many as go through.
    pub bandwidth: Option<u64>,
}

/// Where the operator's certificate lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate and those between it and its authority, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// The bubble's own name server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsSettings {
    /// Where it answers, and so what the box's names resolve to; empty switches it off.
    pub listen: Vec<SocketAddr>,
    /// Who is answered; where this is empty, the network around each address of `listen`.
    pub prefixes: Vec<Prefix>,
}

/// Being found on a LAN by multicast DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MdnsSettings {
    /// The label before `.local`.
    pub name: DnsLabel,
    /// Names of network interfaces; empty means all but loopback.
    pub interfaces: Vec<String>,
}

/// What the controller of a box hands over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControllerSettings {
    /// What to compare a claim code with; without it nobody can claim the box here.
    pub claim: Option<ClaimHash>,
    /// The directory in which the two leave each other word.
    pub runtime: Option<PathBuf>,
}

/// What devices are told that ask whether there is an Internet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Probes {
    /// "There is": they stay in this network and open nothing by themselves.
    Online,
    /// Nothing: they find out that there is none.
    #[default]
    Offline,
    /// "Sign in first": they show the explaining page once.
    Portal,
}

impl Probes {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Online, Self::Offline, Self::Portal];

    /// The word in the settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Offline => "offline",
            Self::Portal => "portal",
        }
    }
}

/// What one client, and all together, may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// TCP connections at a time.
    pub connections: u32,
    /// TCP connections at a time from one address.
    pub connections_per_address: u32,
    /// WebSocket sessions at a time.
    pub sessions: u32,
    /// Bytes for envelopes, all together.
    pub mailbox: u64,
    /// Frames a session may send per second, over time.
    pub frames_per_second: u32,
    /// Frames a session may send at once.
    pub frames_burst: u32,
    /// TURN allocations at a time.
    pub allocations: u32,
    /// TURN allocations at a time with the credentials of one session.
    pub allocations_per_session: u32,
    /// TURN allocations at a time from one address.
    pub allocations_per_address: u32,
    /// A session that says nothing for so long is closed.
    pub idle: Duration,
    /// For how long an envelope is kept at most.
    pub retention: Duration,
}

/// First and last port, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// First port.
    pub first: u16,
    /// Last port.
    pub last: u16,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Bugs only.
    Error,
    /// And what the owner should act on.
    Warn,
    /// And the life cycle of the box.
    Info,
    /// And decisions.
    Debug,
    /// And sizes and types.
    Trace,
}

impl LogLevel {
    /// The word in the settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl Typed {
    /// Read a file's text.
    ///
    /// # Errors
    /// Every problem found, each with its line.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        reader::read(text)
    }

    /// Fill in what was left out.
    #[must_use]
    pub fn resolve(self, host: &HostFacts) -> Settings {
        let any = |port| {
            // One IPv6 socket that is not "v6 only" serves both families, so one is enough.
            let address: IpAddr =
                if host.ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
            vec![SocketAddr::new(address, port)]
        };
        Settings {
            https: self.https.unwrap_or_else(|| any(HTTPS_PORT)),
            redirect: self.redirect.unwrap_or_else(|| any(REDIRECT_PORT)),
            names: self.names.unwrap_or_else(|| {
                ["bulle.local", "bulle.internal"].into_iter().filter_map(DnsName::parse).collect()
            }),
            security_contact: self.security_contact,
            certificate: self
                .certificate
                .zip(self.key)
                .map(|(certificate, key)| CertificateFiles { certificate, key }),
            turn: TurnSettings {
                listen: self.turn_listen.unwrap_or_else(|| any(TURN_PORT)),
                ports: self.turn_ports.unwrap_or(PortRange { first: 61_000, last: 65_535 }),
                external: self.turn_external.unwrap_or_default(),
                bandwidth: self.turn_bandwidth,
            },
            webrtc: self.webrtc_listen.unwrap_or_else(|| any(WEBRTC_PORT)),
            dns: DnsSettings {
                listen: self.dns_listen.unwrap_or_default(),
                prefixes: self.dns_prefixes.unwrap_or_default(),
            },
            probes: self.probes.unwrap_or_default(),
            mdns: self
                .mdns_name
                .map(|name| MdnsSettings { name, interfaces: self.mdns_interfaces.unwrap_or_default() }),
            metrics: self.metrics_listen.unwrap_or_default(),
            controller: ControllerSettings { claim: self.claim, runtime: self.runtime },
            limits: LimitSettings {
                connections: self.connections.unwrap_or(8192),
                connections_per_address: self.connections_per_address.unwrap_or(1024),
                sessions: self.sessions.unwrap_or(4096),
                mailbox: self.mailbox.unwrap_or(64 * 1024 * 1024),
                frames_per_second: self.frames_per_second.unwrap_or(1000),
                frames_burst: self.frames_burst.unwrap_or(4000),
                allocations: self.allocations.unwrap_or(4096),
                allocations_per_session: self.allocations_per_session.unwrap_or(96),
                allocations_per_address: self.allocations_per_address.unwrap_or(1024),
                idle: self.idle.unwrap_or(Duration::from_secs(90)),
                retention: self.retention.unwrap_or(Duration::from_hours(7 * 24)),
            },
            state_dir: self.state_dir.unwrap_or_else(|| host.state_dir.clone()),
            log_level: self.log_level.unwrap_or(LogLevel::Info),
        }
    }
}
