//! Random events, and every way of writing one down.

use super::random::Random;

pub(crate) const SOURCES: [&str; 7] =
    ["messenger", "livechat", "livechat3", "slack", "widget", "app", "custom"];

/// 2018-12-30T00:00Z and 2021-01-03T00:00Z: two years with their clock changes and year ends.
const FIRST_SECOND: i64 = 1_546_128_000;
const LAST_SECOND: i64 = 1_609_632_000;

/// What a client wants to say; not yet how.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) story: String,
    pub(crate) source: &'static str,
    pub(crate) kind: Kind,
    pub(crate) count: Option<u32>,
    pub(crate) seconds: i64,
    pub(crate) story_name: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Conversation { paid: Option<bool> },
    Message,
    Interaction { node: Node, name: Option<String> },
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    Interaction(String),
    ContextFallback(String),
    Fallback,
    Welcome,
}

/// The id of the `number`-th story or interaction.
pub(crate) fn id(kind: &str, number: u64) -> String {
    format!("{kind}{number:0width$x}", width = 24 - kind.len())
}

pub(crate) fn random_event(random: &mut Random, stories: u64) -> Event {
    // Popular stories first, so that some counters grow and others stay almost empty.
    let story_number = random.below(stories).min(random.below(stories));
    let kind = match random.below(10) {
        0..3 => Kind::Conversation {
            paid: match random.below(4) {
                0 => Some(true),
                1 => Some(false),
                _ => None,
            },
        },
        3..6 => Kind::Message,
        _ => random_interaction(random, story_number),
    };
    Event {
        story: id("5b07", story_number),
        source: random.pick::<&str>(&SOURCES),
        kind,
        count: match random.below(6) {
            0 => Some(0),
            1 => Some(u32::try_from(random.below(1_000)).unwrap()),
            2 => Some(1),
            3 if random.one_in(20) => Some(u32::MAX),
            _ => None,
        },
        seconds: random_seconds(random),
        story_name: random.one_in(20).then(|| random_name(random)),
    }
}

fn random_interaction(random: &mut Random, story: u64) -> Kind {
    let number = 16 * story + random.below(6);
    let node = match random.below(6) {
        0 => Node::Fallback,
        1 => Node::Welcome,
        2 => Node::ContextFallback(id("aaaa", number)),
        _ => Node::Interaction(id("aaaa", number)),
    };
    let named = matches!(node, Node::Interaction(_)) && random.one_in(5);
    let name = named.then(|| random_name(random));
    Kind::Interaction { node, name }
}

/// Often at an edge of an hour or near a change of clocks, else anywhere in the two years.
fn random_seconds(random: &mut Random) -> i64 {
    const EDGES: [i64; 6] = [
        1_553_994_000,              // 2019-03-31T01:00Z: Europe to summer time
        1_572_138_000,              // 2019-10-27T01:00Z: and back
        1_552_201_200,              // 2019-03-10T07:00Z: New York to summer time
        1_577_836_800,              // 2020-01-01T00:00Z
        1_582_934_400,              // 2020-02-29T00:00Z
        1_541_296_800 + 31_536_000, // 2019-11-04T02:00Z: about New York's change back
    ];
    if random.one_in(4) {
        let edge = *random.pick(&EDGES);
        return edge + 3_600 * random.between(-30, 30) + *random.pick(&[0, 1, 3_599, 1_800, 1_799]);
    }
    random.between(FIRST_SECOND, LAST_SECOND)
}

fn random_name(random: &mut Random) -> String {
    const PARTS: [&str; 10] = ["bar", "foo", " ", ",", "=", "\"", "\\", "é", "日本", "x y"];
    let length = random.between(1, 4);
    let name: String = (0..length).map(|_| *random.pick(&PARTS)).collect();
    format!("n{name}n")
}

/// Units of timestamps: (name in a query, per second).
pub(crate) const PRECISIONS: [(&str, i64); 4] =
    [("ns", 1_000_000_000), ("us", 1_000_000), ("ms", 1_000), ("s", 1)];

/// One line of line protocol, in one of the many spellings that mean the event.
pub(crate) fn to_line(event: &Event, per_second: i64, random: &mut Random) -> String {
    let mut tags =
        vec![("storyId".to_owned(), event.story.clone()), ("source".to_owned(), event.source.to_owned())];
    let mut fields = Vec::new();
    if let Some(count) = event.count {
        let spelling = match random.below(5) {
            0 => format!("{count}"),
            1 => format!("{count}.0"),
            2 => format!("{count}u"),
            _ => format!("{count}i"),
        };
        fields.push(format!("count={spelling}"));
    }
    let measurement = match &event.kind {
        Kind::Conversation { paid } => {
            if let Some(paid) = paid {
                let spellings: &[&str] = if *paid {
                    &["t", "T", "true", "True", "TRUE"]
                } else {
                    &["f", "F", "false", "False", "FALSE"]
                };
                fields.push(format!("paid={}", random.pick(spellings)));
            }
            "conversation"
        }
        Kind::Message => "message",
        Kind::Interaction { node, name } => {
            push_node_tags(node, &mut tags, random);
            if let Some(name) = name {
                if random.one_in(3) && !name.contains('\\') {
                    tags.push(("name".to_owned(), name.clone()));
                } else {
                    fields.push(format!("name={}", quoted(name)));
                }
            }
            "interaction"
        }
    };
    if let Some(name) = &event.story_name {
        fields.push(format!("storyName={}", quoted(name)));
    }
    if random.one_in(8) {
        tags.push(("host".to_owned(), "web 1,a=b".to_owned()));
    }
    if fields.is_empty() || random.one_in(8) {
        fields.push("load=0.75".to_owned());
    }
    shuffle(&mut tags, random);
    shuffle(&mut fields, random);
    let tags: String = tags.iter().map(|(key, value)| format!(",{key}={}", escaped(value))).collect();
    format!("{measurement}{tags} {} {}", fields.join(","), event.seconds * per_second)
}

fn push_node_tags(node: &Node, tags: &mut Vec<(String, String)>, random: &mut Random) {
    let (kind, id) = match node {
        Node::Interaction(id) => ("interaction", Some(("id", id))),
        Node::ContextFallback(id) => ("contextFallback", Some(("parentId", id))),
        Node::Fallback => ("fallback", None),
        Node::Welcome => ("welcome", None),
    };
    if kind != "interaction" || random.one_in(2) {
        tags.push(("type".to_owned(), kind.to_owned()));
    }
    if let Some((key, id)) = id {
        tags.push((key.to_owned(), id.clone()));
    }
}

fn escaped(text: &str) -> String {
    text.replace(',', "\\,").replace('=', "\\=").replace(' ', "\\ ")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn shuffle<T>(items: &mut [T], random: &mut Random) {
    for last in (1..items.len()).rev() {
        let other = usize::try_from(random.below(last as u64 + 1)).unwrap();
        items.swap(last, other);
    }
}

/// The event as one JSON object on one line; integer timestamps in units of `per_second`, or RFC 3339.
pub(crate) fn to_json(event: &Event, per_second: i64, random: &mut Random) -> String {
    let mut object = serde_json::Map::new();
    let mut put = |key: &str, value: serde_json::Value| object.insert(key.to_owned(), value);
    put("storyId", event.story.clone().into());
    put("source", event.source.into());
    if let Some(count) = event.count {
        put("count", count.into());
    }
    let kind = match &event.kind {
        Kind::Conversation { paid } => {
            if let Some(paid) = paid {
                put("paid", (*paid).into());
            }
            "conversation"
        }
        Kind::Message => "message",
        Kind::Interaction { node, name } => {
            let mut tags = Vec::new();
            push_node_tags(node, &mut tags, random);
            for (key, value) in tags {
                put(&key, value.into());
            }
            if let Some(name) = name {
                put("name", name.clone().into());
            }
            "interaction"
        }
    };
    put("event", kind.into());
    if let Some(name) = &event.story_name {
        put("storyName", name.clone().into());
    }
    if random.one_in(2) {
        put("timestamp", (event.seconds * per_second).into());
    } else {
        let instant = chrono::DateTime::from_timestamp(event.seconds, 0).unwrap();
        put("timestamp", instant.to_rfc3339_opts(chrono::SecondsFormat::Secs, true).into());
    }
    if random.one_in(8) {
        put("extra", serde_json::json!({"nested": [1, "two"]}));
    }
    serde_json::Value::Object(object).to_string()
}
