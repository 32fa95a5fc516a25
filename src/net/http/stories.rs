//! The catalogue's routes: list stories, make them known, remove them.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use serde::Serialize;

use super::answer::{self, Answer, Detail, Failure};
use super::body::BodyError;
use super::ingest::submit;
use super::listing::{self, Place, Row, Search, Selection};
use super::upsert;
use super::{Context, Shared, body, reports};
use crate::limits::{FAULTS_SHOWN_MAX, STORIES_INLINE_MAX, STORIES_LISTED_DEFAULT, STORIES_LISTED_MAX};
use crate::model::batch::{Batch, Change};
use crate::model::calendar::{Hour, rfc3339};
use crate::model::catalogue::CatalogueFull;
use crate::model::echo::Echo;
use crate::model::event::{ObjectId, StoryId};

#[derive(Serialize)]
struct Page<'a> {
    stories: Vec<Shown<'a>>,
    next: Option<String>,
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
}

impl<'a> From<&'a Row> for Shown<'a> {
    fn from(row: &'a Row) -> Self {
        let instant = |hour: Hour| rfc3339(hour.unix_seconds().saturating_mul(1_000));
        Self {
            story_id: row.story.0.as_str(),
            name: row.name.as_deref(),
            first_event: row.span.map(|(first, _)| instant(first)),
            last_event: row.span.map(|(_, last)| instant(last)),
            conversations: row.conversations,
            messages: row.messages,
        }
    }
}

/// `GET /stories`.
pub(super) async fn list(shared: &Arc<Shared>, query: &str) -> Result<Answer, Failure> {
    let selection = selection(query)?;
    let work = {
        let context = Arc::clone(&shared.context);
        move || listing::list(&context.catalogue, &context.counters, &selection)
    };
    let (rows, next) = if shared.context.catalogue.story_count() <= STORIES_INLINE_MAX {
        work()
    } else {
        reports::heavy(shared, work).await?
    };
    let page = Page { stories: rows.iter().map(Shown::from).collect(), next };
    Ok(answer::json(answer::to_json(&page)))
}

/// What a query string asks of the list.
fn selection(query: &str) -> Result<Selection, Failure> {
    let (mut search, mut after, mut limit) = (None, None, None);
    let mut faults = Vec::new();
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        let parsed = match key.as_ref() {
            "search" => put_once(&mut search, Some(Search::new(&value))),
            "cursor" => put_once(&mut after, Place::from_cursor(&value)),
            "limit" => put_once(&mut limit, parse_limit(&value)),
            _ => Parameter::Unknown,
        };
        let (key, got) = (Echo::new(&key).to_string(), Echo::new(&value));
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
pub(super) fn one(context: &Context, id: &str) -> Result<Answer, Failure> {
    shown(context, parse_id(id)?)
}

fn shown(context: &Context, id: StoryId) -> Result<Answer, Failure> {
    let story = context.catalogue.story(id).ok_or_else(|| Failure::not_found("the story is not known"))?;
    let row = listing::row(&story, &context.counters);
    Ok(answer::json(answer::to_json(&Shown::from(&row))))
}

fn parse_id(text: &str) -> Result<StoryId, Failure> {
    ObjectId::parse(text.as_bytes()).map(StoryId).ok_or_else(|| {
        let message = format!("`storyId` must be 24 ASCII letters and digits; got `{}`", Echo::new(text));
        Failure::parameter("storyId", message)
    })
}

/// `PUT /stories/{storyId}`: answers the story as it is listed.
pub(super) async fn put(
    shared: &Shared,
    id: &str,
    head: &Parts,
    body: &mut Incoming,
) -> Result<Answer, Failure> {
    let context = &shared.context;
    let story = parse_id(id)?;
    let told = body::read(shared, head, body).await.map_err(BodyError::of_no_events)?;
    let upsert = upsert::parse(told.bytes()).map_err(Failure::faults)?;
    let generation = context.catalogue.generation();
    let changes = upsert.into_changes(story);
    for change in &changes {
        let full = |full: CatalogueFull| Failure::new(StatusCode::UNPROCESSABLE_ENTITY, full.to_string());
        context.catalogue.admit(change).map_err(full)?;
    }
    let batch = Batch { generation, changes, ..Batch::default() };
    submit(context, batch).await?;
    // Deleted again by somebody else in the meantime is as good an answer as any.
    shown(context, story)
}

/// `DELETE /stories/{storyId}`.
pub(super) async fn delete(context: &Context, id: &str) -> Result<Answer, Failure> {
    let story = parse_id(id)?;
    if context.catalogue.story(story).is_none() {
        return Err(Failure::not_found("the story is not known"));
    }
    let batch = Batch {
        generation: context.catalogue.generation(),
        changes: vec![Change::DeleteStory { story }],
        ..Batch::default()
    };
    submit(context, batch).await?;
    Ok(answer::empty())
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
