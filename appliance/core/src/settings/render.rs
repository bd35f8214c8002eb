//! Writes settings as the file that would give them, for `check-config`.

use super::{ControllerSettings, Settings};
use std::fmt::{self, Display};

impl Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[http]\nhttps = {}\nredirect = {}", list(&self.https), list(&self.redirect))?;
        writeln!(f, "names = {}", list(&self.names))?;
        if let Some(contact) = &self.security_contact {
            writeln!(f, "security_contact = {}", quoted(contact))?;
        }
        if let Some(files) = &self.certificate {
            writeln!(f, "certificate = {}", quoted(&files.certificate.to_string_lossy()))?;
            writeln!(f, "key = {}", quoted(&files.key.to_string_lossy()))?;
        }
        let turn = &self.turn;
        writeln!(f, "\n[turn]\nlisten = {}", list(&turn.listen))?;
        writeln!(
            f,
            "ports = \"{}-{}\"\nexternal = {}",
            turn.ports.first,
            turn.ports.last,
            list(&turn.external)
        )?;
        if let Some(bandwidth) = turn.bandwidth {
            writeln!(f, "bandwidth = \"{} Mbit/s\"", bandwidth / (1_000_000 / 8))?;
        }
        writeln!(f, "\n[webrtc]\nlisten = {}", list(&self.webrtc))?;
        writeln!(f, "\n[dns]\nlisten = {}", list(&self.dns.listen))?;
        writeln!(f, "prefixes = {}", list(&self.dns.prefixes))?;
        writeln!(f, "\n[portal]\nprobes = {}", quoted(self.probes.as_str()))?;
        if let Some(mdns) = &self.mdns {
            writeln!(f, "\n[mdns]\nname = \"{}\"\ninterfaces = {}", mdns.name, list(&mdns.interfaces))?;
        }
        writeln!(f, "\n[metrics]\nlisten = {}", list(&self.metrics))?;
        let ControllerSettings { claim, runtime } = &self.controller;
        if claim.is_some() || runtime.is_some() {
            writeln!(f, "\n[box]")?;
        }
        if let Some(claim) = claim {
            writeln!(f, "claim = \"{claim}\"")?;
        }
        if let Some(runtime) = runtime {
            writeln!(f, "runtime = {}", quoted(&runtime.to_string_lossy()))?;
        }
        let limits = &self.limits;
        writeln!(f, "\n[limits]\nconnections = {}", limits.connections)?;
        writeln!(f, "connections_per_address = {}", limits.connections_per_address)?;
        writeln!(f, "sessions = {}\nmailbox = \"{} KiB\"", limits.sessions, limits.mailbox / 1024)?;
        writeln!(f, "frames_per_second = {}", limits.frames_per_second)?;
        writeln!(f, "frames_burst = {}\nallocations = {}", limits.frames_burst, limits.allocations)?;
        writeln!(f, "allocations_per_session = {}", limits.allocations_per_session)?;
        writeln!(f, "allocations_per_address = {}", limits.allocations_per_address)?;
        writeln!(f, "idle = \"{} s\"", limits.idle.as_secs())?;
        writeln!(f, "retention = \"{} s\"", limits.retention.as_secs())?;
        writeln!(f, "\n[state]\ndir = {}", quoted(&self.state_dir.to_string_lossy()))?;
        writeln!(f, "\n[log]\nlevel = {}", quoted(self.log_level.as_str()))
    }
}

fn list(values: &[impl Display]) -> String {
    let all: Vec<String> = values.iter().map(|value| quoted(&value.to_string())).collect();
    format!("[{}]", all.join(", "))
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted += &format!("\\u{:04X}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}
