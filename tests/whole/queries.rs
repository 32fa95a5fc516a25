//! Random requests for reports, as the model understands them and as the daemon is asked.

use super::events::{SOURCES, id};
use super::model::{Query, Unit, Zone};
use super::random::Random;

pub(crate) const SERIES: [&str; 4] =
    ["conversations", "conversations.paid", "conversations.messages", "conversations.average"];
const ZONES: [chrono_tz::Tz; 8] = [
    chrono_tz::Europe::Warsaw,
    chrono_tz::America::New_York,
    chrono_tz::Asia::Kolkata,
    chrono_tz::Asia::Kathmandu,
    chrono_tz::America::Sao_Paulo,
    chrono_tz::Australia::Adelaide,
    chrono_tz::Pacific::Kiritimati,
    chrono_tz::Asia::Beirut,
];

/// A report, what the model is asked, and what the daemon is asked.
pub(crate) struct Asked {
    pub(crate) report: &'static str,
    pub(crate) query: Query,
    pub(crate) target: String,
}

pub(crate) fn random_query(random: &mut Random, stories: u64) -> Asked {
    let report = match random.below(8) {
        0 => "busiest-period",
        1 => "interactions.popularity",
        _ => *random.pick(&SERIES),
    };
    let mut parameters = Vec::new();
    let zone = random_zone(random, &mut parameters);
    let series = SERIES.contains(&report);
    let dimension = if series {
        *random.pick(&[Unit::Hour, Unit::Day, Unit::Day, Unit::Month, Unit::Year])
    } else {
        Unit::Day
    };
    let (from, to) = random_range(random, dimension, zone, &mut parameters);
    if series {
        push_dimension(random, dimension, &mut parameters);
    }
    let group = if series && random.one_in(3) { Some(*random.pick(&["source", "storyId"])) } else { None };
    if let Some(group) = group {
        parameters.push(("group".to_owned(), group.to_owned()));
    }
    let sources = random_sources(random, &mut parameters);
    let chosen = random_stories(random, stories, series, &mut parameters);
    let mut limit = 1_000;
    if (group.is_some() || report == "interactions.popularity") && random.one_in(3) {
        limit = usize::try_from(random.between(1, 6)).unwrap();
        parameters.push(("limit".to_owned(), limit.to_string()));
    }
    let query: Vec<String> = parameters.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let version = if random.one_in(4) { "/v2" } else { "" };
    Asked {
        report,
        query: Query { from, to, dimension, group, sources, stories: chosen, zone, limit },
        target: format!("{version}/reports/{report}?{}", query.join("&")),
    }
}

type Parameters = Vec<(String, String)>;

fn random_zone(random: &mut Random, parameters: &mut Parameters) -> Zone {
    match random.below(3) {
        0 => {
            let zone = *random.pick(&ZONES);
            parameters.push(("timezone".to_owned(), zone.name().replace('/', "%2F")));
            Zone::Named(zone)
        }
        1 => {
            let minutes = *random.pick(&[-720, -345, -300, -60, 0, 60, 120, 330, 345, 720]);
            parameters.push(("offset".to_owned(), minutes.to_string()));
            Zone::Minutes(minutes)
        }
        _ => Zone::Minutes(0),
    }
}

/// A range of at most about 2,000 units within 2018 … 2021, its ends written in one of three ways.
fn random_range(random: &mut Random, dimension: Unit, zone: Zone, parameters: &mut Parameters) -> (i64, i64) {
    let days_max = if dimension == Unit::Hour { 40 } else { 700 };
    let from = random.between(1_545_000_000, 1_609_000_000);
    let to = from + random.between(0, days_max * 86_400);
    let mut end = |key: &str, seconds: i64, is_to: bool| match random.below(3) {
        0 => {
            let date = zone.local(seconds).1.date();
            parameters.push((key.to_owned(), date.format("%Y-%-m-%-d").to_string()));
            day_edge(zone, seconds, is_to)
        }
        1 => {
            parameters.push((key.to_owned(), (seconds * 1_000).to_string()));
            seconds
        }
        _ => {
            let instant = chrono::DateTime::from_timestamp(seconds, 0).unwrap();
            parameters.push((key.to_owned(), instant.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)));
            seconds
        }
    };
    (end("from", from, false), end("to", to, true))
}

/// The start, or the end, of the local day that the instant is in, found in steps of a quarter.
fn day_edge(zone: Zone, seconds: i64, end: bool) -> i64 {
    let day = zone.local(seconds).1.date();
    let mut edge = seconds.div_euclid(900) * 900;
    if end {
        while zone.local(edge).1.date() == day {
            edge += 900;
        }
    } else {
        while zone.local(edge - 900).1.date() == day {
            edge -= 900;
        }
    }
    edge
}

fn push_dimension(random: &mut Random, dimension: Unit, parameters: &mut Parameters) {
    let name = match dimension {
        Unit::Hour => "hour",
        // The default may be left out.
        Unit::Day if random.one_in(2) => return,
        Unit::Day => "day",
        Unit::Month => "month",
        Unit::Year => "year",
    };
    parameters.push(("dimension".to_owned(), name.to_owned()));
}

fn random_sources(random: &mut Random, parameters: &mut Parameters) -> Vec<&'static str> {
    let mut sources: Vec<&'static str> = Vec::new();
    if random.one_in(2) {
        return sources;
    }
    for _ in 0..random.between(1, 3) {
        let source = *random.pick(&SOURCES);
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    push_several(random, "source", &sources, parameters);
    sources
}

fn random_stories(
    random: &mut Random,
    stories: u64,
    several: bool,
    parameters: &mut Parameters,
) -> Vec<String> {
    let mut chosen: Vec<String> = Vec::new();
    if random.one_in(2) {
        return chosen;
    }
    for _ in 0..if several { random.between(1, 3) } else { 1 } {
        // One past the known ones, so that an unknown story is asked for now and then.
        let story = id("5b07", random.below(stories + 1));
        if !chosen.contains(&story) {
            chosen.push(story);
        }
    }
    let texts: Vec<&str> = chosen.iter().map(String::as_str).collect();
    push_several(random, "storyId", &texts, parameters);
    chosen
}

fn push_several(random: &mut Random, key: &str, values: &[&str], parameters: &mut Parameters) {
    match random.below(3) {
        0 => parameters.push((key.to_owned(), values.join(","))),
        1 => parameters.extend(values.iter().map(|value| (format!("{key}[]"), (*value).to_owned()))),
        _ => parameters.extend(values.iter().map(|value| (key.to_owned(), (*value).to_owned()))),
    }
}
