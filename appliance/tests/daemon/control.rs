//! What the daemon shows of itself, and how everything in it is purged: through its control socket, and by a signal.

use crate::session::{inbox, key, subscribe, welcomed};
use crate::support::{BULLE, Client, Daemon, Said};
use nix::sys::signal::Signal;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};
use wire::{ClientFrame, NodeFrame, Reason, Ttl};

const PRIVACY: &str = include_str!("../../../docs/privacy.md");

/// Runs one of the commands that talk to a daemon.
fn bulle(arguments: &[&str], state: &Path, user: Option<u32>) -> (bool, String) {
    let mut command = Command::new(BULLE);
    command.args(arguments).arg("--state").arg(state);
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    let Output { status, stdout, stderr } = command.output().expect("it runs");
    (status.success(), String::from_utf8([stdout, stderr].concat()).expect("text"))
}

/// A command that succeeds, away from the threads of the test.
pub(crate) async fn ask(daemon: &Daemon, arguments: &'static [&'static str]) -> String {
    let state = daemon.state();
    let asked = tokio::task::spawn_blocking(move || bulle(arguments, &state, None));
    let (good, said) = asked.await.expect("no panic");
    assert!(good, "{said}");
    said
}

/// The value of a field in the first line of that kind.
pub(crate) fn field(dump: &str, kind: &str, name: &str) -> String {
    let line = dump.lines().find(|line| line.split(' ').next() == Some(kind)).expect(kind);
    let value = line.split(' ').find_map(|word| word.strip_prefix(&format!("{name}=")));
    value.unwrap_or_else(|| panic!("no {name} in {line}")).to_owned()
}

const ENVELOPE: [u8; wire::BLOCK] = [0xc5; wire::BLOCK];

/// A daemon with two sessions and one envelope that waits, delivered and not acknowledged.
async fn holding() -> (Daemon, [Client; 2]) {
    let daemon = Daemon::start();
    let (mut reader, mut writer) = (daemon.session().await, daemon.session().await);
    let challenge = welcomed(&mut reader).await;
    welcomed(&mut writer).await;
    reader.send(&subscribe(1, &key(1), &challenge)).await;
    reader.frame().await;
    writer
        .send(&ClientFrame::Deposit { req: 2, address: inbox(&key(1)), ttl: Ttl::Long, envelope: &ENVELOPE })
        .await;
    writer.frame().await;
    reader.frame().await;
    (daemon, [reader, writer])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_dump_tells_what_is_held_and_shows_bytes_only_when_asked() {
    let (daemon, _clients) = holding().await;
    let dump = ask(&daemon, &["dump"]).await;
    assert_eq!(field(&dump, "held", "sessions"), "2");
    assert_eq!((field(&dump, "held", "envelopes"), field(&dump, "held", "blocks")), ("1".into(), "1".into()));
    assert_eq!(field(&dump, "session", "in_flight"), "1");
    assert_eq!(field(&dump, "session", "reads"), field(&dump, "mailbox", "number"));
    assert_eq!(field(&dump, "mailbox", "readers"), field(&dump, "session", "number"));
    assert_eq!(field(&dump, "envelope", "mailbox"), field(&dump, "mailbox", "number"));
    assert_eq!(field(&dump, "tables", "connections"), "2");
    let (address, envelope) = (hex(inbox(&key(1)).expose()), hex(&ENVELOPE));
    assert!(!dump.contains(&address) && !dump.contains("c5c5c5c5"), "{dump}");
    assert_eq!(appliance::leak_guard::suspicious(&dump), None);

    let dump = ask(&daemon, &["dump", "--bytes"]).await;
    assert_eq!((field(&dump, "mailbox", "address"), field(&dump, "envelope", "bytes")), (address, envelope));
}

#[tokio::test]
async fn every_field_of_a_dump_is_explained() {
    let (daemon, _clients) = holding().await;
    let dump = ask(&daemon, &["dump", "--bytes"]).await;
    // The reasons and causes have a line together.
    let lines = dump.lines().filter(|line| !line.starts_with("bulle ") && !line.is_empty());
    for line in lines {
        let mut words = line.split(' ');
        let kind = words.next().expect("a word");
        for name in words.map(|word| word.split('=').next().expect("a name")) {
            let explained = format!("| `{kind}` | `{name}` |");
            let together = format!("| `{kind}` | by ");
            assert!(PRIVACY.contains(&explained) || PRIVACY.contains(&together), "{explained}");
        }
    }
}

#[tokio::test]
async fn a_purge_ends_all_sessions_and_leaves_nothing() {
    let (daemon, clients) = holding().await;
    let said = ask(&daemon, &["purge"]).await;
    assert_eq!(said, "purged: 1 envelopes in 1 mailboxes, 2 sessions, and all TURN allocations\n");
    assert_purged(&daemon, clients).await;
    let (_, log, _dir) = daemon.stop();
    assert!(log.contains("everything was purged, as asked"), "{log}");
}

#[tokio::test]
async fn the_signal_of_a_button_purges_as_the_command_does() {
    let (daemon, clients) = holding().await;
    daemon.signal(Signal::SIGUSR1);
    assert_purged(&daemon, clients).await;
}

async fn assert_purged(daemon: &Daemon, clients: [Client; 2]) {
    for mut client in clients {
        let frame = client.frame().await;
        assert_eq!(NodeFrame::decode(&frame), Ok(NodeFrame::Bye { reason: Reason::Shutdown }));
        assert_eq!(client.next().await, Said::Closed(1012));
    }
    // It goes on serving, and has nothing.
    let mut reader = daemon.session().await;
    let challenge = welcomed(&mut reader).await;
    reader.send(&subscribe(1, &key(1), &challenge)).await;
    let frame = reader.frame().await;
    assert!(matches!(NodeFrame::decode(&frame), Ok(NodeFrame::Subscribed { req: 1, .. })), "{frame:?}");
    crate::session::assert_alive(&mut reader).await;
    let dump = ask(daemon, &["dump"]).await;
    assert_eq!(
        (field(&dump, "purged", "panic"), field(&dump, "held", "envelopes")),
        ("1".into(), "0".into())
    );
}

#[test]
fn the_control_socket_is_for_the_owner_alone_and_goes_with_the_daemon() {
    let daemon = Daemon::start();
    let socket = daemon.state().join("control");
    let meta = std::fs::metadata(&socket).expect("a socket");
    assert!(meta.file_type().is_socket());
    assert_eq!(meta.permissions().mode() & 0o777, 0o600);
    let (_, _, dir) = daemon.stop();
    assert!(!socket.exists());
    let (good, said) = bulle(&["dump"], &dir.path().join("state"), None);
    assert!(!good && said.contains("no bulle answers at") && said.contains("--state"), "{said}");
}

#[test]
fn a_socket_that_a_power_cut_left_is_in_nobodys_way() {
    let daemon = Daemon::start();
    daemon.signal(Signal::SIGKILL);
    let (_, _, dir) = daemon.wait();
    assert!(dir.path().join("state/control").exists());
    let daemon = Daemon::start_in(dir, "", "listen = []");
    assert!(bulle(&["dump"], &daemon.state(), None).0);
}

#[test]
fn another_user_is_refused_even_where_the_files_would_let_him() {
    // Only root can be another user for a moment.
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    const NOBODY: u32 = 65_534;
    let daemon = Daemon::start();
    let state = daemon.state();
    let (good, said) = bulle(&["dump"], &state, Some(NOBODY));
    assert!(!good && said.contains("no bulle answers"), "the directory is shut: {said}");
    for (path, mode) in [(daemon.dir(), 0o755), (&state, 0o755), (&state.join("control"), 0o666)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
    }
    for command in ["dump", "purge"] {
        let (good, said) = bulle(&[command], &state, Some(NOBODY));
        assert!(!good && said.contains("this is for root and for the user that runs bulle"), "{said}");
    }
    assert!(bulle(&["dump"], &state, None).0);
}

#[test]
fn a_wrong_request_and_one_that_never_ends_are_refused() {
    use std::io::{Read, Write};
    let daemon = Daemon::start();
    for request in [b"dum\n".as_slice(), b"", b"\xff\xfe\n", &[b'x'; 1 << 16]] {
        let mut stream =
            std::os::unix::net::UnixStream::connect(daemon.state().join("control")).expect("a socket");
        let _ = stream.write_all(request);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(answer.is_empty() || answer.starts_with("refused: "), "{answer}");
    }
    assert!(bulle(&["dump"], &daemon.state(), None).0);
}

#[tokio::test]
async fn counts_are_told_where_a_setting_asks_for_it_and_nowhere_else() {
    use tokio::net::TcpStream;
    let any = "\"127.0.0.1:0\"";
    let base = format!("[http]\nhttps = {any}\nredirect = {any}\n[turn]\nlisten = {any}\n");
    let daemon = Daemon::start_as(crate::support::TempDir::new(), &base);
    assert!(!daemon.greeting.contains("/metrics"));
    assert_eq!(daemon.get("/metrics", "").await.status, 404, "not at the port of the page");

    let daemon =
        Daemon::start_as(crate::support::TempDir::new(), &format!("{base}[metrics]\nlisten = {any}\n"));
    let mut client = daemon.session().await;
    welcomed(&mut client).await;
    let line = daemon.greeting.lines().find_map(|line| line.strip_prefix("  counts  http://")).expect("told");
    let at = line.strip_suffix("/metrics").expect("an address").to_owned();
    let get = async |path: &str| {
        let mut stream = TcpStream::connect(&at).await.expect("a connection");
        crate::support::ask(&mut stream, &format!("GET {path} HTTP/1.1\r\nhost: {at}\r\n")).await
    };
    let answer = get("/metrics").await;
    assert_eq!(
        answer.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(answer.text().contains("\nbulle_sessions 8\n"), "one session is several: {}", answer.text());
    assert!(answer.text().contains("\nbulle_turn_allocations 0\n") && answer.text().ends_with("# EOF\n"));
    assert_eq!(appliance::leak_guard::suspicious(answer.text()), None);
    assert_eq!((get("/healthz").await.status, get("/").await.status), (200, 404));
}
