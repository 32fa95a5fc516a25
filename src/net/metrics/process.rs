//! What the kernel says about this process. Reads `/proc/self` only, which stays visible under `ProcSubset=pid`.

use super::{MetricReading, MetricValue};

/// Memory of this process, in bytes; empty where `/proc` is not mounted.
pub(super) fn figures() -> Vec<MetricReading> {
    std::fs::read_to_string("/proc/self/status").map_or_else(|_| Vec::new(), |status| memory(&status))
}

fn memory(status: &str) -> Vec<MetricReading> {
    let bytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kibibytes.checked_mul(1024)
    };
    let figure = |name, help, key| {
        bytes(key).map(|value| MetricReading { name, help, value: MetricValue::Gauge(value) })
    };
    [
        figure("process_resident_memory_bytes", "Memory of the process that is in RAM", "VmRSS:"),
        figure("process_resident_memory_peak_bytes", "Most memory of the process that was in RAM", "VmHWM:"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_reads_kibibytes_and_leaves_out_what_is_missing() {
        let figures = memory("Name:\ttallyd\nVmRSS:\t    2048 kB\nThreads:\t3\n");
        assert_eq!(figures.len(), 1);
        assert_eq!(figures[0].value, MetricValue::Gauge(2 * 1024 * 1024));
        assert!(memory("").is_empty());
        assert!(memory("VmRSS:\tmany kB\n").is_empty());
    }
}
