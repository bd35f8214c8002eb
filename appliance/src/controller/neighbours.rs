//! Speaks ARP on the cable: asks whether another machine has an address, and hears who says so.
//!
//! Not here: when to ask, and what follows ([`appliance_core::network::Leases`]).
//! Invariant: reading is bounded, however much is said on the cable.

use super::links::Link;
use appliance_core::mac::Mac;
use appliance_core::network::arp;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{MsgFlags, bind, recv, send};
use rustix::net::{AddressFamily, SocketFlags, SocketType, eth, socket_with};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::{io, iter};
use tracing::warn;

/// Frames that are looked at in one turn; what comes above it waits in the kernel, or is dropped there.
const MOST_FRAMES: usize = 256;

/// The neighbours on one interface.
pub(super) struct Neighbours {
    index: u32,
    ours: Mac,
    /// `None` where nobody can be asked.
    socket: Option<OwnedFd>,
}

impl Neighbours {
    /// Listens on this interface; `None` when it is not one of Ethernet.
    pub(super) fn of(link: &Link) -> Option<Self> {
        let socket = listen(&link.name);
        if let Err(error) = &socket {
            warn!(%error, "nobody can be asked whether the address of this box is another machine's, too");
        }
        Some(Self { index: link.index, ours: link.hardware?, socket: socket.ok() })
    }

    /// Whether this is where these neighbours are.
    pub(super) fn are_on(&self, link: &Link) -> bool {
        self.index == link.index && link.hardware == Some(self.ours)
    }

    /// Asks who has this address. A question that does not get out is one that is lost: there are more.
    pub(super) fn ask(&self, address: Ipv4Addr) {
        let Some(socket) = &self.socket else { return };
        let _ = send(socket.as_raw_fd(), &arp::probe(self.ours, address), MsgFlags::empty());
    }

    /// The addresses that others have said are theirs since the last turn.
    pub(super) fn claimed(&self) -> impl Iterator<Item = Ipv4Addr> {
        let mut frame = [0; arp::FRAME];
        let next = move |socket: &OwnedFd| {
            let len = recv(socket.as_raw_fd(), &mut frame, MsgFlags::empty()).ok()?;
            Some(frame.get(..len).and_then(|frame| arp::claimed(frame, self.ours)))
        };
        let frames = self.socket.iter().flat_map(|socket| iter::repeat_n(socket, MOST_FRAMES));
        frames.map_while(next).flatten()
    }
}

fn listen(interface: &str) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, Some(eth::ARP))?;
    // The list of interfaces has addresses of the kind that binds such a socket.
    let address = getifaddrs()?
        .filter(|found| found.interface_name == interface)
        .find_map(|found| found.address?.as_link_addr().copied())
        .ok_or(io::ErrorKind::NotFound)?;
    bind(socket.as_raw_fd(), &address)?;
    Ok(socket)
}
