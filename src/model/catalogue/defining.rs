//! Prefetches what defining series touches, for those who define very many: each definition finds its story and its node by a
//! hash, and one after the other they would wait for every cache line of every one. Changes nothing.

use super::Catalogue;
use super::index::{IdHashes, Missing, StoryCounter};
use crate::model::batch::Definition;
use crate::model::event::Node;
use crate::model::prefetch::prefetch;

/// Definitions that are fetched together.
pub(crate) const DEFINITIONS_TOGETHER: usize = 64;

impl Catalogue {
    /// Prefetches what [`Self::mark_durable`] will touch, for at most [`DEFINITIONS_TOGETHER`] definitions. Never blocks for long.
    pub(crate) fn prefetch_definitions<'a>(&self, definitions: impl Iterator<Item = &'a Definition>) {
        let view = self.index.view();
        let mut all = [IdHashes::default(); DEFINITIONS_TOGETHER];
        let mut count = 0;
        for (hashes, definition) in all.iter_mut().zip(definitions) {
            let node = StoryCounter::of(definition.key.metric).err();
            let node = node.as_ref().map(Node::as_text);
            *hashes = self.index.hash_ids(definition.key.story.0.as_bytes(), node);
            view.prefetch(*hashes);
            count += 1;
        }
        let mut missing = [Missing::default(); DEFINITIONS_TOGETHER];
        for (missing, hashes) in missing.iter_mut().zip(&all).take(count) {
            *missing = self.index.prefetch_rows(&view, *hashes);
            // A node is added by way of its story.
            if let Missing::NodeOf(story) = missing {
                self.prefetch_numbered(*story);
            }
        }
        for missing in missing.iter().take(count) {
            if let Missing::NodeOf(story) = missing
                && let Some(story) = self.story_numbered(*story)
            {
                prefetch(&*story);
            }
        }
    }
}
