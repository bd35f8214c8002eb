//! The benches and their peers: what Bulle costs, beside what others and the bare minimum cost.
//!
//! Every figure is a median of several rounds, and peers run in the same rounds, one after the other, so that
//! ratios carry over to other machines where absolute figures do not. `docs/performance.md` names the goals.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "benches speak to whoever waits for them")]

pub mod benches;
pub mod contenders;
pub mod http;
pub mod netns;
pub mod node;
pub mod pairs;
pub mod peers;
pub mod pki;
pub mod process;
pub mod report;
pub mod sessions;
pub mod turn;
