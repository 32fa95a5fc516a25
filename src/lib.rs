//! tallyd counts what chat bots do: hourly counters per story and source, journalled, snapshotted and
//! reported on. This page is the map; `ARCHITECTURE.md` says which room may use which.
//!
//! # The path of an event
//! bytes → [`wire`] (whole lines, then an [`event::Event`]) → [`ingest`] (a [`batch::Batch`] of increments)
//! → [`store`] (the sequencer: journal, counters, acknowledgement) → [`report`] (a query rolled up).
//!
//! # Words
//! | word | meaning |
//! | --- | --- |
//! | event | one thing that happened, as a client sent it |
//! | increment | (series, hour, count): what an event adds to one counter |
//! | batch | the increments of one read or one request; atomic: one journal record |
//! | series | (story, source, metric); named by a [`batch::SeriesId`] |
//! | hour | whole hours since 1970-01-01T00:00Z; a bucket of the counters |
//! | cell | (hour, count) of one series |
//! | frame | the cells of one series within one calendar month, packed |
//! | catalogue | which stories, interactions and series are known, and their names |
//! | journal, record, segment | the file of batches, one batch in it, one file of it |
//! | seal | to end a segment, so that the fold may read it |
//! | fold | old snapshot + sealed segments = new snapshot |
//! | snapshot, part, dictionary, manifest | counters on disk: the frames of one month, the catalogue, the list of both |
//! | period, unit, data point | a named range of dates; an hour, day, month or year of a report; its value |

pub mod app;
pub mod auth;
pub mod batch;
pub mod calendar;
pub mod catalogue;
pub mod cells;
pub mod cli;
pub mod clock;
pub mod config;
pub mod counters;
pub mod disk;
mod echo;
pub mod event;
pub mod http;
pub mod ingest;
pub mod journal;
pub mod limits;
pub mod logging;
pub mod metrics;
mod pause;
pub mod report;
pub mod shutdown;
pub mod snapshot;
pub mod store;
pub mod systemd;
mod table;
pub mod tcp;
pub mod wire;
