//! What the counters say of their memory against what the process takes. Alone in its file, so that no other test
//! allocates meanwhile.
#![expect(clippy::unwrap_used, reason = "noise in tests")]

use tallyd::model::batch::{Increment, SeriesId};
use tallyd::model::calendar::Hour;
use tallyd::model::counters::{Counters, Writer};
use tallyd::model::event::{Metric, ObjectId, SeriesKey, Source, StoryId};

/// 2019-01-01.
const START: u32 = 429_528;

/// Bytes of the process that are in memory.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() * 1024
}

/// Adds counts to so many series: each in `hours` hours, `step` apart.
fn count(writer: &mut Writer, series: std::ops::Range<u32>, (hours, step): (u32, u32)) {
    let key = SeriesKey {
        story: StoryId(ObjectId::parse(b"5b07ffafc2376e30306d9b16").unwrap()),
        source: Source::App,
        metric: Metric::Messages,
    };
    series.clone().for_each(|id| writer.define(SeriesId::new(id), &key));
    let series: Vec<u32> = series.collect();
    for hour in (0..hours).map(|hour| Hour::new(START + hour * step)) {
        for some in series.chunks(1_000) {
            let increments =
                some.iter().map(|&id| Increment { series: SeriesId::new(id), hour, count: 1 + id % 300 });
            writer.add(&increments.collect::<Vec<_>>());
        }
    }
}

#[test]
fn memory_bytes_are_within_a_tenth_of_what_the_process_takes() {
    let (counters, mut writer) = Counters::new();
    // The buffers of the test and of the writer, before anything is measured.
    count(&mut writer, 24..60_024, (1, 1));
    let mut end = 60_024;
    let (resident_before, counted_before) = (resident_bytes(), counters.memory_bytes());
    // Few cells, cells that are not packed, months that are, and cells all over the years.
    for (series, hours) in [(100_000, (2, 5)), (60_000, (12, 1)), (15_000, (100, 2)), (10_000, (60, 900))] {
        count(&mut writer, end..end + series, hours);
        end += series;
        let (resident, counted) =
            (resident_bytes() - resident_before, counters.memory_bytes() - counted_before);
        assert!(
            counted.abs_diff(resident) * 10 <= resident,
            "{series} series: {counted} for {resident} bytes"
        );
    }
}
