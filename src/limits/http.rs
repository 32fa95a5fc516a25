//! The limits of the HTTP port: connections, bodies, answers. Knows nothing of the others but what they must leave room for.

use std::time::Duration;

use super::RECORD_BYTES_MAX;

// Connections.

/// Most HTTP connections that are open at a time; one more is answered 503 and closed.
pub const HTTP_CONNECTIONS_MAX: usize = 10_000;
/// How many of them are kept for requests that do not write, one a connection: a daemon whose disk hangs can be asked.
pub const HTTP_CONNECTIONS_RESERVED: usize = 64;
/// Requests that wait for the store at a time; one more is answered 503. Above what the store has room for
/// ([`BATCHES_QUEUED_MAX`](super::BATCHES_QUEUED_MAX)), far below the connections.
pub const HTTP_WRITES_WAITING_MAX: usize = 2_048;
/// Most header lines of a request.
pub const HTTP_HEADERS_MAX: usize = 64;
/// Longest head of a request (request line and headers), in bytes; a report about 1,000 stories needs 25 KiB.
pub const HTTP_HEAD_BYTES_MAX: usize = 64 * 1024;
/// Longest head of a request that is answered without waiting for others, such as `/health`, in bytes.
pub const QUICK_HEAD_BYTES_MAX: usize = 2 * 1024;
/// How long a connection may take for the head of its next request, idle time between requests included; a new
/// one has the same time for its first byte alone.
pub const HTTP_HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// The same for a connection in one of the reserved places.
pub const HTTP_RESERVED_HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client may leave an answer unread.
pub const HTTP_WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection without a request stays open when the daemon stops: clients that send one after the other have not
/// heard of it yet.
pub const HTTP_LAST_REQUEST_WAIT: Duration = Duration::from_millis(100);
/// How long requests under way may take to finish when the daemon stops.
pub const HTTP_DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Origins whose pages may ask that can be configured; each request of a page compares with all of them.
pub const ORIGINS_MAX: usize = 64;
/// How long a browser may remember what a path takes; Chromium does not for longer.
pub const PREFLIGHT_AGE: Duration = Duration::from_hours(2);

// Bodies.

/// Longest body of a request, in bytes, after decompression.
pub const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes of all bodies that are held at a time, as sent and inflated.
pub const BODIES_HELD_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Longest body that is inflated and parsed within the connection's task; longer ones go to a worker thread.
pub const BODY_INLINE_BYTES_MAX: usize = 256 * 1024;
/// Longest body that makes a story known, in bytes: 10,000 interactions with names of 40 bytes.
pub const UPSERT_BYTES_MAX: usize = 1024 * 1024;
/// Longest such body that is parsed within the connection's task.
pub const UPSERT_INLINE_BYTES_MAX: usize = 16 * 1024;
/// Longest body with database statements, in bytes.
pub const STATEMENTS_BYTES_MAX: usize = 64 * 1024;
/// Statements of one request.
pub const STATEMENTS_MAX: usize = 100;
/// Bodies that are inflated or parsed on worker threads at a time.
pub const BODY_WORKERS_MAX: usize = 4;
/// Bytes of a body that are read before others have their turn.
pub const BODY_BYTES_PER_TURN: usize = 256 * 1024;
/// Largest window of a zstd body, as a power of two of bytes: 8 MiB.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// How long a client may pause within a body.
pub const HTTP_BODY_PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long a body may take in all.
pub const HTTP_BODY_TIMEOUT: Duration = Duration::from_mins(2);
/// Bytes of a refused request's body that are read and thrown away, so that the client can read the answer.
pub const HTTP_DISCARD_BYTES_MAX: usize = 2 * BODY_BYTES_MAX;
/// How long that may take.
pub const HTTP_DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

const _: () = assert!(
    HTTP_WRITES_WAITING_MAX + HTTP_CONNECTIONS_RESERVED < HTTP_CONNECTIONS_MAX,
    "requests that do not write must find a connection"
);
const _: () =
    assert!(HTTP_HEADERS_MAX < 100, "one header too many must be seen, and hyper parses no more than that");
const _: () = assert!(UPSERT_BYTES_MAX <= BODY_BYTES_MAX, "no body is longer than that of events");
const _: () = assert!(BODY_BYTES_MAX * 4 <= RECORD_BYTES_MAX, "a body full of new names must fit one record");
const _: () = assert!(BODY_BYTES_MAX * 2 <= BODIES_HELD_BYTES_MAX, "one body must fit, as sent and inflated");
const _: () = assert!(BODY_INLINE_BYTES_MAX <= BODY_BYTES_MAX, "what is parsed inline must be allowed");

// Answers.

/// Bytes of an answer that are not counted: usual answers are shorter.
pub const ANSWER_BYTES_FREE: usize = 16 * 1024;
/// Bytes of all longer answers that are held until their clients have read them.
pub const ANSWERS_HELD_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Large answers that are written part by part, as their clients read them, at a time. Each holds the values of at
/// most [`GROUPED_POINTS_MAX`](super::GROUPED_POINTS_MAX) points: 16 MB.
pub const LARGE_ANSWERS_MAX: usize = 16;
/// How long a client may take to read the whole of such an answer: 92 MB at the most.
pub const LARGE_ANSWER_TIMEOUT: Duration = Duration::from_mins(2);
/// Bytes of such an answer that are made before others have their turn.
pub const ANSWER_BYTES_PER_TURN: usize = 256 * 1024;
/// Shortest answer that is packed where its client asks for it, in bytes.
pub const PACKED_BYTES_MIN: usize = 1024;
/// Answers from this many bytes on are packed by zstd rather than gzip where the client takes both: it is quicker but for its
/// tables.
pub const PACKED_ZSTD_BYTES_MIN: usize = 16 * 1024;
/// Longest answer that is packed within the connection's task, in 0.1 ms; a worker thread packs longer ones.
pub const PACKED_INLINE_BYTES_MAX: usize = 64 * 1024;
/// Answers that are packed on worker threads at a time; more are sent as they are.
pub const PACKERS_MAX: usize = 2;
/// Bytes of the tables of one of them.
pub const PACKER_BYTES: usize = 2 * 1024 * 1024;
/// Reports and lists that touch very many series and are answered at a time.
pub const HEAVY_QUERIES_MAX: usize = 4;
/// Backups that are read at a time.
pub const BACKUPS_MAX: usize = 1;
/// Pieces of one that are held, at 256 KiB each.
pub const BACKUP_CHUNKS_AHEAD: usize = 4;
/// Longest list of files that the client of a backup has already, in bytes.
pub const BACKUP_STANDS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Nice value of the threads of heavy queries and backups: beside others they get a third of their share of a busy processor.
pub const HEAVY_NICENESS: i32 = 5;
/// Nice value of `tallyd backup`, which mostly runs where the daemon does: beside others it gets a tenth of their share of a busy
/// processor, and all of an idle one.
pub const BACKUP_COMMAND_NICENESS: i32 = 10;
/// How long such a query waits for its turn before it is answered 503.
pub const HEAVY_QUERY_WAIT_MAX: Duration = Duration::from_secs(2);
/// How far in the future `Retry-After` lies.
pub const RETRY_AFTER: Duration = Duration::from_secs(3);
/// Stories of one page of the list where nothing else is asked for.
pub const STORIES_LISTED_DEFAULT: usize = 100;
/// Most stories of one page of the list.
pub const STORIES_LISTED_MAX: usize = 1_000;
/// Faults of one request that are described one by one.
pub const FAULTS_SHOWN_MAX: usize = 100;
/// Bad lines that the message of an error in an `InfluxDB` dialect repeats, since clients show only the message.
pub const LINES_IN_MESSAGE_MAX: usize = 3;
/// Longest text of ours in a header, in characters.
pub const HEADER_TEXT_CHARS_MAX: usize = 256;

// Streams of reports.

/// Streams that are open at a time.
pub const STREAMS_MAX: usize = 512;
/// Most data points of a report that is streamed, all groups together.
pub const STREAM_POINTS_MAX: u64 = 10_000;
/// Bytes of all states over [`ANSWER_BYTES_FREE`] that streams hold.
pub const STREAM_STATES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How often a stream looks whether there is something to do, which takes no time.
pub const STREAM_TICK: Duration = Duration::from_millis(250);
/// Shortest pause between two reports of a stream.
pub const STREAM_PAUSE_MIN: Duration = Duration::from_secs(1);
/// How many times as long as a report takes to make is the pause after it: a stream takes a fiftieth of a core at most.
pub const STREAM_PAUSE_TIMES: u32 = 50;
/// Longest silence of a stream.
pub const STREAM_COMMENT_EVERY: Duration = Duration::from_secs(15);
/// How long clients of a stream that broke off wait before they ask again.
pub const STREAM_RETRY: Duration = Duration::from_secs(3);
/// Longest duration that a stream can be asked for, in seconds.
pub const STREAM_SECONDS_MAX: u64 = 24 * 3_600;

const _: () =
    assert!(PACKED_BYTES_MIN <= PACKED_ZSTD_BYTES_MIN && PACKED_ZSTD_BYTES_MIN <= PACKED_INLINE_BYTES_MAX);
const _: () = assert!(
    STREAM_TICK.as_millis() * 2 < STREAM_COMMENT_EVERY.as_millis(),
    "a stream must look often enough to say in time that it is there"
);
const _: () = assert!(STORIES_LISTED_DEFAULT <= STORIES_LISTED_MAX, "the default must be allowed");
