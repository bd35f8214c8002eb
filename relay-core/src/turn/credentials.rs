//! Credentials that expire, checked by computation: user name `<unix expiry>:<opaque id>`, password
//! `base64(HMAC-SHA1(secret, user name))`.
//!
//! The scheme is the one that other TURN servers call "REST", so their tools can test ours.
//! To everybody but the box the id is random and means nothing: it is not the member's name, and two credentials of
//! one member have nothing in common. The box finds in it the [`Account`] that it was minted for, by computation, so
//! that whoever asks for a second credential gets no second quota, and both end together.

use core::fmt;
use core::time::Duration;

use base::UnixSeconds;
use hmac::{Hmac, KeyInit, Mac};
use rand_core::{CryptoRng, RngCore};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::base64;
use super::limits::{LONGEST_CREDENTIAL, MAX_USERNAME};

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

/// Bytes of an account.
const ACCOUNT: usize = 10;
/// Bytes before it that make each id another one.
const NONCE: usize = 8;

/// Whoever credentials are minted for, such as a session: a random number that means nothing. Not for logs.
///
/// All credentials of one account share its quotas and its bandwidth, and are revoked together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account([u8; 16]);

impl Account {
    /// A new one.
    pub fn random(rng: &mut (impl RngCore + CryptoRng)) -> Self {
        let mut bytes = [0; ACCOUNT];
        rng.fill_bytes(&mut bytes);
        Self::minted(bytes)
    }

    fn minted(bytes: [u8; ACCOUNT]) -> Self {
        let mut account = Self([0; 16]);
        account.0.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        account
    }

    /// A user name that somebody else who knows the secret has made up is an account of its own.
    fn of_name(username: &str) -> Self {
        let mut account = Self([0; 16]);
        account.0.iter_mut().zip(Sha256::digest(username.as_bytes())).for_each(|(to, from)| *to = from);
        account
    }

    fn is_minted(&self) -> bool {
        self.0.iter().skip(ACCOUNT).all(|byte| *byte == 0)
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Account(..)")
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

    /// Makes a credential of `account` that is good for `lifetime` from `now` on: at most [`LONGEST_CREDENTIAL`].
    pub fn mint(
        &self,
        account: &Account,
        lifetime: Duration,
        now: UnixSeconds,
        rng: &mut (impl RngCore + CryptoRng),
    ) -> Minted {
        let mut nonce = [0; NONCE];
        rng.fill_bytes(&mut nonce);
        let mut id = nonce.to_vec();
        id.extend(self.mask(&nonce).zip(account.0).map(|(mask, byte)| mask ^ byte));
        let expiry = now.plus(lifetime.min(LONGEST_CREDENTIAL)).0;
        // 18 bytes become 24 signs without padding.
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

    /// Whose credential a client shows; nothing when the password is wrong, it has expired, or it was not minted here.
    pub fn verify(&self, username: &str, password: &str, now: UnixSeconds) -> Option<Account> {
        let right = Self::expiry(username).is_some_and(|expiry| expiry > now)
            && bool::from(self.password(username).as_bytes().ct_eq(password.as_bytes()));
        right.then(|| self.account(username)).filter(Account::is_minted)
    }

    /// Whose credential it is that has this user name. Ask when the password is proven: any name is somebody's.
    pub(super) fn account(&self, username: &str) -> Account {
        let id = username.split_once(':').and_then(|(_, id)| base64::decode::<{ NONCE + ACCOUNT }>(id));
        let Some((nonce, masked)) = id.as_ref().and_then(|id| id.split_first_chunk()) else {
            return Account::of_name(username);
        };
        let mut account = [0; ACCOUNT];
        let bytes = self.mask(nonce).zip(masked).map(|(mask, byte)| mask ^ byte);
        account.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        Account::minted(account)
    }

    /// What hides an account in an id.
    fn mask(&self, nonce: &[u8; NONCE]) -> impl Iterator<Item = u8> + use<> {
        // HMAC takes a key of any length. The other use of this key is with SHA-1.
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.secret.0);
        let mask = mac.map(|mac| mac.chain_update(nonce).finalize().into_bytes());
        mask.into_iter().flatten().take(ACCOUNT)
    }

    /// When the last credential of the account ends that `username` is of; nothing if that is none of ours.
    pub(super) fn last_expiry(&self, username: &str, now: UnixSeconds) -> Option<UnixSeconds> {
        let expiry = Self::expiry(username)?;
        // Another one may have been minted this moment.
        let latest = if self.account(username).is_minted() { now.plus(LONGEST_CREDENTIAL) } else { expiry };
        Some(expiry.max(latest))
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
        let account = Account::random(&mut FixedRng(2));
        let mut rng = FixedRng(1);
        let minted = credentials.mint(&account, Duration::from_secs(60), UnixSeconds(1_000_000), &mut rng);
        assert_eq!(Credentials::expiry(&minted.username), Some(UnixSeconds(1_000_060)));
        assert_eq!(credentials.password(&minted.username).as_str(), minted.password);
    }

    #[test]
    fn two_credentials_have_nothing_in_common() {
        let credentials = Credentials::new(CredentialSecret::random(&mut FixedRng(1)));
        let mut rng = FixedRng(1);
        let account = Account::random(&mut rng);
        let one = credentials.mint(&account, Duration::from_secs(60), UnixSeconds(1), &mut rng);
        let two = credentials.mint(&account, Duration::from_secs(60), UnixSeconds(1), &mut rng);
        assert_ne!(one.password, two.password);
        let id = |minted: &Minted| {
            let id = minted.username.split_once(':').expect("an expiry and an id").1;
            base64::decode::<18>(id).expect("18 bytes")
        };
        let same = id(&one).into_iter().zip(id(&two)).filter(|(one, two)| one == two).count();
        assert!(same <= 2, "no more than chance has it: {same} of 18");
    }

    #[test]
    fn the_box_alone_finds_the_account_of_a_credential() {
        let credentials = Credentials::new(CredentialSecret::from_bytes(b"north"));
        let other = Credentials::new(CredentialSecret::from_bytes(b"south"));
        let mut rng = FixedRng(1);
        let [one, two] = [Account::random(&mut rng), Account::random(&mut rng)];
        assert_ne!(one, two);
        for _ in 0..100 {
            let minted = credentials.mint(&one, Duration::from_secs(60), UnixSeconds(1), &mut rng);
            assert_eq!(credentials.account(&minted.username), one);
            assert_ne!(other.account(&minted.username), one);
        }
    }

    #[test]
    fn a_credential_that_is_shown_is_whose_it_was_minted_for() {
        let credentials = Credentials::new(CredentialSecret::from_bytes(b"north"));
        let account = Account::random(&mut FixedRng(2));
        let now = UnixSeconds(1_000_000);
        let minted = credentials.mint(&account, Duration::from_secs(60), now, &mut FixedRng(1));
        let Minted { username, password } = &minted;
        assert_eq!(credentials.verify(username, password, now), Some(account));
        assert_eq!(credentials.verify(username, password, now.plus(Duration::from_secs(60))), None);
        assert_eq!(credentials.verify(username, &password[1..], now), None);
        assert_eq!(credentials.verify(username, &"x".repeat(password.len()), now), None);
        let made_up = "2000000:someone";
        assert_eq!(credentials.verify(made_up, &credentials.password(made_up), now), None);
    }

    #[test]
    fn a_name_that_somebody_made_up_is_an_account_of_its_own() {
        let credentials = Credentials::new(CredentialSecret::from_bytes(b"north"));
        let names = ["1:a", "2:a", "1:b", "1:AAAAAAAAAAAAAAAAAAAAAAA", "1:AAAAAAAAAAAAAAAAAAAAAAA!", "none"];
        for (at, name) in names.iter().enumerate() {
            assert!(!credentials.account(name).is_minted(), "{name}");
            assert!(names[..at].iter().all(|other| credentials.account(other) != credentials.account(name)));
        }
    }

    #[test]
    fn no_credential_outlives_the_memory_of_its_revocation() {
        let credentials = Credentials::new(CredentialSecret::from_bytes(b"north"));
        let account = Account::random(&mut FixedRng(1));
        let now = UnixSeconds(1_000_000);
        let long = credentials.mint(&account, LONGEST_CREDENTIAL * 2, now, &mut FixedRng(1));
        assert_eq!(Credentials::expiry(&long.username), Some(now.plus(LONGEST_CREDENTIAL)));
        let short = credentials.mint(&account, Duration::from_secs(1), now, &mut FixedRng(1));
        assert_eq!(credentials.last_expiry(&short.username, now), Some(now.plus(LONGEST_CREDENTIAL)));
        assert_eq!(credentials.last_expiry("1000009:someone", now), Some(UnixSeconds(1_000_009)));
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
        let account = Account::random(&mut FixedRng(1));
        let minted = credentials.mint(&account, Duration::from_secs(60), UnixSeconds(1), &mut FixedRng(1));
        assert_eq!(
            format!("{credentials:?}{minted:?}{account:?}"),
            "Credentials { secret: CredentialSecret(..) }Minted(..)Account(..)"
        );
    }
}
