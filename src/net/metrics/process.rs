//! What the kernel says about this process. Reads `/proc/self` only, which stays visible under `ProcSubset=pid`.

use super::{Figure, Value};

/// Memory of this process, in bytes; empty where `/proc` is not mounted.
pub(super) fn figures() -> Vec<Figure> {
    std::fs::read_to_string("/proc/self/status").map_or_else(|_| Vec::new(), |status| memory(&status))
}

fn memory(status: &str) -> Vec<Figure> {
    let bytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kibibytes.checked_mul(1024)
    };
    let figure = |name, help, key| bytes(key).map(|value| Figure { name, help, value: Value::Gauge(value) });
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
        assert_eq!(figures[0].value, Value::Gauge(2 * 1024 * 1024));
        assert!(memory("").is_empty());
        assert!(memory("VmRSS:\tmany kB\n").is_empty());
    }
}
