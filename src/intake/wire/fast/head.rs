//! The heads that the fast path reads: of line protocol, measurement and tags. A kind, a story, a source and, of an
//! interaction, its node, each once; tags that tallyd ignores are skipped. Escapes, other characters than printable ASCII
//! and names are left to the complete grammar.

use crate::limits::{FAST_HEAD_BYTES_MAX as HEAD_BYTES_MAX, FAST_OTHER_TAGS_MAX as OTHER_TAGS_MAX};
use crate::model::event::{EventKind, IdText, Metric, Node, ObjectId, SeriesKey, Source, StoryId};

/// What an event is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) kind: EventKind,
    pub(crate) source: Source,
    pub(crate) story: &'a IdText,
    /// There is one if, and only if, the kind is `Interaction`.
    pub(crate) node: Option<Node<&'a IdText>>,
}

impl Head<'_> {
    /// The series that such events add to; `None` where an id is none.
    pub(crate) fn series(&self) -> Option<SeriesKey> {
        let metric = match (self.kind, self.node) {
            (EventKind::Conversation, _) => Metric::Conversations,
            (EventKind::Message, _) => Metric::Messages,
            (EventKind::Interaction, node) => Metric::Interaction(node?.parse()?),
        };
        Some(SeriesKey { story: StoryId(ObjectId::parse(self.story)?), source: self.source, metric })
    }
}

/// The parts of a head, in whatever order they come.
#[derive(Default)]
pub(super) struct HeadParts<'a> {
    pub(super) kind: Option<EventKind>,
    pub(super) source: Option<Source>,
    pub(super) story: Option<&'a IdText>,
    pub(super) node_type: Option<NodeType>,
    pub(super) id: Option<&'a IdText>,
    pub(super) parent_id: Option<&'a IdText>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum NodeType {
    Interaction,
    ContextFallback,
    Fallback,
    Welcome,
}

impl<'a> HeadParts<'a> {
    /// The head, if the parts make one.
    #[inline]
    pub(super) fn join(&self) -> Option<Head<'a>> {
        let kind = self.kind?;
        let node = match (self.node_type, self.id, self.parent_id) {
            (None, None, None) => None,
            (None | Some(NodeType::Interaction), Some(id), None) => Some(Node::Interaction(id)),
            (Some(NodeType::ContextFallback), None, Some(id)) => Some(Node::ContextFallback(id)),
            (Some(NodeType::Fallback), None, None) => Some(Node::Fallback),
            (Some(NodeType::Welcome), None, None) => Some(Node::Welcome),
            _ => return None,
        };
        let is_complete = node.is_some() == (kind == EventKind::Interaction);
        is_complete.then_some(Head { kind, source: self.source?, story: self.story?, node })
    }

    /// Adds the tag at the front of `tag`; what follows it. `None` for a tag that only the complete grammar knows.
    fn add_tag(&mut self, tag: &'a [u8], others: &mut OtherTags<'a>) -> Option<&'a [u8]> {
        let (key, value) = plain(tag);
        let value = value.strip_prefix(b"=")?;
        match key {
            b"storyId" => {
                let (story, rest) = id(value)?;
                once(&mut self.story, story).map(|()| rest)
            }
            b"source" => {
                let (source, rest) = source(value)?;
                once(&mut self.source, source).map(|()| rest)
            }
            b"id" => {
                let (node, rest) = id(value)?;
                once(&mut self.id, node).map(|()| rest)
            }
            b"parentId" => {
                let (node, rest) = id(value)?;
                once(&mut self.parent_id, node).map(|()| rest)
            }
            b"type" => {
                let (node_type, rest) = node_type(value)?;
                once(&mut self.node_type, node_type).map(|()| rest)
            }
            b"" | b"name" => None,
            other => {
                let (value, rest) = plain(value);
                (!value.is_empty() && others.add(other)).then_some(rest)
            }
        }
    }
}

/// The keys of the tags that were skipped: one that comes twice is an error of the line.
#[derive(Default)]
struct OtherTags<'a> {
    keys: [&'a [u8]; OTHER_TAGS_MAX],
    count: usize,
}

impl<'a> OtherTags<'a> {
    /// Whether the key is new and there was room for it.
    fn add(&mut self, key: &'a [u8]) -> bool {
        let is_new = !self.keys.contains(&key);
        let Some(place) = self.keys.get_mut(self.count).filter(|_| is_new) else { return false };
        *place = key;
        self.count += 1;
        true
    }
}

/// Splits off the text at the front that means itself in every key and value.
fn plain(bytes: &[u8]) -> (&[u8], &[u8]) {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b',' | b'=' | b'\\' | b'"');
    let end = bytes.iter().position(|byte| !is_plain(byte)).unwrap_or(bytes.len());
    bytes.split_at(end)
}

/// The head at the front of a line of line protocol, and what follows it, which begins with a space.
#[inline]
pub(super) fn of_line(line: &[u8]) -> Option<(Head<'_>, &[u8])> {
    match in_usual_order(line) {
        Some(found) => Some(found),
        None => in_any_order(line),
    }
}

/// A head whose tags come as the contract writes them: the words are compared as numbers, and little branches.
#[inline]
fn in_usual_order(line: &[u8]) -> Option<(Head<'_>, &[u8])> {
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
        (Some(Node::Interaction(node)), rest)
    } else {
        (None, rest)
    };
    (rest.first() == Some(&b' ')).then_some((Head { kind, source, story, node }, rest))
}

/// A head whose tags come in any order, tags that tallyd ignores among them.
fn in_any_order(line: &[u8]) -> Option<(Head<'_>, &[u8])> {
    let (kind, mut rest) = kind(line)?;
    let mut parts = HeadParts { kind: Some(kind), ..HeadParts::default() };
    let mut others = OtherTags::default();
    loop {
        rest = match rest {
            [b' ', ..] if line.len() - rest.len() <= HEAD_BYTES_MAX => return Some((parts.join()?, rest)),
            [b',', tag @ ..] => parts.add_tag(tag, &mut others)?,
            _ => return None,
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

/// The type of an interaction at the front.
pub(super) fn node_type(bytes: &[u8]) -> Option<(NodeType, &[u8])> {
    let (name, rest) = plain(bytes);
    let node_type = match name {
        b"interaction" => NodeType::Interaction,
        b"contextFallback" => NodeType::ContextFallback,
        b"fallback" => NodeType::Fallback,
        b"welcome" => NodeType::Welcome,
        _ => return None,
    };
    Some((node_type, rest))
}

/// As many bytes as an id has, unless one of them is no ASCII or below `0`, as a line feed is.
#[inline]
pub(super) fn id(bytes: &[u8]) -> Option<(&IdText, &[u8])> {
    const TOPS: u64 = 0x8080_8080_8080_8080;
    // Sets the top bit of an ASCII character from `0` on.
    const TO_TOP: u64 = 0x5050_5050_5050_5050;
    let (text, rest) = bytes.split_first_chunk::<{ ObjectId::LEN }>()?;
    let (words, _) = text.as_chunks::<8>();
    let tops = words.iter().fold(TOPS, |tops, word| {
        let word = u64::from_le_bytes(*word);
        tops & (word & !TOPS).wrapping_add(TO_TOP) & !word
    });
    (tops == TOPS).then_some((text, rest))
}

/// The source at the front; the byte after it shows whether it was the whole word. Looked up by its first letter instead of
/// tried one by one, since no processor can predict which source comes next.
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

/// The sources that begin with one letter: their first eight bytes, and the ninth byte that tells two of them apart.
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
        let (head, rest) = of_line(line.as_bytes())?;
        assert_eq!(rest, b" count=1i\n", "{line:?}");
        assert_eq!(head.story, STORY.as_bytes());
        let node = head.node.map(|node| match node {
            Node::Interaction(id) | Node::ContextFallback(id) => id,
            Node::Fallback | Node::Welcome => panic!("{line:?} has an id"),
        });
        assert!(node.is_none_or(|node| node == NODE.as_bytes()));
        Some((head.kind, head.source, head.node.is_some()))
    }

    #[test]
    fn heads_of_every_source_are_read_in_any_order_of_their_tags() {
        for source in Source::ALL {
            let name = source.as_str();
            for kind in ["message", "conversation"] {
                let lines = [
                    format!("{kind},a=b,storyId={STORY},host=c-1.example,source={name},z=1 count=1i\n"),
                    format!("{kind},storyId={STORY},source={name} count=1i\n"),
                    format!("{kind},source={name},storyId={STORY} count=1i\n"),
                ];
                for line in lines {
                    assert_eq!(read(&line).map(|read| (read.1, read.2)), Some((source, false)), "{line:?}");
                }
            }
            let line = format!("interaction,id={NODE},source={name},storyId={STORY} count=1i\n");
            assert_eq!(read(&line), Some((EventKind::Interaction, source, true)));
            let line = line.replace(",id", ",type=contextFallback,parentId");
            assert_eq!(read(&line), Some((EventKind::Interaction, source, true)));
        }
    }

    #[test]
    fn other_heads_are_left_to_the_complete_grammar() {
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
            format!("interaction,storyId={STORY},source=slack,type=contextFallback,id={NODE}"),
            format!("interaction,storyId={STORY},source=slack,type=fallback,id={NODE}"),
            format!("interaction,storyId={STORY},source=slack,type=welcome,type=welcome"),
            format!("interaction,storyId={STORY},source=slack,id={NODE},name=n"),
            format!("message,storyId={STORY},source=slack,type=welcome"),
            format!("message,host=a,host=b,storyId={STORY},source=slack"),
            format!("message,host=,storyId={STORY},source=slack"),
            format!("message,=a,storyId={STORY},source=slack"),
            format!("message,host=a=b,storyId={STORY},source=slack"),
            format!("message,host=a\\ b,storyId={STORY},source=slack"),
            format!("message,host=\u{fc},storyId={STORY},source=slack"),
            format!("message,host=\t,storyId={STORY},source=slack"),
            format!("message,host={},storyId={STORY},source=slack", "a".repeat(HEAD_BYTES_MAX)),
            format!("message,a=1,b=1,c=1,d=1,e=1,storyId={STORY},source=slack"),
        ] {
            assert_eq!(read(&format!("{head} count=1i\n")), None, "{head:?}");
        }
    }
}
