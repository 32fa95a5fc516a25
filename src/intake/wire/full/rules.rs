//! What tallyd makes of the raw parts of a line or JSON object: the rules of the contract about kinds, ids, sources,
//! counts, names and timestamps. Shared by line protocol and JSON, so that both mean the same; knows neither's syntax.

use std::borrow::Cow;

use super::value::FieldValue;
use crate::intake::wire::error::{Excerpt, LineError, LineErrorKind};
use crate::intake::wire::time::{Precision, Stamp, TimeRules};
use crate::limits::NAME_BYTES_MAX;
use crate::model::event::{Event, EventDetails, EventKind, InteractionId, Node, ObjectId, Source, StoryId};

/// An event, and how fine its timestamp is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reading<'a> {
    /// The event.
    pub event: Event<'a>,
    /// How fine its own timestamp is.
    pub stamp: Stamp,
}

/// A value that the client gave for a key of ours, and its offset in the line where that is known.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct RawValue<'a> {
    pub(super) value: FieldValue<'a>,
    pub(super) offset: Option<usize>,
}

impl RawValue<'_> {
    fn error(&self, kind: LineErrorKind) -> LineError {
        LineError::maybe_at(self.offset, kind)
    }

    fn text(&self, key: &'static str) -> Result<&str, LineError> {
        match &self.value {
            FieldValue::Text(text) => Ok(text),
            other => {
                Err(self.error(LineErrorKind::WrongType { key, want: WANT_STRING, got: other.excerpt() }))
            }
        }
    }
}

/// The value that the client gave for each key of ours, unchecked.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct RawEvent<'a> {
    pub(super) kind: Option<RawValue<'a>>,
    pub(super) story_id: Option<RawValue<'a>>,
    pub(super) source: Option<RawValue<'a>>,
    pub(super) node_type: Option<RawValue<'a>>,
    pub(super) id: Option<RawValue<'a>>,
    pub(super) parent_id: Option<RawValue<'a>>,
    pub(super) count: Option<RawValue<'a>>,
    pub(super) paid: Option<RawValue<'a>>,
    pub(super) name: Option<RawValue<'a>>,
    pub(super) name_tag: Option<RawValue<'a>>,
    pub(super) story_name: Option<RawValue<'a>>,
    pub(super) timestamp: Option<RawValue<'a>>,
    /// Keys of tags that were given as fields, where they mean nothing.
    fields_for_tags: Vec<&'static str>,
}

impl<'a> RawEvent<'a> {
    /// Takes a tag, if it is one of ours.
    pub(super) fn put_tag(&mut self, key: &str, given: RawValue<'a>) {
        let place = match key {
            "storyId" => &mut self.story_id,
            "source" => &mut self.source,
            "type" => &mut self.node_type,
            "id" => &mut self.id,
            "parentId" => &mut self.parent_id,
            "name" => &mut self.name_tag,
            _ => return,
        };
        *place = Some(given);
    }

    /// Takes a field, if it is one that events of this kind have.
    pub(super) fn put_field(
        &mut self,
        key: &str,
        kind: Option<EventKind>,
        given: RawValue<'a>,
    ) -> Result<(), LineError> {
        let (place, key) = match (key, kind) {
            ("count", _) => (&mut self.count, "count"),
            ("storyName", _) => (&mut self.story_name, "storyName"),
            ("paid", Some(EventKind::Conversation)) => (&mut self.paid, "paid"),
            ("name", Some(EventKind::Interaction)) => (&mut self.name, "name"),
            _ => {
                self.fields_for_tags.extend(TAGS.into_iter().find(|tag| *tag == key));
                return Ok(());
            }
        };
        if place.is_some() {
            return Err(given.error(LineErrorKind::Twice { key }));
        }
        *place = Some(given);
        Ok(())
    }

    /// That the key, or the type that would say another is needed, is missing; or that it is in the wrong place.
    fn missing(&self, key: &'static str, why: &'static str) -> LineError {
        let misplaced = |wanted: &str| self.fields_for_tags.iter().find(|tag| **tag == wanted).copied();
        let type_decides = matches!(key, "id" | "parentId");
        let misplaced = misplaced(key).or_else(|| misplaced("type").filter(|_| type_decides));
        LineError::whole(
            misplaced.map_or(LineErrorKind::Missing { key, why }, |key| LineErrorKind::FieldForTag { key }),
        )
    }
}

/// The tags that the rules ask for.
const TAGS: [&str; 5] = ["storyId", "source", "type", "id", "parentId"];
const WANT_BOOLEAN: &str = "true or false, without quotes";
const WANT_STRING: &str = "a string in double quotes";

/// An error of the grammar about a field of ours, as the rules would have put it: what the field takes, rather than
/// what any field may be.
pub(super) fn in_our_words(error: LineError, kind: Option<EventKind>) -> LineError {
    error.reworded(|wrong| {
        let (LineErrorKind::FieldValue { key, got }
        | LineErrorKind::IntegerRange { key, got }
        | LineErrorKind::FloatRange { key, got }) = wrong
        else {
            return None;
        };
        let got = Excerpt::new(&format!("`{got}`"));
        let (key, want) = match (key.as_str(), kind) {
            ("count", _) => return Some(LineErrorKind::Count { got }),
            ("paid", Some(EventKind::Conversation)) => ("paid", WANT_BOOLEAN),
            ("name", Some(EventKind::Interaction)) => ("name", WANT_STRING),
            ("storyName", _) => ("storyName", WANT_STRING),
            _ => return None,
        };
        Some(LineErrorKind::WrongType { key, want, got })
    })
}

/// Checks the raw parts against the contract. `precision` is the unit of an integer timestamp, `kind_key` what the
/// kind of event is called where it was written.
pub(super) fn event<'a>(
    raw: RawEvent<'a>,
    times: &TimeRules,
    precision: Precision,
    kind_key: &'static str,
) -> Result<Reading<'a>, LineError> {
    let kind = kind(raw.kind.as_ref(), kind_key)?;
    let story = raw.story_id.as_ref().ok_or_else(|| raw.missing("storyId", "; it names the story"))?;
    let story = StoryId(object_id(story, "storyId")?);
    let source = source(&raw)?;
    let count = count(raw.count.as_ref())?;
    let what = match kind {
        EventKind::Conversation => EventDetails::Conversation { paid: paid(raw.paid.as_ref())? },
        EventKind::Message => EventDetails::Message,
        EventKind::Interaction => {
            let node = node(&raw)?;
            let name = name(raw.name.or(raw.name_tag), "name")?;
            // Only interactions show a name of their own; fallbacks and welcomes have theirs from the contract.
            EventDetails::Interaction { node, name: name.filter(|_| matches!(node, Node::Interaction(_))) }
        }
    };
    let (hour, stamp) = match raw.timestamp {
        None => (times.check_absent()?, Stamp::Coarse),
        Some(given) => {
            let checked = match &given.value {
                FieldValue::Int(units) => times.check(*units, precision),
                FieldValue::Text(text) => times.check_text(text),
                FieldValue::Float(units) => match whole_i64(*units) {
                    Some(units) => times.check(units, precision),
                    None => Err(LineErrorKind::JsonTimestamp { got: given.value.excerpt() }),
                },
                FieldValue::Uint(_) => Err(LineErrorKind::TimestampDigits { got: given.value.excerpt() }),
                other => Err(LineErrorKind::JsonTimestamp { got: other.excerpt() }),
            };
            checked
                .map(|(hour, nanos)| (hour, Stamp::of(nanos.unsigned_abs())))
                .map_err(|kind| given.error(kind))?
        }
    };
    let story_name = name(raw.story_name, "storyName")?;
    Ok(Reading { event: Event { story, source, what, count, hour, story_name }, stamp })
}

fn kind(given: Option<&RawValue<'_>>, what: &'static str) -> Result<EventKind, LineError> {
    let Some(given) = given else {
        return Err(LineError::whole(LineErrorKind::Missing {
            key: what,
            why: "; it is one of conversation, message, interaction",
        }));
    };
    let text = given.text(what)?;
    EventKind::parse(text).ok_or_else(|| given.error(LineErrorKind::Kind { what, got: Excerpt::new(text) }))
}

fn object_id(given: &RawValue<'_>, key: &'static str) -> Result<ObjectId, LineError> {
    let text = given.text(key)?;
    ObjectId::parse(text.as_bytes())
        .ok_or_else(|| given.error(LineErrorKind::Id { key, got: Excerpt::new(text) }))
}

fn source(raw: &RawEvent<'_>) -> Result<Source, LineError> {
    let why = "; it is one of messenger, livechat, livechat3, slack, widget, app, custom";
    let given = raw.source.as_ref().ok_or_else(|| raw.missing("source", why))?;
    let text = given.text("source")?;
    Source::parse(text.as_bytes())
        .ok_or_else(|| given.error(LineErrorKind::Source { got: Excerpt::new(text) }))
}

/// How often, from an integer or an integer-valued float; 1 where it is absent.
fn count(given: Option<&RawValue<'_>>) -> Result<u32, LineError> {
    let Some(given) = given else { return Ok(1) };
    let number = match given.value {
        FieldValue::Int(number) => u32::try_from(number).ok(),
        FieldValue::Uint(number) => u32::try_from(number).ok(),
        FieldValue::Float(number) => whole_u32(number),
        FieldValue::Bool(_) | FieldValue::Text(_) | FieldValue::Other(_) => None,
    };
    number.ok_or_else(|| given.error(LineErrorKind::Count { got: given.value.excerpt() }))
}

/// The number as a `u32`, if it is a whole one in that range.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the number is whole and within the range of u32, so nothing is lost"
)]
fn whole_u32(number: f64) -> Option<u32> {
    (number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number)).then_some(number as u32)
}

/// The number as an `i64`, if it is a whole one that a float can hold exactly: JSON has no difference between `1` and `1.0`.
#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "the number is whole and within the range of i64, so nothing is lost"
)]
fn whole_i64(number: f64) -> Option<i64> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    (number.fract() == 0.0 && number.abs() <= EXACT_MAX).then_some(number as i64)
}

fn paid(given: Option<&RawValue<'_>>) -> Result<bool, LineError> {
    match given {
        None => Ok(false),
        Some(RawValue { value: FieldValue::Bool(paid), .. }) => Ok(*paid),
        Some(given) => {
            let got = given.value.excerpt();
            Err(given.error(LineErrorKind::WrongType { key: "paid", want: WANT_BOOLEAN, got }))
        }
    }
}

fn node(raw: &RawEvent<'_>) -> Result<Node, LineError> {
    let node_type = raw.node_type.as_ref().map_or(Ok("interaction"), |given| given.text("type"))?;
    let refuse = |given: Option<&RawValue<'_>>, key, node_type| match given {
        None => Ok(()),
        Some(given) => Err(given.error(LineErrorKind::NotAllowed { key, node_type })),
    };
    match node_type {
        "interaction" => {
            refuse(raw.parent_id.as_ref(), "parentId", "interaction")?;
            let why = "; an interaction is named by its id";
            let given = raw.id.as_ref().ok_or_else(|| raw.missing("id", why))?;
            object_id(given, "id").map(|id| Node::Interaction(InteractionId(id)))
        }
        "contextFallback" => {
            refuse(raw.id.as_ref(), "id", "contextFallback")?;
            let why = "; a contextFallback is named by the interaction it is in";
            let given = raw.parent_id.as_ref().ok_or_else(|| raw.missing("parentId", why))?;
            object_id(given, "parentId").map(|id| Node::ContextFallback(InteractionId(id)))
        }
        "fallback" => {
            refuse(raw.id.as_ref(), "id", "fallback")?;
            refuse(raw.parent_id.as_ref(), "parentId", "fallback").map(|()| Node::Fallback)
        }
        "welcome" => {
            refuse(raw.id.as_ref(), "id", "welcome")?;
            refuse(raw.parent_id.as_ref(), "parentId", "welcome").map(|()| Node::Welcome)
        }
        other => {
            let offset = raw.node_type.as_ref().and_then(|given| given.offset);
            Err(LineError::maybe_at(offset, LineErrorKind::NodeType { got: Excerpt::new(other) }))
        }
    }
}

/// A display name; an empty one is none. A line feed is kept (a quoted string may have one), other control characters
/// are refused: JSON can spell them even where the text has none.
fn name<'a>(given: Option<RawValue<'a>>, key: &'static str) -> Result<Option<Cow<'a, str>>, LineError> {
    let Some(given) = given else { return Ok(None) };
    let text = given.text(key)?;
    if NAME_BYTES_MAX < text.len() {
        return Err(given.error(LineErrorKind::NameTooLong { key }));
    }
    if let Some(control) = text.chars().find(|character| character.is_control() && *character != '\n') {
        return Err(given.error(LineErrorKind::ControlCharacter { code: u32::from(control) }));
    }
    match given.value {
        FieldValue::Text(text) if !text.is_empty() => Ok(Some(text)),
        _ => Ok(None),
    }
}
