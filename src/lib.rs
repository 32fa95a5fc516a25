//! tallyd counts what chat bots do: hourly counters per story and source, journalled, snapshotted and
//! reported on. This page is the map; `ARCHITECTURE.md` says which room may use which.
//!
//! # The path of an event
//! bytes → [`intake::wire`] (whole lines, then an [`model::event::Event`]) → [`intake::batching`] (a [`model::batch::Batch`] of increments)
//! → [`store`] (the sequencer: journal, counters, acknowledgement) → [`report`] (a query rolled up).
//!
//! # Words that are tallyd's own
//! | word | meaning |
//! | --- | --- |
//! | event | one thing that happened, as a client sent it: a line, or a JSON object |
//! | head (of an event) | what the event is about: kind, source, story and node |
//! | node | a part of a story that can answer: an interaction, a fallback, the welcome |
//! | increment | (series, hour, count): what an event adds to one counter |
//! | batch | the increments of one read or one request; atomic: one journal record |
//! | definition, change | binds a series id to its key; makes a story or node known, names or deletes it |
//! | erasure, share | what an undo takes away: counts of a story in hours; one of the steps in which it goes |
//! | dropped (hour), swept | its counts are gone for all and come never again, by whole months; their memory is given back, too |
//! | series, total | (story, source, metric); the same over all stories, kept and not added up when asked |
//! | hour, cell, frame | whole hours since 1970-01-01T00:00Z; (hour, count) of a series; its cells of one month, packed |
//! | story set | all stories, or those of a list: what a token may know of, what a report is about |
//! | catalogue | the stories, nodes and series that are known, and their names |
//! | index, row, link | finds series by the bytes of ids; a story or a node in it; the series of one source there |
//! | intern, durable | gives a key its id, which makes nothing known; journalled, and not deleted since |
//! | released, evicted (story) | unknown, so that a new story may have its place; without its place |
//! | write handle, commit ack | the way in for batches; the acknowledgement of one |
//! | refused, unknown | no event of the batch was or will be counted; a restart may find it counted |
//! | commit group | the batches that share one write and one sync |
//! | poisoned | the store takes nothing until a restart, since a sync failed or a write could not be undone |
//! | journal, record, segment, sequence | the log of batches; one batch in it; one file of it; the number of a record |
//! | seal, fold | ends a segment; makes a new snapshot of the old one and the sealed segments |
//! | snapshot, generation | counters and catalogue on disk up to one record; the number of the fold that wrote a file |
//! | part, dictionary, manifest | the frames of one month; the catalogue; the list of both, which commits a snapshot |
//! | store id | the random id of a data directory, in every file of it |
//! | log, message, stamp | what several nodes share and apply in its order; batches in it that count together; the time that it gave one |
//! | writer, mark | one life of a node that writes; the number of its last message that was applied |
//! | chain, base, witness | a hash of all that was read; what a message's sender had read; a message that says only that |
//! | forked, went back, gap, alarm | what stops a node: others have read another log; it lost what was read; it lost what was not; another says so |
//! | genesis, digest | a log's first message; one number for all counters and names |
//! | guess, back off | a token that a network has not shown before; to be told to pause before the next one |
//! | stream, state | a report that is told anew as it changes; as its client was told it last |
//! | earlier range, comparison | the hours that a report is compared with; what it says of them |
//! | unit, data point | an hour, day, month or year of a report; its value |

pub mod cli;
pub mod cluster;
pub mod daemon;
pub mod intake;
pub mod limits;
pub mod model;
pub mod net;
pub mod page;
pub mod platform;
pub mod report;
pub mod store;

#[cfg(test)]
mod test_seeds;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod testing;
