//! The HTTP port over a real socket and a real store: what clients see, byte for byte where it matters.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first surprise"
)]

mod access;
mod backup;
mod bounds;
mod cors;
mod guessing;
mod keys;
mod limited;
mod memory;
mod monitoring;
mod openapi;
mod packed;
mod quick;
mod reads;
mod retention;
mod stories;
mod streams;
mod support;
mod tags;
mod undo;
mod writes;
