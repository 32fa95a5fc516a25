//! Readings: metrics that other rooms keep, and pass in when the text is rendered.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
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
}

impl From<(&'static str, &'static str, MetricValue)> for MetricReading {
    fn from((name, help, value): (&'static str, &'static str, MetricValue)) -> Self {
        Self { name, help, value }
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
        for figure in &self.0 {
            match figure.value {
                MetricValue::Counter(value) => encode(&mut encoder, figure, &ConstCounter::new(value))?,
                MetricValue::Gauge(value) => encode(&mut encoder, figure, &ConstGauge::new(value))?,
                MetricValue::GaugeFloat(value) => encode(&mut encoder, figure, &ConstGauge::new(value))?,
            }
        }
        Ok(())
    }
}

fn encode(
    encoder: &mut DescriptorEncoder<'_>,
    figure: &MetricReading,
    metric: &impl EncodeMetric,
) -> Result<(), std::fmt::Error> {
    let encoder = encoder.encode_descriptor(figure.name, figure.help, None, metric.metric_type())?;
    metric.encode(encoder)
}
