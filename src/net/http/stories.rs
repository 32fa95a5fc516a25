//! The catalogue's routes: list stories, make them known, remove them.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use serde::Serialize;

use super::access::Access;
use super::body_error::BodyError;
use super::failure::{Detail, Failure};
use super::ingest::submit;
use super::listing::{self, ListPlace, Row, Search, Selection};
use super::response::{self, HttpResponse};
use super::routes::Route;
use super::{HttpShared, body, upsert, workers};
use crate::intake::batching::Tally;
use crate::intake::wire::LineErrorKind;
use crate::limits::{FAULTS_SHOWN_MAX, STORIES_LISTED_DEFAULT, STORIES_LISTED_MAX};
use crate::model::batch::{Batch, Change};
use crate::model::calendar::Hour;
use crate::model::catalogue::Story;
use crate::model::counters::Counters;
use crate::model::event::{ObjectId, StoryId};
use crate::model::excerpt::Excerpt;
use crate::net::Services;
use crate::report::Weight;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    stories: Vec<Shown<'a>>,
    next: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped_before: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    story_id: &'a str,
    name: Option<&'a str>,
    first_event: Option<String>,
    last_event: Option<String>,
    conversations: u64,
    messages: u64,
    /// Of the only one of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped_before: Option<String>,
}

/// Where what is known of counts starts; `None` where none were dropped.
pub(super) fn dropped_before(counters: &Counters) -> Option<String> {
    counters.dropped_before().map(Hour::rfc3339)
}

impl<'a> From<&'a Row> for Shown<'a> {
    fn from(row: &'a Row) -> Self {
        Self {
            story_id: row.story.0.as_str(),
            name: row.name.as_deref(),
            first_event: row.span.map(|(first, _)| first.rfc3339()),
            last_event: row.span.map(|(_, last)| last.rfc3339()),
            conversations: row.conversations,
            messages: row.messages,
            dropped_before: None,
        }
    }
}

/// `GET /stories`.
pub(super) async fn list(
    shared: &Arc<HttpShared>,
    access: &Access,
    query: &str,
) -> Result<HttpResponse, Failure> {
    let selection = selection(query)?;
    let Services { catalogue, counters, .. } = &shared.services;
    let weight = listing::work_of_all(catalogue, counters, access.stories()).weight();
    let visible = access.stories().clone();
    let worker = Arc::clone(shared);
    let work = move || {
        let Services { catalogue, counters, .. } = &worker.services;
        let (rows, next) = listing::list((catalogue, &visible), counters, &selection);
        let dropped_before = dropped_before(counters);
        response::to_json(&Page { stories: rows.iter().map(Shown::from).collect(), next, dropped_before })
    };
    let json = match weight {
        Weight::Light => work(),
        Weight::Heavy => workers::run_query(shared, work).await?,
    };
    Ok(response::json(shared.long_answer(json)?))
}

/// What a query string asks of the list.
pub(super) fn selection(query: &str) -> Result<Selection, Failure> {
    let (mut search, mut after, mut limit) = (None, None, None);
    let mut faults = Vec::new();
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        let parsed = match key.as_ref() {
            // A parameter without a value is one that is not given.
            "search" | "cursor" | "limit" if value.is_empty() => continue,
            "search" => put_once(&mut search, Some(Search::new(&value))),
            "cursor" => put_once(&mut after, ListPlace::from_cursor(&value)),
            "limit" => put_once(&mut limit, parse_limit(&value)),
            _ => Parameter::Unknown,
        };
        let (key, got) = (Excerpt::new(&key).to_string(), Excerpt::new(&value));
        let message = match parsed {
            Parameter::Taken => continue,
            Parameter::Repeated => format!("`{key}` must be given once"),
            Parameter::Bad if key == "cursor" => {
                format!("`cursor` must be the `next` of a page; got `{got}`")
            }
            Parameter::Bad => format!("`{key}` must be 1 to {STORIES_LISTED_MAX}; got `{got}`"),
            Parameter::Unknown => {
                format!("`{key}` is not known; this path takes `limit`, `cursor` and `search`")
            }
        };
        if faults.len() < FAULTS_SHOWN_MAX {
            faults.push(Detail::Parameter { parameter: key, message });
        }
    }
    if !faults.is_empty() {
        return Err(Failure::faults(faults));
    }
    Ok(Selection { search, after, limit: limit.unwrap_or(STORIES_LISTED_DEFAULT) })
}

/// What became of one pair of the query string.
enum Parameter {
    Taken,
    Repeated,
    Bad,
    Unknown,
}

fn put_once<T>(slot: &mut Option<T>, value: Option<T>) -> Parameter {
    match (value, &slot) {
        (None, _) => Parameter::Bad,
        (Some(_), Some(_)) => Parameter::Repeated,
        (value, None) => {
            *slot = value;
            Parameter::Taken
        }
    }
}

fn parse_limit(text: &str) -> Option<usize> {
    text.parse().ok().filter(|limit| (1..=STORIES_LISTED_MAX).contains(limit))
}

/// `GET /stories/{storyId}`.
pub(super) async fn one(
    shared: &Arc<HttpShared>,
    access: &Access,
    id: &str,
) -> Result<HttpResponse, Failure> {
    let (weight, work) = shown(&shared.services, access, parse_id(id)?)?;
    Ok(response::json(match weight {
        Weight::Light => work(),
        Weight::Heavy => workers::run_query(shared, work).await?,
    }))
}

/// The work of showing one story as it is listed, and where it may be done.
fn shown(
    services: &Services,
    access: &Access,
    id: StoryId,
) -> Result<(Weight, impl FnOnce() -> Vec<u8> + Send + 'static), Failure> {
    let story = known(services, access, id)?;
    let weight = listing::work_of_one(&story, &services.counters).weight();
    let (catalogue, counters) = (Arc::clone(&services.catalogue), Arc::clone(&services.counters));
    Ok((weight, move || {
        let row = listing::row(&story, &catalogue, &counters);
        response::to_json(&Shown { dropped_before: dropped_before(&counters), ..Shown::from(&row) })
    }))
}

/// The story, if it is known to whoever asks.
pub(super) fn known(services: &Services, access: &Access, id: StoryId) -> Result<Arc<Story>, Failure> {
    let story = access.stories().contains(id).then(|| services.catalogue.story(id));
    story.flatten().ok_or_else(|| Failure::not_found("the story is not known"))
}

pub(super) fn parse_id(text: &str) -> Result<StoryId, Failure> {
    ObjectId::parse(text.as_bytes()).map(StoryId).ok_or_else(|| {
        let message = format!("`storyId` must be 24 ASCII letters and digits; got `{}`", Excerpt::new(text));
        Failure::parameter("storyId", message)
    })
}

/// `PUT /stories/{storyId}`: responds with the story as it is listed.
pub(super) async fn put(
    shared: &Arc<HttpShared>,
    (route, id): (&Route, &str),
    mut access: Access,
    (head, body): (&Parts, &mut Incoming),
) -> Result<HttpResponse, Failure> {
    let id = parse_id(id)?;
    let json = body::read(shared, route.body.bytes_max, head, body).await.map_err(BodyError::of_no_events)?;
    access.renew(&shared.services.auth)?;
    if !access.stories().contains(id) {
        let message = LineErrorKind::StoryNotAllowed { story: id }.to_string();
        return Err(Failure::new(StatusCode::FORBIDDEN, message));
    }
    let is_short = json.bytes().len() <= route.body.inline_bytes_max;
    let memory = &shared.services.memory;
    if memory.is_reached() {
        memory.note_refused();
        let words = "all of `memory-limit` is in use: no story can be added or named until some are deleted";
        return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, words.to_owned()));
    }
    let catalogue = Arc::clone(&shared.services.catalogue);
    let parse = move || {
        let deletions = catalogue.deletions();
        let changes = upsert::parse(json.bytes()).map_err(Failure::faults)?.into_changes(id);
        let batch = Batch { deletions, changes, ..Batch::default() };
        if let Err(full) = batch.changes.iter().try_for_each(|change| catalogue.admit(change)) {
            catalogue.release(&batch);
            return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, full.to_string()));
        }
        Ok(batch)
    };
    let batch =
        if is_short { parse() } else { workers::run_body(shared, parse).await.ok_or(BodyError::Worker)? }?;
    submit(shared, (batch, None), Tally::default()).await?;
    // Deleted again by somebody else in the meantime is as good a response as any; a 503 would say that nothing was done.
    let (weight, work) = shown(&shared.services, &access, id)?;
    Ok(response::json(match weight {
        Weight::Light => work(),
        Weight::Heavy => workers::run_body(shared, work).await.ok_or(BodyError::Worker)?,
    }))
}

/// `DELETE /stories/{storyId}`.
pub(super) async fn delete(shared: &HttpShared, access: &Access, id: &str) -> Result<HttpResponse, Failure> {
    let story = known(&shared.services, access, parse_id(id)?)?.id();
    let batch = Batch {
        deletions: shared.services.catalogue.deletions(),
        changes: vec![Change::DeleteStory { story }],
        ..Batch::default()
    };
    submit(shared, (batch, None), Tally::default()).await?;
    Ok(response::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selection_takes_each_parameter_once() {
        let default = Selection { search: None, after: None, limit: STORIES_LISTED_DEFAULT };
        assert_eq!(selection("").unwrap(), default);
        let asked = selection("limit=7&search=pizza%20bot").unwrap();
        assert_eq!(asked, Selection { search: Some(Search::new("pizza bot")), after: None, limit: 7 });
    }

    #[test]
    fn selection_names_every_fault() {
        for (query, message) in [
            ("limit=0", "400 Bad Request: `limit` must be 1 to 1000; got `0`"),
            ("limit=x%0ay", "400 Bad Request: `limit` must be 1 to 1000; got `x\\ny`"),
            ("cursor=abc", "400 Bad Request: `cursor` must be the `next` of a page; got `abc`"),
            ("search=a&search=b", "400 Bad Request: `search` must be given once"),
            (
                "page=2",
                "400 Bad Request: `page` is not known; this path takes `limit`, `cursor` and `search`",
            ),
            ("page=2&limit=0", "400 Bad Request: the request has 2 faults"),
        ] {
            assert_eq!(selection(query).unwrap_err().to_string(), message);
        }
    }
}
