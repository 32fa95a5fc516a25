//! What is said about this process by the names that all programs have for it. Reads `/proc/self` only, which stays
//! visible under `ProcSubset=pid`; that does not tell when the process started, so it is handed in.

use std::time::Duration;

use super::{MetricReading, MetricValue};

/// When this process started, and its memory in bytes; without the latter where `/proc` is not mounted.
pub(super) fn figures(start_unix_ms: i64) -> Vec<MetricReading> {
    let memory =
        std::fs::read_to_string("/proc/self/status").map_or_else(|_| Vec::new(), |status| memory(&status));
    [start(start_unix_ms)].into_iter().chain(memory).collect()
}

fn start(unix_ms: i64) -> MetricReading {
    let since_1970 = Duration::from_millis(u64::try_from(unix_ms).unwrap_or(0));
    let help = "When the process started, in seconds since 1970";
    ("process_start_time_seconds", help, MetricValue::GaugeFloat(since_1970.as_secs_f64())).into()
}

fn memory(status: &str) -> Vec<MetricReading> {
    let bytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kibibytes.checked_mul(1024)
    };
    let figure = |name, help, key| bytes(key).map(|value| (name, help, MetricValue::Gauge(value)).into());
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
    fn start_is_in_seconds() {
        assert_eq!(start(1_552_815_000_250).value, MetricValue::GaugeFloat(1_552_815_000.25));
        assert_eq!(start(-1).value, MetricValue::GaugeFloat(0.0));
    }

    #[test]
    fn memory_reads_kibibytes_and_leaves_out_what_is_missing() {
        let figures = memory("Name:\ttallyd\nVmRSS:\t    2048 kB\nThreads:\t3\n");
        assert_eq!(figures.len(), 1);
        assert_eq!(figures[0].value, MetricValue::Gauge(2 * 1024 * 1024));
        assert!(memory("").is_empty());
        assert!(memory("VmRSS:\tmany kB\n").is_empty());
    }
}
