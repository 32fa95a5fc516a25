//! A simulated bot platform: its stories, their traffic over the week, and the lines that it sends. Pure: the same seed
//! and the same times give the same lines. Knows nothing of sockets.

use std::io::Write as _;

use crate::limits::{narrow, wide};
use crate::model::calendar::Hour;
use crate::model::event::Source;
use crate::platform::random::SeededRandom;

/// One bot of the platform.
#[derive(Debug)]
pub(crate) struct DemoStory {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    /// Conversations in an average hour of an average day, by source.
    sources: &'static [(Source, u64)],
    /// Its interactions: id, name, how often one is used compared with the others.
    nodes: &'static [(&'static str, &'static str, u64)],
    /// Conversations of a hundred that are billed.
    paid_percent: u64,
}

/// Every bot of the platform.
pub(crate) const STORIES: [DemoStory; 4] = [
    DemoStory {
        id: "5b07ffafc2376e30306d9b16",
        name: "Pizza orders",
        sources: &[(Source::Messenger, 12), (Source::Widget, 7), (Source::App, 4)],
        nodes: &[
            ("5b07ffafc2376e30306d9b17", "Choose a pizza", 10),
            ("5b07ffafc2376e30306d9b18", "Delivery address", 8),
            ("5b07ffafc2376e30306d9b19", "Pay", 6),
            ("5b07ffafc2376e30306d9b1a", "Where is my order?", 3),
        ],
        paid_percent: 60,
    },
    DemoStory {
        id: "5c1a6b20e4b0a1d2c3f40001",
        name: "Help desk",
        sources: &[(Source::Livechat3, 9), (Source::Livechat, 2), (Source::Slack, 3)],
        nodes: &[
            ("5c1a6b20e4b0a1d2c3f40011", "Reset a password", 9),
            ("5c1a6b20e4b0a1d2c3f40012", "Talk to a person", 5),
            ("5c1a6b20e4b0a1d2c3f40013", "Invoice copy", 2),
        ],
        paid_percent: 25,
    },
    DemoStory {
        id: "5d2e7c31f5c1b2e3d4a50002",
        name: "Hotel booking",
        sources: &[(Source::Widget, 5), (Source::App, 3), (Source::Messenger, 2)],
        nodes: &[
            ("5d2e7c31f5c1b2e3d4a50021", "Dates", 8),
            ("5d2e7c31f5c1b2e3d4a50022", "Room", 6),
            ("5d2e7c31f5c1b2e3d4a50023", "Breakfast", 2),
            ("5d2e7c31f5c1b2e3d4a50024", "Cancel a booking", 1),
        ],
        paid_percent: 40,
    },
    DemoStory {
        id: "5e3f8d42a6d2c3f4e5b60003",
        name: "Stand-up reminder",
        sources: &[(Source::Slack, 2), (Source::Custom, 1)],
        nodes: &[
            ("5e3f8d42a6d2c3f4e5b60031", "What did you do?", 4),
            ("5e3f8d42a6d2c3f4e5b60032", "Snooze", 3),
        ],
        paid_percent: 0,
    },
];

/// How busy each hour of the day is, in percent of the average, in UTC.
const DAY_PERCENT: [u64; 24] = [
    30, 20, 12, 10, 10, 15, 30, 60, 100, 130, 145, 160, 190, 170, 140, 130, 130, 150, 190, 210, 180, 130, 90,
    60,
];
/// How busy each weekday is, in percent of the average, from Sunday.
const WEEK_PERCENT: [u64; 7] = [80, 95, 100, 100, 105, 120, 100];
/// Messages in a conversation, on average, in thousandths.
const MESSAGES_THOUSANDTHS: u64 = 6_400;
/// Of a hundred messages, how many are answers of an interaction, of its fallback, of the story's fallback.
const ANSWERS_PERCENT: (u64, u64, u64) = (45, 3, 2);
/// Live traffic is this many times that of the history, so that there is something to see.
const LIVE_FACTOR: u64 = 200;
const MS_PER_HOUR: u64 = 3_600_000;

/// The platform, as far along as the lines it has given.
#[derive(Clone, Debug)]
pub(crate) struct Platform {
    random: SeededRandom,
}

/// When and how often something happened.
#[derive(Clone, Copy)]
struct Mark {
    unix_nanos: i64,
    count: u64,
}

impl Platform {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { random: SeededRandom::new(seed) }
    }

    /// Appends the lines that make every story and interaction known by its name. They count nothing.
    pub(crate) fn introduce(out: &mut Vec<u8>) {
        for story in &STORIES {
            let Some((source, _)) = story.sources.first() else { continue };
            let head = format!("storyId={},source={}", story.id, source.as_str());
            write(out, format_args!("message,{head} count=0i,storyName=\"{}\"\n", story.name));
            for (id, name, _) in story.nodes {
                write(out, format_args!("interaction,{head},id={id} count=0i,name=\"{name}\"\n"));
            }
        }
    }

    /// Appends the events of an hour, one line per counter. Returns the number of lines.
    pub(crate) fn past_hour(&mut self, hour: Hour, out: &mut Vec<u8>) -> u64 {
        let percent = busy_percent(hour);
        let unix_nanos = hour.unix_seconds().saturating_mul(1_000_000_000);
        let mut lines = 0;
        for story in &STORIES {
            for (source, per_hour) in story.sources {
                // Conversations in thousandths: per hour × 1000 × percent of the hour / 100.
                let count = self.about(per_hour * 10 * percent);
                lines += self.conversations(story, *source, Mark { unix_nanos, count }, out);
            }
        }
        lines
    }

    /// Appends the live events of the `elapsed_ms` before `unix_nanos`. Returns the number of lines.
    pub(crate) fn live(&mut self, unix_nanos: i64, elapsed_ms: u64, out: &mut Vec<u8>) -> u64 {
        let percent = Hour::containing(unix_nanos.div_euclid(1_000_000_000)).map_or(100, busy_percent);
        let mut lines = 0;
        for story in &STORIES {
            for (source, per_hour) in story.sources {
                let thousandths =
                    per_hour * 10 * percent * LIVE_FACTOR * elapsed_ms.min(MS_PER_HOUR) / MS_PER_HOUR;
                for _ in 0..self.about(thousandths) {
                    lines += self.conversations(story, *source, Mark { unix_nanos, count: 1 }, out);
                }
            }
        }
        lines
    }

    /// Appends conversations of one story on one source, with their messages and interactions.
    fn conversations(&mut self, story: &DemoStory, source: Source, mark: Mark, out: &mut Vec<u8>) -> u64 {
        let Mark { unix_nanos, count } = mark;
        if count == 0 {
            return 0;
        }
        let head = format!("storyId={},source={}", story.id, source.as_str());
        let mut lines = 0;
        let mut line = |text: std::fmt::Arguments<'_>, count: u64| {
            if count > 0 {
                write(out, format_args!("{text} {unix_nanos}\n"));
                lines += 1;
            }
        };
        let paid = self.about(count * story.paid_percent * 10).min(count);
        line(format_args!("conversation,{head} count={paid}i,paid=true"), paid);
        line(format_args!("conversation,{head} count={}i", count - paid), count - paid);
        line(format_args!("interaction,{head},type=welcome count={count}i"), count);
        let messages = self.about(count * MESSAGES_THOUSANDTHS).max(1);
        line(format_args!("message,{head} count={messages}i"), messages);
        let (answers, context_fallbacks, fallbacks) = ANSWERS_PERCENT;
        let weights: u64 = story.nodes.iter().map(|(.., weight)| weight).sum();
        for (id, _, weight) in story.nodes {
            let uses = self.about(messages * answers * 10 * weight / weights);
            line(format_args!("interaction,{head},id={id} count={uses}i"), uses);
            let failed = self.about(messages * context_fallbacks * 10 * weight / weights);
            line(
                format_args!("interaction,{head},type=contextFallback,parentId={id} count={failed}i"),
                failed,
            );
        }
        let failed = self.about(messages * fallbacks * 10);
        line(format_args!("interaction,{head},type=fallback count={failed}i"), failed);
        lines
    }

    /// About `thousandths` / 1000, give or take 30 %, rounded up or down at random so that the mean holds.
    fn about(&mut self, thousandths: u64) -> u64 {
        let varied = thousandths.saturating_mul(700 + wide(self.random.below(601))) / 1_000;
        varied / 1_000 + u64::from(wide(self.random.below(1_000)) < varied % 1_000)
    }
}

/// How busy the hour is, in percent of the average.
fn busy_percent(hour: Hour) -> u64 {
    let hour = narrow(hour.get());
    let of_day = DAY_PERCENT.get(hour % 24).copied().unwrap_or(100);
    // 1970-01-01 was a Thursday, day 4 from Sunday.
    let of_week = WEEK_PERCENT.get((hour / 24 + 4) % 7).copied().unwrap_or(100);
    of_day * of_week / 100
}

fn write(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a Vec cannot fail.
    if out.write_fmt(text).is_err() {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::ObjectId;

    /// 2019-03-18T12:00Z, a Monday.
    const NOON: Hour = Hour::new(431_388);

    fn past(seed: u64, hour: Hour) -> String {
        let mut out = Vec::new();
        let lines = Platform::new(seed).past_hour(hour, &mut out);
        let text = String::from_utf8(out).expect("text");
        assert_eq!(u64::try_from(text.lines().count()).expect("a number"), lines);
        text
    }

    fn total(text: &str, measurement: &str) -> u64 {
        text.lines()
            .filter(|line| line.starts_with(measurement))
            .map(|line| line.split("count=").nth(1).expect("a count").split('i').next().expect("digits"))
            .map(|digits| digits.parse::<u64>().expect("a number"))
            .sum()
    }

    #[test]
    fn ids_are_ids_and_differ() {
        let mut ids: Vec<&str> = STORIES.iter().map(|story| story.id).collect();
        ids.extend(STORIES.iter().flat_map(|story| story.nodes.iter().map(|(id, ..)| *id)));
        assert!(ids.iter().all(|id| ObjectId::parse(id.as_bytes()).is_some()), "{ids:?}");
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }

    #[test]
    fn same_seed_gives_the_same_lines() {
        assert_eq!(past(3, NOON), past(3, NOON));
        assert_ne!(past(3, NOON), past(4, NOON));
    }

    #[test]
    fn noon_is_busier_than_the_night_and_messages_outnumber_conversations() {
        let (noon, night) = (past(1, NOON), past(1, Hour::new(NOON.get() - 9)));
        assert!(total(&noon, "conversation") > 3 * total(&night, "conversation"));
        assert!(total(&noon, "message") > 3 * total(&noon, "conversation"));
    }

    #[test]
    fn live_lines_carry_their_time_and_count_one_by_one() {
        let mut out = Vec::new();
        let mut platform = Platform::new(1);
        let unix_nanos = NOON.unix_seconds() * 1_000_000_000 + 5;
        let lines: u64 = (0..20).map(|_| platform.live(unix_nanos, 250, &mut out)).sum();
        assert!((20..2_000).contains(&lines), "{lines}");
        let text = String::from_utf8(out).expect("text");
        assert!(text.lines().all(|line| line.ends_with(&format!(" {unix_nanos}"))), "{text}");
        assert!(
            text.lines()
                .filter(|line| line.starts_with("conversation"))
                .all(|line| line.contains("count=1i"))
        );
    }

    #[test]
    fn introduction_counts_nothing_and_names_everything() {
        let mut out = Vec::new();
        Platform::introduce(&mut out);
        let text = String::from_utf8(out).expect("text");
        assert!(text.lines().all(|line| line.contains(" count=0i,")), "{text}");
        assert_eq!(text.matches("storyName=").count(), STORIES.len());
    }

    #[test]
    fn about_keeps_the_mean_even_below_one() {
        let mut platform = Platform::new(1);
        let sum: u64 = (0..100_000).map(|_| platform.about(250)).sum();
        assert!((24_000..26_000).contains(&sum), "{sum}");
        assert_eq!(platform.about(0), 0);
    }
}
