//! The secrets of one box: random numbers, given forms that people can type.

use super::claim_code;
use crate::prefix::Prefix;
use rand_core::{CryptoRng, RngCore};
use std::fmt;
use std::net::Ipv6Addr;
use zeroize::Zeroizing;

/// Signs of the Wi-Fi key: no capitals, nothing that looks like something else.
const KEY_SIGNS: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
/// Signs of the Wi-Fi key without its dashes, in groups of four.
const KEY_LENGTH: usize = 24;
/// What a guesser of the Wi-Fi key has before them: 24 times log2(31), rounded down.
pub const WIFI_KEY_BITS: u32 = 118;
/// Letters of the name: no vowels, so that no word comes out.
const NAME_LETTERS: &[u8; 19] = b"BCDFGHJKMNPQRSTVWXZ";
/// Letters behind "Bulle-".
const NAME_LENGTH: usize = 4;

/// All that a box makes for itself, once.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    /// The key of the Wi-Fi, as it is typed, dashes included.
    pub wifi_key: Zeroizing<String>,
    /// Four letters that tell this box from its neighbours. On the air for everybody to read.
    pub suffix: String,
    /// What only the first administrator needs; overwritten when the box has been claimed.
    pub invitation: Option<Invitation>,
    /// The box's own network.
    pub ula: Ula,
    /// What tells this machine from others, to systemd and to itself.
    pub machine_id: Zeroizing<[u8; 16]>,
    /// The seed of the node's Ed25519 key (RFC 8032).
    pub identity: Zeroizing<[u8; 32]>,
}

/// What the join card holds until the box has been claimed.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Makes its reader the administrator.
    pub claim_code: Zeroizing<String>,
    /// Of the hash of that code that others are given.
    pub claim_salt: [u8; 16],
    /// The secret of the first bubble, which stands in the join link.
    pub bubble: Zeroizing<[u8; 32]>,
}

/// The random part of a unique local prefix (RFC 4193 section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ula(pub [u8; 5]);

impl Ula {
    /// The network of the bubble: subnet 0.
    #[must_use]
    pub fn prefix(self) -> Prefix {
        Prefix::usual(self.router().into())
    }

    /// The box in it.
    #[must_use]
    pub const fn router(self) -> Ipv6Addr {
        let [a, b, c, d, e] = self.0;
        Ipv6Addr::from_bits(u128::from_be_bytes([0xfd, a, b, c, d, e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]))
    }
}

impl Secrets {
    /// Draws new ones. `rng` has to be seeded: at the first boot that is what the driver waits for.
    #[must_use]
    pub fn generate<R: RngCore + CryptoRng>(rng: &mut R) -> Self {
        let mut ula = Ula([0; 5]);
        rng.fill_bytes(&mut ula.0);
        Self {
            wifi_key: wifi_key(rng),
            suffix: (0..NAME_LENGTH).map(|_| char::from(pick(NAME_LETTERS, rng))).collect(),
            invitation: Some(Invitation {
                claim_code: claim_code::generate(rng),
                claim_salt: *bytes(rng),
                bubble: bytes(rng),
            }),
            ula,
            machine_id: bytes(rng),
            identity: bytes(rng),
        }
    }

    /// The name of a box that nobody has named.
    #[must_use]
    pub fn name(&self) -> String {
        format!("Bulle-{}", self.suffix)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(..)")
    }
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Invitation(..)")
    }
}

fn bytes<const N: usize, R: RngCore + CryptoRng>(rng: &mut R) -> Zeroizing<[u8; N]> {
    let mut bytes = Zeroizing::new([0; N]);
    rng.fill_bytes(bytes.as_mut());
    bytes
}

fn wifi_key<R: RngCore + CryptoRng>(rng: &mut R) -> Zeroizing<String> {
    // The room is there from the start, so that no copy is left behind by growing.
    let mut key = Zeroizing::new(String::with_capacity(2 * KEY_LENGTH));
    for at in 0..KEY_LENGTH {
        if at > 0 && at % 4 == 0 {
            key.push('-');
        }
        key.push(char::from(pick(KEY_SIGNS, rng)));
    }
    key
}

/// One of `signs`, each as likely as any other: numbers that would favour the first ones are drawn again.
fn pick<const N: usize, R: RngCore + CryptoRng>(signs: &[u8; N], rng: &mut R) -> u8 {
    loop {
        let mut number = [0];
        rng.fill_bytes(&mut number);
        let number = usize::from(number[0]);
        if let Some(sign) = signs.get(number % N).filter(|_| number < 256 / N * N) {
            return *sign;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wifi::{Passphrase, Ssid};
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;
    use std::collections::BTreeSet;

    fn secrets(seed: u64) -> Secrets {
        Secrets::generate(&mut ChaCha20Rng::seed_from_u64(seed))
    }

    #[test]
    fn a_wifi_key_is_long_enough_and_can_be_typed() {
        for seed in 0..50 {
            let secrets = secrets(seed);
            let groups: Vec<&str> = secrets.wifi_key.split('-').collect();
            assert_eq!(groups.len(), 6);
            assert!(
                groups.iter().all(|group| group.len() == 4 && group.bytes().all(|b| KEY_SIGNS.contains(&b)))
            );
            assert!(Passphrase::new(secrets.wifi_key.clone()).is_ok());
            assert!(Ssid::new(&secrets.name()).is_ok());
        }
        let bits = 24.0 * f64::from(31_u32).log2();
        assert_eq!(WIFI_KEY_BITS, bits as u32);
        assert!(bits >= 100.0);
    }

    #[test]
    fn two_boxes_share_nothing() {
        let (a, b) = (secrets(1), secrets(2));
        assert_ne!(a.wifi_key, b.wifi_key);
        assert_ne!(a.ula, b.ula);
        assert_ne!(a.machine_id, b.machine_id);
        assert_ne!(a.identity, b.identity);
        let (a, b) = (a.invitation.expect("new"), b.invitation.expect("new"));
        assert!(a.claim_code != b.claim_code && a.bubble != b.bubble && a.claim_salt != b.claim_salt);
    }

    #[test]
    fn every_sign_is_drawn_about_as_often_as_any_other() {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let mut counts = [0_u32; 256];
        for _ in 0..31_000 {
            counts[usize::from(pick(KEY_SIGNS, &mut rng))] += 1;
        }
        let drawn: BTreeSet<u32> = counts.iter().copied().filter(|count| *count > 0).collect();
        assert_eq!(counts.iter().filter(|count| **count > 0).count(), 31);
        assert!(drawn.first() > Some(&850) && drawn.last() < Some(&1150), "{drawn:?}");
    }

    #[test]
    fn the_network_of_the_box_is_a_unique_local_one() {
        let ula = Ula([1, 2, 3, 4, 5]);
        assert_eq!(ula.prefix().to_string(), "fd01:203:405::/64");
        assert_eq!(ula.router().to_string(), "fd01:203:405::1");
    }

    #[test]
    fn no_secret_can_be_printed() {
        let secrets = secrets(4);
        assert_eq!(format!("{secrets:?} {:?}", secrets.invitation), "Secrets(..) Some(Invitation(..))");
    }
}
