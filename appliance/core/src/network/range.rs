//! Which private range the bubble uses.

use super::with_host;
use crate::prefix::Prefix;
use std::net::{IpAddr, Ipv4Addr};

/// Networks of the cable that are looked at.
pub const MOST_NETWORKS: usize = 32;

/// A /24 of private addresses (RFC 1918) with the box at `.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range(Ipv4Addr);

/// In the order of preference; one of each of the three blocks, so that a network which takes up a whole block
/// leaves another one.
const RANGES: [Range; 6] = [
    Range(Ipv4Addr::new(10, 77, 0, 0)),
    Range(Ipv4Addr::new(172, 30, 77, 0)),
    Range(Ipv4Addr::new(192, 168, 77, 0)),
    Range(Ipv4Addr::new(10, 177, 77, 0)),
    Range(Ipv4Addr::new(172, 19, 177, 0)),
    Range(Ipv4Addr::new(192, 168, 177, 0)),
];

impl Range {
    /// The box.
    #[must_use]
    pub const fn router(self) -> Ipv4Addr {
        with_host(self.0, 1)
    }

    /// The whole of it.
    #[must_use]
    pub fn prefix(self) -> Prefix {
        Prefix::usual(IpAddr::V4(self.0))
    }

    /// Whether a network has addresses of it.
    #[must_use]
    pub fn overlaps(self, other: &Prefix) -> bool {
        let mine = self.prefix();
        other.contains(mine.net()) || mine.contains(other.net())
    }
}

impl Default for Range {
    fn default() -> Self {
        RANGES[0]
    }
}

/// The range to use beside these networks: `current` if it still can be, so that phones keep their addresses.
///
/// Where a cable takes up everything, the first one; the firewall keeps the two apart.
#[must_use]
pub fn choose(current: Option<Range>, taken: &[Prefix]) -> Range {
    let free = |range: &Range| !taken.iter().take(MOST_NETWORKS).any(|network| range.overlaps(network));
    current.into_iter().chain(RANGES).find(free).or(current).unwrap_or_default()
}
