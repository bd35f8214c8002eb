//! The state as bytes: a CBOR map with small numbers as keys (RFC 8949), so that an older box reads past what a
//! newer one has added.

use super::served::{LARGEST_SERVED, Served, ServedFile};
use super::{Invitation, Secrets, Ula};
use minicbor::data::Type;
use minicbor::{Decoder, Encoder};
use std::convert::Infallible;
use zeroize::Zeroizing;

/// Largest state, in bytes.
pub const LARGEST_STATE: usize = 1024 + ServedFile::ALL.len() * (LARGEST_SERVED + 8);
/// The number of the first file of the daemon; the others follow in their order.
const FIRST_SERVED: u8 = 16;

/// All that the controller keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoxState {
    /// What was made at the first start. Without an invitation the box has been claimed.
    pub secrets: Secrets,
    /// What the daemon keeps.
    pub served: Served,
    /// How often it has been written: of two whole copies, the one with the higher number is the newer one.
    pub writes: u64,
}

impl BoxState {
    /// Of a box that starts for the first time.
    #[must_use]
    pub fn new(secrets: Secrets) -> Self {
        Self { secrets, served: Served::default(), writes: 0 }
    }

    /// Whether somebody has claimed this box.
    #[must_use]
    pub const fn is_claimed(&self) -> bool {
        self.secrets.invitation.is_none()
    }

    /// Somebody has: what only they needed is overwritten.
    pub fn claim(&mut self) {
        self.secrets.invitation = None;
    }

    pub(crate) fn to_cbor(&self) -> Zeroizing<Vec<u8>> {
        let secrets = &self.secrets;
        let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST_STATE));
        let mut encoder = Encoder::new(&mut *bytes);
        let mut write = || -> Result<(), minicbor::encode::Error<Infallible>> {
            let files = u64::try_from(self.served.files().count()).unwrap_or_default();
            encoder.map(files + if secrets.invitation.is_some() { 9 } else { 6 })?;
            encoder.u8(0)?.str(&secrets.wifi_key)?;
            encoder.u8(1)?.str(&secrets.suffix)?;
            encoder.u8(2)?.bytes(&secrets.ula.0)?;
            encoder.u8(3)?.bytes(secrets.machine_id.as_ref())?;
            encoder.u8(4)?.bytes(secrets.identity.as_ref())?;
            if let Some(invitation) = &secrets.invitation {
                encoder.u8(5)?.str(&invitation.claim_code)?;
                encoder.u8(6)?.bytes(&invitation.claim_salt)?;
                encoder.u8(7)?.bytes(invitation.bubble.as_ref())?;
            }
            encoder.u8(8)?.u64(self.writes)?;
            for (number, file) in (FIRST_SERVED..).zip(ServedFile::ALL) {
                if let Some(bytes) = self.served.get(file) {
                    encoder.u8(number)?.bytes(bytes)?;
                }
            }
            Ok(())
        };
        // Writing into memory cannot fail, as the type of the error says.
        let Ok(()) = write() else { return Zeroizing::new(Vec::new()) };
        bytes
    }

    /// `None` when this is no state.
    pub(crate) fn from_cbor(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > LARGEST_STATE {
            return None;
        }
        let mut decoder = Decoder::new(bytes);
        let mut fields = Fields::default();
        for _ in 0..decoder.map().ok()?? {
            let key = decoder.u8().ok()?;
            match key {
                0 => fields.wifi_key = Some(text(&mut decoder, 20..=63)?),
                1 => fields.suffix = Some(text(&mut decoder, 1..=16)?),
                2 => fields.ula = Some(array(&mut decoder)?),
                3 => fields.machine_id = Some(array(&mut decoder)?),
                4 => fields.identity = Some(array(&mut decoder)?),
                5 => fields.claim_code = Some(text(&mut decoder, 8..=64)?),
                6 => fields.claim_salt = Some(array(&mut decoder)?),
                7 => fields.bubble = Some(array(&mut decoder)?),
                8 => fields.writes = Some(decoder.u64().ok()?),
                _ => match served(key) {
                    Some(file) => {
                        let bytes = Zeroizing::new(decoder.bytes().ok()?.to_vec());
                        fields.served.put(file, bytes).then_some(())?;
                    }
                    None => skip(&mut decoder)?,
                },
            }
        }
        (decoder.position() == bytes.len()).then(|| fields.state())?
    }
}

#[derive(Default)]
struct Fields {
    wifi_key: Option<Zeroizing<String>>,
    suffix: Option<Zeroizing<String>>,
    ula: Option<Zeroizing<[u8; 5]>>,
    machine_id: Option<Zeroizing<[u8; 16]>>,
    identity: Option<Zeroizing<[u8; 32]>>,
    claim_code: Option<Zeroizing<String>>,
    claim_salt: Option<Zeroizing<[u8; 16]>>,
    bubble: Option<Zeroizing<[u8; 32]>>,
    writes: Option<u64>,
    served: Served,
}

impl Fields {
    fn state(self) -> Option<BoxState> {
        let invitation = match (self.claim_code, self.claim_salt, self.bubble) {
            (Some(claim_code), Some(salt), Some(bubble)) => {
                Some(Invitation { claim_code, claim_salt: *salt, bubble })
            }
            (None, None, None) => None,
            (_, _, _) => return None,
        };
        let secrets = Secrets {
            wifi_key: self.wifi_key?,
            suffix: self.suffix?.to_string(),
            invitation,
            ula: Ula(*self.ula?),
            machine_id: self.machine_id?,
            identity: self.identity?,
        };
        Some(BoxState { secrets, served: self.served, writes: self.writes? })
    }
}

/// The file of the daemon that has this number.
fn served(key: u8) -> Option<ServedFile> {
    ServedFile::ALL.get(usize::from(key.checked_sub(FIRST_SERVED)?)).copied()
}

/// Printable ASCII, as all texts of ours are.
fn text(decoder: &mut Decoder<'_>, length: std::ops::RangeInclusive<usize>) -> Option<Zeroizing<String>> {
    let text = decoder.str().ok()?;
    let fits = length.contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    fits.then(|| Zeroizing::new(text.to_owned()))
}

fn array<const N: usize>(decoder: &mut Decoder<'_>) -> Option<Zeroizing<[u8; N]>> {
    decoder.bytes().ok()?.try_into().ok().map(Zeroizing::new)
}

/// A value that a newer box has added: one that is not made of others, so that nothing is nested.
fn skip(decoder: &mut Decoder<'_>) -> Option<()> {
    let plain = [Type::U8, Type::U16, Type::U32, Type::U64, Type::Bool, Type::Bytes, Type::String];
    plain.contains(&decoder.datatype().ok()?).then(|| decoder.skip().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firstboot::tests::served;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    fn state() -> BoxState {
        BoxState {
            writes: 7,
            served: served(1),
            ..BoxState::new(Secrets::generate(&mut ChaCha20Rng::seed_from_u64(1)))
        }
    }

    #[test]
    fn a_state_reads_back_the_same_before_and_after_the_claim() {
        let mut state = state();
        assert!(!state.is_claimed());
        assert_eq!(BoxState::from_cbor(&state.to_cbor()).as_ref(), Some(&state));
        state.claim();
        assert!(state.is_claimed());
        assert_eq!(BoxState::from_cbor(&state.to_cbor()).as_ref(), Some(&state));
    }

    #[test]
    fn a_claimed_state_holds_nothing_of_the_invitation() {
        let mut claimed = state();
        let invitation = claimed.secrets.invitation.clone().expect("new");
        claimed.claim();
        let bytes = claimed.to_cbor();
        let holds = |what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
        assert!(holds(claimed.secrets.wifi_key.as_bytes()));
        assert!(!holds(invitation.claim_code.as_bytes()) && !holds(invitation.bubble.as_ref()));
    }

    #[test]
    fn every_prefix_is_refused_and_so_is_half_an_invitation() {
        let bytes = state().to_cbor();
        for end in 0..bytes.len() {
            assert!(BoxState::from_cbor(&bytes[..end]).is_none(), "{end}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(BoxState::from_cbor(&longer).is_none());
        let mut fewer = bytes.to_vec();
        fewer[0] -= 1;
        fewer.truncate(bytes.len() - 35);
        assert!(BoxState::from_cbor(&fewer).is_none(), "no bubble beside a claim code");
    }

    #[test]
    fn what_a_newer_box_has_added_is_passed_over() {
        let mut bytes = state().to_cbor().to_vec();
        bytes[0] += 1;
        let known = bytes.len();
        bytes.extend([0x18, 99, 0x43, 1, 2, 3]);
        assert_eq!(BoxState::from_cbor(&bytes), Some(state()));
        bytes.truncate(known);
        bytes.extend([0x18, 99, 0x81, 0x81, 0x80]);
        assert_eq!(BoxState::from_cbor(&bytes), None, "nothing nested");
    }
}
