//! Where devices look for the Internet, and what they expect to find there.
//!
//! Names that people visit by themselves are left out (`www.google.com`, `www.apple.com`): led here, they would end
//! in a warning about a certificate instead of a quick "no such site".

use std::net::{Ipv4Addr, Ipv6Addr};

/// One name that devices ask for.
#[derive(Debug)]
pub struct ProbeName {
    /// In lower case.
    pub name: &'static str,
    /// What it must resolve to, where not the answer to a request counts but the address itself.
    pub fixed: Option<(Ipv4Addr, Ipv6Addr)>,
    pages: &'static [(&'static str, Answer)],
}

impl ProbeName {
    /// What is expected at `path`.
    #[must_use]
    pub fn answer(&self, path: &str) -> Option<&'static Answer> {
        self.pages.iter().find(|(known, _)| *known == path).map(|(_, answer)| answer)
    }
}

/// What a device takes for the Internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 200, or 204 where there is no body.
    pub status: u16,
    /// Of the body.
    pub content_type: Option<&'static str>,
    /// A header that counts.
    pub header: Option<(&'static str, &'static str)>,
    /// To the letter.
    pub body: &'static str,
}

const NOTHING: Answer = Answer { status: 204, content_type: None, header: None, body: "" };

const fn text(body: &'static str) -> Answer {
    Answer { status: 200, content_type: Some("text/plain"), header: None, body }
}

const fn html(body: &'static str) -> Answer {
    Answer { status: 200, content_type: Some("text/html"), header: None, body }
}

/// NetworkManager believes the header first, and else the beginning of the body.
const fn manager(body: &'static str) -> Answer {
    Answer { header: Some(("x-networkmanager-status", "online")), ..text(body) }
}

/// Android, Chrome OS, and most who build on them.
const NO_CONTENT: &[(&str, Answer)] = &[("/generate_204", NOTHING), ("/gen_204", NOTHING)];

const SUCCESS: Answer = html("<HTML><HEAD><TITLE>Success</TITLE></HEAD><BODY>Success</BODY></HTML>");
const APPLE: &[(&str, Answer)] =
    &[("/hotspot-detect.html", SUCCESS), ("/library/test/success.html", SUCCESS), ("/", SUCCESS)];

const WINDOWS: &[(&str, Answer)] =
    &[("/connecttest.txt", text("Microsoft Connect Test")), ("/ncsi.txt", text("Microsoft NCSI"))];
/// What Windows wants `dns.msftncsi.com` to be.
const WINDOWS_DNS: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(131, 107, 255, 255), Ipv6Addr::new(0xfd3e, 0x4f5a, 0x5b81, 0, 0, 0, 0, 1));

const FIREFOX: &[(&str, Answer)] = &[
    ("/success.txt", text("success\n")),
    (
        "/canonical.html",
        html(
            "<meta http-equiv=\"refresh\" content=\"0;url=https://support.mozilla.org/kb/captive-portal\"/>",
        ),
    ),
];

const IS_ONLINE: Answer = manager("NetworkManager is online\n");
const LINUX: &[(&str, Answer)] = &[
    ("/", IS_ONLINE),
    ("/check_network_status.txt", IS_ONLINE),
    ("/nm", IS_ONLINE),
    ("/nm-check.txt", IS_ONLINE),
];
const LINUX_OK: &[(&str, Answer)] = &[("/", manager("OK\n")), ("/static/hotspot.txt", manager("OK\n"))];

const fn probe(name: &'static str, pages: &'static [(&'static str, Answer)]) -> ProbeName {
    ProbeName { name, fixed: None, pages }
}

/// All of them.
pub const NAMES: &[ProbeName] = &[
    // Android and Chrome.
    probe("connectivitycheck.gstatic.com", NO_CONTENT),
    probe("connectivitycheck.android.com", NO_CONTENT),
    probe("clients3.google.com", NO_CONTENT),
    probe("play.googleapis.com", NO_CONTENT),
    probe("www.gstatic.com", NO_CONTENT),
    probe("connectivitycheck.grapheneos.network", NO_CONTENT),
    // Makers of phones with a check of their own.
    probe("connectivitycheck.samsung.com", NO_CONTENT),
    probe("connectivitycheck.platform.hicloud.com", NO_CONTENT),
    probe("connectivitycheck.cbg-app.huawei.com", NO_CONTENT),
    probe("connect.rom.miui.com", NO_CONTENT),
    probe("conn1.coloros.com", NO_CONTENT),
    probe("conn2.coloros.com", NO_CONTENT),
    probe("wifi.vivo.com.cn", NO_CONTENT),
    probe("fireoscaptiveportal.com", NO_CONTENT),
    // Apple, of today and of the years before.
    probe("captive.apple.com", APPLE),
    probe("gsp1.apple.com", APPLE),
    probe("www.appleiphonecell.com", APPLE),
    probe("www.airport.us", APPLE),
    probe("www.ibook.info", APPLE),
    probe("www.itools.info", APPLE),
    probe("www.thinkdifferent.us", APPLE),
    // Windows.
    probe("www.msftconnecttest.com", WINDOWS),
    probe("ipv6.msftconnecttest.com", WINDOWS),
    probe("www.msftncsi.com", WINDOWS),
    probe("ipv6.msftncsi.com", WINDOWS),
    ProbeName { name: "dns.msftncsi.com", fixed: Some(WINDOWS_DNS), pages: &[] },
    // Firefox, wherever it runs.
    probe("detectportal.firefox.com", FIREFOX),
    // Linux desktops.
    probe("connectivity-check.ubuntu.com", LINUX),
    probe("nmcheck.gnome.org", LINUX),
    probe("network-test.debian.org", LINUX),
    probe("ping.archlinux.org", LINUX),
    probe("conncheck.opensuse.org", LINUX),
    probe("fedoraproject.org", LINUX_OK),
    probe("networkcheck.kde.org", LINUX_OK),
];

/// The probe of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static ProbeName> {
    NAMES.iter().find(|probe| probe.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::DnsName;
    use std::collections::BTreeSet;

    #[test]
    fn every_probe_is_a_host_and_stands_once() {
        let names: BTreeSet<&str> = NAMES.iter().map(|probe| probe.name).collect();
        assert_eq!(names.len(), NAMES.len());
        for probe in NAMES {
            assert_eq!(DnsName::parse(probe.name).as_ref().map(DnsName::as_str), Some(probe.name));
            assert!(
                probe.fixed.is_some()
                    != probe.answer(probe.pages.first().map_or("", |page| page.0)).is_some()
            );
        }
    }

    #[test]
    fn each_system_finds_what_it_compares_with() {
        let body = |host: &str, path: &str| {
            find(host).and_then(|probe| probe.answer(path)).map(|answer| (answer.status, answer.body))
        };
        assert_eq!(body("connectivitycheck.gstatic.com", "/generate_204"), Some((204, "")));
        let apple = "<HTML><HEAD><TITLE>Success</TITLE></HEAD><BODY>Success</BODY></HTML>";
        assert_eq!(body("captive.apple.com", "/hotspot-detect.html"), Some((200, apple)));
        assert_eq!(
            body("www.msftconnecttest.com", "/connecttest.txt"),
            Some((200, "Microsoft Connect Test"))
        );
        assert_eq!(body("www.msftncsi.com", "/ncsi.txt"), Some((200, "Microsoft NCSI")));
        assert_eq!(body("detectportal.firefox.com", "/success.txt"), Some((200, "success\n")));
        assert_eq!(
            body("nmcheck.gnome.org", "/check_network_status.txt"),
            Some((200, "NetworkManager is online\n"))
        );
        assert_eq!(body("captive.apple.com", "/generate_204"), None);
    }

    #[test]
    fn names_that_people_visit_are_left_alone() {
        for name in ["www.google.com", "www.apple.com", "google.com", "example.org", ""] {
            assert!(find(name).is_none(), "{name}");
        }
    }
}
