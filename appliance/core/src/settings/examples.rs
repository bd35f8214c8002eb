//! For tests: what an example file shows.

use std::collections::BTreeSet;

/// An example with its comment signs taken off every `# key = value` line.
pub(crate) fn switched_on(example: &str) -> String {
    example
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| rest.contains(" = ")).unwrap_or(line))
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// Every key of a file with its section, which is empty above the first one.
pub(crate) fn keys_in(text: &str) -> BTreeSet<(&str, &str)> {
    let mut section = "";
    let mut found = BTreeSet::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        } else if let Some((name, _)) = line.split_once(" = ") {
            found.insert((section, name));
        }
    }
    found
}
