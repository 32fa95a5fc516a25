//! The tokens that were good lately, each with the network that it came from. A fixed place in memory: a newer one takes the
//! place of the one in its set that was not shown for longest.

use super::Tag;
use crate::limits::{GOOD_TOKEN_SETS_MAX, GOOD_TOKENS_PER_SET, narrow, wide};

/// Tags in sets by their remainder, in each the latest first.
#[derive(Debug)]
pub(super) struct GoodTokens(Box<[[Option<Tag>; GOOD_TOKENS_PER_SET]]>);

impl GoodTokens {
    pub(super) fn new() -> Self {
        Self(vec![[None; GOOD_TOKENS_PER_SET]; GOOD_TOKEN_SETS_MAX].into())
    }

    /// Whether the token was good; it is then the latest of its set.
    pub(super) fn shown(&mut self, tag: Tag) -> bool {
        let Some(set) = self.set(tag) else { return false };
        let place = set.iter().position(|held| *held == Some(tag));
        if let Some(up_to_it) = place.and_then(|place| set.get_mut(..=place)) {
            up_to_it.rotate_right(1);
        }
        place.is_some()
    }

    /// The token is good.
    pub(super) fn note(&mut self, tag: Tag) {
        if self.shown(tag) {
            return;
        }
        if let Some(set) = self.set(tag) {
            set.rotate_right(1);
            if let Some(first) = set.first_mut() {
                *first = Some(tag);
            }
        }
    }

    fn set(&mut self, tag: Tag) -> Option<&mut [Option<Tag>; GOOD_TOKENS_PER_SET]> {
        let sets = wide(self.0.len()).max(1);
        self.0.get_mut(narrow(tag.0.get() % sets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::guessing::tests::tag;

    #[test]
    fn the_one_that_was_not_shown_for_longest_gives_its_place() {
        let mut good = GoodTokens::new();
        let sets = wide(GOOD_TOKEN_SETS_MAX);
        let of_one_set = |n: usize| tag(7 + wide(n) * sets);
        for n in 0..GOOD_TOKENS_PER_SET {
            good.note(of_one_set(n));
        }
        good.note(tag(8));
        assert!(good.shown(of_one_set(0)), "it was noted first, but shown last from now on");
        good.note(of_one_set(GOOD_TOKENS_PER_SET));
        assert!(!good.shown(of_one_set(1)));
        for tag in [of_one_set(0), of_one_set(2), of_one_set(GOOD_TOKENS_PER_SET), tag(8)] {
            assert!(good.shown(tag), "{tag:?}");
        }
        assert!(!good.shown(tag(9)));
    }
}
