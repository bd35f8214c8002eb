//! The controller of a box as a program, below a directory that looks like a box.
//!
//! The service manager and the packet filter are scripts that write down what they are asked; the kernel's files
//! are ours. What needs a real kernel is tested by `ci/harness/interop/controller.sh` and on booted images.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "these are tests; helpers outside of test functions count as tests too"
)]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use support::Sham;

#[test]
fn a_first_start_on_a_cable_makes_everything_that_it_promises() {
    let sham = Sham::new("mode = \"lan\"\n");
    let controller = sham.start();

    let card = sham.read("boot/bulle/JOIN.TXT");
    assert!(card.contains("https://bulle.local/#") && card.contains("\r\n"), "{card}");
    let code = sham.claim_code();
    assert!(code.len() == 11 && appliance_core::firstboot::is_claim_code(&code));
    assert!(!card.contains("Key"), "no Wi-Fi, no key");
    assert!(sham.read("boot/bulle/JOIN.SVG").starts_with("<svg"));
    assert!(fs::read(sham.path("boot/bulle/JOIN.PNG")).unwrap().starts_with(b"\x89PNG"));
    assert!(sham.read("dev/tty1").contains(&code), "the screen shows the card");

    assert!(sham.read("nft.rules").contains("policy drop"));
    assert!(sham.read("run/systemd/network/20-bulle-cable.network").contains("Name=eth0\n"));
    let asked = || sham.read("systemctl.log").contains("reload-or-restart systemd-networkd.service");
    sham.until("networkd is asked", asked);
    let settings = sham.read("run/bulle/bulle.toml");
    assert!(settings.contains("claim = \"") && !settings.contains(&code), "{settings}");
    let (status, said) = sham.bulle(&["check-config", "run/bulle/bulle.toml"]);
    assert_eq!(status, 0, "{said}");
    let (status, said) = sham.bulle(&["box", "check-state", "data/bulle"]);
    assert!(status == 0 && said.contains("whole"), "{said}");

    let (status, said) = sham.bulle(&["box", "status", "--root", "."]);
    assert!(status == 0 && said.contains("serves the network of its cable"), "{said}");
    assert!(said.contains("claimed   no"), "{said}");
    controller.stop();
}

#[test]
fn a_claim_takes_the_card_away_for_good() {
    let sham = Sham::new("mode = \"lan\"\n");
    let controller = sham.start();
    let code = sham.claim_code();
    // A file keeps what a screen forgets.
    fs::write(sham.path("dev/tty1"), "").unwrap();
    fs::write(sham.path("run/bulle/claim/claimed"), "").unwrap();
    sham.until("the card is taken away", || !sham.path("boot/bulle/JOIN.TXT").exists());
    sham.until("the daemon forgets the code", || !sham.read("run/bulle/bulle.toml").contains("claim = "));
    for form in ["JOIN.SVG", "JOIN.PNG"] {
        assert!(!sham.path("boot/bulle").join(form).exists());
    }
    let screen = sham.read("dev/tty1");
    assert!(!screen.contains(&code) && !screen.contains('#'), "{screen}");
    sham.until("the daemon is told", || {
        sham.read("systemctl.log").contains("try-reload-or-restart bulle.service")
    });
    controller.stop();

    fs::remove_file(sham.path("run/bulle/claim/claimed")).unwrap();
    let controller = sham.start();
    assert!(!sham.path("boot/bulle/JOIN.TXT").exists());
    assert!(!sham.read("run/bulle/bulle.toml").contains("claim = "));
    let (_, said) = sham.bulle(&["box", "status", "--root", "."]);
    assert!(said.contains("claimed   yes"), "{said}");
    controller.stop();
}

#[test]
fn an_administrator_who_agrees_with_the_clock_makes_it_believed() {
    for (ahead, believed) in [(0, true), (-86_400, false)] {
        let sham = Sham::new("mode = \"lan\"\n");
        let controller = sham.start();
        let now = appliance::clocks::Clocks::new(None).machine().0;
        fs::write(sham.path("run/bulle/claim/claimed"), format!("{}\n", now.saturating_add_signed(ahead)))
            .unwrap();
        sham.until("the card is taken away", || !sham.path("boot/bulle/JOIN.TXT").exists());
        assert_eq!(sham.path("run/bulle/claim/clock-told").exists(), believed, "{ahead}");
        controller.stop();
    }
}

#[test]
fn a_second_start_writes_nothing_that_lasts() {
    let sham = Sham::new("mode = \"lan\"\n");
    sham.start().stop();
    let lasting =
        ["data/bulle/box.state", "boot/bulle/JOIN.TXT", "boot/bulle/JOIN.PNG", "boot/bulle/JOIN.SVG"];
    let times = || lasting.map(|file| fs::metadata(sham.path(file)).unwrap().modified().unwrap());
    let before = times();
    sham.start().stop();
    assert_eq!(times(), before);
    assert!(!sham.path("data/bulle/box.state.previous").exists());
}

#[test]
fn what_the_daemon_keeps_outlives_the_memory_that_it_works_in() {
    let sham = Sham::new("mode = \"lan\"\n");
    let plan = support::authority("bulle.local");
    let serve = sham.path("run/bulle/serve");
    let controller = sham.start();
    let state = || sham.bulle(&["box", "check-state", "data/bulle"]).1;
    for write in &plan.writes {
        assert!(state().contains("no authority yet"), "half of one is not kept");
        fs::write(serve.join(write.file.name()), &write.contents).unwrap();
    }
    let fingerprint = plan.ca.fingerprint.to_string();
    sham.until("it is kept", || state().contains(&fingerprint));
    let card = fingerprint.split_at(23).0;
    sham.until("the card names it", || sham.read("boot/bulle/JOIN.TXT").contains(card));
    controller.stop();

    fs::remove_dir_all(&serve).unwrap();
    let before = state();
    let controller = sham.start();
    for write in &plan.writes {
        assert_eq!(fs::read(serve.join(write.file.name())).unwrap(), *write.contents);
        let mode = fs::metadata(serve.join(write.file.name())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, if write.file.is_secret() { 0o600 } else { 0o644 });
    }
    // What is there is in use, whatever was kept.
    fs::write(serve.join("clock"), "1800000001\n").unwrap();
    controller.stop();
    assert!(state() != before, "the time is kept at the end");
    sham.start().stop();
    assert_eq!(sham.read("run/bulle/serve/clock"), "1800000001\n");
}

#[test]
fn a_box_whose_disk_was_damaged_finds_itself_on_it_or_is_new_and_says_so() {
    let sham = Sham::new("mode = \"lan\"\n");
    sham.start().stop();
    let code = sham.claim_code();
    let state = fs::read(sham.path("data/bulle/box.state")).unwrap();
    let damage = |remains: &[u8], said: &str| {
        fs::remove_dir_all(sham.path("data/bulle")).unwrap();
        fs::create_dir_all(sham.path("run/bulle-start")).unwrap();
        fs::write(sham.path("run/bulle-start/data"), "rebuilt\n").unwrap();
        fs::write(sham.path("run/bulle-start/remains"), remains).unwrap();
        let controller = sham.start();
        sham.until(said, || sham.flat("boot/bulle/JOIN.TXT").contains(said));
        controller.stop();
        assert!(!sham.path("run/bulle-start/remains").exists());
    };
    let remains = [&[0xa5; 7 * 1024], state.as_slice(), &[0xa5; 2000]].concat();
    damage(&remains, "were found on it and are saved");
    assert_eq!(sham.claim_code(), code);
    damage(&[0xa5; 9000], "nothing of it could be saved");
    assert_ne!(sham.claim_code(), code);
}

#[test]
fn mistakes_in_the_settings_are_said_on_card_and_screen_until_they_are_repaired() {
    let sham = Sham::new("country = \"FR\"\n[wifi]\nband = 5\n");
    let controller = sham.start();
    let mistake = "bulle.toml, line 3: `wifi.band`: expected one of";
    assert!(sham.flat("boot/bulle/JOIN.TXT").contains(mistake), "{}", sham.read("boot/bulle/JOIN.TXT"));
    assert!(sham.flat("dev/tty1").contains(mistake));
    assert!(sham.flat("boot/bulle/JOIN.TXT").contains("no Wi-Fi is made until they are repaired"));
    assert!(sham.read("run/bulle/bulle.toml").contains("https = [\"[::]:443\"]"), "it serves on its cable");

    fs::write(sham.path("boot/bulle/bulle.toml"), "mode = \"lan\"\nname = \"Chez nous\"\n").unwrap();
    controller.hang_up();
    sham.until("the card follows", || {
        let card = sham.flat("boot/bulle/JOIN.TXT");
        card.contains("JOIN CARD OF Chez nous") && !card.contains("line 3")
    });
    controller.stop();
}

#[test]
fn a_card_from_another_board_becomes_a_new_box_and_says_so() {
    let sham = Sham::new("mode = \"lan\"\n");
    sham.set_serial("10000000abcdef01");
    sham.start().stop();
    let first = sham.claim_code();
    sham.set_serial("10000000abcdef02");
    sham.start().stop();
    assert_ne!(sham.claim_code(), first);
    assert!(sham.flat("boot/bulle/JOIN.TXT").contains("This card was used in another board."));
    sham.set_serial("10000000abcdef01");
    sham.start().stop();
    assert_eq!(sham.claim_code(), first);
}

#[test]
fn a_fixed_address_reaches_networkd_and_a_missing_cable_is_no_obstacle() {
    let sham = Sham::new("mode = \"lan\"\n[lan]\naddress = \"192.0.2.5/24\"\ngateway = \"192.0.2.1\"\n");
    let controller = sham.start();
    let file = sham.read("run/systemd/network/20-bulle-cable.network");
    assert!(file.contains("Address=192.0.2.5/24\n") && file.contains("Gateway=192.0.2.1\n"), "{file}");
    fs::remove_dir_all(sham.path("sys/class/net/eth0")).unwrap();
    sham.until("the cable is gone", || !sham.path("run/systemd/network/20-bulle-cable.network").exists());
    controller.stop();
}

#[test]
fn a_certificate_of_the_owner_reaches_the_daemon_and_a_missing_one_is_said() {
    let sham = Sham::new("mode = \"lan\"\n[tls]\ncertificate = \"a.crt\"\nkey = \"a.key\"\n");
    let controller = sham.start();
    assert!(sham.flat("boot/bulle/JOIN.TXT").contains("is not used: a.crt:"));
    assert!(!sham.read("run/bulle/bulle.toml").contains("certificate.pem"));
    fs::write(sham.path("boot/bulle/a.crt"), support::certificate("box.example.org")).unwrap();
    fs::write(sham.path("boot/bulle/a.key"), "key").unwrap();
    controller.hang_up();
    sham.until("it is taken", || sham.read("run/bulle/bulle.toml").contains("run/bulle/certificate.pem"));
    assert_eq!(sham.read("run/bulle/key.pem"), "key");
    assert!(sham.read("run/bulle/bulle.toml").contains("\"box.example.org\""));
    sham.until("the card follows", || sham.read("boot/bulle/JOIN.TXT").contains("https://box.example.org/#"));
    controller.stop();
}

#[test]
fn site_settings_are_checked_on_the_command_line() {
    let sham = Sham::new("mode = \"lan\"\r\n");
    let (status, said) = sham.bulle(&["check-config", "--site", "boot/bulle/bulle.toml"]);
    assert!(status == 0 && said.contains("is fine"), "{said}");
    fs::write(sham.path("bad.toml"), "mode = \"mesh\"\n[lan]\nadress = \"dhcp\"\n").unwrap();
    let (status, said) = sham.bulle(&["check-config", "--site", "bad.toml"]);
    assert_eq!(status, 2);
    assert!(
        said.contains("bad.toml, line 1: `mode`") && said.contains("did you mean `lan.address`?"),
        "{said}"
    );
    let (status, said) = sham.bulle(&["box", "check-state", "nowhere"]);
    assert_eq!(status, 3, "{said}");
}
