//! Sets of stories: all, or those of a list. What a token may know of is one, and what a report is about.
//! Knows nothing of tokens and reports, nor of which stories there are.

use std::sync::Arc;

use crate::model::event::{IdText, StoryId};

/// All stories, or those of a list. Cheap to clone.
///
/// INVARIANT: the list is in the order of the ids, and none occurs twice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StorySet(Option<Arc<[StoryId]>>);

impl StorySet {
    /// Every story there is or will be.
    pub const ALL: Self = Self(None);

    /// Those stories and no others.
    pub fn only(mut ids: Vec<StoryId>) -> Self {
        ids.sort_unstable();
        ids.dedup();
        Self(Some(ids.into()))
    }

    /// The stories in the order of their ids; `None` for all.
    pub fn list(&self) -> Option<&[StoryId]> {
        self.0.as_deref()
    }

    /// Whether some stories are not in it.
    pub fn is_limited(&self) -> bool {
        self.0.is_some()
    }

    /// Whether the story is in it.
    pub fn contains(&self, story: StoryId) -> bool {
        self.contains_text(story.0.as_bytes())
    }

    /// Whether a story of that id is in it; the text need not be an id.
    #[inline]
    pub(crate) fn contains_text(&self, text: &IdText) -> bool {
        let find = |ids: &[StoryId]| ids.binary_search_by(|id| id.0.as_bytes().cmp(text)).is_ok();
        self.list().is_none_or(find)
    }

    /// Of this set, the stories of the list; the whole of it where there is no list.
    #[must_use]
    pub fn narrowed_to(&self, ids: Option<Vec<StoryId>>) -> Self {
        ids.map_or_else(
            || self.clone(),
            |ids| Self::only(ids.into_iter().filter(|id| self.contains(*id)).collect()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::ObjectId;

    fn id(number: u32) -> StoryId {
        StoryId(ObjectId::parse(format!("{number:024}").as_bytes()).unwrap())
    }

    #[test]
    fn a_set_has_its_stories_and_no_others() {
        let set = StorySet::only(vec![id(3), id(1), id(3)]);
        assert_eq!(set.list(), Some([id(1), id(3)].as_slice()));
        assert_eq!([0, 1, 2, 3, 4].map(|number| set.contains(id(number))), [false, true, false, true, false]);
        assert!(!set.contains_text(b"0000000000000000000000 1"));
        assert!(StorySet::ALL.contains(id(7)) && !StorySet::ALL.is_limited());
        assert!(!StorySet::only(Vec::new()).contains(id(1)));
    }

    #[test]
    fn narrowed_has_what_both_have() {
        let set = StorySet::only(vec![id(1), id(3)]);
        let asked = vec![id(4), id(3)];
        assert_eq!(set.narrowed_to(Some(asked.clone())), StorySet::only(vec![id(3)]));
        assert_eq!(set.narrowed_to(None), set);
        assert_eq!(StorySet::ALL.narrowed_to(Some(asked.clone())), StorySet::only(asked));
        assert_eq!(StorySet::ALL.narrowed_to(None), StorySet::ALL);
    }
}
