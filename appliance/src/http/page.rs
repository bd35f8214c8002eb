//! What is served over TLS: the web client, the session, a sign of health, and whom to tell about a weakness.

use super::headers::{self, Host};
use super::portal::PortalPages;
use crate::assets;
use crate::claim::ClaimDesk;
use crate::clocks::Clocks;
use crate::hub::Hub;
use crate::live::Live;
use crate::session::peer::Peers;
use crate::session::poll::Polls;
use crate::session::websocket;
use crate::tls::Certificates;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};
use std::sync::Arc;

/// What the answers need.
#[derive(Debug)]
pub struct Page {
    /// The sessions.
    pub hub: Arc<Hub>,
    /// Those of them that are carried by data channels.
    pub peers: Arc<Peers>,
    /// Those of them that are carried by requests.
    pub polls: Arc<Polls>,
    /// For the expiry in `security.txt`.
    pub clocks: Arc<Clocks>,
    /// For `security.txt`, and for names.
    pub live: Arc<Live>,
    /// Where the box is claimed.
    pub claims: Arc<ClaimDesk>,
    /// The sign-in window, and what asks for it.
    pub portal: Arc<PortalPages>,
    /// Which names others vouch for.
    pub certificates: Arc<Certificates>,
}

/// What to show where the client should be. Its style is left out: it is not one that the policy knows.
const WITHOUT_CLIENT: &str = concat!(
    include_str!("page-head.html"),
    include_str!("without-client.html"),
    include_str!("page-end.html")
);

/// The whole of what is served over TLS.
pub fn router(page: Page) -> Router {
    Router::new().fallback(answer).with_state(Arc::new(page))
}

async fn answer(State(page): State<Arc<Page>>, request: Request<Body>) -> Response<Body> {
    let host = Host::of(request.headers());
    // A phone that cannot verify the answer is worse off than without it (RFC 8908 section 4).
    let trusted =
        host.as_ref().and_then(Host::name).is_some_and(|name| page.certificates.is_supplied_for(name));
    if let Some(host) = host.as_ref().filter(|_| trusted)
        && let Some(response) = page.portal.answer_trusted(host, &request)
    {
        return response;
    }
    let mut response = match (request.method(), request.uri().path()) {
        (&Method::GET, "/session") => websocket::upgrade(&page.hub, request),
        (_, "/session/peer") => page.peers.answer(request).await,
        (_, path) if path.starts_with("/session/") => page.polls.answer(request).await,
        (&Method::POST, "/claim") if page.claims.is_open() => page.claims.answer(request).await,
        (&Method::GET | &Method::HEAD, "/healthz") => plain(StatusCode::OK, "ok\n"),
        (&Method::GET | &Method::HEAD, "/.well-known/security.txt") => security(&page),
        (&Method::GET | &Method::HEAD, path) => file(path, &request),
        (_, _) => {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "this can only be read\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            response
        }
    };
    headers::protect(response.headers_mut(), host.as_ref());
    response
}

fn file(path: &str, request: &Request<Body>) -> Response<Body> {
    match assets::find(path) {
        Some(file) => assets::respond(file, request.headers()),
        None if path == "/" => {
            let mut response = plain(StatusCode::OK, "");
            *response.body_mut() = Body::from(WITHOUT_CLIENT.replace("<style>{{style}}</style>\n", ""));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
            response
        }
        None => plain(StatusCode::NOT_FOUND, "there is no such page\n"),
    }
}

/// RFC 9116.
fn security(page: &Page) -> Response<Body> {
    const YEAR: u64 = 365 * 86_400;
    let settings = page.live.settings();
    let Some(contact) = &settings.security_contact else {
        return plain(StatusCode::NOT_FOUND, "the operator of this box named no contact\n");
    };
    let expires = date(page.clocks.wall().now.0 + YEAR / 2);
    let mut response = plain(StatusCode::OK, "");
    *response.body_mut() =
        Body::from(format!("Contact: {contact}\nExpires: {expires}\nPreferred-Languages: en\n"));
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// RFC 3339, to the day. Days to a civil date by the usual shift of the year to March.
fn date(unix: u64) -> String {
    let days = unix / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T00:00:00Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (unix, text) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_709_164_800, "2024-02-29"),
            (1_795_219_200, "2026-11-21"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(date(unix), format!("{text}T00:00:00Z"));
        }
    }
}
