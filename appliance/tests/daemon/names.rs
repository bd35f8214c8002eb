//! The bubble's own names, asked for with another implementation's codec.

use crate::support::{Daemon, PATIENCE, TempDir};
use hickory_proto::op::{DnsResponse, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// Settings of a daemon on loopback that serves names, too.
pub(crate) fn settings(dns: &str) -> String {
    let any = "\"127.0.0.1:0\"";
    format!("[http]\nhttps = {any}\nredirect = {any}\n[turn]\nlisten = []\n[dns]\n{dns}\n")
}

fn question(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_str(name).expect("a name"), kind));
    message.to_vec().expect("a packet")
}

/// Over UDP.
pub(crate) async fn ask(server: SocketAddr, name: &str, kind: RecordType) -> DnsResponse {
    let any: SocketAddr =
        if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" }.parse().expect("an address");
    let socket = UdpSocket::bind(any).await.expect("a socket");
    socket.connect(server).await.expect("connected, so that the answer has to come from there");
    socket.send(&question(name, kind)).await.expect("sent");
    let mut buffer = vec![0; 2000];
    let length = timeout(PATIENCE, socket.recv(&mut buffer)).await.expect("in time").expect("an answer");
    buffer.truncate(length);
    DnsResponse::from_buffer(buffer).expect("readable")
}

pub(crate) fn addresses(answer: &DnsResponse) -> Vec<IpAddr> {
    let address = |data: &RData| match data {
        RData::A(v4) => Some(IpAddr::V4(v4.0)),
        RData::AAAA(v6) => Some(IpAddr::V6(v6.0)),
        _ => None,
    };
    answer.answers.iter().filter_map(|record| address(&record.data)).collect()
}

#[tokio::test]
async fn names_are_answered_over_udp_and_tcp_in_both_families() {
    let both = std::net::TcpListener::bind("[::1]:0").is_ok();
    let listen = if both { "listen = [\"127.0.0.1:0\", \"[::1]:0\"]" } else { "listen = \"127.0.0.1:0\"" };
    let daemon = Daemon::start_as(TempDir::new(), &settings(listen));
    let servers = daemon.name_servers();
    assert_eq!(servers.len(), 1 + usize::from(both));
    for server in servers {
        let answer = ask(server, "bulle.internal.", RecordType::A).await;
        assert_eq!(addresses(&answer), ["127.0.0.1".parse::<IpAddr>().expect("an address")]);
        let absent = ask(server, "example.org.", RecordType::A).await;
        assert_eq!(absent.metadata.response_code, ResponseCode::NXDomain);

        let mut stream = TcpStream::connect(server).await.expect("a connection");
        // Two in a row, the second in pieces.
        for cut in [0, 5] {
            let packet = question("bulle.internal.", RecordType::AAAA);
            let whole = [&u16::try_from(packet.len()).expect("short").to_be_bytes()[..], &packet].concat();
            stream.write_all(&whole[..cut]).await.expect("written");
            stream.flush().await.expect("sent");
            stream.write_all(&whole[cut..]).await.expect("written");
            let length = timeout(PATIENCE, stream.read_u16()).await.expect("in time").expect("a length");
            let mut answer = vec![0; usize::from(length)];
            stream.read_exact(&mut answer).await.expect("an answer");
            let answer = DnsResponse::from_buffer(answer).expect("readable");
            assert_eq!(addresses(&answer).len(), usize::from(both));
        }
    }
}

#[tokio::test]
async fn a_query_longer_than_any_ends_the_connection() {
    let daemon = Daemon::start_as(TempDir::new(), &settings("listen = \"127.0.0.1:0\""));
    let mut stream = TcpStream::connect(daemon.name_servers()[0]).await.expect("a connection");
    stream.write_all(&u16::MAX.to_be_bytes()).await.expect("written");
    let end = timeout(PATIENCE, stream.read_u8()).await.expect("in time");
    assert!(end.is_err());
}

#[tokio::test]
async fn an_address_that_comes_later_is_listened_on_already() {
    // Documentation addresses: nobody has them.
    let daemon =
        Daemon::start_as(TempDir::new(), &settings("listen = [\"192.0.2.53:0\", \"[2001:db8::53]:0\"]"));
    assert_eq!(daemon.name_servers().len(), 2);
}

#[tokio::test]
async fn names_of_the_probes_lead_to_the_box_where_the_operator_wants() {
    let text = settings("listen = \"127.0.0.1:0\"") + "[portal]\nprobes = \"online\"\n";
    let daemon = Daemon::start_as(TempDir::new(), &text);
    let answer = ask(daemon.name_servers()[0], "captive.apple.com.", RecordType::A).await;
    assert_eq!(addresses(&answer).len(), 1);
}
