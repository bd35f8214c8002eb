//! TURN behind TLS, at the port of the page.

use crate::support::{Daemon, PATIENCE, TempDir};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

/// A Binding request without attributes (RFC 8489, section 5).
const BINDING: [u8; 20] = *b"\0\x01\0\0\x21\x12\xA4\x42twelve bytes";
const SETTINGS: &str = "[http]\nhttps = \"127.0.0.1:0\"\nredirect = \"127.0.0.1:0\"\nnames = \"bulle.local\"\n\
                        [turn]\nlisten = \"127.0.0.1:0\"\n";

async fn ask(stream: &mut TlsStream<TcpStream>) -> [u8; 32] {
    stream.write_all(&BINDING).await.expect("sent");
    let mut answer = [0; 32];
    timeout(PATIENCE, stream.read_exact(&mut answer)).await.expect("in time").expect("an answer");
    assert_eq!((&answer[..2], &answer[4..20]), (&[1, 1][..], &BINDING[4..]));
    answer
}

#[tokio::test]
async fn a_client_that_says_so_and_one_that_just_begins_are_served() {
    let daemon = Daemon::start_as(TempDir::new(), SETTINGS);
    let mut said = daemon.connect_for(b"stun.turn").await.expect("TLS");
    ask(&mut said).await;
    let mut silent = daemon.connect().await;
    ask(&mut silent).await;
    // It stays open, for as long as the client likes.
    ask(&mut said).await;
    assert_eq!(daemon.get("/healthz", "").await.text(), "ok\n", "the page is there as well");
    let (status, _, _) = daemon.stop();
    assert!(status.success());
    assert_eq!(timeout(PATIENCE, said.read(&mut [0; 1])).await.expect("in time").unwrap_or(0), 0);
}

#[tokio::test]
async fn a_client_that_breaks_the_protocol_is_closed() {
    let daemon = Daemon::start_as(TempDir::new(), SETTINGS);
    let mut stream = daemon.connect_for(b"stun.turn").await.expect("TLS");
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("sent");
    // A letter looks like ChannelData, which nobody has bound; what follows it ends the stream.
    stream.write_all(&[0xFF; 20_000]).await.expect("sent");
    assert_eq!(timeout(PATIENCE, stream.read(&mut [0; 1])).await.expect("in time").unwrap_or(0), 0);
}
