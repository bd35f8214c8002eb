//! The driver over real sockets, on loopback.

mod client;
mod flood;

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};

use super::*;

/// A Binding request without attributes.
const BINDING: [u8; 20] = *b"\0\x01\0\0\x21\x12\xA4\x42twelve bytes";

fn listen_on(address: &str) -> Result<TurnHandle, TurnError> {
    let config = TurnConfig { listen: vec![address.parse().unwrap()], ..TurnConfig::default() };
    spawn(config, CredentialSecret::from_bytes(b"secret"), Arc::new(Clocks::new(None)))
}

fn client() -> UdpSocket {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    client
}

#[test]
fn a_binding_request_is_answered_from_the_address_it_was_sent_to() {
    let server = listen_on("127.0.0.1:0").unwrap();
    let client = client();
    client.send_to(&BINDING, server.listening()[0]).unwrap();
    let mut buffer = [0; 100];
    let (length, from) = client.recv_from(&mut buffer).unwrap();
    assert_eq!(from, server.listening()[0]);
    assert_eq!((length, &buffer[..2], &buffer[4..20]), (32, &[1, 1][..], &BINDING[4..]));
    server.shut_down();
}

#[test]
fn a_busy_port_is_named_and_said_what_to_do_about() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = listen_on(&format!("127.0.0.1:{port}")).unwrap_err();
    assert!(matches!(error, TurnError::PortInUse { port: named } if named == port));
    assert!(
        error.to_string().contains(&port.to_string()) && error.to_string().contains("choose another port")
    );
}

#[test]
fn an_address_of_another_machine_is_refused() {
    assert!(matches!(listen_on("192.0.2.1:3478").unwrap_err(), TurnError::NoSuchAddress { port: 3478 }));
}

#[test]
fn a_server_that_was_shut_down_gives_its_port_back() {
    let server = listen_on("127.0.0.1:0").unwrap();
    let address = server.listening()[0];
    server.shut_down();
    assert!(UdpSocket::bind(address).is_ok());
}

#[test]
fn a_server_that_is_dropped_gives_its_port_back() {
    let server = listen_on("127.0.0.1:0").unwrap();
    let address = server.listening()[0];
    drop(server);
    assert!(UdpSocket::bind(address).is_ok());
}

#[test]
fn what_is_printed_names_no_address() {
    let server = listen_on("127.0.0.1:0").unwrap();
    assert!(!format!("{server:?}").contains("127.0"));
    assert!(TurnConfig::default().listen.iter().all(|address| address.port() == DEFAULT_PORT));
}

#[test]
fn a_stream_at_the_same_address_is_answered_message_by_message() {
    let server = listen_on("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(server.listening()[0]).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // Three requests, cut where nobody would cut them.
    let requests = BINDING.repeat(3);
    for part in [&requests[..7], &requests[7..27], &requests[27..]] {
        client.write_all(part).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut answers = [0; 96];
    client.read_exact(&mut answers).unwrap();
    assert!(answers.chunks(32).all(|answer| answer[..2] == [1, 1] && answer[4..20] == BINDING[4..]));
    // What is no TURN ends the stream.
    client.write_all(b"\xFFnothing").unwrap();
    assert_eq!(client.read(&mut answers).unwrap(), 0);
    server.shut_down();
}

#[test]
fn a_stream_that_was_handed_over_is_served_and_closed_with_the_server() {
    let server = listen_on("127.0.0.1:0").unwrap();
    let (mut client, theirs) = UnixStream::pair().unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let somewhere = SocketAddr::from(([192, 0, 2, 1], 443));
    server.intake().hand_over(theirs, somewhere, somewhere);
    client.write_all(&BINDING).unwrap();
    let mut answer = [0; 32];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(answer[..2], [1, 1]);
    server.shut_down();
    assert_eq!(client.read(&mut answer).unwrap(), 0);
}

#[test]
fn no_address_opens_more_streams_than_its_share() {
    let server = listen_on("127.0.0.1:0").unwrap();
    let mut all: Vec<TcpStream> = (0..streams::MAX_STREAMS_PER_SOURCE + 1)
        .map(|_| TcpStream::connect(server.listening()[0]).unwrap())
        .collect();
    let mut last = all.pop().unwrap();
    last.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(last.read(&mut [0; 32]).unwrap(), 0, "one too many is closed");
    // The others are not.
    let first = &mut all[0];
    first.write_all(&BINDING).unwrap();
    first.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    first.read_exact(&mut [0; 32]).unwrap();
    // Somebody else leaves room.
    drop(all.pop());
    std::thread::sleep(Duration::from_millis(100));
    let mut next = TcpStream::connect(server.listening()[0]).unwrap();
    next.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    next.write_all(&BINDING).unwrap();
    next.read_exact(&mut [0; 32]).unwrap();
}
