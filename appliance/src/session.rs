//! How a client's session is carried: frames between sockets and the [`Hub`]; what they mean is the mailbox's
//! business.
//!
//! ```text
//! websocket   GET  /session                       one connection, one message per frame
//! peer        POST /session/peer                  a data channel over UDP, where a WebSocket is refused
//! poll        POST /session/open, send, poll, close   plain requests, where there is no data channel either
//! ```
//!
//! All are drivers of one machine: each gives the frames that come to [`Session::handle_frame`], and writes what
//! [`Session::pull`] gives as soon as its client can take it. Here is what they share: who may open a session, how it
//! is refused, and the limits that do not depend on the way.
//! Invariant: a session that breaks a limit is closed with a word, and no other session notices.

pub mod peer;
pub mod poll;
pub mod websocket;

use crate::http::{Peer, headers};
use crate::hub::{Hub, Session};
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

/// How long one frame may take to pass; who is slower than that is gone.
pub const FRAME_TIME: Duration = Duration::from_secs(30);
/// How long the goodbye may take.
pub const CLOSE_TIME: Duration = Duration::from_secs(2);
/// What a client may do per second, and at once, that moves no frame: pings of the WebSocket itself, requests that
/// only repeat others. The client's own `Ping` is a frame, and counted by the mailbox.
pub const CONTROL_PER_SECOND: u32 = 4;
/// See [`CONTROL_PER_SECOND`].
pub const CONTROL_BURST: u32 = 32;

/// Why a request got no session, or nothing of one.
#[derive(Clone, Copy, Debug)]
struct Refused {
    status: StatusCode,
    text: &'static str,
    /// What else its head says, by names in small letters.
    more: &'static [(&'static str, &'static str)],
}

impl Refused {
    const fn new(status: StatusCode, text: &'static str) -> Self {
        Self { status, text, more: &[] }
    }

    const fn saying(self, more: &'static [(&'static str, &'static str)]) -> Self {
        Self { more, ..self }
    }
}

impl From<Refused> for Response<Body> {
    fn from(refused: Refused) -> Self {
        let mut response = Self::new(Body::from(refused.text));
        *response.status_mut() = refused.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for &(name, value) in refused.more {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        response
    }
}

/// There is no room for another session.
const FULL: Refused =
    Refused::new(StatusCode::SERVICE_UNAVAILABLE, "as many are connected as there may be\n")
        .saying(&[("retry-after", "10")]);

/// Whoever asks is not a page of another origin: that must not act with this box in its visitor's name.
fn same_origin(request: &HeaderMap) -> Result<(), Refused> {
    if headers::is_from_elsewhere(request) {
        return Err(Refused::new(
            StatusCode::FORBIDDEN,
            "a page from elsewhere cannot open a session here\n",
        ));
    }
    Ok(())
}

/// The same for a request that a page makes by `fetch`, and that it is a POST.
fn is_own_post(request: &Request<Body>) -> Result<(), Refused> {
    if request.method() != Method::POST {
        let refused = Refused::new(StatusCode::METHOD_NOT_ALLOWED, "this takes POST\n");
        return Err(refused.saying(&[("allow", "POST")]));
    }
    same_origin(request.headers())?;
    if headers::is_fetched_from_elsewhere(request.headers()) {
        return Err(Refused::new(StatusCode::FORBIDDEN, "a page from elsewhere cannot use a session here\n"));
    }
    Ok(())
}

/// For whom a request counts.
fn source(request: &Request<Body>) -> IpAddr {
    let peer = request.extensions().get::<Peer>().map(|peer| *peer.0.expose());
    peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// A new session, whichever way it will be carried.
fn open(hub: &Arc<Hub>) -> Result<Session, Refused> {
    hub.open().map_err(|_| FULL)
}
