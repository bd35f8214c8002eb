//! Memory that holds envelopes: outside the heap, out of core dumps, and kept from the swap where that is allowed.
//! And the heap, through which they pass on their way: what is freed there is overwritten.
//!
//! The one module with `unsafe`. What it is not: protection from the kernel.
//! Invariant: [`Arena`] is the only owner of its mapping, which is readable and writable for as long as it lives.
#![allow(unsafe_code)]

use base::Storage;
use nix::libc;
use nix::sys::mman::{self, MapFlags, MmapAdvise, ProtFlags};
use nix::sys::resource::{self, Resource};
use std::alloc::{GlobalAlloc, Layout, System};
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

/// The allocator of the system, except that whatever is freed is overwritten first: the buffers of TLS and WebSocket
/// hold envelopes, addresses and credentials for a moment, and most belong to libraries that forget them as they are.
///
/// Growing moves, since nobody knows what the system leaves behind when it moves memory by itself.
#[derive(Debug)]
pub struct Overwriting;

// SAFETY: every call goes to the allocator of the system with what our caller promised for it; what is freed is written
// to once more before, while it still belongs to the caller, and within the size it was allocated with.
unsafe impl GlobalAlloc for Overwriting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: `start` was allocated with this layout and is the caller's until it is freed below. Bytes that were
        // never written are written now, and only then looked at as bytes.
        unsafe {
            start.write_bytes(0, layout.size());
            // Without this the compiler would leave out a write to what is freed.
            zeroize::optimization_barrier(std::slice::from_raw_parts(start, layout.size()));
            System.dealloc(start, layout);
        }
    }
}

/// Gives back to the system what the heap keeps at hand, for instance of sessions that are over.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it touches nothing but what is free.
    unsafe {
        libc::malloc_trim(0);
    }
}

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
    fn what_the_heap_frees_is_overwritten() {
        // Large enough that the system gives it back only when it is told to, and small enough that it stays mapped.
        let layout = Layout::from_size_align(64 * 1024, 16).expect("a layout");
        // SAFETY: allocated and freed with one layout, and written within it.
        let start = unsafe {
            let start = Overwriting.alloc(layout);
            start.write_bytes(0xc5, layout.size());
            Overwriting.dealloc(start, layout);
            start as usize
        };
        // Read from outside, as somebody who searches would; the allocator has put its own notes at the beginning.
        let mut memory = std::fs::File::open("/proc/self/mem").expect("own memory");
        let mut bytes = vec![0; layout.size() - 64];
        std::io::Seek::seek(&mut memory, std::io::SeekFrom::Start(start as u64 + 64)).expect("there");
        if std::io::Read::read_exact(&mut memory, &mut bytes).is_ok() {
            assert!(!bytes.windows(16).any(|piece| piece == [0xc5; 16]));
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
