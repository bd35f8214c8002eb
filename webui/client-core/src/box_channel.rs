//! A session over a WebRTC data channel to the box, where a WebSocket is refused: from the browser's session
//! description to the frames.
//!
//! The page makes the connection as it makes those to peers, and knows the box by a number that no peer has
//! ([`THE_BOX`]). Here its offer becomes the few fields that the box wants, and the box's answer a description again.
//!
//! Invariant: the browser never sees an answer whose certificate is not the one of the invitation.
//! What it is not: the decision to go this way, which is [`Choice`](crate::Choice)'s.

use std::collections::VecDeque;
use std::fmt::Write as _;

use wire::{ChannelAnswer, ChannelOffer, Pieces, Pin, Side, pieces_of};

use crate::api::{ChannelEvent, PeerId, Signal};

/// The box, among those to whom the page has connections; peers are numbered from 1.
pub const THE_BOX: PeerId = PeerId(0);

/// What happened to the carrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BoxChannelEvent {
    /// To be sent to the box by one POST to `/session/peer`; its answer belongs into
    /// [`BoxChannel::handle_answer`].
    Post(Vec<u8>),
    /// For the page.
    Signal(Signal),
    /// Frames may be sent.
    Up,
    /// One frame from the node.
    Frame(Vec<u8>),
    /// It is over; the last event.
    Down,
    /// The box there is not the one of the invitation, and it is over; the last event.
    Impostor,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// The page makes its offer.
    Offering,
    /// The box has it. Its answer is for the part of the description that is called so.
    Asking(String),
    /// The browser has the answer.
    Connecting,
    Open,
    Over,
}

/// The machine: one carrier, from opening to its end.
#[derive(Debug)]
pub struct BoxChannel {
    pin: Pin,
    state: State,
    pieces: Pieces,
    events: VecDeque<BoxChannelEvent>,
}

impl BoxChannel {
    /// A carrier that is to be opened, to the box that is known by this.
    pub fn new(pin: Pin) -> Self {
        Self { pin, state: State::Offering, pieces: Pieces::default(), events: VecDeque::new() }
    }

    /// Whether frames may be sent.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// What the page's connection did.
    pub fn handle_channel(&mut self, event: ChannelEvent) {
        match (event, &self.state) {
            (_, State::Over) => {}
            (ChannelEvent::Signal(Signal::Offer { sdp }), State::Offering) => match offer_of(sdp.expose()) {
                Some((mid, offer)) => {
                    self.state = State::Asking(mid);
                    self.events.push_back(BoxChannelEvent::Post(offer.encode()));
                }
                None => self.end(BoxChannelEvent::Down),
            },
            // The box looks for no other way when the browser does: a new carrier is opened instead.
            (
                ChannelEvent::Signal(Signal::Offer { .. } | Signal::Answer { .. }) | ChannelEvent::Closed,
                _,
            ) => {
                self.end(BoxChannelEvent::Down);
            }
            // It hears from the browser where that is.
            (ChannelEvent::Signal(Signal::Candidate { .. } | Signal::EndOfCandidates), _) => {}
            (ChannelEvent::Open { .. }, State::Connecting) => self.open(),
            (ChannelEvent::Open { .. } | ChannelEvent::Path { .. }, _) => {}
            // The box speaks first, and the page looks at the path before it says that the channel is open.
            (ChannelEvent::Data(piece), State::Connecting) => {
                self.open();
                self.received(&piece);
            }
            (ChannelEvent::Data(piece), State::Open) => self.received(&piece),
            // Of a connection before this one.
            (ChannelEvent::Data(_), _) => {}
        }
    }

    /// The POST ended: with a status and a body, or with none when there was no answer.
    pub fn handle_answer(&mut self, answer: Option<(u16, &[u8])>) {
        let State::Asking(mid) = &self.state else { return };
        let answer = match answer {
            Some((200, body)) => ChannelAnswer::decode(body).ok(),
            Some(_) | None => None,
        };
        match answer {
            None => self.end(BoxChannelEvent::Down),
            Some(answer) if answer.side.fingerprint != self.pin => self.end(BoxChannelEvent::Impostor),
            Some(answer) => {
                let sdp = description(mid, &answer).into();
                self.state = State::Connecting;
                self.events.push_back(BoxChannelEvent::Signal(Signal::Answer { sdp }));
            }
        }
    }

    /// A frame as the messages that carry it.
    pub fn send(frame: &[u8]) -> impl Iterator<Item = Vec<u8>> {
        pieces_of(frame)
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<BoxChannelEvent> {
        self.events.pop_front()
    }

    fn open(&mut self) {
        self.state = State::Open;
        self.events.push_back(BoxChannelEvent::Up);
    }

    fn received(&mut self, piece: &[u8]) {
        match self.pieces.push(piece) {
            Ok(Some(frame)) => self.events.push_back(BoxChannelEvent::Frame(frame)),
            Ok(None) => {}
            Err(_) => self.end(BoxChannelEvent::Down),
        }
    }

    fn end(&mut self, how: BoxChannelEvent) {
        self.state = State::Over;
        self.events.push_back(how);
    }
}

/// What the box has to know of a browser's offer (RFC 8829), and what its part about the data channel is called.
fn offer_of(sdp: &str) -> Option<(String, ChannelOffer)> {
    let value = |name: &str| {
        sdp.lines().find_map(|line| line.trim_end().strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':'))
    };
    let (algorithm, digits) = value("fingerprint")?.split_once(' ')?;
    let fingerprint = Pin(digest(digits).filter(|_| algorithm.eq_ignore_ascii_case("sha-256"))?);
    let side =
        Side { ufrag: value("ice-ufrag")?.to_owned(), password: value("ice-pwd")?.to_owned(), fingerprint };
    let mid = value("mid")?;
    let plain = (1..=16).contains(&mid.len()) && mid.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then(|| (mid.to_owned(), ChannelOffer(side)))
}

/// 32 bytes as pairs of hexadecimal digits with colons (RFC 8122).
fn digest(digits: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let mut pairs = digits.split(':');
    for byte in &mut bytes {
        *byte =
            pairs.next().filter(|pair| pair.len() == 2).and_then(|pair| u8::from_str_radix(pair, 16).ok())?;
    }
    pairs.next().is_none().then_some(bytes)
}

/// The box's answer as a browser wants it: one part, the data channel (RFC 8841), and nothing that could fail to be
/// understood.
fn description(mid: &str, answer: &ChannelAnswer) -> String {
    let ChannelAnswer { side: Side { ufrag, password, fingerprint }, addresses } = answer;
    let mut sdp = format!(
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {mid}\r\na=ice-lite\r\n\
         m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\n\
         a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\na=fingerprint:sha-256 "
    );
    for (at, byte) in fingerprint.0.iter().enumerate() {
        // Writing into memory cannot fail.
        let _ = write!(sdp, "{}{byte:02X}", if at == 0 { "" } else { ":" });
    }
    let _ =
        write!(sdp, "\r\na=setup:passive\r\na=sctp-port:5000\r\na=max-message-size:{}\r\n", wire::MAX_PIECE);
    for (at, address) in addresses.iter().enumerate() {
        // RFC 8445, section 5.1.2.1: of the type host, earlier ones preferred.
        let priority = (126 << 24) + ((65_535 - at as u32) << 8) + 255;
        let (ip, port) = (address.ip(), address.port());
        let _ = write!(sdp, "a=candidate:{} 1 udp {priority} {ip} {port} typ host\r\n", at + 1);
    }
    sdp.push_str("a=end-of-candidates\r\n");
    sdp
}

/// Body of the fuzz target: any description of a browser, any answer of the box.
pub(crate) fn fuzz(data: &[u8]) {
    if let Some((mid, offer)) = core::str::from_utf8(data).ok().and_then(offer_of) {
        // What is no offer to the box is refused by it; what is one has a description without further lines.
        if ChannelOffer::decode(&offer.encode()).is_ok() {
            let answer = ChannelAnswer { side: offer.0, addresses: Vec::new() };
            let lines = description(&mid, &answer).lines().count();
            assert_eq!(lines, 16, "{mid}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Path;

    const PIN: Pin = Pin([0xab; 32]);

    /// As Chromium and Firefox make it, less what does not matter here.
    fn browsers_offer() -> String {
        let digits = vec!["0F"; 32].join(":");
        format!(
            "v=0\r\no=mozilla...THIS_IS_SDPARTA-99.0 7 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
             a=msid-semantic:WMS *\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n\
             a=ice-ufrag:aB+/\r\na=ice-pwd:0123456789abcdef01234567\r\na=ice-options:trickle\r\n\
             a=fingerprint:sha-256 {digits}\r\na=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\n"
        )
    }

    fn offered() -> BoxChannel {
        let mut channel = BoxChannel::new(PIN);
        let sdp = browsers_offer().into();
        channel.handle_channel(ChannelEvent::Signal(Signal::Offer { sdp }));
        let Some(BoxChannelEvent::Post(bytes)) = channel.poll_event() else { panic!("no offer") };
        let ChannelOffer(side) = ChannelOffer::decode(&bytes).unwrap();
        assert_eq!((side.ufrag.as_str(), side.fingerprint), ("aB+/", Pin([15; 32])));
        assert_eq!(side.password, "0123456789abcdef01234567");
        channel
    }

    fn answer(fingerprint: Pin) -> Vec<u8> {
        let side = Side { ufrag: "boxsname".into(), password: "p".repeat(32), fingerprint };
        let addresses = ["10.77.0.1:3479", "[fd77::1]:3479"].map(|text| text.parse().unwrap()).into();
        ChannelAnswer { side, addresses }.encode()
    }

    fn answered() -> BoxChannel {
        let mut channel = offered();
        channel.handle_answer(Some((200, &answer(PIN))));
        let Some(BoxChannelEvent::Signal(Signal::Answer { sdp })) = channel.poll_event() else {
            panic!("no answer")
        };
        for line in [
            "a=ice-lite",
            "a=mid:0",
            "a=ice-ufrag:boxsname",
            "a=setup:passive",
            "a=candidate:1 1 udp 2130706431 10.77.0.1 3479 typ host",
            "a=candidate:2 1 udp 2130706175 fd77::1 3479 typ host",
        ] {
            assert!(sdp.expose().split("\r\n").any(|found| found == line), "{line}");
        }
        channel
    }

    fn open() -> BoxChannel {
        let mut channel = answered();
        channel.handle_channel(ChannelEvent::Open { path: Path::Direct });
        assert_eq!(channel.poll_event(), Some(BoxChannelEvent::Up));
        channel
    }

    #[test]
    fn frames_go_both_ways_in_pieces() {
        let mut channel = open();
        let frame: Vec<u8> = (0..wire::MAX_FRAME).map(|at| at as u8).collect();
        for piece in BoxChannel::send(&frame) {
            assert!(piece.len() <= crate::MAX_CHANNEL_FRAME, "the page takes no more");
            channel.handle_channel(ChannelEvent::Data(piece));
        }
        assert_eq!(channel.poll_event(), Some(BoxChannelEvent::Frame(frame)));
        assert_eq!(channel.poll_event(), None);
    }

    #[test]
    fn what_the_box_says_before_the_page_says_open_is_heard_and_what_came_before_is_not() {
        let data = || ChannelEvent::Data(b"\x00welcome".to_vec());
        for mut early in [BoxChannel::new(PIN), offered()] {
            early.handle_channel(data());
            assert_eq!(early.poll_event(), None, "of a connection before");
        }
        let mut channel = answered();
        channel.handle_channel(data());
        channel.handle_channel(ChannelEvent::Open { path: Path::Direct });
        assert_eq!(channel.poll_event(), Some(BoxChannelEvent::Up));
        assert_eq!(channel.poll_event(), Some(BoxChannelEvent::Frame(b"welcome".to_vec())));
        assert_eq!(channel.poll_event(), None);
    }

    #[test]
    fn a_box_with_another_certificate_is_refused_before_the_browser_hears_of_it() {
        let mut channel = offered();
        channel.handle_answer(Some((200, &answer(Pin([0xac; 32])))));
        assert_eq!(channel.poll_event(), Some(BoxChannelEvent::Impostor));
        channel.handle_channel(ChannelEvent::Open { path: Path::Direct });
        assert_eq!(channel.poll_event(), None);
        assert!(!channel.is_open());
    }

    #[test]
    fn whatever_else_comes_instead_of_an_answer_is_the_end_of_it() {
        for said in [None, Some((404, &b""[..])), Some((503, b"full")), Some((200, b"<html>"))] {
            let mut channel = offered();
            channel.handle_answer(said);
            assert_eq!(channel.poll_event(), Some(BoxChannelEvent::Down), "{said:?}");
            channel.handle_answer(Some((200, &answer(PIN))));
            assert_eq!(channel.poll_event(), None);
        }
    }

    #[test]
    fn a_browser_that_looks_for_another_way_ends_it() {
        let mut channel = open();
        channel.handle_channel(ChannelEvent::Signal(Signal::EndOfCandidates));
        channel.handle_channel(ChannelEvent::Path { path: Path::Direct });
        assert!(channel.is_open());
        let sdp = browsers_offer().into();
        channel.handle_channel(ChannelEvent::Signal(Signal::Offer { sdp }));
        assert_eq!(channel.poll_event(), Some(BoxChannelEvent::Down));
        channel.handle_channel(ChannelEvent::Closed);
        assert_eq!(channel.poll_event(), None, "once");
    }

    #[test]
    fn an_offer_that_lacks_something_is_none() {
        let whole = browsers_offer();
        assert!(offer_of(&whole).is_some());
        for part in ["a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:sha-256 ", "a=mid:", "0F:"] {
            assert!(offer_of(&whole.replacen(part, "a=other:", 1)).is_none(), "{part}");
        }
        assert!(offer_of(&whole.replace("sha-256", "sha-1")).is_none());
        assert!(offer_of(&whole.replace("a=mid:0", "a=mid:0 a")).is_none());
        fuzz(whole.as_bytes());
    }
}
