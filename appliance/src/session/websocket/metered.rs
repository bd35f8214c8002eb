//! Bytes that make no message: a client may cut a message into pieces, and may not send pieces for ever.
//!
//! The library bounds the size of a message and not what surrounds it: fragments without content cost time and
//! never end in a frame that could be counted.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that may come between two whole messages: the largest one, in pieces of at least 8 bytes of content.
pub(super) const MOST_BETWEEN_MESSAGES: usize = 2 * wire::MAX_FRAME;

/// A stream that fails when too much was read since [`Metered::message`].
#[derive(Debug)]
pub(super) struct Metered<S> {
    stream: S,
    unaccounted: usize,
}

impl<S> Metered<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self { stream, unaccounted: 0 }
    }

    /// A whole message has come out of the bytes read so far.
    pub(super) const fn message(&mut self) {
        self.unaccounted = 0;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unaccounted > MOST_BETWEEN_MESSAGES {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.unaccounted += buf.filled().len() - before;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
