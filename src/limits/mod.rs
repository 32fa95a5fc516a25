//! Every limit of the daemon, with the relations between them checked at compile time. Whatever reaches its limit refuses
//! with a named error or waits; nothing grows without one. In the order of the path of an event, then by room. Constants of
//! the layout of a type or a format stay with that type or format.

mod cluster;
mod http;

use std::time::Duration;

pub use cluster::*;
pub use http::*;

// What comes in: lines, names, times (`intake/wire`).

/// Longest line of line protocol or NDJSON, in bytes, without its line feed.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// Most bytes that one read of a TCP connection hands on at a time.
pub const BLOCK_BYTES_MAX: usize = 256 * 1024;
/// Tags of one line whose keys are compared one by one before a set takes over.
pub const TAGS_COMPARED_MAX: usize = 16;
/// Longest display name of a story or an interaction, in bytes.
pub const NAME_BYTES_MAX: usize = 1024;
/// Earliest instant that an event may have: 1974-01-01T00:00Z, in seconds since the epoch.
pub const EVENT_UNIX_SECONDS_MIN: i64 = 126_230_400;
/// Bad lines of one request that are described one by one.
pub const LINE_ERRORS_SHOWN_MAX: usize = 100;
/// Bytes of a client's own line that an error message repeats.
pub const EXCERPT_BYTES_MAX: usize = 64;

const _: () = assert!(LINE_BYTES_MAX * 2 <= BLOCK_BYTES_MAX, "a block must hold a tail and a line");

// From lines to batches (`intake/batching`).

/// Lines that are looked up at a time, so that their loads overlap.
pub const PREFETCH_LINES: usize = 32;
/// Longest head of a line (measurement and tags) that the fast path reads where it is not in the usual order, in bytes.
pub const FAST_HEAD_BYTES_MAX: usize = 1024;
/// Tags of a line that the fast path skips because tallyd has no use for them.
pub const FAST_OTHER_TAGS_MAX: usize = 4;

const _: () = assert!(FAST_HEAD_BYTES_MAX * 2 <= LINE_BYTES_MAX, "a line of the fast path is not too long");

// Stories, series and counters (`model`).

/// Most stories that can be known at a time.
pub const STORIES_MAX: usize = 1_000_000;
/// New stories that are refused before the catalogue looks for stories that were interned for a batch which then never
/// came.
pub const STORIES_REFUSED_PER_RELEASE: u32 = 1_000;
/// Most interactions (of every kind) within one story.
pub const NODES_PER_STORY_MAX: usize = 10_000;
/// Most interactions (of every kind) of all stories together.
pub const NODES_MAX: usize = 64_000_000;
/// Most series that can get an id over the life of a data directory; ids are not used again.
pub const SERIES_MAX: usize = 64_000_000;
/// Stories whose series (at most fourteen each, of twelve bytes) a report by story gathers at a time. What it gathers of so
/// few mostly stays in a processor's cache.
pub const STORIES_GATHERED_MAX: u32 = 4 * 1024;
/// Hours of a range whose units a report by story lists, for each story; where the range has more, they are searched for.
pub const HOURS_LISTED_PER_STORY: usize = 8;
/// Series whose counts one record of an undo takes away, about: batches wait meanwhile.
pub const ERASURE_SERIES_MAX: usize = 512;
/// The shortest spans that counts may be kept for: what the page and most reports ask for is then never dropped.
pub const RETENTION_DAYS_MIN: u32 = 90;
/// The same in months.
pub const RETENTION_MONTHS_MIN: u32 = 3;
/// The longest, in years.
pub const RETENTION_YEARS_MAX: u32 = 100;
/// How often it is looked whether hours are past the span.
pub const RETENTION_INTERVAL: Duration = Duration::from_hours(1);
/// The same after they could not be dropped.
pub const RETENTION_RETRY: Duration = Duration::from_mins(5);
/// Series whose dropped hours give their memory back in one go, about: batches wait meanwhile.
pub const SWEPT_SERIES_MAX: usize = 512;
/// Slots of eight bytes that each hash table of the index has at first.
pub const INDEX_SLOTS_MIN: usize = 1024;
/// Series ids that are reserved for the totals over all stories; those of stories follow.
pub const TOTALS: usize = 24;
/// Hours since 1970 that can be counted: up to June 2149. A total takes eight bytes an hour, so events for every month
/// since 1974, of every metric and source, make the totals take 90 MB; five years of hours take 9 MB.
pub const HOURS_MAX: u32 = 2048 * 768;

const _: () = assert!(INDEX_SLOTS_MIN.is_power_of_two(), "a slot is found by the low bits of a hash");
const _: () = assert!(NODES_MAX < 1 << 31, "rows have numbers of 32 bits");
const _: () = assert!(STORIES_MAX < 1 << 31 && SERIES_MAX < 1 << 31, "ids are 32 bits wide");

// The sequencer's queue and the journal (`store`).

/// Batches that wait for the sequencer.
pub const BATCHES_QUEUED_MAX: usize = 256;
/// Bytes of all batches that wait for the sequencer; one batch may be more.
pub const QUEUED_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Longest wait of a batch for room in the sequencer's queue; then it is refused.
pub const QUEUE_WAIT_MAX: Duration = Duration::from_secs(10);
/// Longest wait for the outcome of a batch that was handed over; then its outcome is unknown.
pub const OUTCOME_WAIT_MAX: Duration = Duration::from_secs(30);
/// Bytes of journal records that the sequencer gathers for one write; one batch may be more.
pub const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Groups of batches that wait for one sync.
pub const GROUPS_UNSYNCED_MAX: usize = 64;
/// Orders to the snapshotter that wait: a snapshot, a copy, the end.
pub const CONTROLS_QUEUED_MAX: usize = 3;
/// How long a copy waits for its seal, behind a snapshot that is being made.
pub const BACKUP_SEAL_WAIT: Duration = Duration::from_mins(1);
/// How long a copy may take to be read; its files are then removed as if nobody read them. 1 TB at 300 MB/s.
pub const BACKUP_TIME: Duration = Duration::from_hours(1);
/// Bytes of a copy that are read and written at a time.
pub const BACKUP_CHUNK_BYTES: usize = 256 * 1024;
/// Longest list of what a copy holds, in bytes.
pub const BACKUP_LIST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest payload of a journal record, in bytes: the definitions, changes and increments of one batch.
pub const RECORD_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Keys of batches that are remembered, by each of the two rules: a newer one takes the place of the oldest.
pub const KEYS_MAX: usize = 1_000_000;
/// How long a key is remembered.
pub const KEYS_KEPT: Duration = Duration::from_hours(24);
/// How long a batch without a key is recognised where the operator does not say otherwise, and at most.
pub const RETRY_WINDOW: Duration = Duration::from_mins(10);
/// The longest retry window.
pub const RETRY_WINDOW_MAX: Duration = Duration::from_hours(1);
/// Bytes of the lists of bad lines that are remembered with keys, and of those that a fold gathers: past it the oldest lists
/// go, and their counts stay.
pub const KEY_BAD_LINES_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest idempotency key, in bytes.
pub const KEY_BYTES_MAX: usize = 255;
/// A segment of the journal that has this many bytes is sealed and the next begun.
pub const SEGMENT_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Bytes that the open segment grows by between two syncs, from which on its blocks are allocated ahead: a writer then does
/// not wait for the file system while a sync allocates the blocks of what was written before.
pub const ALLOCATED_AHEAD_FROM: u64 = 1024 * 1024;
/// Most bytes that are allocated ahead of the open segment's end.
pub const ALLOCATED_AHEAD_MAX: u64 = 64 * 1024 * 1024;
/// How often the journal is synced where `fsync` is `interval`.
pub const FSYNC_INTERVAL: Duration = Duration::from_secs(1);
/// Bytes of the disk that are kept aside, so that a full disk still takes a last snapshot.
pub const RESERVE_BYTES: u64 = 16 * 1024 * 1024;

const _: () = assert!(GROUP_BYTES_MAX <= QUEUED_BYTES_MAX, "a full group must be able to wait");

// Folds and snapshots (`store/fold`, `store/snapshot`).

/// Increments that a fold gathers in memory before it adds up those of the same cell; where that leaves more than half, it
/// writes them out.
pub const FOLD_CELLS_MAX: usize = 5 * 1024 * 1024;
/// Memory that each of them takes, in bytes.
pub const FOLD_BYTES_PER_CELL: usize = 24;
/// Catalogue entries that a fold gathers in memory before it writes them out.
pub const FOLD_ENTRIES_MAX: usize = 1024 * 1024;
/// Ranges of hours of series that a fold takes out of parts at a time.
pub const FOLD_ERASED_MAX: usize = 64 * 1024;
/// Keys of batches that a fold gathers in memory before it writes them out.
pub const FOLD_KEYS_MAX: usize = 256 * 1024;
/// Bytes of frames or entries after which a block of a snapshot file ends.
pub const SNAPSHOT_BLOCK_BYTES: usize = 256 * 1024;
/// Most entries of a block of the dictionary, which are all in memory when it is read: 0.4 MB without names.
pub const DICTIONARY_BLOCK_ENTRIES: usize = 4096;
/// Longest payload of a block of a snapshot file, in bytes. A manifest is one block.
pub const SNAPSHOT_BLOCK_BYTES_MAX: usize = 16 * 1024 * 1024;
const _: () = assert!(
    16 * WRITERS_MAX + 8 * CHAIN_VALUES_KEPT + 24 * LANDMARKS_KEPT + 128 * 1024 <= SNAPSHOT_BLOCK_BYTES_MAX,
    "a manifest must have room for its place in a log beside a list of files"
);
/// Most cells of one frame in a snapshot part.
pub const FRAME_CELLS_MAX: usize = 2048;
/// Snapshot files below this many bytes are merged without asking whether it pays.
pub const SNAPSHOT_MERGE_BYTES_MIN: u64 = 256 * 1024;
/// Pieces of the dictionary of like size that are merged into one when there are so many.
pub const DICTIONARY_PIECES_ALIKE_MAX: usize = 8;
/// The same of the parts of a month. The fewer, the more often a cell is written again; the more, the more parts a start and
/// a merge read side by side, and the longer a cell that was counted again is on the disk several times.
pub const PARTS_ALIKE_MAX: usize = 4;
/// Nice value of the snapshot thread. At 5 it gets a third of another thread's share of a busy processor; with far less it
/// could fall behind for good.
pub const SNAPSHOT_NICENESS: i32 = 5;
/// Parts of a snapshot that a start reads side by side; of each a block is in memory.
pub const LOAD_PARTS_MAX: usize = 256;
/// Bytes of checked frames that are handed over to the thread that adds them to the counters at a time, about.
pub const LOAD_BATCH_BYTES: usize = 512 * 1024;
/// Such batches, and those of what the catalogue is told, that are ready ahead of the thread that takes them.
pub const LOAD_BATCHES_AHEAD: usize = 8;
/// Definitions, changes and hours that a start tells the catalogue together. A journal with fewer is replayed by one thread.
pub const LOAD_STEPS_TOGETHER: usize = 4096;
/// Bytes of a snapshot's parts, and of its dictionary, up to which one thread loads them.
pub const LOAD_INLINE_BYTES_MAX: u64 = 1024 * 1024;

const _: () = assert!(
    SNAPSHOT_BLOCK_BYTES + 16 * FRAME_CELLS_MAX <= SNAPSHOT_BLOCK_BYTES_MAX,
    "a block that is nearly full must take one more frame"
);

// Reports (`report`, `model/calendar`).

/// Most data points of groups (46 bytes each, or more) whose text is held as a whole.
pub const WHOLE_TEXT_POINTS_MAX: usize = 20_000;
/// Interactions (some 150 bytes each) that a report over many stories holds at a time, about; more are gathered in
/// several passes.
pub const POPULARITY_NODES_MAX: usize = 256 * 1024;
/// Sums, of sixteen bytes each, by which a report over all stories tells which interactions can be among its rows, at most.
pub const POPULARITY_BUCKETS: usize = 64 * 1024;
/// Interactions whose series are fetched together by a report over all stories.
pub const POPULARITY_NODES_AHEAD: usize = 32;
/// Most data points of one series of a report.
pub const DATA_POINTS_MAX: usize = 100_000;
/// Most data points of all groups of a report together.
pub const GROUPED_POINTS_MAX: usize = 2_000_000;
/// Most groups or rows that a report can be asked for.
pub const REPORT_ROWS_MAX: usize = 10_000;
/// Groups or rows of a report where nothing else is asked for.
pub const REPORT_ROWS_DEFAULT: usize = 1_000;
/// Largest `offset` from UTC of a report, either way, in minutes.
pub const OFFSET_MINUTES_MAX: i32 = 720;
/// Faults of one query that are described one by one.
pub const QUERY_FAULTS_SHOWN_MAX: usize = 32;
/// Most series that a query may look at on the thread of its connection, at about 0.1 µs each.
pub const LIGHT_QUERY_SERIES_MAX: usize = 2_000;
/// Most cells that a query may add up on the thread of its connection, at about 1 ns each.
pub const LIGHT_QUERY_CELLS_MAX: u64 = 350_000;
/// Most data points that a query may write on the thread of its connection, at about 7 ns each.
pub const LIGHT_QUERY_POINTS_MAX: u64 = 50_000;

const _: () = assert!(REPORT_ROWS_DEFAULT <= REPORT_ROWS_MAX, "the default must be allowed");
const _: () = assert!(DATA_POINTS_MAX <= GROUPED_POINTS_MAX, "one group must be allowed");

// The machine's time-zone files (`platform/zoneinfo`).

/// Most zones of a database; there are about 600.
pub const ZONE_FILES_MAX: usize = 2_000;
/// Longest zone file that is read, in bytes; the longest there is has 3.6 kB.
pub const ZONE_FILE_BYTES_MAX: u64 = 64 * 1024;
/// Folders of zones within each other; there are two (`America/Indiana`).
pub const ZONE_FOLDERS_DEEP_MAX: usize = 4;

// Access and configuration (`net/auth`, `daemon/config`).

/// Most tokens that can be configured; each request compares with all of them.
pub const TOKENS_MAX: usize = 256;
/// Most stories that a token can be limited to.
pub const STORIES_PER_TOKEN_MAX: usize = 1_000;
/// Longest name of a token, in bytes.
pub const TOKEN_NAME_BYTES_MAX: usize = 64;
/// Shortest secret that the environment may hold, in bytes.
pub const TOKEN_SECRET_BYTES_MIN: usize = 16;
/// Longest secret that the environment may hold, in bytes.
pub const TOKEN_SECRET_BYTES_MAX: usize = 256;
/// Wrong tokens of an address after which it is told to pause.
pub const GUESSES_FREE: u16 = 10;
/// Wrong tokens of an address after which no token that comes within the pause is checked.
pub const GUESSES_CHECKED_MAX: u16 = 1_000;
/// The first pause; twice as long after each wrong token.
pub const GUESS_PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest pause.
pub const GUESS_PAUSE_MAX: Duration = Duration::from_mins(1);
/// How long after its last guess those of an address count.
pub const GUESSES_REMEMBERED: Duration = Duration::from_hours(1);
/// Addresses that have guessed and are remembered: so many of IPv4, and so many networks of IPv6.
pub const GUESSING_NETWORKS_MAX: usize = 8_192;
/// Wrong tokens of an address that are remembered, so that to show them again is no guess.
pub const WRONG_TOKENS_PER_NETWORK_MAX: usize = 8;
/// Sets of tokens that were good lately, each with the address that showed it.
pub const GOOD_TOKEN_SETS_MAX: usize = 2_048;
/// How many a set has.
pub const GOOD_TOKENS_PER_SET: usize = 8;
const _: () = assert!(GUESSES_FREE < GUESSES_CHECKED_MAX, "it is told before it is refused");
/// How long after the log has named an address that guesses it names no other.
pub const GUESSING_LOG_PAUSE: Duration = Duration::from_mins(1);
/// Largest configuration or tokens file, in bytes.
pub const CONFIG_BYTES_MAX: u64 = 1024 * 1024;
/// Shortest and longest time between snapshots.
pub const SNAPSHOT_INTERVAL_RANGE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_hours(24));
/// Farthest ahead of the clock that an event may be allowed to be.
pub const MAX_FUTURE_MAX: Duration = Duration::from_hours(366 * 24);

/// Least memory that counters, names and stories may be limited to, in bytes.
pub const MEMORY_LIMIT_MIN: u64 = 64 * 1024 * 1024;
/// Memory, in bytes, that is left to all but counters, names and stories where no limit is given.
pub const MEMORY_BESIDE_COUNTERS: u64 = 9 * 256 * 1024 * 1024;
/// Bytes that all with a bound of its own can take at most: connections, each with the longest head and an answer that is not
/// counted or with the shortest buffers of a line connection; bodies, answers, lines, the queue and the record that is being
/// written; large answers; packers; streams, each with what it was asked for, and with a state and a patch that are not counted;
/// a fold; the keys of batches; addresses that guess tokens.
const BOUNDED_BYTES: usize = HTTP_CONNECTIONS_MAX * (HTTP_HEAD_BYTES_MAX + ANSWER_BYTES_FREE)
    + TCP_CONNECTIONS_MAX * 4 * TCP_READ_BYTES_MIN
    + BODIES_HELD_BYTES_MAX
    + ANSWERS_HELD_BYTES_MAX
    + LINE_MEMORY_BYTES_MAX
    + QUEUED_BYTES_MAX
    + RECORD_BYTES_MAX
    + LARGE_ANSWERS_MAX * 8 * GROUPED_POINTS_MAX
    + PACKERS_MAX * PACKER_BYTES
    + STREAMS_MAX * (HTTP_HEAD_BYTES_MAX + 2 * ANSWER_BYTES_FREE)
    + STREAM_STATES_BYTES_MAX
    + FOLD_BYTES_PER_CELL * FOLD_CELLS_MAX
    + 2 * 64 * KEYS_MAX
    + 64 * FOLD_KEYS_MAX
    + 2 * KEY_BAD_LINES_BYTES_MAX
    + 2 * 512 * GUESSING_NETWORKS_MAX
    + 8 * GOOD_TOKENS_PER_SET * GOOD_TOKEN_SETS_MAX;

/// Memory, in bytes, that is left to the connections' encryption where they have it.
pub const MEMORY_FOR_TLS: u64 = 6 * 256 * 1024 * 1024;
/// Bytes that the encryption of a connection can take: a record as it comes, one that was decrypted, answers that the peer has
/// not taken and one record more, and the keys and states of the session.
const TLS_CONNECTION_BYTES: usize = 3 * TLS_RECORD_BYTES_MAX + TLS_ANSWER_BYTES_MAX + 8 * 1024;

const _: () =
    assert!(wide(BOUNDED_BYTES) <= MEMORY_BESIDE_COUNTERS, "what is bounded must fit beside the counters");
const _: () = assert!(
    wide((HTTP_CONNECTIONS_MAX + TCP_CONNECTIONS_MAX) * TLS_CONNECTION_BYTES) <= MEMORY_FOR_TLS,
    "encrypted connections must fit, too"
);
const _: () =
    assert!(TLS_HANDSHAKE_BYTES_MAX <= TLS_RECORD_BYTES_MAX, "a handshake takes no more than a record");

// Both ports (`net/listener.rs`).

/// First pause of an accept loop that has run out of descriptors or memory.
pub const ACCEPT_BACKOFF_MIN: Duration = Duration::from_millis(5);
/// Longest pause of such a loop.
pub const ACCEPT_BACKOFF_MAX: Duration = Duration::from_secs(1);
/// How often the log is told at most that a loop cannot accept.
pub const ACCEPT_LOG_PAUSE: Duration = Duration::from_mins(1);
/// Connections that wait at a socket of the file system for the accept loop, which takes them at once.
pub const UNIX_BACKLOG: u32 = 1_024;
/// Most connections over the limit of a port that get an answer at a time; further ones are closed without a word.
pub const CONNECTIONS_REFUSED_MAX: usize = 64;
/// How long such a connection may take to read that it is one too many.
pub const CONNECTION_REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a TLS handshake may take.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one that is under way may still take when the daemon stops.
pub const TLS_LAST_HANDSHAKE_WAIT: Duration = Duration::from_secs(1);
/// Most bytes that a peer may send until its handshake is over; a client's part has one to three KiB.
pub const TLS_HANDSHAKE_BYTES_MAX: usize = 16 * 1024;
/// Longest record, in bytes, with its head and its seal (RFC 8446, section 5.2).
pub const TLS_RECORD_BYTES_MAX: usize = 16 * 1024 + 256 + 5;
/// Bytes of answers that a connection holds encrypted while the peer does not read, besides one record.
pub const TLS_ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Days before its end when the log begins to warn of a certificate; authorities of today give it 47 to 90 days in all.
pub const TLS_EXPIRY_WARNING_DAYS: i32 = 14;
/// When a quiet peer is first asked whether it is still there, how often then, and how many times.
pub const TCP_KEEPALIVE: (Duration, Duration, u32) = (Duration::from_mins(1), Duration::from_secs(15), 4);

// The line port (`net/tcp`).

/// Connections of the line port that are served at a time.
pub const TCP_CONNECTIONS_MAX: usize = 10_000;
/// Bytes of a connection's read buffer to begin with; it grows to [`BLOCK_BYTES_MAX`] while reads fill it.
pub const TCP_READ_BYTES_MIN: usize = 2 * 1024;
/// Batches of one connection that wait for their outcome. At this many nothing more is read from it.
pub const TCP_BATCHES_UNDER_WAY_MAX: usize = 16;
/// Bytes of answers that wait for one client to read them; an `ERR` past that is dropped.
pub const TCP_ANSWERS_BYTES_MAX: usize = 64 * 1024;
/// Bytes for what exceeds the smallest read buffer and the shortest queue of answers of a connection, for all of them
/// together: reading long lines, the batches made of them, answers that are not read.
pub const LINE_MEMORY_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Bytes of answers of a connection that are not counted there.
pub const TCP_ANSWERS_BYTES_FREE: usize = 2 * 1024;
/// How long a client may take to read an answer that it waits for (`OK`, or the last ones of a connection).
pub const TCP_WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a connection checks for bytes since the last check. A quiet one gives its read buffer back.
pub const TCP_TICK: Duration = Duration::from_secs(10);
/// Ticks without a byte after which a connection is closed. Long, since a sender that finds its connection closed
/// has lost lines; keepalive finds the peers that are gone.
pub const TCP_QUIET_TICKS_MAX: u32 = 24 * 360;
/// The same within a batch with a key, whose sender loses nothing and whose lines are held.
pub const TCP_BATCH_QUIET_TICKS_MAX: u32 = 30;
/// Ticks that a connection may take to authenticate, where tokens are configured.
pub const TCP_AUTH_TICKS_MAX: u32 = 3;
/// How long a connection stays half open after its last answer, so that the peer gets to read it.
pub const TCP_LINGER: Duration = Duration::from_millis(500);
/// How long the connections may take to finish when the daemon stops.
pub const TCP_DRAIN: Duration = Duration::from_secs(15);

/// Longest batch with a key on the line port, in bytes; it is held until it is whole.
pub const TCP_KEYED_BATCH_BYTES_MAX: usize = 32 * 1024 * 1024;

const _: () = assert!(TCP_KEYED_BATCH_BYTES_MAX * 2 <= LINE_MEMORY_BYTES_MAX, "one must fit while it grows");
const _: () = assert!(TCP_READ_BYTES_MIN <= BLOCK_BYTES_MAX, "a read buffer must be able to begin");
const _: () = assert!(TCP_ANSWERS_BYTES_FREE <= TCP_ANSWERS_BYTES_MAX, "what is free must be allowed");
const _: () = assert!(
    8 * BLOCK_BYTES_MAX <= LINE_MEMORY_BYTES_MAX,
    "several connections must be able to read at full speed"
);
const _: () = assert!(TCP_AUTH_TICKS_MAX < TCP_QUIET_TICKS_MAX, "strangers wait less long");

// Start, watchdog and stop (`daemon`).

/// Threads for work that blocks (large bodies), beside those of the runtime.
pub const BLOCKING_THREADS_MAX: usize = 32;
/// How much more time the daemon asks the service manager for at a time, while it replays the journal.
pub const START_EXTENSION: Duration = Duration::from_mins(1);
/// How often the probe proves that ingest and reports work, unless the watchdog wants it more often.
pub const PROBE_INTERVAL: Duration = Duration::from_secs(5);
/// How often it is looked whether a part has begun to fail or to work again.
pub const CONDITION_INTERVAL: Duration = Duration::from_secs(1);
/// How long a part has to work before the log says that it works again.
pub const CONDITION_SETTLED: Duration = Duration::from_mins(1);
/// Lines that one place in the code may write to the log in [`LOG_PACE`], where they are errors or warnings.
pub const LOG_LINES_ALIKE_MAX: u32 = 30;
/// For how long they are counted.
pub const LOG_PACE: Duration = Duration::from_mins(1);
/// How long the ports may take to finish when the daemon stops; each has a shorter deadline of its own.
pub const DRAIN: Duration = Duration::from_secs(30);
/// How long the store may take to drain, sync and fold when the daemon stops.
pub const STORE_CLOSE: Duration = Duration::from_mins(1);
/// The same after a second signal, when there is no patience for a last snapshot.
pub const STORE_CLOSE_HURRIED: Duration = Duration::from_secs(5);
/// How long a runtime may take to end its remaining tasks.
pub const RUNTIME_STOP: Duration = Duration::from_secs(2);
/// Event interval of the HTTP runtime: task polls between two polls of the I/O driver. One task poll can parse a body of
/// [`BODY_INLINE_BYTES_MAX`], which takes half a millisecond, so it is below tokio's default of 61.
pub const HTTP_EVENT_INTERVAL: u32 = 16;
/// The same for the line port, where one task poll parses up to [`BLOCK_BYTES_MAX`].
pub const TCP_EVENT_INTERVAL: u32 = 8;

/// How long stopping can take in all: the ports finish (after their deadline what is left has [`RUNTIME_STOP`] to be
/// logged, and again to be cut off), the store closes, the runtimes end. The service manager is told so.
pub const STOP_MAX: Duration = Duration::from_secs(
    DRAIN.as_secs() + 2 * RUNTIME_STOP.as_secs() + STORE_CLOSE.as_secs() + 4 * RUNTIME_STOP.as_secs(),
);
/// Descriptors that no connection gets: those of the store (its folder, lock, journal, and the files of a fold), of the
/// runtimes and signals, and of connections that are one too many.
pub const DESCRIPTORS_RESERVED: usize = 256;

const _: () = assert!(
    HTTP_LAST_REQUEST_WAIT.as_millis() * 2 < HTTP_DRAIN_TIMEOUT.as_millis(),
    "a request that comes at the last moment has time to be answered"
);
const _: () = assert!(
    HTTP_DRAIN_TIMEOUT.as_secs() < DRAIN.as_secs() && TCP_DRAIN.as_secs() < DRAIN.as_secs(),
    "the ports have to miss their own deadlines first"
);
const _: () =
    assert!(STORE_CLOSE_HURRIED.as_secs() < STORE_CLOSE.as_secs(), "a hurried close is the shorter one");
const _: () = assert!(
    DESCRIPTORS_RESERVED >= 2 * CONNECTIONS_REFUSED_MAX + 64,
    "the store keeps descriptors while both ports refuse connections"
);

// The command line (`cli`).

/// Most lines that `push` and `import` send in one request.
pub const PUSH_BATCH_LINES_MAX: u64 = 5_000;
/// Most bytes that `push` and `import` send in one request, unless they are one JSON document.
pub const PUSH_BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How often the command line sends one request before it gives up.
pub const CLIENT_ATTEMPTS_MAX: u32 = 8;
/// Longest wait of the command line between two attempts, in milliseconds.
pub const CLIENT_BACKOFF_MS_MAX: u64 = 60_000;
/// Longest answer that the command line takes, in bytes.
pub const CLIENT_ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

const _: () = assert!(PUSH_BATCH_BYTES_MAX + LINE_BYTES_MAX < BODY_BYTES_MAX, "a batch must fit into a body");

// Numbers that go between figures and sizes in memory.

/// A size as a figure.
#[inline]
#[expect(clippy::as_conversions, reason = "no machine has sizes of more than 64 bits; try_from is not const")]
pub const fn wide(size: usize) -> u64 {
    size as u64
}

/// A figure as a size or an index; the greatest there is where it is more.
#[inline]
pub fn narrow(figure: impl Into<u64>) -> usize {
    usize::try_from(figure.into()).unwrap_or(usize::MAX)
}
