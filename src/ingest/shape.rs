//! Heads of the usual shape: a kind, a story, a source and, of an interaction, its id, each once and nothing else, as
//! line protocol or JSON. Reads them without a search, since every part has its length. Knows no series.
//!
//! INVARIANT: `None` is always right. `Some` says what the complete grammar would say, if `story` and `node` are object
//! ids; whether they are is not looked at here, for what is compared with known ones need not be checked again.

use super::sink::EventKind;
use crate::catalogue::index::IdText;
use crate::event::{InteractionId, Metric, Node, ObjectId, SeriesKey, Source, StoryId};

/// What such a head says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Shape<'a> {
    pub(super) kind: EventKind,
    pub(super) source: Source,
    pub(super) story: &'a IdText,
    /// There is one if, and only if, the kind is `Interaction`.
    pub(super) node: Option<&'a IdText>,
}

impl Shape<'_> {
    /// What the head counts for; `None` where an id is none.
    pub(super) fn series(&self) -> Option<SeriesKey> {
        let metric = match (self.kind, self.node) {
            (EventKind::Interaction, Some(node)) => {
                Metric::Interaction(Node::Interaction(InteractionId(ObjectId::parse(node)?)))
            }
            (EventKind::Conversation, None) => Metric::Conversations,
            (EventKind::Message, None) => Metric::Messages,
            _ => return None,
        };
        Some(SeriesKey { story: StoryId(ObjectId::parse(self.story)?), source: self.source, metric })
    }
}

/// The parts of a shape, in whatever order they come.
#[derive(Default)]
pub(super) struct Parts<'a> {
    pub(super) kind: Option<EventKind>,
    pub(super) source: Option<Source>,
    pub(super) story: Option<&'a IdText>,
    pub(super) node: Option<&'a IdText>,
}

impl<'a> Parts<'a> {
    /// The shape, if it is one.
    #[inline]
    pub(super) fn join(&self) -> Option<Shape<'a>> {
        let kind = self.kind?;
        if self.node.is_some() != (kind == EventKind::Interaction) {
            return None;
        }
        Some(Shape { kind, source: self.source?, story: self.story?, node: self.node })
    }
}

/// The head at the front of a line of line protocol, and what follows it, which begins with a space.
#[inline]
pub(super) fn of_line(line: &[u8]) -> Option<(Shape<'_>, &[u8])> {
    let (kind, mut rest) = kind(line)?;
    let mut parts = Parts { kind: Some(kind), ..Parts::default() };
    loop {
        rest = match rest {
            [b' ', ..] => return Some((parts.join()?, rest)),
            [b',', b's', b't', ..] => {
                let (story, after) = id(rest.strip_prefix(b",storyId=")?)?;
                once(&mut parts.story, story)?;
                after
            }
            [b',', b's', ..] => {
                let (source, after) = source(rest.strip_prefix(b",source=")?)?;
                once(&mut parts.source, source)?;
                after
            }
            _ => {
                let (node, after) = id(rest.strip_prefix(b",id=")?)?;
                once(&mut parts.node, node)?;
                after
            }
        };
    }
}

/// Puts a value where there is none yet.
#[inline]
pub(super) fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

/// The kind at the front.
#[inline]
pub(super) fn kind(bytes: &[u8]) -> Option<(EventKind, &[u8])> {
    match bytes {
        [b'm', ..] => Some((EventKind::Message, bytes.strip_prefix(b"message")?)),
        [b'i', ..] => Some((EventKind::Interaction, bytes.strip_prefix(b"interaction")?)),
        _ => Some((EventKind::Conversation, bytes.strip_prefix(b"conversation")?)),
    }
}

/// As many bytes as an id has.
#[inline]
pub(super) fn id(bytes: &[u8]) -> Option<(&IdText, &[u8])> {
    bytes.split_first_chunk()
}

/// The source at the front. What follows it shows whether it was the whole word.
#[inline]
pub(super) fn source(bytes: &[u8]) -> Option<(Source, &[u8])> {
    match bytes {
        [b'm', ..] => Some((Source::Messenger, bytes.strip_prefix(b"messenger")?)),
        [b'l', ..] => match bytes.strip_prefix(b"livechat")? {
            [b'3', rest @ ..] => Some((Source::Livechat3, rest)),
            rest => Some((Source::Livechat, rest)),
        },
        [b'w', ..] => Some((Source::Widget, bytes.strip_prefix(b"widget")?)),
        [b's', ..] => Some((Source::Slack, bytes.strip_prefix(b"slack")?)),
        [b'a', ..] => Some((Source::App, bytes.strip_prefix(b"app")?)),
        _ => Some((Source::Custom, bytes.strip_prefix(b"custom")?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORY: &str = "5b07ffafc2376e30306d9b16";
    const NODE: &str = "5b07ffafc2376e30306d9b17";

    fn read(line: &str) -> Option<(EventKind, Source, bool)> {
        let (shape, rest) = of_line(line.as_bytes())?;
        assert_eq!(rest, b" count=1i\n", "{line:?}");
        assert_eq!(shape.story, STORY.as_bytes());
        assert!(shape.node.is_none_or(|node| node == NODE.as_bytes()));
        Some((shape.kind, shape.source, shape.node.is_some()))
    }

    #[test]
    fn heads_of_every_source_are_read_in_any_order_of_their_tags() {
        for source in Source::ALL {
            let name = source.as_str();
            for kind in ["message", "conversation"] {
                let lines = [
                    format!("{kind},storyId={STORY},source={name} count=1i\n"),
                    format!("{kind},source={name},storyId={STORY} count=1i\n"),
                ];
                for line in lines {
                    assert_eq!(read(&line).map(|read| (read.1, read.2)), Some((source, false)), "{line:?}");
                }
            }
            let line = format!("interaction,id={NODE},source={name},storyId={STORY} count=1i\n");
            assert_eq!(read(&line), Some((EventKind::Interaction, source, true)));
        }
    }

    #[test]
    fn heads_of_any_other_shape_are_left_to_the_grammar() {
        for head in [
            format!("message,storyId={STORY}"),
            format!("message,storyId={STORY},source=slacks"),
            format!("message,storyId={STORY},source=livechat2"),
            format!("message,storyId={STORY}0,source=slack"),
            format!("message,storyId={STORY},source=slack,source=slack"),
            format!("message,storyId={STORY},storyId={STORY},source=slack"),
            format!("message,storyId={STORY},source=slack,id={NODE}"),
            format!("messages,storyId={STORY},source=slack"),
            format!("interaction,storyId={STORY},source=slack"),
            format!("interaction,storyId={STORY},source=slack,type=welcome"),
            format!("message,host=a,storyId={STORY},source=slack"),
        ] {
            assert_eq!(read(&format!("{head} count=1i\n")), None, "{head:?}");
        }
    }
}
