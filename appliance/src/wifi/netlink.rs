//! Questions to the kernel, one after the other, on a blocking socket with a limit in time.

use appliance_core::wifi::nl80211::{self, DONE, ERROR, Family, Frame, Frames, LinkChange, Request};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, sendto,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

/// The kernel's messages are smaller; it cuts what does not fit.
const BUFFER: usize = 64 * 1024;
/// For so long an answer is waited for.
const PATIENCE: i64 = 2;
/// A dump has no more datagrams than this.
const MOST_DATAGRAMS: usize = 4096;

/// A generic netlink socket.
pub(super) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
    family: Family,
}

impl Netlink {
    /// Opens one. `None` when this kernel knows nothing about Wi-Fi.
    pub(super) fn open() -> io::Result<Option<Self>> {
        let socket = open(SockProtocol::NetlinkGeneric, 0)?;
        let mut netlink = Self { socket, sequence: 0, family: Family { id: 0, scan_group: None } };
        let mut family = None;
        match netlink.ask(Request::Family, |frame| family = family.or(nl80211::family(frame))) {
            Err(error) if error.raw_os_error() == Some(nix::libc::ENOENT) => return Ok(None),
            other => other?,
        }
        let Some(family) = family else { return Err(broken()) };
        netlink.family = family;
        Ok(Some(netlink))
    }

    /// Asks, and hands every message of the answer to `each`.
    pub(super) fn ask(&mut self, request: Request<'_>, mut each: impl FnMut(&Frame<'_>)) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = request.encode(self.family.id, self.sequence);
        converse(&self.socket, &bytes, self.sequence, &mut each)
    }

    /// Waits until a scan is over, at most for `limit`; says whether it is. Only what comes after
    /// [`Scans::listen`] is heard.
    pub(super) fn scans(&self) -> io::Result<Scans> {
        Scans::listen(self.family)
    }
}

/// Ears for finished scans.
pub(super) struct Scans {
    socket: Option<OwnedFd>,
}

impl Scans {
    fn listen(family: Family) -> io::Result<Self> {
        // A bind names the first 32 groups; nl80211's are among them unless very many families were loaded
        // before it, and then a pause has to do.
        let group = family.scan_group.filter(|group| (1..=32).contains(group));
        let socket = group.map(|group| open(SockProtocol::NetlinkGeneric, 1 << (group - 1))).transpose()?;
        Ok(Self { socket })
    }

    pub(super) fn wait(&self, limit: Duration) {
        let Some(socket) = &self.socket else {
            std::thread::sleep(limit);
            return;
        };
        let limit = TimeVal::milliseconds(i64::try_from(limit.as_millis()).unwrap_or(i64::MAX));
        if setsockopt(socket, sockopt::ReceiveTimeout, &limit).is_err() {
            return;
        }
        let mut buffer = vec![0; BUFFER];
        // The start of the scan is told first, then its end or its failure.
        for _ in 0..8 {
            let Ok(datagram) = receive(socket, &mut buffer) else { return };
            let over = |frame: Frame<'_>| matches!(frame.command, 34 | 35);
            if Frames::new(datagram).any(|frame| frame.is_ok_and(over)) {
                return;
            }
        }
    }
}

/// Changes something about an interface that is not about Wi-Fi.
pub(super) fn change_link(index: u32, change: LinkChange<'_>) -> io::Result<()> {
    let socket = open(SockProtocol::NetlinkRoute, 0)?;
    converse(&socket, &change.encode(index, 1), 1, &mut |_| ())
}

fn open(protocol: SockProtocol, groups: u32) -> io::Result<OwnedFd> {
    let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(PATIENCE))?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
    Ok(socket)
}

fn converse(
    socket: &OwnedFd,
    request: &[u8],
    sequence: u32,
    each: &mut dyn FnMut(&Frame<'_>),
) -> io::Result<()> {
    let sent = sendto(socket.as_raw_fd(), request, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    if sent != request.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    let mut buffer = vec![0; BUFFER];
    for _ in 0..MOST_DATAGRAMS {
        let datagram = receive(socket, &mut buffer)?;
        for frame in Frames::new(datagram) {
            let frame = frame.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            if frame.sequence != sequence {
                continue;
            }
            match frame.kind {
                DONE | ERROR => {
                    let code = frame.error();
                    return if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) };
                }
                _ => each(&frame),
            }
        }
    }
    Err(broken())
}

/// One datagram of the kernel; what others send is left aside.
fn receive<'a>(socket: &OwnedFd, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
    loop {
        let (length, from) = match recvfrom::<NetlinkAddr>(socket.as_raw_fd(), buffer) {
            Err(nix::errno::Errno::EAGAIN) => return Err(io::ErrorKind::TimedOut.into()),
            Err(nix::errno::Errno::EINTR) => continue,
            other => other?,
        };
        if from.is_some_and(|from| from.pid() == 0) {
            return Ok(buffer.get(..length).unwrap_or_default());
        }
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer about Wi-Fi is not understood")
}
