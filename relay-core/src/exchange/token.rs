//! What shows that a request belongs to a session that is carried by requests.
//!
//! Whoever has it can read and write in that session's name, as whoever holds the connection of a WebSocket can. It is
//! as good as the session, goes with it, and stands in no address and no log.

use core::fmt;

use base::hex;
use rand_core::{CryptoRng, RngCore};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes that say which session is meant.
const PLACE: usize = 8;
/// Bytes that nobody can guess.
const SECRET: usize = 32;
/// Which session is meant: drawn at random, and worth nothing without the secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place([u8; PLACE]);

/// A place and its secret.
pub struct Token {
    place: Place,
    secret: Zeroizing<[u8; SECRET]>,
}

impl Token {
    /// One that nobody has.
    pub fn random(rng: &mut (impl RngCore + CryptoRng)) -> Self {
        let (mut place, mut secret) = ([0; PLACE], Zeroizing::new([0; SECRET]));
        rng.fill_bytes(&mut place);
        rng.fill_bytes(&mut *secret);
        Self { place: Place(place), secret }
    }

    /// As [`Token::expose`] says it; `None` when it is no token.
    pub fn parse(digits: &[u8]) -> Option<Self> {
        if digits.len() != 2 * (PLACE + SECRET) {
            return None;
        }
        let (place, secret) = digits.split_at_checked(2 * PLACE)?;
        let mut token = Self { place: Place([0; PLACE]), secret: Zeroizing::new([0; SECRET]) };
        hex::read(place, &mut token.place.0)?;
        hex::read(secret, &mut *token.secret)?;
        Some(token)
    }

    /// Which session it is for.
    pub const fn place(&self) -> Place {
        self.place
    }

    /// Whether the secret is the same, in time that tells nothing of how much of it is.
    pub fn is(&self, other: &Self) -> bool {
        self.secret.ct_eq(&*other.secret).into()
    }

    /// What the client shows: small hexadecimal digits.
    pub fn expose(&self) -> Zeroizing<Vec<u8>> {
        // As long as it gets, so that no part of it is left behind where it was shorter.
        let mut digits = String::with_capacity(2 * (PLACE + SECRET));
        // A text takes every digit.
        let _ = hex::write(&mut digits, self.place.0.iter().chain(self.secret.iter()).copied());
        Zeroizing::new(digits.into_bytes())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Place(..)")
    }
}

#[cfg(test)]
mod tests {
    use rand_core::{Error, impls};

    use super::*;

    /// Each number once.
    #[derive(Default)]
    struct Counting(u64);

    impl RngCore for Counting {
        fn next_u32(&mut self) -> u32 {
            self.next_u64() as u32
        }

        fn next_u64(&mut self) -> u64 {
            self.0 += 0x0101_0101_0101_0101;
            self.0
        }

        fn fill_bytes(&mut self, bytes: &mut [u8]) {
            impls::fill_bytes_via_next(self, bytes);
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
            self.fill_bytes(bytes);
            Ok(())
        }
    }

    impl CryptoRng for Counting {}

    #[test]
    fn a_token_is_known_again_and_another_is_not() {
        let mut rng = Counting::default();
        let (token, other) = (Token::random(&mut rng), Token::random(&mut rng));
        let again = Token::parse(&token.expose()).unwrap();
        assert!(again.place() == token.place() && token.is(&again));
        assert!(other.place() != token.place() && !token.is(&other));
        // Each of its bytes counts.
        for at in 2 * PLACE..2 * (PLACE + SECRET) {
            let mut wrong = token.expose();
            wrong[at] = if wrong[at] == b'0' { b'1' } else { b'0' };
            let wrong = Token::parse(&wrong).unwrap();
            assert!(wrong.place() == token.place() && !token.is(&wrong));
        }
    }

    #[test]
    fn what_is_no_token_is_none() {
        let good = Token::random(&mut Counting::default()).expose().to_vec();
        let (short, long) = (&good[1..], [&good[..], b"0"].concat());
        let other = |digit: u8| [short, &[digit]].concat();
        for digits in [&[][..], short, &long, &other(b'g'), &other(b'A'), &other(b' '), &other(0xff)] {
            assert!(Token::parse(digits).is_none(), "{digits:?}");
        }
    }

    #[test]
    fn nothing_of_a_token_is_printed() {
        let token = Token::random(&mut Counting::default());
        assert_eq!(format!("{token:?} {:?}", token.place()), "Token(..) Place(..)");
    }
}
