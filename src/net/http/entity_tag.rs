//! Tags of answers (`ETag`, RFC 9110, section 8.8.3), and whether a client has an answer already. Pure.
//! INVARIANT: a tag is a hash of the body before it is packed, so that it changes only where the answer does.

use std::fmt::{self, Write as _};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use hyper::header::{HeaderMap, HeaderValue, IF_NONE_MATCH};
use memchr::memchr;
use twox_hash::XxHash3_64;

use super::inflate::Encoding;

/// Hexadecimal digits of a tag.
const DIGITS: usize = 16;

/// What the hashes of a run of the daemon are keyed with, so that nobody can look for two answers of one tag beforehand.
#[derive(Clone, Copy, Debug)]
pub(super) struct TagKey(u64);

impl TagKey {
    pub(super) fn random() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }

    pub(super) fn tag(self, body: &[u8]) -> EntityTag {
        EntityTag(XxHash3_64::oneshot_with_seed(self.0, body))
    }
}

/// The tag of an answer. Its text is [`DIGITS`] hexadecimal digits, and how the answer is packed where it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct EntityTag(u64);

impl EntityTag {
    /// That of something whose hash is known beforehand, the same in every run.
    pub(super) const fn of_hash(hash: u64) -> Self {
        Self(hash)
    }

    /// The value of `ETag`.
    pub(super) fn to_header(self, encoding: Encoding) -> Option<HeaderValue> {
        let digits = self.digits();
        let Some(name) = encoding.name() else {
            let mut text = [b'"'; DIGITS + 2];
            text.get_mut(1..=DIGITS)?.copy_from_slice(&digits);
            return HeaderValue::from_bytes(&text).ok();
        };
        HeaderValue::from_bytes(&[b"\"", &digits[..], b"-", name.as_bytes(), b"\""].concat()).ok()
    }

    fn digits(self) -> [u8; DIGITS] {
        let mut rest = self.0;
        let mut digits = [0; DIGITS];
        for digit in digits.iter_mut().rev() {
            let [lowest, ..] = rest.to_le_bytes();
            *digit = match lowest & 0xf {
                value @ 0..10 => b'0'.wrapping_add(value),
                value => (b'a' - 10).wrapping_add(value),
            };
            rest >>= 4;
        }
        digits
    }

    /// Whether the client has the answer, in whatever form: `If-None-Match` names the tag, or any (`*`).
    pub(super) fn is_held(self, asked: &HeaderMap) -> bool {
        let mut lists = asked.get_all(IF_NONE_MATCH).iter().peekable();
        if lists.peek().is_none() {
            return false;
        }
        let own = self.digits();
        lists
            .map(HeaderValue::as_bytes)
            .any(|list| list.trim_ascii() == b"*" || tags(list).any(|tag| without_suffix(tag) == own))
    }
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.digits().iter().try_for_each(|digit| f.write_char(char::from(*digit)))
    }
}

fn without_suffix(tag: &[u8]) -> &[u8] {
    let packed = [Encoding::Gzip, Encoding::Zstd].into_iter().filter_map(Encoding::name);
    let without = |name: &str| tag.strip_suffix(name.as_bytes())?.strip_suffix(b"-");
    packed.into_iter().find_map(without).unwrap_or(tag)
}

/// The tags of a list, without quotes and `W/`: a weak comparison. Ends where the list is none.
fn tags(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let start = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b','))?;
        let tag = rest.get(start..)?;
        let tag = tag.strip_prefix(b"W/").unwrap_or(tag).strip_prefix(b"\"")?;
        let (tag, after) = tag.split_at_checked(memchr(b'"', tag)?)?;
        rest = after.get(1..)?;
        Some(tag)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: EntityTag = EntityTag(0x00ab_5c1f_0e7a_93d2);

    fn check(lists: &[&str], expected: bool) {
        let mut asked = HeaderMap::new();
        for list in lists {
            asked.append(IF_NONE_MATCH, HeaderValue::from_str(list).unwrap());
        }
        assert_eq!(TAG.is_held(&asked), expected, "{lists:?}");
    }

    #[test]
    fn a_tag_is_found_in_lists_in_any_form() {
        let own = r#""00ab5c1f0e7a93d2""#;
        check(&[own], true);
        check(&[r#"W/"00ab5c1f0e7a93d2""#], true);
        check(&[r#""00ab5c1f0e7a93d2-gzip""#], true);
        check(&[r#"W/"00ab5c1f0e7a93d2-zstd""#], true);
        check(&[r#""a,b" ,W/"c", "00ab5c1f0e7a93d2""#], true);
        check(&[r#""a""#, own], true);
        check(&["*"], true);
        check(&[" * "], true);
    }

    #[test]
    fn other_tags_and_what_is_no_list_do_not_match() {
        for list in [
            "",
            ",",
            "00ab5c1f0e7a93d2",
            r#""00ab5c1f0e7a93d2"#,
            r#""00AB5C1F0E7A93D2""#,
            r#""00ab5c1f0e7a93d2-br""#,
            r#""00ab5c1f0e7a93d2-gzip-gzip""#,
            r#""ab5c1f0e7a93d2""#,
            r#"w/"00ab5c1f0e7a93d2""#,
            r#""*""#,
            r#"*, "00ab5c1f0e7a93d2""#,
        ] {
            check(&[list], false);
        }
        check(&[], false);
    }

    #[test]
    fn a_tag_follows_the_body_and_the_key() {
        let key = TagKey(1);
        assert_eq!(key.tag(b"{}"), key.tag(b"{}"));
        assert_ne!(key.tag(b"{}"), key.tag(b"[]"));
        assert_ne!(key.tag(b"{}"), TagKey(2).tag(b"{}"));
        assert_eq!(TAG.to_header(Encoding::Identity).unwrap(), r#""00ab5c1f0e7a93d2""#);
        assert_eq!(TAG.to_header(Encoding::Zstd).unwrap(), r#""00ab5c1f0e7a93d2-zstd""#);
    }
}
