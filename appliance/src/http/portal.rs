//! What devices hear that look for the Internet, and the page of the small sign-in window that some open.
//!
//! `appliance_core::portal` decides who hears what. Without TLS this answers for the hosts of the devices' makers;
//! with TLS, and a certificate that they trust, it is the captive portal API of RFC 8908.

use super::Peer;
use super::explain;
use super::headers::{self, Host};
use crate::clocks::Clocks;
use crate::live::Live;
use appliance_core::portal::probes::Answer;
use appliance_core::portal::{Portal, Verdict};
use appliance_core::settings::Probes;
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The page of the sign-in window.
const WELCOME: &str = "/welcome";
/// Where it leads when somebody has read it.
const GO_ON: &str = "/welcome/go-on";
/// Where DHCP may say that the API is (option 114, RFC 8910).
const API: &str = "/captive-portal/api";
const PAGE: &str =
    concat!(include_str!("page-head.html"), include_str!("welcome.html"), include_str!("page-end.html"));
const DONE: &str =
    concat!(include_str!("page-head.html"), include_str!("welcome-done.html"), include_str!("page-end.html"));

/// Answers what devices ask that look for the Internet.
#[derive(Debug)]
pub struct PortalPages {
    portal: Mutex<Portal>,
    live: Arc<Live>,
    clocks: Arc<Clocks>,
    http_port: u16,
    https_port: u16,
}

impl PortalPages {
    /// As the settings want it; the ports are those on which the box is reached.
    #[must_use]
    pub fn new(live: Arc<Live>, clocks: Arc<Clocks>, http_port: u16, https_port: u16) -> Self {
        let portal = Mutex::new(Portal::new(live.settings().probes));
        Self { portal, live, clocks, http_port, https_port }
    }

    /// Follows other settings.
    pub fn reconfigure(&self) {
        self.portal().handle_settings(self.live.settings().probes);
    }

    /// Devices that have seen the page of the sign-in window.
    #[must_use]
    pub fn devices(&self) -> usize {
        self.portal().devices()
    }

    /// Forgets who has seen it.
    pub fn forget(&self) {
        self.portal().forget();
    }

    /// The answer to a request without TLS; `None` when it is for the box itself.
    pub(super) fn answer(&self, host: Option<&Host>, request: &Request<Body>) -> Option<Response<Body>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return None;
        }
        let (path, from, now) = (request.uri().path(), from(request), self.clocks.now());
        let name = host.and_then(Host::name).map_or("", |name| name.as_str());
        let verdict = self.portal().handle_request(name, path, from, now);
        match verdict {
            Verdict::Answer(answer) => Some(probe(answer)),
            Verdict::Nothing => Some(text(StatusCode::NOT_FOUND, "there is no Internet here\n")),
            Verdict::Show => Some(self.lead_to_page()),
            Verdict::NotAProbe if self.portal().probes() == Probes::Portal => self.page(path, from),
            Verdict::NotAProbe => None,
        }
    }

    /// The answer to a request over TLS under a name that the device trusts.
    pub(super) fn answer_trusted(&self, host: &Host, request: &Request<Body>) -> Option<Response<Body>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return None;
        }
        let probes = self.portal().probes();
        let mut response = match (request.uri().path(), probes) {
            (_, Probes::Offline) => return None,
            (API, Probes::Online | Probes::Portal) => {
                let captive = self.portal().is_captive(from(request), self.clocks.now());
                api(captive, host)
            }
            (path, Probes::Portal) => self.page(path, from(request))?,
            (_, Probes::Online) => return None,
        };
        let policy = response.headers_mut().remove(CONTENT_SECURITY_POLICY);
        headers::protect(response.headers_mut(), Some(host));
        response.headers_mut().extend(policy.map(|policy| (CONTENT_SECURITY_POLICY, policy)));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Some(response)
    }

    /// The pages of the sign-in window.
    fn page(&self, path: &str, from: IpAddr) -> Option<Response<Body>> {
        match path {
            WELCOME => Some(self.html(PAGE)),
            GO_ON => {
                self.portal().handle_go_on(from, self.clocks.now());
                Some(self.html(DONE))
            }
            _ => None,
        }
    }

    fn html(&self, page: &str) -> Response<Body> {
        let name = self.live.main_name();
        let host = name.map(|name| Host::named(name, self.https_port));
        let secure = host.map_or_else(String::new, |host| format!("https://{host}"));
        let page = page.replace("{{style}}", explain::STYLE).replace("{{secure}}", &secure);
        let mut response = Response::new(Body::from(page));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.extend(explain::policy().map(|policy| (CONTENT_SECURITY_POLICY, policy)));
        response
    }

    fn lead_to_page(&self) -> Response<Body> {
        let mut response = text(StatusCode::FOUND, "please look at the page of this network\n");
        let name = self.live.main_name().map(|name| name.to_string()).unwrap_or_default();
        let port = if self.http_port == 80 { String::new() } else { format!(":{}", self.http_port) };
        let to = HeaderValue::try_from(format!("http://{name}{port}{WELCOME}"));
        response.headers_mut().extend(to.ok().map(|to| (LOCATION, to)));
        response
    }

    fn portal(&self) -> MutexGuard<'_, Portal> {
        self.portal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn from(request: &Request<Body>) -> IpAddr {
    let peer = request.extensions().get::<Peer>();
    peer.map_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), |peer| *peer.0.expose())
}

fn probe(answer: &'static Answer) -> Response<Body> {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    headers.extend(answer.content_type.map(|kind| (CONTENT_TYPE, HeaderValue::from_static(kind))));
    let more =
        answer.header.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    headers.extend(more);
    response
}

/// RFC 8908 section 5.
fn api(captive: bool, host: &Host) -> Response<Body> {
    let body = if captive {
        format!("{{\"captive\": true, \"user-portal-url\": \"https://{host}{WELCOME}\"}}\n")
    } else {
        "{\"captive\": false}\n".to_owned()
    };
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/captive+json"));
    response
}

fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_have_no_script_and_name_no_other_place() {
        for page in [PAGE, DONE] {
            assert!(!page.contains("<script") && !page.contains("http:") && !page.contains("src="));
            assert!(page.contains("{{style}}") && page.contains("{{secure}}"));
        }
        assert!(PAGE.contains(&format!("href=\"{GO_ON}\"")));
    }

    #[test]
    fn every_answer_of_the_table_can_be_sent() {
        use appliance_core::portal::probes::NAMES;
        for name in NAMES {
            for path in ["/generate_204", "/hotspot-detect.html", "/connecttest.txt", "/success.txt", "/"] {
                let Some(answer) = name.answer(path) else { continue };
                assert_eq!(probe(answer).status().as_u16(), answer.status);
            }
        }
    }
}
