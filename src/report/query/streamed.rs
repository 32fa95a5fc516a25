//! What a stream asks of a query: whether its report is small enough, and by which zone its hours change.
//! Knows nothing of streams.

use super::fault::{QueryError, QueryFault};
use super::parameters::ReportParameter;
use super::{Query, Unit};
use crate::limits::narrow;
use crate::model::calendar::Zone;
use crate::model::catalogue::Catalogue;

impl Query {
    /// The zone of its range.
    pub fn zone(&self) -> &Zone {
        self.range.zone()
    }

    /// Refuses a series that has more data points than that, its groups together, and says what would fit.
    ///
    /// # Errors
    /// [`QueryFault::TooManyPoints`].
    pub fn check_points(&self, catalogue: &Catalogue, max: u64) -> Result<(), QueryError> {
        let points = if self.report.is_series() { self.points(catalogue) } else { 0 };
        if points <= max {
            return Ok(());
        }
        let of = |query: &Self| query.points(catalogue);
        let coarser = Unit::ALL.into_iter().filter(|coarser| *coarser > self.unit);
        let coarser = coarser.map(|unit| Self { unit, ..self.clone() }).find(|coarser| of(coarser) <= max);
        let ungrouped = of(&Self { group: None, ..self.clone() }).max(1);
        let groups = self.group.and_then(|_| max.checked_div(ungrouped)?.checked_sub(1));
        let limit = groups.filter(|groups| *groups > 0);
        let fitting = [
            coarser.map(|query| format!("dimension={}", query.unit.as_str())),
            limit.map(|limit| format!("limit={}", narrow(limit))),
        ];
        let fitting = fitting.into_iter().flatten().collect::<Vec<_>>().join(" or ");
        let fitting = if fitting.is_empty() { "a shorter range".to_owned() } else { fitting } + " fits";
        let fault = QueryFault::TooManyPoints { unit: self.unit.as_str(), points, max, fitting };
        Err(QueryError::new(ReportParameter::Dimension.as_str(), fault))
    }
}
