//! The machine itself.

use base::Instant;

use crate::{
    ChannelEvent, Command, CommandError, Event, LinkEvent, NewError, PeerId, Text, Transmit, UnixMillis,
};

/// What a client is made from.
#[derive(Clone, Debug)]
pub struct Config {
    /// How others see us; trimmed and checked by [`Client::new`].
    pub pseudonym: Text,
    /// From the invitation.
    pub secret: wire::BubbleSecret,
    /// Whether the driver can make WebRTC connections.
    pub rtc: bool,
}

/// One device in one bubble, everything in memory.
///
/// Give it one input, then drain [`poll_transmit`](Self::poll_transmit) and [`poll_event`](Self::poll_event),
/// then wait, at most until [`poll_timeout`](Self::poll_timeout). It is dropped by dropping it.
#[derive(Debug)]
pub struct Client {
    rtc: bool,
}

impl Client {
    /// A client with new keys. `seed` is 32 bytes of a cryptographic random source, used for nothing else.
    ///
    /// # Errors
    /// When the pseudonym cannot be shown, or the keys cannot be made.
    pub fn new(config: &Config, seed: [u8; 32], now: Instant, wall: UnixMillis) -> Result<Self, NewError> {
        let _ = (seed, now, wall);
        Ok(Self { rtc: config.rtc })
    }

    /// Carries out a wish.
    ///
    /// # Errors
    /// When it is not carried out, and then nothing was changed.
    pub fn handle_command(&mut self, command: Command, now: Instant, wall: UnixMillis) -> Result<(), CommandError> {
        let _ = (command, now, wall);
        Ok(())
    }

    /// The session's carrier opened or closed.
    pub fn handle_link(&mut self, event: LinkEvent, now: Instant, wall: UnixMillis) {
        let _ = (event, now, wall);
    }

    /// One frame from the node.
    pub fn handle_frame(&mut self, frame: &[u8], now: Instant, wall: UnixMillis) {
        let _ = (frame, now, wall);
    }

    /// The local end of a peer's WebRTC connection did something.
    pub fn handle_channel(&mut self, peer: PeerId, event: ChannelEvent, now: Instant, wall: UnixMillis) {
        let _ = (peer, event, now, wall);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant, wall: UnixMillis) {
        let _ = (now, wall);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// The next bytes to put on their way.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        None
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// How many of our messages have no receipt yet: what would be lost if the page were closed now.
    pub fn unsent(&self) -> usize {
        0
    }
}
