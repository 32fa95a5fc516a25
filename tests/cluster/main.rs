#![cfg(feature = "cluster")]
#![expect(
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may fail by panic, and says where it is left out"
)]
//! Several daemons that share a log in real servers. The tests that need those are left out where `TALLYD_LOG_SERVER` does not name their
//! program, which `.ci/run` fetches.

// First, since it mostly waits while others run.
mod absences;
mod access;
mod cuts;
mod drivers;
mod grown;
mod hosts;
mod kills;
mod link;
mod load;
mod losses;
mod nodes;
mod page;
mod ready;
mod seed;
mod servers;
mod stops;
#[path = "../support/mod.rs"]
mod support;
mod together;
