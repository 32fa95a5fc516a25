//! What requests may say, beside their bodies.

use serde_json::{Map, Value, json};

use super::super::routes::{Dialect, Endpoint};
use super::Operation;
use crate::limits::{
    KEY_BYTES_MAX, OFFSET_MINUTES_MAX, REPORT_ROWS_DEFAULT, REPORT_ROWS_MAX, STORIES_LISTED_DEFAULT,
    STORIES_LISTED_MAX, STREAM_SECONDS_MAX,
};
use crate::model::batch::erasure::MetricName;
use crate::model::calendar::{CompareWith, Period, Unit};
use crate::model::event::Source;
use crate::report::{FormatName, GroupBy, ReportParameter};

/// The parameters of an operation.
pub(super) fn of(operation: &Operation) -> Vec<Value> {
    let route = operation.route;
    let mut names = Vec::new();
    if let Some(report) = operation.report {
        // A stream has one format.
        let is_taken =
            |parameter: &ReportParameter| !operation.is_stream() || *parameter != ReportParameter::Format;
        names.extend(ReportParameter::all_of(report).filter(is_taken).map(component));
    }
    if operation.is_stream() {
        names.push("Duration");
    }
    names.extend_from_slice(match route.endpoint {
        Endpoint::ListStories => &["Search", "StoriesLimit", "Cursor"],
        Endpoint::ShowStory | Endpoint::PutStory | Endpoint::DeleteStory => &["StoryInPath"],
        Endpoint::UndoCounts => {
            &["StoryInPath", "From", "To", "Source", "Metric", "Offset", "Timezone", "DryRun"]
        }
        Endpoint::WriteEvents if route.dialect == Dialect::InfluxV1 => {
            &["PrecisionV1", "Database", "IdempotencyKey"]
        }
        Endpoint::WriteEvents => &["Precision", "IdempotencyKey"],
        Endpoint::Statements => &["Statements"],
        Endpoint::StatementsInBody => &["StatementsElsewhere"],
        _ => &[],
    });
    if route.has_tags() {
        names.push("IfNoneMatch");
    }
    names.into_iter().map(|name| json!({"$ref": format!("#/components/parameters/{name}")})).collect()
}

/// What a report's parameter is called among the shared ones.
const fn component(parameter: ReportParameter) -> &'static str {
    match parameter {
        ReportParameter::From => "From",
        ReportParameter::To => "To",
        ReportParameter::Period => "Period",
        ReportParameter::Dimension => "Dimension",
        ReportParameter::Group => "Group",
        ReportParameter::Compare => "Compare",
        ReportParameter::Source => "Source",
        ReportParameter::StoryId => "StoryId",
        ReportParameter::Offset => "Offset",
        ReportParameter::Timezone => "Timezone",
        ReportParameter::Limit => "Limit",
        ReportParameter::Format => "Format",
    }
}

/// Each parameter once.
pub(super) fn shared() -> Value {
    let mut all = Map::new();
    for parameter in ReportParameter::ALL {
        all.insert(component(parameter).to_owned(), of_report(parameter));
    }
    let others = [
        (
            "Duration",
            query(
                "duration",
                json!({"type": "integer", "minimum": 1, "maximum": STREAM_SECONDS_MAX}),
                "Seconds after which the stream ends by itself.",
            ),
        ),
        (
            "Search",
            query(
                "search",
                json!({"type": "string"}),
                "Part of a name in any letter case, or the beginning of an id.",
            ),
        ),
        (
            "StoriesLimit",
            query(
                "limit",
                json!({"type": "integer", "minimum": 1, "maximum": STORIES_LISTED_MAX, "default": STORIES_LISTED_DEFAULT}),
                "Stories of a page.",
            ),
        ),
        ("Cursor", query("cursor", json!({"type": "string"}), "The `next` of the page before.")),
        ("Precision", precision(&["ns", "us", "ms", "s"])),
        ("PrecisionV1", precision(&["ns", "us", "ms", "s", "n", "u", "µ", "m", "h"])),
        ("Database", query("db", json!({"type": "string"}), "Not used.")),
        (
            "Statements",
            json!({"name": "q", "in": "query", "required": true, "schema": {"type": "string", "minLength": 1, "examples": ["SHOW DATABASES"]}, "description": "SHOW DATABASES or CREATE DATABASE."}),
        ),
        (
            "StatementsElsewhere",
            json!({"name": "q", "in": "query", "schema": {"type": "string", "minLength": 1}, "description": "The statements, where they are not in the body."}),
        ),
        (
            "StoryInPath",
            json!({"name": "storyId", "in": "path", "required": true, "schema": {"$ref": "#/components/schemas/StoryId"}}),
        ),
        (
            "IfNoneMatch",
            header(
                "If-None-Match",
                json!({"type": "string"}),
                "Tags of answers that the client has; `304` where one of them still holds.",
            ),
        ),
        (
            "IdempotencyKey",
            header(
                "Idempotency-Key",
                json!({"type": "string", "minLength": 1, "maxLength": KEY_BYTES_MAX}),
                "Names the batch: sent again under its key, it is not counted again.",
            ),
        ),
    ];
    let all_others = others.into_iter().chain(of_undo());
    all.extend(all_others.map(|(name, parameter)| (name.to_owned(), parameter)));
    Value::Object(all)
}

/// Those that only an undo has.
fn of_undo() -> [(&'static str, Value); 2] {
    [
        (
            "Metric",
            query(
                "metric",
                json!({"type": "array", "items": {"type": "string", "enum": MetricName::ALL.map(MetricName::as_str)}}),
                "Only counts of these; all where it is left out. Repeat it, or use commas.",
            ),
        ),
        (
            "DryRun",
            query(
                "dry_run",
                json!({"type": "boolean", "default": false}),
                "Only say what would be taken away.",
            ),
        ),
    ]
}

fn precision(units: &[&str]) -> Value {
    let schema = json!({"type": "string", "default": "ns", "enum": units});
    query("precision", schema, "Unit of timestamps.")
}

fn of_report(parameter: ReportParameter) -> Value {
    let periods = Period::ALL.map(Period::as_str);
    let dimensions: Vec<&str> = std::iter::once("auto").chain(Unit::ALL.map(Unit::as_str)).collect();
    let sources = json!({"type": "string", "enum": Source::ALL.map(Source::as_str)});
    let several = |item: Value| json!({"type": "array", "items": item});
    let date = json!({"type": "string", "examples": ["2019-03-17", "2019-03-17T09:00:00Z", "1552813200000"]});
    let (schema, words) = match parameter {
        ReportParameter::From => {
            (date, "Start: a date, an instant of RFC 3339, or milliseconds since 1970. Wins over `period`.")
        }
        ReportParameter::To => {
            (date, "End: a date, which is included, or an instant, which is not. Now where it is left out.")
        }
        ReportParameter::Period => (
            json!({"type": "string", "enum": periods, "default": Period::Last30Days.as_str()}),
            "A range that ends today or before.",
        ),
        ReportParameter::Dimension => (
            json!({"type": "string", "enum": dimensions, "default": Unit::Day.as_str()}),
            "What a data point spans.",
        ),
        ReportParameter::Group => (
            json!({"type": "string", "enum": GroupBy::ALL.map(GroupBy::as_str)}),
            "What the series is split by.",
        ),
        ReportParameter::Source => {
            (several(sources), "Also as `source[]=`, or separated by commas. All where it is left out.")
        }
        ReportParameter::StoryId => (
            several(json!({"$ref": "#/components/schemas/StoryId"})),
            "Also as `storyId[]=`, or separated by commas. All where it is left out; one on the last two reports.",
        ),
        ReportParameter::Offset => (
            json!({"type": "integer", "minimum": -OFFSET_MINUTES_MAX, "maximum": OFFSET_MINUTES_MAX, "default": 0}),
            "Minutes ahead of UTC; not with `timezone`.",
        ),
        ReportParameter::Timezone => (
            json!({"type": "string", "default": "UTC", "examples": ["Europe/Warsaw"]}),
            "A name of the IANA database; not with `offset`.",
        ),
        ReportParameter::Compare => (
            json!({"type": "string", "enum": CompareWith::ALL.map(CompareWith::as_str)}),
            "The range before that is told beside this one.",
        ),
        ReportParameter::Format => (
            json!({"type": "string", "enum": FormatName::ALL.map(FormatName::as_str), "default": FormatName::Json.as_str()}),
            "How the answer is written; CSV also where `Accept` prefers it.",
        ),
        ReportParameter::Limit => (
            json!({"type": "integer", "minimum": 1, "maximum": REPORT_ROWS_MAX, "default": REPORT_ROWS_DEFAULT}),
            "Most groups or rows.",
        ),
    };
    let mut described = query(parameter.as_str(), schema, words);
    if parameter.has_several_values()
        && let Some(members) = described.as_object_mut()
    {
        members.extend([("style".to_owned(), json!("form")), ("explode".to_owned(), json!(true))]);
    }
    described
}

/// Empty it is as if it were left out.
fn query(name: &str, schema: Value, words: &str) -> Value {
    json!({"name": name, "in": "query", "allowEmptyValue": true, "schema": schema, "description": words})
}

fn header(name: &str, schema: Value, words: &str) -> Value {
    json!({"name": name, "in": "header", "schema": schema, "description": words})
}
