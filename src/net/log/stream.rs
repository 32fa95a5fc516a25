//! How the log is kept: the configuration of its stream, as it is asked for and as the server says that it is. Pure; knows
//! nothing of connections.

use serde::{Deserialize, Serialize};

use super::address::LogName;
use super::link::LogError;
use crate::limits::{LOG_AGE_DEFAULT, LOG_REPLICAS, wide};

/// The configuration of a stream, as far as it matters. What a server does not say is as it is by default.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "they are the server's")]
pub(super) struct StreamConfig {
    name: String,
    subjects: Vec<String>,
    retention: String,
    storage: String,
    discard: String,
    num_replicas: usize,
    max_bytes: i64,
    /// In nanoseconds.
    max_age: u64,
    max_msgs: i64,
    max_msgs_per_subject: i64,
    max_msg_size: i64,
    no_ack: bool,
    sealed: bool,
    deny_delete: bool,
    deny_purge: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    mirror: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject_transform: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    persist_mode: Option<String>,
}

impl StreamConfig {
    /// A log of so many bytes, as it should be kept.
    pub(super) fn new(name: &LogName, max_bytes: u64) -> Self {
        Self {
            name: name.as_str().to_owned(),
            subjects: vec![name.subject()],
            retention: "limits".to_owned(),
            storage: "file".to_owned(),
            discard: "old".to_owned(),
            num_replicas: LOG_REPLICAS,
            max_bytes: i64::try_from(max_bytes).unwrap_or(i64::MAX),
            max_age: nanoseconds(LOG_AGE_DEFAULT),
            max_msgs: -1,
            max_msgs_per_subject: -1,
            max_msg_size: -1,
            deny_delete: true,
            deny_purge: true,
            ..Self::default()
        }
    }

    /// How many servers have it.
    pub(super) fn replicas(&self) -> usize {
        self.num_replicas
    }

    /// The longest message, where the stream bounds it.
    pub(super) fn message_bytes_max(&self) -> Option<usize> {
        usize::try_from(self.max_msg_size).ok()
    }

    /// What makes it a worse log.
    ///
    /// # Errors
    /// [`LogError::Unfit`], with all that keeps it from being a log at all.
    pub(super) fn check(&self, name: &LogName) -> Result<Vec<String>, LogError> {
        let (faults, warnings) = self.faults(name);
        if faults.is_empty() { Ok(warnings) } else { Err(LogError::Unfit(faults.join("; "))) }
    }

    /// What keeps it from being a log at all, and what only makes it a worse one.
    fn faults(&self, name: &LogName) -> (Vec<String>, Vec<String>) {
        let (mut faults, mut warnings) = (Vec::new(), Vec::new());
        let mut check = |is_good: bool, fault: &str| {
            if !is_good {
                faults.push(fault.to_owned());
            }
        };
        check(self.subjects == [name.subject()], "its only subject must be its name and `.0`");
        check(self.retention == "limits", "its retention must be `limits`");
        check(self.storage == "file", "its storage must be `file`");
        check(self.discard == "old", "it must discard old messages, not refuse new ones");
        check(self.max_msgs <= 0 && self.max_msgs_per_subject <= 0, "it must not count its messages out");
        check(!self.no_ack, "it must acknowledge");
        check(!self.sealed, "it must not be sealed");
        check(
            self.mirror.is_none() && self.sources.is_none() && self.subject_transform.is_none(),
            "it must not be made of other streams",
        );
        check(
            self.persist_mode.as_deref().is_none_or(|mode| mode != "async"),
            "it must not write later than it acknowledges",
        );
        let mut warn = |is_good: bool, warning: String| {
            if !is_good {
                warnings.push(warning);
            }
        };
        let replicas = self.num_replicas;
        warn(
            replicas >= LOG_REPLICAS,
            format!(
                "the log is kept by {replicas} of the {LOG_REPLICAS} servers that it should be; what one of them loses is lost"
            ),
        );
        warn(
            self.deny_purge && self.deny_delete,
            "messages may be deleted from the log; a node that has not read them stops".to_owned(),
        );
        warn(
            self.max_age == 0 || self.max_age >= nanoseconds(LOG_AGE_DEFAULT),
            "the log forgets messages before three days have passed; a node that is away for longer needs a seed".to_owned(),
        );
        (faults, warnings)
    }
}

fn nanoseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(wide(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> LogName {
        LogName::parse("tallyd").unwrap()
    }

    fn changed(from: &str, to: &str) -> (Vec<String>, Vec<String>) {
        let text = serde_json::to_string(&StreamConfig::new(&name(), 1 << 30)).unwrap();
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        serde_json::from_str::<StreamConfig>(&changed).unwrap().faults(&name())
    }

    #[test]
    fn stream_as_it_is_asked_for_is_without_fault() {
        assert_eq!(StreamConfig::new(&name(), 1 << 30).faults(&name()), (vec![], vec![]));
        assert_eq!(StreamConfig::new(&name(), 1 << 30).message_bytes_max(), None);
    }

    #[test]
    fn each_setting_that_breaks_a_promise_is_a_fault_of_its_own() {
        for (from, to) in [
            ("\"tallyd.0\"", "\"tallyd.>\""),
            ("\"tallyd.0\"", "\"tallyd.0\",\"tallyd.1\""),
            ("\"limits\"", "\"workqueue\""),
            ("\"file\"", "\"memory\""),
            ("\"old\"", "\"new\""),
            ("\"max_msgs\":-1", "\"max_msgs\":9"),
            ("\"max_msgs_per_subject\":-1", "\"max_msgs_per_subject\":1"),
            ("\"no_ack\":false", "\"no_ack\":true"),
            ("\"sealed\":false", "\"sealed\":true"),
            ("{", "{\"mirror\":{},"),
            ("{", "{\"sources\":[],"),
            ("{", "{\"subject_transform\":{},"),
            ("{", "{\"persist_mode\":\"async\","),
        ] {
            let (faults, warnings) = changed(from, to);
            assert_eq!((faults.len(), warnings.len()), (1, 0), "{to}: {faults:?} {warnings:?}");
        }
    }

    #[test]
    fn what_only_makes_it_worse_is_warned_of() {
        for (from, to) in [
            ("\"num_replicas\":3", "\"num_replicas\":1"),
            ("\"deny_purge\":true", "\"deny_purge\":false"),
            ("\"deny_delete\":true", "\"deny_delete\":false"),
            ("\"max_age\":259200000000000", "\"max_age\":3600000000000"),
        ] {
            let (faults, warnings) = changed(from, to);
            assert_eq!((faults.len(), warnings.len()), (0, 1), "{to}: {faults:?} {warnings:?}");
        }
        assert_eq!(changed("\"max_age\":259200000000000", "\"max_age\":0"), (vec![], vec![]), "for ever");
    }
}
