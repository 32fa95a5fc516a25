//! The log that several daemons share, as the network has it: where it is, what is asked of it, and the connection to it. What is made
//! of the log is decided in [`cluster`](crate::cluster).

pub mod address;
#[cfg(feature = "cluster")]
mod api;
#[cfg(feature = "cluster")]
pub mod genesis;
pub mod link;
#[cfg(feature = "cluster")]
pub mod nats;
#[cfg(feature = "cluster")]
mod stream;
