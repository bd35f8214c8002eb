//! All sockets of the TURN thread by their tokens: where packets come in, and how they leave.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use base::Instant;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use relay_core::turn::{Family, FiveTuple, Forward, Out, RelayId, Transport};

use super::sockets::{self, Port};
use super::streams::{Fate, MAX_STREAMS, MAX_STREAMS_PER_SOURCE, Stream};
use super::train::Train;
use crate::accept::source;

/// Events taken from the system at once.
const EVENTS: usize = 1024;
/// Listening sockets: one per address of the machine.
const MAX_LISTENING: usize = 128;
/// What wakes the thread for a command.
pub(super) const WAKER: Token = Token(0);
const FIRST_LISTENING: usize = 1;
const FIRST_LISTENER: usize = FIRST_LISTENING + MAX_LISTENING;
const FIRST_STREAM: usize = FIRST_LISTENER + MAX_LISTENING;
const FIRST_RELAY: usize = FIRST_STREAM + MAX_STREAMS;
/// How often a free port is looked for that both UDP and TCP have.
const PORT_TRIES: usize = 16;

/// What a token stands for.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// A socket for datagrams.
    Datagrams,
    /// A socket that gives streams.
    Listener,
    /// A stream.
    Stream,
}

/// Where a datagram came in.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// From a client, at this address of the box.
    Client(SocketAddr),
    /// From a peer, at this relayed transport address.
    Peer(RelayId),
}

struct Listening {
    /// As it was asked for: with port 0 where any will do.
    wanted: SocketAddr,
    /// As it is.
    address: SocketAddr,
    port: Port,
    /// At the same address, for streams.
    listener: TcpListener,
}

struct RelayPort {
    relay: RelayId,
    port: Port,
}

/// The sockets, and the train that leaves next.
pub(super) struct Wires {
    poll: Poll,
    /// By token. At most [`MAX_LISTENING`].
    listening: Vec<Option<Listening>>,
    /// By token: two per slot of the machine, so no more than its limit of allocations.
    relays: Vec<Option<RelayPort>>,
    train: Train,
    /// Whether something for a client did not fit into its socket.
    blocked: bool,
    /// By token. At most [`MAX_STREAMS`].
    streams: Vec<Option<Stream>>,
    /// One for each stream.
    by_client: HashMap<FiveTuple, Token>,
    /// Streams that ended while something was sent on them.
    broken: Vec<FiveTuple>,
    /// Messages on their way into a stream.
    message: Vec<u8>,
}

impl Wires {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            listening: Vec::new(),
            relays: Vec::new(),
            train: Train::new(),
            blocked: false,
            streams: Vec::new(),
            by_client: HashMap::new(),
            broken: Vec::new(),
            message: Vec::new(),
        })
    }

    pub(super) fn waker(&self) -> io::Result<Waker> {
        Waker::new(self.poll.registry(), WAKER)
    }

    pub(super) fn events() -> Events {
        Events::with_capacity(EVENTS)
    }

    /// Waits until a socket has something, a command has come, or the time is over.
    pub(super) fn wait(&mut self, events: &mut Events, time: Option<Duration>) -> io::Result<()> {
        self.poll.poll(events, time)
    }

    /// What to do about a token.
    pub(super) const fn place(token: Token) -> Place {
        match token.0 {
            FIRST_LISTENER..FIRST_STREAM => Place::Listener,
            FIRST_STREAM..FIRST_RELAY => Place::Stream,
            _ => Place::Datagrams,
        }
    }

    /// The socket of a token; none when it was closed meanwhile.
    pub(super) fn port(&mut self, token: Token) -> Option<(Source, &mut Port)> {
        if let Some(index) = token.0.checked_sub(FIRST_RELAY) {
            let relay = self.relays.get_mut(index)?.as_mut()?;
            return Some((Source::Peer(relay.relay), &mut relay.port));
        }
        let listening = self.listening.get_mut(token.0.checked_sub(FIRST_LISTENING)?)?.as_mut()?;
        Some((Source::Client(listening.address), &mut listening.port))
    }

    /// Sends what a packet becomes; `received` is what came in.
    pub(super) fn forward(&mut self, forward: &Forward, received: &[u8]) {
        let token = match &forward.out {
            Out::Relay(relay) => Some(relay_token(*relay)),
            Out::Server(five_tuple) if five_tuple.transport.is_stream() => {
                let mut message = std::mem::take(&mut self.message);
                message.clear();
                forward.append_to(received, &mut message);
                self.send_on_stream(*five_tuple, &message, true);
                self.message = message;
                return;
            }
            Out::Server(five_tuple) => self.listening_token(five_tuple.server),
        };
        let Some(token) = token else { return };
        let way = (token, *forward.to.expose());
        self.couple(way, forward.len());
        self.train.add(way, forward, received);
    }

    /// Sends an answer from the address that was asked.
    pub(super) fn answer(&mut self, five_tuple: FiveTuple, bytes: &[u8]) {
        if five_tuple.transport.is_stream() {
            return self.send_on_stream(five_tuple, bytes, false);
        }
        let Some(token) = self.listening_token(five_tuple.server) else { return };
        let way = (token, five_tuple.client);
        self.couple(way, bytes.len());
        self.train.add_bytes(way, bytes);
    }

    /// Sends what is left.
    pub(super) fn flush(&mut self) {
        let Self { listening, relays, train, blocked, .. } = self;
        train.depart(|(token, to), bytes, segment| {
            if let Some(port) = port_of(listening, relays, token) {
                // The sockets of relayed addresses are each for one client, and hold up nobody else.
                *blocked |= !port.send(bytes, segment, to) && token.0 < FIRST_RELAY;
            }
        });
    }

    /// Whether something for a client did not fit into its socket since this was asked last.
    pub(super) fn take_blocked(&mut self) -> bool {
        std::mem::take(&mut self.blocked)
    }

    fn send_on_stream(&mut self, five_tuple: FiveTuple, message: &[u8], is_data: bool) {
        let Some(token) = self.by_client.get(&five_tuple).copied() else { return };
        if self.stream(token).is_some_and(|stream| stream.send(message, is_data) == Fate::Over) {
            self.close(token);
            self.broken.push(five_tuple);
        }
    }

    /// The stream of a token; none when it was closed meanwhile.
    pub(super) fn stream(&mut self, token: Token) -> Option<&mut Stream> {
        self.streams.get_mut(token.0.checked_sub(FIRST_STREAM)?)?.as_mut()
    }

    /// All streams, by their tokens.
    pub(super) fn streams(&mut self) -> impl Iterator<Item = (Token, &mut Stream)> {
        let all = self.streams.iter_mut().enumerate();
        all.filter_map(|(index, stream)| Some((Token(FIRST_STREAM + index), stream.as_mut()?)))
    }

    /// Takes a stream in; none when there are as many as there may be.
    pub(super) fn open(&mut self, mut stream: Stream) -> io::Result<()> {
        let free = self.streams.iter().position(Option::is_none);
        let index = free.unwrap_or(self.streams.len());
        let from = source(stream.five_tuple.client.ip());
        let of_source =
            self.streams.iter().flatten().filter(|other| source(other.five_tuple.client.ip()) == from);
        if index >= MAX_STREAMS
            || of_source.count() >= MAX_STREAMS_PER_SOURCE
            || self.by_client.contains_key(&stream.five_tuple)
        {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let token = Token(FIRST_STREAM + index);
        stream.register(self.poll.registry(), token)?;
        if index == self.streams.len() {
            self.streams.push(None);
        }
        self.by_client.insert(stream.five_tuple, token);
        if let Some(place) = self.streams.get_mut(index) {
            *place = Some(stream);
        }
        Ok(())
    }

    /// Closes a stream; whose it was.
    pub(super) fn close(&mut self, token: Token) -> Option<FiveTuple> {
        let stream = self.streams.get_mut(token.0.checked_sub(FIRST_STREAM)?)?.take()?;
        self.by_client.remove(&stream.five_tuple);
        Some(stream.five_tuple)
    }

    /// A stream that ended while something was sent on it.
    pub(super) fn poll_broken(&mut self) -> Option<FiveTuple> {
        self.broken.pop()
    }

    /// The sockets that give streams.
    pub(super) fn listeners(&self) -> impl Iterator<Item = Token> {
        let all = self.listening.iter().enumerate();
        all.filter_map(|(index, one)| one.as_ref().map(|_| Token(FIRST_LISTENER + index)))
    }

    /// The next stream that waits at a listening socket.
    pub(super) fn accept(&mut self, token: Token, now: Instant) -> io::Result<Stream> {
        let index = token.0.checked_sub(FIRST_LISTENER);
        let listening = index.and_then(|index| self.listening.get(index)?.as_ref());
        let listening = listening.ok_or(io::ErrorKind::WouldBlock)?;
        let (stream, client): (TcpStream, SocketAddr) = listening.listener.accept()?;
        Ok(Stream::tcp(stream, FiveTuple::new(client, listening.address, Transport::Tcp), now))
    }

    /// Makes room for a datagram of this length.
    fn couple(&mut self, way: (Token, SocketAddr), length: usize) {
        let most = port_of(&self.listening, &self.relays, way.0).map_or(1, Port::longest_train);
        if !self.train.takes(way, length, most) {
            self.flush();
        }
    }

    fn listening_token(&self, address: SocketAddr) -> Option<Token> {
        let mut all = self.listening.iter();
        let index = all.position(|place| place.as_ref().is_some_and(|one| one.address == address))?;
        Some(Token(FIRST_LISTENING + index))
    }

    pub(super) fn bind_relay(&mut self, relay: RelayId, address: SocketAddr) -> io::Result<()> {
        let mut neighbours = self.listening.iter().flatten();
        let trains = match neighbours.find(|listening| listening.address.ip() == address.ip()) {
            Some(listening) => listening.port.trains(),
            None => sockets::trains(address.ip())?,
        };
        let mut port = Port::bind(address, trains)?;
        let token = relay_token(relay);
        port.register(self.poll.registry(), token)?;
        let index = token.0 - FIRST_RELAY;
        if index >= self.relays.len() {
            self.relays.resize_with(index + 1, || None);
        }
        if let Some(place) = self.relays.get_mut(index) {
            *place = Some(RelayPort { relay, port });
        }
        Ok(())
    }

    pub(super) fn free_relay(&mut self, relay: RelayId) {
        // What it has still to send goes first.
        self.flush();
        if let Some(place) = self.relays.get_mut(relay_token(relay).0 - FIRST_RELAY)
            && place.as_ref().is_some_and(|port| port.relay == relay)
        {
            // Closing a socket takes it out of the poll as well.
            *place = None;
        }
    }

    /// Where it listens, as it is.
    pub(super) fn listening(&self) -> Vec<SocketAddr> {
        self.listening.iter().flatten().map(|listening| listening.address).collect()
    }

    /// Whether a socket was asked for at this address, and is there.
    pub(super) fn listens_at(&self, wanted: SocketAddr) -> bool {
        self.listening.iter().flatten().any(|listening| listening.wanted == wanted)
    }

    /// Closes the listening sockets that nobody wants any more.
    pub(super) fn keep_listening(&mut self, keep: impl Fn(SocketAddr) -> bool) {
        self.flush();
        for place in &mut self.listening {
            if place.as_ref().is_some_and(|listening| !keep(listening.wanted)) {
                *place = None;
            }
        }
    }

    /// Listens at one more address, as far as there is room.
    pub(super) fn listen(&mut self, wanted: SocketAddr) -> io::Result<()> {
        let free = self.listening.iter().position(Option::is_none);
        let index = free.unwrap_or(self.listening.len());
        if index >= MAX_LISTENING {
            return Ok(());
        }
        let (mut port, mut listener) = bind_both(wanted)?;
        let address = port.local_addr()?;
        port.register(self.poll.registry(), Token(FIRST_LISTENING + index))?;
        self.poll.registry().register(&mut listener, Token(FIRST_LISTENER + index), Interest::READABLE)?;
        if index == self.listening.len() {
            self.listening.push(None);
        }
        if let Some(place) = self.listening.get_mut(index) {
            *place = Some(Listening { wanted, address, port, listener });
        }
        Ok(())
    }
}

/// Sockets for datagrams and for streams at one address.
fn bind_both(wanted: SocketAddr) -> io::Result<(Port, TcpListener)> {
    let mut tries = 0;
    loop {
        let port = Port::bind_server(wanted)?;
        match sockets::listen(port.local_addr()?) {
            Ok(listener) => return Ok((port, listener)),
            // Any port will do, as long as both have it.
            Err(error)
                if wanted.port() == 0 && error.kind() == io::ErrorKind::AddrInUse && tries < PORT_TRIES =>
            {
                tries += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

fn port_of<'a>(
    listening: &'a [Option<Listening>],
    relays: &'a [Option<RelayPort>],
    token: Token,
) -> Option<&'a Port> {
    if let Some(index) = token.0.checked_sub(FIRST_RELAY) {
        return relays.get(index)?.as_ref().map(|relay| &relay.port);
    }
    listening.get(token.0.checked_sub(FIRST_LISTENING)?)?.as_ref().map(|listening| &listening.port)
}

fn relay_token(relay: RelayId) -> Token {
    let family = match relay.family {
        Family::V4 => 0,
        Family::V6 => 1,
    };
    Token(FIRST_RELAY + relay.allocation.slot() as usize * 2 + family)
}
