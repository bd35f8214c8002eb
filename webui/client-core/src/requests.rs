//! A session by plain requests, where a WebSocket is refused: the client's side of `relay_core::exchange`.
//!
//! The driver makes the requests that [`Requests::poll_request`] gives, and says how each ended. Two are open at a
//! time: one that carries frames to the node, and one that waits for what the node has to say. A request whose answer
//! is lost is made again with the same number, so that nothing is lost or done twice.
//!
//! What it is not: the decision to go this way, which is [`Choice`](crate::Choice)'s.

use base::Instant;
use core::fmt;
use core::time::Duration;
use std::collections::VecDeque;

use wire::Batch;
use zeroize::Zeroizing;

/// Bytes that wait to be sent above which nothing more should be given.
const FULL: usize = 1024 * 1024;

/// How often one request is made before the carrier is given up.
const TRIES: u32 = 4;

/// The first pause before a request is made again; it doubles.
const PAUSE: Duration = Duration::from_millis(250);

/// Which request this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// For a new session.
    Open,
    /// Frames for the node.
    Send,
    /// The question for what the node has to say.
    Poll,
}

/// A request to be made: a POST to `/session/TARGET`.
pub struct Request<'r> {
    /// Says which answer this is.
    pub verb: Verb,
    /// What stands behind `/session/` in its address.
    pub target: String,
    /// The token for `Authorization: Bearer`, once there is one.
    pub token: Option<&'r str>,
    /// Its body.
    pub body: &'r [u8],
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("target", &self.target).finish_non_exhaustive()
    }
}

/// What happened to the carrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestsEvent {
    /// Frames may be sent.
    Up,
    /// One frame from the node.
    Frame(Vec<u8>),
    /// It is over; the last event.
    Down,
}

/// The machine: one carrier, from opening to its end.
#[derive(Default)]
pub struct Requests {
    token: Option<Zeroizing<String>>,
    /// Frames that are in no piece yet; bounded by the driver, which asks [`Requests::is_full`].
    waiting: VecDeque<Vec<u8>>,
    waiting_bytes: usize,
    /// The piece on its way.
    piece: Vec<u8>,
    /// Of the last piece that has arrived.
    sent: u32,
    /// Of the last piece that has come.
    received: u32,
    open: Line,
    send: Line,
    poll: Line,
    events: VecDeque<RequestsEvent>,
    over: bool,
}

/// Requests of one kind, of which one is open at a time.
#[derive(Debug, Default)]
struct Line {
    busy: bool,
    failures: u32,
    not_before: Option<Instant>,
}

impl Line {
    fn is_ready(&self, now: Instant) -> bool {
        !self.busy && self.not_before.is_none_or(|at| at <= now)
    }
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests")
            .field("sent", &self.sent)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

impl Requests {
    /// A carrier that is to be opened.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether frames may be sent.
    pub const fn is_open(&self) -> bool {
        self.token.is_some() && !self.over
    }

    /// The token, for a last request to `close`.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref().map(String::as_str).filter(|_| !self.over)
    }

    /// Whether the frames that wait should become fewer before there are more.
    pub const fn is_full(&self) -> bool {
        self.waiting_bytes > FULL
    }

    /// A frame for the node. What a carrier that is over had not delivered is lost; the client sends it again.
    pub fn send(&mut self, frame: Vec<u8>) {
        if self.is_open() {
            self.waiting_bytes += frame.len();
            self.waiting.push_back(frame);
        }
    }

    /// The next request to make.
    pub fn poll_request(&mut self, now: Instant) -> Option<Request<'_>> {
        if self.over {
            return None;
        }
        if self.token.is_none() {
            let ready = self.open.is_ready(now);
            self.open.busy |= ready;
            return ready.then(|| Request {
                verb: Verb::Open,
                target: "open".into(),
                token: None,
                body: &[],
            });
        }
        let token = self.token.as_deref().map(String::as_str);
        if self.poll.is_ready(now) {
            self.poll.busy = true;
            return Some(Request {
                verb: Verb::Poll,
                target: format!("poll?{}", self.received),
                token,
                body: &[],
            });
        }
        if !self.send.is_ready(now) {
            return None;
        }
        if self.piece.is_empty() {
            let mut batch = Batch::default();
            while !batch.is_full()
                && let Some(frame) = self.waiting.pop_front()
            {
                self.waiting_bytes -= frame.len();
                batch.push(&frame);
            }
            self.piece = batch.into_bytes();
        }
        if self.piece.is_empty() {
            return None;
        }
        self.send.busy = true;
        // The number of pieces in one session stays far below the limit of its type.
        let target = format!("send?{}", self.sent.saturating_add(1));
        Some(Request { verb: Verb::Send, target, token, body: &self.piece })
    }

    /// A request ended: with a status and a body, or with none when there was no answer.
    pub fn handle_answer(&mut self, verb: Verb, answer: Option<(u16, &[u8])>, now: Instant) {
        if self.over {
            return;
        }
        let line = match verb {
            Verb::Open => &mut self.open,
            Verb::Send => &mut self.send,
            Verb::Poll => &mut self.poll,
        };
        line.busy = false;
        match answer {
            // Somebody on the way has trouble, or the node is asked too much.
            None | Some((429 | 500.., _)) => {
                line.failures += 1;
                // Without a session nothing is lost by beginning anew.
                if line.failures >= TRIES || verb == Verb::Open {
                    self.end();
                } else {
                    line.not_before = Some(now + PAUSE * (1 << (line.failures - 1)));
                }
                return;
            }
            Some(_) => {
                line.failures = 0;
                line.not_before = None;
            }
        }
        match (verb, answer) {
            (Verb::Open, Some((200, token))) => match core::str::from_utf8(token) {
                // Hexadecimal digits; anything else is a page of somebody in between.
                Ok(token) if token.len() == 80 && token.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
                    self.token = Some(Zeroizing::new(token.to_owned()));
                    self.events.push_back(RequestsEvent::Up);
                }
                Ok(_) | Err(_) => self.end(),
            },
            (Verb::Send, Some((204, _))) => {
                self.sent = self.sent.saturating_add(1);
                self.piece.clear();
            }
            (Verb::Poll, Some((204, _))) => {}
            (Verb::Poll, Some((200, batch))) => match wire::frames_of(batch) {
                Ok(frames) => {
                    self.received = self.received.saturating_add(1);
                    self.events.extend(frames.map(|frame| RequestsEvent::Frame(frame.to_vec())));
                }
                Err(_) => self.end(),
            },
            (Verb::Open | Verb::Send | Verb::Poll, _) => self.end(),
        }
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<RequestsEvent> {
        self.events.pop_front()
    }

    /// When to ask [`Requests::poll_request`] again.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let lines = [&self.open, &self.send, &self.poll].into_iter();
        lines.filter(|line| !line.busy && !self.over).filter_map(|line| line.not_before).min()
    }

    fn end(&mut self) {
        self.over = true;
        self.waiting.clear();
        self.events.push_back(RequestsEvent::Down);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand_chacha::ChaCha20Rng;
    use rand_core::{RngCore, SeedableRng};
    use relay_core::exchange::{Asked, Exchange, Incoming};

    use super::*;

    const TOKEN: &[u8] = &[b'a'; 80];

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    fn open() -> Requests {
        let mut requests = Requests::new();
        assert_eq!(requests.poll_request(at(0)).map(|request| request.verb), Some(Verb::Open));
        assert!(requests.poll_request(at(0)).is_none());
        requests.handle_answer(Verb::Open, Some((200, TOKEN)), at(0));
        assert_eq!(requests.poll_event(), Some(RequestsEvent::Up));
        requests
    }

    fn next(requests: &mut Requests, now: Instant) -> Option<(String, Vec<u8>)> {
        requests.poll_request(now).map(|request| (request.target.clone(), request.body.to_vec()))
    }

    #[test]
    fn a_request_without_an_answer_is_made_again_as_it_was() {
        let mut requests = open();
        assert_eq!(next(&mut requests, at(0)), Some(("poll?0".into(), vec![])));
        requests.send(b"one".to_vec());
        let first = next(&mut requests, at(0)).unwrap();
        assert_eq!(first.0, "send?1");
        requests.send(b"two".to_vec());
        requests.handle_answer(Verb::Send, None, at(0));
        assert_eq!(next(&mut requests, at(0)), None);
        assert_eq!(requests.poll_timeout(), Some(at(250)));
        assert_eq!(next(&mut requests, at(250)), Some(first));
        requests.handle_answer(Verb::Send, Some((204, &[])), at(250));
        let (target, body) = next(&mut requests, at(250)).unwrap();
        assert_eq!(
            (target.as_str(), wire::frames_of(&body).unwrap().collect()),
            ("send?2", vec![&b"two"[..]])
        );
    }

    #[test]
    fn after_four_failures_it_is_over() {
        for (verb, target) in [(Verb::Poll, "poll?0"), (Verb::Send, "send?1")] {
            let mut requests = open();
            requests.send(b"one".to_vec());
            let mut now = at(0);
            for _ in 0..TRIES {
                let mut made = Vec::new();
                while let Some((target, _)) = next(&mut requests, now) {
                    made.push(target);
                }
                assert!(made.iter().any(|made| made == target), "{made:?}");
                assert_eq!(requests.poll_event(), None);
                requests.handle_answer(verb, Some((502, b"")), now);
                now = requests.poll_timeout().unwrap_or(now);
            }
            assert_eq!(requests.poll_event(), Some(RequestsEvent::Down));
            assert!(next(&mut requests, now + Duration::from_secs(60)).is_none() && !requests.is_open());
        }
    }

    #[test]
    fn what_a_node_would_not_say_ends_it() {
        for (verb, status, body) in [
            (Verb::Poll, 200, &b"<html>"[..]),
            (Verb::Poll, 410, b""),
            (Verb::Send, 409, b""),
            (Verb::Send, 200, b"<html>"),
            (Verb::Poll, 302, b""),
        ] {
            let mut requests = open();
            requests.handle_answer(verb, Some((status, body)), at(0));
            assert_eq!(requests.poll_event(), Some(RequestsEvent::Down), "{verb:?} {status}");
        }
        for (status, body) in [(200, &b"Sign in, please"[..]), (503, b""), (403, b""), (200, &[b'z'; 80])] {
            let mut requests = Requests::new();
            requests.poll_request(at(0));
            requests.handle_answer(Verb::Open, Some((status, body)), at(0));
            assert_eq!(requests.poll_event(), Some(RequestsEvent::Down), "{status}");
        }
    }

    #[test]
    fn frames_that_wait_are_counted_and_sent_together() {
        let mut requests = open();
        while !requests.is_full() {
            requests.send(vec![7; wire::MAX_FRAME]);
        }
        let mut bytes = 0;
        while requests.is_full() {
            let (_, body) = loop {
                let request = next(&mut requests, at(0)).unwrap();
                if request.0.starts_with("send") {
                    break request;
                }
            };
            assert!(body.len() <= wire::MAX_BATCH);
            bytes += body.len();
            requests.handle_answer(Verb::Send, Some((204, &[])), at(0));
        }
        assert!(bytes > 0);
    }

    #[test]
    fn nothing_of_the_token_is_printed() {
        let mut requests = open();
        let shown = format!("{:?} {:?}", requests.poll_request(at(0)).unwrap(), Requests::new());
        assert!(!shown.contains("aaaa"), "{shown}");
    }

    /// The client's machine and the node's, with answers and requests that are lost: everything arrives once, in order.
    #[test]
    fn whatever_is_lost_on_the_way_each_side_gets_everything_once_and_in_order() {
        const FRAMES: u32 = 60;
        for seed in 0..300 {
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            let (mut client, mut node) = (open(), Exchange::<Vec<u8>>::new());
            let (mut to_node, mut to_client) = (0..FRAMES, VecDeque::from_iter(0..FRAMES));
            let (mut at_node, mut at_client) = (Vec::new(), Vec::new());
            let (mut now, mut lost, mut made) = (at(0), BTreeSet::new(), Vec::new());
            while at_node.len() < FRAMES as usize || at_client.len() < FRAMES as usize {
                if rng.next_u32() % 2 == 0
                    && let Some(frame) = to_node.next()
                {
                    client.send(frame.to_be_bytes().to_vec());
                }
                now = now + Duration::from_millis(10);
                made.extend(core::iter::from_fn(|| next(&mut client, now)));
                if made.is_empty() {
                    continue;
                }
                // Both are on their way at once, and end in any order.
                let (target, body) = made.swap_remove(rng.next_u32() as usize % made.len());
                let (verb, number) = target.split_once('?').unwrap();
                let number = number.parse::<u32>().unwrap();
                // Twice in a row at most, so that nobody gives up.
                let lose = rng.next_u32() % 3;
                let lose = if lose < 2 && lost.insert((target.clone(), lose)) { lose } else { 2 };
                let verb = if verb == "send" { Verb::Send } else { Verb::Poll };
                let answer = (lose != 0).then(|| match verb {
                    Verb::Send => {
                        if node.handle_piece(number).unwrap() == Incoming::New {
                            at_node.extend(wire::frames_of(&body).unwrap().map(<[u8]>::to_vec));
                        }
                        (204, Vec::new())
                    }
                    Verb::Open | Verb::Poll => {
                        let batch = match node.handle_question(number).unwrap() {
                            Asked::Again(batch) => batch,
                            Asked::Next => {
                                let mut batch = Batch::default();
                                for _ in 0..rng.next_u32() % 4 {
                                    if let Some(frame) = to_client.pop_front() {
                                        batch.push(&frame.to_be_bytes());
                                    }
                                }
                                let batch = batch.into_bytes();
                                if !batch.is_empty() {
                                    node.hand_out(batch.clone());
                                }
                                batch
                            }
                        };
                        (if batch.is_empty() { 204 } else { 200 }, batch)
                    }
                });
                let answer = answer.as_ref().filter(|_| lose != 1);
                client.handle_answer(verb, answer.map(|(status, body)| (*status, body.as_slice())), now);
                while let Some(event) = client.poll_event() {
                    match event {
                        RequestsEvent::Frame(frame) => at_client.push(frame),
                        other @ (RequestsEvent::Up | RequestsEvent::Down) => panic!("seed {seed}: {other:?}"),
                    }
                }
            }
            let wanted: Vec<_> = (0..FRAMES).map(|frame| frame.to_be_bytes().to_vec()).collect();
            assert_eq!((at_node, at_client), (wanted.clone(), wanted), "seed {seed}");
        }
    }
}
