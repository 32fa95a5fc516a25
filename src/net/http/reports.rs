//! The report routes: query string to report to JSON or a table.

use std::borrow::Cow;
use std::sync::Arc;

use hyper::header::{self, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use tokio::sync::OwnedSemaphorePermit;

use super::access::Access;
use super::failure::{Detail, Failure};
use super::response::{self, HttpResponse};
use super::response_body::ResponseBody;
use super::{HttpShared, accept, workers};
use crate::limits::FAULTS_SHOWN_MAX;
use crate::model::calendar::{UnixSeconds, rfc3339};
use crate::model::catalogue::Catalogue;
use crate::model::event::StoryId;
use crate::model::story_set::StorySet;
use crate::net::Services;
use crate::net::metrics::Bound;
use crate::report::{self, FormatName, Query, QueryError, ReportName, Weight};

/// Parameters of the usual report, so that they are gathered without growing.
const PAIRS_EXPECTED: usize = 4;

/// `GET /reports/{name}`.
pub(super) async fn report(
    shared: &Arc<HttpShared>,
    access: &Access,
    name: ReportName,
    head: &Parts,
) -> Result<HttpResponse, Failure> {
    let services = &shared.services;
    let started = services.clock.monotonic();
    let pairs = decoded_pairs(head.uri.query().unwrap_or_default());
    let query = checked(services, access, (name, &pairs)).map_err(Failure::faults)?;
    let format = query.format.unwrap_or_else(|| {
        if accept::prefers_csv(&head.headers) { FormatName::Csv } else { FormatName::Json }
    });
    let heading = Heading::of(&query, format);
    let (body, marks) = if query.weight(&services.catalogue, &services.counters) == Weight::Heavy {
        // Boxed, since every request would make room for it.
        Box::pin(on_a_worker(shared, access, (query, format))).await?
    } else {
        roll_up(shared, (&query, format), None)?
    };
    let took = services.clock.monotonic().saturating_sub(started);
    services.metrics.report_answered(name, took);
    Ok(heading.answer(body, marks))
}

/// The names and values of a query string, decoded, in order. Most have nothing to decode and are only cut up.
fn decoded_pairs(query: &str) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    let mut pairs = Vec::with_capacity(PAIRS_EXPECTED);
    if memchr::memchr2(b'%', b'+', query.as_bytes()).is_some() {
        pairs.extend(form_urlencoded::parse(query.as_bytes()));
        return pairs;
    }
    pairs.extend(query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (Cow::Borrowed(name), Cow::Borrowed(value))
    }));
    pairs
}

/// The same as [`roll_up`] for a query that takes long.
async fn on_a_worker(
    shared: &Arc<HttpShared>,
    access: &Access,
    (query, format): (Query, FormatName),
) -> Result<(ResponseBody, Marks), Failure> {
    // First, so that nothing large waits for its permit.
    let permit = if query.may_be_large(&shared.services.catalogue) {
        Some(workers::soon(&shared.large_answers, Bound::LargeAnswers).await?)
    } else {
        None
    };
    let (worker, access) = (Arc::clone(shared), access.clone());
    workers::run_query(shared, move || {
        roll_up(&worker, (&query, format), permit.map(|permit| (permit, access)))
    })
    .await?
}

/// The query of a request, as of now, or everything that is wrong with it.
pub(super) fn checked<T: AsRef<str>>(
    services: &Services,
    access: &Access,
    (name, pairs): (ReportName, &[(T, T)]),
) -> Result<Query, Vec<Detail>> {
    let (now, visible) = (services.clock.unix_ms(), access.stories());
    let stories = (visible, known_among(&services.catalogue, visible));
    let details = |errors: Vec<QueryError>| errors.into_iter().take(FAULTS_SHOWN_MAX).map(Detail::from);
    let parsed = services.zones.with(|zones| Query::parse(name, pairs, now, stories, zones));
    parsed.map_err(|errors| details(errors).collect())
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

/// What is not in an answer.
#[derive(Clone, Copy)]
struct Marks {
    /// How many groups the limit left out.
    omitted: usize,
    /// The first moment that is kept, where the report is about one that was dropped.
    dropped_before: Option<UnixSeconds>,
}

/// The report as text, and what is not in it.
fn roll_up(
    shared: &HttpShared,
    (query, format): (&Query, FormatName),
    large: Option<(OwnedSemaphorePermit, Access)>,
) -> Result<(ResponseBody, Marks), Failure> {
    let report = report::roll_up(&shared.services.catalogue, &shared.services.counters, query);
    let dropped_before = query.dropped_before(&shared.services.counters);
    let (marks, format) =
        (Marks { omitted: report.groups_omitted(), dropped_before }, query.written_as(format));
    if let Some((permit, access)) = large
        && report.is_large()
    {
        let standing = (access.into_permit(), Arc::clone(&shared.services.auth));
        return Ok((ResponseBody::streamed(report.into_text_parts(format), permit, standing), marks));
    }
    let mut text = Vec::new();
    report.write(format, &mut text);
    Ok((shared.long_answer(text)?, marks))
}

/// A moment as answers have it.
pub(super) fn instant(moment: UnixSeconds) -> String {
    rfc3339(moment.get().saturating_mul(1_000))
}

/// What the headers say about an answer.
enum Heading {
    Json,
    Rows,
    /// With the name of a file to save it in.
    Csv(String),
}

const CSV: HeaderValue = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
const GROUPS_OMITTED: HeaderName = HeaderName::from_static("x-groups-omitted");
/// The first moment that is kept, where an answer is about one that was dropped.
pub(super) const DROPPED_BEFORE: HeaderName = HeaderName::from_static("x-dropped-before");

impl Heading {
    fn of(query: &Query, format: FormatName) -> Self {
        match format {
            FormatName::Json => Self::Json,
            FormatName::Rows => Self::Rows,
            FormatName::Csv => {
                let [first, last] = query.local_dates();
                Self::Csv(format!("tallyd-{}-{first}-{last}.csv", query.report.as_str()))
            }
        }
    }

    fn answer(self, body: ResponseBody, marks: Marks) -> HttpResponse {
        let mut response = response::json(body);
        let headers = response.headers_mut();
        if let Some(first_kept) = marks.dropped_before
            && let Ok(instant) = HeaderValue::try_from(instant(first_kept))
        {
            headers.insert(DROPPED_BEFORE, instant);
        }
        match self {
            // The JSON says itself what was left out.
            Self::Json => return response,
            Self::Rows => {}
            Self::Csv(file) => {
                headers.insert(header::CONTENT_TYPE, CSV);
                if let Ok(disposition) = HeaderValue::try_from(format!("attachment; filename=\"{file}\"")) {
                    headers.insert(header::CONTENT_DISPOSITION, disposition);
                }
            }
        }
        if marks.omitted > 0 {
            headers.insert(GROUPS_OMITTED, HeaderValue::from(marks.omitted));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_those_of_a_form() {
        for query in [
            "",
            "&",
            "=",
            "a",
            "a=",
            "=b",
            "a=b",
            "a=b=c",
            "&&a=b&&c=d&",
            "a=b&a=b",
            "from=2019-03-01&to=2019-03-27&source[]=app",
            "a=1+2",
            "a%3Db=c",
            "a=%26&b",
            "a=%ff",
            "a=\u{e9}&b",
        ] {
            let expected: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
            assert_eq!(decoded_pairs(query), expected, "{query:?}");
        }
    }
}
