//! The value of a field: integers with their suffix, floats, booleans, and what JSON has besides.
//! INVARIANT: a float is finite.

use std::borrow::Cow;

use crate::intake::wire::error::{Excerpt, LineErrorKind};

/// A value as the client wrote it.
#[derive(Clone, PartialEq, Debug)]
pub enum FieldValue<'a> {
    /// `1i`, or a JSON number without a fraction that fits.
    Int(i64),
    /// `1u`, or a JSON number too large for `Int`.
    Uint(u64),
    /// `1`, `1.5`, `1e3`; finite.
    Float(f64),
    /// `t`, `true`, …
    Bool(bool),
    /// A string, unescaped.
    Text(Cow<'a, str>),
    /// Something of JSON that no key of ours takes, by its name: `null`, `an array`, `an object`.
    Other(&'static str),
}

impl FieldValue<'_> {
    /// The value as an error message shows it.
    pub(crate) fn excerpt(&self) -> Excerpt {
        match self {
            Self::Int(number) => Excerpt::new(&number.to_string()),
            Self::Uint(number) => Excerpt::new(&number.to_string()),
            Self::Float(number) => Excerpt::new(&number.to_string()),
            Self::Bool(truth) => Excerpt::new(&truth.to_string()),
            Self::Text(text) => Excerpt::new(&format!("the text `{text}`")),
            Self::Other(name) => Excerpt::new(name),
        }
    }
}

/// The number or boolean that `token` spells in line protocol, for the field `key` (as in its error messages).
pub(super) fn parse_bare<'a>(key: &str, token: &str) -> Result<FieldValue<'a>, LineErrorKind> {
    let wrong = || LineErrorKind::FieldValue { key: Excerpt::new(key), got: Excerpt::new(token) };
    match token {
        "" => return Err(LineErrorKind::FieldValueEmpty { key: Excerpt::new(key) }),
        "t" | "T" | "true" | "True" | "TRUE" => return Ok(FieldValue::Bool(true)),
        "f" | "F" | "false" | "False" | "FALSE" => return Ok(FieldValue::Bool(false)),
        _ => {}
    }
    let out_of_range = || LineErrorKind::IntegerRange { key: Excerpt::new(key), got: Excerpt::new(token) };
    if let Some(digits) = token.strip_suffix('i') {
        return if is_digits(digits.strip_prefix('-').unwrap_or(digits)) {
            digits.parse().map(FieldValue::Int).map_err(|_overflow| out_of_range())
        } else {
            Err(wrong())
        };
    }
    if let Some(digits) = token.strip_suffix('u') {
        return if is_digits(digits) {
            digits.parse().map(FieldValue::Uint).map_err(|_overflow| out_of_range())
        } else if is_digits(digits.strip_prefix('-').unwrap_or_default()) {
            Err(out_of_range())
        } else {
            Err(wrong())
        };
    }
    // `f64::from_str` also takes `+1`, `inf` and `NaN`, which the grammar does not have.
    let mut bytes = token.bytes();
    let starts_well =
        bytes.next().is_some_and(|first| first.is_ascii_digit() || matches!(first, b'-' | b'.'));
    if !starts_well
        || !bytes.all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'))
    {
        return Err(wrong());
    }
    let number: f64 = token.parse().map_err(|_malformed| wrong())?;
    if number.is_finite() {
        Ok(FieldValue::Float(number))
    } else {
        Err(LineErrorKind::FloatRange { key: Excerpt::new(key), got: Excerpt::new(token) })
    }
}

pub(super) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
