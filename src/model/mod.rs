//! The counts and their model in memory: events, the calendar, the catalogue, cells, counters, batches.
//! Pure and synchronous: knows no file, no socket and no time of day.

pub mod batch;
pub mod calendar;
pub mod catalogue;
pub mod cells;
pub mod counters;
pub mod event;
pub mod excerpt;
pub(crate) mod hash;
pub(crate) mod key_bytes;
pub mod memory;
pub(crate) mod named;
mod prefetch;
pub mod story_set;
mod table;
pub(crate) mod varint;
