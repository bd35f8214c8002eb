//! A directory that looks like a box, and a controller in it.

use appliance::leak_guard::suspicious;
use appliance_core::names::DnsName;
use appliance_core::pki::{Identity, PkiFile, Plan, Stored, plan};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Longer than anything here may take, even on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);
const BULLE: &str = env!("CARGO_BIN_EXE_bulle");

/// A certificate for that name, in PEM.
pub(crate) fn certificate(name: &str) -> String {
    let plan = authority(name);
    let leaf = plan.writes.iter().find(|write| write.file == PkiFile::LeafCertificate).unwrap();
    String::from_utf8(leaf.contents.to_vec()).unwrap()
}

/// What a daemon of that name makes at its first start.
pub(crate) fn authority(name: &str) -> Plan {
    let identity = Identity { names: DnsName::parse(name).into_iter().collect(), ..Identity::default() };
    let now = base::UnixSeconds(1_800_000_000);
    plan(&Stored::default(), &identity, now, now).unwrap()
}

/// The directory. It goes with its owner.
pub(crate) struct Sham(PathBuf);

impl Sham {
    /// A box with one socket for a cable, something plugged in, and these settings.
    pub(crate) fn new(settings: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        // Short, since the path of a socket has 108 bytes.
        let sham = Self(std::env::temp_dir().join(format!("bulle-box-{}-{number}", std::process::id())));
        for dir in ["bin", "boot/bulle", "data/bulle", "dev", "run/bulle", "sys/class/net/eth0/device"] {
            fs::create_dir_all(sham.path(dir)).unwrap();
        }
        sham.write("boot/bulle/bulle.toml", settings);
        sham.write("dev/tty1", "");
        sham.write("sys/class/net/eth0/type", "1\n");
        sham.write("sys/class/net/eth0/carrier", "1\n");
        sham.script("nft", &format!("cat > {}", sham.path("nft.rules").display()));
        sham.script("systemctl", &format!("echo \"$*\" >> {}", sham.path("systemctl.log").display()));
        sham
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// A text without its line breaks.
    pub(crate) fn flat(&self, name: &str) -> String {
        self.read(name).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn claim_code(&self) -> String {
        let card = self.read("boot/bulle/JOIN.TXT");
        let code = card.lines().find_map(|line| line.trim().strip_prefix("Claim code"));
        code.unwrap_or_else(|| panic!("no claim code: {card}")).trim().to_owned()
    }

    pub(crate) fn set_serial(&self, serial: &str) {
        fs::create_dir_all(self.path("sys/firmware/devicetree/base")).unwrap();
        self.write("sys/firmware/devicetree/base/serial-number", &format!("{serial}\0"));
    }

    /// The program in this directory, to its end: exit code, and all that it said.
    pub(crate) fn bulle(&self, arguments: &[&str]) -> (i32, String) {
        let output = Command::new(BULLE).args(arguments).current_dir(&self.0).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap_or(-1), String::from_utf8(said).unwrap())
    }

    /// A controller that has looked at everything once, and done what follows.
    pub(crate) fn start(&self) -> Controller {
        let socket = self.path("notify");
        let _ = fs::remove_file(&socket);
        let notify = UnixDatagram::bind(&socket).unwrap();
        notify.set_read_timeout(Some(PATIENCE)).unwrap();
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let mut child = Command::new(BULLE)
            .args(["box", "--root"])
            .arg(&self.0)
            .env("PATH", path)
            .env("NOTIFY_SOCKET", &socket)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        let mut controller = Controller { child, log: Some(log) };
        let mut word = [0; 256];
        // What it says after each look.
        match notify.recv(&mut word) {
            Ok(length) if word[..length].starts_with(b"WATCHDOG=1") => controller,
            other => panic!("not in time ({other:?}): {}", controller.end()),
        }
    }

    /// Waits for something that a turn of the controller brings about.
    pub(crate) fn until(&self, what: &str, done: impl Fn() -> bool) {
        let turn = Duration::from_millis(50);
        for _ in 0..PATIENCE.as_millis() / turn.as_millis() {
            if done() {
                return;
            }
            std::thread::sleep(turn);
        }
        panic!("not in time: {what}; status: {}", self.read("run/bulle/status"));
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn script(&self, name: &str, line: &str) {
        let path = Path::new("bin").join(name);
        let path = self.path(path.to_str().unwrap());
        fs::write(&path, format!("#!/bin/sh\n{line}\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }
}

impl Drop for Sham {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running controller.
pub(crate) struct Controller {
    child: Child,
    log: Option<JoinHandle<String>>,
}

impl Controller {
    pub(crate) fn hang_up(&self) {
        self.signal(Signal::SIGHUP);
    }

    /// Asks it to stop. It ends well, and has logged nothing that identifies anybody.
    pub(crate) fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.child.wait().unwrap();
        let log = self.end();
        assert!(status.success(), "{log}");
        assert!(!log.contains(" ERROR ") && !log.contains("panicked"), "{log}");
        assert_eq!(suspicious(&log), None, "{log}");
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    fn end(&mut self) -> String {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.log.take().map(|log| log.join().unwrap()).unwrap_or_default()
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.end();
    }
}
