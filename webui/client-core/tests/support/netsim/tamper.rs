//! What a node that means harm, or is broken, makes of what it should deliver. All else that it says stays as it is.

use std::collections::BTreeMap;

use rand_core::RngCore;
use wire::NodeFrame;

use super::Tamper;

pub(crate) fn is_delivery(frame: &[u8]) -> bool {
    matches!(NodeFrame::decode(frame), Ok(NodeFrame::Deliver { .. }))
}

/// Delivers one or two things again, whenever they were delivered first, before or after what is due.
pub(crate) fn repeats() -> Tamper {
    let mut past: BTreeMap<usize, Vec<Vec<u8>>> = BTreeMap::new();
    Box::new(move |phone, frame, rng| {
        if !is_delivery(&frame) {
            return vec![frame];
        }
        let past = past.entry(phone).or_default();
        past.push(frame.clone());
        let mut frames = vec![frame];
        for _ in 0..rng.next_u32() % 3 {
            let old = past[rng.next_u32() as usize % past.len()].clone();
            frames.insert(rng.next_u32() as usize % (frames.len() + 1), old);
        }
        frames
    })
}

/// Delivers one in eight not at all, and one in eight with a bit changed.
pub(crate) fn swallows() -> Tamper {
    Box::new(|_, mut frame, rng| {
        if !is_delivery(&frame) {
            return vec![frame];
        }
        match rng.next_u32() % 8 {
            0 => vec![],
            1 => {
                let at = rng.next_u32() as usize % frame.len();
                frame[at] ^= 1 << (rng.next_u32() % 8);
                vec![frame]
            }
            _ => vec![frame],
        }
    })
}
