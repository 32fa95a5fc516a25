//! The codes of metrics and nodes, and of metric and source in one byte, in messages and in what is hashed. NOTE: never give one
//! another meaning, since daemons of different versions read and compare them.

use crate::model::event::{Metric, Node, ObjectId, SeriesKey};

/// Sources that there are codes for.
pub(super) const SOURCES: u8 = 7;

/// The codes of source and metric in one byte.
pub(super) const fn series_code(key: &SeriesKey) -> u8 {
    metric_code(key.metric).saturating_mul(SOURCES).saturating_add(key.source.code())
}

/// The code of a metric.
pub(super) const fn metric_code(metric: Metric) -> u8 {
    match metric {
        Metric::Conversations => 0,
        Metric::PaidConversations => 1,
        Metric::Messages => 2,
        Metric::Interaction(node) => node_code(node),
    }
}

/// The code of a node, in one row with those of the other metrics.
pub(super) const fn node_code(node: Node) -> u8 {
    match node {
        Node::Interaction(_) => 3,
        Node::ContextFallback(_) => 4,
        Node::Fallback => 5,
        Node::Welcome => 6,
    }
}

/// The id of a node that has one.
pub(super) fn node_id(node: Node) -> Option<ObjectId> {
    match node {
        Node::Interaction(id) | Node::ContextFallback(id) => Some(id.0),
        Node::Fallback | Node::Welcome => None,
    }
}
