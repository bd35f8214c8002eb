//! What devices hear that look for the Internet.

use crate::support::{Answer, Daemon, TempDir, ask};
use tokio_rustls::rustls::version;

fn start(probes: &str, more: &str) -> Daemon {
    let any = "\"127.0.0.1:0\"";
    let text = format!(
        "[http]\nhttps = {any}\nredirect = {any}\n{more}[turn]\nlisten = []\n[portal]\nprobes = \"{probes}\"\n"
    );
    Daemon::start_as(TempDir::new(), &text)
}

async fn get(daemon: &Daemon, host: &str, path: &str) -> Answer {
    daemon.get_plain(&format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n")).await
}

#[tokio::test]
async fn online_each_system_hears_what_it_expects() {
    let daemon = start("online", "");
    let apple = get(&daemon, "captive.apple.com", "/hotspot-detect.html").await;
    assert_eq!(apple.text(), "<HTML><HEAD><TITLE>Success</TITLE></HEAD><BODY>Success</BODY></HTML>");
    let android = get(&daemon, "connectivitycheck.gstatic.com", "/generate_204").await;
    assert_eq!((android.status, android.body.len()), (204, 0));
    let windows = get(&daemon, "www.msftconnecttest.com", "/connecttest.txt").await;
    assert_eq!((windows.status, windows.text()), (200, "Microsoft Connect Test"));
    assert_eq!(windows.header("content-type"), Some("text/plain"));
    let firefox = get(&daemon, "detectportal.firefox.com", "/success.txt?ipv4").await;
    assert_eq!(firefox.text(), "success\n");
    let gnome = get(&daemon, "nmcheck.gnome.org", "/check_network_status.txt").await;
    assert_eq!(gnome.header("x-networkmanager-status"), Some("online"));
    let nothing = get(&daemon, "captive.apple.com", "/elsewhere").await;
    assert_eq!(nothing.status, 404);
    for answer in [apple, android, windows, firefox, gnome, nothing] {
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("location"), None);
    }
    let own = get(&daemon, "bulle.local", "/welcome").await;
    assert_eq!(own.status, 307, "without a portal there is no such page");
}

#[tokio::test]
async fn offline_they_hear_nothing_that_they_could_take_for_a_portal() {
    let daemon = start("offline", "");
    let apple = get(&daemon, "captive.apple.com", "/hotspot-detect.html").await;
    assert_eq!((apple.status, apple.header("location")), (404, None));
}

#[tokio::test]
async fn in_the_portal_the_page_is_shown_until_somebody_goes_on() {
    let daemon = start("portal", "");
    let probe = || get(&daemon, "captive.apple.com", "/hotspot-detect.html");
    let first = probe().await;
    let page = format!("http://bulle.internal:{}/welcome", daemon.http);
    assert_eq!((first.status, first.header("location")), (302, Some(page.as_str())));
    let page = get(&daemon, &format!("bulle.internal:{}", daemon.http), "/welcome").await;
    assert!(page.text().contains(&format!("https://bulle.internal:{}/", daemon.https)), "{}", page.text());
    assert!(page.text().contains("href=\"/welcome/go-on\"") && !page.text().contains("<script"));
    assert!(
        page.header("content-security-policy").is_some_and(|policy| policy.starts_with("default-src 'none'"))
    );
    assert_eq!(probe().await.status, 302, "reading is not yet going on");
    let done = get(&daemon, &format!("bulle.internal:{}", daemon.http), "/welcome/go-on").await;
    assert!(done.text().contains("You can close this window"));
    assert_eq!(probe().await.status, 200);
}

#[tokio::test]
async fn the_portal_api_answers_under_a_name_that_phones_trust_and_under_no_other() {
    // A box of the same name has a certificate, which its operator then brings along as if another had issued it.
    let any = "\"127.0.0.1:0\"";
    let issuer = Daemon::start_as(
        TempDir::new(),
        &format!(
            "[http]\nhttps = {any}\nredirect = {any}\nnames = [\"box.example.org\"]\n[turn]\nlisten = []\n"
        ),
    );
    let file = |name: &str| issuer.state().join(name).display().to_string();
    let supplied = format!("certificate = \"{}\"\nkey = \"{}\"\n", file("server.crt"), file("server.key"));
    for (probes, own, foreign) in [
        ("online", (200, "{\"captive\": false}\n"), 404),
        (
            "portal",
            (200, "{\"captive\": true, \"user-portal-url\": \"https://box.example.org/welcome\"}\n"),
            404,
        ),
        ("offline", (404, ""), 404),
    ] {
        let daemon = start(probes, &supplied);
        let request = "GET /captive-portal/api HTTP/1.1\r\nhost: box.example.org\r\n";
        let ca = issuer.state().join("ca.crt");
        let mut stream =
            daemon.connect_trusting(&ca, "box.example.org", &[&version::TLS13]).await.expect("trusted");
        let answer = ask(&mut stream, request).await;
        assert_eq!(answer.status, own.0, "{probes}");
        if answer.status == 200 {
            assert_eq!(answer.text(), own.1);
            assert_eq!(answer.header("content-type"), Some("application/captive+json"));
        }
        // Under its own name the box shows its own certificate, which no phone trusts by itself.
        let mut stream = daemon.connect_as("bulle.internal", &[&version::TLS13]).await.expect("its own");
        let request = request.replace("box.example.org", "bulle.internal");
        assert_eq!(ask(&mut stream, &request).await.status, foreign);
    }
}
