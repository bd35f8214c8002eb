//! How the daemon ends.

use crate::support::{Daemon, Said};
use nix::sys::signal::Signal;
use std::time::Duration;
use wire::{NodeFrame, Reason};

/// How long anything about the end may take.
const END: Duration = Duration::from_secs(5);

#[tokio::test]
async fn asked_to_stop_it_says_goodbye_to_every_session_and_ends_in_time() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let daemon = Daemon::start();
        let mut clients = [daemon.session().await, daemon.session().await];
        for client in &mut clients {
            client.frame().await;
        }
        daemon.signal(signal);
        daemon.await_word("STOPPING=1");
        for client in &mut clients {
            let frame = client.frame().await;
            assert_eq!(NodeFrame::decode(&frame), Ok(NodeFrame::Bye { reason: Reason::Shutdown }));
            assert_eq!(client.next().await, Said::Closed(1012));
        }
        drop(clients);
        let end = tokio::task::spawn_blocking(move || daemon.wait());
        let (status, log, _dir) = tokio::time::timeout(END, end).await.expect("in time").expect("no panic");
        assert!(status.success());
        assert!(log.contains("stopping") && log.contains("stopped"), "{log}");
    }
}

#[tokio::test]
async fn a_session_that_does_not_listen_cannot_hold_up_the_end() {
    let daemon = Daemon::start();
    let _deaf = daemon.session().await;
    daemon.signal(Signal::SIGTERM);
    let end = tokio::task::spawn_blocking(move || daemon.wait());
    let (status, _, _dir) = tokio::time::timeout(END, end).await.expect("in time").expect("no panic");
    assert!(status.success());
}

#[tokio::test]
async fn asked_twice_it_waits_for_nobody() {
    let daemon = Daemon::start();
    let _deaf = daemon.session().await;
    daemon.signal(Signal::SIGTERM);
    // It has begun to stop as soon as it takes no more connections; each try is one round trip on loopback.
    while tokio::net::TcpStream::connect(("127.0.0.1", daemon.http)).await.is_ok() {}
    daemon.signal(Signal::SIGTERM);
    let end = tokio::task::spawn_blocking(move || daemon.wait());
    let (status, log, _dir) = tokio::time::timeout(END, end).await.expect("in time").expect("no panic");
    assert!(status.success());
    assert!(log.contains("asked twice"), "{log}");
}

#[tokio::test]
async fn a_restart_after_a_power_cut_serves_with_the_same_authority() {
    let daemon = Daemon::start();
    let authority = std::fs::read(daemon.state().join("ca.crt")).expect("the authority");
    daemon.signal(Signal::SIGKILL);
    let (_, _, dir) = daemon.wait();
    let daemon = Daemon::start_in(dir, "", "listen = []");
    assert_eq!(std::fs::read(daemon.state().join("ca.crt")).expect("the authority"), authority);
    daemon.session().await;
}
