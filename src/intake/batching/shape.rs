//! Heads of the usual shape: a kind, a story, a source and, of an interaction, its id, each once and nothing else, as
//! line protocol or JSON. Reads them without a search, since every part has its length. Knows no series.
//!
//! INVARIANT: `None` is always right. `Some` says what the complete grammar would say, if `story` and `node` are object
//! ids; whether they are is not looked at here, for what is compared with known ones need not be checked again.

use super::sink::EventKind;
use crate::model::catalogue::index::IdText;
use crate::model::event::{InteractionId, Metric, Node, ObjectId, SeriesKey, Source, StoryId};

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
    match in_usual_order(line) {
        Some(found) => Some(found),
        None => in_any_order(line),
    }
}

/// A head whose tags come as the contract writes them: the words are compared as numbers, and little branches.
#[inline]
fn in_usual_order(line: &[u8]) -> Option<(Shape<'_>, &[u8])> {
    let (&first, rest) = line.split_first_chunk::<8>()?;
    let (kind, rest) = match &first {
        b"message," => (EventKind::Message, rest),
        b"interact" => (EventKind::Interaction, rest.strip_prefix(b"ion,")?),
        b"conversa" => (EventKind::Conversation, rest.strip_prefix(b"tion,")?),
        _ => return None,
    };
    let (story_id, rest) = rest.split_first_chunk::<8>()?;
    let (story, rest) = id(rest)?;
    let (source_is, rest) = rest.split_first_chunk::<8>()?;
    if story_id != b"storyId=" || source_is != b",source=" {
        return None;
    }
    let (source, rest) = source(rest)?;
    let (node, rest) = if kind == EventKind::Interaction {
        let (node_id, rest) = rest.split_first_chunk::<4>()?;
        let (node, rest) = id(rest)?;
        if node_id != b",id=" {
            return None;
        }
        (Some(node), rest)
    } else {
        (None, rest)
    };
    (rest.first() == Some(&b' ')).then_some((Shape { kind, source, story, node }, rest))
}

/// A head whose tags come in any order.
fn in_any_order(line: &[u8]) -> Option<(Shape<'_>, &[u8])> {
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

/// As many bytes as an id has, unless one of them is below `0`, as a line feed is.
#[inline]
pub(super) fn id(bytes: &[u8]) -> Option<(&IdText, &[u8])> {
    const TOPS: u64 = 0x8080_8080_8080_8080;
    // Sets the top bit of a byte from `0` on.
    const TO_TOP: u64 = 0x5050_5050_5050_5050;
    let (text, rest) = bytes.split_first_chunk::<{ ObjectId::LEN }>()?;
    let (words, _) = text.as_chunks::<8>();
    let tops = words.iter().fold(TOPS, |tops, word| {
        let word = u64::from_le_bytes(*word);
        tops & ((word & !TOPS).wrapping_add(TO_TOP) | word)
    });
    (tops == TOPS).then_some((text, rest))
}

/// The source at the front. What follows it shows whether it was the whole word. Looked up by its first letter, of which
/// no processor can guess what comes next.
#[inline]
pub(super) fn source(bytes: &[u8]) -> Option<(Source, &[u8])> {
    let Some((&word, [ninth, ..])) = bytes.split_first_chunk::<8>() else { return short_source(bytes) };
    let spelling = SPELLINGS.get(usize::from(word[0]) % SPELLINGS.len())?;
    let is_long = usize::from(spelling.ninth == u16::from(*ninth));
    let source = spelling.sources.get(is_long).copied().flatten()?;
    let is_it = (u64::from_le_bytes(word) ^ spelling.word) & spelling.mask == 0;
    let rest = bytes.get(spelling.length + is_long..)?;
    is_it.then_some((source, rest))
}

/// The same where fewer than nine bytes are left, which the longest names have.
#[cold]
fn short_source(bytes: &[u8]) -> Option<(Source, &[u8])> {
    Source::ALL.into_iter().find_map(|source| Some((source, bytes.strip_prefix(source.as_str().as_bytes())?)))
}

/// The sources that begin with a letter: what their first eight bytes are, and what a ninth one makes of them.
#[derive(Clone, Copy)]
struct Spelling {
    word: u64,
    mask: u64,
    length: usize,
    /// The ninth byte of the longer source; no byte where there is none.
    ninth: u16,
    /// The source without that byte, and with it.
    sources: [Option<Source>; 2],
}

/// By the low five bits of the first letter.
static SPELLINGS: [Spelling; 32] = spellings();

#[expect(clippy::indexing_slicing, clippy::as_conversions, reason = "runs when it is compiled")]
const fn spellings() -> [Spelling; 32] {
    let none = Spelling { word: 0, mask: 0, length: 8, ninth: u16::MAX, sources: [None; 2] };
    let mut spellings = [none; 32];
    let mut number = 0;
    while number < Source::ALL.len() {
        let source = Source::ALL[number];
        let name = source.as_str().as_bytes();
        let (mut word, mut mask, mut index) = (0, 0, 0);
        while index < name.len() && index < 8 {
            word |= (name[index] as u64) << (8 * index);
            mask |= 0xFF << (8 * index);
            index += 1;
        }
        let spelling = &mut spellings[name[0] as usize % 32];
        assert!(spelling.mask == 0 || spelling.word == word, "one letter stands for one beginning");
        (spelling.word, spelling.mask, spelling.length) = (word, mask, index);
        if name.len() == 9 {
            spelling.ninth = name[8] as u16;
            spelling.sources[1] = Some(source);
        } else {
            assert!(name.len() < 9, "a source has at most nine letters");
            spelling.sources[0] = Some(source);
        }
        number += 1;
    }
    spellings
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
