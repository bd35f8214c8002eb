//! Bodies of the fuzz targets; the tests replay the corpus through them.

use base::Instant;
use core::time::Duration;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use wire::{Address, BubbleSecret, Challenge, ClientFrame, Kind, Limits, NodeFrame, Reason};

use crate::directory::entry;
use crate::group::suite::Device;
use crate::keys::BubbleKeys;
use crate::parcel::{Body, ChannelFrame, Content, Parcel};
use crate::{ChannelEvent, Client, Command, Config, LinkEvent, PeerId, Transmit, UnixMillis, envelope};

/// What nobody sealed never opens, what we seal opens to itself, and whatever is in it is decoded or refused.
pub fn envelope(data: &[u8]) {
    let keys = BubbleKeys::of(&BubbleSecret::from_random([1; 32]));
    let address = Address::from_bytes([2; 32]);
    let seal = keys.inbox(&address);
    assert!(envelope::open(&seal, Kind::Queue, &address, data).is_none());
    let mut rng = ChaCha20Rng::from_seed([3; 32]);
    if let Some(sealed) = envelope::seal(&seal, Kind::Queue, &address, data, &mut rng) {
        let opened = envelope::open(&seal, Kind::Queue, &address, &sealed);
        assert_eq!(opened.map(|content| content.to_vec()).as_deref(), Some(data));
    }
    if let Ok(parcel) = Parcel::decode(data) {
        assert_eq!(Parcel::decode(&parcel.encode()), Ok(parcel));
    }
    if let Ok(frame) = ChannelFrame::decode(data) {
        assert_eq!(ChannelFrame::decode(&frame.encode()), Ok(frame));
    }
    if let Ok(content) = Content::decode(data)
        && let Ok(body) = Body::decode(&content)
        && body != Body::Unknown
    {
        let bytes = body.encode(content.delivery);
        assert_eq!(Content::decode(&bytes).and_then(|content| Body::decode(&content)), Ok(body));
    }
}

/// What a browser says about itself, and what becomes of the box's answer to it.
pub fn box_channel(data: &[u8]) {
    crate::box_channel::fuzz(data);
}

/// What is in cells for us, whoever sealed them: parts of parcels, in any order and number.
pub fn broadcast(data: &[u8]) {
    crate::broadcast::fuzz(data);
}

/// A file that is a keyring is written as it was read and opens for nobody who has nothing; so is a key as text.
pub fn keyring(data: &[u8]) {
    use crate::keyring::{KeyText, Keyring, MAX_FACTORS, Material};
    if let Ok(keyring) = Keyring::decode(data) {
        assert_eq!(keyring.encode(), data);
        assert!(keyring.factors().len() <= MAX_FACTORS && keyring.needed() > 0);
        let nothing = keyring.factors().iter().map(|factor| (factor.number, Material::new([0; 32])));
        assert!(keyring.open(&nothing.collect::<Vec<_>>()).is_err());
        assert!(keyring.open(&[]).is_err());
    }
    if let Some(key) = core::str::from_utf8(data).ok().and_then(|text| KeyText::parse(text).ok()) {
        assert_eq!(KeyText::parse(&key.to_text()), Ok(key));
    }
}

/// An entry that nobody signed is refused; a signed one is decoded or refused.
pub fn directory_entry(data: &[u8]) {
    let signer = Device::new(&[4; 32]);
    let directory = Address::from_bytes([6; 32]);
    assert!(entry::verify(data, &directory).is_err());
    let signed = entry::sign_raw(data, &signer, &directory);
    if let Ok(entry) = entry::verify(&signed, &directory) {
        assert_eq!(entry.device, signer.key());
    }
}

/// A node that says anything, a peer's channel that carries anything, in any order: the client stands, and
/// what it says is always a frame of the protocol.
pub fn node_frames(data: &[u8]) {
    let config = Config {
        pseudonym: "F".into(),
        secret: BubbleSecret::from_random([1; 32]),
        rtc: true,
        broadcast: false,
    };
    let mut now = Instant::from_millis(1);
    let wall = UnixMillis(1);
    let Ok(mut client) = Client::new(&config, [7; 32], now, wall) else { return };
    let mut rng = ChaCha20Rng::from_seed([8; 32]);
    let mut rest = data;
    while let Some((op, length, tail)) = split_op(rest) {
        let (bytes, next) = tail.split_at(length.min(tail.len()));
        rest = next;
        let number = u32::from(bytes.first().copied().unwrap_or_default());
        let frame = match op % 14 {
            0 => Some(bytes.to_vec()),
            1 => Some(welcome([bytes.first().copied().unwrap_or_default(); 16])),
            2 => Some(encoded(&NodeFrame::Subscribed { req: number, next: 0 })),
            3 => Some(encoded(&NodeFrame::Deposited { req: number })),
            4 => Some(encoded(&NodeFrame::Refused {
                req: number,
                reason: reason(number),
                retry_s: number,
                next: 0,
            })),
            5 => client.sealed_for_inbox(bytes, &mut rng).map(|(address, envelope)| {
                encoded(&NodeFrame::Deliver { address, seq: number.into(), envelope: &envelope })
            }),
            6 => client.sealed_for_directory(bytes, &mut rng).map(|(address, envelope)| {
                encoded(&NodeFrame::Deliver { address, seq: number.into(), envelope: &envelope })
            }),
            7 => Some(encoded(&NodeFrame::Bye { reason: reason(number) })),
            8 => Some(encoded(&NodeFrame::Pong { nonce: number })),
            9 => {
                client.handle_link(if number % 2 == 0 { LinkEvent::Up } else { LinkEvent::Down }, now, wall);
                None
            }
            10 => {
                let _ = client.handle_command(Command::NetworkChanged, now, wall);
                None
            }
            11 => {
                client.handle_channel(PeerId(1), ChannelEvent::Data(bytes.to_vec()), now, wall);
                None
            }
            12 => {
                let _ = client.handle_command(Command::Open { peer: PeerId(number) }, now, wall);
                None
            }
            _ => {
                now = now + Duration::from_millis(u64::from(number) * 100);
                client.handle_timeout(now, wall);
                assert!(client.poll_timeout().is_none_or(|at| at > now), "a deadline that is over");
                None
            }
        };
        if let Some(frame) = frame {
            client.handle_frame(&frame, now, wall);
        }
        while let Some(transmit) = client.poll_transmit() {
            match transmit {
                Transmit::Node(bytes) => assert!(ClientFrame::decode(&bytes).is_ok(), "not a frame"),
                Transmit::Channel { bytes, .. } => assert!(bytes.len() <= crate::MAX_CHANNEL_FRAME),
            }
        }
        while client.poll_event().is_some() {}
    }
}

/// An operation, the length of its bytes, and what follows.
fn split_op(data: &[u8]) -> Option<(u8, usize, &[u8])> {
    let ([op, high, low], rest) = data.split_first_chunk::<3>()?;
    Some((*op, usize::from(u16::from_be_bytes([*high, *low])), rest))
}

fn encoded(frame: &NodeFrame<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes
}

fn welcome(instance: [u8; 16]) -> Vec<u8> {
    let limits = Limits { envelope: 65536, ttl_s: 3600, idle_s: 90, subscriptions: 8 };
    encoded(&NodeFrame::Welcome { instance, challenge: Challenge([9; 32]), turn_port: 3478, limits })
}

const fn reason(number: u32) -> Reason {
    match number % 6 {
        0 => Reason::MailboxFull,
        1 => Reason::NodeFull,
        2 => Reason::TooFast,
        3 => Reason::NoTurn,
        4 => Reason::BadSignature,
        _ => Reason::TakenOver,
    }
}

impl Client {
    /// As a member of the bubble would seal it for our inbox.
    fn sealed_for_inbox(&self, content: &[u8], rng: &mut ChaCha20Rng) -> Option<(Address, Vec<u8>)> {
        let address = self.hub().inbox;
        Some((address, envelope::seal(&self.hub().inbox_seal, Kind::Queue, &address, content, rng)?))
    }

    /// As a member of the bubble would seal it for the directory.
    fn sealed_for_directory(&self, content: &[u8], rng: &mut ChaCha20Rng) -> Option<(Address, Vec<u8>)> {
        let keys = &self.hub().keys;
        Some((
            keys.directory,
            envelope::seal(&keys.directory_seal, Kind::Log, &keys.directory, content, rng)?,
        ))
    }
}

#[cfg(test)]
mod tests {
    type Body = fn(&[u8]);

    /// Every file of the corpus, and every prefix of a few.
    #[test]
    fn the_corpus_holds() {
        let targets: [(&str, Body); 6] = [
            ("client_envelope", super::envelope),
            ("client_directory_entry", super::directory_entry),
            ("client_node_frames", super::node_frames),
            ("client_box_channel", super::box_channel),
            ("client_broadcast", super::broadcast),
            ("client_keyring", super::keyring),
        ];
        for (target, body) in targets {
            let folder = format!("{}/../../ci/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
            let mut count = 0;
            for file in std::fs::read_dir(folder).expect("the corpus is committed") {
                body(&std::fs::read(file.unwrap().path()).unwrap());
                count += 1;
            }
            assert!(count > 0, "{target} has no corpus");
        }
    }

    /// A small search in every run of the tests, the same each time.
    #[test]
    fn a_thousand_random_inputs_hold() {
        use rand_core::{RngCore, SeedableRng};
        let mut rng = rand_chacha::ChaCha20Rng::from_seed([0; 32]);
        for round in 0..1000_u32 {
            let mut data = vec![0; (rng.next_u32() % 400) as usize];
            rng.fill_bytes(&mut data);
            super::envelope(&data);
            super::directory_entry(&data);
            super::broadcast(&data);
            super::keyring(&data);
            if round % 20 == 0 {
                // Short operations that begin with a session, so that most of them mean something.
                let mut script = vec![9, 0, 1, 0, 1, 0, 1, 7, 2, 0, 1, 1];
                for _ in 0..60 {
                    script.extend([rng.next_u32() as u8, 0, 4]);
                    script.extend(rng.next_u32().to_be_bytes());
                }
                super::node_frames(&script);
            }
        }
    }
}
