//! tallyd counts what chat bots do: hourly counters per story and source, journalled, snapshotted and
//! reported on. This page is the map; `ARCHITECTURE.md` says which room may use which.
//!
//! # The path of an event
//! bytes → [`intake::wire`] (whole lines, then an [`model::event::Event`]) → [`intake::batching`] (a [`model::batch::Batch`] of increments)
//! → [`store`] (the sequencer: journal, counters, acknowledgement) → [`report`] (a query rolled up).
//!
//! # Words
//! | word | meaning |
//! | --- | --- |
//! | event | one thing that happened, as a client sent it |
//! | line | one event, comment or command as text; a JSON object counts as one |
//! | head (of an event) | what it is about: kind, source, story and node; in line protocol, measurement and tags |
//! | index, row, link | finds series by the bytes of ids, for all parsers; a story or a node in it; the series of one source there |
//! | node | what of a story can answer: an interaction, a fallback, the welcome |
//! | increment | (series, hour, count): what an event adds to one counter |
//! | batch | the increments of one read or one request; atomic: one journal record |
//! | definition | binds a series id to its key; stands in the first record that needs it |
//! | change | what a batch does to the catalogue: make known, name, delete |
//! | series | (story, source, metric); named by an [`model::event::SeriesId`] |
//! | total | the series of a metric over all stories, by source or over all sources; kept, not added up when asked |
//! | hour | whole hours since 1970-01-01T00:00Z; a bucket of the counters |
//! | cell | (hour, count) of one series |
//! | frame | the cells of one series within one calendar month, packed |
//! | catalogue | which stories, nodes and series are known, and their names |
//! | intern, durable | to give a key its id, which makes nothing known; what has been journalled and not deleted since |
//! | released, evicted (story) | unknown, so that a new story may have its place; without its place |
//! | write handle, commit ack | the way in for batches; the acknowledgement of one |
//! | refused, unknown | nothing of a batch was or will be counted; a restart may find it counted |
//! | poisoned | nothing is taken until a restart, since a sync failed or a write could not be undone |
//! | commit group | the batches that share one write and one sync |
//! | journal, record, segment | the file of batches, one batch in it, one file of it |
//! | sequence | the number of a record, from 1; a journal position |
//! | epoch | the random name of a data directory's life, in every file of it |
//! | torn tail | the end of the newest segment that a crash left in pieces; cut at the next start |
//! | seal | to end a segment, so that the fold may read it |
//! | fold | old snapshot + sealed segments = new snapshot |
//! | snapshot | counters and catalogue on disk, up to one journal position |
//! | part, dictionary, manifest | files of it: the frames of one month, the catalogue, the list of both, which commits |
//! | generation (of a snapshot) | counts the folds of a data directory; in the name of every file that one wrote |
//! | listener | the port that lines came by: tcp or http |
//! | tally | lines by what became of them |
//! | accepted, rejected | a line that was counted; a bad line |
//! | moment | one second on the time line; an hour, a day, a month is a range of them |
//! | time zones | the IANA database: the machine's or the bundled one, whichever is newer |
//! | period, unit, data point | a named range of dates; an hour, day, month or year of a report; its value |
//! | deadline timer | the one timer of a connection, for whichever deadline it has at the moment |
//! | excerpt | a piece of what a client sent, bounded and printable, in a message of ours |

pub mod cli;
pub mod daemon;
pub mod intake;
pub mod limits;
pub mod model;
pub mod net;
pub mod platform;
pub mod report;
pub mod store;
