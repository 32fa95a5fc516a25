//! What asks the operating system: the disk, the clock, signals to stop, the service manager, the log, its
//! time-zone files.
//! Knows nothing of events, counters or requests.

pub mod clock;
pub mod descriptors;
pub mod disk;
pub mod logging;
pub mod memory;
pub mod shutdown;
pub mod systemd;
pub mod zoneinfo;
