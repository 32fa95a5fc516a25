//! The parameters of reports: their names, which report has which, and the values that a query gives them.
//! Knows nothing of what the values mean.

use std::borrow::Cow;

use super::super::ReportName;
use super::fault::{QueryError, QueryFault, nearest};
use crate::model::excerpt::Excerpt;
use crate::model::named::named_enum;

named_enum! {
    /// A parameter of a report.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(super) enum ReportParameter {
        From = "from",
        To = "to",
        Period = "period",
        Dimension = "dimension",
        Group = "group",
        Source = "source",
        StoryId = "storyId",
        Offset = "offset",
        Timezone = "timezone",
        Limit = "limit",
    }
}

impl ReportParameter {
    const fn has_several_values(self) -> bool {
        matches!(self, Self::Source | Self::StoryId)
    }

    const fn is_of(self, report: ReportName) -> bool {
        match self {
            Self::Dimension | Self::Group => report.is_series(),
            Self::Limit => !matches!(report, ReportName::BusiestPeriod),
            _ => true,
        }
    }

    /// The parameter of that name; those with several values are also written with `[]`.
    fn named(name: &str) -> Option<Self> {
        let several = || Self::parse(name.strip_suffix("[]")?).filter(|one| one.has_several_values());
        Self::parse(name).or_else(several)
    }

    /// The fault of a value that the parameter does not take.
    pub(super) fn bad(self, got: &str, takes: impl Into<Cow<'static, str>>) -> QueryError {
        self.misspelt(got, takes, None)
    }

    /// The fault of a value that was probably meant to be `nearest`.
    pub(super) fn misspelt(
        self,
        got: &str,
        takes: impl Into<Cow<'static, str>>,
        nearest: Option<&str>,
    ) -> QueryError {
        let nearest = nearest.map(|nearest| nearest.to_owned().into());
        let fault = QueryFault::BadValue { got: Excerpt::quoted(got), takes: takes.into(), nearest };
        QueryError::new(self.as_str(), fault)
    }

    fn names_of(report: ReportName) -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().filter(move |parameter| parameter.is_of(report)).map(Self::as_str)
    }
}

/// How the values of a parameter are read, and what to say where one can not be.
pub(super) struct Values<T> {
    pub(super) parse: fn(&[u8]) -> Option<T>,
    pub(super) takes: &'static str,
}

/// The values that a query gives to the parameters of a report.
#[derive(Debug)]
pub(super) struct GivenParameters<'a>(Vec<(ReportParameter, &'a str)>);

impl<'a> GivenParameters<'a> {
    /// Sorts the pairs by parameter; pairs that belong to no parameter, or repeat one with a single value, become
    /// faults.
    pub(super) fn collect<T: AsRef<str>>(
        report: ReportName,
        pairs: &'a [(T, T)],
        faults: &mut Vec<QueryError>,
    ) -> Self {
        let mut given: Vec<(ReportParameter, &str)> = Vec::with_capacity(pairs.len());
        let takes = || ReportParameter::names_of(report).collect::<Vec<_>>().join(", ");
        for (name, value) in pairs.iter().map(|(name, value)| (name.as_ref(), value.as_ref())) {
            let Some(parameter) = ReportParameter::named(name) else {
                let bare = name.strip_suffix("[]").unwrap_or(name);
                let nearest = nearest(bare, ReportParameter::names_of(report));
                let fault = QueryFault::Unknown { got: Excerpt::quoted(value), nearest, takes: takes() };
                faults.push(QueryError::new(name, fault));
                continue;
            };
            let first = given.iter().find(|(known, _)| *known == parameter).map(|(_, first)| *first);
            if !parameter.is_of(report) {
                let fault = QueryFault::NotOfReport { report, got: Excerpt::quoted(value), takes: takes() };
                faults.push(QueryError::new(name, fault));
            } else if let Some(first) = first
                && !parameter.has_several_values()
            {
                let fault =
                    QueryFault::Repeated { first: Excerpt::quoted(first), second: Excerpt::quoted(value) };
                faults.push(QueryError::new(name, fault));
            } else {
                given.push((parameter, value));
            }
        }
        Self(given)
    }

    /// The value of a parameter with a single one, where it was given.
    pub(super) fn one(&self, parameter: ReportParameter) -> Option<&'a str> {
        self.all(parameter).next()
    }

    /// Every value of a parameter as it was given, commas and all.
    fn all(&self, parameter: ReportParameter) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| *known == parameter).map(|(_, value)| *value)
    }

    /// The values of a parameter with several ones, checked one by one, in order and without repetition; `None` where
    /// it was not given. Bad ones become faults that say what the parameter `takes`.
    pub(super) fn several<T: Ord>(
        &self,
        parameter: ReportParameter,
        Values { parse, takes }: Values<T>,
        faults: &mut Vec<QueryError>,
    ) -> Option<Vec<T>> {
        let mut values = Vec::new();
        self.one(parameter)?;
        for text in self.all(parameter).flat_map(|value| value.split(',')) {
            match parse(text.as_bytes()) {
                Some(value) => values.push(value),
                None => faults.push(parameter.bad(text, takes)),
            }
        }
        values.sort_unstable();
        values.dedup();
        Some(values)
    }
}
