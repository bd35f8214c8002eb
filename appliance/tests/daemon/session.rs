//! Sessions: what well-behaved clients get, and what the others do not.

use crate::support::{Client, Daemon, Said, TempDir};
use ed25519_dalek::SigningKey;
use tokio_tungstenite::tungstenite::Message;
use wire::{Address, Challenge, ClientFrame, Kind, NodeFrame, Reason, ReceiveKey, Signature, Ttl};

/// A receive key, by a seed.
pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

/// The first frame's challenge.
pub(crate) async fn welcomed(client: &mut Client) -> Challenge {
    let frame = client.frame().await;
    match NodeFrame::decode(&frame).expect("a frame") {
        NodeFrame::Welcome { challenge, .. } => challenge,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn subscribe(req: u32, key: &SigningKey, challenge: &Challenge) -> ClientFrame<'static> {
    let signature = Signature::subscribe(key, Kind::Queue, challenge);
    ClientFrame::Subscribe { req, kind: Kind::Queue, key: ReceiveKey::of(key), signature, from: 0 }
}

pub(crate) fn inbox(key: &SigningKey) -> Address {
    Address::of(Kind::Queue, &ReceiveKey::of(key))
}

/// The reason of a `Bye`, and the code with which the session then closed.
async fn farewell(client: &mut Client) -> (Option<Reason>, u16) {
    let mut reason = None;
    loop {
        match client.next().await {
            Said::Frame(bytes) => {
                if let NodeFrame::Bye { reason: said } = NodeFrame::decode(&bytes).expect("a frame") {
                    reason = Some(said);
                }
            }
            Said::Closed(code) => return (reason, code),
            Said::Gone => return (reason, 0),
        }
    }
}

/// The session works: it answers a ping.
pub(crate) async fn assert_alive(client: &mut Client) {
    client.send(&ClientFrame::Ping { nonce: 4711 }).await;
    loop {
        let frame = client.frame().await;
        if NodeFrame::decode(&frame) == Ok(NodeFrame::Pong { nonce: 4711 }) {
            return;
        }
    }
}

#[tokio::test]
async fn an_envelope_goes_from_one_session_to_another() {
    let daemon = Daemon::start();
    let (mut reader, mut writer) = (daemon.session().await, daemon.session().await);
    let challenge = welcomed(&mut reader).await;
    welcomed(&mut writer).await;
    let key = key(1);
    reader.send(&subscribe(1, &key, &challenge)).await;
    let frame = reader.frame().await;
    assert!(matches!(NodeFrame::decode(&frame), Ok(NodeFrame::Subscribed { req: 1, .. })), "{frame:?}");

    let envelope = [7; wire::BLOCK];
    let deposit = ClientFrame::Deposit { req: 2, address: inbox(&key), ttl: Ttl::Long, envelope: &envelope };
    writer.send(&deposit).await;
    let frame = writer.frame().await;
    assert_eq!(NodeFrame::decode(&frame), Ok(NodeFrame::Deposited { req: 2 }));

    let frame = reader.frame().await;
    let Ok(NodeFrame::Deliver { address, seq, envelope: delivered }) = NodeFrame::decode(&frame) else {
        panic!("a delivery")
    };
    assert_eq!((address, delivered), (inbox(&key), envelope.as_slice()));
    reader.send(&ClientFrame::Acknowledge { address, first: seq, last: seq }).await;
    assert_alive(&mut reader).await;
}

#[tokio::test]
async fn many_large_envelopes_arrive_in_order_at_a_reader_that_comes_late() {
    const COUNT: u8 = 40;
    let daemon = Daemon::start();
    let mut writer = daemon.session().await;
    welcomed(&mut writer).await;
    let key = key(2);
    for i in 0..COUNT {
        let envelope = vec![i; wire::MAX_ENVELOPE];
        let deposit =
            ClientFrame::Deposit { req: i.into(), address: inbox(&key), ttl: Ttl::Long, envelope: &envelope };
        writer.send(&deposit).await;
        let frame = writer.frame().await;
        assert_eq!(NodeFrame::decode(&frame), Ok(NodeFrame::Deposited { req: i.into() }));
    }
    let mut reader = daemon.session().await;
    let challenge = welcomed(&mut reader).await;
    reader.send(&subscribe(1, &key, &challenge)).await;
    let mut expected = 0;
    while expected < COUNT {
        let frame = reader.frame().await;
        match NodeFrame::decode(&frame).expect("a frame") {
            NodeFrame::Deliver { address, seq, envelope } => {
                assert!(envelope.iter().all(|byte| *byte == expected));
                expected += 1;
                reader.send(&ClientFrame::Acknowledge { address, first: seq, last: seq }).await;
            }
            NodeFrame::Subscribed { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_full_node_refuses_with_a_reason_and_keeps_what_it_has() {
    let daemon = Daemon::start_with("mailbox = \"1 MiB\"");
    let mut writer = daemon.session().await;
    welcomed(&mut writer).await;
    let envelope = vec![1; wire::MAX_ENVELOPE];
    let first = ClientFrame::Deposit { req: 0, address: inbox(&key(1)), ttl: Ttl::Long, envelope: &envelope };
    writer.send(&first).await;
    let frame = writer.frame().await;
    assert_eq!(NodeFrame::decode(&frame), Ok(NodeFrame::Deposited { req: 0 }));
    let mut refusals = Vec::new();
    for req in 1..200 {
        let address = inbox(&key(u8::try_from(req % 100 + 2).expect("small")));
        writer.send(&ClientFrame::Deposit { req, address, ttl: Ttl::Long, envelope: &envelope }).await;
        let frame = writer.frame().await;
        if let Ok(NodeFrame::Refused { reason, .. }) = NodeFrame::decode(&frame) {
            refusals.push(reason);
        }
    }
    assert!(refusals.len() > 150, "{}", refusals.len());
    assert!(
        refusals.iter().all(|reason| matches!(reason, Reason::NodeFull | Reason::MailboxFull)),
        "{refusals:?}"
    );

    let mut reader = daemon.session().await;
    let challenge = welcomed(&mut reader).await;
    reader.send(&subscribe(1, &key(1), &challenge)).await;
    let mut delivered = false;
    while !delivered {
        let frame = reader.frame().await;
        delivered = matches!(NodeFrame::decode(&frame), Ok(NodeFrame::Deliver { .. }));
    }
}

#[tokio::test]
async fn a_signature_from_another_session_is_refused_and_both_sessions_live_on() {
    let daemon = Daemon::start();
    let (mut first, mut second) = (daemon.session().await, daemon.session().await);
    let stolen = welcomed(&mut first).await;
    welcomed(&mut second).await;
    second.send(&subscribe(9, &key(1), &stolen)).await;
    let frame = second.frame().await;
    assert!(
        matches!(
            NodeFrame::decode(&frame),
            Ok(NodeFrame::Refused { req: 9, reason: Reason::BadSignature, .. })
        ),
        "{frame:?}"
    );
    assert_alive(&mut second).await;
    assert_alive(&mut first).await;
}

#[tokio::test]
async fn a_malformed_frame_ends_its_own_session_and_no_other() {
    let daemon = Daemon::start();
    let mut other = daemon.session().await;
    for bytes in [vec![], vec![0xff], vec![0x82, 0x06, 0x81, 0x01, 0x00], vec![0x9f; 1000]] {
        let mut client = daemon.session().await;
        client.send_message(Message::Binary(bytes.into())).await;
        assert_eq!(farewell(&mut client).await, (Some(Reason::Malformed), 1002));
    }
    assert_alive(&mut other).await;
}

#[tokio::test]
async fn a_frame_that_is_too_large_ends_its_own_session_and_no_other() {
    let daemon = Daemon::start();
    let mut other = daemon.session().await;
    let mut client = daemon.session().await;
    client.send_message(Message::Binary(vec![0; wire::MAX_FRAME + 1].into())).await;
    let (_, code) = farewell(&mut client).await;
    // The rest of the frame is still on its way when the session closes, which may cost the last words.
    assert!(matches!(code, 1009 | 0), "{code}");
    assert_alive(&mut other).await;
}

#[tokio::test]
async fn text_is_no_frame() {
    let daemon = Daemon::start();
    let mut client = daemon.session().await;
    client.send_message(Message::Text("hello".into())).await;
    assert_eq!(farewell(&mut client).await, (None, 1003));
}

#[tokio::test]
async fn a_flood_of_frames_ends_its_own_session_and_no_other() {
    let daemon = Daemon::start_with("frames_per_second = 5\nframes_burst = 20");
    let (mut other, mut client) = (daemon.session().await, daemon.session().await);
    for nonce in 0..200 {
        client.send(&ClientFrame::Ping { nonce }).await;
    }
    assert_eq!(farewell(&mut client).await, (Some(Reason::TooFast), 1008));
    assert_alive(&mut other).await;
}

#[tokio::test]
async fn a_flood_of_control_frames_ends_its_own_session_and_no_other() {
    let daemon = Daemon::start();
    let (mut other, mut client) = (daemon.session().await, daemon.session().await);
    for _ in 0..500 {
        client.send_message(Message::Pong(vec![1; 100].into())).await;
    }
    assert_eq!(farewell(&mut client).await, (None, 1008));
    assert_alive(&mut other).await;
}

#[tokio::test]
async fn a_silent_session_is_closed_after_the_idle_time() {
    let daemon = Daemon::start_with("idle = \"1 s\"");
    let mut client = daemon.session().await;
    assert_eq!(farewell(&mut client).await, (Some(Reason::Idle), 1001));
}

#[tokio::test]
async fn sessions_beyond_the_limit_are_refused_and_the_others_stay() {
    let daemon = Daemon::start_with("sessions = 2");
    let (mut first, mut second) = (daemon.session().await, daemon.session().await);
    assert_eq!(daemon.try_session("").await.err(), Some(503));
    assert_alive(&mut first).await;
    assert_alive(&mut second).await;
}

#[tokio::test]
async fn a_page_of_another_origin_cannot_open_a_session() {
    let daemon = Daemon::start();
    assert_eq!(daemon.try_session("https://evil.example").await.err(), Some(403));
    let own = format!("https://bulle.local:{}", daemon.https);
    assert!(daemon.try_session(&own).await.is_ok());
}

#[tokio::test]
async fn turn_credentials_are_given_where_there_is_turn() {
    let daemon = Daemon::start();
    let mut client = daemon.session().await;
    let frame = client.frame().await;
    let Ok(NodeFrame::Welcome { turn_port, .. }) = NodeFrame::decode(&frame) else { panic!("a welcome") };
    assert_ne!(turn_port, 0);
    client.send(&ClientFrame::RequestCredentials { req: 3 }).await;
    let frame = client.frame().await;
    let Ok(NodeFrame::Credentials { req: 3, username, password, ttl_s }) = NodeFrame::decode(&frame) else {
        panic!("credentials")
    };
    assert!(username.contains(':') && !password.is_empty() && ttl_s >= 3600);
}

#[tokio::test]
async fn turn_credentials_are_refused_where_there_is_none() {
    let daemon = Daemon::start_in(TempDir::new(), "", "listen = []");
    let mut client = daemon.session().await;
    welcomed(&mut client).await;
    client.send(&ClientFrame::RequestCredentials { req: 3 }).await;
    let frame = client.frame().await;
    assert!(
        matches!(NodeFrame::decode(&frame), Ok(NodeFrame::Refused { req: 3, reason: Reason::NoTurn, .. })),
        "{frame:?}"
    );
}
