//! The parameters of reports: their names, which report has which, and the values that a query gives them.
//! Knows nothing of what the values mean.

use std::borrow::Cow;

use super::super::ReportName;
use super::fault::{QueryError, QueryFault, nearest};
use crate::model::excerpt::Excerpt;
use crate::model::named::named_enum;

named_enum! {
    /// A parameter of reports.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) enum ReportParameter {
        From = "from",
        To = "to",
        Period = "period",
        Dimension = "dimension",
        Group = "group",
        Compare = "compare",
        Source = "source",
        StoryId = "storyId",
        Offset = "offset",
        Timezone = "timezone",
        Limit = "limit",
        Format = "format",
    }
}

impl ReportParameter {
    /// Whether it can be given more than once, or with commas.
    pub(crate) const fn has_several_values(self) -> bool {
        matches!(self, Self::Source | Self::StoryId)
    }

    const fn is_of(self, report: ReportName) -> bool {
        match self {
            Self::Dimension | Self::Group | Self::Compare => report.is_series(),
            Self::Limit => !matches!(report, ReportName::BusiestPeriod),
            _ => true,
        }
    }

    /// The parameters that a report has.
    pub(crate) fn all_of(report: ReportName) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |parameter| parameter.is_of(report))
    }

    /// The parameter of that name; those with several values are also written with `[]`, or with a number in it.
    fn named(name: &str) -> Option<Self> {
        let several = || {
            let (name, index) = name.strip_suffix(']')?.split_once('[')?;
            let is_index = index.bytes().all(|byte| byte.is_ascii_digit());
            Self::parse(name).filter(|one| is_index && one.has_several_values())
        };
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
        Self::all_of(report).map(Self::as_str)
    }
}

/// The values that a query gives to the parameters of a report, and the faults that were found in it so far.
#[derive(Debug)]
pub(super) struct GivenParameters<'a> {
    values: Vec<(ReportParameter, &'a str)>,
    pub(super) faults: Vec<QueryError>,
}

impl<'a> GivenParameters<'a> {
    /// Sorts the pairs by parameter; pairs that belong to no parameter, or repeat one with a single value, become
    /// faults. A parameter without a value is one that is not given.
    pub(super) fn collect<T: AsRef<str>>(report: ReportName, pairs: &'a [(T, T)]) -> Self {
        let mut given = Self { values: Vec::with_capacity(pairs.len()), faults: Vec::new() };
        let takes = || ReportParameter::names_of(report).collect::<Vec<_>>().join(", ");
        for (name, value) in pairs.iter().map(|(name, value)| (name.as_ref(), value.as_ref())) {
            let got = || Excerpt::quoted(value);
            let parameter = ReportParameter::named(name);
            if parameter.is_some() && value.is_empty() {
                continue;
            }
            let first = parameter.and_then(|parameter| given.one(parameter));
            let fault = match (parameter, first) {
                (None, _) => {
                    let bare = name.split_once('[').map_or(name, |(bare, _)| bare);
                    let nearest = nearest(bare, ReportParameter::names_of(report));
                    QueryFault::Unknown { got: got(), nearest, takes: takes() }
                }
                (Some(parameter), _) if !parameter.is_of(report) => {
                    QueryFault::NotOfReport { report, got: got(), takes: takes() }
                }
                (Some(parameter), Some(first)) if !parameter.has_several_values() => {
                    QueryFault::Repeated { first: Excerpt::quoted(first), second: got() }
                }
                (Some(parameter), _) => {
                    given.values.push((parameter, value));
                    continue;
                }
            };
            given.faults.push(QueryError::new(name, fault));
        }
        given
    }

    /// The value of a parameter with a single one, where it was given.
    pub(super) fn one(&self, parameter: ReportParameter) -> Option<&'a str> {
        self.all(parameter).next()
    }

    /// Every value of a parameter as it was given, commas and all.
    fn all(&self, parameter: ReportParameter) -> impl Iterator<Item = &'a str> {
        self.values.iter().filter(move |(known, _)| *known == parameter).map(|(_, value)| *value)
    }

    /// Notes a fault where a value could not be `parsed`; `names` are the values that it may have been meant to be.
    pub(super) fn parsed<'n, T>(
        &mut self,
        (parameter, text): (ReportParameter, &str),
        parsed: Option<T>,
        takes: impl Into<Cow<'static, str>>,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Option<T> {
        if parsed.is_none() {
            let nearest = nearest(text, names.into_iter());
            self.faults.push(parameter.misspelt(text, takes, nearest));
        }
        parsed
    }

    /// The values of a parameter with several ones, checked one by one, in order and without repetition; `None` where
    /// none was given. Bad ones become faults that say what the parameter `takes`.
    pub(super) fn several<T: Ord>(
        &mut self,
        parameter: ReportParameter,
        parse: impl Fn(&str) -> Option<T>,
        takes: &'static str,
    ) -> Option<Vec<T>> {
        let mut values = Vec::new();
        let mut faults = Vec::new();
        let texts = self.all(parameter).flat_map(|value| value.split(',')).map(str::trim);
        for text in texts.filter(|text| !text.is_empty()) {
            match parse(text) {
                Some(value) => values.push(value),
                None => faults.push(parameter.bad(text, takes)),
            }
        }
        if values.is_empty() && faults.is_empty() {
            return None;
        }
        self.faults.append(&mut faults);
        values.sort_unstable();
        values.dedup();
        Some(values)
    }
}
