//! The `.network` files (systemd.network(5)).

use super::{Bubble, Cable, ClientName, POOL, Plan};
use std::fmt::Write as _;
use std::net::IpAddr;

/// How long a phone keeps its address.
const LEASE: &str = "1h";

/// A file in the directory of networkd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub name: &'static str,
    /// All of it.
    pub contents: String,
}

/// One file for each interface that the box uses. Others are left alone, and stay down.
#[must_use]
pub fn files(plan: &Plan) -> Vec<File> {
    let bubble =
        plan.bubble.as_ref().map(|bubble| File { name: "10-bulle-radio.network", contents: radio(bubble) });
    let cable =
        plan.cable.as_ref().map(|cable| File { name: "20-bulle-cable.network", contents: wired(cable) });
    let spare = (!plan.spare.is_empty())
        .then(|| File { name: "30-bulle-spare.network", contents: spare(&plan.spare) });
    bubble.into_iter().chain(cable).chain(spare).collect()
}

/// What both interfaces have in common: no router, no resolver, and up without waiting for each other.
fn head(interface: &str) -> String {
    format!(
        "[Match]\nName={interface}\n\n[Link]\nRequiredForOnline=no\n\n[Network]\nIPv4Forwarding=no\n\
         IPv6Forwarding=no\nLLMNR=no\nMulticastDNS=no\nLLDP=no\nEmitLLDP=no\n"
    )
}

fn radio(bubble: &Bubble) -> String {
    let Bubble { range, ula, .. } = bubble;
    let (first, last) = POOL;
    let mut text = head(&bubble.interface);
    // Writing into memory cannot fail, here and below.
    let _ = write!(
        text,
        "LinkLocalAddressing=ipv6\nAddress={}/24\n\
         Address={}/64\nIPv6AcceptRA=no\nDHCPServer=yes\nIPv6SendRA=yes\n\n",
        range.router(),
        ula.router(),
    );
    // A router is named although it routes nothing: phones without one leave the network again.
    let _ = write!(
        text,
        "[DHCPServer]\nPoolOffset={first}\nPoolSize={}\nDefaultLeaseTimeSec={LEASE}\nMaxLeaseTimeSec={LEASE}\n\
         PersistLeases=no\nEmitRouter=yes\nRouter={router}\nEmitDNS=yes\nDNS={router}\nEmitNTP=no\nEmitSIP=no\n\
         EmitTimezone=no\nUplinkInterface=:none\n",
        last - first + 1,
        router = range.router(),
    );
    if let Some(api) = &bubble.portal_api {
        let _ = writeln!(text, "SendOption=114:string:{api}");
    }
    // Lifetime 0: by IPv6 the box is not the way to anywhere (RFC 4861 section 6.2.3).
    let _ = write!(
        text,
        "\n[IPv6SendRA]\nRouterLifetimeSec=0\nManaged=no\nOtherInformation=no\nEmitDNS=yes\nDNS={}\nEmitDomains=no\n\
         UplinkInterface=:none\n\n[IPv6Prefix]\nPrefix={}\nAssign=no\n",
        ula.router(),
        ula.prefix(),
    );
    text
}

/// On, and nothing else: a socket that is off does not show whether there is a cable in it.
fn spare(interfaces: &[String]) -> String {
    let mut text = head(&interfaces.join(" "));
    text.push_str("DHCP=no\nIPv6AcceptRA=no\nLinkLocalAddressing=no\n");
    text
}

fn wired(cable: &Cable) -> String {
    let yes_no = |yes: bool| if yes { "yes" } else { "no" };
    let mut text = head(&cable.interface);
    let dhcp = match cable.fixed.as_ref().map(|fixed| fixed.address) {
        None => "yes",
        Some(IpAddr::V4(_)) => "ipv6",
        Some(IpAddr::V6(_)) => "ipv4",
    };
    // With an IPv4 address of the link's own where DHCP does not answer (RFC 3927): two machines and a cable.
    let link_local = if cable.fixed.is_some() { "ipv6" } else { "yes" };
    let _ = write!(
        text,
        "DHCP={dhcp}\nIPv6AcceptRA=yes\nIPv6PrivacyExtensions=no\nLinkLocalAddressing={link_local}\n"
    );
    if let Some(fixed) = &cable.fixed {
        if let Some(gateway) = fixed.gateway.filter(|_| cable.serves) {
            let _ = writeln!(text, "Gateway={gateway}");
        }
        for dns in &fixed.dns {
            let _ = writeln!(text, "DNS={dns}");
        }
    }
    for ntp in &cable.ntp {
        let _ = writeln!(text, "NTP={ntp}");
    }
    if let Some(fixed) = &cable.fixed {
        // Not taken while another machine has it (RFC 5227, RFC 4862 section 5.4).
        let _ = write!(
            text,
            "\n[Address]\nAddress={}/{}\nDuplicateAddressDetection=both\n",
            fixed.address,
            fixed.prefix.bits()
        );
    }
    // Where the first address was another machine's, the router takes the box for another one.
    // Its lease is not given back: the router would hand the address out again.
    let client = match cable.client {
        ClientName(0) => "ClientIdentifier=mac\n".to_owned(),
        ClientName(number) => format!("ClientIdentifier=duid\nDUIDType=link-layer\nIAID={number}\n"),
    };
    // An address is used at once, and asked about meanwhile ([`super::Leases`]): networkd would wait for up to seven seconds.
    // Only a network that the box serves may tell it the way elsewhere, so that answers find it.
    let gateway = yes_no(cable.serves);
    let ntp = yes_no(cable.serves && cable.ntp.is_empty());
    let _ = write!(
        text,
        "\n[DHCPv4]\n{client}SendHostname={gateway}\nUseDNS=no\nUseDomains=no\nUseHostname=no\n\
         UseTimezone=no\nUseNTP={ntp}\nUseMTU=no\nUseRoutes={gateway}\nUseGateway={gateway}\nSendRelease=no\n\
         SendDecline=no\n\
         \n[DHCPv6]\nDUIDType=link-layer\nUseDNS=no\nUseDomains=no\nUseHostname=no\nUseNTP={ntp}\nUseDelegatedPrefix=no\n\
         \n[IPv6AcceptRA]\nUseDNS=no\nUseDomains=no\nUseMTU=no\nUseGateway={gateway}\nUseRoutePrefix={gateway}\n\
         Token=prefixstable,",
    );
    for byte in cable.secret.iter() {
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    text
}
