//! Adding stories, nodes and ids to the catalogue, and making room for them. One thread at a time does so; look-ups of
//! what is there take no part in its lock.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::index::{Interned, Link, StoryCounter, Tenant, View};
use super::story::{Story, StoryState};
use super::word::{Counter, LinkPlace};
use super::{Catalogue, CatalogueFull, CatalogueLimits};
use crate::limits::{NODES_MAX, STORIES_REFUSED_PER_RELEASE, TOTALS, narrow};
use crate::model::batch::Change;
use crate::model::event::{Node, SeriesId, SeriesKey, StoryId};

/// What it takes to add stories and nodes.
#[derive(Debug, Default)]
pub(super) struct Interning {
    /// The number of the last story's tenancy.
    tenancies: u32,
    /// Stories that may be evicted, unless they are known again; the one released first in front.
    released: VecDeque<u32>,
    /// New stories that were refused.
    refusals: u32,
    /// Rows of nodes that were freed.
    pub(super) nodes_free: Vec<u32>,
}

impl Catalogue {
    /// As [`Self::intern_with_mark`], for what a log has that several daemons share: only the size of the tables bounds it.
    ///
    /// # Errors
    /// Which table is full.
    pub(crate) fn intern_of_log(&self, view: &View, key: &SeriesKey) -> Result<Interned, CatalogueFull> {
        match self.index.series(view, key) {
            Some(series) => Ok(series),
            None => self.intern_in(&mut self.lock(), key, self.limits.of_log()),
        }
    }

    /// As [`Self::admit`], for what a log has that several daemons share.
    ///
    /// # Errors
    /// Which table is full.
    pub(crate) fn admit_of_log(&self, change: &Change) -> Result<(), CatalogueFull> {
        self.admit_within(change, self.limits.of_log())
    }

    pub(super) fn admit_within(&self, change: &Change, limits: CatalogueLimits) -> Result<(), CatalogueFull> {
        let mut interning = self.lock();
        match change {
            Change::DeleteStory { .. } => Ok(()),
            Change::Story { story, .. } => self.story_or_add(&mut interning, *story, limits).map(drop),
            Change::Node { story, node, .. } => {
                let story = self.story_or_add(&mut interning, *story, limits)?;
                self.node_or_add(&mut interning, story, *node, limits).map(drop)
            }
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Interning> {
        self.interning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn intern_in(
        &self,
        interning: &mut Interning,
        key: &SeriesKey,
        limits: CatalogueLimits,
    ) -> Result<Interned, CatalogueFull> {
        let (tenant, place) = self.place_or_add(interning, key, limits)?;
        // Another thread may have been here before.
        if let Some(series) = self.link(place).and_then(Link::get) {
            return Ok(series);
        }
        let next = self.next_id.load(Ordering::Relaxed);
        let id = SeriesId::new(next);
        if id.index() >= TOTALS + limits.series {
            if let Some(story) = self.story_numbered(tenant.number) {
                interning.release_if_empty(&story, &mut story.write());
            }
            return Err(CatalogueFull::Series(limits.series));
        }
        self.next_id.store(next + 1, Ordering::Release);
        self.bind(id, place);
        Ok(Interned { id, is_durable: false })
    }

    /// The row of a key's story, and where its series stands, both added where need be.
    pub(super) fn place_or_add(
        &self,
        interning: &mut Interning,
        key: &SeriesKey,
        limits: CatalogueLimits,
    ) -> Result<(Tenant, LinkPlace), CatalogueFull> {
        let tenant = self.story_or_add(interning, key.story, limits)?;
        let counter = match StoryCounter::of(key.metric) {
            Ok(counter) => Counter::OfStory(tenant.number, counter),
            Err(node) => Counter::OfNode(self.node_or_add(interning, tenant, node, limits)?),
        };
        Ok((tenant, LinkPlace { counter, source: key.source }))
    }

    /// The row of a story, added where need be.
    pub(super) fn story_or_add(
        &self,
        interning: &mut Interning,
        id: StoryId,
        limits: CatalogueLimits,
    ) -> Result<Tenant, CatalogueFull> {
        if let Some(tenant) = self.index.story(id) {
            return Ok(tenant);
        }
        let full = CatalogueFull::Stories(limits.stories);
        let end = self.story_numbers_end();
        let is_below = |max: usize| narrow(end) < max;
        let evicted = if is_below(self.limits.stories) { None } else { self.evict(interning) };
        let Some(number) = evicted.or(is_below(limits.stories).then_some(end)) else {
            interning.refusals = interning.refusals.wrapping_add(1);
            if interning.refusals.is_multiple_of(STORIES_REFUSED_PER_RELEASE) {
                self.release_unknown(interning);
            }
            return Err(full);
        };
        let place = self.stories.ensure(narrow(number)).ok_or(full)?;
        interning.tenancies = interning.tenancies.wrapping_add(1).max(1);
        let tenant = Tenant { story: id, number, tenancy: interning.tenancies };
        let story = Arc::new(Story::new(&self.index, tenant));
        *place.write().unwrap_or_else(PoisonError::into_inner) = Some(story);
        self.index.add_story(tenant).ok_or(full)?;
        if evicted.is_some() {
            self.by_id.note_replaced();
        }
        self.stories_end.fetch_max(number + 1, Ordering::AcqRel);
        Ok(tenant)
    }

    /// The row of a node of a story, added where need be.
    pub(super) fn node_or_add(
        &self,
        interning: &mut Interning,
        tenant: Tenant,
        node: Node,
        limits: CatalogueLimits,
    ) -> Result<u32, CatalogueFull> {
        if let Some((row, _)) = self.index.node(tenant, node) {
            return Ok(row);
        }
        let story = self.story_numbered(tenant.number).ok_or(CatalogueFull::Stories(limits.stories))?;
        let mut inner = story.write();
        let place = u32::try_from(inner.nodes.len()).unwrap_or(u32::MAX);
        let added = if inner.nodes.len() < limits.nodes_per_story {
            let row = interning.nodes_free.pop().unwrap_or_else(|| self.nodes_end.load(Ordering::Relaxed));
            let added = self.index.add_node(row, tenant, node, place);
            added.map(|()| row).ok_or(CatalogueFull::AllNodes(NODES_MAX))
        } else {
            Err(CatalogueFull::Nodes { story: story.id(), max: limits.nodes_per_story })
        };
        match added {
            Ok(row) => {
                self.nodes_end.fetch_max(row + 1, Ordering::Relaxed);
                inner.add_node(node, row);
            }
            Err(_) => interning.release_if_empty(&story, &mut inner),
        }
        added
    }

    /// Takes its place from the story that was released first; the number. A story that is known again keeps it.
    fn evict(&self, interning: &mut Interning) -> Option<u32> {
        while let Some(number) = interning.released.pop_front() {
            let Some(story) = self.story_numbered(number) else { continue };
            let mut inner = story.write();
            inner.is_released = false;
            if story.is_known() {
                continue;
            }
            inner.is_evicted = true;
            let mut series = self.index.remove_story(number, story.id());
            for node in inner.nodes.drain(..) {
                series.extend(self.index.remove_node(node.row, story.id(), node.node));
                interning.nodes_free.push(node.row);
            }
            for id in series {
                self.unbind(id);
            }
            return Some(number);
        }
        None
    }

    /// Releases every story that is not known. Some may belong to batches on their way: if such a story is evicted before
    /// it is known, its batch is refused.
    fn release_unknown(&self, interning: &mut Interning) {
        for story in (0..self.story_numbers_end()).filter_map(|number| self.story_numbered(number)) {
            interning.release(&story, &mut story.write());
        }
    }

    fn unbind(&self, id: SeriesId) {
        if let Some(place) = self.places.get(id.index()) {
            place.store(0, Ordering::Release);
        }
    }

    /// Binds an id to a place. The other id that the place had, if it had one: that names nothing any more.
    pub(super) fn bind(&self, id: SeriesId, place: LinkPlace) -> Option<SeriesId> {
        let (word, link) = (self.places.ensure(id.index())?, self.link(place)?);
        word.store(place.pack(), Ordering::Release);
        let before = link.bind(id).filter(|before| before.id != id)?;
        self.unbind(before.id);
        self.series_durable.fetch_sub(usize::from(before.is_durable), Ordering::Relaxed);
        Some(before.id)
    }
}

impl Interning {
    /// Lets the story be evicted, if it is not known.
    pub(super) fn release(&mut self, story: &Story, inner: &mut StoryState) {
        if !story.is_known() && !inner.is_evicted && !std::mem::replace(&mut inner.is_released, true) {
            self.released.push_back(story.tenant().number);
        }
    }

    /// The same, if none of its series has an id: only the batch that was just refused can use the story.
    fn release_if_empty(&mut self, story: &Story, inner: &mut StoryState) {
        let mut is_empty = true;
        story.for_each_link(inner, &mut |link| is_empty &= link.get().is_none());
        if is_empty {
            self.release(story, inner);
        }
    }
}
