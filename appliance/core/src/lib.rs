//! The appliance as pure state machines: what the settings say, what the PKI should be, what time it is at least.
//!
//! No sockets, no files, no clocks in here: the daemon hands in bytes and the time, and carries out what
//! these modules plan.
//! One thing is not handed in: key generation and signing draw from the operating system inside `aws-lc`,
//! which offers no other way, and which is the one place where that is an advantage.
#![forbid(unsafe_code)]

pub mod bucket;
pub mod button;
pub mod card;
pub mod claim;
pub mod clock;
pub mod dns;
pub mod firewall;
pub mod firstboot;
#[cfg(test)]
mod golden;
pub mod lan;
pub mod light;
pub mod mac;
pub mod memory;
pub mod mode;
pub mod names;
pub mod network;
pub mod pki;
pub mod portal;
pub mod prefix;
pub mod retry;
pub mod settings;
pub mod site;
pub mod wifi;

/// Bodies of the fuzz targets; they keep compiling because a test replays the corpus through them.
#[doc(hidden)]
pub mod fuzzing {
    /// Settings that are accepted read back the same when they are written out.
    pub fn settings(data: &[u8]) {
        use crate::settings::{HostFacts, Typed};
        let Ok(text) = std::str::from_utf8(data) else { return };
        let host = HostFacts { ipv6: true, state_dir: "/state".into() };
        if let Ok(typed) = Typed::parse(text) {
            let settings = typed.resolve(&host);
            let back = Typed::parse(&settings.to_string()).map(|typed| typed.resolve(&host));
            assert_eq!(back, Ok(settings));
        }
    }

    /// Whatever is asked, the answer is one to that question, and no longer than allowed.
    pub fn dns_query(data: &[u8]) {
        crate::dns::fuzz(data);
    }

    /// A lease file gives an address that stands in it, or none.
    pub fn networkd_lease(data: &[u8]) {
        if let Some(address) = crate::network::leased(data) {
            assert!(data.len() >= "ADDRESS=0.0.0.0".len() && address.to_string().len() <= 15);
        }
    }

    /// A frame claims the address that stands in it, or none, and never one of ours.
    pub fn arp(data: &[u8]) {
        use crate::mac::Mac;
        use crate::network::arp::{FRAME, claimed, probe};
        let Some(ours) = Mac::parse(b"02:00:00:00:00:01") else { return };
        if let Some(address) = claimed(data, ours) {
            assert!(data.len() >= FRAME && data.get(28..32) == Some(&address.octets()));
            assert_eq!(claimed(&probe(ours, address), ours), None);
        }
    }

    /// What the kernel says of memory is understood or not, and never more is left than there is.
    pub fn memory_room(data: &[u8]) {
        use crate::memory::{Room, groups};
        let Ok(text) = std::str::from_utf8(data) else { return };
        let _ = Room::of_machine(text);
        let mut parts = text.splitn(3, '\0');
        let mut next = || parts.next().unwrap_or_default();
        if let Some(room) = Room::of_group(next(), next(), next()) {
            assert!(room.available <= room.total);
        }
        for group in groups(text) {
            assert!(
                !group.is_empty() && !group.starts_with('/') && !group.split('/').any(|part| part == "..")
            );
        }
    }

    /// What is read from a request to claim a box is one code, comparing it changes nothing, and the time in it arrives
    /// at the controller as it is.
    pub fn claim_request(data: &[u8]) {
        use crate::claim::{ClaimHash, LARGEST_REQUEST, Request};
        use crate::clock;
        if let Some(Request { code, time }) = Request::read(data) {
            assert!(data.len() <= LARGEST_REQUEST);
            assert!(ClaimHash::of(&code, [0; 16]).is_none_or(|hash| hash.matches(&code)));
            assert!(time.is_none_or(|time| clock::from_text(clock::to_text(time).as_bytes()) == Some(time)));
        }
    }

    /// Whatever lies in the operator's file, what is taken for a certificate can be asked what it is for.
    pub fn supplied_certificate(data: &[u8]) {
        use crate::pki::Supplied;
        if let Ok(supplied) = Supplied::parse(data) {
            let names: Vec<_> = crate::names::DnsName::parse("bulle.internal").into_iter().collect();
            let _ = supplied.warnings(&names, base::UnixSeconds(1_800_000_000));
        }
    }

    /// Site settings are read or refused with a line that is there, whatever a desktop has saved.
    pub fn site(data: &[u8]) {
        if let Err(error) = crate::site::Site::parse(data) {
            let lines = 1 + data.iter().filter(|byte| **byte == b'\n').count();
            assert!(!error.problems.is_empty());
            assert!(error.problems.iter().all(|problem| (1..=lines).contains(&problem.line)));
            assert!(!error.to_string().chars().any(|c| c.is_control() && c != '\n'));
        }
    }

    /// No bytes but those that were sealed open, in any place; what is inside reads back the same.
    pub fn box_state(data: &[u8]) {
        use crate::firstboot::{Board, BoxState, Copies, Restored, inspect, open, restore, salvage};
        let board = Board::without_serial();
        let _ = inspect(data);
        assert!(open(data, &board).is_err());
        assert_eq!(salvage(data, data.len(), &board), None);
        let (current, previous) = data.split_at(data.len() / 2);
        let copies = Copies { current: Some(current), previous: Some(previous), aside: Some(data) };
        assert!(matches!(restore(&copies, &board), Restored::StartNew(Some(_))));
        if let Some(state) = BoxState::from_cbor(data) {
            assert_eq!(BoxState::from_cbor(&state.to_cbor()), Some(state));
        }
    }

    /// Whatever lies in the files of the PKI, an authority is never made where one was.
    pub fn stored_pki(data: &[u8]) {
        use crate::pki::{Identity, PkiFile, Stored, plan};
        use zeroize::Zeroizing;
        if let Some(peer) = crate::pki::PeerCertificate::read(data) {
            assert_eq!(crate::pki::Fingerprint::of_pem(data), Some(peer.fingerprint()));
        }
        let mut files = data.splitn(4, |byte| *byte == 0).map(<[u8]>::to_vec);
        let stored = Stored {
            ca_certificate: Some(files.next().unwrap_or_default()),
            ca_key: Some(Zeroizing::new(files.next().unwrap_or_default())),
            leaf_certificate: files.next(),
            leaf_key: files.next().map(Zeroizing::new),
        };
        let now = base::UnixSeconds(1_800_000_000);
        if let Ok(plan) = plan(&stored, &Identity::default(), now, now) {
            let touched = |file| plan.writes.iter().any(|write| write.file == file);
            assert!(!touched(PkiFile::CaCertificate) && !touched(PkiFile::CaKey));
        }
    }
}
