//! The headers that keep the page to itself.

use appliance_core::names::DnsName;
use axum::http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The same for every answer. No HSTS: a browser that remembers it for a certificate of a private authority locks
/// its owner out for good when the authority changes.
const FIXED: [(HeaderName, &str); 6] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// What a document may use, and whatever stands in it.
const PERMISSIONS: &str = "camera=(self), microphone=(self), display-capture=(self), accelerometer=(), autoplay=(self), \
                           browsing-topics=(), geolocation=(), gyroscope=(), hid=(), idle-detection=(), \
                           magnetometer=(), midi=(), payment=(), publickey-credentials-get=(self), \
                           screen-wake-lock=(self), serial=(), usb=(), xr-spatial-tracking=()";
/// What no browser makes a document of, so that it has no such permissions: without them the first screen is there
/// two kilobytes sooner.
const NO_DOCUMENTS: [&str; 4] =
    ["text/javascript", "text/css", "application/wasm", "application/manifest+json"];

/// A host as a browser names it in `Host`, checked so that it can stand in a header or a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    name: Name,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Dns(DnsName),
    Ip(IpAddr),
}

impl Host {
    /// The `Host` header of a request; `None` when it is missing, given twice, or no host.
    #[must_use]
    pub fn of(request: &HeaderMap) -> Option<Self> {
        let mut all = request.get_all(HOST).iter();
        let only = all.next().filter(|_| all.next().is_none())?;
        Self::parse(only.to_str().ok()?)
    }

    /// `name`, `name:port`, `192.0.2.1:port`, `[2001:db8::1]:port`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix('[') {
            let (address, rest) = rest.split_once(']')?;
            let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?.parse().ok()?) };
            return Some(Self { name: Name::Ip(address.parse::<Ipv6Addr>().ok()?.into()), port });
        }
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, Some(port.parse().ok()?)),
            None => (text, None),
        };
        let ip = name.parse::<std::net::Ipv4Addr>().ok().map(|v4| Name::Ip(v4.into()));
        Some(Self { name: ip.or_else(|| DnsName::parse(name).map(Name::Dns))?, port })
    }

    /// Its name, where it has one.
    #[must_use]
    pub const fn name(&self) -> Option<&DnsName> {
        match &self.name {
            Name::Dns(name) => Some(name),
            Name::Ip(_) => None,
        }
    }

    /// The same host with another port.
    #[must_use]
    pub fn with_port(&self, port: u16) -> Self {
        Self { name: self.name.clone(), port: Some(port) }
    }

    /// A host of that name.
    #[must_use]
    pub const fn named(name: DnsName, port: u16) -> Self {
        Self { name: Name::Dns(name), port: Some(port) }
    }

    /// A host of that address.
    #[must_use]
    pub const fn at(address: IpAddr, port: u16) -> Self {
        Self { name: Name::Ip(address), port: Some(port) }
    }
}

impl fmt::Display for Host {
    /// As in a URL; the port of HTTPS itself is left out, as browsers do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Name::Dns(name) => write!(f, "{name}")?,
            Name::Ip(IpAddr::V4(v4)) => write!(f, "{v4}")?,
            Name::Ip(IpAddr::V6(v6)) => write!(f, "[{v6}]")?,
        }
        match self.port {
            Some(443) | None => Ok(()),
            Some(port) => write!(f, ":{port}"),
        }
    }
}

/// Whether a page of another origin sends this: browsers say where it comes from, programs say nothing.
#[must_use]
pub fn is_from_elsewhere(request: &HeaderMap) -> bool {
    request.get(ORIGIN).is_some_and(|origin| {
        let host = Host::of(request).map(|host| format!("https://{host}"));
        host.is_none() || host.as_deref() != origin.to_str().ok()
    })
}

/// Whether a browser says that a page of another site or origin asks for this (Fetch Metadata); those who say nothing
/// are programs, and browsers of before 2023.
#[must_use]
pub fn is_fetched_from_elsewhere(request: &HeaderMap) -> bool {
    request.get_all("sec-fetch-site").iter().any(|site| site != "same-origin")
}

/// Adds the headers that every answer over TLS carries.
pub fn protect(answer: &mut HeaderMap, host: Option<&Host>) {
    for (name, value) in FIXED {
        answer.insert(name, HeaderValue::from_static(value));
    }
    let kind = answer.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !NO_DOCUMENTS.iter().any(|other| kind.starts_with(other)) {
        answer.insert(HeaderName::from_static("permissions-policy"), HeaderValue::from_static(PERMISSIONS));
    }
    // 'self' covers wss: to the same host in today's browsers, and not in those of a few years ago.
    let socket = host.map(|host| format!(" wss://{host}")).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'{socket}; \
         img-src 'self' blob: data:; media-src 'self' blob:; font-src 'self'; worker-src 'self'; \
         manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types bulle"
    );
    if let Ok(policy) = HeaderValue::try_from(policy) {
        answer.insert(CONTENT_SECURITY_POLICY, policy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_read_as_browsers_write_it() {
        for (text, shown) in [
            ("Bulle.local:8443", "bulle.local:8443"),
            ("bulle.local", "bulle.local"),
            ("10.0.0.1:443", "10.0.0.1"),
            ("[::1]:8443", "[::1]:8443"),
            ("[fd00::1]", "[fd00::1]"),
        ] {
            assert_eq!(Host::parse(text).map(|host| host.to_string()).as_deref(), Some(shown));
        }
    }

    #[test]
    fn a_host_cannot_smuggle_anything_into_a_header_or_a_page() {
        for text in [
            "", ":8443", "a b", "a;b", "a\"b", "<b>", "a:99999", "[::1", "[::1]x", "[a]", "a/b", "a:b:c",
            "x@y",
        ] {
            assert_eq!(Host::parse(text), None, "{text}");
        }
        let mut twice = HeaderMap::new();
        twice.append(HOST, HeaderValue::from_static("a"));
        twice.append(HOST, HeaderValue::from_static("b"));
        assert_eq!(Host::of(&twice), None);
    }

    #[test]
    fn whatever_may_become_a_document_says_what_it_may_use() {
        for (kind, says) in [
            ("", true),
            ("text/html; charset=utf-8", true),
            ("image/svg+xml", true),
            ("application/octet-stream", true),
            ("text/javascript; charset=utf-8", false),
            ("application/wasm", false),
        ] {
            let mut answer = HeaderMap::new();
            if !kind.is_empty() {
                answer.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            }
            protect(&mut answer, None);
            assert_eq!(answer.contains_key("permissions-policy"), says, "{kind}");
            assert!(answer.contains_key("x-content-type-options"));
        }
    }

    #[test]
    fn the_policy_allows_no_inline_script_and_no_other_host() {
        let mut answer = HeaderMap::new();
        protect(&mut answer, Host::parse("bulle.local:8443").as_ref());
        let policy = answer[CONTENT_SECURITY_POLICY].to_str().expect("text");
        assert!(
            !policy.contains("'unsafe-inline'")
                && !policy.contains("'unsafe-eval'")
                && !policy.contains("http")
        );
        assert!(policy.contains("connect-src 'self' wss://bulle.local:8443;"));
        assert!(!answer.contains_key("strict-transport-security"));
    }
}
