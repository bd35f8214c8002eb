//! A session over plain requests, for a browser to which a WebSocket is refused: by a proxy, by a policy, or by an
//! iPhone for a certificate that pages may use.
//!
//! Here is what requests are: who may make them, how large and how slow they may be, and which session they belong to.
//! [`carrier`] is the session behind them. `docs/protocol/session.md` describes both.
//! Invariant: a request without the token of an open session reaches nothing, and nothing of a request is kept or
//! logged. An address is kept only while a session from it is open, to be counted.

mod carrier;

use self::carrier::Command;
use super::{FRAME_TIME, FULL, Refused};
use crate::accept::{Gate, Permit};
use crate::hub::{Hub, Session};
use axum::body::{Body, HttpBody, to_bytes};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use bytes::Bytes;
use rand_core::OsRng;
use relay_core::exchange::{Place, Token};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

pub use self::carrier::HOLD;

/// Sessions of this kind at a time, all together. Fewer than of the other: each may keep a piece of
/// [`wire::MAX_BATCH`] bytes that its client has not confirmed.
pub const MOST: usize = 1024;
/// Requests of one session whose bodies are read at a time: one, and the same again when that is stuck somewhere.
const BODIES: usize = 2;
/// Requests of one session that its task has not looked at.
const COMMANDS: usize = 4;

/// It never was, or is over; from outside that is the same.
const GONE: Refused = Refused::new(StatusCode::GONE, "this session is over\n");
/// Of a piece, told by its head or found when it is read.
const TOO_LARGE: Refused = Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "this is more than a session takes\n");

#[derive(Clone, Copy, Debug)]
enum Verb {
    Open,
    Send,
    Poll,
    Close,
}

/// The sessions that are carried by requests.
pub struct Polls {
    hub: Arc<Hub>,
    gate: Arc<Gate>,
    /// As many as the gate has let in.
    open: Mutex<HashMap<Place, Arc<Entry>>>,
}

/// How requests reach their session.
struct Entry {
    token: Token,
    commands: mpsc::Sender<Command>,
    bodies: Semaphore,
}

impl fmt::Debug for Polls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Polls").field("sessions", &self.count()).finish_non_exhaustive()
    }
}

impl Polls {
    /// None yet, and at most so many from one source.
    #[must_use]
    pub fn new(hub: Arc<Hub>, per_source: usize) -> Arc<Self> {
        Arc::new(Self { hub, gate: Gate::new(MOST, per_source), open: Mutex::default() })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.gate.count()
    }

    /// Answers a request for `/session/VERB`.
    pub async fn answer(self: &Arc<Self>, request: Request<Body>) -> Response<Body> {
        let verb = match request.uri().path() {
            "/session/open" => Verb::Open,
            "/session/send" => Verb::Send,
            "/session/poll" => Verb::Poll,
            "/session/close" => Verb::Close,
            _ => {
                return Refused::new(StatusCode::NOT_FOUND, "a session has open, send, poll and close\n")
                    .into();
            }
        };
        self.carry_out(verb, request).await.unwrap_or_else(Response::from)
    }

    async fn carry_out(
        self: &Arc<Self>,
        verb: Verb,
        request: Request<Body>,
    ) -> Result<Response<Body>, Refused> {
        super::is_own_post(&request)?;
        let entry = match verb {
            Verb::Open => return self.open(&request),
            Verb::Send | Verb::Poll | Verb::Close => self.entry(request.headers())?,
        };
        match verb {
            Verb::Send => send(&entry, request).await,
            Verb::Poll => poll(&entry, number(&request)?).await,
            Verb::Open | Verb::Close => {
                // When it is over already, that is what was wanted.
                let _ = entry.commands.send(Command::Close).await;
                Ok(done())
            }
        }
    }

    fn open(self: &Arc<Self>, request: &Request<Body>) -> Result<Response<Body>, Refused> {
        let permit = self.gate.admit(super::source(request)).ok_or(FULL)?;
        let session = super::open(&self.hub)?;
        let token = Token::random(&mut OsRng);
        let mut response = Response::new(Body::from(token.expose().to_vec()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        self.begin(token, session, permit);
        Ok(response)
    }

    fn begin(self: &Arc<Self>, token: Token, session: Session, permit: Permit) {
        let (commands, received) = mpsc::channel(COMMANDS);
        let place = token.place();
        let entry = Entry { token, commands, bodies: Semaphore::new(BODIES) };
        self.table().insert(place, Arc::new(entry));
        let polls = Arc::clone(self);
        tokio::spawn(async move {
            carrier::run(&session, received).await;
            polls.table().remove(&place);
            drop((session, permit));
        });
    }

    /// The session that this request belongs to.
    fn entry(&self, request: &HeaderMap) -> Result<Arc<Entry>, Refused> {
        let Some(token) = token(request) else {
            let refused = Refused::new(StatusCode::UNAUTHORIZED, "this needs the token of a session\n");
            return Err(refused.saying(&[("www-authenticate", "Bearer")]));
        };
        let entry = self.table().get(&token.place()).cloned();
        entry.filter(|entry| entry.token.is(&token)).ok_or(GONE)
    }

    fn table(&self) -> MutexGuard<'_, HashMap<Place, Arc<Entry>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn send(entry: &Entry, request: Request<Body>) -> Result<Response<Body>, Refused> {
    let number = number(&request)?;
    if request.body().size_hint().lower() > wire::MAX_BATCH as u64 {
        return Err(TOO_LARGE);
    }
    let Ok(_place) = entry.bodies.try_acquire() else {
        let refused = Refused::new(StatusCode::TOO_MANY_REQUESTS, "one piece after the other\n");
        return Err(refused.saying(&[("retry-after", "1")]));
    };
    let batch = match timeout(FRAME_TIME, to_bytes(request.into_body(), wire::MAX_BATCH)).await {
        Ok(Ok(batch)) => batch,
        // Too large, or cut short: which of the two, the client knows.
        Ok(Err(_)) => return Err(TOO_LARGE),
        Err(_) => return Err(Refused::new(StatusCode::REQUEST_TIMEOUT, "this took too long\n")),
    };
    if wire::frames_of(&batch).is_err() {
        let _ = entry.commands.send(Command::Close).await;
        return Err(Refused::new(StatusCode::BAD_REQUEST, "these are no frames; the session is closed\n"));
    }
    ask(entry, |reply| Command::Send { number, batch, reply }).await?;
    Ok(done())
}

async fn poll(entry: &Entry, has: u32) -> Result<Response<Body>, Refused> {
    let batch = ask(entry, |reply| Command::Poll { has, reply }).await?;
    if batch.is_empty() {
        return Ok(done());
    }
    let mut response = Response::new(Body::from(batch));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Asks the session's task, which answers with the bytes of a piece, or none.
async fn ask(entry: &Entry, command: impl FnOnce(carrier::Reply) -> Command) -> Result<Bytes, Refused> {
    let (reply, answer) = oneshot::channel();
    entry.commands.send(command(reply)).await.map_err(|_| GONE)?;
    let conflict = |_| Refused::new(StatusCode::CONFLICT, "this number does not follow the ones before\n");
    answer.await.map_err(|_| GONE)?.map_err(conflict)
}

/// The token that a request shows, as RFC 6750 has it; `None` when there is none, or more than one.
fn token(request: &HeaderMap) -> Option<Token> {
    let mut all = request.get_all(AUTHORIZATION).iter();
    let only = all.next().filter(|_| all.next().is_none())?;
    Token::parse(only.as_bytes().strip_prefix(b"Bearer ")?)
}

/// The number of a piece, which stands behind the `?`.
fn number(request: &Request<Body>) -> Result<u32, Refused> {
    let number = request.uri().query().and_then(|query| query.parse().ok());
    number.ok_or_else(|| Refused::new(StatusCode::BAD_REQUEST, "the number of the piece is missing\n"))
}

fn done() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
