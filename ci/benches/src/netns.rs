//! A second network beside ours, with a wire between: what the kernel does for a packet that comes from another
//! host is part of its cost, and a server never relays to itself.

use std::net::Ipv4Addr;
use std::process::Command;
use std::thread;

use anyhow::{Context as _, Result, ensure};
use rustix::thread::LinkNameSpaceType;

/// The servers' end of the wire.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
/// The first address of the other end.
pub const FIRST_CLIENT: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);
/// Addresses of the other end: a server may count what one address asks for.
pub const CLIENTS: u8 = 16;

/// The other network; it is gone with this value.
#[derive(Debug)]
pub struct Netns {
    name: String,
}

impl Netns {
    /// Makes it and lays the wire.
    ///
    /// # Errors
    /// Where namespaces may not be made; `ci/bench` runs where they may.
    pub fn new() -> Result<Self> {
        let made = Self { name: format!("bench-{}", std::process::id()) };
        let name = &made.name;
        ip(&["netns", "add", name])?;
        ip(&["link", "add", "bench0", "type", "veth", "peer", "name", "bench1", "netns", name])?;
        ip(&["addr", "add", &format!("{SERVER}/24"), "dev", "bench0"])?;
        ip(&["link", "set", "bench0", "up"])?;
        ip(&["link", "set", "lo", "up"])?;
        for address in made.addresses() {
            ip(&["-n", name, "addr", "add", &format!("{address}/24"), "dev", "bench1"])?;
        }
        ip(&["-n", name, "link", "set", "bench1", "up"])?;
        ip(&["-n", name, "link", "set", "lo", "up"])?;
        Ok(made)
    }

    /// Its addresses.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        let first = FIRST_CLIENT.to_bits();
        (0..u32::from(CLIENTS)).map(move |number| Ipv4Addr::from_bits(first + number))
    }

    /// Runs `work` on a thread in there.
    ///
    /// # Errors
    /// Its own, and when it cannot be entered.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let path = format!("/run/netns/{}", self.name);
        thread::scope(|scope| {
            let entered = scope.spawn(move || {
                let file = std::fs::File::open(&path).with_context(|| path.clone())?;
                rustix::thread::move_into_link_name_space(
                    std::os::fd::AsFd::as_fd(&file),
                    Some(LinkNameSpaceType::Network),
                )
                .context("the other network cannot be entered")?;
                work()
            });
            match entered.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = ip(&["link", "del", "bench0"]);
        let _ = ip(&["netns", "del", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("ip: not started")?;
    ensure!(
        output.status.success(),
        "ip {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
