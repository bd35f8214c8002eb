//! When an address of this machine comes or goes: a phone reads a new one off the screen and is there at once.

use nix::sys::socket::{AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, socket};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::time::Duration;
use tokio::net::UnixDatagram;
use tokio::time::Instant;

/// News of IPv4 and of IPv6 addresses (`RTMGRP_IPV4_IFADDR`, `RTMGRP_IPV6_IFADDR`; rtnetlink(7)).
const GROUPS: u32 = 0x10 | 0x100;
/// News that follow one another faster are one: a router that renews lifetimes all the time must not keep us busy.
const PAUSE: Duration = Duration::from_millis(200);
/// So many datagrams are taken in one go.
const MOST: usize = 256;

/// Tells of changes from the moment it was made.
#[derive(Debug)]
pub struct AddressChanges {
    /// Of netlink. To receive from it, it is a socket for datagrams like any other.
    socket: Option<UnixDatagram>,
    quiet_until: Instant,
}

impl AddressChanges {
    /// Where the kernel tells nothing, nothing is told: whoever asks looks from time to time as well.
    #[must_use]
    pub fn listen() -> Self {
        Self { socket: open().ok(), quiet_until: Instant::now() }
    }

    /// Waits for the next change. Nothing is lost when the wait is given up.
    pub async fn next(&mut self) {
        let Some(socket) = &self.socket else { return std::future::pending().await };
        tokio::time::sleep_until(self.quiet_until).await;
        while socket.readable().await.is_ok() {
            if drain(socket) {
                self.quiet_until = Instant::now() + PAUSE;
                return;
            }
        }
        std::future::pending::<()>().await;
    }
}

fn open() -> std::io::Result<UnixDatagram> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
    UnixDatagram::from_std(socket.into())
}

/// Takes what has come; whether there was anything. What is in it is of no interest, so it may be cut. More than could
/// be held (`ENOBUFS`) is news, too.
fn drain(socket: &UnixDatagram) -> bool {
    let mut start = [0; 16];
    let mut heard = false;
    for _ in 0..MOST {
        match socket.try_recv(&mut start) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Ok(_) | Err(_) => heard = true,
        }
    }
    heard
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_is_no_news() {
        let mut changes = AddressChanges::listen();
        assert!(changes.socket.is_some());
        assert!(tokio::time::timeout(Duration::from_secs(60), changes.next()).await.is_err());
    }
}
