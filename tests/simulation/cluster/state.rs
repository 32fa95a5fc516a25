//! What a node counts, plainly: a stand-in for the store. Counters, stories and names, keys, and the digest kept beside.

use std::collections::BTreeMap;

use tallyd::cluster::digest::{Digest, SeriesHash};
use tallyd::cluster::message::part::Part;
use tallyd::cluster::position::LogStamp;
use tallyd::cluster::publish::PartOutcome;
use tallyd::limits::KEYS_KEPT;
use tallyd::model::batch::{Change, KeyId, KeyedAnswer};
use tallyd::model::calendar::Hour;
use tallyd::model::event::{Metric, Node, SeriesKey, StoryId};

/// A key that was noted.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Noted {
    pub(crate) content: u64,
    pub(crate) taken: u32,
    pub(crate) accepted: u32,
}

/// The keys that were noted.
pub(crate) type Keys = BTreeMap<[u8; 16], Noted>;

/// What is found under a key at a time.
pub(crate) fn look_up(keys: &Keys, id: KeyId, now: u32) -> Option<&Noted> {
    keys.get(&id.0).filter(|noted| u64::from(now.saturating_sub(noted.taken)) < KEYS_KEPT.as_secs())
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct State {
    pub(crate) cells: BTreeMap<(SeriesKey, Hour), u64>,
    pub(crate) stories: BTreeMap<StoryId, Option<String>>,
    pub(crate) nodes: BTreeMap<(StoryId, Node), Option<String>>,
    pub(crate) keys: Keys,
    /// All that were ever noted, with content and answer.
    pub(crate) ever_noted: Vec<(KeyId, u64, u32)>,
    pub(crate) digest: Digest,
}

impl State {
    /// Applies a part at that time of the log.
    pub(crate) fn apply(&mut self, part: &Part, now: LogStamp) -> PartOutcome {
        if let Some(key) = part.key() {
            let (id, content) = (key.identity.id, key.identity.content);
            if let Some(noted) = look_up(&self.keys, id, now.seconds()) {
                if noted.content != content {
                    return PartOutcome::Conflict;
                }
                let answer = KeyedAnswer { accepted: noted.accepted, ..KeyedAnswer::default() };
                return PartOutcome::Repeated(answer);
            }
            let noted = Noted { content, taken: now.seconds(), accepted: key.answer.accepted };
            self.ever_noted.push((id, content, noted.accepted));
            self.keys.insert(id.0, noted);
        }
        part.changes().iter().for_each(|change| self.change(change));
        for key in part.series() {
            self.know_story(key.story, None);
            if let Metric::Interaction(node) = key.metric {
                self.know_node((key.story, node), None);
            }
        }
        for (key, hour, count) in part.increments() {
            *self.cells.entry((*key, hour)).or_default() += u64::from(count);
            self.digest = self.digest.plus(SeriesHash::of(key).cell(hour, u64::from(count)));
        }
        PartOutcome::Counted
    }

    fn change(&mut self, change: &Change) {
        match change {
            Change::Story { story, name } => self.know_story(*story, name.as_deref()),
            Change::Node { story, node, name } => {
                self.know_story(*story, None);
                self.know_node((*story, *node), name.as_deref());
            }
            Change::DeleteStory { story } => {
                let before = self.clone();
                self.cells.retain(|(key, _), _| key.story != *story);
                self.nodes.retain(|(of, _), _| of != story);
                self.stories.remove(story);
                let gone =
                    |(key, hour): &(SeriesKey, Hour), count: &u64| SeriesHash::of(key).cell(*hour, *count);
                let cells = before.cells.iter().filter(|(at, _)| at.0.story == *story);
                let cells = cells.map(|(at, count)| gone(at, count));
                let nodes = before.nodes.iter().filter(|(at, _)| at.0 == *story);
                let nodes = nodes.map(|(at, name)| Digest::of_node(*at, name.as_deref()));
                let name = before.stories.get(story).map(|name| Digest::of_story(*story, name.as_deref()));
                self.digest = cells.chain(nodes).chain(name).fold(self.digest, Digest::minus);
            }
        }
    }

    fn know_story(&mut self, story: StoryId, name: Option<&str>) {
        let known = self.stories.get(&story).cloned();
        let next = name.map(str::to_owned).or(known.clone().flatten());
        if known.as_ref() != Some(&next) {
            let share = |name: &Option<String>| Digest::of_story(story, name.as_deref());
            self.digest = self.digest.minus(known.as_ref().map_or(Digest::EMPTY, share)).plus(share(&next));
            self.stories.insert(story, next);
        }
    }

    fn know_node(&mut self, at: (StoryId, Node), name: Option<&str>) {
        let known = self.nodes.get(&at).cloned();
        let next = name.map(str::to_owned).or(known.clone().flatten());
        if known.as_ref() != Some(&next) {
            let share = |name: &Option<String>| Digest::of_node(at, name.as_deref());
            self.digest = self.digest.minus(known.as_ref().map_or(Digest::EMPTY, share)).plus(share(&next));
            self.nodes.insert(at, next);
        }
    }

    /// The digest, added up anew.
    pub(crate) fn digest_anew(&self) -> Digest {
        let cells = self.cells.iter().map(|((key, hour), count)| SeriesHash::of(key).cell(*hour, *count));
        let stories = self.stories.iter().map(|(story, name)| Digest::of_story(*story, name.as_deref()));
        let nodes = self.nodes.iter().map(|(at, name)| Digest::of_node(*at, name.as_deref()));
        cells.chain(stories).chain(nodes).fold(Digest::EMPTY, Digest::plus)
    }
}
