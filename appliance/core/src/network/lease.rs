//! An address that the router of the cable's network gives, and that another machine has already.
//!
//! The box uses an address at once, and asks meanwhile whether another machine has it (RFC 5227): who waits for the
//! answer first, as that standard has it, shows no page for up to seven seconds after each start (docs/decisions/0015).
//! If one has, the box takes another name with the router, which gets another address for it, and keeps the lease of
//! the first, so that nobody gets that address meanwhile. An address about which nobody said anything for
//! [`ASKED_FOR`] is kept, whoever claims it later: whoever can speak on the cable could drive the box from one address
//! to the next otherwise.
//! Not here: speaking ARP ([`super::arp`]), asking networkd, or telling it.
//! Invariant: a name is changed at most [`MOST_NAMES`] times in a row without an address that can be kept, and not
//! sooner than [`ANOTHER_TAKES`] after the last change.

use base::Instant;
use std::net::Ipv4Addr;
use std::time::Duration;

/// Names that are tried one after the other; what helps neither then is not a matter of names.
pub const MOST_NAMES: u8 = 8;
/// How long a new address is asked for: a machine that wakes up, or an answer that is lost, must not hide the other.
pub const ASKED_FOR: Duration = Duration::from_secs(10);
/// Between two questions.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// Until the router has given another address for another name, the old one is still in use.
pub const ANOTHER_TAKES: Duration = Duration::from_secs(12);
/// A claim is told for so long: longer than it takes to look at a screen.
pub const TOLD_FOR: Duration = Duration::from_secs(30);

/// Which name the box has with the router: the first is its hardware address, others are made from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientName(pub u8);

/// Watches the lease of the cable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leases {
    name: ClientName,
    /// Names that were taken since an address could be kept.
    tried: u8,
    /// When the last name was taken.
    renamed: Option<Instant>,
    address: Option<InUse>,
    /// When somebody else claimed our address last.
    claimed: Option<Instant>,
}

/// The address that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct InUse {
    address: Ipv4Addr,
    since: Instant,
    /// The next question; `None` when it has been asked for long enough.
    ask: Option<Instant>,
}

impl Leases {
    /// The router gave this address, if any, and it is ours.
    pub fn handle_address(&mut self, address: Option<Ipv4Addr>, now: Instant) {
        if self.address.map(|used| used.address) != address {
            self.address = address.map(|address| InUse { address, since: now, ask: Some(now) });
        }
    }

    /// The address to ask about now.
    pub fn poll_probe(&mut self, now: Instant) -> Option<Ipv4Addr> {
        let used = self.address.as_mut()?;
        if now >= used.since + ASKED_FOR {
            if used.ask.take().is_some() && self.claimed.is_none_or(|last| last < used.since) {
                self.tried = 0;
            }
            return None;
        }
        used.ask.filter(|ask| now >= *ask)?;
        used.ask = Some(now + ASK_EVERY);
        Some(used.address)
    }

    /// Another machine says that this address is its own.
    pub fn handle_claim(&mut self, address: Ipv4Addr, now: Instant) {
        let Some(used) = self.address.as_mut().filter(|used| used.address == address) else { return };
        self.claimed = Some(now);
        let changing = self.renamed.is_some_and(|last| now < last + ANOTHER_TAKES);
        if used.ask.is_none() || changing || self.tried == MOST_NAMES {
            return;
        }
        self.tried += 1;
        self.name = ClientName(self.name.0.wrapping_add(1));
        self.renamed = Some(now);
        // A router that gives the same one again is asked again.
        (used.since, used.ask) = (now, Some(now + ASK_EVERY));
    }

    /// Another socket, another network.
    pub const fn handle_moved(&mut self) {
        (self.tried, self.renamed, self.address, self.claimed) = (0, None, None, None);
    }

    /// The name to use.
    #[must_use]
    pub const fn name(&self) -> ClientName {
        self.name
    }

    /// Whether an address of ours was claimed by another machine lately.
    #[must_use]
    pub fn clash(&self, now: Instant) -> bool {
        self.claimed.is_some_and(|last| now < last + TOLD_FOR)
    }
}

/// The address in a lease file of networkd.
#[must_use]
pub fn leased(file: &[u8]) -> Option<Ipv4Addr> {
    let text = std::str::from_utf8(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix("ADDRESS="))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_millis(1000);

    fn at(seconds: u64) -> Instant {
        START + Duration::from_secs(seconds)
    }

    fn address(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(192, 0, 2, last)
    }

    /// Uses the address for this many seconds, beginning with `from`; gives back how often it was asked for.
    fn used(leases: &mut Leases, address: Ipv4Addr, seconds: std::ops::Range<u64>) -> usize {
        let asked = seconds.filter(|second| {
            leases.handle_address(Some(address), at(*second));
            leases.poll_probe(at(*second)) == Some(address)
        });
        asked.count()
    }

    #[test]
    fn the_address_is_read_from_what_networkd_keeps() {
        let file = b"# This is private data. Do not parse.\nADDRESS=192.0.2.7\nNETMASK=255.255.255.0\n";
        assert_eq!(leased(file), Some(address(7)));
        for wrong in
            [&b""[..], b"ADDRESS=", b"ADDRESS=x\n", b"ADDRESSES=192.0.2.7", b"\xff\nADDRESS=192.0.2.7"]
        {
            assert_eq!(leased(wrong), None);
        }
    }

    #[test]
    fn a_new_address_is_asked_for_at_once_and_a_few_times() {
        let mut leases = Leases::default();
        leases.handle_address(Some(address(7)), at(0));
        assert_eq!(leases.poll_probe(at(0)), Some(address(7)));
        assert_eq!(leases.poll_probe(at(0)), None, "not twice at a time");
        assert_eq!(used(&mut leases, address(7), 1..600), 4);
        assert_eq!((leases.name(), leases.clash(at(600))), (ClientName(0), false));
        assert_eq!(used(&mut leases, address(8), 600..700), 5, "another address, other questions");
    }

    #[test]
    fn an_address_of_another_machine_is_left_for_another_name() {
        let mut leases = Leases::default();
        leases.handle_address(Some(address(7)), at(0));
        leases.handle_claim(address(9), at(0));
        assert_eq!((leases.name(), leases.clash(at(0))), (ClientName(0), false), "that is not ours");
        leases.handle_claim(address(7), at(1));
        assert_eq!((leases.name(), leases.clash(at(1))), (ClientName(1), true));
        leases.handle_claim(address(7), at(2));
        assert_eq!(leases.name(), ClientName(1), "the router is given time");
        used(&mut leases, address(8), 3..30);
        assert!(leases.clash(at(30)));
        assert!(!leases.clash(at(33)), "it is told for a while");
        assert_eq!(leases.name(), ClientName(1), "the name that helped is kept");
    }

    #[test]
    fn a_router_that_gives_the_same_address_again_is_asked_by_another_name_again() {
        let mut leases = Leases::default();
        for second in 0..600 {
            leases.handle_address(Some(address(7)), at(second));
            if leases.poll_probe(at(second)).is_some() {
                leases.handle_claim(address(7), at(second));
            }
            assert!(leases.name().0 <= 1 + u8::try_from(second / 10).unwrap_or(u8::MAX));
        }
        assert!((1..=MOST_NAMES).contains(&leases.name().0), "{:?}", leases.name());
    }

    #[test]
    fn names_end_where_everything_is_claimed() {
        let mut leases = Leases::default();
        for (second, last) in (0..1000).step_by(20).zip(1..) {
            leases.handle_address(Some(address(last)), at(second));
            leases.handle_claim(address(last), at(second));
            // Each is asked for as long as it takes.
            used(&mut leases, address(last), second..second + 20);
        }
        assert_eq!(leases.name(), ClientName(MOST_NAMES));
        assert!(leases.clash(at(999)), "and that is told");
    }

    #[test]
    fn an_address_that_was_kept_stays_whoever_claims_it() {
        let mut leases = Leases::default();
        used(&mut leases, address(7), 0..20);
        leases.handle_claim(address(7), at(20));
        assert_eq!(leases.name(), ClientName(0));
        assert!(leases.clash(at(20)), "but it is told");
    }

    #[test]
    fn names_are_counted_anew_when_an_address_could_be_kept() {
        let mut leases = Leases::default();
        leases.handle_address(Some(address(7)), at(0));
        leases.handle_claim(address(7), at(0));
        used(&mut leases, address(8), 3..20);
        assert_eq!((leases.tried, leases.name()), (0, ClientName(1)));
    }

    #[test]
    fn on_another_network_nothing_is_known() {
        let mut leases = Leases::default();
        leases.handle_address(Some(address(7)), at(0));
        leases.handle_claim(address(7), at(0));
        leases.handle_moved();
        assert!(!leases.clash(at(0)));
        leases.handle_claim(address(7), at(0));
        assert!(!leases.clash(at(0)), "nothing is used yet");
    }
}
