//! The bounds at which a request, a line or a connection is refused, each with a counter of its own.

/// A bound that all clients share. Past it the answer is an error that says so; the others' service goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Bound {
    /// HTTP connections, of which the last are kept for requests that do not write.
    ReservedConnections,
    /// HTTP requests that wait for the store.
    WritesWaiting,
    /// Bytes of HTTP bodies.
    BodiesHeld,
    /// Reports and lists over very many series.
    HeavyQueries,
    /// Reports that are written while they are read.
    LargeAnswers,
    /// Bytes of answers that are not read yet.
    AnswersHeld,
    /// Streams of reports, and the states that they hold.
    Streams,
    /// Backups.
    Backups,
    /// Bytes of long lines and unread answers on the line port.
    LineMemory,
}

impl Bound {
    pub(super) const ALL: [Self; 9] = [
        Self::ReservedConnections,
        Self::WritesWaiting,
        Self::BodiesHeld,
        Self::HeavyQueries,
        Self::LargeAnswers,
        Self::AnswersHeld,
        Self::Streams,
        Self::Backups,
        Self::LineMemory,
    ];

    /// The label in the metrics, which dashboards are built on: it must not change.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::ReservedConnections => "reserved_connections",
            Self::WritesWaiting => "writes_waiting",
            Self::BodiesHeld => "bodies_held",
            Self::HeavyQueries => "heavy_queries",
            Self::LargeAnswers => "large_answers",
            Self::AnswersHeld => "answers_held",
            Self::Streams => "streams",
            Self::Backups => "backups",
            Self::LineMemory => "line_memory",
        }
    }

    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::ReservedConnections => "too many connections; nothing was counted; send the events again",
            Self::WritesWaiting => {
                "too many requests wait for the disk; nothing was counted; send the events again"
            }
            Self::BodiesHeld => "too many bodies are being read at the moment; nothing was counted",
            Self::HeavyQueries => "too many large queries are being answered at the moment",
            Self::LargeAnswers => "too many large answers are being read at the moment",
            Self::AnswersHeld => "too many answers wait for their clients to read them",
            Self::Streams => "too many reports are streamed at the moment",
            Self::Backups => "another backup is being read",
            Self::LineMemory => {
                "the memory for long lines and batches with keys is in use at the moment; send them again later"
            }
        }
    }
}
