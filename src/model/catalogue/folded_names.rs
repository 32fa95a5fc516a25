//! The names of all stories as searching wants them: without their case, in few long texts. Made when they are asked for, and
//! anew where a name has changed since. Knows nothing of ids, of hours, nor of who may see a story.
//!
//! INVARIANT: whoever searches after a name has changed finds the new one and not the old: a change is noted after it is made,
//! and the note is taken back before the names are read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use memchr::{memchr, memchr_iter, memmem};

use super::Catalogue;
use crate::limits::narrow;
use crate::model::table::Table;

/// Stories whose names are in one text: what a changed name costs the next search.
const BLOCK_STORIES: u32 = if cfg!(test) { 4 } else { 256 };
/// Begins the text of a story that has a name. No byte of UTF-8.
const NAME: u8 = 0xFE;
/// Ends the text of every story. No byte of UTF-8.
const END: u8 = 0xFF;

/// The names of all stories, a block after the other.
#[derive(Debug)]
pub(super) struct FoldedNames(Table<NameBlock>);

/// The folded names of consecutive stories: for each [`NAME`] and the name, or nothing, and [`END`].
#[derive(Debug, Default)]
struct NameBlock {
    /// No name has changed since the text was made.
    is_fresh: AtomicBool,
    text: RwLock<Box<[u8]>>,
}

/// A text without what searching leaves out of account: the case of its letters, the dot of İ, the form of a last σ.
pub fn folded(text: &str) -> String {
    const DOT_ABOVE: char = '\u{307}';
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    // By way of the capitals, in which ß is SS, and ı is I.
    let letters = text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    letters.filter(|letter| *letter != DOT_ABOVE).collect()
}

impl FoldedNames {
    pub(super) fn new(stories: usize) -> Self {
        Self(Table::new(stories.div_ceil(narrow(BLOCK_STORIES))))
    }

    /// Takes note that the name of a story has changed.
    pub(super) fn note_change(&self, number: u32) {
        if let Some(block) = self.0.get(narrow(number / BLOCK_STORIES)) {
            block.is_fresh.store(false, Ordering::Release);
        }
    }
}

impl Catalogue {
    /// Calls `f` with the number of every story that has a name which, folded, has the folded text in it.
    pub fn for_each_story_named(&self, text: &str, f: &mut dyn FnMut(u32)) {
        let wanted = if text.is_empty() { &[NAME] } else { text.as_bytes() };
        let finder = memmem::Finder::new(wanted);
        for block in 0..self.story_numbers_end().div_ceil(BLOCK_STORIES) {
            let Some(names) = self.folded_names.0.ensure(narrow(block)) else { return };
            let mut rest: &[u8] = &self.fresh_text(names, block);
            let mut story = block * BLOCK_STORIES;
            while let Some((before, after)) = finder.find(rest).and_then(|place| rest.split_at_checked(place))
            {
                story += u32::try_from(memchr_iter(END, before).count()).unwrap_or(u32::MAX);
                f(story);
                story += 1;
                let end = memchr(END, after).map_or(after.len(), |end| end + 1);
                rest = after.get(end..).unwrap_or_default();
            }
        }
    }

    fn fresh_text<'b>(&self, names: &'b NameBlock, block: u32) -> RwLockReadGuard<'b, Box<[u8]>> {
        if !names.is_fresh.load(Ordering::Acquire) {
            let mut text = names.text.write().unwrap_or_else(PoisonError::into_inner);
            // Another thread may have made it meanwhile.
            if !names.is_fresh.swap(true, Ordering::AcqRel) {
                let before = text.len();
                *text = self.text_of(block);
                let grown =
                    i64::try_from(text.len()).unwrap_or(i64::MAX) - i64::try_from(before).unwrap_or(0);
                self.grow_names(grown);
            }
        }
        names.text.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn text_of(&self, block: u32) -> Box<[u8]> {
        let mut text = Vec::new();
        for number in block * BLOCK_STORIES..(block + 1) * BLOCK_STORIES {
            if let Some(name) = self.story_numbered(number).and_then(|story| story.name()) {
                text.push(NAME);
                text.extend_from_slice(folded(&name).as_bytes());
            }
            text.push(END);
        }
        text.into_boxed_slice()
    }
}
