//! The body of `PUT /stories/{storyId}`: JSON to catalogue changes. Pure; every fault is found in one run.

use std::collections::HashSet;

use serde_json::Value;

use super::answer::Detail;
use crate::limits::{FAULTS_SHOWN_MAX, NAME_BYTES_MAX, NODES_PER_STORY_MAX};
use crate::model::batch::Change;
use crate::model::echo::Echo;
use crate::model::event::{InteractionId, Node, ObjectId, StoryId};

/// What is to be known of a story. Names are checked; an id occurs once.
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

/// Reads the body.
///
/// # Errors
/// Every fault with the name of its field, at most [`FAULTS_SHOWN_MAX`].
pub(super) fn parse(body: &[u8]) -> Result<Upsert, Vec<Detail>> {
    let mut faults = Faults(Vec::new());
    let upsert = match serde_json::from_slice(body) {
        Ok(value) => faults.root(&value),
        Err(error) => {
            faults.push("body", format!("the body must be JSON: {error}"));
            Upsert::default()
        }
    };
    if faults.0.is_empty() { Ok(upsert) } else { Err(faults.0) }
}

struct Faults(Vec<Detail>);

impl Faults {
    fn push(&mut self, field: &str, message: String) {
        if self.0.len() < FAULTS_SHOWN_MAX {
            self.0.push(Detail::Parameter { parameter: field.to_owned(), message });
        }
    }

    fn root(&mut self, value: &Value) -> Upsert {
        let mut upsert = Upsert::default();
        let Some(members) = value.as_object() else {
            self.push("body", "the body must be an object with `name` and `interactions`".to_owned());
            return upsert;
        };
        for (key, value) in members {
            match key.as_str() {
                "name" => upsert.name = self.name("name", value),
                "interactions" => upsert.interactions = self.interactions(value),
                other => self.unknown(other, "a story has `name` and `interactions`"),
            }
        }
        upsert
    }

    fn unknown(&mut self, key: &str, known: &str) {
        let key = Echo::new(key).to_string();
        let message = format!("`{key}` is not known; {known}");
        self.push(&key, message);
    }

    fn name(&mut self, field: &str, value: &Value) -> Option<Box<str>> {
        let name = match value {
            Value::Null => return None,
            Value::String(name) => name,
            _ => {
                self.push(field, format!("`{field}` must be a string"));
                return None;
            }
        };
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            self.push(
                field,
                format!("`{field}` must have 1 to {NAME_BYTES_MAX} bytes; it has {}", name.len()),
            );
        } else if name.chars().any(char::is_control) {
            self.push(field, format!("`{field}` must not contain control characters"));
        }
        Some(name.as_str().into())
    }

    fn interactions(&mut self, value: &Value) -> Vec<(InteractionId, Option<Box<str>>)> {
        let items = match value {
            Value::Null => return Vec::new(),
            Value::Array(items) if items.len() <= NODES_PER_STORY_MAX => items,
            _ => {
                let message =
                    format!("`interactions` must be an array of at most {NODES_PER_STORY_MAX} objects");
                self.push("interactions", message);
                return Vec::new();
            }
        };
        let mut seen = HashSet::new();
        let mut interactions = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let field = format!("interactions[{index}]");
            if let Some((id, name)) = self.interaction(&field, item) {
                if !seen.insert(id) {
                    self.push(&format!("{field}.id"), format!("`{field}.id` names one that came before it"));
                }
                interactions.push((id, name));
            }
        }
        interactions
    }

    fn interaction(&mut self, field: &str, item: &Value) -> Option<(InteractionId, Option<Box<str>>)> {
        let Some(members) = item.as_object() else {
            self.push(field, format!("`{field}` must be an object with `id` and `name`"));
            return None;
        };
        let mut name = None;
        for (key, value) in members {
            match key.as_str() {
                "id" => {}
                "name" => name = self.name(&format!("{field}.name"), value),
                other => {
                    let other = format!("{field}.{other}");
                    self.unknown(&other, "an interaction has `id` and `name`");
                }
            }
        }
        let id = members.get("id").and_then(Value::as_str).and_then(|id| ObjectId::parse(id.as_bytes()));
        if id.is_none() {
            self.push(&format!("{field}.id"), format!("`{field}.id` must be 24 ASCII letters and digits"));
        }
        Some((InteractionId(id?), name))
    }
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
    fn parse_tells_all_faults_up_to_a_bound() {
        assert_eq!(parse(br#"{"name":5,"x":1,"interactions":[1,2]}"#).unwrap_err().len(), 4);
        let many = format!("{{\"interactions\":[{}1]}}", "1,".repeat(500));
        assert_eq!(parse(many.as_bytes()).unwrap_err().len(), FAULTS_SHOWN_MAX);
    }
}
