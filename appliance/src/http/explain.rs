//! The unencrypted page: it explains, offers the authority's certificate, and leads over to HTTPS.
//!
//! Works in the small browser of a captive portal: no script, no picture, nothing fetched.
//! What devices ask that look for the Internet comes here too ([`super::portal`]).

use super::headers::Host;
use super::portal::PortalPages;
use crate::live::Live;
use appliance_core::pki::CaInfo;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use std::sync::Arc;

/// What the page says about this box.
#[derive(Debug)]
pub struct Explanation {
    /// What to trust.
    pub ca: CaInfo,
    /// The port of HTTPS.
    pub https_port: u16,
    /// Names of this box, as they are now.
    pub live: Arc<Live>,
    /// What devices are told that look for the Internet.
    pub portal: Arc<PortalPages>,
}

const POLICY: &str = "default-src 'none'; style-src 'sha256-HASH'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";
pub(super) const STYLE: &str = include_str!("explain.css");
const PAGE: &str =
    concat!(include_str!("page-head.html"), include_str!("explain.html"), include_str!("page-end.html"));

/// The whole of what is served without TLS.
pub fn router(explanation: Explanation) -> Router {
    Router::new().fallback(answer).with_state(Arc::new(explanation))
}

async fn answer(State(box_): State<Arc<Explanation>>, request: Request<Body>) -> Response<Body> {
    let host = Host::of(request.headers());
    if let Some(mut response) = box_.portal.answer(host.as_ref(), &request) {
        harden(&mut response);
        return response;
    }
    let host = host.unwrap_or_else(|| fallback(&box_));
    let secure = format!("https://{}", host.with_port(box_.https_port));
    let mut response = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/") => page(&box_, &secure),
        (&Method::GET | &Method::HEAD, "/ca.crt") => certificate(&box_),
        // Temporary, so that no browser remembers a port or a name that the operator may change.
        (&Method::GET | &Method::HEAD, path) => redirect(&format!("{secure}{path}")),
        (_, _) => {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "this page can only be read\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            response
        }
    };
    harden(&mut response);
    response
}

/// Where to lead those whose request names no host.
fn fallback(box_: &Explanation) -> Host {
    let local = || Host::at(std::net::Ipv4Addr::LOCALHOST.into(), box_.https_port);
    box_.live.names().into_iter().next().map_or_else(local, |name| Host::named(name, box_.https_port))
}

fn harden(response: &mut Response<Body>) {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-frame-options"), HeaderValue::from_static("DENY"));
}

fn page(box_: &Explanation, secure: &str) -> Response<Body> {
    let page = PAGE
        .replace("{{style}}", STYLE)
        .replace("{{secure}}", secure)
        .replace("{{fingerprint}}", &box_.ca.fingerprint.to_string());
    let mut response = Response::new(Body::from(page));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.extend(policy().map(|policy| (CONTENT_SECURITY_POLICY, policy)));
    response
}

/// What a page of ours without script may do.
pub(super) fn policy() -> Option<HeaderValue> {
    HeaderValue::try_from(POLICY.replace("HASH", &style_hash())).ok()
}

fn certificate(box_: &Explanation) -> Response<Body> {
    let mut response = Response::new(Body::from(box_.ca.pem.clone()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-x509-ca-cert"));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"bulle-ca.crt\""));
    response
}

fn redirect(to: &str) -> Response<Body> {
    let mut response = text(StatusCode::TEMPORARY_REDIRECT, "this page is served over HTTPS\n");
    response.headers_mut().extend(HeaderValue::try_from(to).ok().map(|to| (LOCATION, to)));
    response
}

fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// The hash by which the policy knows the one style of the page.
fn style_hash() -> String {
    use sha2::{Digest, Sha256};
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digest: [u8; 32] = Sha256::digest(STYLE.as_bytes()).into();
    let mut text: String = digest
        .chunks(3)
        .flat_map(|chunk| {
            let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
                << (8 * (3 - chunk.len()));
            [18, 12, 6, 0]
                .map(|shift| SIGNS.get((bits >> shift & 63) as usize).map_or('=', |sign| char::from(*sign)))
        })
        .collect();
    // 32 bytes leave one sign over: RFC 4648 section 4 fills it up.
    text.pop();
    text.push('=');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_style_is_named_by_its_hash() {
        let hash = style_hash();
        assert_eq!(hash.len(), 44);
        assert!(hash.ends_with('=') && !hash.trim_end_matches('=').contains('='));
    }

    #[test]
    fn the_page_has_no_script_and_names_no_other_place() {
        assert!(!PAGE.contains("<script") && !PAGE.contains("http://") && !PAGE.contains("src="));
        assert!(PAGE.contains("{{secure}}") && PAGE.contains("{{fingerprint}}"));
    }
}
