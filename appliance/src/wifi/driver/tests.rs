//! The driver with a radio and a hostapd that are made up; the real ones are met when an image is booted.
//!
//! The made-up hostapd is this very test program: started by a script, it answers on a real control socket.

use super::*;
use appliance_core::wifi::access_point::{Failure, Traffic};
use appliance_core::wifi::{
    Band, Choice, Country, Passphrase, PersonKey, RadioId, Security, Ssid,
    decide::{Modes, Pmf, Width},
};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use zeroize::Zeroizing;

const KEY: &str = "correct horse battery staple";

/// A radio that is what the test says.
#[derive(Debug)]
struct FakeRadio {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    there: bool,
    alive: bool,
    hangs: bool,
    rebinds: u32,
}

impl FakeRadio {
    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }
}

impl Radio for FakeRadio {
    fn locate(&self) -> io::Result<Option<Interface>> {
        let there = self.state.lock().unwrap().there;
        Ok(there.then(|| Interface { index: 3, name: "wlan5".into() }))
    }

    fn pulse(&self, _: &Interface) -> io::Result<Option<RadioPulse>> {
        while self.state.lock().unwrap().hangs {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        let state = self.state.lock().unwrap();
        let pulse = RadioPulse { sends: state.alive, answers: state.alive, traffic: Traffic::default() };
        Ok(state.there.then_some(pulse))
    }

    fn rebind(&self) -> io::Result<()> {
        self.set(|state| {
            (state.alive, state.hangs) = (true, false);
            state.rebinds += 1;
        });
        Ok(())
    }
}

/// A directory, a driver that runs in it, and what it says.
struct Bench {
    dir: PathBuf,
    radio: Arc<FakeRadio>,
    orders: mpsc::Sender<Order>,
    events: mpsc::Receiver<Event>,
    task: tokio::task::JoinHandle<()>,
}

impl Bench {
    fn start(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("bulle-wifi-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).unwrap();
        let program = dir.join("hostapd");
        let test = "wifi::driver::tests::the_made_up_hostapd";
        let exe = std::env::current_exe().unwrap();
        let script = format!(
            "#!/bin/sh\nFAKE_HOSTAPD=\"$1\" exec '{}' --exact --ignored --nocapture {test} \"$1\"\n",
            exe.display()
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let radio = Arc::new(FakeRadio {
            state: Mutex::new(State { there: true, alive: true, hangs: false, rebinds: 0 }),
        });
        let (orders, from_owner) = mpsc::channel(4);
        let (to_owner, events) = mpsc::channel(16);
        let driver = Driver {
            plan: plan(),
            credentials: credentials(),
            dirs: Dirs {
                run: dir.join("run"),
                sys: dir.join("sys"),
                hostapd: program,
                user: "nobody-of-ours",
            },
            radio: Arc::clone(&radio),
            orders: from_owner,
            events: to_owner,
        };
        Self { dir, radio, orders, events, task: tokio::spawn(driver.run()) }
    }

    async fn event(&mut self) -> Event {
        timeout(Duration::from_secs(60), self.events.recv()).await.expect("news in time").expect("news")
    }

    /// Leaves word for the made-up hostapd, which does as told within a moment.
    fn tell(&self, word: &str) {
        fs::write(self.dir.join("run").join(word), "").unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.join("run").join(name)).unwrap_or_default()
    }

    async fn stop(self) {
        self.orders.send(Order::Stop).await.unwrap();
        timeout(Duration::from_secs(60), self.task).await.expect("an end in time").unwrap();
        let left: Vec<_> = ["hostapd.conf", "keys", "client", "hostapd.pid"]
            .into_iter()
            .filter(|name| self.dir.join("run").join(name).exists())
            .collect();
        assert_eq!(left, [""; 0], "secrets are left behind");
        fs::remove_dir_all(&self.dir).unwrap();
    }
}

fn plan() -> Plan {
    Plan {
        radio: RadioId { driver: "fake".into(), device: "fake0".into() },
        interface: Some("wlan5".into()),
        country: Country::new("FR"),
        band: Band::Band2,
        channel: 6,
        width: Width::Mhz20,
        modes: Modes::default(),
        security: Security::Wpa2(Pmf::Optional),
        stations: 4,
        isolation: true,
        own_sme: false,
        notices: vec![],
        choice: Choice::default(),
    }
}

fn credentials() -> Credentials {
    let key = |text: &str| Passphrase::new(Zeroizing::new(text.to_owned())).unwrap();
    Credentials::new(Ssid::new("Bulle").unwrap(), key(KEY))
        .with_persons(vec![PersonKey { person: 7, key: key("pppppppppppppppppppp") }])
        .unwrap()
}

/// Not a test: what the script above starts. Outside of that it has nothing to do.
#[test]
#[ignore = "only started by other tests, as their hostapd"]
fn the_made_up_hostapd() {
    let Some(conf) = std::env::var_os("FAKE_HOSTAPD") else { return };
    let text = fs::read_to_string(&conf).unwrap();
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap().to_owned()
    };
    let run = Path::new(&conf).parent().unwrap();
    let take = |word: &str| fs::remove_file(run.join(word)).is_ok();
    println!("wlan5: STA 02:00:00:00:00:01 IEEE 802.11: associated");
    if take("refuse") {
        println!("Could not set channel for kernel driver");
        std::process::exit(1);
    }
    let socket = UnixDatagram::bind(Path::new(&value("ctrl_interface")).join(value("interface"))).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut log = String::new();
    let mut stations = 0;
    let mut client = None;
    loop {
        if take("die") {
            std::process::exit(0);
        }
        if take("hang") {
            loop {
                std::thread::park();
            }
        }
        if let (true, Some(client)) = (take("join"), &client) {
            stations += 1;
            socket.send_to(b"<3>AP-STA-CONNECTED 02:00:00:00:00:01", client).unwrap();
        }
        let mut buffer = [0; 256];
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        let command = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let path = from.as_pathname().unwrap().to_owned();
        log.push_str(&command);
        log.push('\n');
        fs::write(run.join("log"), &log).unwrap();
        let status = format!("state=ENABLED\nnum_sta[0]={stations}\n");
        let reply = if command == "STATUS" { status.as_str() } else { "OK\n" };
        // An event slips in before the answer, as with the real one.
        socket.send_to(b"<3>AP-STA-POLL-OK 02:00:00:00:00:01", &path).unwrap();
        socket.send_to(reply.as_bytes(), &path).unwrap();
        if command == "ATTACH" {
            socket.send_to(b"<3>AP-ENABLED ", &path).unwrap();
            client = Some(path);
        }
        if command == "TERMINATE" {
            std::process::exit(0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_point_comes_up_counts_its_stations_and_says_goodbye() {
    let mut bench = Bench::start("up");
    assert_eq!(bench.event().await, Event::Enabled);
    assert!(bench.read("hostapd.conf").contains(&format!("wpa_passphrase={KEY}\n")));
    for path in ["run", "run/hostapd.conf", "run/keys", "run/control"] {
        let mode = fs::metadata(bench.dir.join(path)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{path} is open to others");
    }
    bench.tell("join");
    assert_eq!(bench.event().await, Event::Stations(1));
    let log = bench.dir.join("run/log");
    bench.orders.send(Order::Stop).await.unwrap();
    assert_eq!(bench.events.recv().await, Some(Event::Stations(0)));
    assert_eq!(bench.events.recv().await, None);
    assert!(fs::read_to_string(log).unwrap().ends_with("TERMINATE\n"));
    fs::remove_dir_all(&bench.dir).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostapd_that_dies_or_hangs_is_replaced() {
    let mut bench = Bench::start("replaced");
    assert_eq!(bench.event().await, Event::Enabled);
    bench.tell("die");
    assert_eq!(bench.event().await, Event::Failed(Failure::HostapdEnded(Complaint::None)));
    assert_eq!(bench.event().await, Event::Recovered);
    bench.tell("hang");
    assert_eq!(bench.event().await, Event::Failed(Failure::HostapdSilent));
    assert_eq!(bench.event().await, Event::Recovered);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hostapd_complains_about_is_told_and_nothing_else() {
    let mut bench = Bench::start("complains");
    assert_eq!(bench.event().await, Event::Enabled);
    bench.tell("refuse");
    bench.tell("die");
    assert_eq!(bench.event().await, Event::Failed(Failure::HostapdEnded(Complaint::None)));
    assert_eq!(bench.event().await, Event::Failed(Failure::NotEnabled(Complaint::Channel)));
    assert_eq!(bench.event().await, Event::Recovered);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_radio_that_falls_silent_or_is_pulled_out_comes_back() {
    let mut bench = Bench::start("radio");
    assert_eq!(bench.event().await, Event::Enabled);
    // Seen alive once, so that its silence means something.
    bench.tell("join");
    assert_eq!(bench.event().await, Event::Stations(1));
    bench.radio.set(|state| state.alive = false);
    assert_eq!(bench.event().await, Event::Failed(Failure::RadioSilent));
    assert_eq!(bench.event().await, Event::Stations(0));
    assert_eq!(bench.event().await, Event::Recovered);
    assert_eq!(bench.radio.state.lock().unwrap().rebinds, 1);
    bench.radio.set(|state| state.there = false);
    assert_eq!(bench.event().await, Event::Failed(Failure::RadioGone));
    bench.radio.set(|state| state.there = true);
    assert_eq!(bench.event().await, Event::Recovered);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_hangs_is_started_again_all_the_same() {
    let mut bench = Bench::start("hangs");
    assert_eq!(bench.event().await, Event::Enabled);
    bench.tell("join");
    assert_eq!(bench.event().await, Event::Stations(1));
    bench.radio.set(|state| state.hangs = true);
    assert_eq!(bench.event().await, Event::Failed(Failure::RadioSilent));
    assert_eq!(bench.event().await, Event::Stations(0));
    assert_eq!(bench.event().await, Event::Recovered);
    assert_eq!(bench.radio.state.lock().unwrap().rebinds, 1);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_is_shut_out_has_to_go_at_once() {
    let mut bench = Bench::start("person");
    assert_eq!(bench.event().await, Event::Enabled);
    assert!(bench.read("keys").contains("keyid=p7 "));
    let fewer = credentials().with_persons(vec![]).unwrap();
    bench.orders.send(Order::NewCredentials(fewer)).await.unwrap();
    bench.tell("join");
    assert_eq!(bench.event().await, Event::Stations(1));
    assert_eq!(bench.read("keys"), "");
    assert!(
        bench.read("log").contains("RELOAD_WPA_PSK\nDEAUTHENTICATE ff:ff:ff:ff:ff:ff\n"),
        "{}",
        bench.read("log")
    );
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostapd_that_was_left_behind_is_ended_first() {
    let mut bench = Bench::start("stale");
    assert_eq!(bench.event().await, Event::Enabled);
    // As after a crash of ours: it runs, and only its files tell of it.
    let run = bench.dir.join("run");
    let (conf, pid) = (run.join("hostapd.conf"), run.join("hostapd.pid"));
    let (text, program) = (fs::read(&conf).unwrap(), bench.dir.join("hostapd"));
    bench.task.abort();
    let _ = bench.task.await;
    fs::remove_file(run.join("control/wlan5")).unwrap();
    fs::write(&conf, text).unwrap();
    let mut left =
        std::process::Command::new(&program).arg(&conf).stdout(std::process::Stdio::null()).spawn().unwrap();
    while !run.join("control/wlan5").exists() {
        tokio::task::yield_now().await;
    }
    fs::write(&pid, left.id().to_string()).unwrap();
    let dirs =
        Dirs { run: run.clone(), sys: bench.dir.join("sys"), hostapd: program, user: "nobody-of-ours" };
    let new = Hostapd::start(&dirs, &plan(), &credentials(), "wlan5").await.unwrap();
    // Only a signal ends it without a code.
    assert_eq!(left.wait().unwrap().code(), None);
    assert_ne!(fs::read_to_string(&pid).unwrap(), left.id().to_string());
    new.end(true).await;
    fs::remove_dir_all(&bench.dir).unwrap();
}
