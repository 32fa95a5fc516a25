//! From bytes to events: whole lines ([`block`]), the grammar of line protocol ([`mod@line`]), JSON ([`json`]), and what
//! tallyd makes of either ([`rules`], shared by both). Pure: knows no files, maps, sockets, and never asks for the
//! time of day; the caller hands it the instant of arrival ([`Arrival`]).
//!
//! INVARIANT: no input can panic here, and one bad line is one [`LineError`], whatever its neighbours are.
#![warn(clippy::arithmetic_side_effects)]

pub mod block;
pub mod error;
pub mod json;
pub mod line;
pub mod rules;
#[cfg(test)]
mod tests;
mod time;
mod value;

pub use error::{LineError, LineErrorKind};
pub use rules::Reading;
pub use time::{Arrival, Precision, TimeRules};
pub use value::Value;
