//! TURN as the daemon has it: behind TLS, at the port of the page, and with credentials that end with their session.

#[path = "../../src/turn/tests/client.rs"]
mod client;

use self::client::Client as Allocation;
use crate::control::{ask as run, field};
use crate::support::{Client, Daemon, PATIENCE, TempDir};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;
use turn_types::attribute::RequestedTransport;
use turn_types::message::{ALLOCATE, REFRESH};
use wire::{ClientFrame, NodeFrame};

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

/// A session, and where the daemon's TURN is.
async fn arrive(daemon: &Daemon) -> (Client, SocketAddr) {
    let mut session = daemon.session().await;
    let frame = session.frame().await;
    let Ok(NodeFrame::Welcome { turn_port, .. }) = NodeFrame::decode(&frame) else { panic!("a welcome") };
    (session, SocketAddr::from((Ipv4Addr::LOCALHOST, turn_port)))
}

/// What the session is given.
async fn login(session: &mut Client) -> (String, String) {
    session.send(&ClientFrame::RequestCredentials { req: 1 }).await;
    let frame = session.frame().await;
    match NodeFrame::decode(&frame).expect("a frame") {
        NodeFrame::Credentials { username, password, .. } => (username.to_owned(), password.to_owned()),
        other => panic!("{other:?}"),
    }
}

fn allocate(allocation: &Allocation) -> Result<(), u16> {
    allocation.ask(ALLOCATE, &|_| vec![Box::new(RequestedTransport::new(RequestedTransport::UDP))])
}

/// A session, what it was given, and an allocation made with that.
async fn allocated(daemon: &Daemon) -> (Client, (String, String), Allocation) {
    let (mut session, turn) = arrive(daemon).await;
    let (username, password) = login(&mut session).await;
    let allocation = Allocation::new(turn, &username, &password);
    assert_eq!(allocate(&allocation), Ok(()));
    (session, (username, password), allocation)
}

/// Waits until the allocation is gone. Less than the minute for which a client that lost its connection is waited for.
async fn freed(allocation: &Allocation) {
    let gone = async {
        while refresh(allocation).is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("freed in time");
}

fn refresh(allocation: &Allocation) -> Result<(), u16> {
    allocation.ask(REFRESH, &|_| Vec::new())
}

/// Waits until the dump says so.
async fn until(daemon: &Daemon, name: &str, value: &str) {
    let said = async {
        while field(&run(daemon, &["dump"]).await, "tables", name) != value {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, said).await.expect("said in time");
}

#[tokio::test]
async fn a_session_that_ends_takes_its_credentials_and_allocations_along() {
    for end in ["leaves", "breaks the protocol", "purged"] {
        let daemon = Daemon::start();
        let (mut session, _, allocation) = allocated(&daemon).await;
        let (_other, _, others) = allocated(&daemon).await;
        match end {
            "leaves" => session.send(&ClientFrame::Leave).await,
            "purged" => drop(run(&daemon, &["purge"]).await),
            _ => session.send_message(Message::Binary(b"no frame".as_slice().into())).await,
        }
        freed(&allocation).await;
        assert_eq!(allocate(&allocation), Err(401), "{end}: nor does the credential make another one");
        assert_eq!(refresh(&others).is_ok(), end != "purged", "{end}: and nobody else's ends");
    }
}

#[tokio::test]
async fn a_client_that_comes_back_goes_on_with_what_it_had() {
    let daemon = Daemon::start();
    let (session, (username, password), allocation) = allocated(&daemon).await;
    drop(session);
    until(&daemon, "absent_accounts", "1").await;
    assert_eq!(refresh(&allocation), Ok(()), "a lost connection ends nothing at once");
    let (mut session, _) = arrive(&daemon).await;
    session.send(&ClientFrame::KeepCredentials { username: &username, password: &password }).await;
    let renewed = login(&mut session).await;
    assert_ne!(renewed.0, username);
    until(&daemon, "absent_accounts", "0").await;
    assert_eq!(field(&run(&daemon, &["dump"]).await, "tables", "turn_accounts"), "1");
    assert_eq!(refresh(&allocation), Ok(()));
    // It is the same account: when that ends, what was made in the first session does.
    session.send(&ClientFrame::Leave).await;
    freed(&allocation).await;
}

#[tokio::test]
async fn nobody_takes_over_an_account_by_its_name() {
    let daemon = Daemon::start();
    let (_session, (username, password), allocation) = allocated(&daemon).await;
    let (mut thief, _) = arrive(&daemon).await;
    // The name stands in clear in what the owner sends by UDP.
    let guess = password.chars().rev().collect::<String>();
    thief.send(&ClientFrame::KeepCredentials { username: &username, password: &guess }).await;
    login(&mut thief).await;
    until(&daemon, "turn_accounts", "2").await;
    thief.send(&ClientFrame::Leave).await;
    until(&daemon, "turn_accounts", "1").await;
    assert_eq!(refresh(&allocation), Ok(()));
}
