//! The safety number of two devices: the same on both screens when nobody stands between them.
//!
//! `docs/protocol/messages.md` says how it is made. Whoever wanted to pass with one number as each to the other would
//! have to try some 2^99 keys.

use sha2::{Digest, Sha512};

use crate::api::Text;
use crate::group::suite::DeviceKey;

/// Groups of five digits.
const GROUPS: usize = 12;

/// Twelve groups of five digits, the same whichever of the two comes first.
pub(crate) fn number(one: &DeviceKey, other: &DeviceKey) -> Text {
    let (first, second) = if one.0 <= other.0 { (one, other) } else { (other, one) };
    let hash = Sha512::new()
        .chain_update(b"bulle/1 safety number\0")
        .chain_update(first.0)
        .chain_update(second.0)
        .finalize();
    let group = |bytes: &[u8]| {
        let number = bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        format!("{:05}", number % 100_000)
    };
    hash.chunks_exact(5).take(GROUPS).map(group).collect::<Vec<_>>().join(" ").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_have_the_same_number_and_another_device_has_another() {
        let [ada, ben, eve] = [1, 2, 3].map(|byte| DeviceKey([byte; 32]));
        assert_eq!(number(&ada, &ben), number(&ben, &ada));
        assert_ne!(number(&ada, &ben), number(&ada, &eve));
        let shown = number(&ada, &ben);
        let groups: Vec<_> = shown.expose().split(' ').collect();
        assert_eq!(groups.len(), GROUPS);
        assert!(
            groups.iter().all(|group| group.len() == 5 && group.bytes().all(|byte| byte.is_ascii_digit()))
        );
    }

    #[test]
    fn the_published_vector_holds() {
        let document = include_str!("../../../docs/protocol/messages.md");
        let row = document.lines().find_map(|line| line.strip_prefix("| safety number | `")).unwrap();
        let shown = number(&DeviceKey([2; 32]), &DeviceKey([1; 32]));
        assert_eq!(shown.expose(), row.split('`').next().unwrap());
    }
}
