//! The limits of several daemons that share a log: messages, what waits for the log, what is remembered of it.

use std::time::Duration;

/// Messages of a writer that are under way at a time.
pub const MESSAGES_IN_FLIGHT_MAX: usize = 4;
/// Bytes of batches that are gathered into one message; one batch may be more.
pub const GATHERED_BYTES_MAX: usize = 512 * 1024;
/// Batches that are gathered into one message.
pub const GATHERED_BATCHES_MAX: usize = 16 * 1024;
/// Full messages that wait for their turn; then batches are refused.
pub const MESSAGES_WAITING_MAX: usize = 32;
/// Longest message, in bytes, where the log's servers allow as much.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long a message waits for its ack before it is sent again, and the longest pause between two such sendings.
pub const RESEND_PAUSE_MAX: Duration = Duration::from_secs(2);
/// The first pause between two sendings of a message of which it is known that the first has failed; twice as long each time.
pub const RESEND_PAUSE_MIN: Duration = Duration::from_millis(100);
/// How long nothing may come from the log before its state is asked for.
pub const LOG_SILENCE_MAX: Duration = Duration::from_secs(2);
/// How often a daemon that has stopped says so in the log.
pub const ALARM_INTERVAL: Duration = Duration::from_secs(10);
/// How often a message that is damaged is read before the daemon stops.
pub const DAMAGED_READS_MAX: u32 = 3;
/// Values of the chain that are kept: it must reach back further than any daemon lags.
pub const CHAIN_VALUES_KEPT: usize = 65_536;
/// Writers that a log may ever have. The messages of a further one are skipped by all.
pub const WRITERS_MAX: usize = 1_000_000;
/// Digests that are kept, at places that all daemons share.
pub const LANDMARKS_KEPT: usize = 64;
/// Messages from one such place to the next.
pub const LANDMARK_EVERY: u64 = 1_024;

const _: () = assert!(GATHERED_BYTES_MAX * 2 <= MESSAGE_BYTES_MAX, "a full message must be allowed");
const _: () = assert!(RESEND_PAUSE_MIN.as_millis() < RESEND_PAUSE_MAX.as_millis(), "pauses get longer");
const _: () =
    assert!(CHAIN_VALUES_KEPT >= 2, "what is read again is compared with the last value by the one before");

// The way to the log (`net/log`).

/// Servers of a log that may be named.
pub const LOG_SERVERS_MAX: usize = 64;
/// Longest name of a log, in bytes.
pub const LOG_NAME_BYTES_MAX: usize = 64;
/// Longest file of credentials for a log, in bytes.
pub const CREDENTIALS_BYTES_MAX: usize = 16 * 1024;
/// How long one server may take until it is connected to.
pub const LOG_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause before the next server is tried.
pub const LOG_CONNECT_PAUSE: Duration = Duration::from_millis(500);
/// How often a server is asked whether it lives; it is given up when it has not answered twice.
pub const LOG_PING_INTERVAL: Duration = Duration::from_secs(3);
/// How long an answer of a log's server is waited for.
pub const LOG_ANSWER_MAX: Duration = Duration::from_secs(5);
/// How long an ack is waited for. By then the message was sent again.
pub const LOG_ACK_MAX: Duration = Duration::from_secs(20);
/// How long the log's servers may answer nothing at all until the log counts as away. An election takes four to nine seconds.
pub const LOG_UNANSWERED_MAX: Duration = Duration::from_secs(12);
/// Messages that a consumer sends ahead.
pub const LOG_AHEAD_MESSAGES_MAX: usize = 200;
/// Bytes that it sends ahead.
pub const LOG_AHEAD_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How long a request for more messages stands before it is made anew.
pub const LOG_PULL_EXPIRES: Duration = Duration::from_secs(30);
/// After how long a consumer that nobody reads from is removed by its server.
pub const LOG_CONSUMER_IDLE_MAX: Duration = Duration::from_mins(1);
/// How often a consumer is made anew until it is another server's.
pub const LOG_OTHER_SERVER_TRIES_MAX: u32 = 5;
/// Servers that keep the log, where it is made here.
pub const LOG_REPLICAS: usize = 3;
/// How long servers are asked to make it that do not answer.
pub const LOG_MAKE_MAX: Duration = Duration::from_secs(15);
/// How long it keeps messages then.
pub const LOG_AGE_DEFAULT: Duration = Duration::from_hours(72);
/// Commands that wait for the connection to the log.
pub const LOG_COMMANDS_MAX: usize = 256;

const _: () = assert!(LOG_AHEAD_BYTES_MAX >= 2 * MESSAGE_BYTES_MAX, "the longest message must fit a half");

// The node (`net/log/node.rs`).

/// Batches that wait for the node, which takes them at once.
pub const LOG_BATCHES_QUEUED_MAX: usize = 64;
/// How long a batch is waited for that was handed to the node. Its answer comes before, unless the disk hangs.
pub const LOG_OUTCOME_WAIT_MAX: Duration = Duration::from_mins(1);
/// Messages of the log that are being recorded at a time.
pub const LOG_READS_UNDER_WAY_MAX: usize = 64;
/// How often the node looks whether something is due.
pub const LOG_TICK: Duration = Duration::from_millis(50);
/// How often the node asks how far the log reaches.
pub const LOG_LOOK_INTERVAL: Duration = Duration::from_millis(400);
/// How old an answer to that may be and still count as new, as of when the log's leader heard most of its servers: those that have
/// nothing to do say something every one or two seconds.
pub const LOG_LOOK_AGE_MAX: Duration = Duration::from_secs(3);
/// The pause before what was read is handed to the store again, where it had no room.
pub const LOG_RECORD_PAUSE: Duration = Duration::from_secs(1);
/// How long a report waits for the position that was asked for.
pub const LOG_POSITION_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long the node may take to record what it has read, when the daemon stops.
pub const LOG_STOP_MAX: Duration = Duration::from_secs(5);

const _: () = assert!(
    LOG_OUTCOME_WAIT_MAX.as_secs() >= super::OUTCOME_WAIT_MAX.as_secs() + super::QUEUE_WAIT_MAX.as_secs(),
    "the node's own answer comes first"
);

/// Shortest and longest lag with which a daemon may call itself ready.
pub const CLUSTER_MAX_LAG_RANGE: (Duration, Duration) = (LOG_LOOK_AGE_MAX, Duration::from_hours(1));
