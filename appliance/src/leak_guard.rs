//! For tests: nothing that is logged may identify anybody.
//!
//! [`suspicious`] looks at text; [`LeakGuard`] is a subscriber that collects every event at every level and
//! complains when it is dropped.

use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Hexadecimal digits in a row that are too many to be a number.
const IDENTIFIER_DIGITS: usize = 32;

/// The first piece of `text` that is shaped like an IP address, a MAC address or a key.
#[must_use]
pub fn suspicious(text: &str) -> Option<&str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || ".:[]-_".contains(c))).find(|word| {
        let bare = word.trim_matches(|c: char| "[].:-_".contains(c));
        looks_like_ip(bare)
            || looks_like_ip(word.trim_end_matches('.'))
            || looks_like_mac(bare)
            || is_identifier(bare)
    })
}

fn looks_like_ip(word: &str) -> bool {
    let host = word.rsplit_once(':').map_or(word, |(host, _)| host);
    // The unspecified addresses are nobody's.
    [word, host, host.trim_matches(['[', ']'])]
        .iter()
        .any(|text| text.parse::<IpAddr>().is_ok_and(|address| !address.is_unspecified()))
}

fn looks_like_mac(word: &str) -> bool {
    [':', '-'].into_iter().any(|separator| {
        let parts: Vec<&str> = word.split(separator).collect();
        parts.len() == 6
            && parts.iter().all(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()))
    })
}

fn is_identifier(word: &str) -> bool {
    let longest = word.split(|c: char| !c.is_ascii_hexdigit()).map(str::len).max();
    longest.is_some_and(|longest| longest >= IDENTIFIER_DIGITS)
}

/// Fails the test that holds it when anything suspicious, or any error, was logged.
#[derive(Debug)]
pub struct LeakGuard {
    found: Arc<Mutex<Vec<String>>>,
    _default: tracing::subscriber::DefaultGuard,
}

impl LeakGuard {
    /// Watches this thread from now on.
    #[must_use]
    pub fn install() -> Self {
        let found = Arc::default();
        let collector = Collector { found: Arc::clone(&found) };
        Self { found, _default: tracing::subscriber::set_default(collector) }
    }
}

impl Drop for LeakGuard {
    fn drop(&mut self) {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(found.is_empty() || std::thread::panicking(), "logged what must not be logged: {found:?}");
    }
}

struct Collector {
    found: Arc<Mutex<Vec<String>>>,
}

impl Collector {
    fn judge(&self, level: Level, fields: impl FnOnce(&mut Text)) {
        let mut text = Text(String::new());
        fields(&mut text);
        if level == Level::ERROR || suspicious(&text.0).is_some() {
            self.found.lock().unwrap_or_else(PoisonError::into_inner).push(text.0);
        }
    }
}

impl Subscriber for Collector {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.judge(Level::TRACE, |text| span.record(text));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        self.judge(Level::TRACE, |text| values.record(text));
    }

    fn event(&self, event: &Event<'_>) {
        self.judge(*event.metadata().level(), |text| event.record(text));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, "{}={value:?} ", field.name());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_keys_are_found_wherever_they_stand() {
        for text in [
            "from 192.0.2.7",
            "peer=192.0.2.7:443, gone",
            "(2001:db8::1)",
            "[2001:db8::1]:443",
            "at fe80::1.",
            "02:00:5e:10:00:01",
            "02-00-5e-10-00-01",
            &"ab".repeat(32),
        ] {
            assert!(suspicious(text).is_some(), "{text}");
        }
    }

    #[test]
    fn ordinary_lines_pass() {
        for text in [
            "2026-11-21T22:10:05.123456Z  INFO stopped sessions=12",
            "listening on [::]:8443",
            "version 0.1.0",
        ] {
            assert_eq!(suspicious(text), None);
        }
    }

    #[test]
    #[should_panic(expected = "logged what must not be logged")]
    fn a_logged_address_fails_the_test() {
        let _guard = LeakGuard::install();
        tracing::debug!(peer = "192.0.2.7", "connected");
    }

    #[test]
    fn a_private_value_can_be_logged() {
        let _guard = LeakGuard::install();
        tracing::info!(peer = ?base::Private::new("192.0.2.7"), "connected");
    }
}
