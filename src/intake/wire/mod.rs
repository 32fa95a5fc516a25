//! From bytes to events: whole lines ([`block`]), both grammars complete ([`full`]) and the fast path of both beside them
//! ([`fast`]). Pure: knows no files, maps, sockets, and never asks for the time of day; the caller passes the instant of
//! arrival ([`Arrival`]).
//!
//! INVARIANT: no input can panic here, and one bad line is one [`LineError`], whatever its neighbours are.
#![warn(clippy::arithmetic_side_effects)]

pub mod block;
pub mod error;
pub(crate) mod fast;
pub mod full;
#[cfg(test)]
mod tests;
mod time;

pub use error::{LineError, LineErrorKind};
pub use full::rules::Reading;
pub use full::value::FieldValue;
pub use full::{json, line};
pub use time::{Arrival, Precision, Stamp, TimeRules};
