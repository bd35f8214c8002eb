//! What can be wrong at the start, and what the program says about it.

use crate::support::{BULLE, Daemon, TempDir};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

/// Runs the program to its end.
fn bulle(arguments: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } = Command::new(BULLE).args(arguments).output().expect("it runs");
    let text = [stdout, stderr].concat();
    (status.code().expect("an exit code"), String::from_utf8(text).expect("text"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// A start that must fail, with everything right but the given state directory.
fn start(state: &Path) -> (i32, String) {
    let any = "127.0.0.1:0";
    bulle(&["serve", "--https", any, "--http", any, "--turn", any, "--webrtc", any, "--state", text(state)])
}

/// A state directory as a first start leaves it.
fn used() -> TempDir {
    let (status, _, dir) = Daemon::start().stop();
    assert!(status.success());
    dir
}

#[test]
fn a_busy_port_is_told_with_its_key_and_the_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let dir = TempDir::new();
    let busy = format!("127.0.0.1:{port}");
    let state = text(dir.path());
    let (code, said) = bulle(&["serve", "--https", &busy, "--http", "127.0.0.1:0", "--state", state]);
    assert_eq!(code, 3);
    assert_eq!(
        said,
        format!(
            "bulle: cannot listen on {busy} (`http.https`): port {port} is in use by another program; \
             stop that program, or choose another port in `http.https`\n"
        )
    );
    let (code, said) = bulle(&["serve", "--https", "127.0.0.1:0", "--http", &busy, "--state", state]);
    assert_eq!(code, 3);
    assert!(said.contains("(`http.redirect`)"), "{said}");
    assert!(!dir.path().join("ca.crt").exists(), "a start that fails leaves nothing behind");
}

#[test]
fn a_busy_turn_port_is_told_with_its_key() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let busy = taken.local_addr().expect("an address").to_string();
    let dir = TempDir::new();
    let any = "127.0.0.1:0";
    let state = text(dir.path());
    let (code, said) =
        bulle(&["serve", "--https", any, "--http", any, "--turn", &busy, "--webrtc", any, "--state", state]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("`turn.listen`") && said.contains("taken by another program"), "{said}");
}

#[test]
fn a_busy_port_for_names_is_told_with_its_key() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let busy = taken.local_addr().expect("an address");
    let dir = TempDir::new();
    let file = dir.path().join("bulle.toml");
    let any = "\"127.0.0.1:0\"";
    let settings = format!(
        "[http]\nhttps = {any}\nredirect = {any}\n[turn]\nlisten = []\n[dns]\nlisten = \"{busy}\"\n[state]\ndir = \"{}\"\n",
        dir.path().display()
    );
    std::fs::write(&file, settings).expect("written");
    let (code, said) = bulle(&["serve", "--config", text(&file)]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("(`dns.listen`)") && said.contains("in use by another program"), "{said}");
}

#[test]
fn a_service_manager_hears_that_it_is_ready_and_well() {
    let any = "\"127.0.0.1:0\"";
    let settings = format!("[http]\nhttps = {any}\nredirect = {any}\n[turn]\nlisten = []\n");
    let daemon = Daemon::start_within(TempDir::new(), &settings, &[("WATCHDOG_USEC", "20000")]);
    daemon.await_word("READY=1");
    daemon.await_word("WATCHDOG=1");
    daemon.await_word("WATCHDOG=1");
}

#[test]
fn a_certificate_that_cannot_be_served_is_told_with_its_key() {
    let dir = used();
    let file = dir.path().join("bulle.toml");
    let state = dir.path().join("state");
    let at = |name: &str| state.join(name).display().to_string();
    // The key of the authority does not belong to the certificate of the server.
    let settings = format!("[http]\ncertificate = \"{}\"\nkey = \"{}\"\n", at("server.crt"), at("ca.key"));
    std::fs::write(&file, settings).expect("written");
    let any = "127.0.0.1:0";
    let (code, said) = bulle(&[
        "serve",
        "--config",
        text(&file),
        "--https",
        any,
        "--http",
        any,
        "--turn",
        any,
        "--state",
        text(&state),
    ]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("(`http.key`) does not belong to the certificate in `http.certificate`"), "{said}");
}

#[test]
fn an_address_of_another_machine_is_told() {
    let (code, said) = bulle(&["serve", "--https", "192.0.2.1:8443"]);
    assert_eq!(code, 3);
    assert!(said.contains("this machine does not have that address; correct `http.https`"), "{said}");
}

#[test]
fn a_state_directory_that_cannot_be_made_is_told_with_its_path() {
    let dir = TempDir::new();
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("a file");
    let (code, said) = start(&file.join("state"));
    assert_eq!(code, 4);
    let expected = format!("bulle: cannot make the directory {}: ", file.join("state").display());
    assert!(said.starts_with(&expected), "{said}");
    assert!(said.contains("choose another one with --state or `state.dir`"), "{said}");
}

#[test]
fn a_state_directory_that_cannot_be_written_is_told_with_its_path() {
    // A read-only file system, since whoever runs the tests as root may write everywhere else.
    let (code, said) = start(Path::new("/proc/self/task"));
    assert_eq!(code, 4, "{said}");
    assert!(said.starts_with("bulle: cannot write to /proc/self/task/lock: "), "{said}");
}

#[test]
fn two_daemons_do_not_share_a_state_directory() {
    let daemon = Daemon::start();
    let (code, said) = start(&daemon.state());
    assert_eq!(code, 4);
    assert!(said.contains("is in use by another bulle; stop that one"), "{said}");
}

#[test]
fn a_damaged_authority_is_told_and_left_alone() {
    let dir = used();
    let state = dir.path().join("state");
    for file in ["ca.crt", "ca.key"] {
        let good = std::fs::read(state.join(file)).expect("the file");
        let mut damaged = good.clone();
        damaged.truncate(good.len() / 2);
        std::fs::write(state.join(file), &damaged).expect("written");
        let (code, said) = start(&state);
        assert_eq!(code, 5);
        assert!(
            said.contains(&format!("the file {file} of the certificate authority is damaged; put back")),
            "{said}"
        );
        assert_eq!(std::fs::read(state.join(file)).expect("the file"), damaged, "{file} is left alone");
        std::fs::write(state.join(file), good).expect("written");
    }
}

#[test]
fn half_an_authority_is_told_and_not_completed() {
    let dir = used();
    let state = dir.path().join("state");
    std::fs::remove_file(state.join("ca.key")).expect("removed");
    let (code, said) = start(&state);
    assert_eq!(code, 5);
    assert!(said.contains("the file ca.key of the certificate authority is missing"), "{said}");
    assert!(!state.join("ca.key").exists());
}

#[test]
fn a_damaged_certificate_is_made_again_by_the_same_authority() {
    let dir = used();
    let state = dir.path().join("state");
    let authority = std::fs::read(state.join("ca.crt")).expect("the authority");
    std::fs::write(state.join("server.crt"), "garbage").expect("written");
    let daemon = Daemon::start_in(dir, "", "listen = []");
    assert_eq!(std::fs::read(daemon.state().join("ca.crt")).expect("the authority"), authority);
    let certificate = std::fs::read_to_string(daemon.state().join("server.crt")).expect("a certificate");
    assert!(certificate.starts_with("-----BEGIN CERTIFICATE-----"));
}

#[test]
fn a_clock_behind_what_has_passed_is_told_and_does_not_stop_the_box() {
    let dir = used();
    // Ten years after the build: this machine's clock cannot be there yet.
    let later = appliance::clocks::BUILD_TIME.0 + 10 * 365 * 86_400;
    std::fs::write(dir.path().join("state/clock"), format!("{later}\n")).expect("written");
    let (status, log, _dir) = Daemon::start_in(dir, "", "listen = []").stop();
    assert!(status.success());
    assert!(log.contains("this machine's clock is behind what is known to have passed"), "{log}");
}

#[test]
fn secrets_are_readable_by_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = used();
    let mode = |name: &str| {
        std::fs::metadata(dir.path().join(name)).expect("it exists").permissions().mode() & 0o777
    };
    assert_eq!(mode("state"), 0o700);
    assert_eq!((mode("state/ca.key"), mode("state/server.key")), (0o600, 0o600));
}

#[test]
fn the_same_authority_serves_after_a_restart() {
    let first = Daemon::start();
    let fingerprint = |daemon: &Daemon| {
        daemon
            .greeting
            .lines()
            .find(|line| line.starts_with("  CA "))
            .map(str::to_owned)
            .expect("a fingerprint")
    };
    let before = fingerprint(&first);
    let (_, _, dir) = first.stop();
    assert_eq!(fingerprint(&Daemon::start_in(dir, "", "listen = []")), before);
}

#[test]
fn wrong_settings_are_told_with_file_line_key_and_remedy() {
    let dir = TempDir::new();
    let file = dir.path().join("bulle.toml");
    std::fs::write(&file, "[http]\nhtps = 1\n[log]\nlevel = \"loud\"\n").expect("written");
    for command in [["check-config", text(&file)].as_slice(), &["serve", "--config", text(&file)]] {
        let (code, said) = bulle(command);
        assert_eq!(code, 2);
        let name = file.display();
        assert_eq!(
            said,
            format!(
                "bulle: {name}, line 2: there is no key `http.htps`; did you mean `http.https`?\n\
                 bulle: {name}, line 4: `log.level`: expected one of \"error\", \"warn\", \"info\", \"debug\", \
                 \"trace\", found the text \"loud\"\n"
            )
        );
    }
    let (code, said) = bulle(&["serve", "--config", "/nowhere/bulle.toml"]);
    assert_eq!(code, 2);
    assert!(said.starts_with("bulle: cannot read the settings file /nowhere/bulle.toml: "), "{said}");
}

#[test]
fn settings_that_another_program_is_about_to_write_are_waited_for() {
    let dir = TempDir::new();
    let file = dir.path().join("bulle.toml");
    let part = dir.path().join("part");
    let later = file.clone();
    let writer = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        std::fs::write(&part, "nonsense = 1\n").expect("written");
        std::fs::rename(part, later).expect("in its place");
    });
    let (code, said) = bulle(&["serve", "--wait", "--config", text(&file)]);
    writer.join().expect("written");
    assert_eq!(code, 2);
    assert!(said.contains(", line 1: "), "it read what came: {said}");
    assert_eq!(bulle(&["serve", "--wait"]).0, 2, "nothing to wait for");
}

#[test]
fn good_settings_are_printed_as_they_will_be_used() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/bulle.toml");
    let (code, said) = bulle(&["check-config", example]);
    assert_eq!(code, 0);
    assert!(said.contains("is fine") && said.contains("\nidle = \"90 s\"\n"), "{said}");
}

#[test]
fn a_wrong_command_line_is_refused() {
    assert_eq!(bulle(&["serve", "--https", "nonsense"]).0, 2);
    assert_eq!(bulle(&["serve", "--nonsense"]).0, 2);
    assert_eq!(bulle(&["invite", "--url", "http://bulle.local"]).0, 2);
    assert_eq!(bulle(&["--version"]).0, 0);
}

#[test]
fn an_invitation_shows_the_fingerprint_that_the_daemon_shows() {
    let daemon = Daemon::start();
    let ca = daemon.state().join("ca.crt");
    let (code, said) = bulle(&["invite", "--url", "https://bulle.local:8443", "--ca", text(&ca)]);
    assert_eq!(code, 0);
    let fingerprint =
        daemon.greeting.lines().find_map(|line| line.strip_prefix("  CA ")).expect("a fingerprint").trim();
    assert!(said.contains(fingerprint), "{said}");
}
