//! When an address of this machine comes or goes: a phone reads a new one off the screen and is there at once.

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
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
    socket: Option<AsyncFd<OwnedFd>>,
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
        loop {
            let Ok(mut ready) = socket.readable().await else { return std::future::pending().await };
            let heard = drain(socket.get_ref());
            if heard < MOST {
                ready.clear_ready();
            }
            if heard > 0 {
                self.quiet_until = Instant::now() + PAUSE;
                return;
            }
        }
    }
}

fn open() -> std::io::Result<AsyncFd<OwnedFd>> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
    AsyncFd::new(socket)
}

/// Takes what has come, and counts it: what is in it is of no interest, so it may be cut. Too much to be held
/// (`ENOBUFS`) is news, too.
fn drain(socket: &OwnedFd) -> usize {
    let mut start = [0; 16];
    let mut heard = 0;
    while heard < MOST {
        match recv(socket.as_raw_fd(), &mut start, MsgFlags::empty()) {
            Ok(_) | Err(Errno::ENOBUFS) => heard += 1,
            Err(Errno::EINTR) => {}
            Err(_) => break,
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
