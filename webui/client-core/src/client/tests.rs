//! One client, and a member of the bubble who breaks the rules from within.

use core::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use wire::{Address, BubbleSecret, Challenge, Limits, NodeFrame};

use super::*;
use crate::api::Notice;
use crate::directory::entry::Draft;
use crate::envelope;
use crate::group::suite::{Group, GroupTag};
use crate::parcel::{Body, DeliveryId, Invitation, Parcel, ReceiptBody, TextBody, VERSION};

const WALL: UnixMillis = UnixMillis(1_800_000_000_000);

/// A client whose session is up, and time.
struct Fixture {
    client: Client,
    now: Instant,
    rng: ChaCha20Rng,
}

/// A member of the bubble, made of parts.
struct Member {
    device: Device,
    entry: Vec<u8>,
}

impl Fixture {
    fn new() -> Self {
        let config = Config {
            pseudonym: "Ana".into(),
            secret: BubbleSecret::from_random([1; 32]),
            rtc: false,
            broadcast: false,
        };
        let now = Instant::from_millis(1);
        let client = Client::new(&config, [2; 32], now, WALL).unwrap();
        let mut fixture = Self { client, now, rng: ChaCha20Rng::from_seed([3; 32]) };
        fixture.greet([5; 16]);
        fixture.frame(&NodeFrame::Subscribed { req: 1, next: 0 });
        fixture.events();
        fixture
    }

    /// A new session begins, at a node that remembers or at another one.
    fn greet(&mut self, instance: [u8; 16]) {
        self.client.handle_link(LinkEvent::Up, self.now, WALL);
        let limits = Limits { envelope: 65536, ttl_s: 3600, idle_s: 90, subscriptions: 8 };
        let challenge = Challenge([4; 32]);
        self.frame(&NodeFrame::Welcome { instance, challenge, turn_port: 3478, limits });
    }

    /// What is said of credentials, in order; the number of a request beside it.
    fn said_of_credentials(&mut self) -> Vec<(&'static str, u32)> {
        let said = core::iter::from_fn(|| self.client.poll_transmit());
        said.filter_map(|transmit| {
            let Transmit::Node(bytes) = transmit else { return None };
            let frame = wire::ClientFrame::decode(&bytes).unwrap();
            if let wire::ClientFrame::RequestCredentials { req } = frame {
                return Some(("request", req));
            }
            let kept = wire::ClientFrame::KeepCredentials { username: "name", password: "word" };
            let known = [("keep", kept), ("leave", wire::ClientFrame::Leave)];
            known.iter().find(|(_, known)| *known == frame).map(|(name, _)| (*name, 0))
        })
        .collect()
    }

    fn frame(&mut self, frame: &NodeFrame<'_>) {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        self.client.handle_frame(&bytes, self.now, WALL);
    }

    fn events(&mut self) -> Vec<Event> {
        while self.client.poll_transmit().is_some() {}
        core::iter::from_fn(|| self.client.poll_event()).collect()
    }

    /// Publishes as a member would.
    fn publish(&mut self, entry: &[u8]) {
        let keys = &self.client.hub.keys;
        let (address, seal) = (keys.directory, &keys.directory_seal);
        let envelope = envelope::seal(seal, Kind::Log, &address, entry, &mut self.rng).unwrap();
        self.frame(&NodeFrame::Deliver { address, seq: 1, envelope: &envelope });
    }

    /// Deposits in our inbox as a member would.
    fn deposit(&mut self, parcel: &Parcel<'_>) {
        let address = self.client.hub.inbox;
        let seal = &self.client.hub.inbox_seal;
        let envelope = envelope::seal(seal, Kind::Queue, &address, &parcel.encode(), &mut self.rng).unwrap();
        self.frame(&NodeFrame::Deliver { address, seq: 1, envelope: &envelope });
    }

    fn member(&self, seed: u8, name: &str) -> Member {
        let mut device = Device::new(&[seed; 32]);
        let package = device.rotate().unwrap();
        let pseudonym = Text::from(name);
        let draft = Draft {
            serial: 1,
            pseudonym: &pseudonym,
            inbox: Address::from_bytes([seed; 32]),
            package,
            rtc: false,
            since: WALL,
            published: WALL,
            left: false,
            cell: None,
        };
        let entry = draft.sign(&device, &self.client.hub.keys.directory);
        Member { device, entry }
    }

    /// A group of a member with us, made from our published key package.
    fn group(&self, member: &Member, tag: u8) -> (GroupTag, Group, Vec<u8>) {
        let hub = &self.client.hub;
        let own = crate::directory::entry::verify(&hub.own_entry, &hub.keys.directory).unwrap();
        let tag = GroupTag([tag; 16]);
        let (group, welcome) = member.device.create(tag, &own.package.unwrap(), hub.device.key()).unwrap();
        (tag, group, welcome)
    }
}

fn text(order: u64, delivery: DeliveryId) -> Zeroizing<Vec<u8>> {
    Body::Text(TextBody { order, at: 0, text: "words".into() }).encode(Some(delivery))
}

fn messages(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Message { .. })).count()
}

#[test]
fn an_invitation_is_enough_to_be_known_and_heard() {
    let mut ana = Fixture::new();
    let ben = ana.member(9, "Ben");
    let (group, mut mls, welcome) = ana.group(&ben, 1);
    let delivery = DeliveryId([1; 16]);
    let message = mls.seal(&ben.device, &text(1, delivery)).unwrap();
    let invitation = Some(Invitation { entry: &ben.entry, welcome: &welcome });
    ana.deposit(&Parcel { version: VERSION, delivery: Some(delivery), group, invitation, message: &message });
    let events = ana.events();
    assert!(events.iter().any(|event| matches!(event, Event::PeerHere { .. })));
    assert_eq!(messages(&events), 1);
}

#[test]
fn a_member_cannot_write_in_the_name_of_another() {
    let mut ana = Fixture::new();
    let (ben, eve) = (ana.member(9, "Ben"), ana.member(8, "Eve"));
    ana.publish(&ben.entry);
    ana.events();
    // Eve makes the group, and shows Ben's entry.
    let (group, mut mls, welcome) = ana.group(&eve, 1);
    let message = mls.seal(&eve.device, &text(1, DeliveryId([1; 16]))).unwrap();
    let invitation = Some(Invitation { entry: &ben.entry, welcome: &welcome });
    ana.deposit(&Parcel { version: VERSION, delivery: None, group, invitation, message: &message });
    let events = ana.events();
    assert_eq!(events, [Event::Notice(Notice::Impersonation { peer: PeerId(1) })]);
    assert!(ana.client.hub.by_group.is_empty());
}

#[test]
fn a_member_cannot_acknowledge_what_another_has_not_received() {
    let mut ana = Fixture::new();
    let (ben, eve) = (ana.member(9, "Ben"), ana.member(8, "Eve"));
    ana.publish(&ben.entry);
    ana.client
        .handle_command(Command::Send { peer: PeerId(1), text: "hello".into() }, ana.now, WALL)
        .unwrap();
    let delivery = {
        let peer = ana.client.directory.get(PeerId(1)).unwrap();
        peer.conversation.as_mut().unwrap().outbox.iter_mut().next().unwrap().delivery
    };
    let (group, mut mls, welcome) = ana.group(&eve, 1);
    let receipt = Body::Receipt(ReceiptBody { deliveries: vec![delivery] }).encode(None);
    let message = mls.seal(&eve.device, &receipt).unwrap();
    let invitation = Some(Invitation { entry: &eve.entry, welcome: &welcome });
    ana.deposit(&Parcel { version: VERSION, delivery: None, group, invitation, message: &message });
    assert_eq!(ana.client.unsent(), 1);
}

#[test]
fn an_unknown_kind_is_receipted_and_ignored() {
    let mut ana = Fixture::new();
    let ben = ana.member(9, "Ben");
    let (group, mut mls, welcome) = ana.group(&ben, 1);
    let delivery = DeliveryId([7; 16]);
    let content = Body::Unknown.encode(Some(delivery));
    let message = mls.seal(&ben.device, &content).unwrap();
    let invitation = Some(Invitation { entry: &ben.entry, welcome: &welcome });
    ana.deposit(&Parcel { version: VERSION, delivery: Some(delivery), group, invitation, message: &message });
    ana.now = ana.now + Duration::from_millis(60);
    ana.client.handle_timeout(ana.now, WALL);
    let deposits = core::iter::from_fn(|| ana.client.poll_transmit())
        .filter(|transmit| {
            let Transmit::Node(bytes) = transmit else { return false };
            matches!(wire::ClientFrame::decode(bytes), Ok(wire::ClientFrame::Deposit { .. }))
        })
        .count();
    assert_eq!(deposits, 1, "the receipt");
}

#[test]
fn groups_with_one_peer_are_bounded() {
    let mut ana = Fixture::new();
    let ben = ana.member(9, "Ben");
    for tag in 0..10 {
        let (group, mut mls, welcome) = ana.group(&ben, tag);
        let delivery = DeliveryId([tag; 16]);
        let message = mls.seal(&ben.device, &text(u64::from(tag) + 1, delivery)).unwrap();
        let invitation = Some(Invitation { entry: &ben.entry, welcome: &welcome });
        ana.deposit(&Parcel {
            version: VERSION,
            delivery: Some(delivery),
            group,
            invitation,
            message: &message,
        });
    }
    assert_eq!(ana.client.hub.by_group.len(), crate::group::MAX_GROUPS);
    assert_eq!(messages(&ana.events()), crate::group::MAX_GROUPS);
}

#[test]
fn a_client_shows_what_it_was_given_in_its_next_session_and_says_when_it_leaves() {
    let mut ana = Fixture::new();
    ana.client.hub.ask_for_credentials(ana.now);
    let [("request", req)] = *ana.said_of_credentials() else { panic!() };
    let given = NodeFrame::Credentials { req, username: "name", password: "word", ttl_s: 3600 };
    ana.frame(&given);
    ana.greet([5; 16]);
    let said = ana.said_of_credentials();
    let [("keep", 0), ("request", req)] = *said else { panic!("{said:?}") };
    ana.frame(&NodeFrame::Credentials { req, username: "name", password: "word", ttl_s: 3600 });
    assert!(ana.events().iter().any(|event| matches!(event, Event::TurnRenewed(_))));
    // Another node knows nothing of what this one gave.
    ana.greet([6; 16]);
    assert_eq!(ana.said_of_credentials(), []);
    ana.client.handle_command(Command::Leave, ana.now, WALL).unwrap();
    assert_eq!(ana.said_of_credentials(), [("leave", 0)]);
}

#[test]
fn a_pseudonym_that_misleads_makes_no_client() {
    let config = Config {
        pseudonym: "a\u{202e}b".into(),
        secret: BubbleSecret::from_random([1; 32]),
        rtc: false,
        broadcast: false,
    };
    let refused = Client::new(&config, [2; 32], Instant::ZERO, WALL);
    assert_eq!(refused.err(), Some(NewError::PseudonymCharacter));
}

#[test]
fn another_version_is_said_once() {
    let mut ana = Fixture::new();
    for _ in 0..3 {
        ana.publish(&[0x82, 0x02, 0x40]);
    }
    assert_eq!(ana.events(), [Event::Notice(Notice::OtherVersion)]);
}
