//! The bodies of the fuzz targets; not an interface.

use core::net::SocketAddr;

use base::{Instant, UnixSeconds};
use rand_core::{CryptoRng, Error, RngCore};

use super::{CredentialSecret, Effect, FiveTuple, Forward, HEADROOM, Server, TAILROOM};

/// A generator that always says the same: for fuzz targets and tests only.
#[derive(Clone, Debug)]
pub struct FixedRng(pub u64);

impl RngCore for FixedRng {
    fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        self.0 ^ self.0 >> 29
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        for block in dest.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            block.iter_mut().zip(word).for_each(|(to, from)| *to = from);
        }
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl CryptoRng for FixedRng {}

fn server() -> Server<FixedRng> {
    Server::new(super::Config::default(), CredentialSecret::from_bytes(b"fuzz"), FixedRng(1))
}

/// Any datagrams from a client, cut out of `data`: one length byte, then so many bytes.
pub fn client_input(data: &[u8]) {
    let mut server = server();
    let client = FiveTuple::udp(SocketAddr::from(([192, 0, 2, 1], 9)), SocketAddr::from(([10, 0, 0, 1], 3478)));
    let mut rest = data;
    let mut now = Instant::ZERO;
    while let Some((length, tail)) = rest.split_first() {
        let (datagram, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        now = now + core::time::Duration::from_millis(u64::from(*length));
        let forward = server.handle_client_input(datagram, client, now, UnixSeconds(0));
        check(datagram, forward);
        drain(&mut server, now);
    }
}

/// Any datagram from a peer, at an allocation that does not exist, and as the data of a Forward.
pub fn peer_input(data: &[u8]) {
    let mut server = server();
    let peer = SocketAddr::from(([192, 0, 2, 2], 9));
    let relay = super::RelayId {
        allocation: super::AllocationId { slot: 0, generation: 0 },
        family: super::Family::V4,
    };
    assert!(server.handle_peer_input(data, peer, relay, Instant::ZERO).is_none(), "nobody is there");
    let client = FiveTuple::udp(SocketAddr::from(([192, 0, 2, 1], 9)), SocketAddr::from(([10, 0, 0, 1], 3478)));
    let transaction = crate::stun::TransactionId([7; 12]);
    check(data, Forward::data_indication(client, peer, transaction, data.len()));
    if let Some(number) = super::ChannelNumber::new(0x4000) {
        check(data, Forward::channel_data(client, number, data.len()));
    }
}

/// What is forwarded can be written, and is not longer than the headers make it.
fn check(datagram: &[u8], forward: Option<Forward>) {
    let Some(forward) = forward else { return };
    let mut buffer = vec![0; HEADROOM];
    buffer.extend_from_slice(datagram);
    buffer.resize(buffer.len() + TAILROOM, 0);
    let sent = forward.write(&mut buffer, HEADROOM).map(<[u8]>::len);
    assert!(sent.is_some_and(|sent| sent <= datagram.len() + HEADROOM + TAILROOM), "there is room");
}

fn drain(server: &mut Server<FixedRng>, now: Instant) {
    while let Some(effect) = server.poll_effect() {
        match effect {
            Effect::Bind { relay, .. } => server.handle_bound(relay, Ok(()), now),
            Effect::Free { .. } => {}
        }
    }
    while let Some(transmit) = server.poll_transmit() {
        assert!(crate::stun::Message::decode(transmit.reply.as_bytes()).is_ok(), "our own answer can be read");
    }
}
