//! One session over its data channel: the task that stands where the WebSocket has its connection.

use super::super::{CLOSE_TIME, FRAME_TIME};
use super::endpoint::{Endpoint, News};
use super::mux::MOST_SOURCES;
use super::socket::Socket;
use crate::hub::Session;
use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// How long a client may take from its offer until the channel is open.
pub(super) const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// A datagram of this client.
pub(super) struct Datagram {
    pub(super) bytes: Bytes,
    pub(super) from: SocketAddr,
    pub(super) way: Way,
}

/// How a client is reached: as it has reached us.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) socket: Arc<Socket>,
    pub(super) local: Option<IpAddr>,
}

/// Carries the session until it is over or its client is gone.
pub(super) async fn run(session: &Session, endpoint: Endpoint, mut inbox: mpsc::Receiver<Datagram>) {
    let opens_by = Instant::now() + HANDSHAKE_TIME;
    let mut carrier =
        Carrier { session, endpoint, ways: Vec::new(), open: false, stuck: None, closes_at: None };
    loop {
        let until = Instant::from_std(carrier.endpoint.poll_timeout());
        tokio::select! {
            datagram = inbox.recv() => match datagram {
                Some(datagram) => carrier.handle_datagram(datagram),
                None => return,
            },
            () = session.woken() => {}
            () = sleep_until(until) => {}
            () = sleep_until(opens_by), if !carrier.open => return,
            () = sleep_until(carrier.ends_at()), if carrier.may_end() => return carrier.close(),
        }
        if carrier.step().is_none() {
            return;
        }
    }
}

struct Carrier<'s> {
    session: &'s Session,
    endpoint: Endpoint,
    /// At most [`MOST_SOURCES`]: the table lets no others through.
    ways: Vec<(SocketAddr, Way)>,
    open: bool,
    /// Since when the client has taken nothing of what it should.
    stuck: Option<Instant>,
    /// The session is over; until then its last words may arrive.
    closes_at: Option<Instant>,
}

impl Carrier<'_> {
    fn handle_datagram(&mut self, Datagram { bytes, from, way }: Datagram) {
        if let Some((_, known)) = self.ways.iter_mut().find(|(known, _)| *known == from) {
            *known = way;
        } else if self.ways.len() < MOST_SOURCES {
            self.ways.push((from, way));
        }
        self.endpoint.handle_datagram(from, &bytes, Instant::now().into_std());
    }

    /// Moves everything on; `None` when it is over.
    fn step(&mut self) -> Option<()> {
        let now = Instant::now();
        if self.endpoint.poll_timeout() <= now.into_std() {
            self.endpoint.handle_timeout(now.into_std());
        }
        let over = self.learn();
        // Asked before: the last frame is there to be pulled when the session is over, and not after a pull of before.
        let ending = self.session.is_over();
        self.pull(now);
        self.transmit();
        if over {
            return None;
        }
        if ending {
            self.closes_at = Some(self.closes_at.unwrap_or(now + CLOSE_TIME));
            if self.endpoint.is_drained() {
                self.close();
                return None;
            }
        }
        Some(())
    }

    /// Hears what happened; whether it is over.
    fn learn(&mut self) -> bool {
        let mut over = false;
        while let Some(news) = self.endpoint.poll_event() {
            match news {
                News::Open => self.open = true,
                // After a violation what is left to pull ends with `Bye`.
                News::Frame(frame) => _ = self.session.handle_frame(&frame),
                News::Over => over = true,
            }
        }
        over
    }

    /// Gives the client what there is for it, as far as it takes it.
    fn pull(&mut self, now: Instant) {
        while self.endpoint.is_ready() {
            let mut frame = Vec::new();
            if !self.session.pull(&mut frame) {
                break;
            }
            self.endpoint.send(&frame, now.into_std());
        }
        self.stuck = self.endpoint.is_stuck().then(|| self.stuck.unwrap_or(now));
    }

    fn transmit(&mut self) {
        while let Some(transmit) = self.endpoint.poll_transmit() {
            if let Some((_, way)) = self.ways.iter().find(|(known, _)| *known == transmit.to) {
                way.socket.send(&transmit.bytes, way.local, transmit.to);
            }
        }
    }

    const fn may_end(&self) -> bool {
        self.stuck.is_some() || self.closes_at.is_some()
    }

    /// When the client is given up that takes nothing, and when the goodbye is no longer waited for.
    fn ends_at(&self) -> Instant {
        let stuck = self.stuck.map(|since| since + FRAME_TIME);
        [stuck, self.closes_at].into_iter().flatten().min().unwrap_or_else(Instant::now)
    }

    fn close(&mut self) {
        self.endpoint.close();
        self.transmit();
    }
}
