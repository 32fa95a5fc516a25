//! A part of a message: increments and changes that count together, with names instead of numbers.
//!
//! | in order | |
//! | --- | --- |
//! | flags, 1 byte | 1: the batch has a key |
//! | key, where there is one | identity and answer (see `key_bytes`) |
//! | table of stories | a count and as many ids that are lower-case hexadecimal, 12 bytes each; a count and the other ids, 24 bytes each |
//! | table of nodes | the ids of interactions, in the same way |
//! | changes | a count; each a kind (0 a story, 1 a node, 2 a story is deleted), the story's place in its table, of a node a metric and its place, and of both a name: 0, or its length and 1, and the text |
//! | series | a count; each how far its story's place is from that of the one before, a byte of metric × 7 + source, a place in the table of nodes where the metric has one, and the number of its cells |
//! | cells | where there are any, the first hour of all; then for each series its cells: how far the hour is from the one before (of its first, from the first of all), and the count |
//!
//! Numbers are varints. A sum over 32 bits is several cells of one hour, all but the last full.
//!
//! INVARIANT: tables, series and cells ascend, so that a part can be written in one way only.

use super::table::{IdOrder, Table, id_order};
use super::{read_count, take, write_count};
use crate::cluster::codes::{SOURCES, node_code, node_id, series_code};
use crate::limits::narrow;
use crate::model::batch::{BatchIdentity, Change, KeyedAnswer};
use crate::model::calendar::Hour;
use crate::model::event::{InteractionId, Metric, Node, SeriesKey, Source, StoryId};
use crate::model::{key_bytes, varint};

/// The shortest part: flags, two empty tables, no changes, no series.
pub(super) const SHORTEST_PART_BYTES: usize = 7;
pub(super) const SHORTEST_SERIES_BYTES: usize = 3;
pub(super) const SHORTEST_CELL_BYTES: usize = 2;
pub(super) const SHORTEST_CHANGE_BYTES: usize = 2;

const FLAG_KEY: u8 = 1;

/// What counts together, and after what stands before it.
///
/// INVARIANT: `series` ascend as [`order`] says, no two are equal; `cells` ascend by series and hour, none is 0.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Part {
    key: Option<Box<PartKey>>,
    changes: Vec<Change>,
    series: Vec<SeriesKey>,
    cells: Vec<Cell>,
}

/// The key of a part, which is then one batch. When it is taken is for the log to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartKey {
    /// What the batch is recognised by.
    pub identity: BatchIdentity,
    /// How it is answered, now and again.
    pub answer: KeyedAnswer,
}

/// Adds to one counter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Cell {
    /// The place of its series in the part.
    pub series: u32,
    /// The hour.
    pub hour: Hour,
    /// How much is added.
    pub count: u32,
}

/// What is added to one counter, which may be more than a cell can say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sum {
    /// The place of its series in a list.
    pub series: u32,
    /// The hour.
    pub hour: Hour,
    /// How much is added.
    pub count: u64,
}

impl Part {
    /// A part of changes, then sums for series, which may come in any order and more than once. A series without a sum
    /// is only made known.
    pub fn new(
        key: Option<Box<PartKey>>,
        changes: Vec<Change>,
        series: &[SeriesKey],
        mut sums: Vec<Sum>,
    ) -> Self {
        let mut places: Vec<(Order, u32)> =
            (0..).zip(series).map(|(place, key)| (order(key), place)).collect();
        places.sort_unstable();
        let mut new_places = vec![0_u32; series.len()];
        let mut sorted: Vec<SeriesKey> = Vec::with_capacity(series.len());
        for (_, place) in places {
            let Some(key) = series.get(narrow(place)) else { continue };
            if sorted.last() != Some(key) {
                sorted.push(*key);
            }
            if let Some(new_place) = new_places.get_mut(narrow(place)) {
                *new_place = u32::try_from(sorted.len().saturating_sub(1)).unwrap_or(u32::MAX);
            }
        }
        sums.retain(|sum| sum.count > 0 && narrow(sum.series) < series.len());
        for sum in &mut sums {
            sum.series = new_places.get(narrow(sum.series)).copied().unwrap_or_default();
        }
        sums.sort_unstable_by_key(|sum| (sum.series, sum.hour));
        let mut cells = Vec::with_capacity(sums.len());
        for group in sums.chunk_by(|one, next| (one.series, one.hour) == (next.series, next.hour)) {
            let Some(Sum { series, hour, .. }) = group.first().copied() else { continue };
            let mut left: u128 = group.iter().map(|sum| u128::from(sum.count)).sum();
            while left > 0 {
                let count = u32::try_from(left).unwrap_or(u32::MAX);
                cells.push(Cell { series, hour, count });
                left = left.saturating_sub(u128::from(count));
            }
        }
        Self { key, changes, series: sorted, cells }
    }

    /// The key, where the part is a batch with one.
    pub fn key(&self) -> Option<&PartKey> {
        self.key.as_deref()
    }

    /// Changes of the catalogue, in order, before the cells.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The series that are known after it.
    pub fn series(&self) -> &[SeriesKey] {
        &self.series
    }

    /// What is added, and to which of the series.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Each increment by its name.
    pub fn increments(&self) -> impl Iterator<Item = (&SeriesKey, Hour, u32)> {
        self.cells
            .iter()
            .filter_map(|cell| Some((self.series.get(narrow(cell.series))?, cell.hour, cell.count)))
    }

    /// Appends the part to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(if self.key.is_some() { FLAG_KEY } else { 0 });
        if let Some(key) = &self.key {
            encode_key(key, out);
        }
        let stories = self.changes.iter().map(Change::story).chain(self.series.iter().map(|key| key.story));
        let stories = Table::of(stories.map(|story| story.0));
        let changed = self.changes.iter().filter_map(|change| match change {
            Change::Node { node, .. } => Some(*node),
            Change::Story { .. } | Change::DeleteStory { .. } => None,
        });
        let counted = self.series.iter().filter_map(|key| match key.metric {
            Metric::Interaction(node) => Some(node),
            Metric::Conversations | Metric::PaidConversations | Metric::Messages => None,
        });
        let nodes = Table::of(changed.chain(counted).filter_map(node_id));
        stories.encode(out);
        nodes.encode(out);
        write_count(self.changes.len(), out);
        for change in &self.changes {
            encode_change(change, (&stories, &nodes), out);
        }
        self.encode_series((&stories, &nodes), out);
        self.encode_cells(out);
    }

    fn encode_series(&self, (stories, nodes): (&Table, &Table), out: &mut Vec<u8>) {
        write_count(self.series.len(), out);
        let mut groups = self.cells.chunk_by(|one, next| one.series == next.series).peekable();
        let mut previous = 0;
        for (place, key) in (0_u32..).zip(&self.series) {
            let story = stories.place(&key.story.0);
            varint::write(story.saturating_sub(previous), out);
            previous = story;
            out.push(series_code(key));
            if let Metric::Interaction(node) = key.metric
                && let Some(id) = node_id(node)
            {
                varint::write(nodes.place(&id), out);
            }
            let its = groups.next_if(|group| group.first().is_some_and(|cell| cell.series == place));
            write_count(its.map_or(0, <[Cell]>::len), out);
        }
    }

    fn encode_cells(&self, out: &mut Vec<u8>) {
        let Some(first) = self.cells.iter().map(|cell| cell.hour.get()).min() else { return };
        varint::write(u64::from(first), out);
        let mut previous = None;
        for cell in &self.cells {
            let hour = cell.hour.get();
            let from = previous.filter(|(series, _)| *series == cell.series).map_or(first, |(_, hour)| hour);
            varint::write(u64::from(hour.saturating_sub(from)), out);
            varint::write(u64::from(cell.count), out);
            previous = Some((cell.series, hour));
        }
    }

    /// Takes a part from the front of `rest`; an error says what is wrong.
    pub(super) fn decode(rest: &mut &[u8]) -> Result<Self, &'static str> {
        let key = match take(rest) {
            Some([0]) => None,
            Some([FLAG_KEY]) => Some(Box::new(decode_key(rest).ok_or("a key cannot be read")?)),
            _ => return Err("the flags of a part are not known"),
        };
        let stories = Table::decode(rest).ok_or("a table of stories cannot be read")?;
        let nodes = Table::decode(rest).ok_or("a table of nodes cannot be read")?;
        let count = read_count(rest, SHORTEST_CHANGE_BYTES).ok_or("the number of changes is wrong")?;
        let mut changes = Vec::with_capacity(count);
        for _ in 0..count {
            changes.push(decode_change(rest, (&stories, &nodes)).ok_or("a change cannot be read")?);
        }
        let (series, counts) = decode_series(rest, (&stories, &nodes)).ok_or("a series cannot be read")?;
        let cells = decode_cells(rest, &counts).ok_or("the cells cannot be read")?;
        Ok(Self { key, changes, series, cells })
    }
}

/// How series are ordered.
type Order = (IdOrder, u8, Option<IdOrder>);

fn order(key: &SeriesKey) -> Order {
    let node = match key.metric {
        Metric::Interaction(node) => node_id(node),
        Metric::Conversations | Metric::PaidConversations | Metric::Messages => None,
    };
    (id_order(&key.story.0), series_code(key), node.as_ref().map(id_order))
}

fn decode_series(
    rest: &mut &[u8],
    (stories, nodes): (&Table, &Table),
) -> Option<(Vec<SeriesKey>, Vec<usize>)> {
    let count = read_count(rest, SHORTEST_SERIES_BYTES)?;
    let (mut series, mut counts) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let mut place = 0_u64;
    let mut previous = None;
    for _ in 0..count {
        place = place.checked_add(varint::read(rest)?)?;
        let [code] = take(rest)?;
        let source = Source::of_code(code % SOURCES)?;
        let metric = match code / SOURCES {
            0 => Metric::Conversations,
            1 => Metric::PaidConversations,
            2 => Metric::Messages,
            code => Metric::Interaction(decode_node(code, rest, nodes)?),
        };
        let key = SeriesKey { story: StoryId(stories.at(place)?), source, metric };
        let order = order(&key);
        if previous.is_some_and(|previous| previous >= order) {
            return None;
        }
        previous = Some(order);
        series.push(key);
        counts.push(read_count(rest, SHORTEST_CELL_BYTES)?);
    }
    Some((series, counts))
}

fn decode_cells(rest: &mut &[u8], counts: &[usize]) -> Option<Vec<Cell>> {
    let count = counts.iter().try_fold(0_usize, |sum, count| sum.checked_add(*count))?;
    if count == 0 {
        return Some(Vec::new());
    }
    let first = varint::read_u32(rest)?;
    let mut cells: Vec<Cell> =
        Vec::with_capacity((count <= rest.len() / SHORTEST_CELL_BYTES).then_some(count)?);
    let mut least = u32::MAX;
    for (series, count) in (0_u32..).zip(counts) {
        let mut previous: Option<(u32, u32)> = None;
        for _ in 0..*count {
            let step = varint::read_u32(rest)?;
            let count = varint::read_u32(rest)?;
            let hour = previous.map_or(first, |(hour, _)| hour).checked_add(step)?;
            // Another cell of an hour goes on where one was full.
            let goes_on = previous.is_none_or(|(_, full)| step > 0 || full == u32::MAX);
            if count == 0 || !goes_on {
                return None;
            }
            cells.push(Cell { series, hour: Hour::checked(hour)?, count });
            previous = Some((hour, count));
            least = least.min(hour);
        }
    }
    (least == first).then_some(cells)
}

fn decode_node(code: u8, rest: &mut &[u8], nodes: &Table) -> Option<Node> {
    let mut id = || Some(InteractionId(nodes.at(varint::read(rest)?)?));
    match code {
        3 => Some(Node::Interaction(id()?)),
        4 => Some(Node::ContextFallback(id()?)),
        5 => Some(Node::Fallback),
        6 => Some(Node::Welcome),
        _ => None,
    }
}

fn encode_change(change: &Change, (stories, nodes): (&Table, &Table), out: &mut Vec<u8>) {
    let mut begin = |kind: u8| {
        out.push(kind);
        varint::write(stories.place(&change.story().0), out);
    };
    match change {
        Change::Story { name, .. } => {
            begin(0);
            encode_name(name.as_deref(), out);
        }
        Change::Node { node, name, .. } => {
            begin(1);
            out.push(node_code(*node));
            if let Some(id) = node_id(*node) {
                varint::write(nodes.place(&id), out);
            }
            encode_name(name.as_deref(), out);
        }
        Change::DeleteStory { .. } => begin(2),
    }
}

fn decode_change(rest: &mut &[u8], (stories, nodes): (&Table, &Table)) -> Option<Change> {
    let [kind] = take(rest)?;
    let story = StoryId(stories.at(varint::read(rest)?)?);
    match kind {
        0 => Some(Change::Story { story, name: decode_name(rest)? }),
        1 => {
            let [code] = take(rest)?;
            let node = decode_node(code, rest, nodes)?;
            Some(Change::Node { story, node, name: decode_name(rest)? })
        }
        2 => Some(Change::DeleteStory { story }),
        _ => None,
    }
}

fn encode_name(name: Option<&str>, out: &mut Vec<u8>) {
    let Some(name) = name else { return out.push(0) };
    write_count(name.len().saturating_add(1), out);
    out.extend_from_slice(name.as_bytes());
}

/// `Some(None)` is no name.
#[expect(clippy::option_option, reason = "none may be read, and nothing may be readable")]
fn decode_name(rest: &mut &[u8]) -> Option<Option<Box<str>>> {
    match varint::read(rest)? {
        0 => Some(None),
        length => take_text(rest, usize::try_from(length.saturating_sub(1)).ok()?).map(Some),
    }
}

fn encode_key(key: &PartKey, out: &mut Vec<u8>) {
    key_bytes::write_identity(&key.identity, out);
    key_bytes::write_answer(&key.answer, out);
}

fn decode_key(rest: &mut &[u8]) -> Option<PartKey> {
    let identity = key_bytes::read_identity(rest)?;
    Some(PartKey { identity, answer: key_bytes::read_answer(rest)? })
}

fn take_text(rest: &mut &[u8], bytes: usize) -> Option<Box<str>> {
    let (text, after) = rest.split_at_checked(bytes)?;
    *rest = after;
    Some(std::str::from_utf8(text).ok()?.into())
}
