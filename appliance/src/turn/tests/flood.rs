//! One who floods and one who does not, at the same socket of the server.

use relay_core::turn::{Account, Credentials};
use stun_types::attribute::AttributeWrite;
use turn_types::attribute::{ChannelNumber, RequestedTransport, XorPeerAddress};
use turn_types::message::{ALLOCATE, CHANNEL_BIND};

use super::client::{Client, PATIENCE};
use super::*;

const SECRET: &[u8] = b"a secret of tests";
const CHANNEL: u16 = 0x4000;

/// A client with an allocation, and the peer that it sends to.
struct Flow {
    client: UdpSocket,
    peer: UdpSocket,
}

impl Flow {
    fn new(server: SocketAddr) -> Self {
        let account = Account::random(&mut rand_core::OsRng);
        let login = Credentials::new(CredentialSecret::from_bytes(SECRET)).mint(
            &account,
            Duration::from_secs(3600),
            Clocks::new(None).wall().now,
            &mut rand_core::OsRng,
        );
        let client = Client::new(server, &login.username, &login.password);
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        let udp = || RequestedTransport::new(RequestedTransport::UDP);
        client.ask(ALLOCATE, &|_| vec![Box::new(udp())]).unwrap();
        let address = peer.local_addr().unwrap();
        let bind = |transaction: u128| -> Vec<Box<dyn AttributeWrite>> {
            let peer = XorPeerAddress::new(address, transaction.into());
            vec![Box::new(ChannelNumber::new(CHANNEL)), Box::new(peer)]
        };
        client.ask(CHANNEL_BIND, &bind).unwrap();
        Self { client: client.socket, peer }
    }

    /// Sends ChannelData of so many bytes, which all say `mark`.
    fn send(&self, length: u16, mark: u8) {
        let mut packet = CHANNEL.to_be_bytes().to_vec();
        packet.extend(length.to_be_bytes());
        packet.resize(packet.len() + usize::from(length), mark);
        self.client.send(&packet).unwrap();
    }
}

#[test]
fn whoever_floods_loses_packets_and_who_does_not_loses_none() {
    const ROUNDS: u8 = 100;
    const BURST: usize = 32;
    let config = TurnConfig {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        limits: Limits { bandwidth: Some(400_000), ..Limits::default() },
        dangerous_allow_loopback_peers: true,
        ..TurnConfig::default()
    };
    let clocks = Arc::new(Clocks::new(None));
    let server = spawn(config, CredentialSecret::from_bytes(SECRET), clocks).unwrap();
    let [flood, calm] = [(), ()].map(|()| Flow::new(server.listening()[0]));
    let mut buffer = [0; 2000];
    let mut arrived = 0;
    flood.peer.set_nonblocking(true).unwrap();
    for round in 0..ROUNDS {
        // A burst is more than anybody's share of ten milliseconds, and waits in front of the other's packet.
        for _ in 0..BURST {
            flood.send(1000, round);
        }
        calm.send(100, round);
        let length = calm.peer.recv(&mut buffer).expect("it comes through");
        assert_eq!((length, buffer[0]), (100, round), "none is lost");
        // Read at once, so that nothing is lost for want of room there.
        arrived += std::iter::from_fn(|| flood.peer.recv(&mut buffer).ok()).count();
        // The next one is in another ten milliseconds, which is what it is about: two packets in each would be too
        // much for this bandwidth.
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!((1..usize::from(ROUNDS) * BURST / 2).contains(&arrived), "{arrived}");
    server.shut_down();
}
