//! What is served over HTTP: the page over TLS ([`page`]), and the explaining page without it ([`explain`]).
//!
//! Not an API: everything that a client does goes through its session, by whichever way that is carried.
//! Invariant: without TLS nothing is served but the static explanation, the authority's certificate, and
//! redirects; over TLS every answer carries the headers of [`headers`].

pub mod explain;
pub mod headers;
pub mod page;
pub mod portal;

use base::Private;
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use std::net::IpAddr;
use std::time::Duration;

/// Who sends a request: an extension of each.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub Private<IpAddr>);

/// How long a request's head may take, and how long a connection may idle between requests.
pub const HEAD_TIME: Duration = Duration::from_secs(15);
/// How long a connection may live that is no session. A page is loaded in seconds.
pub const CONNECTION_TIME: Duration = Duration::from_secs(300);
/// Headers of one request.
pub const MOST_HEADERS: usize = 64;
/// Bytes of one request's head.
pub const LARGEST_HEAD: usize = 16 * 1024;

/// HTTP/1.1 within these limits.
#[must_use]
pub fn connection() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_headers(MOST_HEADERS)
        .max_buf_size(LARGEST_HEAD)
        .half_close(false);
    builder
}
