//! The report of one stream: it is made anew when it may have changed, and what has changed is told. Knows nothing of how the
//! events are sent.
//!
//! INVARIANT: what follows an event is made only once the client has read all before it.
//! INVARIANT: a stream ends where its token does.

use std::sync::Arc;

use bytes::Bytes;

use super::event::{self, EndReason};
use super::pace::{Basis, Due, Pace};
use super::{Asked, Slot, patch};
use crate::limits::STREAM_POINTS_MAX;
use crate::model::calendar::{UnixSeconds, Zone};
use crate::net::auth::Renewal;
use crate::net::http::access::Access;
use crate::net::http::client_stream::Exchange;
use crate::net::http::event_stream::{Following, NextEvent};
use crate::net::http::failure::{Detail, Failure};
use crate::net::http::response_body::held;
use crate::net::http::{HttpShared, reports, workers};
use crate::net::metrics::{Bound, StreamEvent};
use crate::report::{self, Query, ReportFormat, Weight};

/// What becomes of a stream next.
#[derive(Debug)]
enum Step {
    /// The parts of an event or a comment; more follow.
    Event(Vec<Bytes>),
    /// What it ends with; nothing where it breaks off.
    Last(Option<Bytes>),
}

/// See the top of the file.
#[derive(Debug)]
pub(super) struct LiveReport {
    shared: Arc<HttpShared>,
    exchange: Arc<Exchange>,
    access: Access,
    asked: Asked,
    /// Of the report's hours and days.
    zone: Zone,
    pace: Pace,
    /// The report as the client was told it last.
    state: Bytes,
    /// What the client was told last of hours that were dropped.
    dropped_before: Option<UnixSeconds>,
    _slot: Slot,
}

impl LiveReport {
    pub(super) fn new(
        shared: &Arc<HttpShared>,
        (access, exchange): (Access, &Arc<Exchange>),
        asked: Asked,
        slot: Slot,
    ) -> Self {
        let pace = Pace::new(shared.services.clock.monotonic(), asked.lasts);
        let (shared, exchange) = (Arc::clone(shared), Arc::clone(exchange));
        let (zone, state) = (Zone::UTC, Bytes::new());
        Self { shared, exchange, access, asked, zone, pace, state, dropped_before: None, _slot: slot }
    }

    /// What a stream begins with: the whole report.
    ///
    /// # Errors
    /// What is wrong with the query; 503 where the report cannot be made or held now.
    pub(super) async fn begin(&mut self) -> Result<Vec<Bytes>, Failure> {
        let query = self.query().map_err(Failure::faults)?;
        self.zone = query.zone().clone();
        let mut parts = vec![event::retry()];
        parts.extend(self.make(query, self.basis()).await?);
        Ok(parts)
    }

    /// Waits for the next event, and for what ends the stream.
    pub(super) fn next(mut self: Box<Self>) -> NextEvent {
        Box::pin(async move {
            loop {
                tokio::time::sleep(self.shared.limits.stream_tick).await;
                match self.step().await {
                    None => {}
                    Some(Step::Event(parts)) => return Following { parts, next: Some(self.next()) },
                    Some(Step::Last(part)) => {
                        return Following { parts: part.into_iter().collect(), next: None };
                    }
                }
            }
        })
    }

    /// Does what is due; `None` where nothing is.
    async fn step(&mut self) -> Option<Step> {
        if self.exchange.is_last() {
            return Some(self.end(EndReason::Stopping));
        }
        if !matches!(self.access.renew(&self.shared.services.auth), Ok(Renewal::Same)) {
            return Some(self.end(EndReason::Token));
        }
        let (now, basis) = (self.shared.services.clock.monotonic(), self.basis());
        let due = self.pace.due(now, basis);
        if due == Due::End {
            return Some(self.end(EndReason::Duration));
        }
        if due == Due::Nothing || self.exchange.is_unread() {
            return None;
        }
        if due == Due::Comment {
            self.pace.wrote(now);
            return Some(Step::Event(vec![event::comment(self.shared.services.clock.unix_ms())]));
        }
        // With time the range can come to have too many points; asked again, the client is told so.
        let Ok(query) = self.query() else { return Some(Step::Last(None)) };
        match self.make(query, basis).await {
            Ok(parts) => (!parts.is_empty()).then_some(Step::Event(parts)),
            Err(failure) => {
                tracing::debug!(%failure, "a stream's report is made later");
                if let Some(bound) = failure.bound {
                    self.shared.services.metrics.overloaded(bound);
                }
                self.pace.put_off(now);
                None
            }
        }
    }

    fn end(&self, reason: EndReason) -> Step {
        self.shared.services.metrics.stream_event(StreamEvent::End);
        Step::Last(Some(event::end(reason)))
    }

    /// The query as of now: `today` is another day tomorrow.
    fn query(&self) -> Result<Query, Vec<Detail>> {
        let services = &self.shared.services;
        let query = reports::checked(services, &self.access, (self.asked.name, &self.asked.pairs()))?;
        query.check_points(&services.catalogue, STREAM_POINTS_MAX).map_err(|error| vec![error.into()])?;
        Ok(query)
    }

    fn basis(&self) -> Basis {
        let services = &self.shared.services;
        let now = UnixSeconds::new(services.clock.unix_seconds());
        Basis { sequence: services.store_status.last_sequence(), hour: self.zone.hour_start(now) }
    }

    /// Makes the report and what tells it, nothing where it is as before; takes it over as the client's state.
    async fn make(&mut self, query: Query, basis: Basis) -> Result<Vec<Bytes>, Failure> {
        let clock = self.shared.services.clock.clone();
        let started = clock.monotonic();
        let (after, dropped_before) = self.roll_up(query).await?;
        let mut parts = self.tell(after)?;
        // A series says it itself, a list has no place for it.
        if dropped_before != self.dropped_before && !self.asked.name.is_series() {
            let told = dropped_before.map(|first_kept| event::dropped(&reports::instant(first_kept)));
            parts.splice(0..0, told);
            self.shared.services.metrics.stream_event(StreamEvent::Dropped);
        }
        self.dropped_before = dropped_before;
        let now = clock.monotonic();
        self.pace.made(basis, now, now.saturating_sub(started));
        if !parts.is_empty() {
            self.pace.wrote(now);
        }
        Ok(parts)
    }

    async fn roll_up(&self, query: Query) -> Result<(Vec<u8>, Option<UnixSeconds>), Failure> {
        let services = &self.shared.services;
        let weight = query.weight(&services.catalogue, &services.counters);
        let (catalogue, counters) = (Arc::clone(&services.catalogue), Arc::clone(&services.counters));
        let work = move || {
            let mut text = Vec::new();
            report::roll_up(&catalogue, &counters, &query).write(ReportFormat::Json, &mut text);
            text.shrink_to_fit();
            (text, query.dropped_before(&counters))
        };
        match weight {
            Weight::Light => Ok(work()),
            Weight::Heavy => workers::run_query(&self.shared, work).await,
        }
    }

    fn tell(&mut self, after: Vec<u8>) -> Result<Vec<Bytes>, Failure> {
        if after == self.state {
            return Ok(Vec::new());
        }
        let hold = |text| {
            held(text, &self.shared.stream_bytes).map_err(|_spent| Failure::overloaded(Bound::Streams))
        };
        let after = hold(after)?;
        let tag = self.shared.tag_key.tag(&after);
        let (event, data) = match patch::between(&self.state, &after) {
            Some(patch) => (StreamEvent::Change, hold(patch)?),
            None => (StreamEvent::Report, after.clone()),
        };
        self.state = after;
        self.shared.services.metrics.stream_event(event);
        Ok(event::state(event, tag, data).into())
    }
}
