//! An address that the router of the cable's network gives, and that another machine has already.
//!
//! networkd does not take such an address (RFC 5227), and then goes on asking whether it is free (known there up to
//! version 257). So the box takes another name with the router, which gets another address for it, and keeps the lease
//! of the first, so that nobody gets that address meanwhile.
//! Not here: asking networkd, or telling it.
//! Invariant: a name is changed at most [`MOST_NAMES`] times in a row without an address that can be used, and not
//! sooner than [`CLASH_LASTS`] after the last change.

use base::Instant;
use std::net::IpAddr;
use std::time::Duration;

/// Longer than it takes to ask whether an address is free: RFC 5227 asks for up to seven seconds.
pub const CLASH_LASTS: Duration = Duration::from_secs(12);
/// Names that are tried one after the other; what helps neither then is not a matter of names.
pub const MOST_NAMES: u8 = 8;

/// Which name the box has with the router: the first is its hardware address, others are made from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientName(pub u8);

/// Watches the lease of the cable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leases {
    name: ClientName,
    /// Names that were taken since an address could be used.
    tried: u8,
    /// The address that was given and is not ours, and since when.
    missing: Option<(IpAddr, Instant)>,
    clash: bool,
}

impl Leases {
    /// The router gives `leased`, if anything, and these addresses are ours.
    pub fn handle_lease(&mut self, leased: Option<IpAddr>, ours: &[IpAddr], now: Instant) {
        let Some(leased) = leased.filter(|leased| !ours.contains(leased)) else {
            // Without any lease nothing is known of a clash, and nothing of its end.
            if leased.is_some() {
                (self.tried, self.clash) = (0, false);
            }
            self.missing = None;
            return;
        };
        let since = self.missing.filter(|(before, _)| *before == leased).map_or(now, |(_, since)| since);
        self.missing = Some((leased, since));
        if now < since + CLASH_LASTS {
            return;
        }
        self.clash = true;
        if self.tried < MOST_NAMES {
            self.tried += 1;
            self.name = ClientName(self.name.0.wrapping_add(1));
            self.missing = Some((leased, now));
        }
    }

    /// Another socket, another network.
    pub const fn handle_moved(&mut self) {
        (self.tried, self.missing, self.clash) = (0, None, false);
    }

    /// The name to use.
    #[must_use]
    pub const fn name(&self) -> ClientName {
        self.name
    }

    /// Whether the address that was given is another machine's, and no other was given yet.
    #[must_use]
    pub const fn clash(&self) -> bool {
        self.clash
    }
}

/// The address in a lease file of networkd.
#[must_use]
pub fn leased(file: &[u8]) -> Option<IpAddr> {
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

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
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
    fn an_address_that_comes_within_its_time_is_no_clash() {
        let mut leases = Leases::default();
        leases.handle_lease(Some(address(7)), &[], at(0));
        leases.handle_lease(Some(address(7)), &[], at(11));
        leases.handle_lease(Some(address(7)), &[address(7)], at(12));
        leases.handle_lease(Some(address(7)), &[], at(20));
        assert_eq!((leases.name(), leases.clash()), (ClientName(0), false));
    }

    #[test]
    fn an_address_that_does_not_come_is_anothers_and_another_name_gets_another_address() {
        let mut leases = Leases::default();
        leases.handle_lease(Some(address(7)), &[], at(0));
        leases.handle_lease(Some(address(7)), &[], at(12));
        assert_eq!((leases.name(), leases.clash()), (ClientName(1), true));
        // Nothing yet, and then another one.
        leases.handle_lease(None, &[], at(13));
        leases.handle_lease(Some(address(8)), &[], at(14));
        assert!(leases.clash(), "it is not over before there is an address");
        leases.handle_lease(Some(address(8)), &[address(8)], at(20));
        assert_eq!((leases.name(), leases.clash()), (ClientName(1), false), "the name that helped is kept");
    }

    #[test]
    fn names_are_tried_in_bounded_number_and_not_in_haste() {
        let mut leases = Leases::default();
        let mut changes = Vec::new();
        for second in 0..600 {
            let before = leases.name();
            leases.handle_lease(Some(address(7)), &[], at(second));
            if leases.name() != before {
                changes.push(second);
            }
        }
        assert_eq!(changes.len(), usize::from(MOST_NAMES));
        assert!(changes.windows(2).all(|pair| pair[1] - pair[0] >= 12), "{changes:?}");
        assert!(leases.clash());
        leases.handle_moved();
        assert!(!leases.clash());
        leases.handle_lease(Some(address(7)), &[], at(600));
        leases.handle_lease(Some(address(7)), &[], at(612));
        assert_eq!(leases.name(), ClientName(MOST_NAMES + 1), "another network, other luck");
    }
}
