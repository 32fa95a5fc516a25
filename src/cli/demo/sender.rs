//! The connection of the simulated platform to the line port: sends the history, then live events. Knows nothing of
//! their content. Blocks, on a thread of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::platform::Platform;
use crate::limits::wide;
use crate::model::calendar::Hour;
use crate::platform::clock::Clock;

/// Time between two sets of live events.
const TICK: Duration = Duration::from_millis(250);
/// Bytes of history that are written at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// The size of the history and the time that it took.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct History {
    /// Lines that were sent and acknowledged.
    pub(crate) lines: u64,
    pub(crate) took: Duration,
}

/// The platform and its connection.
#[derive(Debug)]
pub(crate) struct EventSender {
    stream: TcpStream,
    answers: BufReader<TcpStream>,
    platform: Platform,
    clock: Clock,
}

impl EventSender {
    pub(crate) fn connect(address: SocketAddr, seed: u64, clock: Clock) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("no connection to {address}"))?;
        stream.set_nodelay(true)?;
        let answers = BufReader::new(stream.try_clone()?);
        Ok(Self { stream, answers, platform: Platform::new(seed), clock })
    }

    /// Sends the names and every whole hour of the days before now, and waits until it counts. Blocks.
    pub(crate) fn send_history(&mut self, days: u32) -> anyhow::Result<History> {
        let start = self.clock.monotonic();
        let mut text = Vec::with_capacity(CHUNK_BYTES * 2);
        Platform::introduce(&mut text);
        let mut lines = 0_u64;
        let now = Hour::containing(self.clock.unix_seconds()).context("the clock stands before 1970")?.get();
        for hour in now.saturating_sub(days.saturating_mul(24))..now {
            self.platform.past_hour(Hour::new(hour), &mut text);
            if text.len() > CHUNK_BYTES {
                lines = lines.saturating_add(self.send_batch(&format!("demo-until-{hour}"), &text)?);
                text.clear();
            }
        }
        lines = lines.saturating_add(self.send_batch(&format!("demo-until-{now}"), &text)?);
        Ok(History { lines, took: self.clock.monotonic().saturating_sub(start) })
    }

    /// Sends lines as one batch, waits until it counts, and gives their number.
    fn send_batch(&mut self, key: &str, text: &[u8]) -> anyhow::Result<u64> {
        let lines = wide(memchr::memchr_iter(b'\n', text).count());
        self.stream.write_all(format!("!batch {key}\n").as_bytes())?;
        self.stream.write_all(text)?;
        self.stream.write_all(b"!end\n")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        if answer.trim_end() != format!("OK {lines} 0") {
            bail!("the daemon answered {answer:?} to {lines} lines");
        }
        Ok(lines)
    }

    /// Sends live events until the daemon closes the connection. Blocks.
    pub(crate) fn send_live(&mut self) -> anyhow::Result<()> {
        let mut text = Vec::new();
        let mut last = self.clock.monotonic();
        loop {
            std::thread::sleep(TICK);
            let now = self.clock.monotonic();
            let elapsed_ms = u64::try_from(now.saturating_sub(last).as_millis()).unwrap_or(u64::MAX);
            last = now;
            text.clear();
            self.platform.live(self.clock.unix_nanos(), elapsed_ms, &mut text);
            // An empty line counts nothing, and shows whether the daemon is still there.
            text.push(b'\n');
            if self.stream.write_all(&text).is_err() {
                return Ok(());
            }
        }
    }
}
