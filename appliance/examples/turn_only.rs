//! STUN and TURN alone, for tests with the tools of other implementations.
//!
//! ```text
//! turn_only LISTEN[,LISTEN...] SECRET [--allow-loopback-peers]
//! ```
//!
//! Prints `ready`, serves until its input ends, and then prints what it counted.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use appliance::clocks::Clocks;
use appliance::turn::{TurnConfig, spawn};
use relay_core::turn::{CredentialSecret, Refusal};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, secret, flags @ ..] = arguments.as_slice() else {
        return fail("usage: turn_only LISTEN[,LISTEN...] SECRET [--allow-loopback-peers]");
    };
    let Ok(listen) = listen.split(',').map(str::parse).collect::<Result<Vec<SocketAddr>, _>>() else {
        return fail("LISTEN is an address and a port, such as 127.0.0.1:3478 or [::1]:3478");
    };
    let config = TurnConfig {
        listen,
        dangerous_allow_loopback_peers: flags.iter().any(|flag| flag == "--allow-loopback-peers"),
        ..TurnConfig::default()
    };
    let handle =
        match spawn(config, CredentialSecret::from_bytes(secret.as_bytes()), Arc::new(Clocks::new(None))) {
            Ok(handle) => handle,
            Err(error) => return fail(&error.to_string()),
        };
    let mut out = std::io::stdout();
    let _ = writeln!(out, "ready").and_then(|()| out.flush());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    let counters = handle.counters();
    let refusals: Vec<String> = Refusal::ALL
        .iter()
        .filter(|refusal| counters.refusals(**refusal) > 0)
        .map(|refusal| format!("{}:{}", refusal.code(), counters.refusals(*refusal)))
        .collect();
    let _ = writeln!(
        out,
        "allocations={} made={} bindings={} to_peers={} to_clients={} dropped={} refusals={}",
        counters.allocations,
        counters.allocations_made,
        counters.bindings,
        counters.packets_to_peers,
        counters.packets_to_clients,
        counters.dropped,
        refusals.join(","),
    );
    handle.shut_down();
    ExitCode::SUCCESS
}

fn fail(message: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "turn_only: {message}");
    ExitCode::FAILURE
}
