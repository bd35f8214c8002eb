//! Every key there is, in the order of the documentation.

/// One key of the settings file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The table it stands in; empty for a key above all tables.
    pub section: &'static str,
    /// Its name in that table.
    pub name: &'static str,
    /// What a value looks like, for the error message.
    pub expected: &'static str,
}

impl Key {
    /// The key as it is spoken of: with its section.
    pub(crate) fn path(&self) -> String {
        if self.section.is_empty() {
            return self.name.to_owned();
        }
        format!("{}.{}", self.section, self.name)
    }
}

const ADDRESSES: &str = "an address with a port such as \"0.0.0.0:8443\" or \"[::]:8443\", or a list of them";
const COUNT: &str = "a whole number from 1 to 1000000";

/// All keys.
pub const KEYS: &[Key] = &[
    Key { section: "http", name: "https", expected: ADDRESSES },
    Key { section: "http", name: "redirect", expected: ADDRESSES },
    Key {
        section: "http",
        name: "names",
        expected: "a list of 1 to 16 host names such as [\"bulle.local\"]",
    },
    Key {
        section: "http",
        name: "security_contact",
        expected: "an address that begins with \"mailto:\", \"https://\" or \"tel:\"",
    },
    Key { section: "http", name: "certificate", expected: "a path in quotes such as \"/etc/bulle/box.crt\"" },
    Key { section: "http", name: "key", expected: "a path in quotes such as \"/etc/bulle/box.key\"" },
    Key { section: "turn", name: "listen", expected: ADDRESSES },
    Key {
        section: "turn",
        name: "ports",
        expected: "a range of ports from 1024 up, such as \"61000-65535\"",
    },
    Key { section: "turn", name: "external", expected: "a list of IP addresses such as [\"203.0.113.7\"]" },
    Key {
        section: "turn",
        name: "bandwidth",
        expected: "a rate from 1 Mbit/s to 1000 Gbit/s such as \"80 Mbit/s\"",
    },
    Key { section: "webrtc", name: "listen", expected: ADDRESSES },
    Key {
        section: "dns",
        name: "listen",
        expected: "an address of this box with a port such as \"10.77.0.1:53\" (not 0.0.0.0 or [::]), or a list \
                   of them",
    },
    Key {
        section: "dns",
        name: "prefixes",
        expected: "a list of networks such as [\"10.77.0.0/24\", \"fd00:77::/64\"]",
    },
    Key { section: "portal", name: "probes", expected: "one of \"online\", \"offline\", \"portal\"" },
    Key {
        section: "mdns",
        name: "name",
        expected: "a name without dots, of letters, digits and hyphens, such as \"bulle\"",
    },
    Key { section: "mdns", name: "interfaces", expected: "a list of network interfaces such as [\"eth0\"]" },
    Key {
        section: "metrics",
        name: "listen",
        expected: "an address of this machine alone with a port, such as \"127.0.0.1:9464\" or \"[::1]:9464\", or a \
                   list of them",
    },
    Key {
        section: "box",
        name: "claim",
        expected: "a salt and a hash, 32 and 64 hexadecimal digits with a colon between them",
    },
    Key { section: "box", name: "runtime", expected: "a path in quotes such as \"/run/bulle\"" },
    Key { section: "limits", name: "connections", expected: COUNT },
    Key { section: "limits", name: "connections_per_address", expected: COUNT },
    Key { section: "limits", name: "sessions", expected: COUNT },
    Key { section: "limits", name: "mailbox", expected: "a size from 1 MiB to 1024 GiB such as \"64 MiB\"" },
    Key { section: "limits", name: "frames_per_second", expected: COUNT },
    Key { section: "limits", name: "frames_burst", expected: COUNT },
    Key { section: "limits", name: "allocations", expected: COUNT },
    Key { section: "limits", name: "allocations_per_session", expected: COUNT },
    Key { section: "limits", name: "allocations_per_address", expected: COUNT },
    Key {
        section: "limits",
        name: "idle",
        expected: "a time from 1 s to 24 h such as \"90 s\" or \"5 min\"",
    },
    Key {
        section: "limits",
        name: "retention",
        expected: "a time from 1 min to 720 h such as \"168 h\" or \"30 min\"",
    },
    Key { section: "state", name: "dir", expected: "a path in quotes such as \"/var/lib/bulle\"" },
    Key {
        section: "log",
        name: "level",
        expected: "one of \"error\", \"warn\", \"info\", \"debug\", \"trace\"",
    },
];

/// The sections of `keys`, in the order of the documentation.
pub(crate) fn sections(keys: &'static [Key]) -> impl Iterator<Item = &'static str> {
    let mut last = "";
    keys.iter().map(|key| key.section).filter(move |section| {
        let new = *section != last;
        last = section;
        new && !section.is_empty()
    })
}

/// The key of that name among `keys`.
pub(crate) fn find(keys: &'static [Key], section: &str, name: &str) -> Option<&'static Key> {
    keys.iter().find(|key| key.section == section && key.name == name)
}

/// What the operator may have meant: the candidate with the fewest differing letters, if it is near at all.
pub(super) fn nearest<'a>(typed: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (distance(typed, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 2).max(2))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance, in one row. Long keys are cut: they resemble nothing.
fn distance(a: &str, b: &str) -> usize {
    const LONGEST: usize = 64;
    let b: Vec<char> = b.chars().take(LONGEST).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(LONGEST).enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (to, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let above = *cell;
            let best = (above + 1).min(left + 1).min(diagonal + usize::from(from != *to));
            diagonal = above;
            left = best;
            *cell = best;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_levenshtein() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }

    #[test]
    fn a_key_that_resembles_nothing_has_no_nearest() {
        assert_eq!(nearest("wireguard_peers", KEYS.iter().map(|k| k.name)), None);
        assert_eq!(nearest("lisen", KEYS.iter().map(|k| k.name)), Some("listen"));
    }
}
