//! Figures that others keep and hand in at the moment of rendering.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// One figure of somebody else, as it is now.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Figure {
    /// The name, without the prefix `tallyd_` and without the suffix `_total`; unit last (`_bytes`, `_seconds`).
    pub name: &'static str,
    /// What it says, in a sentence without a full stop.
    pub help: &'static str,
    /// How much.
    pub value: Value,
}

/// The value of a figure, and whether it can fall.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Value {
    /// Only rises while the daemon runs; the name gets the suffix `_total`.
    Counter(u64),
    /// Rises and falls.
    Gauge(u64),
    /// Rises and falls, in seconds or another unit that is not whole.
    GaugeFloat(f64),
}

#[derive(Debug)]
struct Figures(Vec<Figure>);

pub(super) fn register(registry: &mut Registry, figures: Vec<Figure>) {
    registry.register_collector(Box::new(Figures(figures)));
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for figure in &self.0 {
            match figure.value {
                Value::Counter(value) => encode(&mut encoder, figure, &ConstCounter::new(value))?,
                Value::Gauge(value) => encode(&mut encoder, figure, &ConstGauge::new(value))?,
                Value::GaugeFloat(value) => encode(&mut encoder, figure, &ConstGauge::new(value))?,
            }
        }
        Ok(())
    }
}

fn encode(
    encoder: &mut DescriptorEncoder<'_>,
    figure: &Figure,
    metric: &impl EncodeMetric,
) -> Result<(), std::fmt::Error> {
    let encoder = encoder.encode_descriptor(figure.name, figure.help, None, metric.metric_type())?;
    metric.encode(encoder)
}
