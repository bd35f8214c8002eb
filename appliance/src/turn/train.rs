//! Datagrams of one length to one place leave together.
//!
//! Files, video frames and data channels come in bursts, and the way through the kernel costs nearly the same for a
//! train of datagrams as for one. A train is never waited for: it leaves when the next datagram does not fit, and at
//! the latest when what was received has been handled.

use std::net::SocketAddr;

use mio::Token;
use relay_core::turn::{Forward, MAX_DATAGRAM, MAX_GROWTH};

/// Longer datagrams go alone: a train of them fits through no usual link (Ethernet, IPv6 and UDP headers).
const LONGEST_WAGON: usize = 1452;
/// As much as one datagram of IP carries.
const LONGEST_TRAIN: usize = 65_507;

/// Where a datagram leaves, and where it goes.
pub(super) type Way = (Token, SocketAddr);

/// The train that is being put together.
pub(super) struct Train {
    way: Option<Way>,
    bytes: Vec<u8>,
    /// The length of all but the last.
    segment: usize,
    count: usize,
}

impl Train {
    pub(super) fn new() -> Self {
        let bytes = Vec::with_capacity(LONGEST_TRAIN.max(MAX_DATAGRAM + MAX_GROWTH));
        Self { way: None, bytes, segment: 0, count: 0 }
    }

    /// Whether a datagram of this length can go along, in a train of `most` at most.
    pub(super) fn takes(&self, way: Way, length: usize, most: usize) -> bool {
        self.way.is_none_or(|one| {
            // A shorter one is the last.
            let open = self.bytes.len() == self.segment * self.count;
            one == way
                && open
                && self.count < most
                && (1..=self.segment).contains(&length)
                && self.segment <= LONGEST_WAGON
                && self.bytes.len() + length <= LONGEST_TRAIN
        })
    }

    /// Adds what a packet becomes; `received` is what came in. It [must fit](Self::takes).
    pub(super) fn add(&mut self, way: Way, forward: &Forward, received: &[u8]) {
        self.extend(way, forward.len());
        forward.append_to(received, &mut self.bytes);
    }

    /// Adds a datagram of ours. It [must fit](Self::takes).
    pub(super) fn add_bytes(&mut self, way: Way, bytes: &[u8]) {
        self.extend(way, bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    fn extend(&mut self, way: Way, length: usize) {
        if self.way.is_none() {
            self.way = Some(way);
            self.segment = length;
        }
        self.count += 1;
    }

    /// Hands the train over to be sent, if there is one: its way, its bytes, the length of all but the last.
    pub(super) fn depart(&mut self, send: impl FnOnce(Way, &[u8], usize)) {
        if let Some(way) = self.way.take() {
            send(way, &self.bytes, self.segment);
            self.bytes.clear();
            self.count = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(port: u16) -> Way {
        (Token(1), SocketAddr::from(([192, 0, 2, 1], port)))
    }

    fn departed(train: &mut Train) -> Option<(Way, usize, usize)> {
        let mut gone = None;
        train.depart(|way, bytes, segment| gone = Some((way, bytes.len(), segment)));
        gone
    }

    #[test]
    fn datagrams_of_one_length_to_one_place_go_together_and_a_shorter_one_is_the_last() {
        let mut train = Train::new();
        for length in [1000, 1000, 400] {
            assert!(train.takes(way(1), length, 64));
            train.add_bytes(way(1), &vec![7; length]);
        }
        assert!(!train.takes(way(1), 400, 64), "after a shorter one nothing follows");
        assert_eq!(departed(&mut train), Some((way(1), 2400, 1000)));
        assert_eq!(departed(&mut train), None);
        assert!(train.takes(way(2), 9000, 64), "an empty train takes everything");
    }

    #[test]
    fn another_place_a_longer_datagram_and_a_full_train_do_not_fit() {
        let mut train = Train::new();
        train.add_bytes(way(1), &[7; 1000]);
        assert!(!train.takes(way(2), 1000, 64));
        assert!(!train.takes((Token(2), way(1).1), 1000, 64));
        assert!(!train.takes(way(1), 1001, 64));
        assert!(!train.takes(way(1), 0, 64), "an empty datagram goes alone");
        assert!(!train.takes(way(1), 1000, 1));
        assert_eq!(departed(&mut train), Some((way(1), 1000, 1000)));
    }

    #[test]
    fn no_train_is_longer_than_ip_carries_and_long_datagrams_go_alone() {
        let mut train = Train::new();
        while train.takes(way(1), 1452, usize::MAX) {
            train.add_bytes(way(1), &[7; 1452]);
        }
        let (_, length, _) = departed(&mut train).expect("a train");
        assert!(length <= 65_507 && length > 65_507 - 1452, "{length}");
        train.add_bytes(way(1), &[7; 1453]);
        assert!(!train.takes(way(1), 1453, 64));
        assert_eq!(departed(&mut train), Some((way(1), 1453, 1453)));
        train.add_bytes(way(1), &[]);
        assert!(!train.takes(way(1), 1, 64));
        assert_eq!(departed(&mut train), Some((way(1), 0, 0)));
    }
}
