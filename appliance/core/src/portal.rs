//! What devices are told that ask whether there is an Internet, and the sign-in window that some open.
//!
//! Phones ask a host of their maker over plain HTTP whenever they join a network ([`probes`]). Our name server leads
//! them here, and the operator chooses what they hear: that all is well, nothing, or that a page wants to be seen
//! first (the captive portal of RFC 8952).
//! Not here: what they ask over HTTPS, which nobody but their makers can answer.
//! Invariant: which devices have seen the page is known by address, in memory, for a while, and is shown to nobody.

pub mod probes;

use crate::settings::Probes;
use base::{Instant, Private};
use probes::Answer;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// Devices that are remembered.
pub const MOST_DEVICES: usize = 1024;
/// A device that was shown the page is let go after so long, whether or not somebody pressed anything.
pub const LET_GO_AFTER: Duration = Duration::from_secs(60);
/// How long a device that was let go is not shown the page again.
pub const FREE_FOR: Duration = Duration::from_secs(12 * 3600);

/// What to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is for this box itself.
    NotAProbe,
    /// Say this.
    Answer(&'static Answer),
    /// Lead it to the page.
    Show,
    /// It is for a host that we stand in for, and asks for something that we do not have.
    Nothing,
}

/// Knows who has seen the page.
pub struct Portal {
    probes: Probes,
    /// When each device was shown the page, or was let go. At most [`MOST_DEVICES`].
    devices: HashMap<Private<IpAddr>, Device>,
}

#[derive(Clone, Copy)]
enum Device {
    Shown { since: Instant },
    Free { since: Instant },
}

impl Device {
    /// When it is as if it had never been here.
    fn forgotten_at(self) -> Instant {
        match self {
            Self::Shown { since } => since + LET_GO_AFTER + FREE_FOR,
            Self::Free { since } => since + FREE_FOR,
        }
    }

    fn is_free(self, now: Instant) -> bool {
        match self {
            Self::Shown { since } => now >= since + LET_GO_AFTER,
            Self::Free { .. } => true,
        }
    }
}

impl Portal {
    /// Tells devices that.
    #[must_use]
    pub fn new(probes: Probes) -> Self {
        Self { probes, devices: HashMap::new() }
    }

    /// From now on it tells them that.
    pub fn handle_settings(&mut self, probes: Probes) {
        if self.probes != probes {
            self.probes = probes;
            self.devices.clear();
        }
    }

    /// What devices are told.
    #[must_use]
    pub const fn probes(&self) -> Probes {
        self.probes
    }

    /// Devices that have seen the page.
    #[must_use]
    pub fn devices(&self) -> usize {
        self.devices.len()
    }

    /// Forgets who has seen the page.
    pub fn forget(&mut self) {
        self.devices = HashMap::new();
    }

    /// A device at `from` asks `host`, in lower case and without a port, for `path`.
    pub fn handle_request(&mut self, host: &str, path: &str, from: IpAddr, now: Instant) -> Verdict {
        let Some(probe) = probes::find(host) else { return Verdict::NotAProbe };
        if self.probes == Probes::Portal && self.show(from, now) {
            return Verdict::Show;
        }
        let known = match self.probes {
            Probes::Offline => None,
            Probes::Online | Probes::Portal => probe.answer(path),
        };
        known.map_or(Verdict::Nothing, Verdict::Answer)
    }

    /// Somebody at `from` has read the page and goes on.
    pub fn handle_go_on(&mut self, from: IpAddr, now: Instant) {
        if self.probes == Probes::Portal {
            self.remember(from, Device::Free { since: now }, now);
        }
    }

    /// Whether the device at `from` still has to see the page.
    #[must_use]
    pub fn is_captive(&self, from: IpAddr, now: Instant) -> bool {
        self.probes == Probes::Portal && !self.device(from, now).is_some_and(|device| device.is_free(now))
    }

    /// Whether the device has to be shown the page now; it is noted that it was.
    fn show(&mut self, from: IpAddr, now: Instant) -> bool {
        match self.device(from, now) {
            Some(device) => !device.is_free(now),
            None => {
                self.remember(from, Device::Shown { since: now }, now);
                true
            }
        }
    }

    fn device(&self, from: IpAddr, now: Instant) -> Option<Device> {
        let device = self.devices.get(&Private::new(from.to_canonical())).copied();
        device.filter(|device| now < device.forgotten_at())
    }

    fn remember(&mut self, from: IpAddr, device: Device, now: Instant) {
        let from = Private::new(from.to_canonical());
        if self.devices.len() >= MOST_DEVICES && !self.devices.contains_key(&from) {
            self.devices.retain(|_, device| now < device.forgotten_at());
            if self.devices.len() >= MOST_DEVICES {
                // Whoever is forgotten sees the page once more, which harms less than never seeing it.
                let first = self.devices.iter().min_by_key(|(_, device)| device.forgotten_at());
                first.map(|(from, _)| *from).and_then(|first| self.devices.remove(&first));
            }
        }
        self.devices.insert(from, device);
    }
}

impl fmt::Debug for Portal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let devices = self.devices.len();
        f.debug_struct("Portal").field("probes", &self.probes).field("devices", &devices).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APPLE: (&str, &str) = ("captive.apple.com", "/hotspot-detect.html");

    fn phone(last: u8) -> IpAddr {
        [10, 77, 0, last].into()
    }

    fn ask(portal: &mut Portal, last: u8, now: Instant) -> Verdict {
        portal.handle_request(APPLE.0, APPLE.1, phone(last), now)
    }

    fn is_success(verdict: Verdict) -> bool {
        matches!(verdict, Verdict::Answer(answer) if answer.body.contains("Success"))
    }

    #[test]
    fn online_every_device_hears_what_it_expects() {
        let mut portal = Portal::new(Probes::Online);
        assert!(is_success(ask(&mut portal, 1, Instant::ZERO)));
        assert!(!portal.is_captive(phone(1), Instant::ZERO));
        let other = portal.handle_request("captive.apple.com", "/favicon.ico", phone(1), Instant::ZERO);
        assert_eq!(other, Verdict::Nothing);
    }

    #[test]
    fn offline_no_device_hears_anything() {
        let mut portal = Portal::new(Probes::Offline);
        assert_eq!(ask(&mut portal, 1, Instant::ZERO), Verdict::Nothing);
        assert!(!portal.is_captive(phone(1), Instant::ZERO));
    }

    #[test]
    fn a_request_for_this_box_is_no_probe() {
        for probes in Probes::ALL {
            let mut portal = Portal::new(probes);
            assert_eq!(
                portal.handle_request("bulle.internal", "/", phone(1), Instant::ZERO),
                Verdict::NotAProbe
            );
        }
    }

    #[test]
    fn a_device_sees_the_page_until_somebody_goes_on_and_then_for_hours_not() {
        let mut portal = Portal::new(Probes::Portal);
        let now = Instant::ZERO;
        assert_eq!(ask(&mut portal, 1, now), Verdict::Show);
        assert_eq!(ask(&mut portal, 1, now), Verdict::Show);
        assert!(portal.is_captive(phone(1), now));
        portal.handle_go_on(phone(1), now);
        assert!(is_success(ask(&mut portal, 1, now)) && !portal.is_captive(phone(1), now));
        // The same device over IPv6 sockets that carry IPv4.
        let mapped = "::ffff:10.77.0.1".parse().expect("an address");
        assert!(!portal.is_captive(mapped, now));
        assert_eq!(ask(&mut portal, 2, now), Verdict::Show, "another device");
        assert_eq!(ask(&mut portal, 1, now + FREE_FOR), Verdict::Show, "the next day");
    }

    #[test]
    fn a_device_that_presses_nothing_is_let_go_after_a_minute() {
        let mut portal = Portal::new(Probes::Portal);
        assert_eq!(ask(&mut portal, 1, Instant::ZERO), Verdict::Show);
        assert!(is_success(ask(&mut portal, 1, Instant::ZERO + LET_GO_AFTER)));
    }

    #[test]
    fn other_settings_forget_who_was_here() {
        let mut portal = Portal::new(Probes::Portal);
        portal.handle_go_on(phone(1), Instant::ZERO);
        portal.handle_settings(Probes::Portal);
        assert!(!portal.is_captive(phone(1), Instant::ZERO));
        portal.handle_settings(Probes::Online);
        portal.handle_settings(Probes::Portal);
        assert!(portal.is_captive(phone(1), Instant::ZERO));
        portal.handle_settings(Probes::Offline);
        portal.handle_go_on(phone(1), Instant::ZERO);
        assert_eq!(portal.devices.len(), 0);
    }

    #[test]
    fn no_more_devices_are_remembered_than_the_limit_and_the_oldest_goes_first() {
        let mut portal = Portal::new(Probes::Portal);
        let device = |i: usize| IpAddr::from((0x0a4d_0000 + u32::try_from(i).expect("small")).to_be_bytes());
        for i in 0..=MOST_DEVICES {
            let now = Instant::from_millis(u64::try_from(i).expect("small"));
            portal.handle_go_on(device(i), now);
            assert!(portal.devices.len() <= MOST_DEVICES);
        }
        let now = Instant::from_millis(5000);
        assert!(portal.is_captive(device(0), now) && !portal.is_captive(device(1), now));
        assert_eq!(format!("{portal:?}"), "Portal { probes: Portal, devices: 1024 }");
    }
}
