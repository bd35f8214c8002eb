//! Sessions by plain requests: what works where a WebSocket is refused, and what does not work for strangers.

use crate::session::{assert_alive, inbox, key, subscribe, welcomed};
use crate::support::{Answer, Daemon};
use wire::{Batch, Challenge, ClientFrame, NodeFrame, Reason, Ttl};

/// A client that makes each request on a connection of its own.
struct Phone<'d> {
    daemon: &'d Daemon,
    token: String,
    sent: u32,
    has: u32,
}

impl<'d> Phone<'d> {
    async fn open(daemon: &'d Daemon) -> Self {
        let answer = daemon.post("/session/open", "", &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.head);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let token = answer.text().to_owned();
        assert_eq!(token.len(), 80);
        Self { daemon, token, sent: 0, has: 0 }
    }

    fn bearer(&self) -> String {
        format!("authorization: Bearer {}\r\n", self.token)
    }

    async fn send(&mut self, frames: &[ClientFrame<'_>]) -> Answer {
        self.sent += 1;
        self.send_again(frames).await
    }

    /// As if the answer had been lost.
    async fn send_again(&self, frames: &[ClientFrame<'_>]) -> Answer {
        let path = format!("/session/send?{}", self.sent);
        self.daemon.post(&path, &self.bearer(), &batch(frames)).await
    }

    /// The next frames; empty when the node has nothing for so long that it says so.
    async fn poll(&mut self) -> Vec<Vec<u8>> {
        let answer = self.poll_at(self.has).await;
        assert_eq!(
            (answer.status, answer.header("cache-control")),
            (200, Some("no-store")),
            "{}",
            answer.head
        );
        self.has += 1;
        wire::frames_of(&answer.body).expect("frames").map(<[u8]>::to_vec).collect()
    }

    async fn poll_at(&self, has: u32) -> Answer {
        self.daemon.post(&format!("/session/poll?{has}"), &self.bearer(), &[]).await
    }

    async fn welcomed(&mut self) -> Challenge {
        let frames = self.poll().await;
        match NodeFrame::decode(&frames[0]) {
            Ok(NodeFrame::Welcome { challenge, .. }) => challenge,
            other => panic!("{other:?}"),
        }
    }
}

fn batch(frames: &[ClientFrame<'_>]) -> Vec<u8> {
    let mut batch = Batch::default();
    for frame in frames {
        batch.push_with(|bytes| {
            frame.encode(bytes);
            true
        });
    }
    batch.into_bytes()
}

const ENVELOPE: [u8; wire::BLOCK] = [0xc5; wire::BLOCK];

fn deposit(req: u32) -> ClientFrame<'static> {
    ClientFrame::Deposit { req, address: inbox(&key(1)), ttl: Ttl::Long, envelope: &ENVELOPE }
}

#[tokio::test]
async fn sessions_of_both_kinds_are_sessions_of_one_node() {
    let daemon = Daemon::start();
    let mut phone = Phone::open(&daemon).await;
    let challenge = phone.welcomed().await;
    assert_eq!(phone.send(&[subscribe(1, &key(1), &challenge)]).await.status, 204);
    let frames = phone.poll().await;
    assert!(matches!(NodeFrame::decode(&frames[0]), Ok(NodeFrame::Subscribed { req: 1, .. })), "{frames:?}");

    let mut other = daemon.session().await;
    welcomed(&mut other).await;
    other.send(&deposit(2)).await;
    let frames = phone.poll().await;
    let Ok(NodeFrame::Deliver { seq, envelope, .. }) = NodeFrame::decode(&frames[0]) else {
        panic!("{frames:?}")
    };
    assert_eq!(envelope, ENVELOPE);
    let dump = crate::control::ask(&daemon, &["dump"]).await;
    assert!(dump.contains("held sessions=2 ") && dump.contains(" polls=1 "), "{dump}");

    let acknowledge = ClientFrame::Acknowledge { address: inbox(&key(1)), first: seq, last: seq };
    assert_eq!(phone.send(&[acknowledge, ClientFrame::Ping { nonce: 3 }]).await.status, 204);
    let frames = phone.poll().await;
    assert_eq!(NodeFrame::decode(&frames[0]), Ok(NodeFrame::Pong { nonce: 3 }));
    assert_eq!(daemon.post("/session/close", &phone.bearer(), &[]).await.status, 204);
    // Whoever asks now meets a session that is over, at the latest when its task has looked.
    let mut status = 204;
    while status == 204 {
        status = phone.send_again(&[ClientFrame::Ping { nonce: 4 }]).await.status;
    }
    assert_eq!(status, 410);
    assert_alive(&mut other).await;
    let dump = crate::control::ask(&daemon, &["dump"]).await;
    assert!(
        dump.contains("held sessions=1 ") && dump.contains(" envelopes=0 ") && dump.contains(" polls=0 ")
    );
}

#[tokio::test]
async fn what_comes_again_is_not_done_again_and_what_was_lost_is_said_again() {
    let daemon = Daemon::start();
    let mut phone = Phone::open(&daemon).await;
    phone.welcomed().await;
    for _ in 0..3 {
        let answer = if phone.sent == 0 {
            phone.send(&[deposit(1)]).await
        } else {
            phone.send_again(&[deposit(1)]).await
        };
        assert_eq!(answer.status, 204);
    }
    let answers: Vec<_> = [phone.poll_at(1).await, phone.poll_at(1).await].map(|answer| answer.body).into();
    assert_eq!(answers[0], answers[1]);
    let mut frames = wire::frames_of(&answers[0]).expect("frames");
    assert_eq!(frames.next().map(NodeFrame::decode), Some(Ok(NodeFrame::Deposited { req: 1 })));
    assert_eq!(frames.next(), None);
    let dump = crate::control::ask(&daemon, &["dump"]).await;
    assert!(dump.contains("counted deposited=1 "), "{dump}");
    phone.sent += 1;
    assert_eq!(phone.send(&[deposit(2)]).await.status, 409, "one was left out");
    assert_eq!(phone.poll_at(9).await.status, 409);
}

#[tokio::test]
async fn only_pages_of_this_box_and_programs_get_a_session() {
    let daemon = Daemon::start();
    let phone = Phone::open(&daemon).await;
    let own = format!("origin: https://bulle.local:{}\r\n", daemon.https);
    for (headers, status) in [
        (own.as_str(), 200),
        ("sec-fetch-site: same-origin\r\n", 200),
        ("origin: https://evil.example\r\n", 403),
        ("origin: null\r\n", 403),
        ("sec-fetch-site: cross-site\r\n", 403),
        ("sec-fetch-site: same-site\r\n", 403),
        ("sec-fetch-site: none\r\n", 403),
    ] {
        let answer = daemon.post("/session/open", headers, &[]).await;
        assert_eq!(answer.status, status, "{headers}");
        assert!(answer.header("access-control-allow-origin").is_none());
        for (name, value) in
            [("cross-origin-resource-policy", "same-origin"), ("cross-origin-opener-policy", "same-origin")]
        {
            assert_eq!(answer.header(name), Some(value));
        }
        if status == 403 {
            let both = format!("{}{headers}", phone.bearer());
            for path in ["/session/poll?0", "/session/send?1", "/session/close"] {
                assert_eq!(daemon.post(path, &both, &[]).await.status, 403, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn a_request_without_the_token_of_a_session_reaches_nothing() {
    let daemon = Daemon::start();
    let phone = Phone::open(&daemon).await;
    let mut wrong = phone.token.clone().into_bytes();
    let last = wrong.last_mut().expect("digits");
    *last = if *last == b'0' { b'1' } else { b'0' };
    let wrong = String::from_utf8(wrong).expect("text");
    for (headers, status) in [
        (String::new(), 401),
        ("authorization: Bearer\r\n".to_owned(), 401),
        (format!("authorization: Basic {}\r\n", phone.token), 401),
        (format!("authorization: Bearer {wrong}\r\n"), 410),
        (format!("authorization: Bearer {}\r\n", "0".repeat(80)), 410),
    ] {
        for path in ["/session/send?1", "/session/poll?0", "/session/close"] {
            let answer = daemon.post(path, &headers, &[]).await;
            assert_eq!(answer.status, status, "{path} {headers}");
        }
    }
    let mut phone = phone;
    phone.welcomed().await;
    assert_eq!(phone.send(&[ClientFrame::Ping { nonce: 1 }]).await.status, 204);
}

#[tokio::test]
async fn what_is_no_request_of_a_session_is_refused_with_a_reason() {
    let daemon = Daemon::start();
    let mut phone = Phone::open(&daemon).await;
    phone.welcomed().await;
    assert_eq!(daemon.post("/session/other", &phone.bearer(), &[]).await.status, 404);
    let answer = daemon.get("/session/open", "").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    for path in
        ["/session/send", "/session/send?", "/session/send?-1", "/session/poll?x", "/session/poll?4294967296"]
    {
        assert_eq!(daemon.post(path, &phone.bearer(), &[]).await.status, 400, "{path}");
    }
    // Whoever announces too much is refused before any of it is read.
    let head = format!(
        "POST /session/send?1 HTTP/1.1\r\nhost: bulle.local:{}\r\n{}content-length: {}\r\n",
        daemon.https,
        phone.bearer(),
        wire::MAX_BATCH + 1
    );
    assert_eq!(daemon.request(&head).await.status, 413);
    assert_eq!(phone.send(&[ClientFrame::Ping { nonce: 1 }]).await.status, 204, "nothing of that counted");
    // What is no frame ends the session, as it does a WebSocket's.
    let answer = daemon.post("/session/send?2", &phone.bearer(), b"nonsense").await;
    assert_eq!(answer.status, 400);
    let mut status = 204;
    while status == 204 {
        status = phone.send_again(&[ClientFrame::Ping { nonce: 1 }]).await.status;
    }
    assert_eq!(status, 410);
}

#[tokio::test]
async fn sessions_beyond_the_limits_are_refused_and_the_others_stay() {
    for limits in ["sessions = 2", "connections_per_address = 2"] {
        let daemon = Daemon::start_with(limits);
        let mut phones = [Phone::open(&daemon).await, Phone::open(&daemon).await];
        let answer = daemon.post("/session/open", "", &[]).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("10")), "{limits}");
        for phone in &mut phones {
            phone.welcomed().await;
        }
        assert_eq!(daemon.post("/session/close", &phones[0].bearer(), &[]).await.status, 204);
        let mut status = 503;
        while status == 503 {
            status = daemon.post("/session/open", "", &[]).await.status;
        }
        assert_eq!(status, 200, "{limits}");
    }
}

#[tokio::test]
async fn a_flood_of_frames_ends_its_own_session_and_no_other() {
    let daemon = Daemon::start_with("frames_per_second = 5\nframes_burst = 20");
    let (mut other, mut phone) = (Phone::open(&daemon).await, Phone::open(&daemon).await);
    other.welcomed().await;
    phone.welcomed().await;
    let pings: Vec<_> = (0..wire::MAX_BATCH_FRAMES as u32).map(|nonce| ClientFrame::Ping { nonce }).collect();
    while phone.send(&pings).await.status == 204 && phone.sent < 50 {}
    assert!(phone.sent < 50, "it goes on and on");
    let dump = crate::control::ask(&daemon, &["dump"]).await;
    assert!(dump.contains(" violations=1\n"), "{dump}");
    assert_eq!(other.send(&[ClientFrame::Ping { nonce: 1 }]).await.status, 204);
    assert_eq!(NodeFrame::decode(&other.poll().await[0]), Ok(NodeFrame::Pong { nonce: 1 }));
}

#[tokio::test]
async fn asked_to_stop_it_says_goodbye_to_who_waits() {
    let daemon = Daemon::start();
    let mut phone = Phone::open(&daemon).await;
    phone.welcomed().await;
    let headers = phone.bearer();
    let waits = daemon.post("/session/poll?1", &headers, &[]);
    let mut waits = Box::pin(waits);
    // An acknowledgement is answered by nothing, so the question goes on waiting.
    let acknowledge = [ClientFrame::Acknowledge { address: inbox(&key(1)), first: 1, last: 1 }];
    tokio::select! {
        answer = &mut waits => panic!("{answer:?}"),
        answer = phone.send(&acknowledge) => assert_eq!(answer.status, 204),
    }
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    let answer = waits.as_mut().await;
    drop(waits);
    // A question that was not read yet is not read any more.
    assert!(matches!(answer.status, 200 | 0), "{}", answer.head);
    if answer.status == 200 {
        let frames: Vec<_> = wire::frames_of(&answer.body).expect("frames").map(NodeFrame::decode).collect();
        assert_eq!(frames, [Ok(NodeFrame::Bye { reason: Reason::Shutdown })]);
    }
    let (status, _, _dir) = tokio::task::spawn_blocking(move || daemon.wait()).await.expect("no panic");
    assert!(status.success());
}
