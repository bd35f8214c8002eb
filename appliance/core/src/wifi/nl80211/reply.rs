//! What the kernel answers, except for radios, which have a file of their own.

use super::{Attributes, Frame};
use crate::wifi::decide::Survey;
use crate::wifi::facts::{Interface, MOST_CHANNELS};
use crate::wifi::{Country, Ssid};

/// Names of interfaces have at most so many characters.
pub(super) const MOST_NAME: usize = 15;

/// The family `nl80211`, as the kernel numbers it since its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// Its number.
    pub id: u16,
    /// The group that hears of finished scans, where there is one.
    pub scan_group: Option<u32>,
}

/// Reads the answer to [`Request::Family`](super::Request::Family).
#[must_use]
pub fn family(frame: &Frame<'_>) -> Option<Family> {
    let attributes = frame.attributes();
    let group = |group: Attributes<'_>| {
        (group.get(1)?.name(MOST_NAME)? == "scan")
            .then(|| group.get(2).and_then(super::message::Value::u32))?
    };
    let groups = attributes.get(7).map(super::message::Value::nested);
    Some(Family {
        id: attributes.get(1)?.u16()?,
        scan_group: groups.and_then(|groups| groups.into_iter().find_map(|(_, value)| group(value.nested()))),
    })
}

/// What an interface is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carrier {
    /// Which.
    pub interface: Interface,
    /// Its radio.
    pub phy: u32,
    /// It is an access point.
    pub access_point: bool,
    /// The frequency in MHz on which it sends; an access point that does not send has none.
    pub frequency: Option<u32>,
}

/// Reads one answer to [`Request::Interfaces`](super::Request::Interfaces) or
/// [`Request::Interface`](super::Request::Interface).
#[must_use]
pub fn carrier(frame: &Frame<'_>) -> Option<Carrier> {
    let attributes = frame.attributes();
    Some(Carrier {
        interface: Interface {
            index: attributes.get(3)?.u32()?,
            name: attributes.get(4)?.name(MOST_NAME)?.to_owned(),
        },
        phy: attributes.get(1)?.u32()?,
        access_point: attributes.get(5)?.u32()? == 3,
        frequency: attributes.get(38).and_then(super::message::Value::u32).filter(|mhz| *mhz != 0),
    })
}

/// Reads the answer to [`Request::Domain`](super::Request::Domain); `None` is the world's domain.
#[must_use]
pub fn domain(frame: &Frame<'_>) -> Option<Country> {
    Country::new(frame.attributes().get(33)?.name(2)?)
}

/// One network that was heard: where, not whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bss {
    /// In MHz.
    pub frequency: u16,
    /// Phones would take it for ours.
    pub named_as_ours: bool,
}

/// Reads one answer to [`Request::Networks`](super::Request::Networks). Of its name nothing is kept but whether it is
/// `ours`. What was heard longer than `since` milliseconds ago is left out: it may be our own, of before.
#[must_use]
pub fn networks(frame: &Frame<'_>, ours: &Ssid, since: u32) -> Option<Bss> {
    let bss = frame.attributes().get(47)?.nested();
    if bss.get(10).and_then(super::message::Value::u32).is_some_and(|ago| ago > since) {
        return None;
    }
    // Of the last answer or beacon, and of the last beacon; not every network has both.
    let elements = [6, 11].into_iter().filter_map(|kind| bss.get(kind)).map(super::message::Value::bytes);
    let named_as_ours = elements.filter_map(name_in).any(|name| name == ours.expose().as_bytes());
    Some(Bss { frequency: u16::try_from(bss.get(2)?.u32()?).ok()?, named_as_ours })
}

/// The name among a network's elements (IEEE 802.11, 9.4.2.1 and 9.4.2.2).
fn name_in(mut elements: &[u8]) -> Option<&[u8]> {
    while let [id, length, rest @ ..] = elements {
        let (value, after) = rest.split_at_checked(usize::from(*length))?;
        if *id == 0 {
            return Some(value);
        }
        elements = after;
    }
    None
}

/// Reads one answer to [`Request::Survey`](super::Request::Survey) into `surveys`; full means that it is
/// left out.
pub fn survey(frame: &Frame<'_>, surveys: &mut Vec<Survey>) {
    let Some(info) = frame.attributes().get(84).map(super::message::Value::nested) else { return };
    let Some(frequency) =
        info.get(1).and_then(super::message::Value::u32).and_then(|mhz| u16::try_from(mhz).ok())
    else {
        return;
    };
    let time = |kind| info.get(kind).and_then(super::message::Value::u64);
    let busy = time(4)
        .zip(time(5))
        .filter(|(time, _)| *time > 0)
        .map(|(time, busy)| u16::try_from(busy.min(time).saturating_mul(1000) / time).unwrap_or(1000));
    if surveys.len() < MOST_CHANNELS && !surveys.iter().any(|other| other.frequency == frequency) {
        surveys.push(Survey { frequency, busy, networks: 0 });
    }
}
