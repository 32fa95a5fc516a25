//! How many stories, interactions and series there may be, and the refusal of one more. Knows nothing of those there are.

use crate::limits::{NODES_MAX, NODES_PER_STORY_MAX, SERIES_MAX, STORIES_MAX};
use crate::model::event::StoryId;

/// Caps, so that tests can use small ones. `Default` is from [`crate::limits`], which are also the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatalogueLimits {
    /// Most stories, interned or known.
    pub stories: usize,
    /// Most series that ids are given to.
    pub series: usize,
    /// Most nodes within one story, interned or known.
    pub nodes_per_story: usize,
}

impl Default for CatalogueLimits {
    fn default() -> Self {
        Self { stories: STORIES_MAX, series: SERIES_MAX, nodes_per_story: NODES_PER_STORY_MAX }
    }
}

impl CatalogueLimits {
    /// For what has been journalled: only the size of the tables bounds it.
    pub(super) const UNBOUNDED: Self =
        Self { stories: usize::MAX, series: usize::MAX, nodes_per_story: usize::MAX };

    /// For what a log has that several daemons share: as [`Self::UNBOUNDED`], but for series, of which the tables have no more.
    pub(super) fn of_log(self) -> Self {
        Self { series: self.series, ..Self::UNBOUNDED }
    }

    /// Rows that there are for stories: recovery may bring more than may be added now.
    pub(super) fn story_rows(self) -> usize {
        self.stories * 2
    }

    /// Rows that there are for nodes.
    pub(super) fn node_rows(self) -> usize {
        self.stories.saturating_mul(self.nodes_per_story).min(NODES_MAX)
    }
}

/// A new story, interaction or series was refused because a bound is reached. Known ones go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueFull {
    /// There are as many stories as there may be.
    #[error("this is a new story and there are {0} already, which is the limit")]
    Stories(usize),
    /// The story has as many interactions as it may have.
    #[error("this is a new interaction and story {story} has {max} already, which is the limit")]
    Nodes {
        /// The story.
        story: StoryId,
        /// The bound.
        max: usize,
    },
    /// There are as many interactions of all stories as there may be.
    #[error("this is a new interaction and there are {0} in all stories already, which is the limit")]
    AllNodes(usize),
    /// As many series have got an id as may get one.
    #[error("this needs a new counter and there were {0} already, which is the limit")]
    Series(usize),
}
