//! The two ports: HTTP and lines over TCP, who may use them, and the figures that they keep.
//! Knows nothing of files; what it takes goes to the store, what it answers comes from reports.

pub mod auth;
pub mod http;
pub mod metrics;
mod pause;
pub mod tcp;
