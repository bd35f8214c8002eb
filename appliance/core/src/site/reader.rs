//! From TOML text to [`Site`], with a line for everything that does not fit.

use super::{Fixed, KEYS, LONGEST_FILE_NAME, Lan, ModeWish, Site, TlsFiles};
use crate::prefix::Prefix;
use crate::settings::SettingsError;
use crate::settings::reader::{self, Reader};
use crate::wifi::{BandWish, ChannelWish, Country, Policy, SecurityWish, Ssid};
use std::net::IpAddr;
use toml::de::{DeTable, DeValue};

pub(super) fn read(text: &str) -> Result<Site, SettingsError> {
    Reader::read(text, KEYS, site)
}

fn site(reader: &mut Reader<'_>, root: &DeTable<'_>) -> Site {
    let defaults = Policy::default();
    let wifi = Policy {
        country: reader.take(root, "", "country", |value| Country::new(value.as_str()?)),
        band: reader.take(root, "wifi", "band", band).unwrap_or_default(),
        channel: reader.take(root, "wifi", "channel", channel).unwrap_or_default(),
        security: reader.take(root, "wifi", "security", security).unwrap_or_default(),
        isolation: reader.take(root, "wifi", "isolation", boolean).unwrap_or(defaults.isolation),
        stations: reader.take(root, "wifi", "stations", |value| integer(value, 1..=2000)),
    };
    Site {
        name: reader.take(root, "", "name", ssid),
        mode: reader.take(root, "", "mode", mode).unwrap_or_default(),
        wifi,
        ssid: reader.take(root, "wifi", "ssid", ssid),
        probes: reader.take(root, "wifi", "probes", reader::probes),
        lan: lan(reader, root),
        tls: tls(reader, root),
        log_level: reader.take(root, "log", "level", reader::level),
    }
}

fn lan(reader: &mut Reader<'_>, root: &DeTable<'_>) -> Lan {
    let interface = reader.take(root, "lan", "interface", interface);
    let address = reader.take(root, "lan", "address", address).flatten();
    let gateway = reader.take(root, "lan", "gateway", ip);
    let dns = reader.take(root, "lan", "dns", ips).unwrap_or_default();
    let ntp = reader.take(root, "lan", "ntp", ips).unwrap_or_default();
    if address.is_none() {
        for (name, given) in [("gateway", gateway.is_some()), ("dns", !dns.is_empty())] {
            if given {
                let expected =
                    format!("`lan.address` beside it: with DHCP, `lan.{name}` comes from the router");
                reader.refuse(root, "lan", name, expected);
            }
        }
    }
    if let (Some((_, prefix)), Some(gateway)) = (address, gateway)
        && !prefix.contains(gateway)
    {
        reader.refuse(root, "lan", "gateway", format!("an address within {prefix}, as `lan.address` says"));
    }
    let fixed = address.map(|(address, prefix)| Fixed { address, prefix, gateway, dns });
    Lan { interface, fixed, ntp }
}

fn tls(reader: &mut Reader<'_>, root: &DeTable<'_>) -> Option<TlsFiles> {
    let certificate = reader.take(root, "tls", "certificate", file);
    let key = reader.take(root, "tls", "key", file);
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
        (Some(_), None) => {
            reader.refuse(root, "tls", "certificate", "`tls.key` beside it".to_owned());
            None
        }
        (None, Some(_)) => {
            reader.refuse(root, "tls", "key", "`tls.certificate` beside it".to_owned());
            None
        }
        (None, None) => None,
    }
}

fn ssid(value: &DeValue<'_>) -> Option<Ssid> {
    Ssid::new(value.as_str()?).ok()
}

fn mode(value: &DeValue<'_>) -> Option<ModeWish> {
    match value.as_str()? {
        "auto" => Some(ModeWish::Auto),
        "wifi" => Some(ModeWish::Wifi),
        "lan" => Some(ModeWish::Lan),
        _ => None,
    }
}

fn band(value: &DeValue<'_>) -> Option<BandWish> {
    match value.as_str()? {
        "auto" => Some(BandWish::Auto),
        "2.4" => Some(BandWish::Band2),
        "5" => Some(BandWish::Band5),
        _ => None,
    }
}

fn channel(value: &DeValue<'_>) -> Option<ChannelWish> {
    if value.as_str() == Some("auto") {
        return Some(ChannelWish::Auto);
    }
    integer(value, 1..=177).and_then(|number| u8::try_from(number).ok()).map(ChannelWish::Number)
}

fn security(value: &DeValue<'_>) -> Option<SecurityWish> {
    match value.as_str()? {
        "auto" => Some(SecurityWish::Auto),
        "wpa3" => Some(SecurityWish::Wpa3),
        "wpa2+wpa3" => Some(SecurityWish::Wpa2AndWpa3),
        "wpa2" => Some(SecurityWish::Wpa2),
        _ => None,
    }
}

fn boolean(value: &DeValue<'_>) -> Option<bool> {
    value.as_bool()
}

fn integer(value: &DeValue<'_>, range: std::ops::RangeInclusive<u16>) -> Option<u16> {
    let integer = value.as_integer()?;
    let number = u16::from_str_radix(integer.as_str(), integer.radix()).ok()?;
    range.contains(&number).then_some(number)
}

fn interface(value: &DeValue<'_>) -> Option<String> {
    reader::interface(value.as_str()?).filter(|name| name != "lo")
}

/// `Some(None)` is "dhcp".
#[expect(clippy::option_option, reason = "the outer one says whether the value fits")]
fn address(value: &DeValue<'_>) -> Option<Option<(IpAddr, Prefix)>> {
    let text = value.as_str()?;
    if text == "dhcp" {
        return Some(None);
    }
    let (address, bits) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let bits: u8 = bits.parse().ok().filter(|_| bits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let prefix = Prefix::around(address, bits)?;
    let host_bits = if address.is_ipv4() { 32 } else { 128 } - u32::from(bits);
    let usable = usable(address) && bits >= 8 && (host_bits < 2 || address != prefix.net());
    usable.then_some(Some((address, prefix)))
}

/// An address that a machine can have.
fn usable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            !(v4.is_unspecified() || v4.is_loopback() || v4.is_multicast() || v4.is_broadcast())
        }
        IpAddr::V6(v6) => !(v6.is_unspecified() || v6.is_loopback() || v6.is_multicast()),
    }
}

fn ip(value: &DeValue<'_>) -> Option<IpAddr> {
    value.as_str()?.parse().ok().filter(|address| usable(*address))
}

fn ips(value: &DeValue<'_>) -> Option<Vec<IpAddr>> {
    reader::texts(value, |text| text.parse().ok().filter(|address| usable(*address)))
}

/// A file beside `bulle.toml`: no path, so that nothing else of the box can be named.
fn file(value: &DeValue<'_>) -> Option<String> {
    let name = value.as_str()?;
    let plain = !name.starts_with('.') && !name.contains(['/', '\\']) && !name.chars().any(char::is_control);
    ((1..=LONGEST_FILE_NAME).contains(&name.len()) && plain).then(|| name.to_owned())
}
