//! How a log begins: its first message, which names the state that it begins with.

use tokio::time::{Instant, sleep};

use super::address::LogAddress;
use super::link::{Connected, LogError};
use super::nats;
use crate::cluster::marks::Marks;
use crate::cluster::message::{Body, Genesis, Message};
use crate::cluster::position::{LogId, MessageNumber, Position, WriterId};
use crate::limits::{LOG_CONNECT_PAUSE, LOG_MAKE_MAX, WRITERS_MAX};
use crate::store::LogBeginning;

/// A log that was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Made {
    /// Its id.
    pub log: LogId,
    /// What is known of it.
    pub connected: Connected,
}

/// Makes a log that begins with that state, of no counters by default. Servers that have just started, and do not answer yet, are asked again, each in turn.
///
/// # Errors
/// [`LogError`]; [`LogError::Refused`] where there is one already.
pub async fn make(address: &LogAddress, max_bytes: u64, beginning: LogBeginning) -> Result<Made, LogError> {
    let log = LogId::new(random()?);
    let writer = WriterId::new(random()?);
    let LogBeginning { digest, origin } = beginning;
    let genesis = Genesis { digest, marks: Marks::new(WRITERS_MAX).hash(), origin };
    let (number, base, body) = (MessageNumber::NONE, Position::default(), Body::Genesis(genesis));
    let bytes = Message { log, writer, number, base, body }.encode();
    let begun = Instant::now();
    let mut turn = 0;
    loop {
        match nats::create((address, turn), max_bytes, &bytes).await {
            Ok(connected) => return Ok(Made { log, connected }),
            Err(LogError::Silent(_) | LogError::Unreachable { .. }) if begun.elapsed() < LOG_MAKE_MAX => {}
            Err(error) => return Err(error),
        }
        turn = turn.wrapping_add(1);
        sleep(LOG_CONNECT_PAUSE).await;
    }
}

fn random() -> Result<u64, LogError> {
    getrandom::u64()
        .map_err(|error| LogError::Refused(format!("this machine gives no random numbers: {error}")))
}
