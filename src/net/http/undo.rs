//! `DELETE /stories/{storyId}/counts`: takes away what was counted for a story in a range of hours, or says what that would be.
//! What is known of the story stays; what comes later into these hours counts again.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::access::Access;
use super::failure::{Detail, Failure};
use super::ingest::submit;
use super::response::{self, HttpResponse};
use super::{HttpShared, reports, stories, workers};
use crate::intake::batching::Tally;
use crate::limits::FAULTS_SHOWN_MAX;
use crate::model::batch::Batch;
use crate::model::batch::erasure::{Erasure, MetricName, Metrics, Share, Sources};
use crate::model::calendar::{Hour, HourRange};
use crate::model::catalogue::{Catalogue, Story};
use crate::model::counters::Counters;
use crate::model::event::Source;
use crate::model::excerpt::Excerpt;
use crate::net::Services;
use crate::report::ReportName;

/// The parameters of the path that reports have, too.
const OF_REPORTS: [&str; 5] = ["from", "to", "source", "offset", "timezone"];
const METRIC: &str = "metric";
const DRY_RUN: &str = "dry_run";
const METRIC_TAKES: &str = "conversations, paid, messages or interactions, one or several";
const TAKES: &str = "`from`, `to`, `source`, `metric`, `offset`, `timezone` and `dry_run`";

/// What is asked of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Asked {
    hours: HourRange,
    sources: Sources,
    metrics: Metrics,
    is_dry_run: bool,
}

/// What goes, or would go.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    story_id: String,
    from: String,
    to: String,
    dry_run: bool,
    counts: Vec<ShownCount>,
    /// Where hours of the range were dropped, so that nobody takes them for counts of 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped_before: Option<String>,
}

#[derive(Serialize)]
struct ShownCount {
    metric: &'static str,
    source: &'static str,
    value: u64,
}

/// Handles a request.
pub(super) async fn undo(
    shared: &Arc<HttpShared>,
    access: &Access,
    (id, query): (&str, &str),
) -> Result<HttpResponse, Failure> {
    let services = &shared.services;
    let story = stories::known(services, access, stories::parse_id(id)?)?;
    let Asked { hours, sources, metrics, is_dry_run } = asked(services, access, query)?;
    let erasure = Erasure { story: story.id(), hours, sources, metrics, share: Share::WHOLE };
    let (catalogue, counters) = (Arc::clone(&services.catalogue), Arc::clone(&services.counters));
    let (counts, series) =
        workers::run_query(shared, move || sums(&story, (&catalogue, &counters), &erasure)).await?;
    if !is_dry_run {
        for share in Share::of_series(series) {
            let batch = Batch { erasure: Some(Box::new(Erasure { share, ..erasure })), ..Batch::default() };
            submit(shared, (batch, None), Tally::default()).await?;
        }
        let (from, to) = (hours.start.rfc3339(), hours.end.rfc3339());
        let token = access.token();
        tracing::info!(story = %erasure.story, from, to, token, "counts were deleted");
    }
    let counts = counts.into_iter().map(|((metric, source), value)| ShownCount {
        metric: metric.as_str(),
        source: source.as_str(),
        value,
    });
    Ok(response::json(response::to_json(&Shown {
        story_id: erasure.story.to_string(),
        from: hours.start.rfc3339(),
        to: hours.end.rfc3339(),
        dry_run: is_dry_run,
        counts: counts.collect(),
        dropped_before: services
            .counters
            .dropped_before()
            .filter(|first| hours.start < *first)
            .map(Hour::rfc3339),
    })))
}

/// The counts that go by metric and source, and of how many series they are. Blocks as readers of counters do.
fn sums(
    story: &Story,
    (catalogue, counters): (&Catalogue, &Counters),
    erasure: &Erasure,
) -> (BTreeMap<(MetricName, Source), u64>, usize) {
    let mut series = Vec::new();
    story.series_of_all(&mut series);
    let mut sums = BTreeMap::new();
    let mut covered = 0_usize;
    for id in series {
        let Some(key) = catalogue.key(id).filter(|key| erasure.covers(key)) else { continue };
        covered = covered.saturating_add(1);
        let sum = counters.sum(id, erasure.hours);
        if sum > 0 {
            let of_all: &mut u64 = sums.entry((MetricName::of(&key.metric), key.source)).or_default();
            *of_all = of_all.saturating_add(sum);
        }
    }
    (sums, covered)
}

/// What a query string asks for, or everything that is wrong with it. Both ends have to be given: nobody undoes by default.
fn asked(services: &Services, access: &Access, query: &str) -> Result<Asked, Failure> {
    let (mut faults, mut of_reports, mut given) = (Vec::new(), Vec::new(), Own::default());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let bare = name.split_once('[').map_or(&*name, |(bare, _)| bare);
        if OF_REPORTS.contains(&bare) {
            of_reports.push((name, value));
        } else if let Err(message) = given.take(&name, &value) {
            faults.push(Detail::Parameter { parameter: Excerpt::new(&name).to_string(), message });
        }
    }
    for end in ["from", "to"] {
        if !of_reports.iter().any(|(name, value)| name == end && !value.is_empty()) {
            let message = format!("`{end}` must be given: both ends of what is undone are");
            faults.push(Detail::Parameter { parameter: end.to_owned(), message });
        }
    }
    let query = match reports::checked(services, access, (ReportName::BusiestPeriod, &of_reports)) {
        Ok(query) if faults.is_empty() => query,
        checked => {
            faults.extend(checked.err().into_iter().flatten());
            faults.truncate(FAULTS_SHOWN_MAX);
            return Err(Failure::faults(faults));
        }
    };
    let metrics = if given.metrics.is_empty() { Metrics::ALL } else { Metrics::of(&given.metrics) };
    Ok(Asked {
        hours: query.hours(),
        sources: Sources::of(query.sources()),
        metrics,
        is_dry_run: given.is_dry_run.unwrap_or(false),
    })
}

/// The parameters that no report has.
#[derive(Default)]
struct Own {
    metrics: Vec<MetricName>,
    is_dry_run: Option<bool>,
}

impl Own {
    /// Takes a pair of the query string, or says what is wrong with it.
    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        let got = Excerpt::new(value);
        match name {
            // A parameter without a value is one that is not given.
            METRIC | "metric[]" | DRY_RUN if value.is_empty() => {}
            METRIC | "metric[]" => {
                for text in value.split(',').map(str::trim).filter(|text| !text.is_empty()) {
                    let metric = MetricName::parse(text);
                    let bad = || format!("`{METRIC}` must be {METRIC_TAKES}; got `{}`", Excerpt::new(text));
                    self.metrics.push(metric.ok_or_else(bad)?);
                }
            }
            DRY_RUN if self.is_dry_run.is_some() => return Err(format!("`{DRY_RUN}` must be given once")),
            DRY_RUN => {
                let is_dry_run = value.parse::<bool>();
                self.is_dry_run = Some(
                    is_dry_run.map_err(|_bad| format!("`{DRY_RUN}` must be true or false; got `{got}`"))?,
                );
            }
            _ => {
                return Err(format!("`{}` is not known; this path takes {TAKES}", Excerpt::new(name)));
            }
        }
        Ok(())
    }
}
