//! The shapes of bodies. Answers may get more members; clients leave out what they do not know.

use serde_json::{Value, json};

use crate::model::batch::erasure::MetricName;
use crate::model::event::Source;

/// Each schema by its name.
pub(super) fn all() -> Value {
    let mut all = reports();
    for others in [stories(), errors(), probes()] {
        if let (Some(all), Value::Object(others)) = (all.as_object_mut(), others) {
            all.extend(others);
        }
    }
    all
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn instant() -> Value {
    json!({"type": "string", "format": "date-time"})
}

fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

fn figure() -> Value {
    json!({"type": "number", "minimum": 0})
}

/// An object whose members are all there.
fn object(members: Value) -> Value {
    let names: Vec<String> = members.as_object().map(|all| all.keys().cloned().collect()).unwrap_or_default();
    json!({"type": "object", "properties": members, "required": names})
}

/// The same with members that may be left out.
fn object_with(members: Value, optional: Value) -> Value {
    let mut schema = object(members);
    if let (Some(Value::Object(all)), Value::Object(optional)) = (schema.get_mut("properties"), optional) {
        all.extend(optional);
    }
    schema
}

fn list(item: Value) -> Value {
    json!({"type": "array", "items": item})
}

fn hour_of_week() -> Value {
    json!({
        "day": {"type": "integer", "minimum": 0, "maximum": 6}, "hour": {"type": "integer", "minimum": 0, "maximum": 23},
        "value": count(), "usage": figure(),
    })
}

/// A row of a table, which has its columns and no others.
fn row(columns: Value) -> Value {
    let mut schema = object(columns);
    if let Some(members) = schema.as_object_mut() {
        members.insert("additionalProperties".to_owned(), json!(false));
    }
    schema
}

/// Rows of a series: with the columns of its groups, and with those of the range before where there is one. Where one of the
/// two is longer, the other's cells are empty.
fn series_rows() -> Value {
    let orders = [
        json!({}),
        json!({"source": {"enum": Source::ALL.map(Source::as_str)}}),
        json!({"storyId": reference("StoryId"), "name": {"type": "string"}}),
    ];
    let cells = |names: [&str; 3]| {
        let [date, local, value] = names;
        json!({
            date: {"type": ["string", "null"], "format": "date-time"}, local: {"type": ["string", "null"]},
            value: {"type": ["number", "null"], "minimum": 0},
        })
    };
    let own = cells(["date", "local", "value"]);
    let before = cells(["previousDate", "previousLocal", "previousValue"]);
    let joined = |parts: &[&Value]| {
        let members = parts.iter().filter_map(|part| part.as_object()).flatten();
        Value::Object(members.map(|(name, schema)| (name.clone(), schema.clone())).collect())
    };
    let rows = orders.iter().flat_map(|group| [joined(&[&own, group]), joined(&[&own, group, &before])]);
    // All rows of an answer are of one kind.
    json!({"anyOf": rows.map(|columns| list(row(columns))).collect::<Vec<_>>()})
}

/// Rows of the interactions, whose cells are empty where the JSON has no such member.
fn popularity_rows() -> Value {
    let [id, none] = [reference("StoryId"), json!({"type": "null"})];
    let kinds = [
        ("interaction", &id, &none),
        ("contextFallback", &none, &id),
        ("fallback", &none, &none),
        ("welcome", &none, &none),
    ];
    let of_kind = |(kind, id, parent): (&str, &Value, &Value)| {
        row(json!({
            "type": {"const": kind}, "id": id, "parentId": parent, "name": {"type": "string"}, "value": count(), "usage": figure(),
        }))
    };
    list(json!({"oneOf": kinds.map(of_kind)}))
}

fn reports() -> Value {
    let points = list(reference("Point"));
    let node = |kind: &str| {
        object(
            json!({"type": {"const": kind}, "name": {"type": "string"}, "value": count(), "usage": figure()}),
        )
    };
    let mut fallback = object(json!({
        "type": {"const": "contextFallback"}, "parentId": reference("StoryId"), "name": {"type": "string"}, "value": count(), "usage": figure(),
    }));
    if let Some(members) = fallback.as_object_mut() {
        members.insert(
            "description".to_owned(),
            json!("What answered within an interaction that did not know."),
        );
    }
    let interaction = object(
        json!({"id": reference("StoryId"), "name": {"type": "string"}, "value": count(), "usage": figure()}),
    );
    json!({
        "StoryId": {"type": "string", "pattern": "^[0-9A-Za-z]{24}$", "examples": ["5b07ffafc2376e30306d9b16"]},
        "Point": object(json!({"date": instant(), "value": figure()})),
        "Summary": object(json!({"total": figure(), "min": figure(), "max": figure(), "avg": figure()})),
        "Group": object_with(
            json!({"data": points, "summary": reference("Summary")}),
            json!({"source": {"enum": Source::ALL.map(Source::as_str)}, "storyId": reference("StoryId"), "name": {"type": "string"}, "overall": figure(), "compare": reference("Part")}),
        ),
        "Part": object_with(
            json!({"data": points, "summary": reference("Summary")}),
            json!({"overall": figure()}),
        ),
        "Comparison": object_with(
            json!({"from": instant(), "to": instant(), "data": points, "summary": reference("Summary")}),
            json!({"overall": figure()}),
        ),
        "SeriesRows": series_rows(),
        "BusiestPeriodRows": {"type": "array", "minItems": 168, "maxItems": 168, "items": row(hour_of_week())},
        "PopularityRows": popularity_rows(),
        "Series": object_with(
            json!({"data": points, "summary": reference("Summary")}),
            json!({"overall": figure(), "compare": reference("Comparison"), "groups": list(reference("Group")), "groupsOmitted": count(), "droppedBefore": instant()}),
        ),
        "BusiestPeriod": {
            "type": "array", "minItems": 7, "maxItems": 7,
            "items": {"type": "array", "minItems": 24, "maxItems": 24, "items": object(hour_of_week())},
        },
        "Popularity": list(json!({"oneOf": [interaction, fallback, node("fallback"), node("welcome")]})),
        "StreamEvent": object_with(
            json!({"event": {"enum": ["report", "change", "dropped", "end"]}, "data": {"type": "string", "contentMediaType": "application/json"}}),
            json!({"id": {"type": "string"}, "retry": count()}),
        ),
    })
}

fn stories() -> Value {
    let moment = json!({"type": ["string", "null"], "format": "date-time"});
    let named =
        json!({"type": ["string", "null"], "minLength": 1, "maxLength": crate::limits::NAME_BYTES_MAX});
    json!({
        "Story": object_with(json!({
            "storyId": reference("StoryId"), "name": {"type": ["string", "null"]}, "firstEvent": moment, "lastEvent": moment,
            "conversations": count(), "messages": count(),
        }), json!({"droppedBefore": instant()})),
        "StoryPage": object_with(
            json!({"stories": list(reference("Story")), "next": {"type": ["string", "null"]}}),
            json!({"droppedBefore": instant()}),
        ),
        "StoryUpsert": {"type": "object", "properties": {
            "name": named,
            "interactions": {
                "type": ["array", "null"],
                "items": {"type": "object", "properties": {"id": reference("StoryId"), "name": named}, "required": ["id"]},
            },
        }},
        "Undone": object_with(json!({
            "storyId": reference("StoryId"), "from": instant(), "to": instant(), "dryRun": {"type": "boolean"},
            "counts": list(object(json!({
                "metric": {"enum": MetricName::ALL.map(MetricName::as_str)},
                "source": {"enum": Source::ALL.map(Source::as_str)},
                "value": count(),
            }))),
        }), json!({"droppedBefore": instant()})),
        "Events": {"type": ["array", "object"], "items": {"type": "object"}},
        "Written": object(json!({"accepted": count(), "rejected": count()})),
    })
}

fn errors() -> Value {
    let text = json!({"type": "string"});
    let counts = json!({"accepted": count(), "rejected": count()});
    let status = object(json!({
        "code": {"type": "integer"}, "type": {"const": "error"}, "message": text, "details": list(reference("Detail")),
    }));
    let more = |members: Value| {
        let mut all = counts.clone();
        if let (Some(all), Value::Object(members)) = (all.as_object_mut(), members) {
            all.extend(members);
        }
        all
    };
    let details = list(reference("Detail"));
    json!({
        "Detail": {"oneOf": [
            object(json!({"line": {"type": "integer", "minimum": 1}, "message": text})),
            object(json!({"parameter": text, "message": text})),
        ]},
        "Error": object_with(json!({"timestamp": instant(), "status": status}), counts.clone()),
        "InfluxV1Error": object_with(json!({"error": text}), more(json!({"details": details}))),
        "InfluxV2Error": object_with(json!({"code": text, "message": text}), more(json!({"line": count(), "details": details}))),
    })
}

fn probes() -> Value {
    let text = json!({"type": "string"});
    let verdict = json!({"enum": ["pass", "fail"]});
    json!({
        "Health": object_with(json!({
            "name": text, "message": text, "status": verdict, "ingest": verdict, "snapshots": verdict, "reports": verdict,
            "checks": list(object(json!({"name": text, "status": verdict, "since": instant(), "message": text}))),
            "version": text, "tzdata": text,
        }), json!({"log": verdict})),
        "Ready": object(json!({"status": {"enum": ["ready", "behind"]}, "started": instant(), "up": text})),
        "Cluster": object_with(json!({
            "role": {"enum": ["all", "ingest", "query"]}, "position": count(), "last": count(), "lag_seconds": {"type": "number"},
            "digests": list(json!({"type": "array", "prefixItems": [count(), text], "items": false})),
            "writers": list(json!({"type": "array", "prefixItems": [text, count()], "items": false})),
        }), json!({
            "server": text, "away": text, "stopped": text, "log": text, "chain": text, "digest": text,
        })),
        "BackupRequest": {"type": "object", "additionalProperties": false, "properties": {
            "stands": list(object(json!({"name": text, "bytes": count(), "crc32": count()}))),
        }},
        "StatementResults": object(json!({"results": list(object_with(
            json!({"statement_id": count()}),
            json!({"series": list(json!({"type": "object"}))}),
        ))})),
    })
}
