//! What the HTTP port serves, as an `OpenAPI` document for tools and as a page for people; both are made of the table of routes.
//! [`parameters`] has what requests may say, [`answers`] what comes back, [`schemas`] their shapes. Pure.
//!
//! INVARIANT: each route but the page's files has an operation, and each operation a route.
#![expect(clippy::needless_pass_by_value, reason = "values of JSON are made for the call")]

mod answers;
mod page;
mod parameters;
mod schemas;

use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::response;
use super::routes::{Dialect, Endpoint, ROUTES, Route};
use crate::limits::BODY_BYTES_MAX;
use crate::net::auth::Scope;
use crate::report::ReportName;

/// `Content-Type` of the document.
pub(super) const KIND: &str = "application/vnd.oai.openapi+json;version=3.1";

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| response::to_json(&document()).into());
static PAGE: LazyLock<Bytes> = LazyLock::new(|| page::html(&operations()).into());

/// The document.
pub(super) fn json() -> Bytes {
    DOCUMENT.clone()
}

/// The page, as HTML.
pub(super) fn html() -> Bytes {
    PAGE.clone()
}

/// A route at one path: the six reports are six operations, since they differ in parameters and answers.
struct Operation {
    route: &'static Route,
    report: Option<ReportName>,
    path: String,
}

impl Operation {
    fn is_stream(&self) -> bool {
        self.route.is_stream()
    }
}

fn operations() -> Vec<Operation> {
    let described = ROUTES.iter().filter(|route| is_described(route));
    let of_route = |route: &'static Route| {
        let reports = route.is_about_report().then_some(ReportName::ALL.map(Some));
        let reports = reports.as_ref().map_or(&[None][..], |reports| reports);
        let at =
            |report: &Option<ReportName>| Operation { route, report: *report, path: route.path_of(*report) };
        reports.iter().map(at).collect::<Vec<_>>()
    };
    described.flat_map(of_route).collect()
}

/// All but the files of the page, which are nobody else's.
fn is_described(route: &Route) -> bool {
    route.endpoint != Endpoint::PageFile
}

fn document() -> Value {
    let mut paths = Map::new();
    for operation in operations() {
        let path = paths.entry(operation.path.clone()).or_insert_with(|| json!({}));
        if let Some(methods) = path.as_object_mut() {
            methods.insert(operation.route.method.to_ascii_lowercase(), described(&operation));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "tallyd",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Counts what chat bots do: events in, six reports out.",
            "description": "Each GET also answers HEAD. Without access tokens only a `Host` that is `localhost` or an address is \
                            answered. Answers may be packed by gzip or zstd where `Accept-Encoding` asks for it.",
            "license": {"name": env!("CARGO_PKG_LICENSE")},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "parameters": parameters::shared(),
            "headers": answers::headers(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An access token."},
                "basic": {"type": "http", "scheme": "basic", "description": "The token as the password, of any user."},
                "token": {"type": "apiKey", "in": "header", "name": "Authorization", "description": "`Token` and the token."},
                "p": {"type": "apiKey", "in": "query", "name": "p", "description": "The token."},
            },
        },
    })
}

fn described(operation: &Operation) -> Value {
    let route = operation.route;
    let mut described = json!({
        "operationId": id(operation),
        "summary": route.words,
        "parameters": parameters::of(operation),
        "responses": answers::of(operation),
        "security": security(route),
    });
    if let (Some(body), Some(described)) = (body(route), described.as_object_mut()) {
        described.insert("requestBody".to_owned(), body);
    }
    described
}

/// Method and path as one word.
fn id(operation: &Operation) -> String {
    let words = operation.path.split(|letter: char| !letter.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    let method = operation.route.method.to_ascii_lowercase();
    std::iter::once(method.as_str()).chain(words).collect::<Vec<_>>().join("_")
}

/// The ways to show a token, any of which will do, each with the scopes of which the token needs one.
fn security(route: &Route) -> Value {
    if route.scopes.is_empty() {
        return json!([]);
    }
    let ways: &[&str] =
        if route.dialect == Dialect::Own { &["bearer"] } else { &["bearer", "token", "basic", "p"] };
    let each =
        |way: &&str| route.scopes.iter().map(|scope| json!({*way: [scope_name(*scope)]})).collect::<Vec<_>>();
    ways.iter().flat_map(each).collect()
}

fn scope_name(scope: Scope) -> &'static str {
    scope.as_str()
}

/// The body that a route takes.
fn body(route: &Route) -> Option<Value> {
    let line =
        "conversation,storyId=5b07ffafc2376e30306d9b16,source=messenger count=1i 1552813200000000000\n";
    let object =
        json!({"event": "message", "storyId": "5b07ffafc2376e30306d9b16", "source": "app", "count": 2});
    let content = match route.endpoint {
        Endpoint::WriteEvents => json!({
            "text/plain": {"schema": {"type": "string"}, "example": line},
            "application/x-ndjson": {"schema": {"type": "string"}, "example": format!("{object}\n{object}\n")},
            "application/json": {"schema": {"$ref": "#/components/schemas/Events"}, "example": [object]},
        }),
        Endpoint::PutStory => json!({
            "application/json": {"schema": {"$ref": "#/components/schemas/StoryUpsert"}},
        }),
        Endpoint::Backup => json!({
            "application/json": {"schema": {"$ref": "#/components/schemas/BackupRequest"}},
        }),
        Endpoint::StatementsInBody => json!({
            "application/x-www-form-urlencoded": {
                "schema": {"type": "object", "properties": {"q": {"type": "string"}}},
                "example": {"q": "SHOW DATABASES"},
            },
        }),
        _ => return None,
    };
    let bytes = route.body.bytes_max;
    let packed = "May be packed: `Content-Encoding: gzip` or `zstd`.";
    let description = if bytes == BODY_BYTES_MAX {
        format!("Line protocol, NDJSON or JSON, told apart by content, of at most {bytes} bytes. {packed}")
    } else {
        format!("At most {bytes} bytes. {packed}")
    };
    // A body without a line in it is a batch of none.
    let is_needed = route.endpoint == Endpoint::PutStory;
    Some(json!({"description": description, "required": is_needed, "content": content}))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use hyper::Method;

    use super::super::routes::{self, RouteMatch};
    use super::*;

    /// Method and path of each operation of the document.
    fn in_document() -> Vec<(String, String)> {
        let document = document();
        let paths = document["paths"].as_object().unwrap().clone();
        let methods = paths.into_iter().flat_map(|(path, methods)| {
            let methods: Vec<String> = methods.as_object().unwrap().keys().cloned().collect();
            methods.into_iter().map(move |method| (method.to_ascii_uppercase(), path.clone()))
        });
        methods.collect()
    }

    #[test]
    fn each_operation_has_its_route_and_each_route_an_operation() {
        let mut found = BTreeSet::new();
        for (method, path) in in_document() {
            let asked = path.replace("{storyId}", "5b07ffafc2376e30306d9b16");
            assert!(!asked.contains('{'), "{path}");
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            match routes::find(&method, &asked) {
                RouteMatch::Route(route, _) => found.insert(route.title()),
                other => panic!("{method} {path}: {other:?}"),
            };
        }
        let routes = ROUTES.iter().filter(|route| is_described(route)).map(Route::title);
        assert_eq!(found, routes.collect());
        assert_eq!(in_document().len(), operations().len(), "two operations have one path");
    }

    /// All that is referred to.
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").map(|to| to.as_str().unwrap().to_owned()));
                members.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn what_is_referred_to_is_there_and_nothing_is_there_for_nothing() {
        let document = document();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        for reference in &found {
            let place = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(place).is_some(), "{reference}");
        }
        for kind in ["schemas", "parameters", "headers"] {
            for name in document["components"][kind].as_object().unwrap().keys() {
                assert!(found.contains(&format!("#/components/{kind}/{name}")), "{kind} {name}");
            }
        }
    }

    #[test]
    fn operations_have_ids_of_their_own_and_the_parameters_of_their_paths() {
        let document = document();
        let mut ids = BTreeSet::new();
        let mut linked = BTreeSet::new();
        for (method, path) in in_document() {
            let operation = &document["paths"][&path][method.to_ascii_lowercase()];
            assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{method} {path}");
            let links = operation["responses"]["200"]["links"].as_object();
            linked.extend(
                links
                    .into_iter()
                    .flat_map(|links| links.values())
                    .map(|link| link["operationId"].as_str().unwrap()),
            );
            let named = operation["parameters"].to_string().contains("StoryInPath");
            assert_eq!(named, path.contains("{storyId}"), "{method} {path}");
            assert!(!operation["summary"].as_str().unwrap().is_empty(), "{method} {path}");
        }
        assert_eq!(linked.len(), 2, "{linked:?}");
        assert!(linked.iter().all(|id| ids.contains(id)), "{linked:?}");
    }

    #[test]
    fn the_page_has_every_operation() {
        let page = String::from_utf8(html().to_vec()).unwrap();
        for operation in operations() {
            let (method, path) = (operation.route.method, &operation.path);
            let class = if method == "GET" { "verb" } else { "verb write" };
            let heading = format!("<h2><span class=\"{class}\">{method}</span> <code>{path}</code></h2>");
            assert!(page.contains(&heading), "{path}");
            assert!(page.contains(&format!("<a href=\"#{}\">", id(&operation))), "{path}");
        }
        assert_eq!(page.matches("<link ").count(), 3);
        for (at, _) in page.match_indices(crate::page::FILES_PATH) {
            let path = page.get(at + crate::page::FILES_PATH.len()..).unwrap().split('"').next().unwrap();
            assert!(crate::page::file(path).is_some(), "{path}");
        }
        for forbidden in ["<script", "<style", " style=", " onclick="] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
    }
}
