//! One request to one answer: route, method, access, handler, in this order.

use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use hyper::http::request::Parts;

use super::answer::{self, Answer, Dialect, Failure};
use super::route::{Method, PAGE, Route};
use super::{Shared, access, body, health, influx, ingest, reports, stories};

/// Answers a request, whatever it is. `begun` is what there is against it before it is looked at.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    request: Request<Incoming>,
    begun: Result<(), Failure>,
) -> Answer {
    let context = &shared.context;
    let (head, mut body) = request.into_parts();
    let route = Route::of(head.uri.path());
    let is_refused_unseen = begun.is_err();
    let outcome = match (begun, route) {
        (Err(failure), _) => Err(failure),
        (Ok(()), Some(route)) => handle(shared, route, &head, &mut body).await,
        (Ok(()), None) => Err(Failure::not_found("there is nothing at this path; GET / lists what there is")),
    };
    let answer = match outcome {
        Ok(answer) => answer,
        Err(failure) => {
            // What is left of a body that came too slowly, or broke off, is not worth waiting for.
            if is_refused_unseen || !failure.closes() {
                body::discard(&head, &mut body).await;
            }
            failure.answer(route.map_or(Dialect::Own, Route::dialect), &context.clock)
        }
    };
    context.metrics.http_answered(answer.status().as_u16());
    answer
}

async fn handle(
    shared: &Arc<Shared>,
    route: Route<'_>,
    head: &Parts,
    body: &mut Incoming,
) -> Result<Answer, Failure> {
    let context = &shared.context;
    let method = Method::of(&head.method)
        .filter(|method| route.takes(*method))
        .ok_or_else(|| Failure::method_not_allowed(route.allow()))?;
    access::check(&context.auth, route, method, head)?;
    let query = head.uri.query().unwrap_or_default();
    match (route, method) {
        (Route::Write(dialect), _) => ingest::write(shared, dialect, head, body).await,
        (Route::Report(name), _) => reports::report(shared, name, query).await,
        (Route::Ping, _) => Ok(influx::ping()),
        (Route::InfluxQuery, Method::Post) => influx::query_in_body(shared, head, body).await,
        (Route::InfluxQuery, _) => influx::query(query),
        (Route::Health, _) => Ok(health::health(context)),
        (Route::Ready, _) => Ok(health::ready(context)),
        (Route::Metrics, _) => Ok(health::metrics(context)),
        (Route::Stories, _) => stories::list(shared, query).await,
        (Route::Story(id), Method::Put) => stories::put(shared, id, head, body).await,
        (Route::Story(id), Method::Delete) => stories::delete(context, id).await,
        (Route::Story(id), _) => stories::one(context, id),
        (Route::Root, _) => Ok(answer::content("text/plain; charset=utf-8", PAGE)),
    }
}
