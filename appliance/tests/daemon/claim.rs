//! Claiming the box with the code of its join card.

use crate::support::{Answer, Daemon, TempDir};
use appliance_core::claim::ClaimHash;

const CODE: &str = "7KQ2-M9XD-04TV";

fn start() -> Daemon {
    let dir = TempDir::new();
    let hash = ClaimHash::of(CODE, [7; 16]).expect("a code");
    let any = "\"127.0.0.1:0\"";
    let text = format!(
        "[http]\nhttps = {any}\nredirect = {any}\n[turn]\nlisten = []\n[box]\nclaim = \"{hash}\"\nruntime = \"{}\"\n",
        dir.path().display()
    );
    Daemon::start_as(dir, &text)
}

async fn post(daemon: &Daemon, headers: &str, body: &str) -> Answer {
    // The blank line and what follows: the helper ends the head by itself, so the body goes before its own end.
    let head = format!(
        "POST /claim HTTP/1.1\r\nhost: bulle.local:{}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        daemon.https,
        body.len()
    );
    daemon.request(&head).await
}

async fn claim(daemon: &Daemon, code: &str) -> Answer {
    post(daemon, "content-type: application/json\r\n", &format!("{{\"code\": \"{code}\"}}")).await
}

#[tokio::test]
async fn the_code_claims_the_box_once_and_leaves_word() {
    let daemon = start();
    assert!(!daemon.dir().join("claimed").exists());
    let answer = claim(&daemon, "7kq2 m9xd 04tv").await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert!(daemon.dir().join("claimed").exists());
    let again = claim(&daemon, CODE).await;
    assert_eq!((again.status, again.text()), (409, "this box was claimed already\n"));
}

#[tokio::test]
async fn who_claims_the_box_may_tell_the_time() {
    let daemon = start();
    let word = || std::fs::read_to_string(daemon.dir().join("claimed"));
    let json = "content-type: application/json\r\n";
    let wrong = post(&daemon, json, "{\"code\": \"7KQ2-M9XD-04TX\", \"time\": 1900000000}").await;
    assert!(wrong.status == 403 && word().is_err(), "who did not claim it tells nothing");
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let right = post(&daemon, json, &format!("{{\"code\": \"{CODE}\", \"time\": 1900000000}}")).await;
    assert_eq!((right.status, word().expect("the word").as_str()), (204, "1900000000\n"));
    assert!(!daemon.dir().join("claimed.part").exists());
}

#[tokio::test]
async fn a_wrong_code_costs_time() {
    let daemon = start();
    let wrong = claim(&daemon, "7KQ2-M9XD-04TX").await;
    assert_eq!((wrong.status, wrong.text()), (403, "this is not the code of this box\n"));
    let soon = claim(&daemon, CODE).await;
    assert_eq!((soon.status, soon.header("retry-after")), (429, Some("1")));
    assert!(!daemon.dir().join("claimed").exists());
}

#[tokio::test]
async fn what_is_no_claim_is_refused_and_costs_nothing() {
    let daemon = start();
    let json = "content-type: application/json\r\n";
    let good = format!("{{\"code\": \"{CODE}\"}}");
    let large = format!("{{\"code\": \"{}\"}}", "7".repeat(300));
    let elsewhere = format!("{json}origin: https://evil.example\r\n");
    for (headers, body, status) in [
        ("", good.as_str(), 415),
        ("content-type: text/plain\r\n", &good, 415),
        (&elsewhere, &good, 403),
        (json, "{}", 400),
        (json, "", 400),
        (json, &large, 413),
    ] {
        assert_eq!(post(&daemon, headers, body).await.status, status, "{headers}{body}");
    }
    assert_eq!(claim(&daemon, CODE).await.status, 204);
}

#[tokio::test]
async fn a_box_that_was_claimed_before_the_start_stays_claimed() {
    let daemon = start();
    assert_eq!(claim(&daemon, CODE).await.status, 204);
    let settings = std::fs::read_to_string(daemon.dir().join("bulle.toml")).expect("settings");
    let settings = settings.split("[state]").next().expect("some").to_owned();
    let (_, _, dir) = daemon.stop();
    let daemon = Daemon::start_as(dir, &settings);
    assert_eq!(claim(&daemon, CODE).await.status, 409);
}

#[tokio::test]
async fn without_a_code_there_is_nothing_to_claim() {
    let daemon = Daemon::start();
    assert_eq!(claim(&daemon, CODE).await.status, 405);
}
