//! A block of the dictionary as bytes. Many entries are of the same few stories and nodes, whose ids are alike, so an id is
//! written once in a block, without the front that it shares with another one, and by a number after that.
//!
//! ```text
//! entry   head u8: kind, and of a series its metric and source | series, unless it is the next one | story | node | name | generation u64
//! story   varint: 0 and an id, or how many ids ago it was new
//! node    varint: the same by four, and which kind of node it is
//! id      u8: how many characters it shares with the id before, and whether the rest is packed | the rest
//! name    varint length | UTF-8
//! ```
//! An id of a story is written beside that of the story that was new last, one of a node beside that of its story. Pairs of the
//! digits 0 to 9 and a to f are packed into a byte.

use std::collections::HashMap;
use std::collections::hash_map;

use super::Generation;
use super::codec::CodecFault;
use super::entry::Entry;
use crate::limits::narrow;
use crate::model::batch::{Definition, SeriesId};
use crate::model::cells::{read_short_varint, write_varint};
use crate::model::event::{IdText, InteractionId, Metric, Node, ObjectId, SeriesKey, Source, StoryId};

type Hashed = foldhash::fast::RandomState;

/// Kinds of entries, in the lowest bits of the head.
const NEXT_SERIES: u8 = 0;
const SERIES: u8 = 1;
const STORY: u8 = 2;
const NAMED_STORY: u8 = 3;
const NODE: u8 = 4;
const NAMED_NODE: u8 = 5;
const DELETED: u8 = 6;

const KIND_BITS: u32 = 3;
const SOURCE_BITS: u32 = 3;
const _: () = assert!(Source::ALL.len() <= 1 << SOURCE_BITS, "a source fits into the head of an entry");

const CONVERSATIONS: u8 = 0;
const PAID_CONVERSATIONS: u8 = 1;
const MESSAGES: u8 = 2;
const INTERACTION: u8 = 3;

const OF_INTERACTION: u32 = 0;
const OF_CONTEXT_FALLBACK: u32 = 1;
const OF_FALLBACK: u32 = 2;
const OF_WELCOME: u32 = 3;

/// Of an id: the rest is not packed.
const IS_PLAIN: u8 = 0x80;
/// What the first story of a block is written beside.
const NO_ID: IdText = [b'0'; ObjectId::LEN];

/// Writes entries to the payload of a block.
#[derive(Debug)]
pub(crate) struct EntriesWriter {
    payload: Vec<u8>,
    ids: HashMap<IdText, u32, Hashed>,
    last_story: IdText,
    last_series: u32,
    entries: usize,
}

impl Default for EntriesWriter {
    fn default() -> Self {
        Self { payload: Vec::new(), ids: HashMap::default(), last_story: NO_ID, last_series: 0, entries: 0 }
    }
}

impl EntriesWriter {
    pub(crate) fn push(&mut self, entry: &Entry) {
        self.entries = self.entries.saturating_add(1);
        match entry {
            Entry::Series(Definition { id, key }) => {
                let is_next = id.get() == self.last_series.wrapping_add(1);
                self.last_series = id.get();
                let source = u8::try_from(key.source.index()).unwrap_or(u8::MAX);
                let kind = if is_next { NEXT_SERIES } else { SERIES };
                let (metric, node) = match key.metric {
                    Metric::Conversations => (CONVERSATIONS, None),
                    Metric::PaidConversations => (PAID_CONVERSATIONS, None),
                    Metric::Messages => (MESSAGES, None),
                    Metric::Interaction(node) => (INTERACTION, Some(node)),
                };
                self.payload.push(kind | source << KIND_BITS | metric << (KIND_BITS + SOURCE_BITS));
                if !is_next {
                    write_varint(id.get(), &mut self.payload);
                }
                self.story(key.story);
                if let Some(node) = node {
                    self.node(key.story, node);
                }
            }
            Entry::Story { story, name } => {
                self.payload.push(if name.is_some() { NAMED_STORY } else { STORY });
                self.story(*story);
                self.name(name.as_deref());
            }
            Entry::Node { story, node, name } => {
                self.payload.push(if name.is_some() { NAMED_NODE } else { NODE });
                self.story(*story);
                self.node(*story, *node);
                self.name(name.as_deref());
            }
            Entry::Deleted { story, generation } => {
                self.payload.push(DELETED);
                self.story(*story);
                self.payload.extend_from_slice(&generation.get().to_le_bytes());
            }
        }
    }

    /// How many entries the payload has.
    pub(crate) fn entries(&self) -> usize {
        self.entries
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Begins the next block.
    pub(crate) fn clear(&mut self) {
        self.payload.clear();
        self.ids.clear();
        (self.last_story, self.last_series, self.entries) = (NO_ID, 0, 0);
    }

    fn story(&mut self, StoryId(id): StoryId) {
        let back = self.steps_back(id.as_bytes());
        write_varint(back, &mut self.payload);
        if back == 0 {
            write_id(id.as_bytes(), &self.last_story, &mut self.payload);
            self.last_story = *id.as_bytes();
        }
    }

    fn node(&mut self, StoryId(story): StoryId, node: Node) {
        let (id, kind) = match node {
            Node::Interaction(InteractionId(id)) => (id, OF_INTERACTION),
            Node::ContextFallback(InteractionId(id)) => (id, OF_CONTEXT_FALLBACK),
            Node::Fallback => return write_varint(OF_FALLBACK, &mut self.payload),
            Node::Welcome => return write_varint(OF_WELCOME, &mut self.payload),
        };
        let back = self.steps_back(id.as_bytes());
        write_varint(back << 2 | kind, &mut self.payload);
        if back == 0 {
            write_id(id.as_bytes(), story.as_bytes(), &mut self.payload);
        }
    }

    fn name(&mut self, name: Option<&str>) {
        if let Some(name) = name {
            write_varint(u32::try_from(name.len()).unwrap_or(u32::MAX), &mut self.payload);
            self.payload.extend_from_slice(name.as_bytes());
        }
    }

    /// How many ids ago the id was new; 0 if it is new now.
    fn steps_back(&mut self, id: &IdText) -> u32 {
        let known = u32::try_from(self.ids.len()).unwrap_or(u32::MAX);
        match self.ids.entry(*id) {
            hash_map::Entry::Occupied(number) => known.saturating_sub(*number.get()),
            hash_map::Entry::Vacant(place) => {
                place.insert(known);
                0
            }
        }
    }
}

fn write_id(id: &IdText, before: &IdText, out: &mut Vec<u8>) {
    let shared = id.iter().zip(before).take_while(|(a, b)| a == b).count();
    // An even number, so that the rest is of pairs.
    let front = shared / 2 * 2;
    let pairs = id.get(front..).unwrap_or_default().as_chunks::<2>().0;
    let bits = u8::try_from(front).unwrap_or_default();
    let at = out.len();
    out.push(bits);
    for [high, low] in pairs {
        let (Some(high), Some(low)) = (digit(*high), digit(*low)) else {
            out.truncate(at);
            out.push(bits | IS_PLAIN);
            out.extend_from_slice(pairs.as_flattened());
            return;
        };
        out.push(high << 4 | low);
    }
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

/// Reads the payload of a block onto `entries`.
pub(crate) fn decode(payload: &[u8], entries: &mut Vec<Entry>) -> Result<(), CodecFault> {
    let mut reader = EntriesReader { rest: payload, ids: Vec::new(), last_story: NO_ID, last_series: 0 };
    while !reader.rest.is_empty() {
        let at = payload.len().saturating_sub(reader.rest.len());
        let entry =
            reader.entry().map_err(|what| format!("{what}, in the entry at byte {at} of the block"))?;
        entries.push(entry);
    }
    Ok(())
}

struct EntriesReader<'a> {
    rest: &'a [u8],
    /// In the order in which they were new.
    ids: Vec<ObjectId>,
    last_story: IdText,
    last_series: u32,
}

impl<'a> EntriesReader<'a> {
    fn entry(&mut self) -> Result<Entry, CodecFault> {
        let head = self.byte()?;
        let kind = head & ((1 << KIND_BITS) - 1);
        if kind > SERIES && head != kind {
            return Err(format!("{head} begins no entry"));
        }
        Ok(match kind {
            NEXT_SERIES | SERIES => Entry::Series(self.definition(head, kind)?),
            STORY | NAMED_STORY => {
                let story = self.story()?;
                Entry::Story { story, name: if kind == STORY { None } else { Some(self.name()?) } }
            }
            NODE | NAMED_NODE => {
                let story = self.story()?;
                let node = self.node(story)?;
                Entry::Node { story, node, name: if kind == NODE { None } else { Some(self.name()?) } }
            }
            DELETED => {
                let story = self.story()?;
                let generation = self.take(size_of::<u64>())?;
                let generation = generation.try_into().map_or(0, u64::from_le_bytes);
                Entry::Deleted { story, generation: Generation::new(generation) }
            }
            _ => return Err(format!("{head} begins no entry")),
        })
    }

    fn definition(&mut self, head: u8, kind: u8) -> Result<Definition, CodecFault> {
        let source = usize::from(head >> KIND_BITS & ((1 << SOURCE_BITS) - 1));
        let source = *Source::ALL.get(source).ok_or_else(|| format!("{source} is no source"))?;
        let id = if kind == SERIES { self.varint()? } else { self.last_series.wrapping_add(1) };
        self.last_series = id;
        let story = self.story()?;
        let metric = match head >> (KIND_BITS + SOURCE_BITS) {
            CONVERSATIONS => Metric::Conversations,
            PAID_CONVERSATIONS => Metric::PaidConversations,
            MESSAGES => Metric::Messages,
            _ => Metric::Interaction(self.node(story)?),
        };
        Ok(Definition { id: SeriesId::new(id), key: SeriesKey { story, source, metric } })
    }

    fn story(&mut self) -> Result<StoryId, CodecFault> {
        let back = self.varint()?;
        if back > 0 {
            return self.known(back).map(StoryId);
        }
        let id = self.new_id(&self.last_story.clone())?;
        self.last_story = *id.as_bytes();
        Ok(StoryId(id))
    }

    fn node(&mut self, story: StoryId) -> Result<Node, CodecFault> {
        let number = self.varint()?;
        let (back, kind) = (number >> 2, number & 3);
        match kind {
            OF_INTERACTION | OF_CONTEXT_FALLBACK => {
                let id = if back > 0 { self.known(back)? } else { self.new_id(story.0.as_bytes())? };
                let id = InteractionId(id);
                Ok(if kind == OF_INTERACTION { Node::Interaction(id) } else { Node::ContextFallback(id) })
            }
            _ if back > 0 => Err("a node without an id has one".to_owned()),
            OF_FALLBACK => Ok(Node::Fallback),
            _ => Ok(Node::Welcome),
        }
    }

    fn name(&mut self) -> Result<Box<str>, CodecFault> {
        let length = narrow(self.varint()?);
        let name =
            std::str::from_utf8(self.take(length)?).map_err(|error| format!("a name is no text: {error}"))?;
        Ok(Box::from(name))
    }

    fn known(&self, back: u32) -> Result<ObjectId, CodecFault> {
        let number = self.ids.len().checked_sub(narrow(back));
        number
            .and_then(|number| self.ids.get(number))
            .copied()
            .ok_or_else(|| format!("there is no id {back} back"))
    }

    fn new_id(&mut self, before: &IdText) -> Result<ObjectId, CodecFault> {
        let head = self.byte()?;
        let (front, is_plain) = (usize::from(head & !IS_PLAIN), head & IS_PLAIN != 0);
        let mut text = *before;
        let rest = text.get_mut(front..).filter(|rest| rest.len().is_multiple_of(2));
        let rest = rest.ok_or_else(|| format!("an id shares {front} characters"))?;
        if is_plain {
            rest.copy_from_slice(self.take(rest.len())?);
        } else {
            let packed = self.take(rest.len() / 2)?;
            for (pair, byte) in rest.as_chunks_mut::<2>().0.iter_mut().zip(packed) {
                *pair = [character(byte >> 4), character(byte & 15)];
            }
        }
        let id = ObjectId::parse(&text).ok_or("an id is not of letters and digits")?;
        self.ids.push(id);
        Ok(id)
    }

    fn varint(&mut self) -> Result<u32, CodecFault> {
        read_short_varint(&mut self.rest).map_err(|error| error.to_string())
    }

    fn byte(&mut self) -> Result<u8, CodecFault> {
        self.take(1)?.first().copied().ok_or_else(cut_short)
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], CodecFault> {
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or_else(cut_short)?;
        self.rest = rest;
        Ok(taken)
    }
}

fn cut_short() -> CodecFault {
    "the block is cut short".to_owned()
}

fn character(digit: u8) -> u8 {
    if digit < 10 { b'0' + digit } else { b'a' + (digit - 10) }
}
