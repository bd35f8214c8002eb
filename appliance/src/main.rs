//! The daemon `bulle`: see the library of this package.
#![forbid(unsafe_code)]

/// Whatever passes through the heap is overwritten when it is freed.
#[global_allocator]
static ALLOCATOR: appliance::memory::Overwriting = appliance::memory::Overwriting;

fn main() -> std::process::ExitCode {
    appliance::cli::main()
}
