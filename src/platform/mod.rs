//! The operating system: the disk, the clock, the shutdown, the service manager, the log, memory, descriptors, inherited
//! sockets and time-zone files.
//! Knows nothing of events, counters or requests.

pub mod clock;
pub mod descriptors;
pub mod disk;
pub mod inherited;
pub mod logging;
pub mod memory;
pub(crate) mod random;
pub mod shutdown;
pub mod systemd;
pub mod zoneinfo;
