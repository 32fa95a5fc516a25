//! What comes back: each status that an operation has, with its headers and the shape of its body.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::backup;
use super::super::routes::{Dialect, Endpoint, LimitedTokens, Route};
use super::{KIND, Operation};
use crate::net::metrics;
use crate::report::ReportName;

const CSV_EXAMPLE: &str = "date,local,value\r\n2019-03-16T23:00:00.000Z,2019-03-17,1\r\n";

/// The answers of an operation by status.
pub(super) fn of(operation: &Operation) -> BTreeMap<String, Value> {
    let mut answers = BTreeMap::new();
    for (status, words) in errors(operation.route) {
        answers.insert(status.to_string(), error(operation.route, status, words));
    }
    for (status, answer) in successes(operation) {
        answers.insert(status.to_string(), answer);
    }
    answers
}

/// Headers that several answers have.
pub(super) fn headers() -> Value {
    let header = |words: &str| json!({"schema": {"type": "string"}, "description": words});
    json!({
        "ETag": header("A hash of the answer, in quotes; `-gzip` or `-zstd` at its end where it is packed. Not on a large report."),
        "Vary": header("The headers of requests that the answer depends on."),
        "CacheControl": header("`no-store`: no cache may store it."),
        "DroppedBefore": header("The first moment that is kept, where the answer is about one before: hours before it were dropped and count as 0."),
        "GroupsOmitted": header("How many groups `limit` left out, in tables."),
        "ContentDisposition": header("A name to save CSV under."),
        "RetryAfter": header("When to try again, as an HTTP date."),
        "WwwAuthenticate": header("How to show a token."),
        "IdempotencyReplayed": header("`true` where the batch was counted before."),
    })
}

fn schema(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn header(name: &str) -> Value {
    json!({"$ref": format!("#/components/headers/{name}")})
}

fn content(kind: &str, schema: Value) -> Value {
    json!({kind: {"schema": schema}})
}

fn successes(operation: &Operation) -> Vec<(u16, Value)> {
    let json_of = |name: &str| content("application/json", schema(name));
    let text = |kind: &str| content(kind, json!({"type": "string"}));
    let whole = match (operation.route.endpoint, operation.route.dialect) {
        (Endpoint::Report, _) => json!({
            "application/json": {"schema": {"anyOf": report_schemas(operation.report).map(schema)}},
            "text/csv; charset=utf-8; header=present": {"schema": {"type": "string"}, "example": CSV_EXAMPLE},
        }),
        (Endpoint::StreamReport, _) => content("text/event-stream", schema("StreamEvent")),
        (Endpoint::ListStories, _) => json_of("StoryPage"),
        (Endpoint::ShowStory | Endpoint::PutStory, _) => json_of("Story"),
        (Endpoint::UndoCounts, _) => json_of("Undone"),
        (Endpoint::WriteEvents, Dialect::Own) => json_of("Written"),
        (Endpoint::WriteEvents | Endpoint::DeleteStory | Endpoint::Ping, _) => {
            return vec![(204, json!({"description": "Done."}))];
        }
        (Endpoint::Health, _) => {
            let health = |words: &str| json!({"description": words, "content": json_of("Health")});
            return vec![(200, health("Events are taken.")), (503, health("Events are refused."))];
        }
        (Endpoint::Backup | Endpoint::ClusterSnapshot, _) => {
            content(backup::KIND, json!({"type": "string", "format": "binary"}))
        }
        (Endpoint::Ready, _) => {
            let ready = |words: &str| json!({"description": words, "content": json_of("Ready")});
            return vec![
                (200, ready("As asked.")),
                (503, ready("It is behind the log that it shares, or does not know.")),
            ];
        }
        (Endpoint::Cluster, _) => json_of("Cluster"),
        (Endpoint::Metrics, _) => text(metrics::CONTENT_TYPE),
        (Endpoint::Statements | Endpoint::StatementsInBody, _) => json_of("StatementResults"),
        (Endpoint::OpenApi, _) => content(KIND, json!({"type": "object"})),
        (Endpoint::ApiPage, _) => text("text/html; charset=utf-8"),
        (Endpoint::Root, _) => json!({
            "text/plain; charset=utf-8": {"schema": {"type": "string"}},
            "text/html; charset=utf-8": {"schema": {"type": "string"}},
        }),
        (Endpoint::PageFile, _) => json!({}),
    };
    let mut answer = json!({"description": "As asked.", "content": whole});
    let mut answers = Vec::new();
    if let Some(members) = answer.as_object_mut() {
        if operation.route.has_tags() || operation.route.endpoint == Endpoint::Root {
            let mut headers = tag_headers(operation.route.endpoint);
            answers.push((304, json!({"description": "The client has it already.", "headers": headers})));
            if operation.route.endpoint == Endpoint::Report
                && let Some(headers) = headers.as_object_mut()
            {
                headers.insert("X-Groups-Omitted".to_owned(), header("GroupsOmitted"));
                headers.insert("Content-Disposition".to_owned(), header("ContentDisposition"));
            }
            members.insert("headers".to_owned(), headers);
        }
        if operation.route.endpoint == Endpoint::Report
            && let Some(headers) = members.get_mut("headers").and_then(Value::as_object_mut)
        {
            headers.insert("X-Groups-Omitted".to_owned(), header("GroupsOmitted"));
            headers.insert("Content-Disposition".to_owned(), header("ContentDisposition"));
        }
        if operation.route.endpoint == Endpoint::WriteEvents {
            members
                .insert("headers".to_owned(), json!({"Idempotency-Replayed": header("IdempotencyReplayed")}));
        }
        if let Some(links) = links(operation.route.endpoint) {
            members.insert("links".to_owned(), links);
        }
    }
    answers.push((200, answer));
    answers
}

/// Those of an answer that has a tag, also where the client has it already.
fn tag_headers(endpoint: Endpoint) -> Value {
    let [tag, vary, cache, dropped] = ["ETag", "Vary", "CacheControl", "DroppedBefore"].map(header);
    if endpoint == Endpoint::Report {
        json!({"ETag": tag, "Vary": vary, "Cache-Control": cache, "X-Dropped-Before": dropped})
    } else {
        json!({"ETag": tag, "Vary": vary, "Cache-Control": cache})
    }
}

/// What can be asked with what an answer says.
fn links(endpoint: Endpoint) -> Option<Value> {
    let link = |to: &str, from: &str| json!({"operationId": to, "parameters": {"storyId": from}});
    match endpoint {
        Endpoint::ListStories => {
            Some(json!({"story": link("get_stories_storyId", "$response.body#/stories/0/storyId")}))
        }
        Endpoint::ShowStory => {
            Some(json!({"report": link("get_reports_conversations", "$response.body#/storyId")}))
        }
        _ => None,
    }
}

/// The shapes of a report: nested, and as rows.
fn report_schemas(report: Option<ReportName>) -> [&'static str; 2] {
    match report {
        Some(ReportName::BusiestPeriod) => ["BusiestPeriod", "BusiestPeriodRows"],
        Some(ReportName::InteractionsPopularity) => ["Popularity", "PopularityRows"],
        _ => ["Series", "SeriesRows"],
    }
}

/// The statuses of errors that a route can answer with.
fn errors(route: &Route) -> Vec<(u16, &'static str)> {
    let mut errors = vec![
        (400, "Something is wrong with the request; `details` says what."),
        (408, "The request came too slowly."),
        (431, "The head is too long."),
        (500, "A fault of the daemon, or the outcome of a batch is not known."),
        (503, "To be tried again later; nothing of it was done."),
    ];
    if !route.answers_any_host() {
        errors.push((421, "Without access tokens: the `Host` is a name that somebody may own."));
    }
    if !route.scopes.is_empty() {
        errors.push((401, "No token, or one that is not known."));
        errors.push((403, "The token does not have the scope, or is limited to other stories."));
        if route.endpoint != Endpoint::WriteEvents {
            errors.push((429, "Too many wrong tokens came from this address."));
        }
    }
    if route.limited_tokens == LimitedTokens::ItsStories && !route.is_about_report() {
        errors.push((404, "The story is not known."));
    }
    if matches!(route.endpoint, Endpoint::Cluster | Endpoint::ClusterSnapshot) {
        errors.push((404, "This daemon shares no log with others."));
    }
    if route.endpoint == Endpoint::UndoCounts {
        errors.push((422, "This daemon shares its log with others, where counts cannot be undone."));
    }
    if route.body.bytes_max > 0 {
        errors.push((413, "The body is too long."));
        errors.push((415, "The body is packed in a way that is not taken."));
        errors.push((422, "The key was used for another batch, or there is no room for a new story."));
    }
    errors
}

fn error(route: &Route, status: u16, words: &str) -> Value {
    let shape = match route.dialect {
        Dialect::Own => "Error",
        Dialect::InfluxV1 => "InfluxV1Error",
        Dialect::InfluxV2 => "InfluxV2Error",
    };
    let mut answer = json!({"description": words, "content": content("application/json", schema(shape))});
    let headers = match status {
        401 => Some(json!({"WWW-Authenticate": header("WwwAuthenticate")})),
        429 | 503 => Some(json!({"Retry-After": header("RetryAfter")})),
        _ => None,
    };
    if let (Some(headers), Some(members)) = (headers, answer.as_object_mut()) {
        members.insert("headers".to_owned(), headers);
    }
    answer
}
