//! Text of clients, made safe for messages, terminals and sheets. Knows nothing of its source.

use std::fmt;

use crate::limits::EXCERPT_BYTES_MAX;

/// A piece of what a client sent, as a message may repeat it.
/// INVARIANT: at most [`EXCERPT_BYTES_MAX`] bytes of the text, on one printable line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Excerpt(Box<str>);

impl Excerpt {
    /// The beginning of `text`, with `…` where it was cut.
    pub(crate) fn new(text: &str) -> Self {
        Self(excerpt(text, is_harmful).into())
    }

    /// The same in double quotes, with the quotes and backslashes of the text escaped.
    pub(crate) fn quoted(text: &str) -> Self {
        let shown = excerpt(text, |character| is_harmful(character) || matches!(character, '"' | '\\'));
        Self(format!("\"{shown}\"").into())
    }

    /// The piece as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn excerpt(text: &str, is_escaped: fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len().min(EXCERPT_BYTES_MAX));
    for character in text.chars() {
        let before = shown.len();
        if is_escaped(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
        if shown.len() > EXCERPT_BYTES_MAX {
            shown.truncate(before);
            shown.push('…');
            break;
        }
    }
    shown
}

/// The whole text with control characters spelled out, so that it cannot steer a terminal.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_harmful(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}

/// Control characters, and those that turn the direction of writing.
fn is_harmful(character: char) -> bool {
    character.is_control() || matches!(character, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_spelled_out_and_letters_are_not() {
        assert_eq!(printable("Zażółć 日本"), "Zażółć 日本");
        assert_eq!(printable("a\u{1b}[31mb\nc"), "a\\u{1b}[31mb\\u{a}c");
        assert_eq!(printable("\u{202e}x"), "\\u{202e}x");
    }

    #[test]
    fn excerpts_are_short_and_on_one_line() {
        assert_eq!(Excerpt::new("a\nb\u{202e} \"c\"").as_str(), "a\\nb\\u{202e} \"c\"");
        assert_eq!(Excerpt::quoted("a\nb \"c\\\"").as_str(), r#""a\nb \"c\\\"""#);
        assert_eq!(Excerpt::new(&"é".repeat(40)).as_str(), format!("{}…", "é".repeat(32)));
    }
}
