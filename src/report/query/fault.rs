//! The faults of a query, and their messages. A message repeats the client's text escaped and cut.
//! Knows nothing of how queries arrive.

use std::borrow::Cow;
use std::fmt;

use super::super::ReportName;
use crate::limits::EXCERPT_BYTES_MAX;
use crate::model::excerpt::Excerpt;

/// A fault of one parameter; displays as a message that names it, what it got, and what it takes.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("parameter {parameter}: {fault}")]
pub struct QueryError {
    /// The parameter, as the client spelled it, escaped and cut.
    pub parameter: String,
    /// What is wrong with it.
    pub fault: QueryFault,
}

/// The kinds of fault. Texts that a client sent are in an [`Excerpt`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum QueryFault {
    /// No report has a parameter of this name.
    #[error("there is no such parameter (got {got}){}; this report takes {takes}", DidYouMean(*nearest))]
    Unknown {
        /// Its value.
        got: Excerpt,
        /// The parameter that was probably meant.
        nearest: Option<&'static str>,
        /// The parameters of the report.
        takes: String,
    },
    /// Other reports have this parameter.
    #[error("the report {} does not have it (got {got}); it takes {takes}", report.as_str())]
    NotOfReport {
        /// The report that was asked for.
        report: ReportName,
        /// Its value.
        got: Excerpt,
        /// The parameters of the report.
        takes: String,
    },
    /// A parameter with one value came more than once.
    #[error("given more than once (got {first} and {second}), takes one value")]
    Repeated {
        /// The value that came first.
        first: Excerpt,
        /// The value that came next.
        second: Excerpt,
    },
    /// The value is not one that the parameter takes.
    #[error("got {got}, takes {takes}{}", DidYouMean(nearest.as_deref()))]
    BadValue {
        /// The value.
        got: Excerpt,
        /// What would do.
        takes: Cow<'static, str>,
        /// The value that was probably meant.
        nearest: Option<Cow<'static, str>>,
    },
    /// The value is no date, but can be seen to be meant as one.
    #[error("got {got}, which looks like {looks_like}; write {instead}; takes {takes}")]
    MistakenDate {
        /// The value.
        got: Excerpt,
        /// Its kind, in words.
        looks_like: &'static str,
        /// What says the same and is taken.
        instead: String,
        /// What would do.
        takes: &'static str,
    },
    /// Two parameters exclude each other.
    #[error("got {got}, but it can not be given together with {other}; takes one of the two")]
    NotTogether {
        /// The value.
        got: Excerpt,
        /// The other parameter.
        other: &'static str,
    },
    /// The range runs backwards.
    #[error("got {got}, which is after `to` ({end}); takes a date before it")]
    FromAfterTo {
        /// Where the range would start.
        got: Excerpt,
        /// Where it would end.
        end: Excerpt,
    },
    /// The range ends before the start that it has without a `from`.
    #[error(
        "got {got}, which is before the start of the range, {start}; takes a date after it, or give `from` as well"
    )]
    ToBeforeStart {
        /// Where the range would end.
        got: Excerpt,
        /// Where it starts by default.
        start: &'static str,
    },
    /// The answer would have more data points than are allowed.
    #[error("got {unit}, which makes {points} data points over this range, takes at most {max}; {fitting}")]
    TooManyPoints {
        /// The dimension that was asked for.
        unit: &'static str,
        /// Data points that the answer would have, all groups together.
        points: u64,
        /// Data points that an answer may have.
        max: u64,
        /// What would fit.
        fitting: String,
    },
}

struct DidYouMean<'a>(Option<&'a str>);

impl fmt::Display for DidYouMean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |nearest| write!(f, " (did you mean {nearest}?)"))
    }
}

impl QueryError {
    pub(super) fn new(parameter: &str, fault: QueryFault) -> Self {
        Self { parameter: Excerpt::new(parameter).to_string(), fault }
    }
}

/// The candidate that `text` was probably meant to be: equal but for case, or at most two letters off.
pub(super) fn nearest<'a>(text: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if text.len() > EXCERPT_BYTES_MAX {
        return None;
    }
    let wanted = text.to_lowercase();
    let allowed = if wanted.chars().count() < 5 { 1 } else { 2 };
    candidates
        .map(|candidate| (distance(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, remove or replace to get from one text to the other.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (above, letter) in from.chars().enumerate() {
        let mut diagonal = above;
        let mut left = above + 1;
        let costs = row.iter_mut().zip(std::iter::once(None).chain(to.chars().map(Some)));
        for (cell, other) in costs {
            let cost = match other {
                None => left,
                Some(other) => (diagonal + usize::from(letter != other)).min(*cell + 1).min(left + 1),
            };
            diagonal = std::mem::replace(cell, cost);
            left = cost;
        }
    }
    row.last().copied().unwrap_or(0)
}
