//! The commands of the line port: lines that begin with `!`. Pure; knows nothing of connections.

use crate::intake::wire::Precision;
use crate::limits::KEY_BYTES_MAX;

/// A command, understood.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Command<'a> {
    /// Presents a token.
    Auth(&'a str),
    /// Says what the timestamps that follow are counted in.
    Precision(Precision),
    /// Asks for an answer once everything before it is acknowledged.
    Sync,
    /// Begins a batch with an idempotency key.
    Batch(&'a str),
    /// Ends it.
    End,
}

/// Why a line with `!` is not a command; the text is for the client and never repeats a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error("unknown command; there are !auth TOKEN, !precision ns|us|ms|s, !sync, !batch KEY, !end")]
    Unknown,
    /// `!auth` with no token, or with more than one word.
    #[error("!auth takes one token")]
    Auth,
    /// `!precision` with something else than a unit.
    #[error("!precision takes one of ns, us, ms, s")]
    Precision,
    /// `!batch` with no key, or with more than one word, or with one that `Idempotency-Key` would not take either.
    #[error(
        "!batch takes one key of 1 to {KEY_BYTES_MAX} characters of visible ASCII; nothing after this is counted"
    )]
    Batch,
    /// `!end` with something behind it.
    #[error("!end takes nothing")]
    End,
    /// `!sync` with something behind it.
    #[error("!sync takes nothing")]
    Sync,
}

impl<'a> Command<'a> {
    /// The command that a line spells; `text` is the line without its `!`.
    pub(super) fn parse(text: &'a str) -> Result<Self, CommandError> {
        let mut words = text.split_ascii_whitespace();
        let name = if text.starts_with(|c: char| c.is_ascii_whitespace()) { None } else { words.next() };
        let argument = words.next();
        let only = words.next().is_none();
        match name {
            Some("auth") => match argument {
                Some(token) if only => Ok(Self::Auth(token)),
                _ => Err(CommandError::Auth),
            },
            Some("precision") => match argument {
                Some("ns") if only => Ok(Self::Precision(Precision::Nanoseconds)),
                Some("us") if only => Ok(Self::Precision(Precision::Microseconds)),
                Some("ms") if only => Ok(Self::Precision(Precision::Milliseconds)),
                Some("s") if only => Ok(Self::Precision(Precision::Seconds)),
                _ => Err(CommandError::Precision),
            },
            Some("sync") => {
                if argument.is_none() {
                    Ok(Self::Sync)
                } else {
                    Err(CommandError::Sync)
                }
            }
            Some("batch") => match argument {
                Some(key)
                    if only
                        && key.len() <= KEY_BYTES_MAX
                        && key.bytes().all(|byte| byte.is_ascii_graphic()) =>
                {
                    Ok(Self::Batch(key))
                }
                _ => Err(CommandError::Batch),
            },
            Some("end") if argument.is_none() => Ok(Self::End),
            Some("end") => Err(CommandError::End),
            _ => Err(CommandError::Unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<Command<'_>, CommandError>) {
        assert!(Command::parse(text) == expected, "{text:?}");
    }

    #[test]
    fn commands_are_understood() {
        check("sync", Ok(Command::Sync));
        check("sync  ", Ok(Command::Sync));
        check("auth tally_abc", Ok(Command::Auth("tally_abc")));
        check("auth \t tally_abc ", Ok(Command::Auth("tally_abc")));
        check("precision ns", Ok(Command::Precision(Precision::Nanoseconds)));
        check("precision us", Ok(Command::Precision(Precision::Microseconds)));
        check("precision ms", Ok(Command::Precision(Precision::Milliseconds)));
        check("precision s", Ok(Command::Precision(Precision::Seconds)));
        check("batch some-key", Ok(Command::Batch("some-key")));
        check("end", Ok(Command::End));
    }

    #[test]
    fn anything_else_is_refused_with_what_would_be_right() {
        check("", Err(CommandError::Unknown));
        check(" sync", Err(CommandError::Unknown));
        check("SYNC", Err(CommandError::Unknown));
        check("syncs", Err(CommandError::Unknown));
        check("sync now", Err(CommandError::Sync));
        check("batch", Err(CommandError::Batch));
        check("batch two words", Err(CommandError::Batch));
        // What was not UTF-8 comes as U+FFFD, and so two keys would be one.
        check("batch k\u{fffd}", Err(CommandError::Batch));
        check("batch k\u{1}", Err(CommandError::Batch));
        check(
            &format!("batch {}", "k".repeat(KEY_BYTES_MAX)),
            Ok(Command::Batch(&"k".repeat(KEY_BYTES_MAX))),
        );
        check(&format!("batch {}", "k".repeat(KEY_BYTES_MAX + 1)), Err(CommandError::Batch));
        check("end now", Err(CommandError::End));
        check("auth", Err(CommandError::Auth));
        check("auth a b", Err(CommandError::Auth));
        check("precision", Err(CommandError::Precision));
        check("precision m", Err(CommandError::Precision));
        check("precision s s", Err(CommandError::Precision));
    }
}
