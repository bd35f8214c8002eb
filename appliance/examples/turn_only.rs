//! STUN and TURN alone, for tests with the tools of other implementations.
//!
//! ```text
//! turn_only LISTEN[,LISTEN...] SECRET [--allow-loopback-peers]
//! ```
//!
//! Prints `ready`, serves until its input ends, and then prints what it counted. Until then a line `mint` makes it
//! print a credential, and `revoke NAME` revokes one.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use appliance::clocks::Clocks;
use appliance::turn::{TurnConfig, spawn};
use rand_core::OsRng;
use relay_core::turn::{Account, CredentialSecret, Credentials, LONGEST_CREDENTIAL, Refusal};

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
    let credentials = Credentials::new(CredentialSecret::from_bytes(secret.as_bytes()));
    for line in std::io::stdin().lines().map_while(Result::ok) {
        if let Some(username) = line.strip_prefix("revoke ") {
            handle.revoke(username);
        } else if line == "mint" {
            let account = Account::random(&mut OsRng);
            let now = Clocks::new(None).wall().now;
            let minted = credentials.mint(&account, LONGEST_CREDENTIAL, now, &mut OsRng);
            let _ = writeln!(out, "{} {}", minted.username, minted.password).and_then(|()| out.flush());
        }
    }
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
