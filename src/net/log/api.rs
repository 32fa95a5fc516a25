//! What is said to `JetStream` and what it answers, as text: requests, answers, the place of a message in the subject that it is to be
//! acknowledged on. Pure; knows nothing of connections.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::address::LogName;
use super::link::{LogError, StoredMessage};
use super::stream::StreamConfig;
use crate::cluster::follow::LogState;
use crate::cluster::position::{LogSequence, LogStamp};
use crate::cluster::publish::Ack;
use crate::limits::{LOG_CONSUMER_IDLE_MAX, LOG_PULL_EXPIRES};

/// Why a request is refused, as the server says it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
pub(super) struct ApiError {
    #[serde(default)]
    code: u16,
    #[serde(default)]
    err_code: u32,
    #[serde(default)]
    description: String,
}

/// There is no message at that place.
const NO_MESSAGE: u32 = 10_037;
/// There is no such stream.
const NO_STREAM: u32 = 10_059;
/// Another stream has that name.
const OTHER_STREAM: u32 = 10_058;
/// The stream's end is not where it was said to be.
const WRONG_END: u32 = 10_071;
/// A message of that size is not taken by this stream.
const TOO_LONG: u32 = 10_054;
/// Fewer servers are known to be there than are to have the stream, as where one has just started.
const NO_PEERS: u32 = 10_005;

impl ApiError {
    pub(super) fn is_no_message(&self) -> bool {
        self.err_code == NO_MESSAGE
    }

    pub(super) fn is_no_stream(&self) -> bool {
        self.err_code == NO_STREAM
    }

    pub(super) fn is_other_stream(&self) -> bool {
        self.err_code == OTHER_STREAM
    }

    pub(super) fn is_wrong_end(&self) -> bool {
        self.err_code == WRONG_END
    }

    /// Whether a server has no leader, no room or no others at the moment, so that nothing is said about the request itself.
    fn is_passing(&self) -> bool {
        self.code >= 500 || self.err_code == NO_PEERS
    }

    pub(super) fn to_error(&self, name: &LogName) -> LogError {
        if self.is_no_stream() {
            LogError::NoLog(name.to_string())
        } else if self.is_passing() {
            LogError::Silent(self.description.clone())
        } else {
            LogError::Refused(self.description.clone())
        }
    }
}

/// Reads an answer, which is what was asked for or an error.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<Result<T, ApiError>, LogError> {
    #[derive(Deserialize)]
    struct Failed {
        error: Option<ApiError>,
    }
    let unreadable =
        |error: serde_json::Error| LogError::Refused(format!("its answer is not understood: {error}"));
    let failed: Failed = serde_json::from_slice(bytes).map_err(unreadable)?;
    match failed.error {
        Some(error) => Ok(Err(error)),
        None => serde_json::from_slice(bytes).map(Ok).map_err(unreadable),
    }
}

/// A stream, as its leader has it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct StreamInfo {
    pub(super) config: StreamConfig,
    state: StreamState,
    cluster: Option<ServerGroup>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct StreamState {
    first_seq: u64,
    last_seq: u64,
}

/// The servers that have a stream or a consumer.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
struct ServerGroup {
    leader: Option<String>,
    /// The others, as the leader knows them.
    #[serde(default)]
    replicas: Vec<Replica>,
}

#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
struct Replica {
    /// How long ago the leader heard it, in nanoseconds; nought where it never has.
    #[serde(default)]
    active: u64,
}

impl StreamInfo {
    pub(super) fn state(&self) -> LogState {
        LogState {
            first: LogSequence::new(self.state.first_seq).max(LogSequence::FIRST),
            last: LogSequence::new(self.state.last_seq),
        }
    }

    /// Who says so; `None` of a server that is alone.
    pub(super) fn leader(&self) -> Option<&str> {
        self.cluster.as_ref()?.leader.as_deref()
    }

    /// For how long most of its servers may have had another leader than who says so: since it last heard enough of the others. `None`
    /// where it has not heard them yet. A leader that nobody hears goes on answering for ten seconds and more.
    pub(super) fn unconfirmed(&self) -> Option<Duration> {
        let Some(group) = &self.cluster else { return Some(Duration::ZERO) };
        let others = group.replicas.len().max(self.config.replicas().saturating_sub(1));
        // With itself, most of them.
        let needed = others.saturating_add(1) / 2;
        let mut heard: Vec<u64> =
            group.replicas.iter().map(|replica| replica.active).filter(|active| *active > 0).collect();
        heard.sort_unstable();
        match needed.checked_sub(1) {
            None => Some(Duration::ZERO),
            Some(place) => heard.get(place).copied().map(Duration::from_nanos),
        }
    }

    /// Whether a server says so that knows of no leader, as one does from which all others are away: it takes no messages.
    pub(super) fn is_leaderless(&self) -> bool {
        self.cluster.is_some() && self.leader().is_none_or(str::is_empty)
    }
}

/// A consumer that was made.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ConsumerInfo {
    pub(super) name: String,
    #[serde(default)]
    cluster: ServerGroup,
}

impl ConsumerInfo {
    pub(super) fn leader(&self) -> Option<&str> {
        self.cluster.leader.as_deref()
    }
}

/// A consumer in one server's memory, which keeps nothing of what was read.
pub(super) fn consumer(name: &LogName, start: LogSequence) -> (String, Vec<u8>) {
    let config = json!({
        "stream_name": name.as_str(),
        "config": {
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": start.get(),
            "ack_policy": "none",
            "replay_policy": "instant",
            "mem_storage": true,
            "num_replicas": 1,
            "inactive_threshold": nanoseconds(LOG_CONSUMER_IDLE_MAX),
        },
    });
    (format!("$JS.API.CONSUMER.CREATE.{name}"), config.to_string().into_bytes())
}

pub(super) fn no_consumer(name: &LogName, consumer: &str) -> String {
    format!("$JS.API.CONSUMER.DELETE.{name}.{consumer}")
}

/// So many messages and bytes more.
pub(super) fn pull(messages: usize, bytes: usize) -> Vec<u8> {
    let pull = json!({ "batch": messages, "max_bytes": bytes, "expires": nanoseconds(LOG_PULL_EXPIRES) });
    pull.to_string().into_bytes()
}

pub(super) fn pull_subject(name: &LogName, consumer: &str) -> String {
    format!("$JS.API.CONSUMER.MSG.NEXT.{name}.{consumer}")
}

pub(super) fn info_subject(name: &LogName) -> String {
    format!("$JS.API.STREAM.INFO.{name}")
}

pub(super) fn create(name: &LogName, config: &impl Serialize) -> (String, Vec<u8>) {
    (format!("$JS.API.STREAM.CREATE.{name}"), json!(config).to_string().into_bytes())
}

pub(super) fn fetch(name: &LogName, sequence: LogSequence) -> (String, Vec<u8>) {
    let request = json!({ "seq": sequence.get() });
    (format!("$JS.API.STREAM.MSG.GET.{name}"), request.to_string().into_bytes())
}

/// A message that was asked for by its place.
#[derive(Debug, Deserialize)]
pub(super) struct FetchedMessage {
    message: RawMessage,
}

#[derive(Debug, Deserialize)]
struct RawMessage {
    #[serde(default)]
    data: String,
    time: String,
}

impl FetchedMessage {
    pub(super) fn into_stored(self) -> Result<StoredMessage, LogError> {
        let unreadable = |what: &str| LogError::Refused(format!("the {what} of a message is not understood"));
        let time: jiff::Timestamp = self.message.time.parse().map_err(|_invalid| unreadable("time"))?;
        let stamp = u64::try_from(time.as_nanosecond()).map_err(|_before_1970| unreadable("time"))?;
        let bytes = STANDARD.decode(self.message.data).map_err(|_invalid| unreadable("text"))?;
        Ok(StoredMessage { stamp: LogStamp::new(stamp), bytes: Bytes::from(bytes) })
    }
}

/// What the log says of a message that was sent.
pub(super) fn ack(bytes: &[u8]) -> (Ack, Option<ApiError>) {
    #[derive(Deserialize)]
    struct Stored {
        seq: u64,
        #[serde(default)]
        duplicate: bool,
    }
    match read::<Stored>(bytes) {
        Ok(Ok(stored)) if stored.duplicate => (Ack::Duplicate(LogSequence::new(stored.seq)), None),
        Ok(Ok(stored)) => (Ack::Stored(LogSequence::new(stored.seq)), None),
        Ok(Err(error)) if error.err_code == TOO_LONG => (Ack::Refused, Some(error)),
        Ok(Err(error)) => (Ack::Failed, Some(error)),
        Err(_) => (Ack::Failed, None),
    }
}

/// The place and time of a message that a consumer delivers, and the last place of all, from the subject that it would be acknowledged on.
pub(super) fn delivered_at(reply: &str) -> Option<(LogSequence, LogStamp, LogSequence)> {
    let parts: Vec<&str> = reply.split('.').collect();
    // The longer form names the domain and the account before the stream.
    let (["$JS", "ACK", _, _, _, sequence, _, time, behind]
    | ["$JS", "ACK", _, _, _, _, _, sequence, _, time, behind, ..]) = parts.as_slice()
    else {
        return None;
    };
    let (sequence, behind): (u64, u64) = (sequence.parse().ok()?, behind.parse().ok()?);
    let last = LogSequence::new(sequence.saturating_add(behind));
    Some((LogSequence::new(sequence), LogStamp::new(time.parse().ok()?), last))
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acks_are_places_refusals_or_reasons_to_send_again() {
        let at = LogSequence::new(7);
        for (text, expected) in [
            (r#"{"stream":"tallyd","seq":7}"#, Ack::Stored(at)),
            (r#"{"stream":"tallyd","seq":7,"duplicate":true}"#, Ack::Duplicate(at)),
            (
                r#"{"error":{"code":400,"err_code":10054,"description":"message size exceeds maximum allowed"},"stream":"tallyd","seq":0}"#,
                Ack::Refused,
            ),
            (
                r#"{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"tallyd","seq":0}"#,
                Ack::Failed,
            ),
            ("", Ack::Failed),
            ("{}", Ack::Failed),
        ] {
            assert_eq!(ack(text.as_bytes()).0, expected, "{text}");
        }
    }

    #[test]
    fn place_and_time_are_read_from_both_forms_of_the_subject() {
        let expected =
            Some((LogSequence::new(42), LogStamp::new(1_700_000_000_123_456_789), LogSequence::new(45)));
        assert_eq!(delivered_at("$JS.ACK.tallyd.c.1.42.9.1700000000123456789.3"), expected);
        assert_eq!(delivered_at("$JS.ACK._.hash.tallyd.c.1.42.9.1700000000123456789.3"), expected);
        assert_eq!(delivered_at("$JS.ACK.hub.hash.tallyd.c.1.42.9.1700000000123456789.3.token"), expected);
        for reply in [
            "",
            "_INBOX.a",
            "$JS.ACK.tallyd.c.1.x.9.1.0",
            "$JS.ACK.tallyd.c.1.4.9.1.x",
            "$JS.ACK.tallyd.c.1.42.9",
        ] {
            assert_eq!(delivered_at(reply), None, "{reply}");
        }
    }

    #[test]
    fn message_that_was_asked_for_has_its_bytes_and_time_to_the_nanosecond() {
        let text = r#"{"message":{"subject":"tallyd.0","seq":3,"data":"AQL/","time":"2023-11-14T22:13:20.123456789Z"}}"#;
        let message: FetchedMessage = read(text.as_bytes()).unwrap().unwrap();
        let stored = message.into_stored().unwrap();
        assert_eq!((&stored.bytes[..], stored.stamp.get()), (&[1, 2, 255][..], 1_700_000_000_123_456_789));
        for wrong in [
            r#"{"message":{"data":"!","time":"2023-11-14T22:13:20Z"}}"#,
            r#"{"message":{"data":"","time":"x"}}"#,
        ] {
            let message: FetchedMessage = read(wrong.as_bytes()).unwrap().unwrap();
            assert!(message.into_stored().is_err(), "{wrong}");
        }
    }

    #[test]
    fn leader_is_believed_as_of_when_it_heard_most_of_its_servers() {
        let second = 1_000_000_000_u64;
        let of = |replicas: usize, active: &[u64]| {
            let others: Vec<String> =
                active.iter().map(|active| format!(r#"{{"active":{active}}}"#)).collect();
            let text = format!(
                r#"{{"config":{{"num_replicas":{replicas}}},"state":{{"first_seq":1,"last_seq":1}},
                   "cluster":{{"leader":"a","replicas":[{}]}}}}"#,
                others.join(",")
            );
            read::<StreamInfo>(text.as_bytes()).unwrap().unwrap().unconfirmed().map(|since| since.as_secs())
        };
        // Of three, itself and the one that it heard last; of five, itself and two.
        assert_eq!(of(3, &[7 * second, second]), Some(1));
        assert_eq!(of(5, &[9 * second, second, 4 * second, 8 * second]), Some(4));
        // One that was never heard, or is not named, says nothing.
        assert_eq!((of(3, &[0, 2 * second]), of(3, &[0, 0]), of(3, &[])), (Some(2), None, None));
        assert_eq!((of(5, &[second]), of(1, &[])), (None, Some(0)));
        let alone = r#"{"config":{"num_replicas":1},"state":{"first_seq":1,"last_seq":1}}"#;
        let alone: StreamInfo = read(alone.as_bytes()).unwrap().unwrap();
        assert_eq!(alone.unconfirmed(), Some(Duration::ZERO));
    }

    #[test]
    fn states_and_errors_are_told_apart() {
        let text =
            r#"{"config":{"name":"tallyd"},"state":{"first_seq":0,"last_seq":0},"cluster":{"leader":"a"}}"#;
        let info: StreamInfo = read(text.as_bytes()).unwrap().unwrap();
        assert_eq!(info.state(), LogState { first: LogSequence::FIRST, last: LogSequence::START });
        assert_eq!((info.leader(), info.is_leaderless()), (Some("a"), false));
        for (cluster, is_leaderless) in
            [("", false), (r#","cluster":{"name":"c"}"#, true), (r#","cluster":{"leader":""}"#, true)]
        {
            let text = format!(r#"{{"config":{{}},"state":{{"first_seq":1,"last_seq":1}}{cluster}}}"#);
            let info: StreamInfo = read(text.as_bytes()).unwrap().unwrap();
            assert_eq!(info.is_leaderless(), is_leaderless, "{cluster}");
        }
        let name = LogName::parse("tallyd").unwrap();
        let of = |code: u16, err_code: u32| {
            let text = format!(r#"{{"error":{{"code":{code},"err_code":{err_code},"description":"why"}}}}"#);
            read::<StreamInfo>(text.as_bytes()).unwrap().unwrap_err().to_error(&name)
        };
        assert_eq!(of(404, NO_STREAM), LogError::NoLog("tallyd".to_owned()));
        assert_eq!(of(503, 10_008), LogError::Silent("why".to_owned()));
        assert_eq!(of(400, NO_PEERS), LogError::Silent("why".to_owned()));
        assert_eq!(of(400, 10_025), LogError::Refused("why".to_owned()));
        assert!(read::<StreamInfo>(b"[").is_err() && read::<StreamInfo>(b"{}").is_err());
    }
}
