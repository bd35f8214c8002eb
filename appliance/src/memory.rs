//! Memory that holds envelopes: outside the heap, out of core dumps, and kept from the swap where that is allowed.
//!
//! The one module with `unsafe`. What it is not: an allocator, or protection from the kernel.
//! Invariant: [`Arena`] is the only owner of its mapping, which is readable and writable for as long as it lives.
#![allow(unsafe_code)]

use base::Storage;
use nix::libc;
use nix::sys::mman::{self, MapFlags, MmapAdvise, ProtFlags};
use nix::sys::resource::{self, Resource};
use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::ptr::NonNull;

/// A region of zeros that belongs to nobody else.
#[derive(Debug)]
pub struct Arena {
    start: NonNull<c_void>,
    len: usize,
    locked: bool,
}

impl Arena {
    /// Reserves `len` bytes. Pages are taken when they are first written.
    ///
    /// # Errors
    /// When the system has no address space for it.
    pub fn new(len: NonZeroUsize) -> std::io::Result<Self> {
        // SAFETY: no address is asked for, so the new mapping overlaps nothing.
        let start = unsafe {
            mman::mmap_anonymous(
                None,
                len,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE,
            )
        }?;
        let len = len.get();
        // SAFETY: the range is the mapping made above; the advice changes nothing that a reader could see.
        let _ = unsafe { mman::madvise(start, len, MmapAdvise::MADV_DONTDUMP) };
        // SAFETY: the range is the mapping made above. Locking on the first touch keeps the start quick.
        let locked = unsafe { libc::mlock2(start.as_ptr(), len, libc::MLOCK_ONFAULT) } == 0;
        Ok(Self { start, len, locked })
    }

    /// Whether it is kept from the swap.
    #[must_use]
    pub const fn is_locked(&self) -> bool {
        self.locked
    }
}

impl AsRef<[u8]> for Arena {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `start` is valid for `len` initialised bytes (an anonymous mapping reads as zeros), and the
        // shared borrow of self keeps writers away.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().cast(), self.len) }
    }
}

impl Storage for Arena {
    fn give_back(&mut self, range: Range<usize>) {
        let range = range.start.min(self.len)..range.end.min(self.len);
        // SAFETY: the range lies inside our own mapping, which the exclusive borrow of self keeps everybody else away
        // from. It is anonymous and private, so that its pages read as zeros afterwards, which they are already.
        unsafe {
            // Locked pages need a word of their own, since Linux 5.18; an older one keeps them, zero as they are.
            let start = self.start.as_ptr().cast::<u8>().add(range.start).cast();
            let advice = if self.locked { libc::MADV_DONTNEED_LOCKED } else { libc::MADV_DONTNEED };
            libc::madvise(start, range.len(), advice);
        }
    }
}

impl AsMut<[u8]> for Arena {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; the exclusive borrow of self keeps everybody else away.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().cast(), self.len) }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // What was never written is zero already, and touching it would take pages: the owner wipes what it
        // wrote, and the kernel gives pages to nobody else before they are cleared.
        // SAFETY: the range is our own mapping, and nobody can use it after this.
        let _ = unsafe { mman::munmap(self.start, self.len) };
    }
}

// SAFETY: the mapping belongs to this value alone and is bound to no thread.
unsafe impl Send for Arena {}
// SAFETY: shared access only reads.
unsafe impl Sync for Arena {}

/// What could not be done to keep memory private.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hardening {
    /// Core dumps are still possible.
    pub core_dumps: bool,
    /// Other processes of this user can still attach.
    pub attachable: bool,
}

/// Forbids core dumps and attaching debuggers, and raises the number of open files as far as is allowed.
#[must_use]
pub fn harden() -> Hardening {
    if let Ok((_, hard)) = resource::getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = resource::setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    Hardening {
        core_dumps: resource::setrlimit(Resource::RLIMIT_CORE, 0, 0).is_err(),
        attachable: nix::sys::prctl::set_dumpable(false).is_err(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arena_starts_as_zeros_and_keeps_what_is_written() {
        let mut arena = Arena::new(NonZeroUsize::new(1 << 20).expect("not zero")).expect("a mapping");
        assert!(arena.as_ref().iter().all(|byte| *byte == 0));
        arena.as_mut()[4095..4097].fill(7);
        assert_eq!(arena.as_ref().iter().filter(|byte| **byte == 7).count(), 2);
        assert_eq!(arena.as_ref().len(), 1 << 20);
    }

    /// The KiB of its mapping that are in memory.
    fn resident(arena: &Arena) -> u64 {
        let maps = std::fs::read_to_string("/proc/self/smaps").expect("smaps");
        let start = format!("{:x}-", arena.as_ref().as_ptr() as usize);
        let mut lines = maps.lines().skip_while(|line| !line.starts_with(&start));
        let line = lines.find(|line| line.starts_with("Rss:")).expect("a size");
        line.split_ascii_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
    }

    #[test]
    fn what_is_given_back_is_no_longer_in_memory_and_reads_as_zeros() {
        // Locked, where the limit of this process lets us, and not: both ways have to work.
        for len in [1 << 20, 1 << 36] {
            let mut arena = Arena::new(NonZeroUsize::new(len).expect("not zero")).expect("a mapping");
            arena.as_mut()[..1 << 20].fill(7);
            assert!(resident(&arena) >= 1024);
            arena.as_mut()[..1 << 20].fill(0);
            arena.give_back(4096..1 << 20);
            assert!(
                resident(&arena) <= 8,
                "{} KiB of {len}, locked: {}",
                resident(&arena),
                arena.is_locked()
            );
            assert!(arena.as_ref()[..1 << 20].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn an_arena_is_left_out_of_core_dumps() {
        let arena = Arena::new(NonZeroUsize::new(1 << 20).expect("not zero")).expect("a mapping");
        let maps = std::fs::read_to_string("/proc/self/smaps").expect("smaps");
        let start = format!("{:x}-", arena.as_ref().as_ptr() as usize);
        let flags = maps
            .lines()
            .skip_while(|line| !line.starts_with(&start))
            .find(|line| line.starts_with("VmFlags:"));
        assert!(flags.is_some_and(|flags| flags.contains(" dd")), "{flags:?}");
    }
}
