//! Defining very many series: each definition finds its story and its node by a hash, and one after the other they would wait
//! for every cache line of every one, and for a lock. So those of a block are prefetched together, and where nobody else
//! interns, as at a start, defined under one lock.

use std::sync::atomic::Ordering;

use super::index::{IdHashes, Missing, StoryCounter};
use super::interning::Interning;
use super::word::Counter;
use super::{Catalogue, CatalogueLimits, can_be_defined};
use crate::model::batch::{Definition, SeriesId};
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

    /// As [`Self::mark_durable`] for each in turn, calling `replaced` with what that returns. Parsers that intern wait until all are
    /// defined, so it is for a start.
    pub(crate) fn mark_all_durable(&self, definitions: &[Definition], replaced: &mut dyn FnMut(SeriesId)) {
        let mut interning = self.lock();
        for block in definitions.chunks(DEFINITIONS_TOGETHER) {
            self.prefetch_definitions(block.iter());
            for definition in block {
                self.mark_in(&mut interning, definition).into_iter().for_each(&mut *replaced);
            }
        }
    }

    /// Marks a series as durable, after it was bound to its key where need be; another id that the key had.
    pub(super) fn mark_in(&self, interning: &mut Interning, definition: &Definition) -> Option<SeriesId> {
        let Definition { id, key } = definition;
        if !can_be_defined(*id) {
            return None;
        }
        let unbounded = CatalogueLimits::UNBOUNDED;
        let (tenant, place) = self.place_or_add(interning, key, unbounded).ok()?;
        let link = self.link(place)?;
        let before = if link.get().is_some_and(|series| series.id == *id) {
            None
        } else {
            self.next_id.fetch_max(id.get() + 1, Ordering::AcqRel);
            self.bind(*id, place)
        };
        // No story is evicted while the lock is held.
        let node = if let Counter::OfNode(row) = place.counter { self.index.node_row(row) } else { None };
        self.mark_link(link, (self.index.story_row(tenant.number)?, node));
        before
    }
}
