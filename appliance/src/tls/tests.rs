use super::*;
use crate::leak_guard::LeakGuard;
use appliance_core::pki::Reason;
use appliance_core::settings::{HostFacts, Settings, Typed};
use std::path::{Path, PathBuf};

/// A state directory, and settings that use it.
struct Bench {
    dir: PathBuf,
    state: StateDir,
    live: Arc<Live>,
    clocks: Clocks,
}

impl Bench {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("bulle-tls-{}-{name}", std::process::id()));
        let state = StateDir::open(&dir).expect("a directory");
        let live = Live::new(settings(&dir, "[http]\nnames = \"bulle.local\""));
        Self { dir, state, live, clocks: Clocks::new(None) }
    }

    fn set_up(&self) -> Result<Tls, TlsError> {
        set_up(&self.state, &self.live, &self.clocks)
    }

    /// A certificate by another authority, and its key.
    fn supply(&self, name: &str) {
        let other = std::env::temp_dir().join(format!("bulle-tls-{}-other-{name}", std::process::id()));
        let state = StateDir::open(&other).expect("a directory");
        let names = DnsName::parse(name).into_iter().collect();
        let machine = Identity { names, ..Identity::default() };
        plan(&state, &machine, &self.clocks).expect("a first start");
        for (from, to) in [("server.crt", "box.crt"), ("server.key", "box.key")] {
            std::fs::copy(other.join(from), self.dir.join(to)).expect("copied");
        }
        std::fs::remove_dir_all(other).expect("removed");
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn settings(dir: &Path, text: &str) -> Settings {
    let host = HostFacts { ipv6: true, state_dir: dir.to_owned() };
    Typed::parse(text).expect("settings").resolve(&host)
}

fn with_certificate(dir: &Path) -> Settings {
    let file = |name: &str| dir.join(name).display().to_string();
    let text = format!(
        "[http]\nnames = \"bulle.local\"\ncertificate = \"{}\"\nkey = \"{}\"",
        file("box.crt"),
        file("box.key")
    );
    settings(dir, &text)
}

fn shown(tls: &Tls) -> Vec<u8> {
    let key = tls.certificates.own.read().expect("not poisoned");
    key.cert.first().expect("a certificate").to_vec()
}

#[test]
fn a_renewed_certificate_is_shown_by_the_next_handshake_and_kept() {
    let _guard = LeakGuard::install();
    let bench = Bench::new("renewed");
    let mut tls = bench.set_up().expect("a first start");
    let (ca, before) = (tls.ca.clone(), shown(&tls));
    // Nothing is due, so nothing changes; without its file the certificate is made again.
    renew(&mut tls, &bench.state, &bench.live.identity(), &bench.clocks).expect("a look");
    assert_eq!(shown(&tls), before);
    std::fs::remove_file(bench.dir.join("server.crt")).expect("removed");
    renew(&mut tls, &bench.state, &bench.live.identity(), &bench.clocks).expect("a renewal");
    let after = shown(&tls);
    assert_ne!(after, before);
    let again = bench.set_up().expect("a second start");
    assert_eq!((again.ca.clone(), shown(&again)), (ca, after));
}

#[test]
fn a_certificate_follows_the_name_that_the_link_gives() {
    let bench = Bench::new("follows");
    bench.live.replace(settings(&bench.dir, "[http]\nnames = \"bulle.local\"\n[mdns]\nname = \"bulle\""));
    let mut tls = bench.set_up().expect("a first start");
    bench.live.found_on_link(DnsName::parse("bulle-2.local").expect("a name"));
    look(&mut tls, &bench.state, &bench.live, &bench.clocks);
    assert_eq!(tls.renewal.poll_effect(), Some(Effect::Issue(Reason::Renamed)));
    let plan = plan(&bench.state, &bench.live.identity(), &bench.clocks).expect("a plan");
    assert!(plan.names_left_out.iter().all(|name| !name.is_within("local")), "{:?}", plan.names_left_out);
    let names: Vec<String> = plan.leaf.identity.names.iter().map(ToString::to_string).collect();
    assert!(
        names.contains(&"bulle-2.local".to_owned()) && !names.contains(&"bulle.local".to_owned()),
        "{names:?}"
    );
}

#[test]
fn the_operators_certificate_is_taken_again_when_it_changed_and_kept_when_it_broke() {
    let bench = Bench::new("supplied");
    bench.supply("box.example.org");
    bench.live.replace(with_certificate(&bench.dir));
    let tls = bench.set_up().expect("a start");
    let name = |text: &str| DnsName::parse(text).expect("a name");
    assert!(tls.certificates.is_supplied_for(&name("box.example.org")));
    assert!(!tls.certificates.is_supplied_for(&name("bulle.local")));
    bench.supply("new.example.org");
    reread(&tls, &bench.live, &bench.clocks);
    assert!(tls.certificates.is_supplied_for(&name("new.example.org")));
    std::fs::write(bench.dir.join("box.crt"), "garbage").expect("written");
    reread(&tls, &bench.live, &bench.clocks);
    assert!(tls.certificates.is_supplied_for(&name("new.example.org")));
    bench.live.replace(settings(&bench.dir, ""));
    reread(&tls, &bench.live, &bench.clocks);
    assert!(!tls.certificates.is_supplied_for(&name("new.example.org")));
}

#[test]
fn a_pair_that_cannot_be_served_is_told_with_its_file_and_the_remedy() {
    let bench = Bench::new("wrong");
    bench.supply("box.example.org");
    bench.live.replace(with_certificate(&bench.dir));
    let refused = || bench.set_up().expect_err("refused").to_string();
    let key = std::fs::read(bench.dir.join("box.key")).expect("a key");
    bench.supply("other.example.org");
    std::fs::write(bench.dir.join("box.key"), &key).expect("written");
    assert!(refused().contains("does not belong to the certificate"), "{}", refused());
    std::fs::write(bench.dir.join("box.key"), "garbage").expect("written");
    assert!(refused().contains("(`http.key`) holds no private key that can be used"), "{}", refused());
    std::fs::remove_file(bench.dir.join("box.key")).expect("removed");
    assert!(refused().starts_with("cannot read ") && refused().contains("`http.key`"), "{}", refused());
    std::fs::write(bench.dir.join("box.crt"), "").expect("written");
    std::fs::write(bench.dir.join("box.key"), key).expect("written");
    assert!(refused().contains("there is no certificate in it"), "{}", refused());
}

#[test]
fn the_time_is_written_once_and_not_at_every_start() {
    let bench = Bench::new("clock");
    let mut tls = bench.set_up().expect("a start");
    keep_clock(&mut tls, &bench.state, &bench.clocks, false);
    let saved = bench.state.read_clock().expect("saved");
    std::fs::write(bench.dir.join("clock"), format!("{}\n", saved.0 - 100)).expect("written");
    let mut tls = bench.set_up().expect("a start");
    keep_clock(&mut tls, &bench.state, &bench.clocks, false);
    keep_clock(&mut tls, &bench.state, &bench.clocks, true);
    assert_eq!(bench.state.read_clock().map(|clock| clock.0), Some(saved.0 - 100));
}

#[test]
fn a_lost_clock_file_costs_nothing_where_there_is_a_certificate() {
    let bench = Bench::new("floor");
    bench.set_up().expect("a start");
    let made = pki::made_at(&bench.state.read_pki().expect("files")).expect("a moment");
    let clocks = Clocks::new(None);
    set_up(&bench.state, &bench.live, &clocks).expect("a start");
    assert!(clocks.wall().now >= made);
}
