//! Sessions over a data channel to the box: a browser's half made of `str0m`, and what strangers get.

use crate::session::{assert_alive, inbox, key, subscribe, welcomed};
use crate::support::{Answer, Daemon, PATIENCE, TempDir};
use std::net::SocketAddr;
use std::time::Duration;
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::config::Fingerprint;
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, IceCreds, Input, Output, Rtc};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout, timeout_at};
use wire::{ChannelAnswer, ChannelOffer, ClientFrame, NodeFrame, Pieces, Pin, Reason, Side, Ttl, pieces_of};

const WEBRTC: &str = "[http]\nhttps = \"127.0.0.1:0\"\nredirect = \"127.0.0.1:0\"\n[turn]\nlisten = []\n\
                      [webrtc]\nlisten = \"127.0.0.1:0\"\n";

fn daemon() -> Daemon {
    Daemon::start_as(TempDir::new(), WEBRTC)
}

/// A browser with a connection to the box.
struct Browser {
    rtc: Rtc,
    socket: UdpSocket,
    local: SocketAddr,
    channel: ChannelId,
    open: bool,
    over: bool,
    pieces: Pieces,
    frames: Vec<Vec<u8>>,
}

/// What a new connection of a browser would offer.
fn offer_of(rtc: &mut Rtc) -> ChannelOffer {
    let direct = rtc.direct_api();
    let IceCreds { ufrag, pass } = direct.local_ice_credentials();
    let fingerprint = direct.local_dtls_fingerprint().bytes.as_slice().try_into().expect("SHA-256");
    ChannelOffer(Side { ufrag, password: pass, fingerprint: Pin(fingerprint) })
}

fn rtc() -> Rtc {
    Rtc::builder().clear_codecs().build(Instant::now().into_std())
}

async fn post(daemon: &Daemon, offer: &ChannelOffer) -> Answer {
    daemon.post("/session/peer", "", &offer.encode()).await
}

impl Browser {
    async fn open(daemon: &Daemon) -> Self {
        let mut browser = Self::begin(daemon, |_| {}).await;
        browser.until(|browser| browser.open).await;
        browser
    }

    /// As far as the browser's half of the negotiation.
    async fn begin(daemon: &Daemon, change: impl FnOnce(&mut ChannelAnswer)) -> Self {
        let mut rtc = rtc();
        let answer = post(daemon, &offer_of(&mut rtc)).await;
        assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
        let mut answer = ChannelAnswer::decode(&answer.body).expect("an answer");
        change(&mut answer);
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let local = socket.local_addr().expect("an address");
        rtc.add_local_candidate(Candidate::host(local, Protocol::Udp).expect("one"));
        for address in &answer.addresses {
            rtc.add_remote_candidate(Candidate::host(*address, Protocol::Udp).expect("one"));
        }
        let mut direct = rtc.direct_api();
        direct.set_ice_controlling(true);
        direct.set_remote_ice_credentials(IceCreds { ufrag: answer.side.ufrag, pass: answer.side.password });
        direct.set_remote_fingerprint(Fingerprint {
            hash_func: "sha-256".to_owned(),
            bytes: answer.side.fingerprint.0.to_vec(),
        });
        direct.start_dtls(true).expect("DTLS");
        direct.start_sctp(true);
        let channel = direct.create_data_channel(ChannelConfig {
            label: "bulle".to_owned(),
            ordered: true,
            reliability: Reliability::Reliable,
            negotiated: Some(0),
            protocol: String::new(),
        });
        let (pieces, frames) = (Pieces::default(), Vec::new());
        Self { rtc, socket, local, channel, open: false, over: false, pieces, frames }
    }

    /// Goes on until that is so; panics when it does not come.
    async fn until(&mut self, so: impl Fn(&Self) -> bool) {
        assert!(self.goes_on(so, PATIENCE).await, "it did not come in time");
    }

    /// Goes on until that is so, or the time is over; whether it is so.
    async fn goes_on(&mut self, so: impl Fn(&Self) -> bool, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        self.rtc.handle_input(Input::Timeout(Instant::now().into_std())).expect("it goes on");
        loop {
            let next = self.drain().await;
            if so(self) {
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
            let mut bytes = [0; 2048];
            let until = Instant::from_std(next).min(end);
            let input = match timeout_at(until, self.socket.recv_from(&mut bytes)).await {
                Ok(received) => {
                    let (length, from) = received.expect("received");
                    let now = Instant::now().into_std();
                    match Receive::new(Protocol::Udp, from, self.local, &bytes[..length]) {
                        Ok(receive) => Input::Receive(now, receive),
                        Err(_) => continue,
                    }
                }
                Err(_) => Input::Timeout(Instant::now().into_std()),
            };
            if self.rtc.handle_input(input).is_err() {
                self.over = true;
            }
        }
    }

    async fn drain(&mut self) -> std::time::Instant {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => return at,
                Ok(Output::Transmit(transmit)) => {
                    self.socket.send_to(&transmit.contents, transmit.destination).await.expect("sent");
                }
                Ok(Output::Event(Event::ChannelOpen(..))) => self.open = true,
                Ok(Output::Event(Event::ChannelData(data))) => {
                    self.frames.extend(self.pieces.push(&data.data).expect("a piece"));
                }
                Ok(Output::Event(Event::ChannelClose(_) | Event::Closed)) => self.over = true,
                Ok(Output::Event(_)) => {}
                Err(_) => {
                    self.over = true;
                    return Instant::now().into_std();
                }
            }
        }
    }

    async fn send(&mut self, frame: &ClientFrame<'_>) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        for piece in pieces_of(&bytes) {
            self.write(true, &piece).await;
        }
    }

    async fn write(&mut self, binary: bool, piece: &[u8]) {
        while !self.rtc.channel(self.channel).expect("open").write(binary, piece).expect("written") {
            self.goes_on(|_| false, Duration::from_millis(5)).await;
        }
    }

    async fn frame(&mut self) -> Vec<u8> {
        self.until(|browser| !browser.frames.is_empty()).await;
        self.frames.remove(0)
    }

    async fn welcomed(&mut self) -> wire::Challenge {
        match NodeFrame::decode(&self.frame().await) {
            Ok(NodeFrame::Welcome { challenge, .. }) => challenge,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_session_over_a_data_channel_is_a_session_of_the_node() {
    let daemon = daemon();
    let mut phone = Browser::open(&daemon).await;
    let challenge = phone.welcomed().await;
    phone.send(&subscribe(1, &key(1), &challenge)).await;
    let frame = phone.frame().await;
    assert!(matches!(NodeFrame::decode(&frame), Ok(NodeFrame::Subscribed { req: 1, .. })));

    let mut other = daemon.session().await;
    welcomed(&mut other).await;
    // In pieces on its way there, and on its way back.
    let envelope: Vec<u8> = (0..wire::MAX_ENVELOPE).map(|at| (at / 7) as u8).collect();
    let deposit =
        |req| ClientFrame::Deposit { req, address: inbox(&key(1)), ttl: Ttl::Long, envelope: &envelope };
    other.send(&deposit(2)).await;
    phone.send(&deposit(3)).await;
    let mut delivered = 0;
    let mut acknowledged = 0;
    while delivered < 2 || acknowledged < 1 {
        let frame = phone.frame().await;
        match NodeFrame::decode(&frame) {
            Ok(NodeFrame::Deliver { envelope: got, .. }) => {
                assert!(got == envelope);
                delivered += 1;
            }
            Ok(NodeFrame::Deposited { req: 3 }) => acknowledged += 1,
            other => panic!("{other:?}"),
        }
    }
    let dump = crate::control::ask(&daemon, &["dump"]).await;
    assert!(dump.contains("held sessions=2 ") && dump.contains(" peers=1 polls=0 "), "{dump}");

    phone.rtc.close().expect("closed");
    phone.goes_on(|_| false, Duration::from_millis(50)).await;
    let mut dump = String::new();
    while !(dump.contains("held sessions=1 ") && dump.contains(" peers=0 ")) {
        dump = crate::control::ask(&daemon, &["dump"]).await;
    }
    assert_alive(&mut other).await;
}

#[tokio::test]
async fn its_certificate_is_the_same_after_a_restart_and_its_invitations_name_it() {
    let daemon = daemon();
    let fingerprint = |answer: Answer| ChannelAnswer::decode(&answer.body).expect("one").side.fingerprint;
    let before = fingerprint(post(&daemon, &offer_of(&mut rtc())).await);
    let (_, _, dir) = tokio::task::spawn_blocking(|| daemon.stop()).await.expect("no panic");
    let daemon = Daemon::start_as(dir, WEBRTC);
    assert_eq!(fingerprint(post(&daemon, &offer_of(&mut rtc())).await), before);
    let mut out = Vec::new();
    let file = daemon.state().join("peer.pem");
    appliance::invite::invite("https://bulle.local", None, Some(&file), false, &mut out, false)
        .expect("made");
    let text = String::from_utf8(out).expect("text");
    let link = text.split_whitespace().find(|word| word.starts_with("https://")).expect("a link");
    assert_eq!(wire::JoinLink::parse(link).expect("a join link").invite.pin, Some(before));
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(file).expect("a file").permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn only_a_whole_offer_of_a_page_of_this_box_is_answered() {
    let daemon = daemon();
    let good = offer_of(&mut rtc()).encode();
    for (headers, body, status) in [
        ("", good.clone(), 200),
        ("sec-fetch-site: same-origin\r\n", good.clone(), 200),
        ("sec-fetch-site: cross-site\r\n", good.clone(), 403),
        ("origin: https://evil.example\r\n", good.clone(), 403),
        ("", vec![], 400),
        ("", b"v=0\r\n".to_vec(), 400),
        ("", good[..good.len() - 1].to_vec(), 400),
        ("", vec![0; wire::MAX_HANDSHAKE + 1], 413),
    ] {
        let answer = daemon.post("/session/peer", headers, &body).await;
        assert_eq!(answer.status, status, "{headers} {}", answer.head);
    }
    assert_eq!(daemon.get("/session/peer", "").await.status, 405);
    let without = Daemon::start();
    assert_eq!(post(&without, &offer_of(&mut rtc())).await.status, 404, "it is switched off there");
}

#[tokio::test]
async fn who_does_not_know_the_password_or_shows_another_key_gets_no_channel() {
    let daemon = daemon();
    let short = Duration::from_secs(3);
    let mut stranger =
        Browser::begin(&daemon, |answer| answer.side.password = "x".repeat(answer.side.password.len())).await;
    assert!(!stranger.goes_on(|browser| browser.open, short).await);
    // The box has announced one certificate and shows another: the browser's half refuses that.
    let mut misled = Browser::begin(&daemon, |answer| answer.side.fingerprint = Pin([7; 32])).await;
    assert!(!misled.goes_on(|browser| browser.open, short).await);
    // And noise at the port is nobody's.
    let to =
        ChannelAnswer::decode(&post(&daemon, &offer_of(&mut rtc())).await.body).expect("one").addresses[0];
    let noise = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    for first in 0..=255_u8 {
        noise.send_to(&[first; 100], to).await.expect("sent");
    }
    assert!(timeout(Duration::from_millis(100), noise.recv(&mut [0; 1])).await.is_err(), "nobody answers");
    Browser::open(&daemon).await.welcomed().await;
}

#[tokio::test]
async fn who_never_comes_is_not_waited_for() {
    let daemon =
        Daemon::start_as(TempDir::new(), &format!("{WEBRTC}[limits]\nconnections_per_address = 2\n"));
    for status in [200, 200, 503] {
        assert_eq!(post(&daemon, &offer_of(&mut rtc())).await.status, status);
    }
    let mut status = 503;
    while status == 503 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        status = post(&daemon, &offer_of(&mut rtc())).await.status;
    }
    assert_eq!(status, 200, "the first two did not come");
}

#[tokio::test]
async fn what_is_no_frame_ends_the_session_with_a_word() {
    let daemon = daemon();
    for (binary, nonsense) in [(true, &b"\x02"[..]), (true, b"\x00no frame"), (false, b"text")] {
        let mut phone = Browser::open(&daemon).await;
        phone.welcomed().await;
        phone.write(binary, nonsense).await;
        let frame = phone.frame().await;
        assert_eq!(NodeFrame::decode(&frame), Ok(NodeFrame::Bye { reason: Reason::Malformed }));
        phone.until(|browser| browser.over).await;
    }
}

#[tokio::test]
async fn asked_to_stop_it_says_goodbye() {
    let daemon = daemon();
    let mut phone = Browser::open(&daemon).await;
    phone.welcomed().await;
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    let frame = phone.frame().await;
    assert_eq!(NodeFrame::decode(&frame), Ok(NodeFrame::Bye { reason: Reason::Shutdown }));
    phone.until(|browser| browser.over).await;
    let (status, _, _dir) = tokio::task::spawn_blocking(move || daemon.wait()).await.expect("no panic");
    assert!(status.success());
}
