//! One event as a line: line protocol or JSON, both as the daemon takes them. Pure.
//!
//! INVARIANT: a parser of the daemon makes the same event of the line again. An event that counts nothing carries
//! no time, since there is nothing to count in an hour.

use std::io::Write as _;

use chrono::DateTime;
use serde_json::{Map, Value};

use crate::model::event::{Event, EventDetails, Node};

/// How events are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    Line,
    Json,
}

/// Appends the event and a line feed.
pub(crate) fn write(format: Format, event: &Event<'_>, out: &mut Vec<u8>) {
    let text = match format {
        Format::Line => line(event),
        Format::Json => Value::Object(json(event)).to_string(),
    };
    // Writing to a Vec cannot fail.
    if writeln!(out, "{text}").is_err() {}
}

/// Whether an event moves a counter, and so needs its hour.
fn moves(event: &Event<'_>) -> bool {
    event.count > 0 || event.what == EventDetails::Conversation { paid: true }
}

fn line(event: &Event<'_>) -> String {
    let (measurement, tags) = match &event.what {
        EventDetails::Conversation { .. } => ("conversation", String::new()),
        EventDetails::Message => ("message", String::new()),
        EventDetails::Interaction { node, .. } => ("interaction", tags(*node)),
    };
    let (story, source, count) = (event.story, event.source.as_str(), event.count);
    let mut line = format!("{measurement},storyId={story},source={source}{tags} count={count}i");
    match &event.what {
        EventDetails::Conversation { paid: true } => line.push_str(",paid=true"),
        EventDetails::Interaction { name: Some(name), .. } => push_string(&mut line, "name", name),
        _ => {}
    }
    if let Some(name) = &event.story_name {
        push_string(&mut line, "storyName", name);
    }
    if moves(event) {
        line.push(' ');
        line.push_str(&event.hour.unix_seconds().to_string());
        line.push_str("000000000");
    }
    line
}

fn tags(node: Node) -> String {
    match node {
        Node::Interaction(id) => format!(",id={id}"),
        Node::ContextFallback(id) => format!(",type=contextFallback,parentId={id}"),
        Node::Fallback => ",type=fallback".to_owned(),
        Node::Welcome => ",type=welcome".to_owned(),
    }
}

fn push_string(line: &mut String, key: &str, value: &str) {
    line.push(',');
    line.push_str(key);
    line.push_str("=\"");
    for character in value.chars() {
        if matches!(character, '"' | '\\') {
            line.push('\\');
        }
        line.push(character);
    }
    line.push('"');
}

fn json(event: &Event<'_>) -> Map<String, Value> {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("storyId", event.story.to_string().into());
    put("source", event.source.as_str().into());
    match &event.what {
        EventDetails::Conversation { paid } => {
            put("event", "conversation".into());
            if *paid {
                put("paid", true.into());
            }
        }
        EventDetails::Message => {
            put("event", "message".into());
        }
        EventDetails::Interaction { node, name } => {
            put("event", "interaction".into());
            let (kind, id) = match node {
                Node::Interaction(id) => (None, Some(("id", id))),
                Node::ContextFallback(id) => (Some("contextFallback"), Some(("parentId", id))),
                Node::Fallback => (Some("fallback"), None),
                Node::Welcome => (Some("welcome"), None),
            };
            if let Some(kind) = kind {
                put("type", kind.into());
            }
            if let Some((key, id)) = id {
                put(key, id.to_string().into());
            }
            if let Some(name) = name {
                put("name", name.as_ref().into());
            }
        }
    }
    if let Some(name) = &event.story_name {
        put("storyName", name.as_ref().into());
    }
    put("count", event.count.into());
    if moves(event)
        && let Some(at) = DateTime::from_timestamp(event.hour.unix_seconds(), 0)
    {
        put("timestamp", at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true).into());
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::calendar::Hour;
    use crate::model::event::{InteractionId, ObjectId, Source, StoryId};

    fn id(text: &str) -> ObjectId {
        ObjectId::parse(text.as_bytes()).expect("an id")
    }

    fn event(what: EventDetails<'static>, count: u32) -> Event<'static> {
        Event {
            story: StoryId(id("5b07ffafc2376e30306d9b16")),
            source: Source::Messenger,
            what,
            count,
            hour: Hour::new(431_337),
            story_name: None,
        }
    }

    fn check(event: &Event<'_>, line: &str, json: &str) {
        for (format, expected) in [(Format::Line, line), (Format::Json, json)] {
            let mut out = Vec::new();
            write(format, event, &mut out);
            assert_eq!(String::from_utf8(out).expect("text"), format!("{expected}\n"));
        }
    }

    #[test]
    fn conversations_say_whether_they_are_paid() {
        check(
            &event(EventDetails::Conversation { paid: true }, 3),
            "conversation,storyId=5b07ffafc2376e30306d9b16,source=messenger count=3i,paid=true 1552813200000000000",
            r#"{"count":3,"event":"conversation","paid":true,"source":"messenger","storyId":"5b07ffafc2376e30306d9b16","timestamp":"2019-03-17T09:00:00Z"}"#,
        );
        check(
            &event(EventDetails::Conversation { paid: true }, 0),
            "conversation,storyId=5b07ffafc2376e30306d9b16,source=messenger count=0i,paid=true 1552813200000000000",
            r#"{"count":0,"event":"conversation","paid":true,"source":"messenger","storyId":"5b07ffafc2376e30306d9b16","timestamp":"2019-03-17T09:00:00Z"}"#,
        );
    }

    #[test]
    fn what_counts_nothing_has_no_time() {
        let mut named = event(EventDetails::Message, 0);
        named.story_name = Some("Bot \"A\\B\"".into());
        check(
            &named,
            r#"message,storyId=5b07ffafc2376e30306d9b16,source=messenger count=0i,storyName="Bot \"A\\B\"""#,
            r#"{"count":0,"event":"message","source":"messenger","storyId":"5b07ffafc2376e30306d9b16","storyName":"Bot \"A\\B\""}"#,
        );
    }

    #[test]
    fn every_kind_of_interaction_has_its_tags() {
        let node = InteractionId(id("5b07ffafc2376e30306d9b17"));
        for (node, tags) in [
            (Node::Interaction(node), ",id=5b07ffafc2376e30306d9b17"),
            (Node::ContextFallback(node), ",type=contextFallback,parentId=5b07ffafc2376e30306d9b17"),
            (Node::Fallback, ",type=fallback"),
            (Node::Welcome, ",type=welcome"),
        ] {
            let mut out = Vec::new();
            write(Format::Line, &event(EventDetails::Interaction { node, name: None }, 1), &mut out);
            let line = String::from_utf8(out).expect("text");
            assert!(
                line.contains(&format!("source=messenger{tags} count=1i 1552813200000000000\n")),
                "{line}"
            );
        }
    }
}
