//! Which path is what, and which methods it takes. Pure.
//! INVARIANT: a path is known or not whoever asks, so that 404 comes before any question of access.

use super::answer::Dialect;
use crate::net::auth::Scope;
use crate::report::ReportName;

/// A known path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Route<'p> {
    /// The list of routes.
    Root,
    /// Events in.
    Write(Dialect),
    /// The probe of the `InfluxDB` clients.
    Ping,
    /// The database statements of the `InfluxDB` 1 clients.
    InfluxQuery,
    /// Whether ingest, snapshots and reports work.
    Health,
    /// Whether the port is served.
    Ready,
    /// Prometheus text.
    Metrics,
    /// One of the reports.
    Report(ReportName),
    /// The list of stories.
    Stories,
    /// One story, by what the path has as its id.
    Story(&'p str),
}

/// The methods that some path takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Method {
    /// `GET`, and `HEAD`, of whose answer the body is left out on the way.
    Get,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `DELETE`.
    Delete,
}

impl Method {
    /// `None` where no path takes the method.
    pub(super) fn of(method: &hyper::Method) -> Option<Self> {
        match *method {
            hyper::Method::GET | hyper::Method::HEAD => Some(Self::Get),
            hyper::Method::POST => Some(Self::Post),
            hyper::Method::PUT => Some(Self::Put),
            hyper::Method::DELETE => Some(Self::Delete),
            _ => None,
        }
    }
}

impl<'p> Route<'p> {
    /// The route of a path; `None` where there is none.
    pub(super) fn of(path: &'p str) -> Option<Self> {
        let mut segments = path.strip_prefix('/')?.split('/');
        let route = match (segments.next()?, segments.next(), segments.next(), segments.next()) {
            ("reports", Some(name), None, None) | ("v2", Some("reports"), Some(name), None) => {
                Self::Report(ReportName::parse(name)?)
            }
            ("events", None, ..) => Self::Write(Dialect::Own),
            ("api", Some("v2"), Some("write"), None) => Self::Write(Dialect::InfluxV2),
            ("write", None, ..) => Self::Write(Dialect::InfluxV1),
            ("ping", None, ..) => Self::Ping,
            ("query", None, ..) => Self::InfluxQuery,
            ("health", None, ..) => Self::Health,
            ("ready", None, ..) => Self::Ready,
            ("metrics", None, ..) => Self::Metrics,
            ("stories", None, ..) => Self::Stories,
            ("stories", Some(id), None, None) if !id.is_empty() => Self::Story(id),
            ("", None, ..) => Self::Root,
            _ => return None,
        };
        Some(route)
    }

    /// Whose errors the route speaks.
    pub(super) fn dialect(self) -> Dialect {
        match self {
            Self::Write(dialect) => dialect,
            Self::Ping | Self::InfluxQuery => Dialect::InfluxV1,
            _ => Dialect::Own,
        }
    }

    /// The methods that the route takes, as an `Allow` header has them.
    pub(super) fn allow(self) -> &'static str {
        match self {
            Self::Write(_) => "POST",
            Self::InfluxQuery => "GET, HEAD, POST",
            Self::Story(_) => "GET, HEAD, PUT, DELETE",
            _ => "GET, HEAD",
        }
    }

    /// Whether the route takes the method.
    pub(super) fn takes(self, method: Method) -> bool {
        match self {
            Self::Write(_) => method == Method::Post,
            Self::InfluxQuery => matches!(method, Method::Get | Method::Post),
            Self::Story(_) => matches!(method, Method::Get | Method::Put | Method::Delete),
            _ => method == Method::Get,
        }
    }

    /// The scopes of which a token needs one; none for what everybody may see.
    pub(super) fn scopes(self, method: Method) -> &'static [Scope] {
        match (self, method) {
            (Self::Root | Self::Ping | Self::Health | Self::Ready, _) => &[],
            (Self::Write(_), _) | (Self::Story(_), Method::Put | Method::Delete) => &[Scope::Write],
            // Clients that only write make sure of their database first.
            (Self::InfluxQuery, _) => &[Scope::Write, Scope::Read],
            _ => &[Scope::Read],
        }
    }
}

/// What `GET /` says.
pub(super) const PAGE: &str = "\
tallyd counts what chat bots do.

POST   /events               line protocol, NDJSON or a JSON array; ?precision=
POST   /api/v2/write         as InfluxDB 2
POST   /write                as InfluxDB 1
GET    /reports/{name}       conversations, conversations.paid, conversations.messages,
                             conversations.average, busiest-period, interactions.popularity;
                             also /v2/reports/{name}
GET    /stories              ?limit= &cursor= &search=
GET    /stories/{storyId}
PUT    /stories/{storyId}    {\"name\":\"...\",\"interactions\":[{\"id\":\"...\",\"name\":\"...\"}]}
DELETE /stories/{storyId}
GET    /health, /ready, /ping, /metrics
GET    /query                SHOW DATABASES, CREATE DATABASE, for InfluxDB 1 clients
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_knows_the_paths_and_no_others() {
        for (path, route) in [
            ("/", Some(Route::Root)),
            ("/events", Some(Route::Write(Dialect::Own))),
            ("/api/v2/write", Some(Route::Write(Dialect::InfluxV2))),
            ("/write", Some(Route::Write(Dialect::InfluxV1))),
            ("/ping", Some(Route::Ping)),
            ("/query", Some(Route::InfluxQuery)),
            ("/health", Some(Route::Health)),
            ("/stories", Some(Route::Stories)),
            ("/stories/5b07", Some(Route::Story("5b07"))),
            ("/settings", None),
            ("/events/", None),
            ("/stories/", None),
            ("/stories/a/b", None),
            ("/api/v2", None),
            ("/api/v2/write/x", None),
            ("//events", None),
            ("/reports", None),
            ("*", None),
            ("", None),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }

    #[test]
    fn allow_names_what_is_taken() {
        for route in [Route::Root, Route::Write(Dialect::Own), Route::InfluxQuery, Route::Story("x")] {
            for (method, name) in [
                (Method::Get, "GET"),
                (Method::Post, "POST"),
                (Method::Put, "PUT"),
                (Method::Delete, "DELETE"),
            ] {
                assert_eq!(route.takes(method), route.allow().contains(name), "{route:?} {name}");
            }
        }
    }
}
