//! The daemon's answers as data. Numbers stay as they were written, so that nothing is rounded twice.

use serde::Deserialize;
use serde_json::Number;

/// One report.
#[derive(Debug)]
pub(crate) enum Report {
    /// One of the four series.
    Series(Box<Series>),
    /// The 7 × 24 table.
    Busiest(Vec<Vec<Slot>>),
    /// The rows of the interactions.
    Popularity(Vec<Row>),
}

/// Values over time, together and by group.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Series {
    /// The points of everything together.
    pub(crate) data: Vec<Point>,
    /// Their summary.
    pub(crate) summary: Summary,
    /// The groups, where asked for.
    pub(crate) groups: Option<Vec<Group>>,
    /// Groups that the limit left out.
    #[serde(default)]
    pub(crate) groups_omitted: u64,
    /// Messages per conversation over the whole range; `conversations.average` only.
    pub(crate) overall: Option<Number>,
}

/// The value of one unit.
#[derive(Debug, Deserialize)]
pub(crate) struct Point {
    /// Start of the unit, RFC 3339 in UTC.
    pub(crate) date: String,
    /// Its value.
    pub(crate) value: Number,
}

/// Sum, extremes and mean of the points.
#[derive(Debug, Deserialize)]
pub(crate) struct Summary {
    /// Sum.
    pub(crate) total: Number,
    /// Least.
    pub(crate) min: Number,
    /// Greatest.
    pub(crate) max: Number,
    /// Mean.
    pub(crate) avg: Number,
    /// See [`Series::overall`].
    pub(crate) overall: Option<Number>,
}

/// The points of one story or source.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Group {
    /// The source, where grouped by it.
    pub(crate) source: Option<String>,
    /// The story, where grouped by it.
    pub(crate) story_id: Option<String>,
    /// The story's name, where known.
    pub(crate) name: Option<String>,
    /// Its points.
    pub(crate) data: Vec<Point>,
    /// Their summary.
    pub(crate) summary: Summary,
}

impl Group {
    /// What the group is of: a source or a story.
    pub(crate) fn key(&self) -> &str {
        self.source.as_deref().or(self.story_id.as_deref()).unwrap_or_default()
    }
}

/// One hour of one weekday.
#[derive(Debug, Deserialize)]
pub(crate) struct Slot {
    /// Weekday, 0 = Sunday.
    pub(crate) day: usize,
    /// Hour of the day, 0 … 23.
    pub(crate) hour: usize,
    /// Conversations.
    pub(crate) value: Number,
    /// Their share, in percent.
    pub(crate) usage: Number,
}

/// One interaction.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    /// The kind, where it is not a plain interaction.
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    /// Its id.
    pub(crate) id: Option<String>,
    /// The interaction that a context fallback is within.
    pub(crate) parent_id: Option<String>,
    /// Its name.
    pub(crate) name: String,
    /// Uses.
    pub(crate) value: Number,
    /// Their share, in percent.
    pub(crate) usage: Number,
}

/// Reads the answer for the report of that name.
///
/// # Errors
/// Where it does not have that report's shape.
pub(crate) fn read(name: &str, body: &[u8]) -> serde_json::Result<Report> {
    match name {
        "busiest-period" => serde_json::from_slice(body).map(Report::Busiest),
        "interactions.popularity" => serde_json::from_slice(body).map(Report::Popularity),
        _ => serde_json::from_slice(body).map(|series| Report::Series(Box::new(series))),
    }
}
