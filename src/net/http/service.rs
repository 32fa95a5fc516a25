//! One request to one response: route, method, access, handler, in this order.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::http::request::Parts;
use hyper::{Request, StatusCode, Version};

use super::failure::Failure;
use super::response::{self, HttpResponse};
use super::routes::{self, Dialect, Endpoint, Route, RouteMatch};
use super::{HttpShared, access, body, cors, health, influx, ingest, reports, stories};
use crate::limits::HTTP_HEADERS_MAX;
use crate::net::listener::ConnectionSlot;
use crate::net::metrics::Bound;
use crate::report::ReportName;

/// Responds to any request. `framed` is an error where its framing is in doubt.
pub(super) async fn respond(
    shared: &Arc<HttpShared>,
    request: Request<Incoming>,
    slot: &ConnectionSlot,
    framed: Result<(), Failure>,
) -> HttpResponse {
    let services = &shared.services;
    let (head, mut body) = request.into_parts();
    let is_framed = framed.is_ok();
    let found = routes::find(&head.method, head.uri.path());
    let dialect = match &found {
        RouteMatch::Route(route, _) | RouteMatch::OtherMethods(route, _) => route.dialect,
        RouteMatch::NoRoute => Dialect::Own,
    };
    let outcome = match (framed.and_then(|()| check_head(&head)), found) {
        (Err(failure), _) => Err(failure),
        (Ok(()), RouteMatch::Route(route, _)) if slot.is_reserved() && route.is_write() => {
            Err(Failure::overloaded(Bound::ReservedConnections))
        }
        (Ok(()), RouteMatch::Route(route, segment)) => {
            handle(shared, (route, segment), slot.peer(), &head, &mut body).await
        }
        (Ok(()), RouteMatch::OtherMethods(_, methods)) if services.origins.is_preflight(&head) => {
            Ok(cors::preflight(&methods))
        }
        (Ok(()), RouteMatch::OtherMethods(_, methods)) => Err(Failure::method_not_allowed(methods)),
        (Ok(()), RouteMatch::NoRoute) => {
            Err(Failure::not_found("there is nothing at this path; GET / lists what there is"))
        }
    };
    let mut response = match outcome {
        Ok(response) => response,
        Err(failure) => {
            // The body came too slowly or broke off, so the rest of it is not awaited.
            if !is_framed || !failure.closes {
                body::discard(&head, &mut body).await;
            }
            if let Some(bound) = failure.bound {
                services.metrics.overloaded(bound);
            }
            failure.to_response(dialect, &services.clock)
        }
    };
    services.origins.mark(&head.headers, &mut response);
    services.metrics.http_answered(response.status().as_u16());
    response
}

/// What RFC 9112 wants of a head, and hyper does not check.
fn check_head(head: &Parts) -> Result<(), Failure> {
    if head.headers.len() > HTTP_HEADERS_MAX {
        let message = format!("a request may have {HTTP_HEADERS_MAX} headers");
        return Err(Failure::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, message).and_close());
    }
    let hosts = head.headers.get_all(HOST).iter().take(2).count();
    if hosts > 1 || (hosts == 0 && head.version == Version::HTTP_11) {
        return Err(Failure::bad_request("a request has one `Host` header").and_close());
    }
    Ok(())
}

async fn handle(
    shared: &Arc<HttpShared>,
    (route, segment): (&'static Route, &str),
    peer: Option<IpAddr>,
    head: &Parts,
    body: &mut Incoming,
) -> Result<HttpResponse, Failure> {
    let services = &shared.services;
    let access = access::check(services, route, head, peer)?;
    let query = head.uri.query().unwrap_or_default();
    match route.endpoint {
        Endpoint::WriteEvents => ingest::write(shared, (route, access), head, body).await,
        Endpoint::Report => match ReportName::parse(segment) {
            Some(name) => reports::report(shared, &access, name, query).await,
            None => Err(Failure::not_found("there is no such report")),
        },
        Endpoint::ListStories => stories::list(shared, &access, query).await,
        Endpoint::ShowStory => stories::one(shared, &access, segment).await,
        Endpoint::PutStory => stories::put(shared, (route, segment), access, (head, body)).await,
        Endpoint::DeleteStory => stories::delete(shared, &access, segment).await,
        Endpoint::Health => Ok(health::health(services)),
        Endpoint::Ready => Ok(health::ready(services)),
        Endpoint::Metrics => Ok(health::metrics(services)),
        Endpoint::Ping => Ok(influx::ping()),
        Endpoint::Statements => influx::statements(query),
        Endpoint::StatementsInBody => influx::statements_in_body(shared, route, head, body).await,
        Endpoint::Listing => Ok(response::content("text/plain; charset=utf-8", routes::listing())),
    }
}
