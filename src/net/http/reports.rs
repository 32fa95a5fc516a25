//! The report routes: query string to report to JSON.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::access::Access;
use super::failure::{Detail, Failure};
use super::response::{self, HttpResponse};
use super::response_body::ResponseBody;
use super::{HttpShared, workers};
use crate::limits::FAULTS_SHOWN_MAX;
use crate::model::catalogue::Catalogue;
use crate::model::event::StoryId;
use crate::model::story_set::StorySet;
use crate::net::Services;
use crate::net::metrics::Bound;
use crate::report::{self, Query, QueryError, ReportFormat, ReportName, Weight};

/// Parameters of the usual report, so that they are gathered without growing.
const PAIRS_EXPECTED: usize = 4;

/// `GET /reports/{name}`.
pub(super) async fn report(
    shared: &Arc<HttpShared>,
    access: &Access,
    name: ReportName,
    query: &str,
) -> Result<HttpResponse, Failure> {
    let services = &shared.services;
    let started = services.clock.monotonic();
    let mut pairs = Vec::with_capacity(PAIRS_EXPECTED);
    pairs.extend(form_urlencoded::parse(query.as_bytes()));
    let query = checked(services, access, (name, &pairs)).map_err(Failure::faults)?;
    let body = if query.weight(&services.catalogue, &services.counters) == Weight::Heavy {
        // First, so that nothing large waits for its permit.
        let permit = if query.may_be_large(&services.catalogue) {
            Some(workers::soon(&shared.large_answers, Bound::LargeAnswers).await?)
        } else {
            None
        };
        let (worker, access) = (Arc::clone(shared), access.clone());
        workers::run_query(shared, move || roll_up(&worker, &query, permit.map(|permit| (permit, access))))
            .await??
    } else {
        roll_up(shared, &query, None)?
    };
    let took = services.clock.monotonic().saturating_sub(started);
    services.metrics.report_answered(name, took);
    Ok(response::json(body))
}

/// The query of a request, as of now, or everything that is wrong with it.
pub(super) fn checked<T: AsRef<str>>(
    services: &Services,
    access: &Access,
    (name, pairs): (ReportName, &[(T, T)]),
) -> Result<Query, Vec<Detail>> {
    let (now, visible) = (services.clock.unix_ms(), access.stories());
    let stories = (visible, known_among(&services.catalogue, visible));
    let zones = services.zones.current();
    let details = |errors: Vec<QueryError>| errors.into_iter().take(FAULTS_SHOWN_MAX).map(Detail::from);
    Query::parse(name, pairs, now, stories, &zones).map_err(|errors| details(errors).collect())
}

impl From<QueryError> for Detail {
    fn from(error: QueryError) -> Self {
        Self::Parameter { message: error.to_string(), parameter: error.parameter }
    }
}

/// How many of the stories are known.
fn known_among(catalogue: &Catalogue, visible: &StorySet) -> usize {
    let count = |ids: &[StoryId]| ids.iter().filter(|id| catalogue.story(**id).is_some()).count();
    visible.list().map_or_else(|| catalogue.story_count(), count)
}

fn roll_up(
    shared: &HttpShared,
    query: &Query,
    large: Option<(OwnedSemaphorePermit, Access)>,
) -> Result<ResponseBody, Failure> {
    let report = report::roll_up(&shared.services.catalogue, &shared.services.counters, query);
    if let Some((permit, access)) = large
        && report.is_large()
    {
        let standing = (access.into_permit(), Arc::clone(&shared.services.auth));
        return Ok(ResponseBody::streamed(report.into_text_parts(ReportFormat::Json), permit, standing));
    }
    let mut json = Vec::new();
    report.write(ReportFormat::Json, &mut json);
    shared.long_answer(json)
}
