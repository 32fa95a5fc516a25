//! The ceiling of the memory that counters, names and stories take. Past it no new cell, story, interaction or longer
//! name is taken; known cells, reports and deletions go on. Knows nothing of where the ceiling comes from.
//!
//! A batch looks at the ceiling once, when it begins, so the batches under way at that moment still bring new cells.
//! What was journalled is never left out: a restart with a lower ceiling loads all there is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::batch::SeriesId;
use super::calendar::Hour;
use super::catalogue::Catalogue;
use super::counters::Counters;

/// The ceiling, and what is below it.
#[derive(Debug)]
pub struct MemoryCeiling {
    bytes: u64,
    catalogue: Arc<Catalogue>,
    counters: Arc<Counters>,
    refused: AtomicU64,
}

impl MemoryCeiling {
    /// A ceiling of that many bytes for the two together.
    pub fn new(bytes: u64, catalogue: Arc<Catalogue>, counters: Arc<Counters>) -> Self {
        Self { bytes, catalogue, counters, refused: AtomicU64::new(0) }
    }

    /// The ceiling, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Memory of counters and catalogue, in bytes.
    pub fn used_bytes(&self) -> u64 {
        self.catalogue.memory_bytes().saturating_add(self.counters.memory_bytes())
    }

    /// Whether nothing new may be taken. Never blocks.
    pub fn is_reached(&self) -> bool {
        self.used_bytes() >= self.bytes
    }

    /// Whether the series has a count in that hour already, so that another one takes no memory.
    pub fn has_cell(&self, series: SeriesId, hour: Hour) -> bool {
        self.counters.has_cell(series, hour)
    }

    /// Counts a line or request that was refused since it needed memory.
    pub fn note_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Lines and requests that were refused since they needed memory.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}
