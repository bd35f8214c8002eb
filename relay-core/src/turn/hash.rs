//! SipHash-1-3 with a key that is handed in, for tables whose keys an attacker may choose.
//!
//! The standard library's hasher is the same function, but takes its key from the system by itself, and feeds an
//! address to it in a dozen small pieces; ours takes whole words.

use core::hash::{BuildHasher, Hasher};

use rand_core::RngCore;

/// Makes hashers that all use the same secret key.
#[derive(Clone)]
pub(super) struct SipKey {
    k0: u64,
    k1: u64,
}

impl SipKey {
    pub(super) fn random(rng: &mut impl RngCore) -> Self {
        Self { k0: rng.next_u64(), k1: rng.next_u64() }
    }
}

impl BuildHasher for SipKey {
    type Hasher = Sip13;

    fn build_hasher(&self) -> Sip13 {
        Sip13 {
            v0: self.k0 ^ 0x736f_6d65_7073_6575,
            v1: self.k1 ^ 0x646f_7261_6e64_6f6d,
            v2: self.k0 ^ 0x6c79_6765_6e65_7261,
            v3: self.k1 ^ 0x7465_6462_7974_6573,
            length: 0,
        }
    }
}

/// One hash being computed over whole words.
#[derive(Clone)]
pub(super) struct Sip13 {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
    length: u64,
}

impl Sip13 {
    fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.rotate_left(32);
    }

    fn absorb(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.v0 ^= word;
    }
}

impl Hasher for Sip13 {
    fn write_u64(&mut self, word: u64) {
        self.length = self.length.wrapping_add(8);
        self.absorb(word);
    }

    fn write(&mut self, bytes: &[u8]) {
        // Our keys are made of words. Other bytes come in blocks, each a word of its own.
        for block in bytes.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(block).for_each(|(to, from)| *to = *from);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn finish(&self) -> u64 {
        let mut last = self.clone();
        last.absorb(self.length << 56);
        last.v2 ^= 0xff;
        last.round();
        last.round();
        last.round();
        last.v0 ^ last.v1 ^ last.v2 ^ last.v3
    }
}

#[cfg(test)]
mod tests {
    use std::collections::hash_map::DefaultHasher;

    use super::*;

    #[test]
    fn with_a_zero_key_it_is_the_hash_of_the_standard_library() {
        for count in 0..9_u64 {
            let mut ours = SipKey { k0: 0, k1: 0 }.build_hasher();
            let mut theirs = DefaultHasher::new();
            for word in 0..count {
                ours.write_u64(word.wrapping_mul(0x9E37_79B9_7F4A_7C15));
                theirs.write_u64(word.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            }
            assert_eq!(ours.finish(), theirs.finish());
        }
    }

    #[test]
    fn another_key_gives_another_hash() {
        let a = SipKey { k0: 1, k1: 2 };
        let b = SipKey { k0: 1, k1: 3 };
        assert_ne!(a.hash_one(7_u64), b.hash_one(7_u64));
    }
}
