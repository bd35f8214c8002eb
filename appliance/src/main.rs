//! The daemon `bulle`: see the library of this package.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    appliance::cli::main()
}
