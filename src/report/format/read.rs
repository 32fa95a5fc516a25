//! Reads a report from the JSON that [`super::json`] writes, for the command line. Exact: rounds no number.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::Number;

use crate::model::calendar::{DateValue, UnixSeconds};
use crate::model::event::{InteractionId, Node, ObjectId, Source, StoryId};
use crate::report::busiest::BusiestReport;
use crate::report::columns::Points;
use crate::report::comparison::Comparison;
use crate::report::groups::{Group, GroupKey, Groups};
use crate::report::popularity::{PopularityReport, PopularityRow};
use crate::report::series::SeriesReport;
use crate::report::summary::{Figure, Scale, Summary};
use crate::report::{GroupBy, Report, ReportName};

impl Report {
    /// The report of that name out of a daemon's JSON. `by` is the group that was asked for, since a list without groups
    /// does not say.
    ///
    /// # Errors
    /// Where the text does not have that report's shape.
    pub fn from_json(name: ReportName, by: GroupBy, text: &[u8]) -> serde_json::Result<Self> {
        match name {
            ReportName::BusiestPeriod => {
                serde_json::from_slice(text).map(|days: Vec<Vec<HourJson>>| Self::Busiest(busiest(&days)))
            }
            ReportName::InteractionsPopularity => {
                let rows: Vec<RowJson> = serde_json::from_slice(text)?;
                let rows: Result<Vec<_>, _> = rows.into_iter().map(row).collect();
                Ok(Self::Popularity(PopularityReport { rows: rows? }))
            }
            ReportName::Average => series(Scale::Hundredths, by, text),
            _ => series(Scale::Whole, by, text),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SeriesJson {
    #[serde(flatten)]
    points: PointsJson,
    compare: Option<ComparisonJson>,
    groups: Option<Vec<GroupJson>>,
    #[serde(default)]
    groups_omitted: usize,
    #[serde(default, deserialize_with = "optional_date")]
    dropped_before: Option<UnixSeconds>,
}

#[derive(Deserialize)]
struct ComparisonJson {
    #[serde(deserialize_with = "date")]
    from: UnixSeconds,
    #[serde(deserialize_with = "date")]
    to: UnixSeconds,
    #[serde(flatten)]
    points: PointsJson,
}

#[derive(Deserialize)]
struct PointsJson {
    data: Vec<PointJson>,
    summary: SummaryJson,
    overall: Option<Hundredths>,
}

#[derive(Deserialize)]
struct PointJson {
    #[serde(deserialize_with = "date")]
    date: UnixSeconds,
    value: Hundredths,
}

#[derive(Deserialize)]
struct SummaryJson {
    total: Hundredths,
    min: Hundredths,
    max: Hundredths,
    avg: Hundredths,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupJson {
    source: Option<String>,
    story_id: Option<String>,
    name: Option<Box<str>>,
    #[serde(flatten)]
    points: PointsJson,
    compare: Option<PointsJson>,
}

#[derive(Deserialize)]
struct HourJson {
    value: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RowJson {
    #[serde(rename = "type")]
    kind: Option<Box<str>>,
    id: Option<String>,
    parent_id: Option<String>,
    name: Box<str>,
    value: u64,
    usage: Hundredths,
}

/// A number with up to two decimals: its whole part and its hundredths.
#[derive(Clone, Copy)]
struct Hundredths(u64, u64);

impl<'de> Deserialize<'de> for Hundredths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Number::deserialize(deserializer)?.to_string();
        let (whole, decimals) = text.split_once('.').unwrap_or((&text, "0"));
        let hundredths = match decimals.len() {
            1 => decimals.parse::<u64>().map(|tenths| tenths.saturating_mul(10)),
            2 => decimals.parse(),
            _ => return Err(D::Error::custom(format!("{text} has more than two decimals"))),
        };
        match (whole.parse(), hundredths) {
            (Ok(whole), Ok(hundredths)) => Ok(Self(whole, hundredths)),
            _ => Err(D::Error::custom(format!("{text} is no number of a report"))),
        }
    }
}

impl Hundredths {
    fn in_scale(self, scale: Scale) -> serde_json::Result<u64> {
        let Self(whole, hundredths) = self;
        match scale {
            Scale::Whole if hundredths == 0 => Ok(whole),
            Scale::Whole => Err(serde_json::Error::custom("a whole number has decimals")),
            Scale::Hundredths => whole
                .checked_mul(100)
                .and_then(|value| value.checked_add(hundredths))
                .ok_or_else(|| serde_json::Error::custom("a number is too great")),
        }
    }

    fn figure(self, scale: Scale) -> serde_json::Result<Figure> {
        self.in_scale(scale).map(|value| Figure::new(value, scale))
    }
}

fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UnixSeconds, D::Error> {
    let text = String::deserialize(deserializer)?;
    match DateValue::parse(&text) {
        Some(DateValue::AtMs(ms)) => Ok(UnixSeconds::floor_ms(ms)),
        _ => Err(D::Error::custom("a date is not RFC 3339")),
    }
}

fn optional_date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<UnixSeconds>, D::Error> {
    date(deserializer).map(Some)
}

fn series(scale: Scale, by: GroupBy, text: &[u8]) -> serde_json::Result<Report> {
    let SeriesJson { points: whole, compare, groups, groups_omitted, dropped_before } =
        serde_json::from_slice(text)?;
    let starts = starts(&whole);
    let comparison = compare.map(|earlier| comparison(earlier, scale)).transpose()?.map(Box::new);
    let list = groups.map(|groups| groups.into_iter().map(|group| self::group(group, scale)).collect());
    let groups = list.transpose()?.map(|list: Vec<Group>| Groups { by, list, omitted: groups_omitted });
    let points = points(whole, scale)?;
    Ok(Report::Series(SeriesReport { starts, points, comparison, groups, dropped_before }))
}

fn starts(points: &PointsJson) -> Vec<UnixSeconds> {
    points.data.iter().map(|point| point.date).collect()
}

fn comparison(earlier: ComparisonJson, scale: Scale) -> serde_json::Result<Comparison> {
    let starts = starts(&earlier.points);
    Ok(Comparison { from: earlier.from, to: earlier.to, starts, points: points(earlier.points, scale)? })
}

fn points(PointsJson { data, summary, overall }: PointsJson, scale: Scale) -> serde_json::Result<Points> {
    let values: serde_json::Result<Vec<u64>> = data.iter().map(|point| point.value.in_scale(scale)).collect();
    Ok(Points {
        scale,
        units: data.len(),
        start: 0,
        values: values?,
        summary: Summary {
            total: summary.total.figure(scale)?,
            min: summary.min.figure(scale)?,
            max: summary.max.figure(scale)?,
            avg: summary.avg.figure(Scale::Hundredths)?,
        },
        overall: overall.map(|overall| overall.figure(Scale::Hundredths)).transpose()?,
    })
}

fn group(group: GroupJson, scale: Scale) -> serde_json::Result<Group> {
    let GroupJson { source, story_id, name, points, compare } = group;
    let comparison = compare.map(|earlier| self::points(earlier, scale)).transpose()?.map(Box::new);
    let source = source.and_then(Source::parse).map(GroupKey::Source);
    let story = story_id.and_then(|text| ObjectId::parse(text.as_bytes())).map(StoryId).map(GroupKey::Story);
    let key = source.or(story).ok_or_else(|| serde_json::Error::custom("a group has no key"))?;
    Ok(Group { key, name: name.map(Into::into), points: self::points(points, scale)?, comparison })
}

fn busiest(days: &[Vec<HourJson>]) -> BusiestReport {
    BusiestReport::of(days.iter().flatten().map(|hour| hour.value).collect())
}

fn row(row: RowJson) -> serde_json::Result<PopularityRow> {
    let id = |text: Option<String>| text.and_then(|text| ObjectId::parse(text.as_bytes())).map(InteractionId);
    let node = match row.kind.as_deref() {
        None => id(row.id).map(Node::Interaction),
        Some("contextFallback") => id(row.parent_id).map(Node::ContextFallback),
        Some("fallback") => Some(Node::Fallback),
        Some("welcome") => Some(Node::Welcome),
        Some(_) => None,
    };
    let node =
        node.ok_or_else(|| serde_json::Error::custom("an interaction is not known by its kind and id"))?;
    let usage_hundredths = row.usage.in_scale(Scale::Hundredths)?;
    Ok(PopularityRow { node, name: Some(row.name.into()), value: row.value, usage_hundredths })
}
