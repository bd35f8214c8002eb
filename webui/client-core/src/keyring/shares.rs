//! So many of the factors open a keyring: Shamir's sharing, and the key that all of it comes down to.

use core::convert::Infallible;

use hkdf::{Hkdf, SimpleHkdf};
use rand_core::{CryptoRng, RngCore};
use rand_core_new::{TryCryptoRng, TryRng};
use sha2::Sha256;
use sha3::Sha3_512;
use vsss_rs::{Gf256, IdentifierGf256};
use zeroize::{Zeroize, Zeroizing};

use super::file::{Hidden, Public};
use super::material::{Segment, xor};

impl Public {
    /// Whether every factor is needed: then there is no sharing, and the segments themselves are the secret.
    fn needs_all(&self) -> bool {
        usize::from(self.needed) == self.factors.len()
    }

    /// The key that these segments make. Whether it is the right one, only what it seals can tell.
    pub(super) fn master(&self, segments: &[(u8, Segment)]) -> Option<Zeroizing<[u8; 32]>> {
        if self.needs_all() {
            return Some(self.master_of(&joined(segments)));
        }
        let mut shares = Vec::with_capacity(segments.len());
        for (number, segment) in segments {
            let factor = self.factors.iter().find(|factor| factor.number == *number)?;
            shares.push((*number, xor(&factor.share?.0, &self.pad(segment))));
        }
        let secret = combine(self.needed, &shares);
        shares.iter_mut().for_each(|(_, share)| share.zeroize());
        Some(self.master_of(&*secret?))
    }

    /// Shares out a new secret where not all factors are needed, and gives the key.
    pub(super) fn arrange(
        &mut self,
        segments: &[(u8, Segment)],
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Option<Zeroizing<[u8; 32]>> {
        if self.needs_all() {
            self.factors.iter_mut().for_each(|factor| factor.share = None);
            return Some(self.master_of(&joined(segments)));
        }
        let mut secret = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *secret);
        let numbers: Vec<u8> = segments.iter().map(|(number, _)| *number).collect();
        let shares = split(&secret, self.needed, &numbers, rng)?;
        for ((number, segment), share) in segments.iter().zip(&shares) {
            let hidden = Hidden(xor(share, &self.pad(segment)));
            let factor = self.factors.iter_mut().find(|factor| factor.number == *number)?;
            factor.share = Some(hidden);
        }
        Some(self.master_of(&*secret))
    }

    fn master_of(&self, secret: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut master = Zeroizing::new([0; 32]);
        SimpleHkdf::<Sha3_512>::new(Some(&self.salt), secret)
            .expand_multi_info(&[&b"bulle/1 keyring master\0"[..], &self.id], &mut *master)
            .expect("32 bytes are less than 255 hashes");
        master
    }

    /// What hides a share behind its segment: new with each salt, so that two files tell nothing together.
    fn pad(&self, segment: &Segment) -> [u8; 32] {
        let mut pad = [0; 32];
        Hkdf::<Sha256>::new(Some(&self.salt), &segment.0)
            .expand_multi_info(&[&b"bulle/1 keyring share\0"[..], &self.id], &mut pad)
            .expect("32 bytes are less than 255 hashes");
        pad
    }
}

/// The segments, one behind the other in the order of the file.
fn joined(segments: &[(u8, Segment)]) -> Zeroizing<Vec<u8>> {
    let mut joined = Zeroizing::new(Vec::with_capacity(segments.len() * 32));
    segments.iter().for_each(|(_, segment)| joined.extend_from_slice(&segment.0));
    joined
}

/// The shares of factors with these numbers, in their order.
fn split(
    secret: &[u8; 32],
    needed: u8,
    numbers: &[u8],
    rng: &mut (impl RngCore + CryptoRng),
) -> Option<Vec<Zeroizing<[u8; 32]>>> {
    if needed < 2 {
        // A polynomial without a slope.
        return Some(numbers.iter().map(|_| Zeroizing::new(*secret)).collect());
    }
    let ids = numbers.iter().map(|number| IdentifierGf256(Gf256(*number)));
    let shares =
        Gf256::split_bytes_with_participant_ids_iter(needed.into(), numbers.len(), secret, Newer(rng), ids);
    let shares = Zeroizing::new(shares.ok()?);
    shares.iter().map(|share| Some(Zeroizing::new(share.get(1..)?.try_into().ok()?))).collect()
}

/// What the shares with these numbers are of. With a wrong one among them it is something else.
fn combine(needed: u8, shares: &[(u8, [u8; 32])]) -> Option<Zeroizing<[u8; 32]>> {
    if needed < 2 {
        let (first, rest) = shares.split_first()?;
        return rest.iter().all(|share| share.1 == first.1).then(|| Zeroizing::new(first.1));
    }
    let numbered = |(number, share): &(u8, [u8; 32])| [&[*number], &share[..]].concat();
    let shares: Zeroizing<Vec<Vec<u8>>> = Zeroizing::new(shares.iter().map(numbered).collect());
    let secret = Zeroizing::new(Gf256::combine_bytes(&**shares).ok()?);
    Some(Zeroizing::new(secret.as_slice().try_into().ok()?))
}

/// Our source of randomness for a library of the next generation.
struct Newer<'a, R>(&'a mut R);

impl<R: RngCore> TryRng for Newer<'_, R> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill_bytes(to);
        Ok(())
    }
}

impl<R: RngCore + CryptoRng> TryCryptoRng for Newer<'_, R> {}
