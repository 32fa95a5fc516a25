//! The six reports: a checked [`Query`], rolled up from the counters into a [`Report`], written in a [`ReportFormat`].
//! Pure: (catalogue, counters, query) to a value. Knows nothing of files, HTTP or the time of day.
//!
//! INVARIANT: no report scans for its series. Counts over all stories are one total series; those of a story are in the
//! series that the story names.

mod busiest;
mod columns;
mod comparison;
mod format;
mod groups;
mod popularity;
mod query;
mod roll_up;
mod series;
mod summary;
#[cfg(any(test, fuzzing))]
pub(crate) mod testing;
mod weight;

#[cfg(test)]
mod tests;

pub use busiest::BusiestReport;
pub use columns::Points;
pub use comparison::Comparison;
pub use format::{ReportFormat, TableFormat, TableSpelling, TextParts};
pub use groups::{Group, GroupKey, Groups};
pub use popularity::{PopularityReport, PopularityRow};
pub(crate) use query::ReportParameter;
pub use query::{FormatName, GroupBy, Query, QueryError, QueryFault};
pub use series::SeriesReport;
pub use summary::{Figure, Scale, Summary};
pub use weight::{QueryWork, Weight};

use crate::limits::WHOLE_TEXT_POINTS_MAX;
use crate::model::catalogue::Catalogue;
use crate::model::counters::Counters;
use crate::model::named::named_enum;

named_enum! {
    /// The six reports, in the contract's order, with their names in the path of a request.
    #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
    pub enum ReportName {
        /// Conversations over time.
        Conversations = "conversations",
        /// Paid conversations over time.
        PaidConversations = "conversations.paid",
        /// Messages over time.
        Messages = "conversations.messages",
        /// Messages per conversation over time.
        Average = "conversations.average",
        /// Conversations by weekday and hour.
        BusiestPeriod = "busiest-period",
        /// Interactions by use.
        InteractionsPopularity = "interactions.popularity",
    }
}

impl ReportName {
    /// Whether it is one of the four that have data points over time.
    pub const fn is_series(self) -> bool {
        !matches!(self, Self::BusiestPeriod | Self::InteractionsPopularity)
    }
}

/// The answer to a query, as data.
#[derive(Clone, PartialEq, Debug)]
pub enum Report {
    /// One of the four series.
    Series(SeriesReport),
    /// The table by weekday and hour.
    Busiest(BusiestReport),
    /// The interactions by use.
    Popularity(PopularityReport),
}

impl Report {
    /// How many groups the limit left out.
    pub fn groups_omitted(&self) -> usize {
        match self {
            Self::Series(report) => report.groups.as_ref().map_or(0, |groups| groups.omitted),
            Self::Busiest(_) | Self::Popularity(_) => 0,
        }
    }

    /// Whether the text is too long to hold in memory as a whole.
    pub fn is_large(&self) -> bool {
        matches!(self, Self::Series(report) if report.points_in_groups() > WHOLE_TEXT_POINTS_MAX)
    }
}

impl Query {
    /// How the answer is written in a format of that name.
    pub fn written_as(&self, name: FormatName) -> ReportFormat {
        let table = |spelling| {
            ReportFormat::Table(TableFormat { spelling, unit: self.unit, zone: self.range.zone().clone() })
        };
        match name {
            FormatName::Json => ReportFormat::Json,
            FormatName::Csv => table(TableSpelling::Csv),
            FormatName::Rows => table(TableSpelling::Rows),
        }
    }
}

/// Rolls the query up from the counters as they are now. Blocks for as long as that takes; see [`Query::weight`].
pub fn roll_up(catalogue: &Catalogue, counters: &Counters, query: &Query) -> Report {
    match query.report {
        ReportName::BusiestPeriod => Report::Busiest(busiest::roll_up(catalogue, counters, query)),
        ReportName::InteractionsPopularity => {
            Report::Popularity(popularity::roll_up(catalogue, counters, query))
        }
        _ => Report::Series(series::roll_up(catalogue, counters, query)),
    }
}
