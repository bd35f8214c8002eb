//! Credentials that expire, checked by computation: user name `<unix expiry>:<opaque id>`, password
//! `base64(HMAC-SHA1(secret, user name))`.
//!
//! The scheme is the one that other TURN servers call "REST", so their tools can test ours.
//! The id is random and means nothing: it is not the member's name, and two credentials of one member have
//! nothing in common.

use core::fmt;
use core::time::Duration;

use base::UnixSeconds;
use hmac::{Hmac, KeyInit, Mac};
use rand_core::{CryptoRng, RngCore};
use sha1::Sha1;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::base64;
use super::limits::MAX_USERNAME;

/// Shared by whoever mints credentials and whoever checks them, on one box. Wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct CredentialSecret(Vec<u8>);

impl CredentialSecret {
    /// Wraps a secret that came from elsewhere. Use at least 16 random bytes.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// Makes a new secret of 32 bytes.
    pub fn random(rng: &mut (impl RngCore + CryptoRng)) -> Self {
        let mut bytes = vec![0; 32];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }
}

impl fmt::Debug for CredentialSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialSecret(..)")
    }
}

/// A fresh credential, to be given to one client.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Minted {
    /// For the client's `username`.
    pub username: String,
    /// For the client's `credential`.
    pub password: String,
}

impl fmt::Debug for Minted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Minted(..)")
    }
}

/// Mints and checks credentials.
#[derive(Clone, Debug)]
pub struct Credentials {
    secret: CredentialSecret,
}

impl Credentials {
    /// With the secret of this box.
    pub const fn new(secret: CredentialSecret) -> Self {
        Self { secret }
    }

    /// Makes a credential that is good for `lifetime` from `now` on.
    pub fn mint(&self, lifetime: Duration, now: UnixSeconds, rng: &mut (impl RngCore + CryptoRng)) -> Minted {
        let mut id = [0; 12];
        rng.fill_bytes(&mut id);
        let expiry = now.plus(lifetime).0;
        // 12 bytes become 16 signs without padding.
        let username = format!("{expiry}:{}", base64::encode(&id));
        let password = self.password(&username).as_str().to_owned();
        Minted { username, password }
    }

    /// The password that belongs to `username`.
    pub(super) fn password(&self, username: &str) -> Zeroizing<String> {
        // HMAC takes a key of any length.
        let Ok(mut mac) = <Hmac<Sha1> as KeyInit>::new_from_slice(&self.secret.0) else {
            return Zeroizing::default();
        };
        mac.update(username.as_bytes());
        Zeroizing::new(base64::encode(&mac.finalize().into_bytes()))
    }

    /// When the credential with this user name ends; nothing if it is none of ours.
    pub(super) fn expiry(username: &str) -> Option<UnixSeconds> {
        if username.len() > MAX_USERNAME {
            return None;
        }
        let (expiry, _) = username.split_once(':')?;
        if expiry.is_empty() || !expiry.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        expiry.parse().ok().map(UnixSeconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turn::fuzzing::FixedRng;

    #[test]
    fn the_password_is_what_other_servers_compute() {
        // echo -n 1700000000:someone | openssl dgst -sha1 -hmac north -binary | base64
        let credentials = Credentials::new(CredentialSecret::from_bytes(b"north"));
        assert_eq!(credentials.password("1700000000:someone").as_str(), "0XAzZ64XKr4Kq0ug4bYPnbEnC2s=");
    }

    #[test]
    fn a_minted_credential_carries_its_expiry() {
        let credentials = Credentials::new(CredentialSecret::random(&mut FixedRng(1)));
        let minted = credentials.mint(Duration::from_secs(60), UnixSeconds(1_000_000), &mut FixedRng(1));
        assert_eq!(Credentials::expiry(&minted.username), Some(UnixSeconds(1_000_060)));
        assert_eq!(credentials.password(&minted.username).as_str(), minted.password);
    }

    #[test]
    fn two_credentials_have_nothing_in_common() {
        let credentials = Credentials::new(CredentialSecret::random(&mut FixedRng(1)));
        let mut rng = FixedRng(1);
        let one = credentials.mint(Duration::from_secs(60), UnixSeconds(1), &mut rng);
        let two = credentials.mint(Duration::from_secs(60), UnixSeconds(1), &mut rng);
        assert_ne!(one.username, two.username);
        assert_ne!(one.password, two.password);
    }

    #[test]
    fn a_user_name_without_an_expiry_is_none_of_ours() {
        for name in ["", ":", "someone", "12", ":x", "+5:x", "-5:x", "1e3:x", "99999999999999999999999:x"] {
            assert_eq!(Credentials::expiry(name), None, "{name}");
        }
        assert_eq!(Credentials::expiry(&format!("1:{}", "x".repeat(MAX_USERNAME))), None);
    }

    #[test]
    fn nothing_secret_is_printed() {
        let credentials = Credentials::new(CredentialSecret::from_bytes(b"north"));
        let minted = credentials.mint(Duration::from_secs(60), UnixSeconds(1), &mut FixedRng(1));
        assert_eq!(
            format!("{credentials:?}{minted:?}"),
            "Credentials { secret: CredentialSecret(..) }Minted(..)"
        );
    }
}
