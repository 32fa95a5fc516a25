//! A log in NATS `JetStream`: the only folder that knows its client. Connects to one server at a time, each in turn, and makes the
//! connection anew where it is lost; what the client would do by itself is not relied on.
//!
//! What was handed to the client in the moment in which a connection broke may be sent once more by it: a late copy, which
//! readers skip. Nothing is handed to it after that.

mod connect;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use async_nats::{Client, HeaderMap, Message, Request, StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, warn};

use self::connect::{check_server, connect};
use super::address::{LogAddress, LogName};
use super::api::{self, ApiError, ConsumerInfo, FetchedMessage, StreamInfo};
use super::link::{Connected, Link, LogError, Order, Report, StoredMessage};
use super::stream::StreamConfig;
use crate::cluster::follow::{LogState, Server};
use crate::cluster::position::LogSequence;
use crate::cluster::publish::{Ack, Sending};
use crate::limits::{
    LOG_ACK_MAX, LOG_AHEAD_BYTES_MAX, LOG_AHEAD_MESSAGES_MAX, LOG_ANSWER_MAX, LOG_CONNECT_PAUSE,
    LOG_OTHER_SERVER_TRIES_MAX, LOG_UNANSWERED_MAX,
};

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A connection to a log.
pub struct NatsLink {
    address: LogAddress,
    /// How many servers were tried.
    turn: usize,
    state: LinkState,
}

enum LinkState {
    Connecting(BoxFuture<Result<(Box<Session>, Connected), LogError>>),
    Up(Box<Session>),
}

impl NatsLink {
    /// A connection that is made when the next report is asked for.
    pub fn new(address: LogAddress) -> Self {
        let state = LinkState::Connecting(Box::pin(Session::open(address.clone(), 0)));
        Self { address, turn: 0, state }
    }

    /// Another server is tried, after a pause.
    fn connect_anew(&mut self) {
        self.turn = self.turn.wrapping_add(1);
        let (address, turn) = (self.address.clone(), self.turn);
        self.state = LinkState::Connecting(Box::pin(async move {
            sleep(LOG_CONNECT_PAUSE).await;
            Session::open(address, turn).await
        }));
    }
}

impl Link for NatsLink {
    fn order(&mut self, order: Order) {
        if let LinkState::Up(session) = &mut self.state {
            session.order(order);
        }
    }

    async fn next(&mut self) -> Report {
        match &mut self.state {
            LinkState::Connecting(opening) => match opening.await {
                Ok((session, connected)) => {
                    self.state = LinkState::Up(session);
                    Report::Connected(connected)
                }
                Err(error) => {
                    self.connect_anew();
                    Report::Away(error)
                }
            },
            LinkState::Up(session) => match session.next().await {
                Ok(report) => report,
                Err(error) => {
                    self.connect_anew();
                    Report::Disconnected(error)
                }
            },
        }
    }
}

impl fmt::Debug for NatsLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsLink").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Makes the log over the server of that turn: its stream, then its first message, in which it begins. Made in part, it is made whole by
/// the same again.
///
/// # Errors
/// [`LogError`]; `Refused` where there is another log of that name.
pub async fn create(
    (address, turn): (&LogAddress, usize),
    max_bytes: u64,
    genesis: &[u8],
) -> Result<Connected, LogError> {
    let (client, _lost, server) = connect(address, turn).await?;
    let mut connected = check_server(&client, &server)?;
    let name = &address.name;
    let exists = || LogError::Refused(format!("there is a log of the name {name} already"));
    let (subject, body) = api::create(name, &StreamConfig::new(name, max_bytes));
    let info: StreamInfo = match api::read(&ask(&client, subject, body).await?)? {
        Ok(info) => info,
        Err(error) if error.is_other_stream() => return Err(exists()),
        Err(error) => return Err(error.to_error(name)),
    };
    connected.warnings.extend(info.config.check(name)?);
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Expected-Last-Sequence", "0");
    let request = Request::new().payload(Bytes::copy_from_slice(genesis)).headers(headers);
    let request = request.timeout(Some(LOG_ANSWER_MAX));
    match api::ack(&send(&client, name.subject(), request).await.map_err(LogError::Silent)?) {
        (Ack::Stored(_) | Ack::Duplicate(_), _) => Ok(connected),
        // It may be what was sent before, and not answered.
        (_, Some(error)) if error.is_wrong_end() => match fetch(&client, name, LogSequence::FIRST).await? {
            Some((Some(stored), _)) if *stored.bytes == *genesis => Ok(connected),
            Some(_) => Err(exists()),
            None => Err(LogError::Silent("its leader changes".to_owned())),
        },
        (_, Some(error)) => Err(error.to_error(name)),
        (_, None) => Err(LogError::Silent("it does not acknowledge".to_owned())),
    }
}

/// One connection, as long as it lasts.
struct Session {
    client: Client,
    name: LogName,
    server: String,
    lost: watch::Receiver<bool>,
    answers: FuturesUnordered<BoxFuture<Answered>>,
    consumer: Option<Consumer>,
    /// Counts the consumers that were asked for, so that one that was replaced before it was made is not taken.
    consumers: u64,
    /// The server that has the last one.
    consumer_server: Option<String>,
    /// When the log answered last.
    heard: Instant,
}

/// What a question has come to.
enum Answered {
    Report(Report),
    Consumer(u64, Consumer, Option<String>),
    /// The log's servers do not answer.
    Silent(String),
    /// Whoever asked asks again.
    Nothing,
}

/// A consumer, and the messages that it may still send.
struct Consumer {
    subscriber: Subscriber,
    inbox: String,
    pull_subject: String,
    outstanding: usize,
}

impl Session {
    async fn open(address: LogAddress, turn: usize) -> Result<(Box<Self>, Connected), LogError> {
        let (client, lost, server) = connect(&address, turn).await?;
        let mut connected = check_server(&client, &server)?;
        let info = stream_info(&client, &address.name).await?;
        connected.warnings.extend(info.config.check(&address.name)?);
        if let Some(bytes_max) = info.config.message_bytes_max() {
            connected.message_bytes_max = connected.message_bytes_max.min(bytes_max);
        }
        let session = Self {
            client,
            name: address.name,
            server,
            lost,
            answers: FuturesUnordered::new(),
            consumer: None,
            consumers: 0,
            consumer_server: None,
            heard: Instant::now(),
        };
        Ok((Box::new(session), connected))
    }

    fn order(&mut self, order: Order) {
        let (client, name) = (self.client.clone(), self.name.clone());
        match order {
            Order::Consume(start, server) => {
                self.consumers = self.consumers.wrapping_add(1);
                let number = self.consumers;
                if let Some(consumer) = self.consumer.take() {
                    debug!(inbox = consumer.inbox, "a consumer is replaced");
                }
                let avoided = self.consumer_server.take().filter(|_| server == Server::Another);
                self.answers.push(Box::pin(async move {
                    match consume(&client, &name, start, avoided.as_deref()).await {
                        Ok((consumer, leader)) => Answered::Consumer(number, consumer, leader),
                        Err(error) => unanswered(&error),
                    }
                }));
            }
            Order::State => {
                self.answers.push(Box::pin(look(client, name, |info| Report::State(info.state()))));
            }
            Order::Look(asked) => self.answers.push(Box::pin(look(client, name, move |info| {
                let led = info.unconfirmed().and_then(|since| asked.checked_sub(since));
                Report::Looked(led, info.state())
            }))),
            Order::Fetch(sequence) => self.answers.push(Box::pin(async move {
                match fetch(&client, &name, sequence).await {
                    Ok(Some((stored, state))) => Answered::Report(Report::Fetched(sequence, stored, state)),
                    Ok(None) => Answered::Nothing,
                    Err(error) => unanswered(&error),
                }
            })),
            Order::Send(sending) => self.answers.push(Box::pin(publish(client, name, sending))),
        }
    }

    /// What comes next.
    ///
    /// # Errors
    /// The connection is lost.
    async fn next(&mut self) -> Result<Report, LogError> {
        loop {
            if let Some(consumer) = &mut self.consumer {
                consumer.pull(&self.client).await;
            }
            let Self { lost, answers, consumer, .. } = self;
            tokio::select! {
                () = loss(lost) => return Err(LogError::Lost { server: self.server.clone() }),
                Some(answered) = answers.next(), if !answers.is_empty() => {
                    if let Some(report) = self.answered(answered)? {
                        return Ok(report);
                    }
                }
                message = delivery(consumer) => {
                    if let Some(report) = self.delivered(message) {
                        return Ok(report);
                    }
                }
            }
        }
    }

    fn answered(&mut self, answered: Answered) -> Result<Option<Report>, LogError> {
        match answered {
            Answered::Report(report @ Report::Acked(_, Ack::Failed)) => return Ok(Some(report)),
            Answered::Silent(why) if self.heard.elapsed() >= LOG_UNANSWERED_MAX => {
                return Err(LogError::Silent(why));
            }
            Answered::Silent(_) | Answered::Nothing => return Ok(None),
            Answered::Report(report) => {
                self.heard = Instant::now();
                return Ok(Some(report));
            }
            Answered::Consumer(number, consumer, leader) => {
                self.heard = Instant::now();
                if number == self.consumers {
                    (self.consumer, self.consumer_server) = (Some(consumer), leader);
                }
            }
        }
        Ok(None)
    }

    fn delivered(&mut self, message: Option<Message>) -> Option<Report> {
        let consumer = self.consumer.as_mut()?;
        let Some(message) = message else {
            self.consumer = None;
            return None;
        };
        self.heard = Instant::now();
        match message.status {
            None | Some(StatusCode::OK) => {
                consumer.outstanding = consumer.outstanding.saturating_sub(1);
                let place = message.reply.as_deref().and_then(api::delivered_at);
                let Some((sequence, stamp, last)) = place else {
                    warn!(
                        reply = message.reply.as_deref(),
                        "a message of the log without a place is not looked at"
                    );
                    return None;
                };
                Some(Report::Delivered(sequence, StoredMessage { stamp, bytes: message.payload }, last))
            }
            Some(StatusCode::IDLE_HEARTBEAT) => None,
            // The request has expired, or had its share of bytes.
            Some(StatusCode::TIMEOUT | StatusCode::NOT_FOUND | StatusCode::REQUEST_TERMINATED)
                if message.description.as_deref().is_none_or(|why| !why.contains("Consumer")) =>
            {
                let left = message.headers.as_ref().and_then(|headers| headers.get("Nats-Pending-Messages"));
                let left = left.and_then(|left| left.as_str().parse().ok()).unwrap_or(consumer.outstanding);
                consumer.outstanding = consumer.outstanding.saturating_sub(left);
                None
            }
            // A silence follows, in which another one is asked for.
            status => {
                debug!(?status, why = message.description.as_deref(), "the consumer has ended");
                self.consumer = None;
                None
            }
        }
    }
}

impl Consumer {
    /// Asks for more where less than half is left. Counted once it was handed over, so that this may be dropped.
    async fn pull(&mut self, client: &Client) {
        if self.outstanding > LOG_AHEAD_MESSAGES_MAX / 2 {
            return;
        }
        let more = LOG_AHEAD_MESSAGES_MAX.saturating_sub(self.outstanding);
        // One such request is being answered while the next one stands.
        let body = api::pull(more, LOG_AHEAD_BYTES_MAX / 2).into();
        match client.publish_with_reply(self.pull_subject.clone(), self.inbox.clone(), body).await {
            Ok(()) => self.outstanding = self.outstanding.saturating_add(more),
            Err(error) => debug!(%error, "messages cannot be asked for"),
        }
    }
}

async fn loss(lost: &mut watch::Receiver<bool>) {
    // An error says that the client has ended.
    if lost.wait_for(|is_lost| *is_lost).await.is_err() {}
}

/// Waits for ever where there is no consumer.
async fn delivery(consumer: &mut Option<Consumer>) -> Option<Message> {
    match consumer {
        Some(consumer) => consumer.subscriber.next().await,
        None => std::future::pending().await,
    }
}

/// Sends a request. The client's own words for what fails are all that there is.
async fn send(client: &Client, subject: String, request: Request) -> Result<Bytes, String> {
    let answer = client.send_request(subject, request).await.map_err(|error| error.to_string())?;
    Ok(answer.payload)
}

async fn ask(client: &Client, subject: String, body: Vec<u8>) -> Result<Bytes, LogError> {
    let request = Request::new().payload(body.into()).timeout(Some(LOG_ANSWER_MAX));
    send(client, subject, request).await.map_err(LogError::Silent)
}

async fn stream_info(client: &Client, name: &LogName) -> Result<StreamInfo, LogError> {
    let answer = ask(client, api::info_subject(name), Vec::new()).await?;
    let info: StreamInfo = api::read(&answer)?.map_err(|error: ApiError| error.to_error(name))?;
    if info.is_leaderless() { Err(LogError::Silent("it has no leader".to_owned())) } else { Ok(info) }
}

async fn look(client: Client, name: LogName, report: impl FnOnce(&StreamInfo) -> Report) -> Answered {
    let info = stream_info(&client, &name).await;
    info.map_or_else(|error| unanswered(&error), |info| Answered::Report(report(&info)))
}

fn unanswered(error: &LogError) -> Answered {
    debug!(%error, "a question to the log is not answered");
    Answered::Silent(error.to_string())
}

/// The message at a place; `None` where the leader has changed meanwhile, so that nobody can be told to have said it.
async fn fetch(
    client: &Client,
    name: &LogName,
    sequence: LogSequence,
) -> Result<Option<(Option<StoredMessage>, LogState)>, LogError> {
    let before = stream_info(client, name).await?;
    let (subject, body) = api::fetch(name, sequence);
    let stored = match api::read::<FetchedMessage>(&ask(client, subject, body).await?)? {
        Ok(message) => Some(message.into_stored()?),
        Err(error) if error.is_no_message() => None,
        Err(error) => return Err(error.to_error(name)),
    };
    let after = stream_info(client, name).await?;
    if before.leader() != after.leader() {
        return Ok(None);
    }
    // The state before: a message that came behind it is not gone.
    Ok(Some((stored, before.state())))
}

/// Makes a consumer, from another server than that where it can be had.
async fn consume(
    client: &Client,
    name: &LogName,
    start: LogSequence,
    avoided: Option<&str>,
) -> Result<(Consumer, Option<String>), LogError> {
    let inbox = client.new_inbox();
    let subscriber =
        client.subscribe(inbox.clone()).await.map_err(|error| LogError::Refused(error.to_string()))?;
    let mut tries: u32 = 1;
    let info = loop {
        let (subject, body) = api::consumer(name, start);
        let info: ConsumerInfo =
            api::read(&ask(client, subject, body).await?)?.map_err(|error: ApiError| error.to_error(name))?;
        if avoided.is_none() || info.leader() != avoided || tries >= LOG_OTHER_SERVER_TRIES_MAX {
            break info;
        }
        tries = tries.saturating_add(1);
        ask(client, api::no_consumer(name, &info.name), Vec::new()).await?;
    };
    let leader = info.leader().map(str::to_owned);
    let pull_subject = api::pull_subject(name, &info.name);
    Ok((Consumer { subscriber, inbox, pull_subject, outstanding: 0 }, leader))
}

/// Sends a message, without an id of its own: the log must not swallow a copy.
async fn publish(client: Client, name: LogName, sending: Sending) -> Answered {
    let request = Request::new().payload(Bytes::from_owner(Arc::clone(&sending.bytes))).timeout(None);
    let answer = timeout(LOG_ACK_MAX, client.send_request(name.subject(), request)).await;
    let (ack, refusal) = match answer {
        Ok(Ok(answer)) => api::ack(&answer.payload),
        Ok(Err(error)) if error.kind() == async_nats::RequestErrorKind::MaxPayloadExceeded => {
            (Ack::Refused, None)
        }
        // Nobody listens there: there is no leader.
        Ok(Err(_)) => (Ack::Failed, None),
        Err(_late) => return Answered::Nothing,
    };
    if let Some(refusal) = refusal {
        debug!(?refusal, "the log does not take a message");
    }
    Answered::Report(Report::Acked(sending, ack))
}
