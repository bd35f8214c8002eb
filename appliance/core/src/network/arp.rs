//! The two things that address conflict detection (RFC 5227) wants from ARP (RFC 826): a question, and who answers.
//!
//! Not here: when to ask ([`super::Leases`]), and sending or receiving.

use crate::mac::Mac;
use std::net::Ipv4Addr;

/// Bytes of a question, and the least of an answer: the header of Ethernet, and an ARP packet for IPv4.
pub const FRAME: usize = 14 + 28;

const BROADCAST: [u8; 6] = [0xff; 6];
const ARP: [u8; 2] = [0x08, 0x06];
/// Ethernet and IPv4, and how long their addresses are.
const KIND: [u8; 6] = [0, 1, 0x08, 0, 6, 4];
const REQUEST: [u8; 2] = [0, 1];
const REPLY: [u8; 2] = [0, 2];

/// An ARP probe (RFC 5227 section 1.1): asks who has `wanted` without saying that it is ours.
#[must_use]
pub fn probe(ours: Mac, wanted: Ipv4Addr) -> [u8; FRAME] {
    let mut frame = [0; FRAME];
    let parts = [
        &BROADCAST[..],
        &ours.0,
        &ARP,
        &KIND,
        &REQUEST,
        &ours.0,
        &Ipv4Addr::UNSPECIFIED.octets(),
        &[0; 6],
        &wanted.octets(),
    ];
    for (to, from) in frame.iter_mut().zip(parts.into_iter().flatten()) {
        *to = *from;
    }
    frame
}

/// The address that another machine says is its own in this frame, if it is ARP and from another than `ours`.
#[must_use]
pub fn claimed(frame: &[u8], ours: Mac) -> Option<Ipv4Addr> {
    let (_, packet) = frame.split_first_chunk::<12>()?;
    let packet = packet.strip_prefix(&ARP)?.strip_prefix(&KIND)?;
    let packet = packet.strip_prefix(&REQUEST).or_else(|| packet.strip_prefix(&REPLY))?;
    let (hardware, packet) = packet.split_first_chunk::<6>()?;
    let (address, target) = packet.split_first_chunk::<4>()?;
    let address = Ipv4Addr::from(*address);
    // Our own come back where a switch has a loop. What claims nothing is a question.
    (target.len() >= 10 && *hardware != ours.0 && !address.is_unspecified()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const THEIRS: Mac = Mac([2, 0, 0, 0, 0, 2]);
    const WANTED: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);

    /// The answer to a probe, from `hardware`.
    fn reply(hardware: Mac, address: Ipv4Addr) -> [u8; FRAME] {
        let mut frame = probe(hardware, Ipv4Addr::UNSPECIFIED);
        frame[20..22].copy_from_slice(&REPLY);
        frame[28..32].copy_from_slice(&address.octets());
        frame
    }

    #[test]
    fn a_probe_is_what_the_standard_says() {
        let expected = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6, // Ethernet
            0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0, // from us, who have no address
            0, 0, 0, 0, 0, 0, 192, 0, 2, 7,
        ];
        assert_eq!(probe(OURS, WANTED), expected);
    }

    #[test]
    fn whoever_has_an_address_says_so_by_asking_or_answering() {
        assert_eq!(claimed(&reply(THEIRS, WANTED), OURS), Some(WANTED));
        let mut request = reply(THEIRS, WANTED);
        request[20..22].copy_from_slice(&REQUEST);
        assert_eq!(claimed(&request, OURS), Some(WANTED));
        // Drivers hand over the padding of short frames as well.
        assert_eq!(claimed(&[&request[..], &[0; 18]].concat(), OURS), Some(WANTED));
    }

    #[test]
    fn neither_a_probe_nor_our_own_frame_nor_half_of_one_claims_anything() {
        assert_eq!(claimed(&probe(THEIRS, WANTED), OURS), None);
        assert_eq!(claimed(&reply(OURS, WANTED), OURS), None);
        let whole = reply(THEIRS, WANTED);
        for end in 0..FRAME {
            assert_eq!(claimed(&whole[..end], OURS), None, "{end} bytes");
        }
        // Each byte of the kind, and the operation.
        for at in 12..22 {
            let mut other = whole;
            other[at] ^= 0x40;
            assert_eq!(claimed(&other, OURS), None, "byte {at}");
        }
    }
}
