//! The report routes: query string to report to JSON.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::Shared;
use super::answer::{self, Answer, Detail, Failure};
use crate::limits::{FAULTS_SHOWN_MAX, HEAVY_QUERY_WAIT_MAX};
use crate::report::{self, JsonParts, Query, ReportName};

/// Parameters of the usual report, so that they are gathered without growing.
const PAIRS_EXPECTED: usize = 4;

/// Answers a report.
pub(super) async fn report(shared: &Arc<Shared>, name: ReportName, query: &str) -> Result<Answer, Failure> {
    let context = &shared.context;
    let started = context.clock.monotonic();
    let mut pairs = Vec::with_capacity(PAIRS_EXPECTED);
    pairs.extend(form_urlencoded::parse(query.as_bytes()));
    let (now, stories_known) = (context.clock.unix_ms(), context.catalogue.story_count());
    let query = Query::parse(name, &pairs, now, stories_known).map_err(|errors| {
        let details = errors.into_iter().take(FAULTS_SHOWN_MAX);
        Failure::faults(
            details
                .map(|error| Detail::Parameter { message: error.to_string(), parameter: error.parameter })
                .collect(),
        )
    })?;
    let answer = if query.is_heavy(&context.catalogue) {
        // First, so that nothing large waits for its place.
        let place =
            if query.may_be_large(&context.catalogue) { Some(place_for_large(shared).await?) } else { None };
        let worker = Arc::clone(shared);
        match heavy(shared, move || roll_up(&worker, &query, place)).await? {
            Text::Whole(json) => answer::json(json),
            Text::Parts(parts, place) => answer::json_parts(*parts, place),
        }
    } else {
        let mut json = Vec::new();
        report::answer(&context.catalogue, &context.counters, &query).write_json(&mut json);
        answer::json(json)
    };
    let took = context.clock.monotonic().saturating_sub(started);
    context.metrics.report_answered(name, took);
    Ok(answer)
}

/// The text of a heavy report.
enum Text {
    Whole(Vec<u8>),
    Parts(Box<JsonParts>, OwnedSemaphorePermit),
}

fn roll_up(shared: &Shared, query: &Query, place: Option<OwnedSemaphorePermit>) -> Text {
    let report = report::answer(&shared.context.catalogue, &shared.context.counters, query);
    if let Some(place) = place
        && report.is_large()
    {
        return Text::Parts(Box::new(report.into_json_parts()), place);
    }
    let mut json = Vec::new();
    report.write_json(&mut json);
    Text::Whole(json)
}

/// A place among the large answers that are being read.
///
/// # Errors
/// 503 where none becomes free soon.
async fn place_for_large(shared: &Shared) -> Result<OwnedSemaphorePermit, Failure> {
    let place = Arc::clone(&shared.large_answers).acquire_owned();
    let Ok(Ok(place)) = tokio::time::timeout(HEAVY_QUERY_WAIT_MAX, place).await else {
        return Err(Failure::unavailable("too many large answers are being read at the moment"));
    };
    Ok(place)
}

/// Runs a query that touches very many series on a worker thread, a few at a time.
///
/// # Errors
/// 503 where its turn does not come soon.
pub(super) async fn heavy<T: Send + 'static>(
    shared: &Shared,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let turn = Arc::clone(&shared.heavy_queries).acquire_owned();
    let Ok(Ok(turn)) = tokio::time::timeout(HEAVY_QUERY_WAIT_MAX, turn).await else {
        return Err(Failure::unavailable("too many large queries are being answered at the moment"));
    };
    let job = tokio::task::spawn_blocking(move || {
        let outcome = work();
        drop(turn);
        outcome
    });
    job.await.map_err(|error| {
        tracing::error!(%error, "a large query ended by a panic");
        Failure::internal()
    })
}
