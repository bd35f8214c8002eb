//! What opens the network: its name, its key, and one key per person where the owner wants that.

use base::Private;
use std::fmt;
use zeroize::Zeroizing;

/// Bytes that a network's name may have (IEEE 802.11, SSID element).
pub const MOST_SSID_BYTES: usize = 32;
/// Characters that a key must have at least; BSI TR-03148 asks for twenty.
pub const FEWEST_KEY_CHARACTERS: usize = 20;
/// Characters that a key may have at most: more would be taken for a raw key (IEEE 802.11, annex J).
pub const MOST_KEY_CHARACTERS: usize = 63;
/// Persons that may have a key of their own.
pub const MOST_PERSONS: usize = 256;

/// The name of the network.
///
/// It is on the air for everybody to read, but it may be the name of a family or of an association.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ssid(Private<String>);

impl Ssid {
    /// Takes 1 to 32 bytes of UTF-8 without control characters.
    ///
    /// # Errors
    /// When it is empty, too long, or holds control characters.
    pub fn new(name: &str) -> Result<Self, CredentialError> {
        if name.is_empty() || name.len() > MOST_SSID_BYTES {
            return Err(CredentialError::SsidLength { bytes: name.len() });
        }
        if name.chars().any(char::is_control) {
            return Err(CredentialError::SsidCharacter);
        }
        Ok(Self(Private::new(name.to_owned())))
    }

    /// The name itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// A key as people type it; overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes 20 to 63 printable ASCII characters, without `|`, which ends a password in hostapd's files.
    ///
    /// # Errors
    /// When it is too short, too long, or holds other characters.
    pub fn new(key: Zeroizing<String>) -> Result<Self, CredentialError> {
        if !(FEWEST_KEY_CHARACTERS..=MOST_KEY_CHARACTERS).contains(&key.len()) {
            return Err(CredentialError::KeyLength { characters: key.chars().count() });
        }
        if !key.bytes().all(|byte| matches!(byte, b' '..=b'{' | b'}'..=b'~')) {
            return Err(CredentialError::KeyCharacter);
        }
        Ok(Self(key))
    }

    /// The key itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// A key of one person, who can so be shut out without a new key for everybody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonKey {
    /// A number that the owner's page maps to a person; hostapd never hears a name.
    pub person: u16,
    /// Their key.
    pub key: Passphrase,
}

/// Everything secret that the access point needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The name of the network.
    pub ssid: Ssid,
    /// The key on the join card.
    pub key: Passphrase,
    persons: Vec<PersonKey>,
}

impl Credentials {
    /// One key for all.
    #[must_use]
    pub const fn new(ssid: Ssid, key: Passphrase) -> Self {
        Self { ssid, key, persons: Vec::new() }
    }

    /// The same with keys per person.
    ///
    /// # Errors
    /// When there are more than [`MOST_PERSONS`], or a person twice.
    pub fn with_persons(mut self, mut persons: Vec<PersonKey>) -> Result<Self, CredentialError> {
        if persons.len() > MOST_PERSONS {
            return Err(CredentialError::TooManyPersons { persons: persons.len() });
        }
        persons.sort_by_key(|person| person.person);
        if persons.windows(2).any(|pair| matches!(pair, [a, b] if a.person == b.person)) {
            return Err(CredentialError::PersonTwice);
        }
        self.persons = persons;
        Ok(self)
    }

    /// Keys per person, in the order of their numbers.
    #[must_use]
    pub fn persons(&self) -> &[PersonKey] {
        &self.persons
    }
}

/// Why a name or a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialError {
    /// The name is empty or too long.
    SsidLength {
        /// How many bytes it has.
        bytes: usize,
    },
    /// The name holds a control character.
    SsidCharacter,
    /// The key is too short or too long.
    KeyLength {
        /// How many characters it has.
        characters: usize,
    },
    /// The key holds a character that not every phone can type or send.
    KeyCharacter,
    /// Too many persons.
    TooManyPersons {
        /// How many.
        persons: usize,
    },
    /// Two keys for one person.
    PersonTwice,
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SsidLength { bytes } => write!(
                f,
                "the name of a Wi-Fi network has 1 to {MOST_SSID_BYTES} bytes, this one has {bytes}; \
                 letters with accents count two, emoji four"
            ),
            Self::SsidCharacter => {
                f.write_str("the name of the Wi-Fi network holds a control character; leave it out")
            }
            Self::KeyLength { characters } => write!(
                f,
                "a Wi-Fi key has {FEWEST_KEY_CHARACTERS} to {MOST_KEY_CHARACTERS} characters, this one has \
                 {characters}"
            ),
            Self::KeyCharacter => f.write_str(
                "a Wi-Fi key may only hold letters without accents, digits, spaces and the signs of an \
                 English keyboard except |",
            ),
            Self::TooManyPersons { persons } => {
                write!(f, "at most {MOST_PERSONS} persons can have a Wi-Fi key of their own, not {persons}")
            }
            Self::PersonTwice => f.write_str("a person has two Wi-Fi keys; remove one"),
        }
    }
}

impl std::error::Error for CredentialError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Result<Passphrase, CredentialError> {
        Passphrase::new(Zeroizing::new(text.to_owned()))
    }

    #[test]
    fn a_name_has_one_to_thirty_two_bytes_and_no_control_characters() {
        assert!(Ssid::new(&"x".repeat(32)).is_ok());
        assert!(Ssid::new("Bulle \u{1fae7} d'été").is_ok());
        assert_eq!(Ssid::new(""), Err(CredentialError::SsidLength { bytes: 0 }));
        assert_eq!(Ssid::new(&"é".repeat(17)), Err(CredentialError::SsidLength { bytes: 34 }));
        assert_eq!(Ssid::new("a\nb"), Err(CredentialError::SsidCharacter));
    }

    #[test]
    fn a_key_has_twenty_to_sixty_three_printable_characters() {
        assert!(key(&"k".repeat(20)).is_ok());
        assert!(key(&"k".repeat(63)).is_ok());
        assert_eq!(key(&"k".repeat(19)), Err(CredentialError::KeyLength { characters: 19 }));
        assert_eq!(key(&"k".repeat(64)), Err(CredentialError::KeyLength { characters: 64 }));
        assert_eq!(key("kkkkkkkkkkkkkkkkkkkk\n"), Err(CredentialError::KeyCharacter));
        assert_eq!(key("kkkkkkkkkkkkkkkkkkkk|id=x"), Err(CredentialError::KeyCharacter));
        assert_eq!(key("éééééééééééééééééééé"), Err(CredentialError::KeyCharacter));
    }

    #[test]
    fn neither_name_nor_key_can_be_printed() {
        let whole = Credentials::new(Ssid::new("Famille Martin").unwrap(), key(&"k".repeat(20)).unwrap())
            .with_persons(vec![PersonKey { person: 7, key: key(&"p".repeat(20)).unwrap() }])
            .unwrap();
        let text = format!("{whole:?}");
        assert!(!text.contains("Martin") && !text.contains("kkk") && !text.contains("ppp"), "{text}");
    }

    #[test]
    fn persons_are_bounded_and_each_has_one_key() {
        let person = |person| PersonKey { person, key: key(&"p".repeat(20)).unwrap() };
        let all = Credentials::new(Ssid::new("a").unwrap(), key(&"k".repeat(20)).unwrap());
        let full: Vec<_> = (0..256).rev().map(person).collect();
        let full = all.clone().with_persons(full).unwrap();
        assert_eq!(full.persons().first().map(|first| first.person), Some(0));
        assert_eq!(
            all.clone().with_persons((0..257).map(person).collect()),
            Err(CredentialError::TooManyPersons { persons: 257 })
        );
        assert_eq!(all.with_persons(vec![person(3), person(3)]), Err(CredentialError::PersonTwice));
    }
}
