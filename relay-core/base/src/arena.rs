//! Bounded memory of fixed blocks, overwritten when freed.
//!
//! The storage is handed in, so that its owner can lock it in memory and keep it out of core dumps. What is
//! stored lies in a chain of blocks: one block is like any other, so nothing ever becomes too scattered to be
//! used, and storing and freeing cost the same at the first byte and at the last.
//!
//! Invariant: a block that belongs to no chain is zero, from the moment its chain is freed.

use core::fmt;
use core::ops::Range;

/// Ends a chain, and the list of free blocks.
const NONE: u32 = u32::MAX;

/// Free blocks that keep their memory, so that what comes and goes all the time costs nothing: 1 MiB. The memory of
/// the others goes back to the system.
const KEPT: u32 = if cfg!(test) { 4 } else { 256 };

/// What an [`Arena`] lies in.
pub trait Storage: AsRef<[u8]> + AsMut<[u8]> {
    /// These bytes are zero and hold nothing: the memory behind them may go, as long as they read as zeros.
    fn give_back(&mut self, _range: Range<usize>) {}
}

impl Storage for Vec<u8> {}

/// Fixed blocks over storage that is handed in.
///
/// The storage must be zero when it comes; it is not touched before it is used, so that pages nobody needed stay
/// with the operating system.
pub struct Arena<S> {
    storage: S,
    /// For each block that was ever used: the block after it, in its chain or among the free ones.
    next: Vec<u32>,
    /// For each of them: whether it is free, and its memory was given back.
    is_cold: Vec<bool>,
    /// The free block with memory that was freed last.
    free: u32,
    /// How many of these there are, at most [`KEPT`].
    kept: u32,
    /// The free block without memory that was freed last.
    cold: u32,
    used: u32,
    total: u32,
}

/// What an [`Arena`] stored. It cannot be copied, and freeing it consumes it, so it cannot be used afterwards.
///
/// It means something to the arena that made it only.
#[derive(Debug)]
#[must_use = "a chain that is dropped and not freed keeps its blocks until the arena is cleared"]
pub struct Chain {
    first: u32,
    len: u32,
}

impl Chain {
    /// Bytes stored.
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether nothing is stored.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Blocks taken.
    pub const fn blocks(&self) -> u32 {
        self.len.div_ceil(BLOCK as u32)
    }
}

/// Bytes in a block: one page.
pub const BLOCK: usize = 4096;

/// There are not enough free blocks; nothing was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the arena has not enough free blocks")
    }
}

impl core::error::Error for Full {}

impl<S: Storage> Arena<S> {
    /// An arena over the whole blocks of `storage`; bytes after the last whole block are left alone.
    pub fn new(storage: S) -> Self {
        let blocks = storage.as_ref().len() / BLOCK;
        let total = u32::try_from(blocks).unwrap_or(NONE).min(NONE - 1);
        let (next, is_cold) = (Vec::new(), Vec::new());
        Self { storage, next, is_cold, free: NONE, kept: 0, cold: NONE, used: 0, total }
    }

    /// Stores a copy of `bytes`.
    ///
    /// # Errors
    /// When there are not enough free blocks for all of it.
    pub fn store(&mut self, bytes: &[u8]) -> Result<Chain, Full> {
        let len = u32::try_from(bytes.len()).map_err(|_| Full)?;
        let mut chain = Chain { first: NONE, len };
        if chain.blocks() > self.free_blocks() {
            return Err(Full);
        }
        // From the end, so that each block can name the one after it.
        for piece in bytes.chunks(BLOCK).rev() {
            let Some(block) = self.take() else { break };
            if let Some(to) = block_mut(&mut self.storage, block).and_then(|b| b.get_mut(..piece.len())) {
                to.copy_from_slice(piece);
            }
            self.link(block, chain.first);
            chain.first = block;
        }
        self.used += chain.blocks();
        Ok(chain)
    }

    /// Appends what is stored to `out`.
    pub fn copy_to(&self, chain: &Chain, out: &mut Vec<u8>) {
        out.reserve(chain.len());
        for piece in self.pieces(chain) {
            out.extend_from_slice(piece);
        }
    }

    /// What is stored, block after block.
    pub fn pieces(&self, chain: &Chain) -> impl Iterator<Item = &[u8]> {
        let mut block = chain.first;
        let mut left = chain.len();
        core::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            let start = (block as usize).checked_mul(BLOCK)?;
            let len = left.min(BLOCK);
            let piece = self.storage.as_ref().get(start..start.checked_add(len)?)?;
            block = self.after(block);
            left -= len;
            Some(piece)
        })
    }

    /// Overwrites what is stored with zeros and frees its blocks.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the chain is used up, so that nobody reads it afterwards"
    )]
    pub fn free(&mut self, chain: Chain) {
        let blocks = chain.blocks();
        let mut block = chain.first;
        for _ in 0..blocks {
            let after = self.after(block);
            if let Some(bytes) = block_mut(&mut self.storage, block) {
                wipe(bytes);
            }
            self.put_away(block);
            block = after;
        }
        self.used = self.used.saturating_sub(blocks);
    }

    /// Overwrites all that was ever used with zeros. Every chain that is still somewhere has become meaningless
    /// and must be dropped.
    pub fn clear(&mut self) {
        let blocks = self.storage.as_mut().chunks_exact_mut(BLOCK).zip(&self.is_cold);
        // What has no memory is zero, and touching it would take memory, which may be what there is none of.
        blocks.filter(|(_, is_cold)| !**is_cold).for_each(|(bytes, _)| wipe(bytes));
        self.storage.give_back(0..self.next.len().saturating_mul(BLOCK));
        (self.next, self.is_cold) = (Vec::new(), Vec::new());
        (self.free, self.kept, self.cold, self.used) = (NONE, 0, NONE, 0);
    }

    /// Blocks in all.
    pub const fn total_blocks(&self) -> u32 {
        self.total
    }

    /// Blocks that hold something.
    pub const fn used_blocks(&self) -> u32 {
        self.used
    }

    /// Blocks that hold nothing.
    pub const fn free_blocks(&self) -> u32 {
        self.total - self.used
    }

    /// The storage as it is, for looking at what it holds.
    pub const fn expose_storage(&self) -> &S {
        &self.storage
    }

    /// A block that is zero: one that was freed, with memory if there is one, else one that was never used.
    fn take(&mut self) -> Option<u32> {
        if self.free != NONE {
            let block = self.free;
            self.free = self.after(block);
            self.kept = self.kept.saturating_sub(1);
            return Some(block);
        }
        if self.cold != NONE {
            let block = self.cold;
            self.cold = self.after(block);
            self.mark(block, false);
            return Some(block);
        }
        let block = u32::try_from(self.next.len()).ok().filter(|block| *block < self.total)?;
        self.next.push(NONE);
        self.is_cold.push(false);
        Some(block)
    }

    /// Puts a block that is zero among the free ones.
    fn put_away(&mut self, block: u32) {
        if self.kept < KEPT {
            self.link(block, self.free);
            self.free = block;
            self.kept += 1;
            return;
        }
        self.link(block, self.cold);
        self.cold = block;
        self.mark(block, true);
        let start = (block as usize).saturating_mul(BLOCK);
        self.storage.give_back(start..start.saturating_add(BLOCK));
    }

    fn mark(&mut self, block: u32, is_cold: bool) {
        if let Some(mark) = self.is_cold.get_mut(block as usize) {
            *mark = is_cold;
        }
    }

    fn after(&self, block: u32) -> u32 {
        self.next.get(block as usize).copied().unwrap_or(NONE)
    }

    fn link(&mut self, block: u32, after: u32) {
        if let Some(next) = self.next.get_mut(block as usize) {
            *next = after;
        }
    }
}

impl<S> fmt::Debug for Arena<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena").field("used", &self.used).field("total", &self.total).finish_non_exhaustive()
    }
}

fn block_mut<S: AsMut<[u8]>>(storage: &mut S, block: u32) -> Option<&mut [u8]> {
    let start = (block as usize).checked_mul(BLOCK)?;
    storage.as_mut().get_mut(start..start.checked_add(BLOCK)?)
}

/// Zeros at the speed of the machine, which the compiler may not leave out.
fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    zeroize::optimization_barrier(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arena(blocks: usize) -> Arena<Vec<u8>> {
        Arena::new(vec![0; blocks * BLOCK + 17])
    }

    fn read(arena: &Arena<Vec<u8>>, chain: &Chain) -> Vec<u8> {
        let mut out = Vec::new();
        arena.copy_to(chain, &mut out);
        out
    }

    #[test]
    fn what_is_stored_is_read_back_and_gone_after_it_was_freed() {
        let mut arena = arena(4);
        let canary: Vec<u8> = (0..3 * BLOCK - 1).map(|i| (i % 251) as u8 + 1).collect();
        let chain = arena.store(&canary).unwrap();
        assert_eq!(read(&arena, &chain), canary);
        assert_eq!((arena.used_blocks(), arena.free_blocks()), (3, 1));
        arena.free(chain);
        assert_eq!((arena.used_blocks(), arena.free_blocks()), (0, 4));
        assert!(arena.expose_storage().iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_full_arena_refuses_and_changes_nothing() {
        let mut arena = arena(3);
        let two = arena.store(&[1; 2 * BLOCK]).unwrap();
        assert_eq!(arena.store(&[2; 2 * BLOCK]).unwrap_err(), Full);
        assert_eq!(arena.used_blocks(), 2);
        let one = arena.store(&[3; BLOCK]).unwrap();
        assert_eq!(arena.store(&[4; 1]).unwrap_err(), Full);
        assert_eq!(read(&arena, &two), vec![1; 2 * BLOCK]);
        assert_eq!(read(&arena, &one), vec![3; BLOCK]);
    }

    #[test]
    fn scattered_free_blocks_hold_what_one_piece_would() {
        let mut arena = arena(8);
        let mut chains: Vec<_> = (0..8).map(|n| arena.store(&[n + 1; BLOCK]).unwrap()).collect();
        for at in [6, 4, 2, 0] {
            arena.free(chains.remove(at));
        }
        let long: Vec<u8> = (0..4 * BLOCK).map(|i| (i / BLOCK) as u8 + 100).collect();
        let chain = arena.store(&long).unwrap();
        assert_eq!(read(&arena, &chain), long);
        for (chain, n) in chains.iter().zip([2, 4, 6, 8]) {
            assert_eq!(read(&arena, chain), vec![n; BLOCK]);
        }
    }

    #[test]
    fn clearing_overwrites_everything_and_gives_every_block_back() {
        let mut arena = arena(5);
        let first = arena.store(&[7; 2 * BLOCK]).unwrap();
        let _lost = arena.store(&[8; 2 * BLOCK]).unwrap();
        arena.free(first);
        arena.clear();
        assert!(arena.expose_storage().iter().all(|byte| *byte == 0));
        assert_eq!(arena.free_blocks(), 5);
        let all = arena.store(&[9; 5 * BLOCK]).unwrap();
        assert_eq!(read(&arena, &all), vec![9; 5 * BLOCK]);
    }

    #[test]
    fn nothing_takes_no_block() {
        let mut arena = arena(1);
        let chain = arena.store(&[]).unwrap();
        assert!(chain.is_empty());
        assert_eq!(arena.used_blocks(), 0);
        arena.free(chain);
        assert_eq!(arena.free_blocks(), 1);
    }

    /// Remembers what it was given back.
    struct Counted(Vec<u8>, Vec<Range<usize>>);

    impl AsRef<[u8]> for Counted {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    impl AsMut<[u8]> for Counted {
        fn as_mut(&mut self) -> &mut [u8] {
            &mut self.0
        }
    }

    impl Storage for Counted {
        fn give_back(&mut self, range: Range<usize>) {
            assert!(self.0[range.clone()].iter().all(|byte| *byte == 0), "what is given back is zero");
            self.1.push(range);
        }
    }

    #[test]
    fn what_is_freed_gives_its_memory_back_but_for_a_little() {
        const KEPT: usize = super::KEPT as usize;
        let mut arena = Arena::new(Counted(vec![0; 8 * KEPT * BLOCK], Vec::new()));
        let held = arena.store(&[1; BLOCK]).unwrap();
        let little = arena.store(&vec![2; KEPT * BLOCK]).unwrap();
        arena.free(little);
        assert!(arena.expose_storage().1.is_empty(), "a little is kept");
        let much = arena.store(&vec![3; (KEPT + 9) * BLOCK]).unwrap();
        arena.free(much);
        let given = core::mem::take(&mut arena.storage.1);
        assert_eq!(given.len(), 9);
        assert!(given.iter().all(|range| range.len() == BLOCK && range.start % BLOCK == 0));
        // What was given back is used again when the rest is.
        let all = arena.store(&vec![4; (8 * KEPT - 1) * BLOCK]).unwrap();
        assert_eq!(arena.free_blocks(), 0);
        assert_eq!(arena.pieces(&all).collect::<Vec<_>>().concat(), vec![4; (8 * KEPT - 1) * BLOCK]);
        assert_eq!(arena.pieces(&held).collect::<Vec<_>>().concat(), [1; BLOCK]);
        arena.clear();
        assert_eq!(arena.expose_storage().1.last(), Some(&(0..8 * KEPT * BLOCK)));
        assert!(arena.expose_storage().0.iter().all(|byte| *byte == 0));
    }

    mod model {
        use proptest::prelude::*;

        use super::*;

        proptest! {
            /// Beside a plain list of byte strings: the same contents, the same refusals, zeros elsewhere.
            #[test]
            fn the_arena_is_a_bounded_list_of_byte_strings(
                steps in proptest::collection::vec((any::<bool>(), 0_usize..5 * BLOCK, any::<prop::sample::Index>()), 1..80),
            ) {
                const BLOCKS: usize = 12;
                let mut arena = arena(BLOCKS);
                let mut model: Vec<(Chain, Vec<u8>)> = Vec::new();
                for (n, (store, len, which)) in steps.into_iter().enumerate() {
                    let used: usize = model.iter().map(|(_, bytes)| bytes.len().div_ceil(BLOCK)).sum();
                    if store {
                        let bytes = vec![(n % 255) as u8 + 1; len];
                        match arena.store(&bytes) {
                            Ok(chain) => {
                                prop_assert!(used + len.div_ceil(BLOCK) <= BLOCKS);
                                model.push((chain, bytes));
                            }
                            Err(Full) => prop_assert!(used + len.div_ceil(BLOCK) > BLOCKS),
                        }
                    } else if !model.is_empty() {
                        let at = which.index(model.len());
                        arena.free(model.swap_remove(at).0);
                    }
                    let mut held = 0;
                    for (chain, bytes) in &model {
                        prop_assert_eq!(&read(&arena, chain), bytes);
                        held += bytes.len();
                    }
                    let blocks: usize = model.iter().map(|(_, bytes)| bytes.len().div_ceil(BLOCK)).sum();
                    prop_assert_eq!(arena.used_blocks() as usize, blocks);
                    let nonzero = arena.expose_storage().iter().filter(|byte| **byte != 0).count();
                    prop_assert_eq!(nonzero, held);
                }
            }
        }
    }
}
