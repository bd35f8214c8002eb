//! The web client, embedded when this program was built.
//!
//! Not a file server: nothing is read while the daemon runs, and no path leads anywhere.

use axum::body::Body;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use bytes::Bytes;

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// One file of the web client.
#[derive(Debug)]
pub struct File {
    name: &'static str,
    tag: &'static str,
    raw: &'static [u8],
    br: Option<&'static [u8]>,
    gz: Option<&'static [u8]>,
}

/// Hexadecimal digits of the content hash that the build puts into names: `page-0123456789abcdef.js`.
const HASH_DIGITS: usize = 16;

/// The file of that name; a page also by its name alone, the first one by none.
#[must_use]
pub fn find(path: &str) -> Option<&'static File> {
    let name = path.strip_prefix('/').unwrap_or(path);
    match name {
        "" => named("index.html"),
        name => named(name).or_else(|| named(&format!("{name}.html"))),
    }
}

fn named(name: &str) -> Option<&'static File> {
    FILES.binary_search_by(|file| file.name.cmp(name)).ok().and_then(|at| FILES.get(at))
}

/// The answer to a request for `file`.
#[must_use]
pub fn respond(file: &'static File, request: &HeaderMap) -> Response<Body> {
    let (coding, bytes) = encoded(file, request);
    let tag = format!("\"{}{}\"", file.tag, coding.map(|coding| format!("-{coding}")).unwrap_or_default());
    let unchanged = request.get(IF_NONE_MATCH).is_some_and(|known| {
        known
            .to_str()
            .is_ok_and(|known| known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag))
    });
    let mut response =
        Response::new(if unchanged { Body::empty() } else { Body::from(Bytes::from_static(bytes)) });
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type(file.name)));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    // A hashed name never changes its content; everything else is asked for again each time.
    let cache = if is_hashed(file.name) { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(ETAG, tag);
    }
    if let (Some(coding), false) = (coding, unchanged) {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    response
}

/// The smallest form that the client takes.
fn encoded(file: &File, request: &HeaderMap) -> (Option<&'static str>, &'static [u8]) {
    let accepted = request.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match (file.br, file.gz) {
        (Some(br), _) if accepts(accepted, "br") => (Some("br"), br),
        (_, Some(gz)) if accepts(accepted, "gzip") => (Some("gzip"), gz),
        (_, _) => (None, file.raw),
    }
}

/// Whether a coding stands in the list with a weight above zero (RFC 9110 section 12.5.3).
fn accepts(list: &str, coding: &str) -> bool {
    list.split(',').any(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(coding));
        let refused = parts
            .any(|weight| weight.strip_prefix("q=").is_some_and(|q| q.parse().is_ok_and(|q: f32| q <= 0.0)));
        named && !refused
    })
}

fn is_hashed(name: &str) -> bool {
    name.rsplit_once('.').and_then(|(stem, _)| stem.rsplit_once('-')).is_some_and(|(_, hash)| {
        hash.len() == HASH_DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "wasm" => "application/wasm",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coding_is_taken_only_where_it_is_accepted() {
        assert!(accepts("gzip, deflate, br, zstd", "br"));
        assert!(accepts("BR;q=0.5", "br"));
        for refused in ["", "gzip", "br;q=0", "br; q=0.0", "brotli"] {
            assert!(!accepts(refused, "br"), "{refused}");
        }
    }

    #[test]
    fn only_names_with_a_content_hash_are_kept_for_good() {
        assert!(is_hashed("page-0123456789abcdef.js"));
        for plain in ["index.html", "manifest.webmanifest", "page-0123.js", "page-0123456789abcdeg.js"] {
            assert!(!is_hashed(plain), "{plain}");
        }
    }

    #[test]
    fn the_table_is_sorted_so_that_every_file_is_found() {
        for file in FILES {
            assert_eq!(find(&format!("/{}", file.name)).map(|found| found.name), Some(file.name));
        }
        assert!(find("/../Cargo.toml").is_none());
    }

    #[test]
    fn a_page_is_found_by_its_name_alone() {
        for page in FILES.iter().filter_map(|file| file.name.strip_suffix(".html")) {
            assert_eq!(
                find(&format!("/{page}")).map(|found| media_type(found.name)),
                Some("text/html; charset=utf-8")
            );
        }
        assert_eq!(find("/").map(|found| found.name), find("/index").map(|found| found.name));
    }
}
