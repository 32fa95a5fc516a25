//! The daemon as its users meet it: real processes, real sockets, answers compared with a plain model.
//! Nothing here uses tallyd's own code, so that no mistake can be made twice in the same way.
#![expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::format_collect,
    clippy::format_push_string,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "tests end where they go wrong, and print their seeds"
)]

mod against_model;
mod crash;
mod daemon;
mod events;
mod examples;
mod http;
mod model;
mod queries;
mod random;
mod restarts;
mod retries;
