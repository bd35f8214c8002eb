//! The settings of `bulle serve`, as the controller writes them.

use super::{NAMES, Plan};
use crate::claim::ClaimHash;
use crate::names::DnsName;
use crate::settings::{LogLevel, Probes, Typed};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// Names of a certificate that are taken: the daemon takes 16 in all.
const MOST_NAMES: usize = 8;

/// What the daemon has to know beside the networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serve {
    /// Where its state is.
    pub state_dir: PathBuf,
    /// The directory that both share.
    pub runtime: PathBuf,
    /// Of the claim code; `None` once the box has been claimed.
    pub claim: Option<ClaimHash>,
    /// The owner's certificate and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The names in that certificate, by which the box is to be found as well.
    pub names: Vec<DnsName>,
    /// What phones hear when they ask for the Internet.
    pub probes: Probes,
    /// How much is logged.
    pub log_level: Option<LogLevel>,
    /// Whether the box has decided what it is. Before, it shows its page to whoever asks and announces itself to nobody:
    /// an address may be there that goes again when the router has given its own.
    pub decided: bool,
}

/// The file, complete where it differs from what a daemon does by itself.
#[must_use]
pub fn settings(plan: &Plan, serve: &Serve) -> Typed {
    let any = |port| Some(vec![SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)]);
    let bubble = plan.bubble.as_ref();
    let served = plan.cable.as_ref().filter(|cable| cable.serves && serve.decided);
    let (certificate, key) = serve.certificate.clone().unzip();
    Typed {
        https: any(443),
        redirect: any(80),
        names: Some(
            NAMES
                .iter()
                .filter_map(|name| DnsName::parse(name))
                .chain(serve.names.iter().take(MOST_NAMES).cloned())
                .collect(),
        ),
        certificate,
        key,
        turn_listen: any(3478),
        webrtc_listen: any(3479),
        dns_listen: Some(bubble.map_or_else(Vec::new, |bubble| {
            bubble.addresses().map(|address| SocketAddr::new(address, 53)).to_vec()
        })),
        dns_prefixes: bubble.map(|bubble| vec![bubble.range.prefix(), bubble.ula.prefix()]),
        probes: Some(if bubble.is_some() { serve.probes } else { Probes::Offline }),
        mdns_name: served.and_then(|_| crate::names::DnsLabel::parse("bulle")),
        mdns_interfaces: served.map(|cable| vec![cable.interface.clone()]),
        claim: serve.claim,
        runtime: Some(serve.runtime.clone()),
        state_dir: Some(serve.state_dir.clone()),
        log_level: serve.log_level,
        ..Typed::default()
    }
}
