//! One data channel of the box as a machine: ICE-lite, DTLS and SCTP by `str0m`, frames in pieces on top.
//!
//! It never begins anything: the browser sends the checks of ICE and opens DTLS, and the box answers where it was
//! asked from. So it needs no candidates of the browser's, and sends to nobody who has not shown its password.
//! Invariant: of a client that takes nothing no more is kept than one frame and [`BUFFERED`] bytes.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::config::{CryptoProvider, DtlsCert, DtlsVersion, Fingerprint};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, IceConnectionState, IceCreds, Input, Output, Rtc};
use wire::{MAX_PIECE, Pieces, Side, pieces_of};

/// Bytes that are on their way to a client, sent and not confirmed or not sent yet.
const BUFFERED: usize = 128 * 1024;
/// Datagrams for one client that wait until the driver takes them; it does after each input.
const MOST_TRANSMITS: usize = 1024;

/// What the ICE agent takes for its own addresses, one of each family. On which of the machine's a datagram came, and
/// so from which the answer goes, is the driver's to know: addresses come and go while a session lives.
/// They are nobody's (RFC 5737, RFC 3849).
const OWN_V4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);
const OWN_V6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 9);

/// What all endpoints of this box have in common.
pub(super) struct Identity {
    pub(super) certificate: DtlsCert,
    pub(super) crypto: Arc<CryptoProvider>,
}

/// By what a client asks for us, and proves that it was told.
pub(super) struct Credentials {
    pub(super) ufrag: String,
    pub(super) password: String,
}

/// News for the driver.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Frames may go both ways.
    Open,
    /// One frame from the client, or what should be one.
    Frame(Vec<u8>),
    /// It is over.
    Over,
}

/// One datagram to be sent.
pub(super) struct Transmit {
    pub(super) to: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

/// The machine.
pub(super) struct Endpoint {
    rtc: Rtc,
    channel: ChannelId,
    open: bool,
    over: bool,
    pieces: Pieces,
    /// What is left of the frame that is being sent.
    waiting: VecDeque<Vec<u8>>,
    next: Instant,
    transmits: VecDeque<Transmit>,
    /// Of one input, which the driver takes before the next.
    news: VecDeque<News>,
}

impl Endpoint {
    /// Waits for the client that made this offer.
    pub(super) fn new(identity: &Identity, own: Credentials, offer: &Side, now: Instant) -> Option<Self> {
        let mut rtc = Rtc::builder()
            .set_crypto_provider(Arc::clone(&identity.crypto))
            .set_dtls_cert(identity.certificate.clone())
            // Of 1.3 there is no browser yet that it was tried with.
            .set_dtls_version(DtlsVersion::Dtls12)
            .set_ice_lite(true)
            .set_local_ice_credentials(IceCreds { ufrag: own.ufrag, pass: own.password })
            .set_sctp_max_buffered_amount(BUFFERED)
            .set_sctp_max_message_size(u32::try_from(MAX_PIECE).unwrap_or(u32::MAX))
            .clear_codecs()
            .build(now);
        for own in [OWN_V4, OWN_V6] {
            rtc.add_local_candidate(Candidate::host(own, Protocol::Udp).ok()?)?;
        }
        let mut direct = rtc.direct_api();
        direct.set_ice_controlling(false);
        direct.set_remote_ice_credentials(IceCreds {
            ufrag: offer.ufrag.clone(),
            pass: offer.password.clone(),
        });
        direct.set_remote_fingerprint(Fingerprint {
            hash_func: "sha-256".to_owned(),
            bytes: offer.fingerprint.0.to_vec(),
        });
        direct.start_dtls(false).ok()?;
        direct.start_sctp(false);
        // As the browser's `createDataChannel("bulle", { negotiated: true, id: 0 })`.
        let channel = direct.create_data_channel(ChannelConfig {
            label: "bulle".to_owned(),
            ordered: true,
            reliability: Reliability::Reliable,
            negotiated: Some(0),
            protocol: String::new(),
        });
        let mut endpoint = Self {
            rtc,
            channel,
            open: false,
            over: false,
            pieces: Pieces::default(),
            waiting: VecDeque::new(),
            next: now,
            transmits: VecDeque::new(),
            news: VecDeque::new(),
        };
        endpoint.handle_timeout(now);
        Some(endpoint)
    }

    /// A datagram came that is this client's.
    pub(super) fn handle_datagram(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        let to = if from.is_ipv6() { OWN_V6 } else { OWN_V4 };
        // What is neither STUN nor DTLS is not for us.
        let Ok(receive) = Receive::new(Protocol::Udp, from, to, bytes) else { return };
        self.input(Input::Receive(now, receive));
    }

    /// Time has passed.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.input(Input::Timeout(now));
    }

    /// When to call [`Endpoint::handle_timeout`] at the latest.
    pub(super) const fn poll_timeout(&self) -> Instant {
        self.next
    }

    /// The next datagram to send.
    pub(super) fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next thing that happened.
    pub(super) fn poll_event(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// Whether a frame can be taken.
    pub(super) fn is_ready(&self) -> bool {
        self.open && !self.over && self.waiting.is_empty()
    }

    /// Whether everything that was given has reached the client.
    pub(super) fn is_drained(&mut self) -> bool {
        let channel = self.channel;
        self.waiting.is_empty() && self.rtc.channel(channel).is_none_or(|mut it| it.buffered_amount() == 0)
    }

    /// Whether a part of a frame waits for room.
    pub(super) fn is_stuck(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// A frame for the client, when [`Endpoint::is_ready`].
    pub(super) fn send(&mut self, frame: &[u8], now: Instant) {
        self.waiting.extend(pieces_of(frame));
        self.write();
        self.handle_timeout(now);
    }

    /// Tells the client that it is over.
    pub(super) fn close(&mut self) {
        if self.rtc.close().is_ok() {
            self.drain();
        }
        self.over = true;
    }

    fn input(&mut self, input: Input<'_>) {
        if self.over {
            return;
        }
        if self.rtc.handle_input(input).is_err() {
            return self.end();
        }
        self.drain();
        // What went out may have made room.
        if self.write() {
            self.drain();
        }
    }

    fn drain(&mut self) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.next = at;
                    return;
                }
                Ok(Output::Transmit(transmit)) => {
                    // What finds no room is lost, as on any network.
                    if self.transmits.len() < MOST_TRANSMITS {
                        let (to, bytes) = (transmit.destination, transmit.contents.to_vec());
                        self.transmits.push_back(Transmit { to, bytes });
                    }
                }
                Ok(Output::Event(event)) => self.learn(event),
                Err(_) => return self.end(),
            }
            if self.over {
                return;
            }
        }
    }

    /// Gives what waits to the channel, as far as that has room; whether any of it went.
    fn write(&mut self) -> bool {
        let mut wrote = false;
        while let Some(piece) = self.waiting.front().filter(|_| !self.over) {
            let Some(mut channel) = self.rtc.channel(self.channel) else { break };
            match channel.write(true, piece) {
                Ok(true) => {
                    self.waiting.pop_front();
                    wrote = true;
                }
                Ok(false) => break,
                Err(_) => {
                    self.end();
                    break;
                }
            }
        }
        wrote
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "an open enum, mostly about media")]
    fn learn(&mut self, event: Event) {
        match event {
            Event::ChannelOpen(id, _) if id == self.channel => {
                self.open = true;
                self.news.push_back(News::Open);
            }
            Event::ChannelData(data) if data.id == self.channel => {
                match self.pieces.push(&data.data).ok().filter(|_| data.binary) {
                    Some(None) => {}
                    Some(Some(frame)) => self.news.push_back(News::Frame(frame)),
                    // What is no piece, or a text, is no frame either, and answered as such.
                    None => self.news.push_back(News::Frame(Vec::new())),
                }
            }
            // There is one channel.
            Event::ChannelOpen(..)
            | Event::ChannelData(_)
            | Event::ChannelClose(_)
            | Event::Closed
            | Event::IceConnectionStateChange(IceConnectionState::Disconnected) => self.end(),
            _ => {}
        }
    }

    fn end(&mut self) {
        if !self.over {
            self.over = true;
            self.news.push_back(News::Over);
        }
    }
}
