//! Crowds, floods and shortages: the box stays up, whoever was there before keeps being served, and what it took is
//! given back.

use crate::session::{assert_alive, welcomed};
use crate::support::{Daemon, PATIENCE};
use futures_util::future::join_all;
use rand_core::{OsRng, RngCore};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::timeout;
use wire::NodeFrame;

/// Where the flood comes from; the others come from 127.0.0.1.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

async fn connect_as_stranger(port: u16) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((STRANGER, 0)))?;
    socket.connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
}

#[tokio::test]
async fn half_open_connections_of_a_stranger_keep_nobody_out() {
    let daemon = Daemon::start_with("connections = 120\nconnections_per_address = 40");
    let mut before = daemon.session().await;
    welcomed(&mut before).await;
    let mut held = Vec::new();
    for _ in 0..200 {
        let mut stream = connect_as_stranger(daemon.https).await.expect("the kernel takes it");
        // The first bytes of a handshake that never goes on.
        let _ = stream.write_all(&[0x16, 0x03, 0x01, 0x02]).await;
        held.push(stream);
    }
    assert_eq!(daemon.get("/healthz", "").await.status, 200);
    let mut after = daemon.session().await;
    welcomed(&mut after).await;
    assert_alive(&mut before).await;
    assert_alive(&mut after).await;
    // All of them are ended, those beyond the limit at once and the others when their time is over.
    let ends = held.iter_mut().map(|stream| async { stream.read(&mut [0; 64]).await.map_or(0, |read| read) });
    let said = timeout(PATIENCE, join_all(ends)).await.expect("they are cut off");
    assert_eq!(said.len(), 200);
}

#[tokio::test]
async fn without_file_descriptors_it_serves_who_is_there_and_later_everybody() {
    let daemon = Daemon::start_with("connections = 1000\nconnections_per_address = 1000");
    let mut before = daemon.session().await;
    welcomed(&mut before).await;
    let used = std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("its descriptors").count();
    let limit = used + 20;
    let limited = Command::new("prlimit")
        .args([format!("--pid={}", daemon.pid()), format!("--nofile={limit}:{limit}")])
        .status()
        .expect("prlimit");
    assert!(limited.success());
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(TcpStream::connect(("127.0.0.1", daemon.http)).await.expect("the kernel takes it"));
    }
    for _ in 0..20 {
        assert_alive(&mut before).await;
    }
    drop(held);
    assert_eq!(daemon.get("/healthz", "").await.status, 200);
    assert_alive(&mut before).await;
}

#[tokio::test]
async fn a_crowd_that_comes_at_once_is_served_and_its_memory_comes_back() {
    let daemon = Daemon::start_with("connections = 500\nconnections_per_address = 500");
    let mut before = daemon.session().await;
    welcomed(&mut before).await;
    let mut kept = Vec::new();
    for _ in 0..16 {
        let crowd = join_all((0..100).map(|_| async {
            let mut client = daemon.session().await;
            welcomed(&mut client).await;
            client
        }));
        for mut client in timeout(PATIENCE * 4, crowd).await.expect("all are let in") {
            assert_alive(&mut client).await;
        }
        assert_alive(&mut before).await;
        kept.push(memory_kib(&daemon));
    }
    // The first ones fill what the heap keeps at hand for the next.
    let (warm, last) = (kept[7], kept[15]);
    assert!(last <= warm + warm / 10, "after each crowd it keeps, in KiB: {kept:?}");
}

#[tokio::test]
async fn noise_on_every_port_ends_nothing() {
    let daemon = Daemon::start();
    let mut before = daemon.session().await;
    let welcome = before.frame().await;
    let Ok(NodeFrame::Welcome { turn_port, .. }) = NodeFrame::decode(&welcome) else { panic!("no welcome") };
    let udp = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    for round in 0..60_usize {
        let mut noise = vec![0; 1 + round * 23];
        OsRng.fill_bytes(&mut noise);
        // Every other one begins as a STUN message, which is read further.
        if round % 2 == 0 {
            let head = [0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42];
            noise.iter_mut().zip(head).for_each(|(to, byte)| *to = byte);
        }
        for port in [daemon.https, daemon.http, turn_port] {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("a connection");
            let _ = stream.write_all(&noise).await;
        }
        udp.send_to(&noise, ("127.0.0.1", turn_port)).await.expect("sent");
    }
    assert_alive(&mut before).await;
    assert_eq!(daemon.get("/healthz", "").await.status, 200);
}

/// The memory of the daemon that belongs to no file.
fn memory_kib(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
