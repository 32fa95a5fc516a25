//! Which display names a parser has sent last, so that a name that every event repeats becomes a change once.
//!
//! INVARIANT: a name is held back only if this parser's last change for the story or node had the same name and the
//! catalogue shows it now. So the latest name wins among the lines of one connection, even while earlier batches
//! wait; and a name that another connection changed is changed back by the next line that carries the old one.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::limits::NAMES_REMEMBERED_MAX;
use crate::model::batch::Change;
use crate::model::catalogue::Catalogue;
use crate::model::event::{Node, StoryId};

/// What has a name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Named {
    Story(StoryId),
    Node(StoryId, Node),
}

/// The hashes of the names sent last. When it is full it forgets all; that costs repeated changes only.
#[derive(Debug, Default)]
pub(super) struct Names {
    sent: HashMap<Named, u64, RandomState>,
}

impl Names {
    /// The change that gives `named` this name, unless it is not needed; see the top of the file.
    pub(super) fn change(&mut self, catalogue: &Catalogue, named: Named, name: &str) -> Option<Change> {
        let hash = self.sent.hasher().hash_one(name);
        if NAMES_REMEMBERED_MAX <= self.sent.len() && !self.sent.contains_key(&named) {
            self.sent.clear();
        }
        let before = self.sent.insert(named, hash);
        if before == Some(hash) && shown(catalogue, named).is_some_and(|shown| *shown == *name) {
            return None;
        }
        Some(match named {
            Named::Story(story) => Change::Story { story, name: Some(name.into()) },
            Named::Node(story, node) => Change::Node { story, node, name: Some(name.into()) },
        })
    }
}

/// The name that the catalogue has now.
fn shown(catalogue: &Catalogue, named: Named) -> Option<Arc<str>> {
    match named {
        Named::Story(story) => catalogue.story(story)?.name(),
        Named::Node(story, node) => catalogue.node_name(story, node),
    }
}
