//! What an undo takes away: the counts of a story in a range of hours. Pure; knows nothing of numbers of series.
//!
//! The counts of a story with very many interactions go in shares, one after the other, so that nobody waits long for any.
//! Which share a node belongs to is written in the journal's records, so the rule below never changes.

use crate::limits::ERASURE_SERIES_MAX;
use crate::model::calendar::HourRange;
use crate::model::event::{Metric, Node, SeriesKey, Source, StoryId};
use crate::model::named::named_enum;

named_enum! {
    /// What counts are of, all interactions being one.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
    pub enum MetricName {
        /// Conversations.
        Conversations = "conversations",
        /// Paid conversations.
        Paid = "paid",
        /// Messages.
        Messages = "messages",
        /// Uses of interactions.
        Interactions = "interactions",
    }
}

impl MetricName {
    /// What a metric is called.
    pub const fn of(metric: &Metric) -> Self {
        match metric {
            Metric::Conversations => Self::Conversations,
            Metric::PaidConversations => Self::Paid,
            Metric::Messages => Self::Messages,
            Metric::Interaction(_) => Self::Interactions,
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Conversations => 1,
            Self::Paid => 2,
            Self::Messages => 4,
            Self::Interactions => 8,
        }
    }
}

/// Counts of a story that go. What is known of the story stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Erasure {
    /// The story.
    pub story: StoryId,
    /// The hours whose counts go.
    pub hours: HourRange,
    /// The sources whose counts go.
    pub sources: Sources,
    /// The metrics whose counts go.
    pub metrics: Metrics,
    /// Of which nodes.
    pub share: Share,
}

/// A set of sources.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sources(u8);

/// A set of metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Metrics(u8);

/// One of the shares that nodes are split into; what is of no node is in the first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    number: u32,
    of: u32,
}

impl Sources {
    /// Every source.
    pub const ALL: Self = Self((1 << Source::ALL.len()) - 1);

    /// These sources.
    pub fn of(sources: &[Source]) -> Self {
        Self(sources.iter().fold(0, |bits, source| bits | 1 << source.code()))
    }

    /// Whether the source is one of them.
    pub const fn contains(self, source: Source) -> bool {
        self.0 & 1 << source.code() != 0
    }

    /// A bit for each, by its code.
    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    pub(crate) const fn of_bits(bits: u8) -> Option<Self> {
        if bits & !Self::ALL.0 == 0 { Some(Self(bits)) } else { None }
    }
}

impl Metrics {
    /// Every metric.
    pub const ALL: Self = Self((1 << MetricName::ALL.len()) - 1);

    /// These metrics.
    pub fn of(names: &[MetricName]) -> Self {
        Self(names.iter().fold(0, |bits, name| bits | name.bit()))
    }

    /// Whether the metric is one of them.
    pub const fn contains(self, name: MetricName) -> bool {
        self.0 & name.bit() != 0
    }

    /// A bit for each.
    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    pub(crate) const fn of_bits(bits: u8) -> Option<Self> {
        if bits & !Self::ALL.0 == 0 { Some(Self(bits)) } else { None }
    }
}

impl Share {
    /// Everything.
    pub const WHOLE: Self = Self { number: 0, of: 1 };

    /// That share of so many, if there is one.
    pub fn new(number: u32, of: u32) -> Option<Self> {
        (number < of).then_some(Self { number, of })
    }

    /// The shares that so many series are split into.
    pub fn of_series(series: usize) -> impl Iterator<Item = Self> {
        let of = u32::try_from(series.div_ceil(ERASURE_SERIES_MAX)).unwrap_or(u32::MAX).max(1);
        (0..of).map(move |number| Self { number, of })
    }

    pub(crate) const fn number(self) -> u32 {
        self.number
    }

    pub(crate) const fn of(self) -> u32 {
        self.of
    }

    fn contains(self, metric: &Metric) -> bool {
        let number = match metric {
            _ if self.of == 1 => 0,
            Metric::Interaction(node) => number_of(node) % self.of,
            Metric::Conversations | Metric::PaidConversations | Metric::Messages => 0,
        };
        number == self.number
    }
}

impl Erasure {
    /// Whether the counts of the series in these hours go.
    pub fn covers(&self, key: &SeriesKey) -> bool {
        key.story == self.story
            && self.sources.contains(key.source)
            && self.metrics.contains(MetricName::of(&key.metric))
            && self.share.contains(&key.metric)
    }
}

/// FNV-1a over the kind of the node and its id. NOTE: never another one, since journals rely on it.
fn number_of(node: &Node) -> u32 {
    let (kind, id): (u8, &[u8]) = match node {
        Node::Interaction(id) => (0, id.0.as_bytes()),
        Node::ContextFallback(id) => (1, id.0.as_bytes()),
        Node::Fallback => (2, &[]),
        Node::Welcome => (3, &[]),
    };
    std::iter::once(&kind)
        .chain(id)
        .fold(0x811C_9DC5, |hash: u32, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::calendar::Hour;
    use crate::model::event::{InteractionId, ObjectId};

    fn id(number: usize) -> ObjectId {
        ObjectId::parse(format!("5b07ffafc2376e3030{number:06x}").as_bytes()).unwrap()
    }

    #[test]
    fn each_series_is_in_one_share_and_shares_are_of_like_size() {
        const NODES: usize = 10_000;
        let story = StoryId(id(0));
        let nodes = (0..NODES).map(|node| Metric::Interaction(Node::Interaction(InteractionId(id(node)))));
        let metrics: Vec<Metric> =
            nodes.chain([Metric::Messages, Metric::Interaction(Node::Welcome)]).collect();
        let shares: Vec<Share> = Share::of_series(metrics.len()).collect();
        assert_eq!(shares.len(), metrics.len().div_ceil(ERASURE_SERIES_MAX));
        let hours = HourRange { start: Hour::new(1), end: Hour::new(2) };
        let mut sizes = vec![0_usize; shares.len()];
        for metric in metrics {
            let key = SeriesKey { story, source: Source::App, metric };
            let covering = shares.iter().enumerate().filter(|(_, share)| {
                let (sources, metrics) = (Sources::of(&[Source::App]), Metrics::ALL);
                Erasure { story, hours, sources, metrics, share: **share }.covers(&key)
            });
            let [(share, _)] = covering.collect::<Vec<_>>()[..] else { panic!("{key:?} is in one share") };
            sizes[share] += 1;
        }
        assert!(sizes.iter().all(|size| *size < ERASURE_SERIES_MAX * 5 / 4), "{sizes:?}");
    }

    #[test]
    fn share_of_a_node_is_as_it_was_released() {
        let node = Node::ContextFallback(InteractionId(id(7)));
        assert_eq!([number_of(&node), number_of(&Node::Fallback)], [0x0238_748E, 0x070C_6045]);
    }

    #[test]
    fn sets_hold_what_they_were_made_of() {
        for source in Source::ALL {
            assert!(Sources::ALL.contains(source) && Sources::of(&[source]).contains(source));
            assert!(!Sources::of(&[]).contains(source));
        }
        for name in MetricName::ALL {
            assert!(Metrics::ALL.contains(name) && !Metrics::of(&[]).contains(name));
            assert_eq!(Metrics::of_bits(Metrics::of(&[name]).bits()), Some(Metrics::of(&[name])));
        }
        assert_eq!((Sources::of_bits(0x80), Metrics::of_bits(16)), (None, None));
        assert!(Share::new(1, 1).is_none() && Share::new(0, 0).is_none());
    }
}
