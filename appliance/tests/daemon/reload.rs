//! Settings that change while the daemon runs.

use crate::names::{addresses, ask, settings};
use crate::session::assert_alive;
use crate::support::{Daemon, TempDir};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use tokio_rustls::rustls::version;

const NAMES: &str = "listen = \"127.0.0.1:0\"";

#[tokio::test]
async fn names_and_probes_change_and_sessions_live_on() {
    let daemon = Daemon::start_as(TempDir::new(), &settings(NAMES));
    let server = daemon.name_servers()[0];
    let mut client = daemon.session().await;
    assert_alive(&mut client).await;
    let other = settings(NAMES).replace("[turn]", "names = [\"salon.internal\"]\n[turn]");
    daemon.reload(&(other + "[portal]\nprobes = \"online\"\n"));
    assert_eq!(addresses(&ask(server, "salon.internal.", RecordType::A).await).len(), 1, "the socket stayed");
    let gone = ask(server, "bulle.internal.", RecordType::A).await;
    assert_eq!(gone.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(addresses(&ask(server, "captive.apple.com.", RecordType::A).await).len(), 1);
    let probe = daemon.get_plain("GET /hotspot-detect.html HTTP/1.1\r\nhost: captive.apple.com\r\n").await;
    assert_eq!(probe.status, 200);
    assert_alive(&mut client).await;
}

#[tokio::test]
async fn a_wrong_file_changes_nothing() {
    let daemon = Daemon::start_as(TempDir::new(), &settings(NAMES));
    let mut client = daemon.session().await;
    daemon.reload("[dns]\nlisten = 53\n[nonsense]\n");
    assert_eq!(addresses(&ask(daemon.name_servers()[0], "bulle.internal.", RecordType::A).await).len(), 1);
    assert_alive(&mut client).await;
    drop(client);
    let (status, log, _dir) = daemon.stop();
    assert!(status.success());
    assert!(
        log.contains("the settings file is wrong, so nothing changes") && log.contains("problems=2"),
        "{log}"
    );
}

#[tokio::test]
async fn what_waits_for_the_next_start_is_told() {
    let daemon = Daemon::start_as(TempDir::new(), &settings(NAMES));
    daemon.reload(&(settings(NAMES) + "[limits]\nsessions = 7\n"));
    let (_, log, _dir) = daemon.stop();
    assert!(log.contains("this setting changes at the next start") && log.contains("[limits]"), "{log}");
}

#[tokio::test]
async fn a_certificate_of_the_operator_is_shown_from_the_next_handshake_on() {
    let any = "\"127.0.0.1:0\"";
    let http = format!("[http]\nhttps = {any}\nredirect = {any}\n");
    let own = "names = [\"box.example.org\"]\n[turn]\nlisten = []\n";
    let issuer = Daemon::start_as(TempDir::new(), &format!("{http}{own}"));
    let ca = issuer.state().join("ca.crt");
    let daemon = Daemon::start_as(TempDir::new(), &format!("{http}[turn]\nlisten = []\n"));
    let mut client = daemon.session().await;
    let versions = [&version::TLS13];
    let trusted = || daemon.connect_trusting(&ca, "box.example.org", &versions);
    assert!(trusted().await.is_err());
    let file = |name: &str| issuer.state().join(name).display().to_string();
    let supplied = format!("certificate = \"{}\"\nkey = \"{}\"\n", file("server.crt"), file("server.key"));
    daemon.reload(&format!("{http}{supplied}[turn]\nlisten = []\n"));
    trusted().await.expect("the operator's certificate");
    // Whoever trusts the local authority goes on doing so under the other names.
    daemon.connect_as("bulle.internal", &versions).await.expect("the certificate of the local authority");
    assert_alive(&mut client).await;
    // A file that broke changes nothing.
    daemon.reload(&format!("{http}{}[turn]\nlisten = []\n", supplied.replace("server.key", "ca.key")));
    trusted().await.expect("what was served before");
}

#[tokio::test]
async fn the_name_server_comes_and_goes() {
    let daemon = Daemon::start_as(TempDir::new(), &settings("listen = []"));
    assert!(daemon.name_servers().is_empty());
    // On an address that no other test uses, so that the port stays free.
    let free = std::net::UdpSocket::bind("127.53.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    daemon.reload(&settings(&format!("listen = \"{address}\"")));
    assert_eq!(addresses(&ask(address, "bulle.internal.", RecordType::A).await).len(), 1);
    daemon.reload(&settings("listen = []"));
    assert!(std::net::UdpSocket::bind(address).is_ok(), "the socket is closed");
}
