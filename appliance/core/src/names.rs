//! DNS names as this appliance uses them: lower case, checked once, by their type.
//!
//! Not a resolver, and not internationalised: a name arrives in its ASCII form (RFC 1035 section 2.3.1,
//! RFC 1123 section 2.1).

use std::fmt;

/// A host name of ASCII labels, lower case, without a final dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName(String);

impl DnsName {
    /// Longest name, RFC 1035 section 2.3.4 (in text, without the final dot).
    pub const LONGEST: usize = 253;
    /// Longest label, RFC 1035 section 2.3.4.
    pub const LONGEST_LABEL: usize = 63;

    /// Check and normalise. `None` when this is no host name, or is an IP address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let well_formed = |label: &str| {
            (1..=Self::LONGEST_LABEL).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // A last label of digits alone is how an IPv4 address looks; no host may be called so.
        let numeric = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        (text.len() <= Self::LONGEST && !numeric && text.split('.').all(well_formed))
            .then(|| Self(text.to_ascii_lowercase()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This name with `.local` behind it, where it has no dot yet.
    #[must_use]
    pub fn in_local(&self) -> Option<Self> {
        (!self.0.contains('.') && self.0 != "localhost").then(|| Self::parse(&format!("{}.local", self.0)))?
    }

    /// Whether this name is `above` or lies below it, as a name constraint reads it (RFC 5280 section 4.2.1.10).
    #[must_use]
    pub fn is_within(&self, above: &str) -> bool {
        let above = above.trim_start_matches('.').to_ascii_lowercase();
        self.0 == above || self.0.strip_suffix(&above).is_some_and(|rest| rest.ends_with('.'))
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One label of a host name: what stands before `.local`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsLabel(String);

impl DnsLabel {
    /// Check and normalise. `None` when this is no single label.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let name = DnsName::parse(text)?;
        (!name.0.contains('.') && !text.ends_with('.')).then_some(Self(name.0))
    }

    /// The label as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host of that name on this link (RFC 6762).
    #[must_use]
    pub fn in_local(&self) -> DnsName {
        DnsName(format!("{}.local", self.0))
    }
}

impl fmt::Display for DnsLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_in_lower_case_without_its_final_dot() {
        assert_eq!(DnsName::parse("Bulle.Local.").map(|n| n.to_string()).as_deref(), Some("bulle.local"));
    }

    #[test]
    fn what_is_no_host_name_is_refused() {
        let long = "a".repeat(64);
        for text in
            ["", ".", "a..b", "-a", "a-", "a_b", "10.0.0.1", "::1", "é.local", "a b", "*.local", &long]
        {
            assert_eq!(DnsName::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_label_is_a_name_without_dots() {
        assert_eq!(DnsLabel::parse("Bulle").map(|label| label.in_local()), DnsName::parse("bulle.local"));
        for text in ["", "a.b", "bulle.", "-a", "10", "a b"] {
            assert_eq!(DnsLabel::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_constraint_covers_the_name_and_what_lies_below_it() {
        let name = DnsName::parse("a.bulle.local").expect("a name");
        assert!(name.is_within("bulle.local") && name.is_within(".local") && name.is_within("a.bulle.local"));
        assert!(!name.is_within("ulle.local") && !name.is_within("b.bulle.local"));
    }
}
