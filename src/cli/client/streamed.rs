//! An answer that is read while it comes, since it may be longer than memory. Blocks, as the client does.

use std::fmt;
use std::io::{self, Read};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http_body_util::{BodyExt as _, Full};
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::{ANSWER_WAIT, Answer, Call, Client, ClientError, collect, connect, send};

/// Longest pause within an answer.
const PAUSE: Duration = Duration::from_mins(1);

/// What came of a request.
#[derive(Debug)]
pub(crate) enum Streamed<'a> {
    /// `200`: what was asked for.
    Body(BodyReader<'a>),
    /// Any other status.
    Refused(Answer),
}

/// The body of an answer.
pub(crate) struct BodyReader<'a> {
    runtime: &'a Runtime,
    body: Incoming,
    /// What has come and is not read.
    rest: Bytes,
    /// The connection is closed with it.
    _sender: SendRequest<Full<Bytes>>,
}

impl Client {
    /// Sends a request on a connection of its own, and waits for the head of its answer. Blocks.
    pub(crate) fn stream(&mut self, call: &Call) -> Result<Streamed<'_>, ClientError> {
        let request = self.request(call)?;
        let Self { runtime, daemon, .. } = self;
        let authority = &daemon.authority;
        let begun = runtime.block_on(async {
            let mut sender = connect(daemon).await?;
            let response = timeout(ANSWER_WAIT, send(&mut sender, request, authority)).await;
            let late = |_elapsed| Err(ClientError::AnswerLate { address: authority.to_string() });
            let response = response.unwrap_or_else(late)?;
            if response.status() == StatusCode::OK {
                return Ok((Ok(response.into_body()), sender));
            }
            Ok::<_, ClientError>((Err(collect(response, authority).await?), sender))
        });
        Ok(match begun? {
            (Ok(body), sender) => {
                Streamed::Body(BodyReader { runtime, body, rest: Bytes::new(), _sender: sender })
            }
            (Err(answer), _) => Streamed::Refused(answer),
        })
    }
}

impl Read for BodyReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            let frame = self.runtime.block_on(async { timeout(PAUSE, self.body.frame()).await });
            match frame {
                Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "nothing more comes")),
                Ok(None) => return Ok(0),
                Ok(Some(Err(error))) => return Err(io::Error::other(error)),
                // Trailers say nothing that is of use here.
                Ok(Some(Ok(frame))) => self.rest = frame.into_data().unwrap_or_default(),
            }
        }
        let taken = self.rest.len().min(buffer.len());
        self.rest.copy_to_slice(buffer.get_mut(..taken).unwrap_or_default());
        Ok(taken)
    }
}

impl fmt::Debug for BodyReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyReader").field("rest", &self.rest.len()).finish_non_exhaustive()
    }
}
