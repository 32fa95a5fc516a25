//! The body of `PUT /stories/{storyId}`: JSON to catalogue changes. Pure; every fault is found in one run.
//! INVARIANT: the parser builds no tree of the JSON. It keeps the names of a body and at most [`NODES_PER_STORY_MAX`] ids.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::failure::Detail;
use crate::limits::{FAULTS_SHOWN_MAX, NAME_BYTES_MAX, NODES_PER_STORY_MAX};
use crate::model::batch::Change;
use crate::model::event::{InteractionId, Node, ObjectId, StoryId};
use crate::model::excerpt::Excerpt;

/// The wanted state of a story. INVARIANT: names are checked, and no id occurs twice.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Upsert {
    name: Option<Box<str>>,
    interactions: Vec<(InteractionId, Option<Box<str>>)>,
}

impl Upsert {
    /// The changes that make it known, in order.
    pub(super) fn into_changes(self, story: StoryId) -> Vec<Change> {
        let nodes = self.interactions.into_iter().map(|(id, name)| Change::Node {
            story,
            node: Node::Interaction(id),
            name,
        });
        std::iter::once(Change::Story { story, name: self.name }).chain(nodes).collect()
    }
}

/// Reads the body. Finds every fault with the name of its field, at most [`FAULTS_SHOWN_MAX`]; nothing else where the
/// body is no JSON.
pub(super) fn parse(body: &[u8]) -> Result<Upsert, Vec<Detail>> {
    let mut faults = Faults::default();
    let mut json = serde_json::Deserializer::from_slice(body);
    let parsed = Seed { faults: &mut faults, what: What::Story }.deserialize(&mut json);
    let error = match parsed.and_then(|value| json.end().map(|()| value)) {
        Ok(UpsertValue::Story(upsert)) if faults.0.is_empty() => return Ok(upsert),
        Ok(UpsertValue::Story(_)) => return Err(faults.0),
        Ok(_) => "the body must be an object with `name` and `interactions`".to_owned(),
        Err(error) => format!("the body must be JSON: {error}"),
    };
    Err(vec![Detail::Parameter { parameter: "body".to_owned(), message: error }])
}

#[derive(Default)]
struct Faults(Vec<Detail>);

impl Faults {
    fn push(&mut self, field: &str, message: impl FnOnce() -> String) {
        if self.0.len() < FAULTS_SHOWN_MAX {
            self.0.push(Detail::Parameter { parameter: field.to_owned(), message: message() });
        }
    }

    fn unknown(&mut self, key: &str, known: &str) {
        let key = Excerpt::new(key).to_string();
        self.push(&key, || format!("`{key}` is not known; {known}"));
    }

    fn name(&mut self, field: &str, value: UpsertValue) -> Option<Box<str>> {
        let name = match value {
            UpsertValue::Null => return None,
            UpsertValue::Text(name) => name,
            _ => {
                self.push(field, || format!("`{field}` must be a string"));
                return None;
            }
        };
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            let bytes = name.len();
            self.push(field, || format!("`{field}` must have 1 to {NAME_BYTES_MAX} bytes; it has {bytes}"));
        } else if name.chars().any(char::is_control) {
            self.push(field, || format!("`{field}` must not contain control characters"));
        }
        Some(name)
    }
}

/// The kind of value that the body has at a place, and so how an object or array there is read.
#[derive(Clone, Copy)]
enum What<'a> {
    Story,
    Interactions,
    /// By the name of its place, for messages.
    Interaction(&'a str),
    /// A string. Its length is for whoever asks for it to check.
    Text,
}

/// What was found there.
enum UpsertValue {
    Null,
    Text(Box<str>),
    Story(Upsert),
    Interactions(Vec<(InteractionId, Option<Box<str>>)>),
    Interaction(Option<(InteractionId, Option<Box<str>>)>),
    /// Anything else; its content was skipped.
    Other,
}

/// Reads one value and notes its faults.
struct Seed<'a> {
    faults: &'a mut Faults,
    what: What<'a>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = UpsertValue;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<UpsertValue, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = UpsertValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<UpsertValue, E> {
        Ok(UpsertValue::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<UpsertValue, E> {
        Ok(UpsertValue::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<UpsertValue, E> {
        Ok(UpsertValue::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<UpsertValue, E> {
        Ok(UpsertValue::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<UpsertValue, E> {
        Ok(UpsertValue::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<UpsertValue, E> {
        Ok(UpsertValue::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<UpsertValue, A::Error> {
        if !matches!(self.what, What::Interactions) {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(UpsertValue::Other);
        }
        let mut ids = HashSet::new();
        let mut interactions = Vec::new();
        for index in 0..NODES_PER_STORY_MAX {
            let field = format!("interactions[{index}]");
            let seed = Seed { faults: self.faults, what: What::Interaction(&field) };
            match items.next_element_seed(seed)? {
                None => return Ok(UpsertValue::Interactions(interactions)),
                Some(UpsertValue::Interaction(None)) => {}
                Some(UpsertValue::Interaction(Some((id, name)))) => {
                    if !ids.insert(id) {
                        let id = format!("{field}.id");
                        self.faults.push(&id, || format!("`{id}` names one that came before it"));
                    }
                    interactions.push((id, name));
                }
                Some(_) => {
                    let what = || format!("`{field}` must be an object with `id` and `name`");
                    self.faults.push(&field, what);
                }
            }
        }
        let is_over = items.next_element::<IgnoredAny>()?.is_some();
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(if is_over { UpsertValue::Other } else { UpsertValue::Interactions(interactions) })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<UpsertValue, A::Error> {
        match self.what {
            What::Story => story(self.faults, members),
            What::Interaction(field) => interaction(self.faults, field, members),
            What::Interactions | What::Text => {
                while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(UpsertValue::Other)
            }
        }
    }
}

fn story<'de, A: MapAccess<'de>>(faults: &mut Faults, mut members: A) -> Result<UpsertValue, A::Error> {
    let mut upsert = Upsert::default();
    while let Some(key) = members.next_key::<String>()? {
        let what = if key == "interactions" { What::Interactions } else { What::Text };
        let value = members.next_value_seed(Seed { faults, what })?;
        match (key.as_str(), value) {
            ("name", value) => upsert.name = faults.name("name", value),
            ("interactions", UpsertValue::Interactions(interactions)) => upsert.interactions = interactions,
            ("interactions", UpsertValue::Null) => upsert.interactions = Vec::new(),
            ("interactions", _) => faults.push("interactions", || {
                format!("`interactions` must be an array of at most {NODES_PER_STORY_MAX} objects")
            }),
            (other, _) => faults.unknown(other, "a story has `name` and `interactions`"),
        }
    }
    Ok(UpsertValue::Story(upsert))
}

fn interaction<'de, A: MapAccess<'de>>(
    faults: &mut Faults,
    field: &str,
    mut members: A,
) -> Result<UpsertValue, A::Error> {
    let (mut id, mut name) = (None, None);
    while let Some(key) = members.next_key::<String>()? {
        let value = members.next_value_seed(Seed { faults, what: What::Text })?;
        match (key.as_str(), value) {
            ("id", UpsertValue::Text(text)) => id = ObjectId::parse(text.as_bytes()),
            ("id", _) => id = None,
            ("name", value) => name = faults.name(&format!("{field}.name"), value),
            (other, _) => faults.unknown(&format!("{field}.{other}"), "an interaction has `id` and `name`"),
        }
    }
    if id.is_none() {
        let id = format!("{field}.id");
        faults.push(&id, || format!("`{id}` must be 24 ASCII letters and digits"));
    }
    Ok(UpsertValue::Interaction(id.map(|id| (InteractionId(id), name))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORY: &[u8] = b"5b07ffafc2376e30306d9b16";

    fn check_fault(body: &str, field: &str, part: &str) {
        let faults = parse(body.as_bytes()).unwrap_err();
        let [Detail::Parameter { parameter, message }] = faults.as_slice() else {
            panic!("{body}: {faults:?}");
        };
        assert!(parameter == field && message.contains(part), "{body}: {faults:?}");
    }

    #[test]
    fn parse_makes_changes_of_what_is_given() {
        let story = StoryId(ObjectId::parse(STORY).unwrap());
        let changes = |body: &str| parse(body.as_bytes()).unwrap().into_changes(story);
        assert_eq!(changes("{}"), [Change::Story { story, name: None }]);
        assert_eq!(changes("{\"name\":null,\"interactions\":null}"), [Change::Story { story, name: None }]);
        let node = Node::Interaction(InteractionId(ObjectId::parse(b"5b07ffafc2376e30306d9b17").unwrap()));
        assert_eq!(
            changes(r#"{"interactions":[{"name":"été","id":"5b07ffafc2376e30306d9b17"}],"name":"Pizza"}"#),
            [
                Change::Story { story, name: Some("Pizza".into()) },
                Change::Node { story, node, name: Some("été".into()) }
            ]
        );
    }

    #[test]
    fn parse_names_the_field_at_fault() {
        let id = "5b07ffafc2376e30306d9b17";
        check_fault("", "body", "must be JSON");
        check_fault("[]", "body", "an object");
        check_fault(r#"{"title":"x"}"#, "title", "is not known");
        check_fault(r#"{"name":5}"#, "name", "a string");
        check_fault(r#"{"name":""}"#, "name", "1 to 1024 bytes");
        check_fault(&format!(r#"{{"name":"{}"}}"#, "é".repeat(513)), "name", "it has 1026");
        check_fault(r#"{"name":"a\nb"}"#, "name", "control characters");
        check_fault(r#"{"interactions":{}}"#, "interactions", "an array");
        check_fault(r#"{"interactions":[5]}"#, "interactions[0]", "an object");
        check_fault(r#"{"interactions":[{"id":"x"}]}"#, "interactions[0].id", "24 ASCII");
        check_fault(r#"{"interactions":[{"name":"x"}]}"#, "interactions[0].id", "24 ASCII");
        check_fault(
            &format!(r#"{{"interactions":[{{"id":"{id}"}},{{"id":"{id}"}}]}}"#),
            "interactions[1].id",
            "came before",
        );
        check_fault(
            &format!(r#"{{"interactions":[{{"id":"{id}","kind":1}}]}}"#),
            "interactions[0].kind",
            "is not known",
        );
    }

    #[test]
    fn parse_reports_all_faults_up_to_a_bound() {
        assert_eq!(parse(br#"{"name":5,"x":1,"interactions":[1,2]}"#).unwrap_err().len(), 4);
        let many = format!("{{\"interactions\":[{}1]}}", "1,".repeat(500));
        assert_eq!(parse(many.as_bytes()).unwrap_err().len(), FAULTS_SHOWN_MAX);
    }
}
