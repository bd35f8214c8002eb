//! What is served over HTTP, with TLS and without.

use crate::support::{Answer, Daemon, PATIENCE, TempDir};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::version;

fn assert_protected(answer: &Answer, port: u16) {
    let policy = answer.header("content-security-policy").expect("a policy");
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; ")
    );
    assert!(policy.contains(&format!("connect-src 'self' wss://bulle.local:{port};")), "{policy}");
    assert!(policy.ends_with("require-trusted-types-for 'script'; trusted-types bulle"), "{policy}");
    for (name, value) in [
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-embedder-policy", "require-corp"),
        ("cross-origin-resource-policy", "same-origin"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
    ] {
        assert_eq!(answer.header(name), Some(value));
    }
    assert_eq!(answer.header("strict-transport-security"), None);
    assert_eq!(answer.header("server"), None);
}

#[tokio::test]
async fn every_answer_over_tls_carries_the_headers_that_protect_the_page() {
    let daemon = Daemon::start();
    for (path, status) in [("/", 200), ("/healthz", 200), ("/nowhere", 404), ("/session", 426)] {
        let answer = daemon.get(path, "").await;
        assert_eq!(answer.status, status, "{path}");
        assert_protected(&answer, daemon.https);
    }
    assert_eq!(daemon.get("/healthz", "").await.text(), "ok\n");
}

#[tokio::test]
async fn the_page_is_html_and_asked_for_again_each_time() {
    let daemon = Daemon::start();
    let answer = daemon.get("/", "").await;
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(matches!(answer.header("cache-control"), Some("no-cache" | "no-store")));
    assert!(answer.text().starts_with("<!doctype html>"));
}

#[cfg(webui)]
#[tokio::test]
async fn a_file_of_the_client_is_served_packed_and_known_by_its_tag() {
    let daemon = Daemon::start();
    let page = daemon.get("/", "").await;
    let script = page.text().split('"').find(|text| text.starts_with("/boot-")).expect("a script").to_owned();
    let raw = daemon.get(&script, "").await;
    assert_eq!(raw.header("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(raw.header("content-type"), Some("text/javascript; charset=utf-8"));
    let packed = daemon.get(&script, "accept-encoding: gzip, br\r\n").await;
    assert_eq!(packed.header("content-encoding"), Some("br"));
    assert!(packed.body.len() < raw.body.len());
    let tag = packed.header("etag").expect("a tag");
    let again = daemon.get(&script, &format!("accept-encoding: gzip, br\r\nif-none-match: {tag}\r\n")).await;
    assert_eq!((again.status, again.body.len()), (304, 0));
}

#[tokio::test]
async fn a_foreign_host_header_reaches_no_policy() {
    let daemon = Daemon::start();
    for host in ["evil.example; script-src *", "a b", "<x>"] {
        let answer = daemon.request(&format!("GET / HTTP/1.1\r\nhost: {host}\r\n")).await;
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(!policy.contains("script-src *") && !policy.contains("wss:"), "{policy}");
    }
}

#[tokio::test]
async fn only_reading_is_allowed() {
    let daemon = Daemon::start();
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer =
            daemon.request(&format!("{method} / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n")).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")));
    }
    let answer = daemon.request("HEAD / HTTP/1.1\r\nhost: a\r\n").await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
}

#[tokio::test]
async fn a_request_head_beyond_its_limits_is_refused() {
    let daemon = Daemon::start();
    let large = format!("x: {}\r\n", "a".repeat(40_000));
    assert_eq!(daemon.get("/", &large).await.status, 431);
    let many: String = (0..80).map(|i| format!("x-{i}: 1\r\n")).collect();
    assert_eq!(daemon.get("/", &many).await.status, 431);
    let garbage = daemon.request("\x01\x02 nonsense\r\n").await;
    assert_eq!(garbage.status, 400);
    assert_eq!(daemon.get("/healthz", "").await.status, 200, "others are not touched");
}

#[tokio::test]
async fn the_security_contact_is_served_where_it_is_looked_for() {
    let daemon = Daemon::start();
    let answer = daemon.get("/.well-known/security.txt", "").await;
    assert!(answer.text().starts_with("Contact: mailto:it@example.org\nExpires: 20"), "{answer:?}");
}

#[tokio::test]
async fn the_certificate_is_good_for_the_names_and_addresses_of_the_box_only() {
    let daemon = Daemon::start();
    for name in ["bulle.local", "bulle.internal", "localhost", "127.0.0.1"] {
        daemon.connect_as(name, &[&version::TLS13]).await.expect(name);
    }
    for name in ["other.local", "example.org", "192.0.2.1"] {
        assert!(daemon.connect_as(name, &[&version::TLS13]).await.is_err(), "{name}");
    }
    daemon.connect_as("bulle.local", &[&version::TLS12]).await.expect("older phones speak TLS 1.2");
}

#[tokio::test]
async fn without_tls_there_is_only_an_explanation_the_certificate_and_a_redirect() {
    let daemon = Daemon::start();
    let host = format!("bulle.local:{}", daemon.http);
    let page = daemon.get_plain(&format!("GET / HTTP/1.1\r\nhost: {host}\r\n")).await;
    let secure = format!("https://bulle.local:{}", daemon.https);
    assert!(page.text().contains(&format!("href=\"{secure}/\"")), "{}", page.text());
    assert!(!page.text().contains("<script"));
    let fingerprint =
        daemon.greeting.lines().find_map(|line| line.strip_prefix("  CA ")).expect("a fingerprint");
    assert!(page.text().contains(fingerprint.trim()));
    assert!(
        page.header("content-security-policy").is_some_and(|policy| policy.starts_with("default-src 'none'"))
    );

    let certificate = daemon.get_plain(&format!("GET /ca.crt HTTP/1.1\r\nhost: {host}\r\n")).await;
    assert_eq!(certificate.header("content-type"), Some("application/x-x509-ca-cert"));
    assert_eq!(certificate.body, std::fs::read(daemon.state().join("ca.crt")).expect("the authority"));

    for path in ["/session", "/healthz", "/index.html", "/ca.key"] {
        let answer = daemon.get_plain(&format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n")).await;
        let expected = format!("{secure}{path}");
        assert_eq!((answer.status, answer.header("location")), (307, Some(expected.as_str())));
    }
    let post = daemon.get_plain(&format!("POST / HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n")).await;
    assert_eq!(post.status, 405);
}

#[tokio::test]
async fn a_redirect_cannot_be_talked_into_a_second_header() {
    let daemon = Daemon::start();
    let answer = daemon.get_plain("GET /a%0d%0aset-cookie:x HTTP/1.1\r\nhost: bulle.local\r\n").await;
    assert_eq!(answer.status, 307);
    assert_eq!(answer.header("set-cookie"), None);
    let answer = daemon.get_plain("GET /x HTTP/1.1\r\nhost: \"evil\"\r\n").await;
    assert!(answer.header("location").is_none_or(|to| to.starts_with("https://bulle.local:")), "{answer:?}");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_the_others_stay() {
    let daemon = Daemon::start_with("connections = 3\nconnections_per_address = 2");
    let first = daemon.session().await;
    let _second = daemon.session().await;
    assert!(daemon.connect_as("bulle.local", &[&version::TLS13]).await.is_err());
    drop(first);
    // The place is free as soon as the daemon has seen the end of the first.
    let (mut tries, mut again) = (0, false);
    while !again && tries < 1000 {
        again = daemon.connect_as("bulle.local", &[&version::TLS13]).await.is_ok();
        tries += 1;
        tokio::task::yield_now().await;
    }
    assert!(again);
}

#[tokio::test]
async fn what_is_no_tls_is_closed() {
    let daemon = Daemon::start();
    let mut stream = TcpStream::connect(("127.0.0.1", daemon.https)).await.expect("a connection");
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("written");
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("closed");
    assert!(!answer.starts_with(b"HTTP"));
}

#[tokio::test]
async fn whoever_dawdles_over_a_handshake_or_a_request_is_cut_off() {
    let daemon = Daemon::start();
    let mut silent = TcpStream::connect(("127.0.0.1", daemon.https)).await.expect("a connection");
    let mut slow = TcpStream::connect(("127.0.0.1", daemon.http)).await.expect("a connection");
    slow.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n").await.expect("written");
    let ends = async {
        let (mut one, mut two) = (Vec::new(), Vec::new());
        let _ = tokio::join!(silent.read_to_end(&mut one), slow.read_to_end(&mut two));
        (one.len(), two)
    };
    let (said, answer) = timeout(PATIENCE, ends).await.expect("both are cut off");
    assert_eq!(said, 0);
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    assert_eq!(daemon.get("/healthz", "").await.status, 200);
}

#[tokio::test]
async fn one_socket_serves_both_families_where_there_is_ipv6() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let http = "[http]\nhttps = \"[::]:0\"\nredirect = \"[::]:0\"\n[turn]\nlisten = []\n";
    let daemon = Daemon::start_as(TempDir::new(), http);
    for host in ["127.0.0.1", "::1"] {
        let mut stream = TcpStream::connect((host, daemon.http)).await.expect(host);
        stream.write_all(b"GET /ca.crt HTTP/1.0\r\n\r\n").await.expect("written");
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("in time").expect("read");
        assert!(answer.starts_with(b"HTTP/1.0 200"), "{host}");
    }
}
