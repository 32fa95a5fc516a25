//! Readings: metrics that other rooms keep, and pass in when the text is rendered.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// The present value of a metric that another room keeps.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct MetricReading {
    /// The name, without the prefix `tallyd_` and without the suffix `_total`; unit last (`_bytes`, `_seconds`).
    pub name: &'static str,
    /// The help text: a sentence without a full stop.
    pub help: &'static str,
    /// How much.
    pub value: MetricValue,
    /// Tells readings of one name apart; those come one after the other.
    pub label: Option<(&'static str, &'static str)>,
}

impl MetricReading {
    /// The same with a label.
    #[must_use]
    pub fn labelled(self, key: &'static str, value: &'static str) -> Self {
        Self { label: Some((key, value)), ..self }
    }
}

impl From<(&'static str, &'static str, MetricValue)> for MetricReading {
    fn from((name, help, value): (&'static str, &'static str, MetricValue)) -> Self {
        Self { name, help, value, label: None }
    }
}

/// The value of a reading, and whether it can fall.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum MetricValue {
    /// Only rises while the daemon runs; the name gets the suffix `_total`.
    Counter(u64),
    /// Rises and falls.
    Gauge(u64),
    /// Rises and falls, in seconds or another unit that is not whole.
    GaugeFloat(f64),
}

#[derive(Debug)]
struct MetricReadings(Vec<MetricReading>);

pub(super) fn register(registry: &mut Registry, figures: Vec<MetricReading>) {
    registry.register_collector(Box::new(MetricReadings(figures)));
}

impl Collector for MetricReadings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for readings in self.0.chunk_by(|one, next| one.name == next.name) {
            let Some(first) = readings.first() else { continue };
            let kind = match first.value {
                MetricValue::Counter(_) => MetricType::Counter,
                MetricValue::Gauge(_) | MetricValue::GaugeFloat(_) => MetricType::Gauge,
            };
            let mut described = encoder.encode_descriptor(first.name, first.help, None, kind)?;
            if let (None, [_]) = (first.label, readings) {
                encode(first.value, described)?;
                continue;
            }
            for reading in readings {
                let labels: Vec<_> = reading.label.into_iter().collect();
                encode(reading.value, described.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

fn encode(value: MetricValue, encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
    match value {
        MetricValue::Counter(value) => ConstCounter::new(value).encode(encoder),
        MetricValue::Gauge(value) => ConstGauge::new(value).encode(encoder),
        MetricValue::GaugeFloat(value) => ConstGauge::new(value).encode(encoder),
    }
}
