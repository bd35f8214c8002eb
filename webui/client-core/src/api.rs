//! What the owner of a [`Client`](crate::Client) tells it and hears from it.
//!
//! Everything here is CBOR-codable, since in the browser the client lives in a worker and its owner in a page.
//! What a person wrote or is called is a [`Text`]: its `Debug` says nothing and its bytes are wiped on drop.

use core::fmt;

use minicbor::{Decode, Decoder, Encode, Encoder};
use zeroize::Zeroizing;

/// The longest text of one message, in bytes of UTF-8.
pub const MAX_TEXT: usize = 16 * 1024;

/// The longest pseudonym, in characters.
pub const MAX_PSEUDONYM_CHARS: usize = 64;

/// The longest pseudonym, in bytes of UTF-8.
pub const MAX_PSEUDONYM: usize = 256;

/// The longest session description that is passed on, in bytes.
pub const MAX_SDP: usize = 16 * 1024;

/// The longest candidate line that is passed on, in bytes.
pub const MAX_CANDIDATE: usize = 512;

/// The longest media identification that is passed on, in bytes.
pub const MAX_MID: usize = 64;

/// The largest frame on a data channel, in bytes. What is larger is dropped.
pub const MAX_CHANNEL_FRAME: usize = 48 * 1024;

/// Wall-clock time in milliseconds since 1970, shown to persons and never used for a deadline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct UnixMillis(#[n(0)] pub u64);

/// A peer, numbered by this client from 1; it means nothing elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct PeerId(#[n(0)] pub u32);

/// A message, numbered by this client from 1; it means nothing elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct MessageId(#[n(0)] pub u64);

/// What a person wrote, is called, or must not be logged: wiped on drop, never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Text(Zeroizing<String>);

impl Text {
    /// The text itself, for showing it to the person it is for.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text(..)")
    }
}

impl<C> Encode<C> for Text {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Text {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Ok(Self::from(d.str()?))
    }
}

/// What a person, or the platform on their behalf, wants.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Command {
    /// Send a message; an [`Event::Message`] with `mine` shows it, [`Event::Delivery`] how it fares.
    #[n(0)]
    Send {
        /// To whom.
        #[n(0)]
        peer: PeerId,
        /// 1 to [`MAX_TEXT`] bytes.
        #[n(1)]
        text: Text,
    },
    /// The conversation is on the screen: a direct path is worth its price.
    #[n(1)]
    Open {
        /// With whom.
        #[n(0)]
        peer: PeerId,
    },
    /// The network may have changed (another Wi-Fi, back from sleep): try everything again now.
    #[n(2)]
    NetworkChanged,
    /// Say goodbye to the others, as far as there is a link; nothing may be sent afterwards.
    #[n(3)]
    Leave,
    /// Show the number by which two persons see that nobody stands between them; an [`Event::Safety`] follows.
    #[n(4)]
    ShowSafety {
        /// With whom.
        #[n(0)]
        peer: PeerId,
    },
    /// The person has compared that number; an [`Event::Verified`] follows.
    #[n(5)]
    Verify {
        /// With whom.
        #[n(0)]
        peer: PeerId,
        /// Whether it is the same on both sides.
        #[n(1)]
        same: bool,
    },
}

/// What the carrier of the session (a WebSocket) does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum LinkEvent {
    /// Open: frames may go both ways.
    #[n(0)]
    Up,
    /// Closed, or the attempt to open it failed.
    #[n(1)]
    Down,
}

/// What the local end of a peer's WebRTC connection does.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ChannelEvent {
    /// To be carried to the peer, sealed.
    #[n(0)]
    Signal(#[n(0)] Signal),
    /// The data channel is open.
    #[n(1)]
    Open {
        /// [`Path::Direct`] or [`Path::Relayed`].
        #[n(0)]
        path: Path,
    },
    /// The open data channel goes another way now.
    #[n(2)]
    Path {
        /// [`Path::Direct`] or [`Path::Relayed`].
        #[n(0)]
        path: Path,
    },
    /// One frame from the peer, at most [`MAX_CHANNEL_FRAME`] bytes.
    #[n(3)]
    Data(
        #[n(0)]
        #[cbor(with = "minicbor::bytes")]
        Vec<u8>,
    ),
    /// The connection failed or was closed, or there is no WebRTC after all.
    #[n(4)]
    Closed,
}

/// A part of WebRTC's negotiation (RFC 8829, RFC 8838). It travels inside MLS, never in clear.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Signal {
    /// The impolite side's session description.
    #[n(0)]
    Offer {
        /// At most [`MAX_SDP`] bytes.
        #[n(0)]
        sdp: Text,
    },
    /// The polite side's session description.
    #[n(1)]
    Answer {
        /// At most [`MAX_SDP`] bytes.
        #[n(0)]
        sdp: Text,
    },
    /// One ICE candidate.
    #[n(2)]
    Candidate {
        /// At most [`MAX_CANDIDATE`] bytes.
        #[n(0)]
        candidate: Text,
        /// `sdpMid`, at most [`MAX_MID`] bytes.
        #[n(1)]
        mid: Option<Text>,
        /// `sdpMLineIndex`.
        #[n(2)]
        index: Option<u16>,
    },
    /// No more candidates come.
    #[n(3)]
    EndOfCandidates,
}

impl Signal {
    /// Whether its parts are within their limits.
    pub fn is_bounded(&self) -> bool {
        match self {
            Self::Offer { sdp } | Self::Answer { sdp } => sdp.len() <= MAX_SDP,
            Self::Candidate { candidate, mid, .. } => {
                candidate.len() <= MAX_CANDIDATE && mid.as_ref().is_none_or(|mid| mid.len() <= MAX_MID)
            }
            Self::EndOfCandidates => true,
        }
    }
}

/// How messages to a peer go at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Path {
    /// From device to device.
    #[n(0)]
    Direct,
    /// By the node's TURN, encrypted.
    #[n(1)]
    Relayed,
    /// Through the node's mailbox, encrypted.
    #[n(2)]
    Mailbox,
    /// There is none now; messages wait here.
    #[default]
    #[n(3)]
    None,
    /// Through the node to all members at once, encrypted, so that it does not see to whom.
    #[n(4)]
    Broadcast,
}

/// How things stand with the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum LinkState {
    /// The driver must drop the carrier that it has, if any, and open a new one **now**.
    ///
    /// The client has done the waiting already: back-off is its business, and the first of these comes at once
    /// after [`Client::new`](crate::Client::new). The driver answers with [`LinkEvent`] `Up` or `Down`, `Down`
    /// also when opening takes longer than 5 s.
    #[n(0)]
    Reconnect,
    /// The node has welcomed us and our inbox is being read.
    #[n(1)]
    Up,
    /// There is no session; a [`Reconnect`](Self::Reconnect) follows by itself.
    #[n(2)]
    Down,
}

/// How a message of ours fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum DeliveryState {
    /// On this device only, or on its way.
    #[n(0)]
    Pending,
    /// In the node's mailbox.
    #[n(1)]
    Deposited,
    /// The peer's device has it and has said so, end to end. Final.
    #[n(2)]
    Delivered,
    /// It will not arrive. Final.
    #[n(3)]
    Failed {
        /// Why.
        #[n(0)]
        why: FailReason,
    },
}

/// Why a message will not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
#[non_exhaustive]
pub enum FailReason {
    /// The peer has left the bubble for good.
    #[n(0)]
    PeerLeft,
    /// It could not be encrypted for the peer: a fault of this program.
    #[n(1)]
    Encryption,
}

/// Where to find the node's TURN (and, at the same port, STUN), and how to be let in.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TurnServer {
    /// UDP, on the host that served the page.
    #[n(0)]
    pub port: u16,
    /// Names nobody.
    #[n(1)]
    pub username: Text,
    /// Good for a limited time; [`Event::TurnRenewed`] brings the next.
    #[n(2)]
    pub password: Text,
}

/// What happened, for the screen or for the driver.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Event {
    /// How things stand with the node; see [`LinkState::Reconnect`] for what the driver must do.
    #[n(0)]
    Link(#[n(0)] LinkState),
    /// Somebody is here, or is back, or changed their pseudonym.
    #[n(1)]
    PeerHere {
        /// Stays the same for this device as long as this client lives.
        #[n(0)]
        peer: PeerId,
        /// Not unique: two may call themselves alike.
        #[n(1)]
        pseudonym: Text,
        /// When they came, by their clock.
        #[n(2)]
        since: UnixMillis,
    },
    /// Somebody said goodbye, or was not heard of for ten minutes. The conversation stays readable.
    #[n(2)]
    PeerLeft {
        /// Who.
        #[n(0)]
        peer: PeerId,
    },
    /// A message to show. Each comes once, and those of one peer in their order.
    #[n(3)]
    Message {
        /// With whom.
        #[n(0)]
        peer: PeerId,
        /// For [`Event::Delivery`].
        #[n(1)]
        id: MessageId,
        /// Whether we wrote it.
        #[n(2)]
        mine: bool,
        /// What was written.
        #[n(3)]
        text: Text,
        /// When, by the writer's clock.
        #[n(4)]
        at: UnixMillis,
        /// The writer's count in this conversation, from 1.
        #[n(5)]
        order: u64,
    },
    /// A message of ours fares so.
    #[n(4)]
    Delivery {
        /// Of the message.
        #[n(0)]
        id: MessageId,
        /// How.
        #[n(1)]
        state: DeliveryState,
    },
    /// Messages to this peer go this way from now on.
    #[n(5)]
    Path {
        /// To whom.
        #[n(0)]
        peer: PeerId,
        /// How.
        #[n(1)]
        path: Path,
    },
    /// Make a WebRTC connection to this peer, with one data channel (negotiated, id 0, ordered, reliable).
    ///
    /// An existing one to the same peer is dropped first. The side that is **not** polite creates the offer.
    #[n(6)]
    OpenChannel {
        /// To whom.
        #[n(0)]
        peer: PeerId,
        /// Whether this side waits for the other's offer.
        #[n(1)]
        polite: bool,
        /// None when the node has no TURN.
        #[n(2)]
        turn: Option<TurnServer>,
    },
    /// The peer's half of the negotiation.
    #[n(7)]
    RemoteSignal {
        /// From whom.
        #[n(0)]
        peer: PeerId,
        /// What.
        #[n(1)]
        signal: Signal,
    },
    /// Drop the WebRTC connection to this peer. Answered by nothing.
    #[n(8)]
    CloseChannel {
        /// To whom.
        #[n(0)]
        peer: PeerId,
    },
    /// New TURN credentials: existing connections take them for their next ICE restart.
    #[n(9)]
    TurnRenewed(#[n(0)] TurnServer),
    /// Something that a person or an operator should know.
    #[n(10)]
    Notice(#[n(0)] Notice),
    /// The number to compare with a peer's, as [`Command::ShowSafety`] asked.
    #[n(11)]
    Safety {
        /// Of the conversation with whom.
        #[n(0)]
        peer: PeerId,
        /// Twelve groups of five digits.
        #[n(1)]
        number: Text,
    },
    /// Whether the person has compared the number with this peer's, and found it the same.
    #[n(12)]
    Verified {
        /// Whose device.
        #[n(0)]
        peer: PeerId,
        /// Whether it is theirs.
        #[n(1)]
        verified: bool,
    },
}

/// What a person or an operator should know. Nothing was lost unless it says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[non_exhaustive]
pub enum Notice {
    /// The node is full; what we send waits here and is tried again.
    #[n(0)]
    NodeFull {
        /// After so many seconds.
        #[n(0)]
        retry_s: u32,
    },
    /// This peer's mailbox is full; what we send waits here and is tried again.
    #[n(1)]
    PeerMailboxFull {
        /// Whose.
        #[n(0)]
        peer: PeerId,
        /// After so many seconds.
        #[n(1)]
        retry_s: u32,
    },
    /// We sent faster than the node takes it; it is tried again.
    #[n(2)]
    TooFast {
        /// After so many seconds.
        #[n(0)]
        retry_s: u32,
    },
    /// The node was restarted and its memory is empty; we deposit again what nobody confirmed.
    #[n(3)]
    NodeRestarted,
    /// Another session reads our inbox: the same client runs twice, which cannot be.
    #[n(4)]
    InboxTakenOver,
    /// Something that claims to be from this peer does not fit their keys; it was ignored.
    #[n(5)]
    Impersonation {
        /// Whom somebody tried to be.
        #[n(0)]
        peer: PeerId,
    },
    /// A message of this peer could not be decrypted; they will send it again.
    #[n(6)]
    Unreadable {
        /// Whose.
        #[n(0)]
        peer: PeerId,
    },
    /// Messages of this peer are missing for good; what came after them is shown.
    #[n(7)]
    Missing {
        /// Whose.
        #[n(0)]
        peer: PeerId,
        /// How many.
        #[n(1)]
        count: u32,
    },
    /// There are more people here than this client shows.
    #[n(8)]
    DirectoryFull,
    /// Somebody here uses another version of Bulle, which this one cannot talk to.
    #[n(9)]
    OtherVersion,
    /// The node speaks another version of the protocol, or something else altogether.
    #[n(10)]
    NodeMalformed,
    /// The box there is not the one that the invitation names; no data channel is opened to it.
    #[n(11)]
    OtherBox,
    /// Somebody has the name of a person whose device was verified, on another device.
    #[n(12)]
    OtherDevice {
        /// Who is not verified.
        #[n(0)]
        peer: PeerId,
    },
}

/// What the driver must put on its way.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub enum Transmit {
    /// One frame to the node.
    #[n(0)]
    Node(
        #[n(0)]
        #[cbor(with = "minicbor::bytes")]
        Vec<u8>,
    ),
    /// One frame on a peer's data channel.
    #[n(1)]
    Channel {
        /// To whom.
        #[n(0)]
        peer: PeerId,
        /// At most [`MAX_CHANNEL_FRAME`] bytes.
        #[n(1)]
        #[cbor(with = "minicbor::bytes")]
        bytes: Vec<u8>,
    },
}

impl fmt::Debug for Transmit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(bytes) => write!(f, "Node({} bytes)", bytes.len()),
            Self::Channel { peer, bytes } => write!(f, "Channel({}, {} bytes)", peer.0, bytes.len()),
        }
    }
}
