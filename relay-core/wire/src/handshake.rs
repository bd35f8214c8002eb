//! What a browser and the box tell each other by one request, so that a data channel can be opened between them: of
//! each session description (RFC 8829, RFC 8839) the few things that are not the same every time.
//!
//! The box answers as ICE-lite: it needs no candidate of the browser's, and sends to nobody who has not shown the
//! password of this very answer.

use core::fmt;
use core::net::{IpAddr, SocketAddr};

use minicbor::encode::Write;
use minicbor::{Decode, Decoder, Encode, Encoder};

use crate::{DecodeError, Pin};

/// The largest of either, in bytes.
pub const MAX_HANDSHAKE: usize = 1024;

/// Addresses of the box that a browser is told at most.
pub const MAX_CANDIDATES: usize = 8;

/// Lengths of a user name fragment and of a password (RFC 8839, section 5.4); of those that are allowed, browsers use
/// the shorter ones.
const UFRAG: core::ops::RangeInclusive<usize> = 4..=64;
const PASSWORD: core::ops::RangeInclusive<usize> = 22..=128;

/// What ICE and DTLS need to know of one side.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct Side {
    /// The user name fragment of ICE.
    #[n(0)]
    pub ufrag: String,
    /// The password of ICE.
    #[n(1)]
    pub password: String,
    /// Of the certificate that this side shows.
    #[n(2)]
    pub fingerprint: Pin,
}

impl fmt::Debug for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Side(..)")
    }
}

impl Side {
    /// Whether it can stand in a session description: nothing in it ends a line.
    fn is_sound(&self) -> bool {
        let plain =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'));
        UFRAG.contains(&self.ufrag.len())
            && PASSWORD.contains(&self.password.len())
            && plain(&self.ufrag)
            && plain(&self.password)
    }
}

/// From the browser: it wants a data channel, and will begin the DTLS handshake.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ChannelOffer(#[n(0)] pub Side);

impl ChannelOffer {
    /// Decodes one, which fills `bytes`.
    ///
    /// # Errors
    /// When it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let offer: Self = whole(bytes)?;
        if offer.0.is_sound() { Ok(offer) } else { Err(DecodeError::Malformed) }
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        encoded(self)
    }
}

/// From the box: it waits at these addresses.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ChannelAnswer {
    /// The box.
    #[n(0)]
    pub side: Side,
    /// Where it is reached over UDP, at most [`MAX_CANDIDATES`].
    #[n(1)]
    #[cbor(with = "addresses")]
    pub addresses: Vec<SocketAddr>,
}

impl ChannelAnswer {
    /// Decodes one, which fills `bytes`.
    ///
    /// # Errors
    /// When it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let answer: Self = whole(bytes)?;
        if answer.side.is_sound() { Ok(answer) } else { Err(DecodeError::Malformed) }
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        encoded(self)
    }
}

fn whole<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, DecodeError> {
    if bytes.len() > MAX_HANDSHAKE {
        return Err(DecodeError::TooLarge);
    }
    crate::decode_whole(bytes)
}

fn encoded<T: Encode<()>>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    minicbor::encode(value, &mut bytes).expect("a vector takes every byte, and there is no failing field");
    bytes
}

/// Each address as its bytes and its port.
mod addresses {
    use super::*;

    pub(super) fn encode<C, W: Write>(
        all: &[SocketAddr],
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.array(all.len() as u64)?;
        for address in all {
            e.array(2)?;
            match address.ip() {
                IpAddr::V4(v4) => e.bytes(&v4.octets())?,
                IpAddr::V6(v6) => e.bytes(&v6.octets())?,
            };
            e.u16(address.port())?;
        }
        Ok(())
    }

    pub(super) fn decode<C>(
        d: &mut Decoder<'_>,
        _: &mut C,
    ) -> Result<Vec<SocketAddr>, minicbor::decode::Error> {
        let wrong = || minicbor::decode::Error::message("no list of addresses");
        let count = d.array()?.and_then(|count| usize::try_from(count).ok());
        let count = count.filter(|count| *count <= MAX_CANDIDATES).ok_or_else(wrong)?;
        let mut all = Vec::with_capacity(count);
        for _ in 0..count {
            d.array()?.filter(|two| *two == 2).ok_or_else(wrong)?;
            let bytes = d.bytes()?;
            let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            let ip = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).map_err(|_| wrong())?;
            all.push(SocketAddr::new(ip, d.u16()?));
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side() -> Side {
        Side { ufrag: "AbC4".into(), password: "p".repeat(24), fingerprint: Pin([7; 32]) }
    }

    #[test]
    fn what_is_said_is_heard() {
        let offer = ChannelOffer(side());
        assert_eq!(ChannelOffer::decode(&offer.encode()), Ok(offer));
        let addresses = ["10.77.0.1:3479", "[fd77::1]:3479"].map(|text| text.parse().unwrap()).into();
        let answer = ChannelAnswer { side: side(), addresses };
        assert_eq!(ChannelAnswer::decode(&answer.encode()), Ok(answer));
    }

    #[test]
    fn the_largest_of_each_is_within_the_limit_and_no_larger_one_is_taken() {
        let side = Side {
            ufrag: "u".repeat(*UFRAG.end()),
            password: "p".repeat(*PASSWORD.end()),
            fingerprint: Pin([255; 32]),
        };
        let far: SocketAddr = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().unwrap();
        let mut answer = ChannelAnswer { side, addresses: vec![far; MAX_CANDIDATES] };
        assert!(answer.encode().len() <= MAX_HANDSHAKE);
        assert!(ChannelAnswer::decode(&answer.encode()).is_ok());
        answer.addresses.push(far);
        assert_eq!(ChannelAnswer::decode(&answer.encode()), Err(DecodeError::Malformed));
        assert_eq!(ChannelOffer::decode(&[0; MAX_HANDSHAKE + 1]), Err(DecodeError::TooLarge));
    }

    #[test]
    fn what_would_end_a_line_of_a_session_description_is_refused() {
        for (ufrag, password) in [
            ("abc", "p".repeat(24)),
            ("abcd", "p".repeat(21)),
            ("ab\r\na=x", "p".repeat(24)),
            ("ab:d", "p".repeat(24)),
            ("abcd", format!("{}\n", "p".repeat(24))),
            ("abcd", "é".repeat(24)),
        ] {
            let side = Side { ufrag: ufrag.into(), password, ..side() };
            let offer = ChannelOffer(side.clone());
            assert_eq!(ChannelOffer::decode(&offer.encode()), Err(DecodeError::Malformed), "{ufrag:?}");
            let answer = ChannelAnswer { side, addresses: Vec::new() };
            assert_eq!(ChannelAnswer::decode(&answer.encode()), Err(DecodeError::Malformed));
        }
    }

    #[test]
    fn bytes_behind_and_other_lengths_are_refused() {
        let mut bytes = ChannelOffer(side()).encode();
        bytes.push(0);
        assert_eq!(ChannelOffer::decode(&bytes), Err(DecodeError::Trailing));
        for cut in 0..bytes.len() - 1 {
            assert!(ChannelOffer::decode(&bytes[..cut]).is_err());
        }
    }
}
