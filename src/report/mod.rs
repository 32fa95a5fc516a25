//! The six reports: a checked [`Query`], rolled up from the counters into a [`Report`], written in a [`ReportFormat`].
//! Pure: (catalogue, counters, query) to a value. Knows nothing of files, HTTP or the time of day.
//!
//! INVARIANT: no report scans for its series. Counts over all stories are one total series; those of a story are in the
//! series that the story names.

mod busiest;
mod columns;
mod format;
mod groups;
mod popularity;
mod query;
mod roll_up;
mod series;
mod summary;
mod weight;

#[cfg(test)]
mod tests;

pub use busiest::BusiestReport;
pub use columns::Points;
pub use format::{ReportFormat, TextParts};
pub use groups::{Group, GroupKey, Groups};
pub use popularity::{PopularityReport, PopularityRow};
pub use query::{GroupBy, Query, QueryError, QueryFault};
pub use series::SeriesReport;
pub use summary::{Figure, Scale, Summary};
pub use weight::{QueryWork, Weight};

use crate::limits::WHOLE_TEXT_POINTS_MAX;
use crate::model::catalogue::Catalogue;
use crate::model::counters::Counters;

/// The six reports.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ReportName {
    /// Conversations over time.
    Conversations,
    /// Paid conversations over time.
    PaidConversations,
    /// Messages over time.
    Messages,
    /// Messages per conversation over time.
    Average,
    /// Conversations by weekday and hour.
    BusiestPeriod,
    /// Interactions by use.
    InteractionsPopularity,
}

impl ReportName {
    /// Every report, as the contract lists them.
    pub const ALL: [Self; 6] = [
        Self::Conversations,
        Self::PaidConversations,
        Self::Messages,
        Self::Average,
        Self::BusiestPeriod,
        Self::InteractionsPopularity,
    ];

    /// The report of that name, exactly as the contract spells it.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|report| report.as_str() == name)
    }

    /// As in the path of a request.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conversations => "conversations",
            Self::PaidConversations => "conversations.paid",
            Self::Messages => "conversations.messages",
            Self::Average => "conversations.average",
            Self::BusiestPeriod => "busiest-period",
            Self::InteractionsPopularity => "interactions.popularity",
        }
    }

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
    /// Whether the text is too long to hold in memory as a whole.
    pub fn is_large(&self) -> bool {
        matches!(self, Self::Series(report) if report.points_in_groups() > WHOLE_TEXT_POINTS_MAX)
    }
}

/// Rolls the query up from the counters as they are now. Blocks for as long as that takes; see [`Query::weight`].
pub fn roll_up(catalogue: &Catalogue, counters: &Counters, query: &Query) -> Report {
    match query.report() {
        ReportName::BusiestPeriod => Report::Busiest(busiest::roll_up(catalogue, counters, query)),
        ReportName::InteractionsPopularity => {
            Report::Popularity(popularity::roll_up(catalogue, counters, query))
        }
        ReportName::Conversations
        | ReportName::PaidConversations
        | ReportName::Messages
        | ReportName::Average => Report::Series(series::roll_up(catalogue, counters, query)),
    }
}
