//! From bytes to batches: `wire` knows the two grammars and gives events, `batching` makes batches of increments of
//! them. Pure and synchronous: knows no socket, no file and no time of day.

pub mod batching;
pub mod wire;
