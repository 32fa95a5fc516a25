//! What the `InfluxDB` clients ask beside writing: a probe, and statements about databases. tallyd has no databases, but
//! its responses let those clients go on.

use std::borrow::Cow;

use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::http::request::Parts;
use serde::Serialize;

use super::failure::Failure;
use super::response::{self, HttpResponse};
use super::routes::Route;
use super::{HttpShared, body};
use crate::limits::STATEMENTS_MAX;

/// A version that the clients of `InfluxDB` 1 take for one that they know.
const VERSION: HeaderValue = HeaderValue::from_static("1.8.10");
const BUILD: HeaderValue = HeaderValue::from_static("tallyd");
const VERSION_NAME: HeaderName = HeaderName::from_static("x-influxdb-version");
const BUILD_NAME: HeaderName = HeaderName::from_static("x-influxdb-build");
/// The one database that is shown. Writes to any other name are taken as well.
const DATABASE: &str = "tallyd";

/// `GET` or `HEAD /ping`: `204` exactly.
pub(super) fn ping() -> HttpResponse {
    branded(response::empty())
}

fn branded(mut response: HttpResponse) -> HttpResponse {
    response.headers_mut().insert(VERSION_NAME, VERSION);
    response.headers_mut().insert(BUILD_NAME, BUILD);
    response
}

#[derive(Serialize)]
struct Results {
    results: Vec<StatementResult>,
}

#[derive(Serialize)]
struct StatementResult {
    statement_id: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<[Series; 1]>,
}

#[derive(Serialize)]
struct Series {
    name: &'static str,
    columns: [&'static str; 1],
    values: [[&'static str; 1]; 1],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Statement {
    ShowDatabases,
    CreateDatabase,
}

/// `GET /query`.
pub(super) fn statements(query: &str) -> Result<HttpResponse, Failure> {
    run(statements_of(query.as_bytes()))
}

/// `POST /query`: the statements are in the query string or in a form.
pub(super) async fn statements_in_body(
    shared: &HttpShared,
    route: &Route,
    head: &Parts,
    body: &mut Incoming,
) -> Result<HttpResponse, Failure> {
    let in_query = statements_of(head.uri.query().unwrap_or_default().as_bytes());
    if in_query.is_some() {
        return run(in_query);
    }
    let form = body::read(shared, route.body.bytes_max, head, body).await?;
    run(statements_of(form.bytes()))
}

fn statements_of(pairs: &[u8]) -> Option<Cow<'_, str>> {
    form_urlencoded::parse(pairs).find_map(|(key, value)| (key == "q").then_some(value))
}

fn run(text: Option<Cow<'_, str>>) -> Result<HttpResponse, Failure> {
    let text = text.ok_or_else(|| Failure::bad_request("missing required parameter \"q\""))?;
    let statements = parse(&text).ok_or_else(|| {
        Failure::bad_request(
            "only SHOW DATABASES and CREATE DATABASE are understood here; ask /reports instead",
        )
    })?;
    if statements.len() > STATEMENTS_MAX {
        return Err(Failure::bad_request(format!("at most {STATEMENTS_MAX} statements are taken at a time")));
    }
    let results = statements.into_iter().enumerate().map(|(statement_id, statement)| StatementResult {
        statement_id,
        series: (statement == Statement::ShowDatabases).then_some([Series {
            name: "databases",
            columns: ["name"],
            values: [[DATABASE]],
        }]),
    });
    Ok(branded(response::json(response::to_json(&Results { results: results.collect() }))))
}

/// The statements of a text, which are separated by `;`, and at most one more than are taken; `None` if there is none or
/// one is not understood.
fn parse(text: &str) -> Option<Vec<Statement>> {
    let texts = text.split(';').map(str::trim).filter(|statement| !statement.is_empty());
    let statements: Option<Vec<_>> = texts.take(STATEMENTS_MAX + 1).map(parse_one).collect();
    statements.filter(|statements| !statements.is_empty())
}

fn parse_one(statement: &str) -> Option<Statement> {
    let mut words = statement.split_whitespace();
    let (verb, object) = (words.next()?, words.next()?);
    let rest = words.next();
    if verb.eq_ignore_ascii_case("show") && object.eq_ignore_ascii_case("databases") && rest.is_none() {
        return Some(Statement::ShowDatabases);
    }
    // What follows the name (a retention policy) means nothing here.
    let creates = verb.eq_ignore_ascii_case("create") && object.eq_ignore_ascii_case("database");
    (creates && rest.is_some()).then_some(Statement::CreateDatabase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_understands_what_clients_send_at_start_and_nothing_else() {
        use Statement::{CreateDatabase, ShowDatabases};
        for (text, expected) in [
            ("SHOW DATABASES", Some(vec![ShowDatabases])),
            (" show  databases ; ", Some(vec![ShowDatabases])),
            ("CREATE DATABASE \"bots\"", Some(vec![CreateDatabase])),
            ("create database bots with duration 3d", Some(vec![CreateDatabase])),
            ("CREATE DATABASE a; SHOW DATABASES", Some(vec![CreateDatabase, ShowDatabases])),
            ("CREATE DATABASE", None),
            ("DROP DATABASE bots", None),
            ("SELECT * FROM message", None),
            ("SHOW DATABASES; SELECT 1", None),
            ("", None),
            (";", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
