//! Where a client and the servers that it measures run. A request that wakes a thread on another core pays for that
//! many times what an answer costs, and which core the system chooses depends on next to nothing; so what is compared
//! is measured in the same place.

use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

use super::daemon::Server;

/// Who runs where.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// Wherever the system likes.
    Anywhere,
    /// All on one core.
    OneCore,
    /// The client on one core, the servers on another.
    TwoCores,
}

impl Placement {
    pub(crate) const ALL: [Self; 3] = [Self::Anywhere, Self::OneCore, Self::TwoCores];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Anywhere => "anywhere",
            Self::OneCore => "one core",
            Self::TwoCores => "two cores",
        }
    }

    /// Does the work with the calling thread and all threads of the servers placed so, and lets them go after it.
    pub(crate) fn with<T>(self, servers: &[&Server], work: impl FnOnce() -> T) -> T {
        let all = sched_getaffinity(None).expect("the cores of this thread");
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core));
        let first = cores.next().expect("a core");
        let second = cores.next().unwrap_or(first);
        let only = |core: usize| {
            let mut set = CpuSet::new();
            set.set(core);
            set
        };
        let (client, server) = match self {
            Self::Anywhere => (all, all),
            Self::OneCore => (only(first), only(first)),
            Self::TwoCores => (only(first), only(second)),
        };
        place(servers, &client, &server);
        let outcome = work();
        place(servers, &all, &all);
        outcome
    }
}

fn place(servers: &[&Server], client: &CpuSet, server: &CpuSet) {
    sched_setaffinity(None, client).expect("a thread may be placed");
    for thread in servers.iter().flat_map(|server| server.threads()) {
        // It may have ended since.
        if sched_setaffinity(Pid::from_raw(thread), server).is_err() {}
    }
}
