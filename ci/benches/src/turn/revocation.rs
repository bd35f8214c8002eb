//! How long packets of a client still come through after its credential was revoked.
//!
//! Measured on the TURN thread alone (`turn_only`): nothing in the daemon revokes yet.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base::Instant;
use phones::clock::Clock;

use super::client::{Allocation, Login};
use super::flows::{CHANNEL, PAYLOAD};
use super::servers::{ADDRESS, client_address};
use crate::netns::Netns;
use crate::node;

/// Between two packets of the client.
const GAP: Duration = Duration::from_micros(200);
/// When nothing has come for so long, nothing comes any more.
const SILENCE: Duration = Duration::from_secs(2);
/// When it still comes after so long, it comes forever.
const PATIENCE: Duration = Duration::from_secs(10);

/// The TURN thread in a process of its own, which ends with this value.
struct TurnOnly {
    child: Child,
    commands: ChildStdin,
    login: Login,
}

impl TurnOnly {
    fn start() -> Result<Self> {
        let program = node::beside("turn_only");
        let mut child = Command::new(&program)
            .args([&ADDRESS.to_string(), "a secret of the bench"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{}: not started; `ci/build tools` makes it", program.display()))?;
        let mut commands = child.stdin.take().context("no input")?;
        let mut said = BufReader::new(child.stdout.take().context("no output")?).lines();
        ensure!(said.next().transpose()?.as_deref() == Some("ready"), "turn_only does not come up");
        writeln!(commands, "mint")?;
        let minted = said.next().transpose()?.context("turn_only ended")?;
        let (name, password) = minted.split_once(' ').context("no credential")?;
        let login = Login { name: name.to_owned(), password: password.to_owned() };
        Ok(Self { child, commands, login })
    }
}

impl Drop for TurnOnly {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Milliseconds from the revocation to the last packet that came through.
///
/// # Errors
/// When the server does not come up, or nothing came through before.
pub fn until_the_last_packet(netns: &Netns) -> Result<f64> {
    let mut server = TurnOnly::start()?;
    let (login, commands) = (server.login.clone(), &mut server.commands);
    netns.inside(move || {
        let local = SocketAddr::from((client_address(0), 0));
        let peer = UdpSocket::bind(local)?;
        peer.set_read_timeout(Some(SILENCE))?;
        let mut allocation = Allocation::new(local, ADDRESS, &login)?;
        allocation.bind(CHANNEL, peer.local_addr()?)?;
        let mut packet = CHANNEL.to_be_bytes().to_vec();
        packet.extend(u16::try_from(PAYLOAD)?.to_be_bytes());
        packet.resize(packet.len() + PAYLOAD, 7);
        let socket = allocation.socket.try_clone()?;
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let _ = socket.send(&packet);
                    std::thread::sleep(GAP);
                }
            });
            let outcome = (|| {
                let mut buffer = [0; PAYLOAD];
                for _ in 0..100 {
                    peer.recv(&mut buffer).context("nothing comes through")?;
                }
                let clock = Clock::start();
                writeln!(commands, "revoke {}", login.name)?;
                let mut last = Instant::ZERO;
                while last < Instant::ZERO + PATIENCE && peer.recv(&mut buffer).is_ok() {
                    last = clock.now();
                }
                Ok(last.saturating_duration_since(Instant::ZERO).as_secs_f64() * 1e3)
            })();
            over.store(true, Ordering::Relaxed);
            outcome
        })
    })
}
