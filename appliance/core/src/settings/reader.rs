//! From TOML text to [`Typed`], with a line for everything that does not fit.
//!
//! [`Reader`] knows no key by itself: the site settings of the box read their own keys with it.

use super::error::{MOST_PROBLEMS, Problem, ProblemKind, SettingsError};
use super::{KEYS, Key, LogLevel, Probes, Typed, keys, units};
use crate::claim::ClaimHash;
use crate::names::{DnsLabel, DnsName};
use crate::prefix::Prefix;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Most entries of one list.
pub(super) const LONGEST_LIST: usize = 16;
/// Most text of a value that is quoted back.
const LONGEST_QUOTE: usize = 60;
/// Longest `http.security_contact`.
pub(super) const LONGEST_CONTACT: usize = 256;
/// Longest name of an interface, as the kernel has it (IFNAMSIZ, less the final zero).
const LONGEST_INTERFACE: usize = 15;
/// Keys that need another one beside them.
const NEEDS: [(&str, &str, &str, &str); 4] = [
    ("http", "certificate", "http", "key"),
    ("http", "key", "http", "certificate"),
    ("mdns", "interfaces", "mdns", "name"),
    ("box", "claim", "box", "runtime"),
];
/// Largest count.
const LARGEST_COUNT: i64 = 1_000_000;

type Value<'i> = Spanned<DeValue<'i>>;

pub(super) fn read(text: &str) -> Result<Typed, SettingsError> {
    Reader::read(text, KEYS, |reader, root| {
        reader.refuse_lonely(root);
        reader.typed(root)
    })
}

/// Reads a file whose keys are those of a table.
pub(crate) struct Reader<'a> {
    text: &'a str,
    keys: &'static [Key],
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// What `typed` makes of `text`, or every problem found.
    pub(crate) fn read<T>(
        text: &'a str,
        keys: &'static [Key],
        typed: impl FnOnce(&mut Self, &DeTable<'_>) -> T,
    ) -> Result<T, SettingsError> {
        let mut reader = Self { text, keys, problems: Vec::new() };
        let root = match DeTable::parse(text) {
            Ok(root) => root.into_inner(),
            Err(error) => {
                let offset = error.span().map_or(0, |span| span.start);
                let column = reader.column(offset);
                let message = error.message().to_owned();
                reader.report(offset, ProblemKind::Syntax { column, message });
                return Err(SettingsError { problems: reader.problems });
            }
        };
        reader.refuse_unknown(&root);
        let typed = typed(&mut reader, &root);
        if reader.problems.is_empty() {
            return Ok(typed);
        }
        reader.problems.sort_by_key(|problem| problem.line);
        reader.problems.truncate(MOST_PROBLEMS);
        Err(SettingsError { problems: reader.problems })
    }
}

impl Reader<'_> {
    fn typed(&mut self, root: &DeTable<'_>) -> Typed {
        Typed {
            https: self.take(root, "http", "https", addresses),
            redirect: self.take(root, "http", "redirect", addresses),
            names: self.take(root, "http", "names", names),
            security_contact: self.take(root, "http", "security_contact", contact),
            certificate: self.take(root, "http", "certificate", path),
            key: self.take(root, "http", "key", path),
            turn_listen: self.take(root, "turn", "listen", addresses),
            turn_ports: self.take(root, "turn", "ports", |value| units::ports(value.as_str()?)),
            turn_external: self.take(root, "turn", "external", hosts),
            turn_bandwidth: self.take(root, "turn", "bandwidth", |value| units::rate(value.as_str()?)),
            webrtc_listen: self.take(root, "webrtc", "listen", addresses),
            dns_listen: self.take(root, "dns", "listen", own_addresses),
            dns_prefixes: self.take(root, "dns", "prefixes", |value| texts(value, Prefix::parse)),
            probes: self.take(root, "portal", "probes", probes),
            mdns_name: self.take(root, "mdns", "name", |value| DnsLabel::parse(value.as_str()?)),
            mdns_interfaces: self.take(root, "mdns", "interfaces", |value| texts(value, interface)),
            metrics_listen: self.take(root, "metrics", "listen", loopback_addresses),
            claim: self.take(root, "box", "claim", |value| ClaimHash::parse(value.as_str()?)),
            runtime: self.take(root, "box", "runtime", path),
            connections: self.take(root, "limits", "connections", count),
            connections_per_address: self.take(root, "limits", "connections_per_address", count),
            sessions: self.take(root, "limits", "sessions", count),
            mailbox: self.take(root, "limits", "mailbox", mailbox),
            frames_per_second: self.take(root, "limits", "frames_per_second", count),
            frames_burst: self.take(root, "limits", "frames_burst", count),
            allocations: self.take(root, "limits", "allocations", count),
            allocations_per_session: self.take(root, "limits", "allocations_per_session", count),
            allocations_per_address: self.take(root, "limits", "allocations_per_address", count),
            idle: self.take(root, "limits", "idle", idle),
            retention: self.take(root, "limits", "retention", retention),
            state_dir: self.take(root, "state", "dir", path),
            log_level: self.take(root, "log", "level", level),
        }
    }

    /// The value of one key, `None` when it is absent or wrong (then it is reported).
    pub(crate) fn take<T>(
        &mut self,
        root: &DeTable<'_>,
        section: &str,
        name: &str,
        parse: impl FnOnce(&DeValue<'_>) -> Option<T>,
    ) -> Option<T> {
        let table = if section.is_empty() { root } else { root.get(section)?.get_ref().as_table()? };
        let value = table.get(name)?;
        let parsed = parse(value.get_ref());
        if parsed.is_none() {
            let key = keys::find(self.keys, section, name);
            let expected = key.map_or("", |key| key.expected).to_owned();
            self.report_value(value, key.map(Key::path).unwrap_or_default(), expected);
        }
        parsed
    }

    fn refuse_lonely(&mut self, root: &DeTable<'_>) {
        let find = |section: &str, name: &str| {
            root.get(section)?.get_ref().as_table()?.get(name).map(|value| value.span().start)
        };
        for (section, name, other_section, other_name) in NEEDS {
            let (Some(at), None) = (find(section, name), find(other_section, other_name)) else { continue };
            let (key, missing) = (format!("{section}.{name}"), format!("{other_section}.{other_name}"));
            self.report(at, ProblemKind::Alone { key, missing });
        }
    }

    fn refuse_unknown(&mut self, root: &DeTable<'_>) {
        for (section, value) in root {
            let name = section.get_ref().as_ref();
            if keys::find(self.keys, "", name).is_some() {
                continue;
            }
            if !keys::sections(self.keys).any(|known| known == name) {
                // A key written above its section is the commoner slip than a wrong section.
                let owner = self.keys.iter().find(|key| key.name == name);
                let nearest = owner.map(Key::path).or_else(|| self.nearest_at_top(name));
                let key = if value.get_ref().is_table() { format!("[{}]", quote(name)) } else { quote(name) };
                self.report(section.span().start, ProblemKind::Unknown { key, nearest });
            } else if let Some(table) = value.get_ref().as_table() {
                self.refuse_unknown_keys(name, table);
            } else {
                self.report_value(value, name.to_owned(), format!("a section [{name}]"));
            }
        }
    }

    /// What may have been meant where sections and the keys above them stand.
    fn nearest_at_top(&self, name: &str) -> Option<String> {
        let alone = self.keys.iter().filter(|key| key.section.is_empty()).map(|key| key.name);
        let near = keys::nearest(name, keys::sections(self.keys).chain(alone))?;
        let is_section = keys::sections(self.keys).any(|section| section == near);
        Some(if is_section { format!("[{near}]") } else { near.to_owned() })
    }

    fn refuse_unknown_keys(&mut self, section: &str, table: &DeTable<'_>) {
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            if keys::find(self.keys, section, name).is_some() {
                continue;
            }
            let here = self.keys.iter().filter(|key| key.section == section).map(|key| key.name);
            let elsewhere = self.keys.iter().find(|key| key.name == name);
            let nearest = elsewhere
                .map(Key::path)
                .or_else(|| keys::nearest(name, here).map(|near| format!("{section}.{near}")));
            let key_text = format!("{section}.{}", quote(name));
            self.report(key.span().start, ProblemKind::Unknown { key: key_text, nearest });
        }
    }

    /// Complains about a key that is there and fits by itself, but not beside others.
    pub(crate) fn refuse(&mut self, root: &DeTable<'_>, section: &str, name: &str, expected: String) {
        let table = root.get(section).and_then(|table| table.get_ref().as_table());
        if let Some(value) = table.and_then(|table| table.get(name)) {
            self.report_value(value, format!("{section}.{name}"), expected);
        }
    }

    fn report_value(&mut self, value: &Value<'_>, key: String, expected: String) {
        let text = self.text.get(value.span()).unwrap_or_default();
        let found = match value.get_ref() {
            DeValue::Table(_) => "a section".to_owned(),
            DeValue::String(_) => format!("the text {}", quote(text)),
            DeValue::Array(_) => format!("the list {}", quote(text)),
            DeValue::Integer(_) | DeValue::Float(_) => format!("the number {}", quote(text)),
            DeValue::Boolean(_) | DeValue::Datetime(_) => quote(text),
        };
        self.report(value.span().start, ProblemKind::Value { key, expected, found });
    }

    fn report(&mut self, offset: usize, kind: ProblemKind) {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        self.problems.push(Problem { line, kind });
    }

    /// Characters from the start of its line, from 1.
    fn column(&self, offset: usize) -> usize {
        let before = self.text.get(..offset).unwrap_or_default();
        1 + before.rsplit('\n').next().map_or(0, |line| line.chars().count())
    }
}

/// A value in one line, short, without control characters: it goes to a terminal.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted: String =
        text.chars().take(LONGEST_QUOTE).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(LONGEST_QUOTE).is_some() {
        quoted.push('…');
    }
    quoted
}

/// One text, or a list of texts, each parsed.
pub(crate) fn texts<T>(value: &DeValue<'_>, parse: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    if let Some(text) = value.as_str() {
        return Some(vec![parse(text)?]);
    }
    let list = value.as_array()?;
    if list.len() > LONGEST_LIST {
        return None;
    }
    list.iter().map(|entry| parse(entry.get_ref().as_str()?)).collect()
}

fn addresses(value: &DeValue<'_>) -> Option<Vec<SocketAddr>> {
    texts(value, |text| text.parse().ok())
}

/// Addresses that are somebody's: an answer over UDP has to leave from the address that was asked.
fn own_addresses(value: &DeValue<'_>) -> Option<Vec<SocketAddr>> {
    addresses(value).filter(|all| all.iter().all(|address| !address.ip().is_unspecified()))
}

/// Addresses that nobody else can reach.
fn loopback_addresses(value: &DeValue<'_>) -> Option<Vec<SocketAddr>> {
    addresses(value).filter(|all| all.iter().all(|address| address.ip().is_loopback()))
}

/// The name of a network interface. The kernel allows more than this; nothing that names one does, and a
/// name goes into files of other programs.
pub(crate) fn interface(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let fits = (1..=LONGEST_INTERFACE).contains(&text.len()) && text.bytes().all(plain);
    (fits && !matches!(text, "." | "..")).then(|| text.to_owned())
}

pub(crate) fn probes(value: &DeValue<'_>) -> Option<Probes> {
    let word = value.as_str()?;
    Probes::ALL.into_iter().find(|probes| probes.as_str() == word)
}

fn hosts(value: &DeValue<'_>) -> Option<Vec<IpAddr>> {
    texts(value, |text| text.parse().ok())
}

fn names(value: &DeValue<'_>) -> Option<Vec<DnsName>> {
    texts(value, DnsName::parse).filter(|names| !names.is_empty())
}

fn count(value: &DeValue<'_>) -> Option<u32> {
    let integer = value.as_integer()?;
    let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok()?;
    (1..=LARGEST_COUNT).contains(&number).then(|| u32::try_from(number).ok())?
}

fn mailbox(value: &DeValue<'_>) -> Option<u64> {
    units::size(value.as_str()?).filter(|size| (1 << 20..=1 << 40).contains(size))
}

fn idle(value: &DeValue<'_>) -> Option<Duration> {
    units::time(value.as_str()?).filter(|time| (1..=86_400).contains(&time.as_secs()))
}

fn retention(value: &DeValue<'_>) -> Option<Duration> {
    units::time(value.as_str()?).filter(|time| (60..=720 * 3600).contains(&time.as_secs()))
}

fn path(value: &DeValue<'_>) -> Option<PathBuf> {
    value.as_str().filter(|text| !text.is_empty() && !text.contains('\0')).map(PathBuf::from)
}

fn contact(value: &DeValue<'_>) -> Option<String> {
    let text = value.as_str()?;
    let known = ["mailto:", "https://", "tel:"]
        .iter()
        .any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
    (known && text.len() <= LONGEST_CONTACT && text.bytes().all(|byte| byte.is_ascii_graphic()))
        .then(|| text.to_owned())
}

pub(crate) fn level(value: &DeValue<'_>) -> Option<LogLevel> {
    use LogLevel::{Debug, Error, Info, Trace, Warn};
    let word = value.as_str()?;
    [Error, Warn, Info, Debug, Trace].into_iter().find(|level| level.as_str() == word)
}
