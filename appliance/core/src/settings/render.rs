//! Writes settings as the file that would give them, for `check-config`.

use super::Settings;
use std::fmt::{self, Display};

impl Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[http]\nhttps = {}\nredirect = {}", list(&self.https), list(&self.redirect))?;
        writeln!(f, "names = {}", list(&self.names))?;
        if let Some(contact) = &self.security_contact {
            writeln!(f, "security_contact = {}", quoted(contact))?;
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
        let limits = &self.limits;
        writeln!(f, "\n[limits]\nconnections = {}", limits.connections)?;
        writeln!(f, "connections_per_address = {}", limits.connections_per_address)?;
        writeln!(f, "sessions = {}\nmailbox = \"{} KiB\"", limits.sessions, limits.mailbox / 1024)?;
        writeln!(f, "frames_per_second = {}", limits.frames_per_second)?;
        writeln!(f, "frames_burst = {}\nidle = \"{} s\"", limits.frames_burst, limits.idle.as_secs())?;
        writeln!(f, "\n[state]\ndir = {}", quoted(&self.state_dir.to_string_lossy()))?;
        writeln!(f, "\n[log]\nlevel = {}", quoted(self.log_level.as_str()))
    }
}

fn list(values: &[impl Display]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("\"{value}\"")).collect();
    format!("[{}]", quoted.join(", "))
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
