//! The driver over real sockets, on loopback.

use std::net::UdpSocket;

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
