//! A client's own text, as answers and messages may repeat it. Knows nothing of where the text stood.
//! INVARIANT: at most [`LINE_ECHO_BYTES_MAX`] bytes of it, with control characters escaped, so that a message stays one
//! printable line.

use std::fmt;

use crate::limits::LINE_ECHO_BYTES_MAX;

/// A bounded, printable copy of a piece of what a client sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Echo(Box<str>);

impl Echo {
    /// The first `LINE_ECHO_BYTES_MAX` bytes of `text` once control characters are escaped, with `…` where it was cut.
    pub(crate) fn new(text: &str) -> Self {
        let mut shown = String::with_capacity(text.len().min(LINE_ECHO_BYTES_MAX));
        for character in text.chars() {
            let before = shown.len();
            if character.is_control() {
                shown.extend(character.escape_default());
            } else {
                shown.push(character);
            }
            if shown.len() > LINE_ECHO_BYTES_MAX {
                shown.truncate(before);
                shown.push('…');
                break;
            }
        }
        Self(shown.into_boxed_str())
    }

    /// The copy as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Echo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
