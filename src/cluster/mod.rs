//! Several daemons that count as one: each reads the same log of messages, so that all have the same numbers. This room
//! holds the decisions, which are pure and synchronous: what a message says, which copies of it count, who has read the same,
//! what is sent again. It must not know HTTP, line syntax, the formats on disk, or which log it is.
//!
//! INVARIANT: what is decided depends on the log and on what was read before alone, never on the clock or the configuration of
//! the daemon that decides; so all decide the same.

pub mod chain;
mod codes;
pub mod digest;
pub mod follow;
pub mod gather;
pub mod marks;
pub mod member;
pub mod message;
pub mod position;
pub mod publish;
