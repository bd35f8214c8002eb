//! What page and worker say to each other: CBOR in an `ArrayBuffer` each, transferred and not copied.
//!
//! Both come from the same build, so there is no version and no compatibility to keep. Each side ignores what it
//! cannot decode.

use client_core::{ChannelEvent, Command, CommandError, Event, NewError, PeerId, Text};
use minicbor::{Decode, Decoder, Encode, Encoder};
use wire::{BubbleSecret, Invite, Pin};

use crate::qr::Picture;

/// From the page to the worker.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ToWorker {
    /// The page listens. Answered by [`ToPage::Ready`].
    #[n(0)]
    Hello,
    /// Enter a bubble. Answered by [`ToPage::Joined`] or [`ToPage::NotJoined`].
    #[n(1)]
    Join {
        /// How others see us.
        #[n(0)]
        pseudonym: Text,
        /// From the invitation; none starts a new bubble.
        #[n(1)]
        secret: Option<Secret>,
        /// Whether this browser has WebRTC.
        #[n(2)]
        rtc: bool,
        /// Whether a new bubble broadcasts. An invitation says that itself.
        #[n(3)]
        broadcast: bool,
    },
    /// A wish of the person.
    #[n(2)]
    Command(#[n(0)] Command),
    /// What the WebRTC connection to a peer did.
    #[n(3)]
    Channel {
        /// Whose.
        #[n(0)]
        peer: PeerId,
        /// What.
        #[n(1)]
        event: ChannelEvent,
    },
    /// The page is back on the screen, or the browser says that the network changed: what stood open may be dead.
    #[n(4)]
    Wake,
}

/// From the worker to the page.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ToPage {
    /// The worker listens.
    #[n(0)]
    Ready,
    /// We are in, and may invite others.
    #[n(1)]
    Joined {
        /// As it is shown to the others.
        #[n(0)]
        pseudonym: Text,
        /// Lets others in. It is made here, so that the page of a new bubble never has its secret in hand.
        #[n(1)]
        link: Text,
        /// The link as a QR code.
        #[n(2)]
        code: Option<Picture>,
    },
    /// We are not in.
    #[n(2)]
    NotJoined {
        /// Why.
        #[n(0)]
        why: NewError,
    },
    /// What happened.
    #[n(3)]
    Event(#[n(0)] Event),
    /// A frame for the data channel of a peer.
    #[n(4)]
    Channel {
        /// Whose.
        #[n(0)]
        peer: PeerId,
        /// At most [`client_core::MAX_CHANNEL_FRAME`] of them.
        #[n(1)]
        #[cbor(with = "minicbor::bytes")]
        bytes: Vec<u8>,
    },
    /// A message was not taken; nothing was sent.
    #[n(5)]
    NotSent {
        /// To whom.
        #[n(0)]
        peer: PeerId,
        /// So that it can be put back under the person's fingers.
        #[n(1)]
        text: Text,
        /// Why.
        #[n(2)]
        why: CommandError,
    },
    /// How many messages would be lost if the page were closed now.
    #[n(6)]
    Unsent {
        /// Messages without a receipt.
        #[n(0)]
        count: u32,
    },
    /// The worker panicked; it will not answer any more.
    #[n(7)]
    Stopped,
    /// The number to compare with a peer's.
    #[n(8)]
    Safety {
        /// Of the conversation with whom.
        #[n(0)]
        peer: PeerId,
        /// Twelve groups of five digits.
        #[n(1)]
        number: Text,
        /// The same as a QR code.
        #[n(2)]
        code: Option<Picture>,
    },
}

/// What an invitation says, on its way between page and worker.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Invite);

impl core::fmt::Debug for Secret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<C> Encode<C> for Secret {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let pin = self.0.pin.as_ref().map_or(&[][..], |pin| &pin.0);
        e.array(3)?.bytes(self.0.secret.expose())?.bytes(pin)?.bool(self.0.broadcast)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Secret {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        d.array()?;
        let wrong = |_| minicbor::decode::Error::message("not 32 bytes");
        let secret = BubbleSecret::from_random(d.bytes()?.try_into().map_err(wrong)?);
        let pin = d.bytes()?.try_into().ok().map(Pin);
        Ok(Self(Invite { secret, pin, broadcast: d.bool()? }))
    }
}

/// The bytes of a message.
pub fn encode<T: Encode<()>>(message: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A vector takes every byte, and no message has a field that fails.
    if minicbor::encode(message, &mut bytes).is_err() {
        bytes.clear();
    }
    bytes
}

/// The message in `bytes`, if it is one.
pub fn decode<T: for<'b> Decode<'b, ()>>(bytes: &[u8]) -> Option<T> {
    minicbor::decode(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> [Secret; 2] {
        let secret = BubbleSecret::from_random([7; 32]);
        [Some(Pin([8; 32])), None]
            .map(|pin| Secret(Invite { secret: secret.clone(), pin, broadcast: pin.is_none() }))
    }

    #[test]
    fn what_the_page_says_arrives_at_the_worker() {
        let [secret, without] = secrets();
        for message in [
            ToWorker::Hello,
            ToWorker::Join { pseudonym: "Ana".into(), secret: Some(secret), rtc: true, broadcast: false },
            ToWorker::Join { pseudonym: "Ana".into(), secret: Some(without), rtc: true, broadcast: false },
            ToWorker::Join { pseudonym: "Ana".into(), secret: None, rtc: false, broadcast: true },
            ToWorker::Command(Command::Send { peer: PeerId(3), text: "héllo".into() }),
            ToWorker::Channel { peer: PeerId(3), event: ChannelEvent::Data(vec![0; 70_000]) },
            ToWorker::Wake,
        ] {
            assert_eq!(decode(&encode(&message)), Some(message));
        }
    }

    #[test]
    fn what_the_worker_says_arrives_at_the_page() {
        let code = Some(Picture { side: 41, path: "M4 4h7v1h-7z".to_owned() });
        for message in [
            ToPage::Ready,
            ToPage::Joined { pseudonym: "Ana".into(), link: "https://bulle.internal/#x".into(), code },
            ToPage::NotJoined { why: NewError::PseudonymEmpty },
            ToPage::Event(Event::PeerLeft { peer: PeerId(1) }),
            ToPage::Channel { peer: PeerId(1), bytes: vec![1, 2, 3] },
            ToPage::NotSent { peer: PeerId(1), text: "x".into(), why: CommandError::OutboxFull },
            ToPage::Unsent { count: 2 },
            ToPage::Safety { peer: PeerId(1), number: "12345".into(), code: None },
            ToPage::Stopped,
        ] {
            assert_eq!(decode(&encode(&message)), Some(message));
        }
    }

    #[test]
    fn what_is_no_message_is_nothing() {
        assert_eq!(decode::<ToPage>(&[]), None);
        assert_eq!(decode::<ToWorker>(&[0xff, 0, 1]), None);
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", secrets()), "[Secret(..), Secret(..)]");
    }
}
