//! Servers of others, out of a root of their own (`ci/roots/peers.conf`), which the benches see at `/peers`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

/// Where the root of the peers is.
const ROOT: &str = "/peers";

/// A program of that root.
pub fn command(program: &str) -> Command {
    let mut command = Command::new("chroot");
    command.args([ROOT, program]);
    command
}

/// The first word with a number in what a program says of its version; none when it is not there.
pub fn version(program: &str, argument: &str) -> Option<String> {
    let output = command(program).arg(argument).output().ok()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let version = said.split_whitespace().find(|word| {
        word.trim_start_matches('v').starts_with(|first: char| first.is_ascii_digit()) && word.contains('.')
    })?;
    Some(format!("{program} {}", version.trim_matches(|c: char| !c.is_ascii_alphanumeric())))
}

/// A directory that both see, and its path for a peer.
///
/// # Errors
/// When it is not below the root of the peers.
pub fn seen_from_inside(path: &Path) -> Result<PathBuf> {
    let inside = path.strip_prefix(ROOT).with_context(|| format!("{}: not in {ROOT}", path.display()))?;
    Ok(Path::new("/").join(inside))
}

/// Where a directory is made that both see.
pub fn shared() -> PathBuf {
    Path::new(ROOT).join("tmp")
}
