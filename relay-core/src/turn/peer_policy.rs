//! Whom a client may reach through the box.
//!
//! A relay that forwards anywhere is a door into what only the box can reach: its own services, its loopback,
//! its links. So a peer is another host, or the relayed address of another client, and nothing else.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why a peer is refused (403).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Denied {
    /// 127.0.0.0/8 and ::1.
    Loopback,
    /// 169.254.0.0/16 and fe80::/10.
    LinkLocal,
    /// 0.0.0.0/8 and ::.
    Unspecified,
    /// 224.0.0.0/4 and ff00::/8.
    Multicast,
    /// 255.255.255.255 and the rest of 240.0.0.0/4, which nobody has.
    Broadcast,
    /// An IPv6 address that stands for an IPv4 one: it would go round the IPv4 rules.
    Embedded,
    /// Named in [`PeerPolicy::denied`].
    Configured,
}

/// How much of an address may be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// All its ports.
    AnyPort,
    /// It is the box's own: relayed addresses of other clients only.
    Relayed,
}

/// The rules.
#[derive(Clone, Debug, Default)]
pub struct PeerPolicy {
    /// Addresses of the box itself. The driver keeps them up to date.
    pub own: Vec<IpAddr>,
    /// Further addresses that no client may reach.
    pub denied: Vec<IpAddr>,
    /// For tests on one machine only: lets clients reach every service on loopback.
    pub dangerous_allow_loopback_peers: bool,
}

impl PeerPolicy {
    /// How far `peer` may be reached, if at all.
    pub(super) fn reach(&self, peer: IpAddr) -> Result<Reach, Denied> {
        if self.dangerous_allow_loopback_peers && peer.is_loopback() {
            return Ok(Reach::AnyPort);
        }
        if self.denied.contains(&peer) {
            return Err(Denied::Configured);
        }
        if self.own.contains(&peer) {
            return Ok(Reach::Relayed);
        }
        let denied = match peer {
            IpAddr::V4(v4) => v4_denied(v4),
            IpAddr::V6(v6) => v6_denied(v6),
        };
        denied.map_or(Ok(Reach::AnyPort), Err)
    }
}

fn v4_denied(v4: Ipv4Addr) -> Option<Denied> {
    let [first, ..] = v4.octets();
    match first {
        0 => Some(Denied::Unspecified),
        127 => Some(Denied::Loopback),
        224..=239 => Some(Denied::Multicast),
        240..=255 => Some(Denied::Broadcast),
        _ if v4.is_link_local() => Some(Denied::LinkLocal),
        _ => None,
    }
}

fn v6_denied(v6: Ipv6Addr) -> Option<Denied> {
    if v6.is_unspecified() {
        return Some(Denied::Unspecified);
    }
    if v6.is_loopback() {
        return Some(Denied::Loopback);
    }
    match v6.segments() {
        // IPv4-compatible and -mapped (RFC 4291), translated (RFC 6052, RFC 8215), 6to4 (RFC 3056), Teredo.
        [0, 0, 0, 0, 0, 0 | 0xFFFF, _, _] | [0, 0, 0, 0, 0xFFFF, 0, _, _] => Some(Denied::Embedded),
        [0x64, 0xFF9B, ..] | [0x2002, ..] | [0x2001, 0, ..] => Some(Denied::Embedded),
        [first, ..] if first >= 0xFF00 => Some(Denied::Multicast),
        [first, ..] if first & 0xFFC0 == 0xFE80 => Some(Denied::LinkLocal),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(peer: &str) -> Result<Reach, Denied> {
        PeerPolicy::default().reach(peer.parse().unwrap())
    }

    #[test]
    fn the_edges_of_each_denied_range_are_denied_and_their_neighbours_are_not() {
        let denied = [
            ("0.0.0.0", Denied::Unspecified),
            ("0.255.255.255", Denied::Unspecified),
            ("127.0.0.1", Denied::Loopback),
            ("127.255.255.255", Denied::Loopback),
            ("169.254.0.0", Denied::LinkLocal),
            ("169.254.255.255", Denied::LinkLocal),
            ("224.0.0.0", Denied::Multicast),
            ("239.255.255.255", Denied::Multicast),
            ("240.0.0.0", Denied::Broadcast),
            ("255.255.255.255", Denied::Broadcast),
            ("::", Denied::Unspecified),
            ("::1", Denied::Loopback),
            ("::2", Denied::Embedded),
            ("::7f00:1", Denied::Embedded),
            ("::ffff:127.0.0.1", Denied::Embedded),
            ("::ffff:0:127.0.0.1", Denied::Embedded),
            ("::ffff:192.0.2.1", Denied::Embedded),
            ("64:ff9b::7f00:1", Denied::Embedded),
            ("64:ff9b:1::7f00:1", Denied::Embedded),
            ("2002:7f00:1::", Denied::Embedded),
            ("2001:0:1::", Denied::Embedded),
            ("fe80::", Denied::LinkLocal),
            ("febf:ffff::1", Denied::LinkLocal),
            ("ff00::", Denied::Multicast),
            ("ffff::1", Denied::Multicast),
        ];
        for (peer, why) in denied {
            assert_eq!(verdict(peer), Err(why), "{peer}");
        }
        let allowed = [
            "1.0.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "223.255.255.255",
            "10.0.0.1",
            "192.168.1.1",
            "2001:1::1",
            "2003::1",
            "fd00::1",
            "fe7f:ffff::1",
            "fec0::1",
            "2001:db8::1",
        ];
        for peer in allowed {
            assert_eq!(verdict(peer), Ok(Reach::AnyPort), "{peer}");
        }
    }

    #[test]
    fn the_box_itself_is_reached_at_relayed_addresses_only() {
        let own = ["10.0.0.1", "127.0.0.1", "fd00::1"].map(|ip| ip.parse().unwrap());
        let policy = PeerPolicy { own: own.to_vec(), ..PeerPolicy::default() };
        for ip in own {
            assert_eq!(policy.reach(ip), Ok(Reach::Relayed));
        }
        assert_eq!(policy.reach("10.0.0.2".parse().unwrap()), Ok(Reach::AnyPort));
        assert_eq!(policy.reach("127.0.0.2".parse().unwrap()), Err(Denied::Loopback));
    }

    #[test]
    fn configured_addresses_are_denied() {
        let policy = PeerPolicy { denied: vec!["10.9.9.9".parse().unwrap()], ..PeerPolicy::default() };
        assert_eq!(policy.reach("10.9.9.9".parse().unwrap()), Err(Denied::Configured));
    }

    #[test]
    fn loopback_is_reached_only_through_the_setting_that_says_how_dangerous_it_is() {
        let policy = PeerPolicy { dangerous_allow_loopback_peers: true, ..PeerPolicy::default() };
        assert_eq!(policy.reach("127.0.0.1".parse().unwrap()), Ok(Reach::AnyPort));
        assert_eq!(policy.reach("::1".parse().unwrap()), Ok(Reach::AnyPort));
        assert_eq!(policy.reach("169.254.0.1".parse().unwrap()), Err(Denied::LinkLocal));
    }
}
