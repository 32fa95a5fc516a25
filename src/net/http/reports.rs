//! The report routes: query string to report to JSON.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::failure::{Detail, Failure};
use super::response::{self, HttpResponse};
use super::response_body::ResponseBody;
use super::{HttpShared, workers};
use crate::limits::FAULTS_SHOWN_MAX;
use crate::net::metrics::Bound;
use crate::report::{self, Query, ReportFormat, ReportName, Weight};

/// Parameters of the usual report, so that they are gathered without growing.
const PAIRS_EXPECTED: usize = 4;

/// `GET /reports/{name}`.
pub(super) async fn report(
    shared: &Arc<HttpShared>,
    name: ReportName,
    query: &str,
) -> Result<HttpResponse, Failure> {
    let services = &shared.services;
    let started = services.clock.monotonic();
    let mut pairs = Vec::with_capacity(PAIRS_EXPECTED);
    pairs.extend(form_urlencoded::parse(query.as_bytes()));
    let (now, stories_known) = (services.clock.unix_ms(), services.catalogue.story_count());
    let zones = services.zones.current();
    let query = Query::parse(name, &pairs, now, stories_known, &zones).map_err(|errors| {
        let details = errors.into_iter().take(FAULTS_SHOWN_MAX);
        Failure::faults(
            details
                .map(|error| Detail::Parameter { message: error.to_string(), parameter: error.parameter })
                .collect(),
        )
    })?;
    let body = if query.weight(&services.catalogue, &services.counters) == Weight::Heavy {
        // First, so that nothing large waits for its permit.
        let permit = if query.may_be_large(&services.catalogue) {
            Some(workers::soon(&shared.large_answers, Bound::LargeAnswers).await?)
        } else {
            None
        };
        let worker = Arc::clone(shared);
        workers::run_query(shared, move || roll_up(&worker, &query, permit)).await??
    } else {
        roll_up(shared, &query, None)?
    };
    let took = services.clock.monotonic().saturating_sub(started);
    services.metrics.report_answered(name, took);
    Ok(response::json(body))
}

fn roll_up(
    shared: &HttpShared,
    query: &Query,
    permit: Option<OwnedSemaphorePermit>,
) -> Result<ResponseBody, Failure> {
    let report = report::roll_up(&shared.services.catalogue, &shared.services.counters, query);
    if let Some(permit) = permit
        && report.is_large()
    {
        return Ok(ResponseBody::streamed(report.into_text_parts(ReportFormat::Json), permit));
    }
    let mut json = Vec::new();
    report.write(ReportFormat::Json, &mut json);
    shared.long_answer(json)
}
