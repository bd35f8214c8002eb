//! One WebRTC connection to one peer as a machine: ICE, DTLS and SCTP by `str0m`, TURN by [`Relay`], one socket.
//!
//! It does what the browser's connection does for the page: makes the offer or waits for it, trickles candidates
//! (RFC 8838), opens the one data channel (negotiated out of band, id 0, ordered, reliable) and says whether the
//! selected pair is direct or relayed. It does not decide when to connect or to give up: the client does.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use base::Instant;
use client_core::{Path, Signal, Text};
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, CandidateKind, IceConnectionState, Input, Output, Rtc, RtcConfig};
use stun_proto::types::attribute::XorMappedAddress;
use stun_proto::types::message::{BINDING, Message};

use crate::clock::Clock;
use crate::relay::{Received, Relay};

/// Which candidates a connection may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Its socket's own address, and what the node's STUN says of it.
    Direct,
    /// Only the address that the node's TURN relays; like a browser's `iceTransportPolicy: "relay"`.
    Relay,
}

/// What a connection is made from.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where its socket is bound; no wildcard.
    pub local: SocketAddr,
    /// The node's STUN and TURN.
    pub server: Option<SocketAddr>,
    /// Username and password for TURN.
    pub credentials: Option<(Text, Text)>,
    /// Which candidates it may use.
    pub policy: Policy,
    /// Whether it waits for the peer's offer.
    pub polite: bool,
}

/// What a connection has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerEvent {
    /// For the peer, over the mailbox.
    Signal(Signal),
    /// The data channel is open, this way.
    Open(Path),
    /// The data channel goes another way now.
    Path(Path),
    /// One message from the peer.
    Data(Vec<u8>),
    /// It is over.
    Closed,
}

/// Messages that wait for room in the data channel; more are refused.
const MAX_WAITING: usize = 256;

/// Candidates of the peer that are looked at; more are ignored.
const MAX_REMOTE_CANDIDATES: usize = 32;

/// STUN requests until the server is taken for silent, half a second apart.
const STUN_TRIES: u8 = 5;

/// Between two STUN requests (RFC 8489, section 6.2.1: at least 500 ms).
const STUN_RETRY: Duration = Duration::from_millis(500);

/// A connection, from its making to its end.
pub struct Peer {
    clock: Clock,
    setup: Setup,
    rtc: Rtc,
    channel: Option<ChannelId>,
    pending: Option<SdpPendingOffer>,
    relay: Option<Relay>,
    relay_added: bool,
    relay_next: Option<Instant>,
    stun: Stun,
    remote_relays: Vec<SocketAddr>,
    early: Vec<Candidate>,
    remote_key: Option<String>,
    described: bool,
    candidates: usize,
    open: bool,
    path: Option<Path>,
    closed: bool,
    rtc_next: Instant,
    waiting: VecDeque<Vec<u8>>,
    transmits: VecDeque<(SocketAddr, Vec<u8>)>,
    events: VecDeque<PeerEvent>,
}

/// The Binding request that tells the socket's address as the node sees it.
struct Stun {
    transaction: [u8; 12],
    tries: u8,
    next: Option<Instant>,
    mapped: Option<SocketAddr>,
}

impl Peer {
    /// Begins to connect. `transaction` is random.
    pub fn new(setup: Setup, transaction: [u8; 12], clock: Clock, now: Instant) -> Self {
        let mut config = RtcConfig::new();
        // A phone that waits for minutes for its peer's answer is of no use: the client starts again by itself.
        config.set_max_stun_rto(Duration::from_millis(1500));
        let mut rtc = config.clear_codecs().build(clock.std(now));
        // The polite side names the same stream as soon as it has the offer.
        let mut channel = None;
        let relay = match (setup.policy, setup.server, &setup.credentials) {
            (Policy::Relay, Some(server), Some((username, password))) => {
                Some(Relay::allocate(setup.local, server, username.expose(), password.expose()))
            }
            _ => None,
        };
        let stun_wanted = setup.policy == Policy::Direct && setup.server.is_some();
        let mut pending = None;
        let mut events = VecDeque::new();
        if !setup.polite {
            let mut sdp = rtc.sdp_api();
            channel = Some(sdp.add_channel_with_config(channel_config()));
            if let Some((offer, later)) = sdp.apply() {
                pending = Some(later);
                events.push_back(PeerEvent::Signal(Signal::Offer { sdp: offer.to_sdp_string().into() }));
            }
        }
        let mut peer = Self {
            clock,
            rtc,
            channel,
            pending,
            relay,
            relay_added: false,
            relay_next: Some(now),
            stun: Stun { transaction, tries: 0, next: stun_wanted.then_some(now), mapped: None },
            remote_relays: Vec::new(),
            early: Vec::new(),
            remote_key: None,
            described: false,
            candidates: 0,
            open: false,
            path: None,
            closed: false,
            rtc_next: now,
            waiting: VecDeque::new(),
            transmits: VecDeque::new(),
            events,
            setup,
        };
        if peer.setup.policy == Policy::Direct {
            if let Ok(candidate) = Candidate::host(peer.setup.local, Protocol::Udp) {
                peer.add_local(candidate);
            }
            if !stun_wanted {
                peer.events.push_back(PeerEvent::Signal(Signal::EndOfCandidates));
            }
        }
        peer.handle_timeout(now);
        peer
    }

    /// The socket's address as the node's STUN said it.
    pub const fn mapped(&self) -> Option<SocketAddr> {
        self.stun.mapped
    }

    /// The peer's half of the negotiation.
    pub fn handle_signal(&mut self, signal: &Signal, now: Instant) {
        match signal {
            Signal::Offer { sdp } => self.accept_offer(sdp.expose(), now),
            Signal::Answer { sdp } => self.accept_answer(sdp.expose(), now),
            Signal::Candidate { candidate, .. } => self.accept_candidate(candidate.expose(), now),
            Signal::EndOfCandidates => {}
        }
        // str0m starts its checks only when time is moved after a negotiation.
        self.handle_timeout(now);
    }

    /// A datagram came to the socket.
    pub fn handle_datagram(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        if self.setup.server == Some(from) {
            if self.is_mapped_answer(bytes) {
                self.handle_timeout(now);
                return;
            }
            if let Some(relay) = &mut self.relay {
                let received = relay.handle_datagram(from, bytes, now);
                if let (Received::Data { peer, data }, Some(relayed)) = (received, relay.relayed()) {
                    self.feed(peer, relayed, &data, now);
                }
                self.handle_timeout(now);
                return;
            }
        }
        self.feed(from, self.setup.local, bytes, now);
        self.handle_timeout(now);
    }

    /// Sends one message on the data channel; says whether it was taken.
    pub fn send(&mut self, bytes: Vec<u8>, now: Instant) -> bool {
        if self.closed || !self.open || self.waiting.len() >= MAX_WAITING {
            return false;
        }
        self.waiting.push_back(bytes);
        self.handle_timeout(now);
        true
    }

    /// Ends it: the TURN allocation is given back, the peer is told. Transmits follow.
    pub fn close(&mut self, now: Instant) {
        let _ = self.rtc.close();
        self.drain(now);
        if let Some(relay) = &mut self.relay {
            relay.release(now);
            relay.handle_timeout(now);
            while let (Some(bytes), Some(server)) = (relay.poll_transmit(now), self.setup.server) {
                self.transmits.push_back((server, bytes));
            }
        }
        self.closed = true;
    }

    /// Time has passed, or something was put in: everything is moved on.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.closed {
            return;
        }
        self.drive_stun(now);
        self.drive_relay(now);
        if self.rtc.handle_input(Input::Timeout(self.clock.std(now))).is_err() {
            self.end();
            return;
        }
        self.drain(now);
        self.write_waiting(now);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.closed {
            return None;
        }
        [Some(self.rtc_next), self.relay_next, self.stun.next].into_iter().flatten().min()
    }

    /// The next datagram, and where it goes.
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.transmits.pop_front()
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<PeerEvent> {
        self.events.pop_front()
    }

    fn accept_offer(&mut self, sdp: &str, now: Instant) {
        let Ok(offer) = SdpOffer::from_sdp_string(sdp) else { return self.end() };
        // A second offer is an ICE restart, unless it comes from a connection that was made anew: its DTLS key
        // differs then, and this connection is of no use to it.
        let key = fingerprint(sdp);
        if self.remote_key.as_ref().is_some_and(|known| known != key) {
            return self.end();
        }
        self.remote_key = Some(key.to_owned());
        let Ok(answer) = self.rtc.sdp_api().accept_offer(offer) else { return self.end() };
        if self.channel.is_none() {
            self.channel = Some(self.rtc.direct_api().create_data_channel(channel_config()));
        }
        self.events.push_back(PeerEvent::Signal(Signal::Answer { sdp: answer.to_sdp_string().into() }));
        self.now_described(now);
    }

    fn accept_answer(&mut self, sdp: &str, now: Instant) {
        let (Some(pending), Ok(answer)) = (self.pending.take(), SdpAnswer::from_sdp_string(sdp)) else {
            return;
        };
        if self.rtc.sdp_api().accept_answer(pending, answer).is_err() {
            return self.end();
        }
        self.now_described(now);
    }

    fn accept_candidate(&mut self, line: &str, now: Instant) {
        // What cannot be read is a `.local` name or TCP: a browser has other candidates too.
        let Ok(candidate) = Candidate::from_sdp_string(line) else { return };
        if candidate.proto() != Protocol::Udp || self.candidates >= MAX_REMOTE_CANDIDATES {
            return;
        }
        self.candidates += 1;
        if self.described {
            self.add_remote(candidate, now);
        } else {
            self.early.push(candidate);
        }
    }

    fn now_described(&mut self, now: Instant) {
        self.described = true;
        for candidate in core::mem::take(&mut self.early) {
            self.add_remote(candidate, now);
        }
    }

    fn add_remote(&mut self, candidate: Candidate, now: Instant) {
        if candidate.kind() == CandidateKind::Relayed {
            self.remote_relays.push(candidate.addr());
        }
        if let Some(relay) = &mut self.relay {
            relay.open_to(candidate.addr(), now);
        }
        self.rtc.add_remote_candidate(candidate);
    }

    fn add_local(&mut self, candidate: Candidate) {
        let Some(candidate) = self.rtc.add_local_candidate(candidate) else { return };
        let candidate = Text::from(candidate.to_sdp_string());
        self.events.push_back(PeerEvent::Signal(Signal::Candidate { candidate, mid: None, index: Some(0) }));
    }

    fn feed(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8], now: Instant) {
        // What is neither STUN nor DTLS is not for us.
        let Ok(receive) = Receive::new(Protocol::Udp, from, to, bytes) else { return };
        if self.rtc.handle_input(Input::Receive(self.clock.std(now), receive)).is_err() {
            self.end();
        }
        self.drain(now);
    }

    fn drive_stun(&mut self, now: Instant) {
        let (Some(due), Some(server)) = (self.stun.next, self.setup.server) else { return };
        if due > now {
            return;
        }
        if self.stun.tries == STUN_TRIES {
            self.stun.next = None;
            self.events.push_back(PeerEvent::Signal(Signal::EndOfCandidates));
            return;
        }
        self.stun.tries += 1;
        self.stun.next = Some(now + STUN_RETRY);
        // RFC 8489, section 5: type, length, magic cookie, transaction.
        let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42];
        request.extend_from_slice(&self.stun.transaction);
        self.transmits.push_back((server, request));
    }

    fn is_mapped_answer(&mut self, bytes: &[u8]) -> bool {
        if bytes.get(8..20) != Some(self.stun.transaction.as_slice()) || self.stun.next.is_none() {
            return false;
        }
        let Ok(message) = Message::from_bytes(bytes) else { return false };
        if message.method() != BINDING {
            return false;
        }
        let Ok(mapped) = message.attribute::<XorMappedAddress>() else { return false };
        let mapped = mapped.addr(message.transaction_id());
        self.stun.next = None;
        self.stun.mapped = Some(mapped);
        if mapped != self.setup.local
            && let Ok(candidate) = Candidate::server_reflexive(mapped, self.setup.local, Protocol::Udp)
        {
            self.add_local(candidate);
        }
        self.events.push_back(PeerEvent::Signal(Signal::EndOfCandidates));
        true
    }

    fn drive_relay(&mut self, now: Instant) {
        let (Some(relay), Some(server)) = (&mut self.relay, self.setup.server) else {
            self.relay_next = None;
            return;
        };
        self.relay_next = relay.handle_timeout(now);
        while let Some(bytes) = relay.poll_transmit(now) {
            self.transmits.push_back((server, bytes));
        }
        if relay.failed() {
            return self.end();
        }
        if let Some(relayed) = relay.relayed()
            && !self.relay_added
        {
            self.relay_added = true;
            if let Ok(candidate) = Candidate::relayed(relayed, self.setup.local, Protocol::Udp) {
                self.add_local(candidate);
            }
            self.events.push_back(PeerEvent::Signal(Signal::EndOfCandidates));
        }
    }

    fn drain(&mut self, now: Instant) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.rtc_next = self.clock.of_std(at);
                    return;
                }
                Ok(Output::Transmit(transmit)) => {
                    self.put(transmit.source, transmit.destination, &transmit.contents, now);
                }
                Ok(Output::Event(event)) => self.learn(event),
                Err(_) => return self.end(),
            }
            if self.closed {
                return;
            }
        }
    }

    fn put(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8], now: Instant) {
        // The first byte of DTLS (RFC 7983): such a packet goes over the selected pair.
        let selected = bytes.first().is_some_and(|first| (20..64).contains(first));
        let relayed = self.relay.as_ref().is_some_and(|relay| relay.relayed() == Some(from));
        if selected {
            let through = relayed || self.remote_relays.contains(&to);
            self.now_path(if through { Path::Relayed } else { Path::Direct });
        }
        match (&mut self.relay, self.setup.server) {
            (Some(relay), Some(server)) if relayed => {
                if let Some(bytes) = relay.send(to, bytes, now) {
                    self.transmits.push_back((server, bytes));
                }
            }
            _ => self.transmits.push_back((to, bytes.to_vec())),
        }
    }

    fn now_path(&mut self, path: Path) {
        if self.path != Some(path) {
            self.path = Some(path);
            if self.open {
                self.events.push_back(PeerEvent::Path(path));
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "an open enum, mostly about media")]
    fn learn(&mut self, event: str0m::Event) {
        match event {
            str0m::Event::ChannelOpen(id, _) if Some(id) == self.channel => {
                self.open = true;
                self.events.push_back(PeerEvent::Open(self.path.unwrap_or(Path::Direct)));
            }
            str0m::Event::ChannelData(data) if Some(data.id) == self.channel => {
                self.events.push_back(PeerEvent::Data(data.data));
            }
            str0m::Event::ChannelClose(_)
            | str0m::Event::Closed
            | str0m::Event::IceConnectionStateChange(IceConnectionState::Disconnected) => self.end(),
            _ => {}
        }
    }

    fn write_waiting(&mut self, now: Instant) {
        let Some(id) = self.channel.filter(|_| self.open) else { return };
        let mut wrote = false;
        while let Some(bytes) = self.waiting.front() {
            let Some(mut channel) = self.rtc.channel(id) else { return };
            match channel.write(true, bytes) {
                Ok(true) => {
                    self.waiting.pop_front();
                    wrote = true;
                }
                // Full: what goes out makes room, and we come by here again.
                Ok(false) => break,
                Err(_) => return self.end(),
            }
        }
        if wrote {
            self.drain(now);
        }
    }

    fn end(&mut self) {
        if !self.closed {
            self.closed = true;
            self.events.push_back(PeerEvent::Closed);
        }
    }
}

/// The line of a session description that names the DTLS key.
fn fingerprint(sdp: &str) -> &str {
    sdp.lines().find(|line| line.starts_with("a=fingerprint:")).unwrap_or_default()
}

/// As the browser's `createDataChannel("bulle", { negotiated: true, id: 0 })`.
fn channel_config() -> ChannelConfig {
    ChannelConfig {
        label: "bulle".to_owned(),
        ordered: true,
        reliability: Reliability::Reliable,
        negotiated: Some(0),
        protocol: String::new(),
    }
}

#[cfg(test)]
mod tests;
