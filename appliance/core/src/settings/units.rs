//! Sizes, times and port ranges as people write them: a number, a space, a unit.

use super::PortRange;
use std::ops::RangeInclusive;
use std::time::Duration;

/// From 1 Mbit/s to 1000 Gbit/s, in bytes per second.
const RATES: RangeInclusive<u64> = 125_000..=125_000_000_000;

/// `64 MiB`.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let shift = match unit {
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

/// `90 s`, `5 min`, `24 h`.
pub(super) fn time(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let seconds = match unit {
        "s" => 1,
        "min" => 60,
        "h" => 3600,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// `80 Mbit/s`, as bytes per second.
pub(super) fn rate(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let bytes = match unit {
        "Mbit/s" => 1_000_000 / 8,
        "Gbit/s" => 1_000_000_000 / 8,
        _ => return None,
    };
    number.checked_mul(bytes).filter(|rate| RATES.contains(rate))
}

/// `61000-65535`.
pub(super) fn ports(text: &str) -> Option<PortRange> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (1024 <= first && first <= last).then_some(PortRange { first, last })
}

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_need_their_unit() {
        assert_eq!(size("64 MiB"), Some(64 << 20));
        assert_eq!(size("1GiB"), Some(1 << 30));
        assert_eq!(time("5 min"), Some(Duration::from_secs(300)));
        for wrong in ["", "64", "MiB", "64 MB", "-1 MiB", "99999999999999999999 GiB", "9999999999999999 GiB"]
        {
            assert_eq!(size(wrong), None, "{wrong}");
        }
        for wrong in ["", "s", "5", "5 m", "1.5 h", "18446744073709551615 h"] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn rates_are_in_bits_and_come_out_in_bytes() {
        assert_eq!(rate("80 Mbit/s"), Some(10_000_000));
        assert_eq!(rate("1Gbit/s"), Some(125_000_000));
        assert_eq!(rate("1000 Gbit/s"), Some(125_000_000_000));
        for wrong in
            ["", "80", "80 MB/s", "80 Mbit", "0 Mbit/s", "1001 Gbit/s", "18446744073709551615 Gbit/s"]
        {
            assert_eq!(rate(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_port_range_goes_up_and_stays_out_of_the_privileged_ports() {
        assert_eq!(ports("1024-1024"), Some(PortRange { first: 1024, last: 1024 }));
        for wrong in ["", "1-2", "5000-4000", "5000", "5000-70000"] {
            assert_eq!(ports(wrong), None, "{wrong}");
        }
    }
}
