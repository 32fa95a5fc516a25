#![cfg_attr(
    feature = "cluster",
    expect(
        clippy::indexing_slicing,
        clippy::expect_used,
        clippy::panic,
        clippy::unwrap_used,
        clippy::print_stderr,
        reason = "a test may fail by panic, and says where it is left out"
    )
)]
//! Several daemons that share a log in real servers. The tests that need those are left out where `TALLYD_LOG_SERVER` does not name their
//! program, which `.ci/run` fetches.

// First, since it mostly waits while others run.
#[cfg(feature = "cluster")]
mod absences;
#[cfg(feature = "cluster")]
mod access;
#[cfg(feature = "cluster")]
mod cuts;
#[cfg(feature = "cluster")]
mod drivers;
#[cfg(feature = "cluster")]
mod grown;
#[cfg(feature = "cluster")]
mod hosts;
#[cfg(feature = "cluster")]
mod kills;
#[cfg(feature = "cluster")]
mod link;
#[cfg(feature = "cluster")]
mod load;
#[cfg(feature = "cluster")]
mod losses;
#[cfg(feature = "cluster")]
mod nodes;
#[cfg(feature = "cluster")]
mod page;
#[cfg(feature = "cluster")]
mod ready;
#[cfg(feature = "cluster")]
mod seed;
#[cfg(feature = "cluster")]
mod servers;
#[cfg(feature = "cluster")]
mod stops;
#[cfg(feature = "cluster")]
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "cluster")]
mod together;
