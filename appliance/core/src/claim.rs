//! Claiming a box: whoever reads the code on its join card becomes its administrator, once.
//!
//! The controller makes the code and keeps it; who serves the network knows a salted hash alone ([`ClaimHash`]), so
//! that a fault in there does not give the code away.
//! [`Desk`] judges attempts: it waits longer after each wrong one from an address, and compares in constant time.
//! Who claims a box may tell it the time ([`Request::time`]): nobody has proved more, and a box without a battery
//! does not know.
//! Not here: what an administrator may do, what time is believed (`crate::clock`), and the file by which the
//! controller learns of it.
//! Invariant: a box is claimed at most once, and no code is compared while its sender has to wait.

use crate::bucket::Bucket;
use base::{Instant, Private, UnixSeconds, hex};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// Largest request that is looked at.
pub const LARGEST_REQUEST: usize = 256;
/// Longest code, without what separates its groups.
pub const LONGEST_CODE: usize = 64;
/// Addresses whose wrong attempts are remembered.
pub const MOST_SOURCES: usize = 256;
/// How long to wait after the first wrong attempt; twice as long after each one more.
pub const FIRST_DELAY: Duration = Duration::from_secs(1);
/// How long to wait at most.
pub const LONGEST_DELAY: Duration = Duration::from_secs(300);
/// When wrong attempts are forgotten, after the last one.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(3600);
/// Attempts in one second, from all addresses together: comparing is cheap, and a phone has many addresses.
const ALL_PER_SECOND: u32 = 10;
/// Attempts at once, from all addresses together.
const ALL_BURST: u32 = 50;

/// What a code is compared with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ClaimHash {
    salt: [u8; 16],
    hash: [u8; 32],
}

impl ClaimHash {
    /// Of that code. `None` when it is no code: empty, too long, or with signs that nobody types.
    #[must_use]
    pub fn of(code: &str, salt: [u8; 16]) -> Option<Self> {
        let code = normalise(code)?;
        let hash = Sha256::new().chain_update(salt).chain_update(code.as_bytes()).finalize().into();
        Some(Self { salt, hash })
    }

    /// Reads what [`fmt::Display`] writes: the salt, a colon, the hash, in hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (salt, hash) = text.split_once(':')?;
        let mut read = Self { salt: [0; 16], hash: [0; 32] };
        hex::read(salt.as_bytes(), &mut read.salt)?;
        hex::read(hash.as_bytes(), &mut read.hash)?;
        Some(read)
    }

    /// Whether it is of that code; as quick when the first sign is wrong as when the last one is.
    #[must_use]
    pub fn matches(&self, code: &str) -> bool {
        Self::of(code, self.salt).is_some_and(|given| bool::from(given.hash.ct_eq(&self.hash)))
    }
}

impl fmt::Display for ClaimHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(f, self.salt)?;
        f.write_str(":")?;
        hex::write(f, self.hash)
    }
}

impl fmt::Debug for ClaimHash {
    /// The hash is no secret among friends, and no log's business either.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClaimHash(..)")
    }
}

/// A code as people may type it, in one form: capitals, without what separates its groups, and with the letters
/// that look like digits read as those.
fn normalise(code: &str) -> Option<Zeroizing<String>> {
    // The room is there from the start, so that no copy is left behind by growing.
    let mut plain = Zeroizing::new(String::with_capacity(LONGEST_CODE));
    for sign in code.chars().filter(|sign| !matches!(sign, ' ' | '-' | '\u{2011}' | '\u{2013}')) {
        if !sign.is_ascii_alphanumeric() || plain.len() == LONGEST_CODE {
            return None;
        }
        plain.push(match sign.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        });
    }
    (!plain.is_empty()).then_some(plain)
}

/// What somebody who wants a box says.
pub struct Request {
    /// As it was typed.
    pub code: Zeroizing<String>,
    /// What their device says that the time is.
    pub time: Option<UnixSeconds>,
}

impl Request {
    /// Reads `{"code": "...", "time": 1795000000}`; the time, in whole seconds since 1970, may be missing. `None`
    /// when there is anything else.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Raw {
            code: String,
            time: Option<u64>,
        }
        if body.len() > LARGEST_REQUEST {
            return None;
        }
        let Raw { code, time } = serde_json::from_slice(body).ok()?;
        Some(Self { code: Zeroizing::new(code), time: time.map(UnixSeconds) })
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Request(..)")
    }
}

/// What to answer to an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the code: record the claim, and call [`Desk::handle_not_recorded`] when that fails.
    Accept,
    /// It is not.
    Wrong,
    /// Somebody has claimed this box already.
    Claimed,
    /// Too soon; nothing was compared.
    Wait(Duration),
}

/// Judges attempts to claim a box.
pub struct Desk {
    hash: ClaimHash,
    claimed: bool,
    all: Bucket,
    /// At most [`MOST_SOURCES`].
    sources: HashMap<Private<IpAddr>, Failures>,
}

/// The wrong attempts of one address.
#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    until: Instant,
}

impl Desk {
    /// For that code; `claimed` when it has been used.
    #[must_use]
    pub fn new(hash: ClaimHash, claimed: bool, now: Instant) -> Self {
        Self { hash, claimed, all: Bucket::new(ALL_PER_SECOND, ALL_BURST, now), sources: HashMap::new() }
    }

    /// Somebody at `from` says that this is the code.
    pub fn handle_attempt(&mut self, code: &str, from: IpAddr, now: Instant) -> Verdict {
        // By the whole address: in one bubble all phones share a /64, and one must not lock out the others.
        let from = Private::new(from.to_canonical());
        if self.claimed {
            return Verdict::Claimed;
        }
        let failures = self.sources.get(&from).filter(|failures| now < failures.until + FORGOTTEN_AFTER);
        if let Some(failures) = failures.filter(|failures| now < failures.until) {
            return Verdict::Wait(failures.until.saturating_duration_since(now));
        }
        if !self.all.take(now) {
            return Verdict::Wait(FIRST_DELAY);
        }
        if self.hash.matches(code) {
            self.claimed = true;
            self.sources.clear();
            return Verdict::Accept;
        }
        let count = failures.map_or(0, |failures| failures.count).saturating_add(1);
        let delay =
            FIRST_DELAY.saturating_mul(1_u32.checked_shl(count - 1).unwrap_or(u32::MAX)).min(LONGEST_DELAY);
        self.make_room(&from, now);
        self.sources.insert(from, Failures { count, until: now + delay });
        Verdict::Wrong
    }

    /// The claim could not be recorded, so that it did not happen.
    pub const fn handle_not_recorded(&mut self) {
        self.claimed = false;
    }

    /// Addresses from which wrong codes came.
    #[must_use]
    pub fn sources(&self) -> usize {
        self.sources.len()
    }

    /// Forgets from where wrong codes came. How many all together may try stays.
    pub fn forget(&mut self) {
        self.sources = HashMap::new();
    }

    /// Whether somebody has claimed this box.
    #[must_use]
    pub const fn is_claimed(&self) -> bool {
        self.claimed
    }

    fn make_room(&mut self, from: &Private<IpAddr>, now: Instant) {
        if self.sources.len() < MOST_SOURCES || self.sources.contains_key(from) {
            return;
        }
        self.sources.retain(|_, failures| now < failures.until + FORGOTTEN_AFTER);
        if self.sources.len() >= MOST_SOURCES {
            let first = self.sources.iter().min_by_key(|(_, failures)| failures.until).map(|(from, _)| *from);
            first.and_then(|first| self.sources.remove(&first));
        }
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources = self.sources.len();
        f.debug_struct("Desk")
            .field("claimed", &self.claimed)
            .field("sources", &sources)
            .finish_non_exhaustive()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.hash.hash.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CODE: &str = "7KQ2-M9XD-04TV";

    fn desk() -> Desk {
        Desk::new(ClaimHash::of(CODE, [7; 16]).expect("a code"), false, Instant::ZERO)
    }

    fn phone(last: u8) -> IpAddr {
        [10, 77, 0, last].into()
    }

    #[test]
    fn a_code_is_recognised_however_it_is_typed() {
        let hash = ClaimHash::of(CODE, [7; 16]).expect("a code");
        for typed in [CODE, "7kq2m9xd04tv", "7KQ2 M9XD O4TV", "7KQ2\u{2011}m9xd\u{2013}04tv"] {
            assert!(hash.matches(typed), "{typed}");
        }
        for wrong in ["", "-", "7KQ2-M9XD-04TX", "7KQ2-M9XD-04T", "7KQ2-M9XD-04TVV", "é", &"7".repeat(65)] {
            assert!(!hash.matches(wrong), "{wrong}");
        }
        assert!(!ClaimHash::of(CODE, [8; 16]).is_some_and(|other| other == hash), "the salt counts");
    }

    #[test]
    fn a_hash_is_written_as_it_is_read_and_shown_to_nobody_else() {
        let hash = ClaimHash::of(CODE, [0xa5; 16]).expect("a code");
        assert_eq!(ClaimHash::parse(&hash.to_string()), Some(hash));
        assert_eq!(format!("{hash:?} {:?}", desk()), "ClaimHash(..) Desk { claimed: false, sources: 0, .. }");
        for text in
            ["", ":", "00:00", &"0".repeat(97), &format!("{hash}0"), &hash.to_string().replace('a', "g")]
        {
            assert_eq!(ClaimHash::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_box_is_claimed_once() {
        let mut desk = desk();
        assert_eq!(desk.handle_attempt(CODE, phone(1), Instant::ZERO), Verdict::Accept);
        assert_eq!(desk.handle_attempt(CODE, phone(2), Instant::ZERO), Verdict::Claimed);
        desk.handle_not_recorded();
        assert_eq!(desk.handle_attempt(CODE, phone(2), Instant::ZERO), Verdict::Accept);
    }

    #[test]
    fn each_wrong_code_doubles_the_wait_of_its_sender_and_of_nobody_else() {
        let mut desk = desk();
        let mut now = Instant::ZERO;
        for (count, seconds) in [(1, 1), (2, 2), (3, 4), (4, 8)] {
            assert_eq!(desk.handle_attempt("WRONG", phone(1), now), Verdict::Wrong, "{count}");
            let wait = Duration::from_secs(seconds);
            // The right code does not count either while its sender has to wait.
            assert_eq!(desk.handle_attempt(CODE, phone(1), now), Verdict::Wait(wait));
            now = now + wait;
        }
        for _ in 0..40 {
            assert_eq!(desk.handle_attempt("WRONG", phone(1), now), Verdict::Wrong);
            now = now + LONGEST_DELAY;
        }
        assert_eq!(desk.handle_attempt(CODE, phone(2), now), Verdict::Accept);
    }

    #[test]
    fn wrong_codes_are_forgotten_after_an_hour() {
        let mut desk = desk();
        for round in 0..5 {
            let now = Instant::ZERO + FORGOTTEN_AFTER.saturating_mul(2 * round);
            assert_eq!(desk.handle_attempt("WRONG", phone(1), now), Verdict::Wrong);
            assert_eq!(desk.handle_attempt("WRONG", phone(1), now), Verdict::Wait(FIRST_DELAY));
        }
    }

    #[test]
    fn all_together_try_so_many_in_a_second_and_the_table_stays_small() {
        let mut desk = desk();
        let try_all = |desk: &mut Desk, now| {
            let addresses = (0..1000_u32).map(|i| IpAddr::from((0x0a4d_0000 + i).to_be_bytes()));
            addresses.filter(|from| desk.handle_attempt("WRONG", *from, now) == Verdict::Wrong).count()
        };
        assert_eq!(try_all(&mut desk, Instant::ZERO), 50);
        for second in 1..200 {
            try_all(&mut desk, Instant::ZERO + Duration::from_secs(second));
            assert!(desk.sources.len() <= MOST_SOURCES);
        }
        assert_eq!(desk.sources.len(), MOST_SOURCES);
    }

    #[test]
    fn a_request_is_a_code_and_perhaps_a_time_and_nothing_else() {
        let read = |text: &str| {
            Request::read(text.as_bytes())
                .map(|Request { code, time }| (code.to_string(), time.map(|time| time.0)))
        };
        assert_eq!(read(r#"{"code": "7KQ2"}"#), Some(("7KQ2".to_owned(), None)));
        assert_eq!(
            read(r#"{"time":1795000000,"code":"7KQ2"}"#),
            Some(("7KQ2".to_owned(), Some(1_795_000_000)))
        );
        for wrong in [
            "",
            "{}",
            "[]",
            r#"{"code":1}"#,
            r#"{"code":"a","b":1}"#,
            r#"{"code":"a"}x"#,
            r#"{"code":"a","code":"b"}"#,
            r#"{"time":1795000000}"#,
            r#"{"code":"a","time":-1}"#,
            r#"{"code":"a","time":1.5}"#,
            r#"{"code":"a","time":"1795000000"}"#,
            r#"{"code":"a","time":18446744073709551616}"#,
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(read(&format!(r#"{{"code":"{}"}}"#, "7".repeat(LARGEST_REQUEST))), None);
    }

    proptest! {
        #[test]
        fn only_the_code_is_accepted(code in "[0-9A-HJKMNP-TV-Z]{1,12}", typed in "[0-9A-HJKMNP-TV-Z]{1,12}") {
            let hash = ClaimHash::of(&code, [1; 16]).expect("a code");
            prop_assert!(hash.matches(&code.to_ascii_lowercase()));
            prop_assert_eq!(hash.matches(&typed), code == typed);
        }
    }
}
