//! `POST /claim`: takes the code of the join card, and leaves word for the controller.
//!
//! `appliance_core::claim` judges; this reads the request and makes the file.

use crate::clocks::Clocks;
use crate::files;
use crate::http::Peer;
use crate::http::headers;
use appliance_core::claim::{ClaimHash, Desk, LARGEST_REQUEST, Request as Wish, Verdict};
use appliance_core::clock;
use appliance_core::settings::ControllerSettings;
use axum::body::{Body, to_bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use base::UnixSeconds;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::timeout;
use tracing::{info, warn};
use zeroize::Zeroizing;

/// How long the body of a request may take.
const BODY_TIME: Duration = Duration::from_secs(5);
/// The file in the runtime directory that says that the box was claimed.
const CLAIMED: &str = "claimed";

/// Where a box is claimed, if it can be.
#[derive(Debug)]
pub struct ClaimDesk {
    open: Mutex<Option<Open>>,
    clocks: Arc<Clocks>,
}

#[derive(Debug)]
struct Open {
    hash: ClaimHash,
    desk: Desk,
    runtime: PathBuf,
}

impl ClaimDesk {
    /// As the settings want it.
    #[must_use]
    pub fn new(settings: &ControllerSettings, clocks: Arc<Clocks>) -> Self {
        let desk = Self { open: Mutex::new(None), clocks };
        desk.reconfigure(settings);
        desk
    }

    /// Follows other settings. With the same code those who have to wait go on waiting.
    pub fn reconfigure(&self, settings: &ControllerSettings) {
        let mut open = self.open();
        *open = match (settings.claim, &settings.runtime, open.take()) {
            (Some(hash), Some(runtime), Some(before))
                if before.hash == hash && before.runtime == *runtime =>
            {
                Some(before)
            }
            (Some(hash), Some(runtime), _) => {
                let desk = Desk::new(hash, runtime.join(CLAIMED).exists(), self.clocks.now());
                Some(Open { hash, desk, runtime: runtime.clone() })
            }
            (_, _, _) => None,
        };
    }

    /// Whether there is anything to claim here.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open().is_some()
    }

    /// Addresses from which wrong codes came.
    #[must_use]
    pub fn sources(&self) -> usize {
        self.open().as_ref().map_or(0, |open| open.desk.sources())
    }

    /// Forgets from where wrong codes came.
    pub fn forget(&self) {
        if let Some(open) = self.open().as_mut() {
            open.desk.forget();
        }
    }

    /// Answers a request.
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let peer = request.extensions().get::<Peer>().map(|peer| *peer.0.expose());
        if headers::is_from_elsewhere(request.headers()) {
            return say(StatusCode::FORBIDDEN, "a page from elsewhere cannot claim this box\n");
        }
        // A page from elsewhere could send other types without asking first.
        if !is_json(request.headers()) {
            return say(StatusCode::UNSUPPORTED_MEDIA_TYPE, "this takes application/json\n");
        }
        let body = match timeout(BODY_TIME, to_bytes(request.into_body(), LARGEST_REQUEST)).await {
            Ok(Ok(body)) => Zeroizing::new(body.to_vec()),
            Ok(Err(_)) => return say(StatusCode::PAYLOAD_TOO_LARGE, "this is more than a code\n"),
            Err(_) => return say(StatusCode::REQUEST_TIMEOUT, "this took too long\n"),
        };
        let Some(wish) = Wish::read(&body) else {
            return say(
                StatusCode::BAD_REQUEST,
                "this takes {\"code\": \"...\", \"time\": 1795000000} and nothing else; the time may be missing\n",
            );
        };
        self.judge(&wish, peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
    }

    fn judge(&self, wish: &Wish, from: IpAddr) -> Response<Body> {
        let mut guard = self.open();
        let Some(Open { desk, runtime, .. }) = guard.as_mut() else {
            return say(StatusCode::NOT_FOUND, "there is nothing to claim here\n");
        };
        match desk.handle_attempt(&wish.code, from, self.clocks.now()) {
            Verdict::Accept => match record(runtime, wish.time) {
                Ok(()) => {
                    info!("the box was claimed");
                    say(StatusCode::NO_CONTENT, "")
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => already(),
                Err(error) => {
                    desk.handle_not_recorded();
                    warn!(kind = ?error.kind(), "the claim could not be written to `box.runtime`");
                    say(StatusCode::INTERNAL_SERVER_ERROR, "the claim could not be recorded; try again\n")
                }
            },
            Verdict::Wrong => say(StatusCode::FORBIDDEN, "this is not the code of this box\n"),
            Verdict::Claimed => already(),
            Verdict::Wait(time) => {
                let mut response = say(StatusCode::TOO_MANY_REQUESTS, "too many attempts; wait a moment\n");
                let seconds = time.as_millis().div_ceil(1000).to_string();
                response
                    .headers_mut()
                    .extend(HeaderValue::try_from(seconds).ok().map(|value| (RETRY_AFTER, value)));
                response
            }
        }
    }

    fn open(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leaves word, unless there is one already. It is there as a whole or not at all.
fn record(runtime: &Path, told: Option<UnixSeconds>) -> io::Result<()> {
    let claimed = runtime.join(CLAIMED);
    let word = told.map(clock::to_text).unwrap_or_default();
    let part = files::prepare(&claimed, word.as_bytes(), 0o644)?;
    let linked = fs::hard_link(&part, &claimed);
    // What is left of it says nothing that the word does not, and is in memory.
    let _ = fs::remove_file(&part);
    linked
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn already() -> Response<Body> {
    say(StatusCode::CONFLICT, "this box was claimed already\n")
}

fn say(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if !text.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    }
    response
}
