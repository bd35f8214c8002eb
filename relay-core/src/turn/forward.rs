//! What is to be done with a data packet: which bytes of it go where, and what goes before them.

use core::net::SocketAddr;
use core::ops::Range;

use base::Private;

use super::allocation::RelayId;
use super::channel::{CHANNEL_HEADER_LEN, ChannelNumber};
use super::five_tuple::FiveTuple;
use crate::stun::{HEADER_LEN, MAGIC_COOKIE, TransactionId, xor_address};

/// The longest header: that of a Data indication from an IPv6 peer.
const MAX_HEADER: usize = HEADER_LEN + 4 + 20 + 4;
/// Bytes that a packet grows by at most on its way through: header and padding.
pub const MAX_GROWTH: usize = MAX_HEADER + 3;

const DATA_INDICATION: u16 = 0x0017;
const XOR_PEER_ADDRESS: u16 = 0x0012;
const DATA: u16 = 0x0013;

/// Which socket a packet leaves by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Out {
    /// The socket of a relayed transport address.
    Relay(RelayId),
    /// The server's socket, from the address that the client sends to.
    Server(FiveTuple),
}

/// A data packet on its way: payload in the caller's buffer, header in here. No allocation, no copy of the data.
#[derive(Clone, Debug)]
pub struct Forward {
    /// Which socket.
    pub out: Out,
    /// To whom.
    pub to: Private<SocketAddr>,
    payload: Range<usize>,
    header: [u8; MAX_HEADER],
    header_len: usize,
    padding: usize,
}

impl Forward {
    /// Bytes of application data.
    pub fn payload_len(&self) -> usize {
        self.payload.len()
    }

    /// Bytes to send in all.
    pub fn len(&self) -> usize {
        self.header_len + self.payload.len() + self.padding
    }

    /// Whether nothing is to be sent but an empty datagram.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends what is to be sent to `out`; `received` is the datagram that was handed in.
    pub fn append_to(&self, received: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(self.header.get(..self.header_len).unwrap_or_default());
        out.extend_from_slice(received.get(self.payload.clone()).unwrap_or_default());
        out.extend_from_slice([0; 3].get(..self.padding).unwrap_or_default());
    }

    /// Bare data, to a peer.
    pub(super) const fn to_peer(relay: RelayId, peer: SocketAddr, payload: Range<usize>) -> Self {
        Self {
            out: Out::Relay(relay),
            to: Private::new(peer),
            payload,
            header: [0; MAX_HEADER],
            header_len: 0,
            padding: 0,
        }
    }

    /// ChannelData, to the client.
    pub(super) fn channel_data(
        client: FiveTuple,
        number: ChannelNumber,
        payload: Range<usize>,
    ) -> Option<Self> {
        let length = u16::try_from(payload.len()).ok()?;
        let mut forward = Self::to_client(client, payload);
        if client.transport.is_stream() {
            forward.padding = usize::from(length).next_multiple_of(4) - usize::from(length);
        }
        forward.push(&number.get().to_be_bytes());
        forward.push(&length.to_be_bytes());
        debug_assert_eq!(forward.header_len, CHANNEL_HEADER_LEN);
        Some(forward)
    }

    /// A Data indication (RFC 8656, section 11.3), to the client.
    pub(super) fn data_indication(
        client: FiveTuple,
        peer: SocketAddr,
        transaction: TransactionId,
        payload: Range<usize>,
    ) -> Option<Self> {
        let length = payload.len();
        let mut forward = Self::to_client(client, payload);
        forward.padding = length.next_multiple_of(4) - length;
        let mut address = [0; 20];
        let address_len = xor_address(peer, transaction, &mut address);
        let message_len = 4 + address_len + 4 + length + forward.padding;
        forward.push(&DATA_INDICATION.to_be_bytes());
        forward.push(&u16::try_from(message_len).ok()?.to_be_bytes());
        forward.push(&MAGIC_COOKIE.to_be_bytes());
        forward.push(&transaction.0);
        forward.push(&XOR_PEER_ADDRESS.to_be_bytes());
        forward.push(&u16::try_from(address_len).ok()?.to_be_bytes());
        forward.push(address.get(..address_len)?);
        forward.push(&DATA.to_be_bytes());
        forward.push(&u16::try_from(length).ok()?.to_be_bytes());
        Some(forward)
    }

    const fn to_client(client: FiveTuple, payload: Range<usize>) -> Self {
        Self {
            out: Out::Server(client),
            to: Private::new(client.client),
            payload,
            header: [0; MAX_HEADER],
            header_len: 0,
            padding: 0,
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        let room = self.header.get_mut(self.header_len..).unwrap_or_default();
        room.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        self.header_len = (self.header_len + bytes.len()).min(MAX_HEADER);
    }
}
