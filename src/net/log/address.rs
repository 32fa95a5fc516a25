//! Where a log is: its servers, its name, who we are to them. Pure text; which client makes the connection is not known here.

use std::fmt;

use super::credentials::CredentialsFile;
use crate::limits::{LOG_NAME_BYTES_MAX, LOG_SERVERS_MAX};

/// A log and the way to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogAddress {
    /// Its servers, at least one.
    pub servers: Servers,
    /// Its name.
    pub name: LogName,
    /// Who we are; `None` where the servers do not ask.
    pub credentials: Option<CredentialsFile>,
}

/// Servers of a log, at least one: `nats://` or `tls://`, a host, and a port where it is not 4222.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Servers(Vec<String>);

impl Servers {
    /// The servers that the text names, separated by commas; `None` where one is none.
    pub fn parse(text: &str) -> Option<Self> {
        let servers: Vec<String> = text.split(',').map(|server| server.trim().to_owned()).collect();
        let are_servers = servers.iter().all(|server| is_server(server));
        (are_servers && servers.len() <= LOG_SERVERS_MAX).then_some(Self(servers))
    }

    /// The server of that turn: all of them in turn, again and again.
    pub fn at(&self, turn: usize) -> &str {
        let place = turn.checked_rem(self.0.len()).unwrap_or_default();
        self.0.get(place).map_or("", String::as_str)
    }
}

/// A secret in the address would be shown by every list of processes.
fn is_server(text: &str) -> bool {
    let host = text.strip_prefix("nats://").or_else(|| text.strip_prefix("tls://"));
    host.is_some_and(|host| {
        !host.is_empty()
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']'))
    })
}

/// The name of a log, which is that of its stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogName(String);

impl LogName {
    /// The name; `None` where it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let is_name = (1..=LOG_NAME_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        is_name.then(|| Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The subject of its messages.
    pub fn subject(&self) -> String {
        format!("{}.0", self.0)
    }
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_urls_without_secrets() {
        let servers = Servers::parse("nats://a:4222, tls://b.example,nats://[::1]:4222").unwrap();
        assert_eq!(
            [0, 1, 2, 3].map(|turn| servers.at(turn)),
            ["nats://a:4222", "tls://b.example", "nats://[::1]:4222", "nats://a:4222"]
        );
        for text in [
            "",
            "a:4222",
            "nats://",
            "http://a",
            "nats://a,",
            "nats://user:secret@a",
            "nats://a/b",
            "nats://a b",
        ] {
            assert_eq!(Servers::parse(text), None, "{text}");
        }
        assert_eq!(Servers::parse(&vec!["nats://a"; LOG_SERVERS_MAX + 1].join(",")), None);
    }

    #[test]
    fn names_have_no_dots_since_subjects_are_made_of_them() {
        assert_eq!(LogName::parse("tally-d_2").unwrap().subject(), "tally-d_2.0");
        for text in ["", "a.b", "a*", "a b", "ä", &"x".repeat(LOG_NAME_BYTES_MAX + 1)] {
            assert_eq!(LogName::parse(text), None, "{text}");
        }
    }
}
