//! The long-term credential mechanism, server side (RFC 8489, section 9.2.4), with nothing remembered.
//!
//! A nonce proves its own age and the address it was given to, so that there is no table of nonces to fill.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use base::{Instant, UnixSeconds};
use hmac::{Hmac, KeyInit, Mac};
use rand_core::RngCore;
use sha2::{Digest, Sha256};
use stun_types::attribute::{
    AttributeStaticType, Nonce, PasswordAlgorithm, PasswordAlgorithms, Realm, Userhash, Username,
};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::base64;
use super::credentials::{Account, Credentials};
use super::limits::NONCE_LIFETIME;
use super::refusal::Refusal;
use crate::stun::{HashAlgorithm, IntegrityKey, Message, Reply};

/// The nonce cookie with the bit "password algorithms" (RFC 8489, sections 9.2 and 18.1).
const NONCE_COOKIE: &str = "obMatJos2gAAA";
/// Value of our PASSWORD-ALGORITHMS: SHA-256, then MD5, both without parameters (RFC 8489, section 18.5).
const PASSWORD_ALGORITHMS: [u8; 8] = [0, 2, 0, 0, 0, 1, 0, 0];
const SHA_256: [u8; 4] = [0, 2, 0, 0];
const MD5: [u8; 4] = [0, 1, 0, 0];

/// What identifies a credential inside the server: a hash of its user name. Not for logs.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CredentialId([u8; 16]);

impl CredentialId {
    pub(super) fn of(username: &str) -> Self {
        let mut id = [0; 16];
        id.iter_mut().zip(Sha256::digest(username.as_bytes())).for_each(|(to, from)| *to = from);
        Self(id)
    }
}

/// How the answer to an authenticated request is signed.
#[derive(Clone)]
pub(super) struct Signer {
    key: IntegrityKey,
    algorithm: HashAlgorithm,
}

impl Signer {
    pub(super) fn sign(&self, mut reply: Reply) -> Reply {
        reply.sign(&self.key, self.algorithm);
        reply.finish()
    }
}

/// Who a request comes from, proven.
pub(super) struct Authenticated {
    pub(super) credential: CredentialId,
    pub(super) account: Account,
    pub(super) expires: UnixSeconds,
    pub(super) signer: Signer,
}

/// Checks requests.
pub(super) struct Authenticator {
    realm: String,
    credentials: Credentials,
    nonces: Nonces,
}

impl Authenticator {
    pub(super) fn new(realm: String, credentials: Credentials, rng: &mut impl RngCore) -> Self {
        Self { realm, credentials, nonces: Nonces::random(rng) }
    }

    /// The checks of RFC 8489, section 9.2.4, in their order.
    ///
    /// Whether the credential has expired is left to the caller: it matters for a new allocation only.
    pub(super) fn check(
        &self,
        message: &Message<'_>,
        client: SocketAddr,
        now: Instant,
    ) -> Result<Authenticated, Refusal> {
        // "If the message does not contain a MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256 attribute": 401.
        if message.integrity().is_none() {
            return Err(Refusal::Unauthorized);
        }
        // "... but is missing either the USERNAME or USERHASH, REALM, or NONCE attribute": 400.
        let nonce = message.find(Nonce::TYPE).ok_or(Refusal::BadRequest)?;
        message.find(Realm::TYPE).ok_or(Refusal::BadRequest)?;
        let Some(username) = message.find(Username::TYPE) else {
            // We do not offer anonymous user names, so that no USERHASH is valid.
            let anonymous = message.has::<Userhash>();
            return Err(if anonymous { Refusal::Unauthorized } else { Refusal::BadRequest });
        };
        let algorithm = password_algorithm(message)?;
        // "If the value of the USERNAME or USERHASH attribute is not valid": 401.
        let username = core::str::from_utf8(username.value).map_err(|_| Refusal::Unauthorized)?;
        let expires = Credentials::expiry(username).ok_or(Refusal::Unauthorized)?;
        // "If the resulting value does not match": 401.
        let password = self.credentials.password(username);
        let signer = match algorithm {
            Some(HashAlgorithm::Sha256) => Signer {
                key: IntegrityKey::sha256(username, &self.realm, &password),
                algorithm: HashAlgorithm::Sha256,
            },
            Some(HashAlgorithm::Sha1) => Signer {
                key: IntegrityKey::md5(username, &self.realm, &password),
                algorithm: HashAlgorithm::Sha256,
            },
            None => Signer {
                key: IntegrityKey::md5(username, &self.realm, &password),
                algorithm: HashAlgorithm::Sha1,
            },
        };
        if !message.verify(&signer.key) {
            return Err(Refusal::Unauthorized);
        }
        // "If the NONCE is no longer valid": 438.
        if !self.nonces.is_good(nonce.value, client, now) {
            return Err(Refusal::StaleNonce);
        }
        let account = self.credentials.account(username);
        Ok(Authenticated { credential: CredentialId::of(username), account, expires, signer })
    }

    /// Whose credential this is, and until when the account has any; nothing if it is none of ours.
    pub(super) fn account(&self, username: &str, wall: UnixSeconds) -> Option<(Account, UnixSeconds)> {
        Some((self.credentials.account(username), self.credentials.last_expiry(username, wall)?))
    }

    /// Adds what a client needs to try again: REALM, NONCE, PASSWORD-ALGORITHMS.
    pub(super) fn add_challenge(&self, reply: &mut Reply, client: SocketAddr, now: Instant) {
        reply.add_raw(Realm::TYPE.value(), self.realm.as_bytes());
        reply.add_raw(Nonce::TYPE.value(), self.nonces.issue(client, now).as_bytes());
        reply.add_raw(PasswordAlgorithms::TYPE.value(), &PASSWORD_ALGORITHMS);
    }
}

/// Which algorithm makes the key; nothing where the client does not know of the choice.
fn password_algorithm(message: &Message<'_>) -> Result<Option<HashAlgorithm>, Refusal> {
    let chosen = message.find(PasswordAlgorithm::TYPE);
    let offered = message.find(PasswordAlgorithms::TYPE);
    let (chosen, offered) = match (chosen, offered) {
        (None, None) => return Ok(None),
        (Some(chosen), Some(offered)) => (chosen, offered),
        (Some(_), None) | (None, Some(_)) => return Err(Refusal::BadRequest),
    };
    // Somebody between us and the client may have shortened the list, to make it choose MD5.
    if offered.value != PASSWORD_ALGORITHMS {
        return Err(Refusal::BadRequest);
    }
    if chosen.value == SHA_256 {
        Ok(Some(HashAlgorithm::Sha256))
    } else if chosen.value == MD5 {
        Ok(Some(HashAlgorithm::Sha1))
    } else {
        Err(Refusal::BadRequest)
    }
}

/// Makes and checks nonces: cookie, time of issue, and a MAC over that time and the client's address and port.
#[derive(Zeroize, ZeroizeOnDrop)]
struct Nonces {
    key: [u8; 32],
}

impl Nonces {
    fn random(rng: &mut impl RngCore) -> Self {
        let mut key = [0; 32];
        rng.fill_bytes(&mut key);
        Self { key }
    }

    /// "The server MUST NOT choose the same NONCE for two requests unless they have the same source IP address
    /// and port" (RFC 8489, section 9.2.4).
    fn issue(&self, client: SocketAddr, now: Instant) -> String {
        let seconds = u32::try_from(now.as_micros() / 1_000_000).unwrap_or(u32::MAX);
        self.nonce(seconds, client)
    }

    fn is_good(&self, nonce: &[u8], client: SocketAddr, now: Instant) -> bool {
        let issued = nonce
            .get(NONCE_COOKIE.len()..NONCE_COOKIE.len() + 8)
            .and_then(|digits| core::str::from_utf8(digits).ok())
            .and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let Some(issued) = issued else { return false };
        if !bool::from(self.nonce(issued, client).as_bytes().ct_eq(nonce)) {
            return false;
        }
        Instant::ZERO + Duration::from_secs(u64::from(issued)) + NONCE_LIFETIME > now
    }

    fn nonce(&self, seconds: u32, client: SocketAddr) -> String {
        let mut tag = [0; 12];
        // HMAC takes a key of any length.
        if let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.key) {
            mac.update(&seconds.to_be_bytes());
            let ip = match client.ip() {
                IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                IpAddr::V6(v6) => v6,
            };
            mac.update(&ip.octets());
            mac.update(&client.port().to_be_bytes());
            tag.iter_mut().zip(mac.finalize().into_bytes()).for_each(|(to, from)| *to = from);
        }
        format!("{NONCE_COOKIE}{seconds:08x}{}", base64::encode(&tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turn::fuzzing::FixedRng;

    #[test]
    fn a_nonce_is_good_for_its_lifetime_and_its_address_only() {
        let nonces = Nonces::random(&mut FixedRng(1));
        let client = SocketAddr::from(([192, 0, 2, 1], 5000));
        let issued = Instant::from_millis(5_000);
        let nonce = nonces.issue(client, issued);
        assert!(nonces.is_good(nonce.as_bytes(), client, issued));
        assert!(nonces.is_good(nonce.as_bytes(), client, issued + (NONCE_LIFETIME - Duration::from_secs(1))));
        assert!(!nonces.is_good(nonce.as_bytes(), client, issued + NONCE_LIFETIME));
        assert!(!nonces.is_good(nonce.as_bytes(), SocketAddr::from(([192, 0, 2, 1], 5001)), issued));
        assert!(!nonces.is_good(nonce.as_bytes(), SocketAddr::from(([192, 0, 2, 2], 5000)), issued));
        assert!(!Nonces::random(&mut FixedRng(2)).is_good(nonce.as_bytes(), client, issued));
    }

    #[test]
    fn a_nonce_that_is_cut_or_changed_is_not_good() {
        let nonces = Nonces::random(&mut FixedRng(1));
        let client = SocketAddr::from(([192, 0, 2, 1], 5000));
        let nonce = nonces.issue(client, Instant::ZERO);
        for length in 0..nonce.len() {
            assert!(!nonces.is_good(&nonce.as_bytes()[..length], client, Instant::ZERO));
        }
        for at in 0..nonce.len() {
            let mut changed = nonce.clone().into_bytes();
            changed[at] ^= 1;
            assert!(!nonces.is_good(&changed, client, Instant::ZERO));
        }
    }
}
