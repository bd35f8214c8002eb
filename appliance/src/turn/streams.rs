//! Clients that come by a stream: TCP, or TLS that another part of the daemon has taken off.
//!
//! A stream is cut into messages here and is a client like any other behind that. Invariants: what waits to be read
//! or written has a limit for each stream; data that does not fit is lost, as a datagram would be, and an answer that
//! does not fit ends the stream.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::time::Duration;

use base::Instant;
use mio::event::Source as _;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use relay_core::turn::{FiveTuple, MAX_DATAGRAM};

/// Streams at once.
pub(super) const MAX_STREAMS: usize = 1024;
/// Of those, from one IPv4 address or IPv6 /64 network.
pub(super) const MAX_STREAMS_PER_SOURCE: usize = 128;
/// What may wait to be written on one stream: some twenty packets.
const MOST_WAITING: usize = 32 * 1024;
/// A stream without an allocation may last so long.
pub(super) const UNUSED: Duration = Duration::from_secs(30);

enum Carrier {
    Tcp(TcpStream),
    Handed(UnixStream),
}

impl Read for Carrier {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Handed(stream) => stream.read(buffer),
        }
    }
}

impl Write for Carrier {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Handed(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What became of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes on.
    Open,
    /// It has ended, or cannot go on.
    Over,
}

/// One stream.
pub(super) struct Stream {
    carrier: Carrier,
    pub(super) five_tuple: FiveTuple,
    /// The beginning of a message whose rest is on its way. Empty most of the time, and then without memory.
    begun: Vec<u8>,
    /// What the other side has not taken yet. At most [`MOST_WAITING`].
    waiting: Vec<u8>,
    /// Since when it has had no allocation.
    pub(super) unused_since: Instant,
}

impl Stream {
    pub(super) fn tcp(stream: TcpStream, five_tuple: FiveTuple, now: Instant) -> Self {
        let _ = stream.set_nodelay(true);
        Self::new(Carrier::Tcp(stream), five_tuple, now)
    }

    pub(super) fn handed(stream: StdUnixStream, five_tuple: FiveTuple, now: Instant) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self::new(Carrier::Handed(UnixStream::from_std(stream)), five_tuple, now))
    }

    const fn new(carrier: Carrier, five_tuple: FiveTuple, now: Instant) -> Self {
        Self { carrier, five_tuple, begun: Vec::new(), waiting: Vec::new(), unused_since: now }
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match &mut self.carrier {
            Carrier::Tcp(stream) => stream.register(registry, token, interest),
            Carrier::Handed(stream) => stream.register(registry, token, interest),
        }
    }

    /// Reads once, after what is left of an earlier read; gives the bytes, of which whole messages are to be cut
    /// ([`message_len`](relay_core::turn::message_len)), and what is left [kept](Self::keep).
    ///
    /// # Errors
    /// `WouldBlock` when nothing waits; any other, and the end, mean that the stream is over.
    pub(super) fn read<'b>(&mut self, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
        let begun = self.begun.len();
        if let Some(start) = buffer.get_mut(..begun) {
            start.copy_from_slice(&self.begun);
        }
        let read = self.carrier.read(buffer.get_mut(begun..).unwrap_or_default())?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(buffer.get(..begun + read).unwrap_or_default())
    }

    /// Keeps the beginning of a message until its rest has come.
    pub(super) fn keep(&mut self, rest: &[u8]) {
        self.begun = rest.to_vec();
    }

    /// Sends one message; `is_data` when it may be lost.
    pub(super) fn send(&mut self, message: &[u8], is_data: bool) -> Fate {
        if self.waiting.is_empty() {
            match self.carrier.write(message) {
                Ok(written) => self.waiting.extend_from_slice(message.get(written..).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.waiting.extend_from_slice(message);
                }
                Err(_) => return Fate::Over,
            }
        } else if self.waiting.len() + message.len() <= MOST_WAITING {
            self.waiting.extend_from_slice(message);
        } else if !is_data {
            return Fate::Over;
        }
        Fate::Open
    }

    /// The other side has room again.
    pub(super) fn write(&mut self) -> Fate {
        while !self.waiting.is_empty() {
            match self.carrier.write(&self.waiting) {
                Ok(0) => return Fate::Over,
                Ok(written) => drop(self.waiting.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Fate::Open,
                Err(_) => return Fate::Over,
            }
        }
        self.waiting = Vec::new();
        Fate::Open
    }
}

/// Room for the longest message that has begun, and much behind it.
pub(super) const READ_BUFFER: usize = MAX_DATAGRAM + 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Stream, StdUnixStream) {
        let (ours, theirs) = StdUnixStream::pair().expect("a pair");
        let address = std::net::SocketAddr::from(([192, 0, 2, 1], 9));
        let five_tuple = FiveTuple::new(address, address, relay_core::turn::Transport::Tls);
        (Stream::handed(ours, five_tuple, Instant::ZERO).expect("a stream"), theirs)
    }

    #[test]
    fn messages_are_whole_however_they_come() {
        let (mut stream, mut client) = pair();
        let message = [0x40, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0];
        let mut buffer = vec![0; READ_BUFFER];
        let mut seen = 0;
        for byte in message.repeat(3) {
            client.write_all(&[byte]).expect("written");
            let mut bytes = stream.read(&mut buffer).expect("one byte");
            while let Some(length) = relay_core::turn::message_len(bytes).expect("ChannelData") {
                let Some((whole, rest)) = bytes.split_at_checked(length) else { break };
                assert_eq!(whole, message);
                seen += 1;
                bytes = rest;
            }
            let rest = bytes.to_vec();
            stream.keep(&rest);
        }
        assert_eq!(seen, 3);
        assert!(stream.begun.is_empty());
        assert_eq!(stream.read(&mut buffer).expect_err("nothing waits").kind(), io::ErrorKind::WouldBlock);
        drop(client);
        assert_eq!(stream.read(&mut buffer).expect_err("the end").kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_slow_reader_loses_data_and_never_half_a_message() {
        let (mut stream, mut client) = pair();
        let data = [7; 1004];
        while stream.waiting.len() + data.len() <= MOST_WAITING {
            assert_eq!(stream.send(&data, true), Fate::Open);
        }
        let waiting = stream.waiting.len();
        assert_eq!(stream.send(&data, true), Fate::Open);
        assert_eq!(stream.waiting.len(), waiting, "it is lost");
        assert_eq!(stream.send(&data, false), Fate::Over, "an answer must not be");

        let mut all = Vec::new();
        let mut buffer = [0; 65_536];
        client.set_nonblocking(true).expect("set");
        while let Ok(read) = client.read(&mut buffer) {
            all.extend_from_slice(buffer.get(..read).unwrap_or_default());
            assert_eq!(stream.write(), Fate::Open);
        }
        assert!(stream.waiting.is_empty() && all.len().is_multiple_of(data.len()), "{}", all.len());
    }
}
