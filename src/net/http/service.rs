//! One request to one response: route, method, access, handler, in this order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, StatusCode, Version};

use super::client_stream::Exchange;
use super::failure::Failure;
use super::response::{self, HttpResponse};
use super::routes::{self, Dialect, Endpoint, Route, RouteMatch};
use super::{
    HttpShared, Origins, access, backup, body, cors, health, influx, ingest, openapi, page, replica, reports,
    representation, stories, streams, undo,
};
use crate::limits::HTTP_HEADERS_MAX;
use crate::net::Services;
use crate::net::listener::ConnectionSlot;
use crate::net::metrics::Bound;
use crate::report::ReportName;
use crate::store::LogPosition;

/// Responds to the next request of an exchange.
pub(super) async fn respond(
    shared: &Arc<HttpShared>,
    request: Request<Incoming>,
    slot: &ConnectionSlot,
    exchange: &Arc<Exchange>,
) -> HttpResponse {
    let services = &shared.services;
    // What is read for the answer is no older than this.
    let before = position(services);
    let framed = exchange.begin();
    let (head, mut body) = request.into_parts();
    let is_framed = framed.is_ok();
    let path = routes::decoded(head.uri.path());
    let found = routes::find(&head.method, &path);
    let dialect = match &found {
        RouteMatch::Route(route, _) | RouteMatch::OtherMethods(route, _) => route.dialect,
        RouteMatch::NoRoute => Dialect::Own,
    };
    let is_open = services.auth.is_open() && slot.peer().is_some();
    let checked = framed.and_then(|()| check_head(&head)).and_then(|()| match &found {
        RouteMatch::Route(route, _) if route.answers_any_host() => Ok(()),
        RouteMatch::Route(route, _) if is_open && route.is_write() => {
            check_host(&head).and_then(|()| check_page(&services.origins, &head))
        }
        _ if is_open => check_host(&head),
        _ => Ok(()),
    });
    let is_write = matches!(&found, RouteMatch::Route(route, _) if route.is_write());
    let outcome = match (checked, found) {
        (Err(failure), _) => Err(failure),
        (Ok(()), RouteMatch::Route(route, _)) if slot.is_reserved() && route.is_write() => {
            Err(Failure::overloaded(Bound::ReservedConnections))
        }
        (Ok(()), RouteMatch::Route(route, _)) if slot.is_reserved() && route.is_stream() => {
            Err(Failure::overloaded(Bound::Streams))
        }
        (Ok(()), RouteMatch::Route(route, segment)) => {
            handle(shared, (route, segment), (slot.peer(), exchange), &head, &mut body).await
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
    page::bind(&mut response);
    let position = if is_write { position(services) } else { before };
    if let Some(Ok(value)) = position.map(|position| HeaderValue::try_from(replica::text(position))) {
        response.headers_mut().insert(response::POSITION, value);
    }
    services.origins.mark(&head.headers, &mut response);
    services.metrics.http_answered(response.status().as_u16());
    response
}

/// How far the log was read, where there is one.
fn position(services: &Services) -> Option<LogPosition> {
    services.log.as_ref()?.view.position()
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

/// Without tokens the address alone says who may ask. A page of the web can make its own name stand for that address
/// and so ask for itself, so only what nobody can own is answered. A socket of the file system no page can reach.
fn check_host(head: &Parts) -> Result<(), Failure> {
    if host(head).is_none_or(is_nobodys_name) {
        return Ok(());
    }
    let message = "without access tokens only requests to `localhost` or to an IP address are answered; use one of those in \
                   the URL, or give tokens";
    Err(Failure::new(StatusCode::MISDIRECTED_REQUEST, message))
}

/// Browsers send what a page of any origin wants to `POST`, and only keep the answer from it. So where the address alone says
/// who may write, pages of other origins must be listed.
fn check_page(origins: &Origins, head: &Parts) -> Result<(), Failure> {
    if !origins.is_foreign(&head.headers, host(head)) {
        return Ok(());
    }
    let message = "without access tokens only pages of this address may write, and those of --cors-origin";
    Err(Failure::new(StatusCode::FORBIDDEN, message))
}

/// Whom the request is for, with a port or without.
fn host(head: &Parts) -> Option<&[u8]> {
    let named = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    named.or_else(|| head.headers.get(HOST).map(HeaderValue::as_bytes))
}

/// Whether it is `localhost` or an IP address, with a port or without.
fn is_nobodys_name(host: &[u8]) -> bool {
    let port = host.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let name = host.get(..host.len().saturating_sub(port)).and_then(|rest| rest.strip_suffix(b":"));
    let name = name.unwrap_or(host);
    if name.eq_ignore_ascii_case(b"localhost") {
        return true;
    }
    let Ok(name) = std::str::from_utf8(name) else { return false };
    let in_brackets = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    name.parse::<Ipv4Addr>().is_ok() || in_brackets.is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

async fn handle(
    shared: &Arc<HttpShared>,
    (route, segment): (&'static Route, &str),
    (peer, exchange): (Option<IpAddr>, &Arc<Exchange>),
    head: &Parts,
    body: &mut Incoming,
) -> Result<HttpResponse, Failure> {
    let services = &shared.services;
    let access = access::check(services, route, head, peer)?;
    let query = head.uri.query().unwrap_or_default();
    if let Some(log) = services.log.as_deref().filter(|_| route.is_about_counters()) {
        replica::check(services, log, head).await?;
    }
    // What is asked seldom is boxed, since every request makes room for the longest of these.
    let outcome = match route.endpoint {
        Endpoint::WriteEvents => ingest::write(shared, (route, access), head, body).await,
        Endpoint::Report => match ReportName::parse(segment) {
            Some(name) => reports::report(shared, &access, name, head).await,
            None => Err(Failure::not_found("there is no such report")),
        },
        Endpoint::StreamReport => match ReportName::parse(segment) {
            Some(name) => Box::pin(streams::stream(shared, (access, exchange), name, query)).await,
            None => Err(Failure::not_found("there is no such report")),
        },
        Endpoint::ListStories => Box::pin(stories::list(shared, &access, query)).await,
        Endpoint::ShowStory => stories::one(shared, &access, segment).await,
        Endpoint::PutStory => Box::pin(stories::put(shared, (route, segment), access, (head, body))).await,
        Endpoint::DeleteStory => Box::pin(stories::delete(shared, &access, segment)).await,
        Endpoint::UndoCounts => Box::pin(undo::undo(shared, &access, (segment, query))).await,
        Endpoint::Backup => Box::pin(backup::backup(shared, (route, access), (head, body))).await,
        Endpoint::ClusterSnapshot => Box::pin(backup::snapshot(shared, access, head)).await,
        Endpoint::Cluster => replica::cluster(services),
        Endpoint::Health => Ok(health::health(services)),
        Endpoint::Ready => Ok(health::ready(services)),
        Endpoint::Metrics => Ok(health::metrics(services)),
        Endpoint::Ping => Ok(influx::ping()),
        Endpoint::Statements => influx::statements(query),
        Endpoint::StatementsInBody => Box::pin(influx::statements_in_body(shared, route, head, body)).await,
        Endpoint::OpenApi => Ok(response::unstored(openapi::KIND, openapi::json())),
        Endpoint::ApiPage => Ok(page::document(openapi::html())),
        Endpoint::Root => Ok(page::root(&head.headers, routes::listing)),
        Endpoint::PageFile => match crate::page::file(segment) {
            Some(file) => Ok(page::file(file, &head.headers)),
            None => Err(Failure::not_found("there is no such file of the page")),
        },
    };
    if !route.has_tags() {
        return outcome;
    }
    Ok(representation::chosen(shared, &head.headers, outcome?).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_nobody_owns_are_localhost_and_addresses() {
        for host in [
            "localhost",
            "LocalHost:8780",
            "127.0.0.1",
            "127.0.0.1:8780",
            "192.0.2.1:80",
            "[::1]",
            "[::1]:8780",
            "[2001:db8::1]:8780",
            "localhost:",
        ] {
            assert!(is_nobodys_name(host.as_bytes()), "{host}");
        }
        for host in [
            "",
            ":8780",
            "evil.example",
            "evil.example:8780",
            "localhost.evil.example",
            "localhost.",
            "notlocalhost",
            "127.0.0.1.evil.example",
            "127.1",
            "2130706433",
            "0x7f000001",
            "::1",
            "[::1",
            "[localhost]",
            "localhost:evil",
            "localhost evil",
            "\u{e9}",
        ] {
            assert!(!is_nobodys_name(host.as_bytes()), "{host}");
        }
        assert!(!is_nobodys_name(b"\xff"));
    }
}
