//! The real daemon, with a state directory of its own that is gone afterwards.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::process::Server;

/// A directory that is removed with this value.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// An empty directory for this process alone.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(name: &str) -> Result<Self> {
        Self::below(&std::env::temp_dir(), name)
    }

    /// The same below another directory.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn below(parent: &Path, name: &str) -> Result<Self> {
        let dir = parent.join(format!("bulle-bench-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir)?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))?;
        Ok(Self(dir))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The daemon's program: beside this one, or what `BULLE_BIN` names.
pub fn program() -> PathBuf {
    std::env::var_os("BULLE_BIN").map_or_else(|| beside("bulle"), PathBuf::from)
}

/// A program that was built with this one.
pub fn beside(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.parent().unwrap_or(Path::new(".")).join(name)
}

/// How a daemon is set up.
#[derive(Debug)]
pub struct Node {
    /// Where it serves its pages.
    pub https: SocketAddr,
    scratch: Scratch,
}

impl Node {
    /// Settings for a daemon on `address`, with free ports and limits that are out of the way.
    ///
    /// # Errors
    /// When there is no free port, or the settings cannot be written.
    pub fn new(name: &str, address: Ipv4Addr, turn: bool) -> Result<Self> {
        let scratch = Scratch::new(name)?;
        let https = SocketAddr::from((address, free_port(address)?));
        let state = scratch.path().join("state");
        fs::create_dir(&state)?;
        fs::set_permissions(&state, fs::Permissions::from_mode(0o700))?;
        let turn = if turn { format!("\"{address}:3478\"") } else { "[]".to_owned() };
        let settings = format!(
            "[http]\nhttps = \"{https}\"\nredirect = []\nnames = [\"box.bulle.internal\"]\n\n\
             [turn]\nlisten = {turn}\n\n\
             [webrtc]\nlisten = []\n\n\
             [limits]\nconnections = 8192\nconnections_per_address = 8192\nsessions = 8000\n\
             frames_per_second = 100000\nframes_burst = 100000\n\n\
             [state]\ndir = {state:?}\n"
        );
        fs::write(scratch.path().join("bulle.toml"), settings)?;
        Ok(Self { https, scratch })
    }

    /// Starts it; it is not ready yet.
    ///
    /// # Errors
    /// When the program is missing.
    pub fn start(&self) -> Result<Server> {
        let config = self.scratch.path().join("bulle.toml");
        Server::start(Command::new(program()).arg("serve").arg("--config").arg(config))
    }

    /// Starts it and waits until it says where it is.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start_ready(&self) -> Result<Server> {
        let mut server = self.start()?;
        server.wait_for_line("https://").context("bulle serve")?;
        Ok(server)
    }

    /// The CA that it made at its first start.
    ///
    /// # Errors
    /// When there is none.
    pub fn authority(&self) -> Result<PathBuf> {
        let state = self.scratch.path().join("state");
        find(&state, "ca.crt").with_context(|| format!("{}: no ca.crt", state.display()))
    }

    /// Its address as its certificate names it; where it is reached is [`https`](Self::https).
    pub fn url(&self) -> String {
        format!("https://box.bulle.internal:{}", self.https.port())
    }

    /// Whoever connects to it trusts its CA and nothing else.
    ///
    /// # Errors
    /// When there is no CA yet.
    pub async fn client(&self) -> Result<phones::session::Node> {
        phones::session::Node::new(&self.url(), &self.authority()?, Some(self.https)).await
    }

    /// Has it overwrite all that it holds.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn purge(&self) -> Result<()> {
        let config = self.scratch.path().join("bulle.toml");
        let done = Command::new(program()).arg("purge").arg("--config").arg(config).output()?;
        ensure!(done.status.success(), "bulle purge: {}", String::from_utf8_lossy(&done.stderr).trim());
        Ok(())
    }

    /// Forgets what it kept, as if it had never run.
    ///
    /// # Errors
    /// When the state cannot be removed.
    pub fn forget(&self) -> Result<()> {
        let state = self.scratch.path().join("state");
        fs::remove_dir_all(&state)?;
        fs::create_dir(&state)?;
        fs::set_permissions(&state, fs::Permissions::from_mode(0o700))?;
        Ok(())
    }
}

/// A TCP port that is free now.
///
/// # Errors
/// When there is none.
pub fn free_port(address: Ipv4Addr) -> Result<u16> {
    Ok(TcpListener::bind((address, 0))?.local_addr()?.port())
}

fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    for entry in fs::read_dir(dir).ok()?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if let Some(found) = find(&path, name) {
                return Some(found);
            }
        } else if entry.file_name() == *name {
            return Some(path);
        }
    }
    None
}
