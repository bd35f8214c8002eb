//! A network: an address and how many of its first bits count (RFC 4632, RFC 4291 section 2.3).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network whose host bits are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    net: IpAddr,
    bits: u8,
}

impl Prefix {
    /// The network that `address` lies in; `None` when there are not so many bits.
    #[must_use]
    pub fn around(address: IpAddr, bits: u8) -> Option<Self> {
        Some(Self { net: cut(address, bits)?, bits })
    }

    /// The network that an address of a bubble most likely lies in: a /24, or a /64 (RFC 4291 section 2.5.4).
    #[must_use]
    pub fn usual(address: IpAddr) -> Self {
        let bits = if address.is_ipv4() { 24 } else { 64 };
        Self::around(address, bits).unwrap_or(Self { net: address, bits })
    }

    /// Reads `10.77.0.0/24` or `fd00:77::/64`. `None` when it is no network, or when a host bit is set: whoever
    /// writes `10.77.0.1/24` may mean one address or all.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (net, bits) = text.split_once('/')?;
        let net: IpAddr = net.parse().ok()?;
        // The standard library takes "+24".
        let digits = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits = bits.parse().ok().filter(|_| digits)?;
        (cut(net, bits)? == net).then_some(Self { net, bits })
    }

    /// Whether `address` lies in it. An IPv4 address in its IPv6 form (RFC 4291 section 2.5.5.2) is taken for what
    /// it is.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        cut(address.to_canonical(), self.bits) == Some(self.net)
            && address.to_canonical().is_ipv4() == self.net.is_ipv4()
    }

    /// Its first address.
    #[must_use]
    pub const fn net(&self) -> IpAddr {
        self.net
    }

    /// How many bits count.
    #[must_use]
    pub const fn bits(&self) -> u8 {
        self.bits
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.net, self.bits)
    }
}

/// `address` with all but its first `bits` bits set to zero.
fn cut(address: IpAddr, bits: u8) -> Option<IpAddr> {
    let bits = u32::from(bits);
    match address {
        IpAddr::V4(v4) => {
            let host = 32_u32.checked_sub(bits)?;
            let mask = u32::MAX.checked_shl(host).unwrap_or(0);
            Some(Ipv4Addr::from_bits(v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let host = 128_u32.checked_sub(bits)?;
            let mask = u128::MAX.checked_shl(host).unwrap_or(0);
            Some(Ipv6Addr::from_bits(v6.to_bits() & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_network_is_written_as_it_is_read() {
        for text in ["10.77.0.0/24", "0.0.0.0/0", "192.0.2.7/32", "fd00:77::/64", "::/0", "fd00::1/128"] {
            assert_eq!(Prefix::parse(text).map(|prefix| prefix.to_string()).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in
            ["", "/", "10.0.0.0", "10.0.0.0/33", "::/129", "10.77.0.1/24", "fd00::1/64", "10.0.0.0/+8", "a/8"]
        {
            assert_eq!(Prefix::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        let prefix = Prefix::parse("10.77.0.0/24").expect("a network");
        assert!(prefix.contains(ip("10.77.0.255")) && prefix.contains(ip("::ffff:10.77.0.1")));
        assert!(!prefix.contains(ip("10.77.1.0")) && !prefix.contains(ip("::a4d:1")));
        assert!(!Prefix::parse("::/0").expect("a network").contains(ip("10.0.0.1")));
        assert_eq!(Prefix::usual(ip("fd00:77::1")).to_string(), "fd00:77::/64");
    }

    proptest! {
        #[test]
        fn every_address_lies_in_every_network_around_it(bits: u128, long in 0_u8..=128) {
            let v6 = IpAddr::V6(Ipv6Addr::from_bits(bits | 1 << 127));
            prop_assert!(Prefix::around(v6, long).is_some_and(|prefix| prefix.contains(v6)));
            let v4 = IpAddr::V4(Ipv4Addr::from_bits((bits & 0xffff_ffff) as u32));
            let around = Prefix::around(v4, long);
            prop_assert_eq!(around.is_some(), long <= 32);
            prop_assert!(around.is_none_or(|prefix| prefix.contains(v4)));
        }
    }
}
