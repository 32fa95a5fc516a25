//! The `OpenAPI` document against the port that it describes.

use serde_json::Value;
use tallyd::net::auth::Auth;
use tallyd::net::http::Limits;

use crate::support::{LINE, Port, Reply, STORY};

const TOKEN: &str = "tally_0123456789abcdef0123456789";

async fn document(port: &Port) -> Value {
    let reply = port.get("/openapi.json").await;
    assert_eq!(reply.header("content-type"), Some("application/vnd.oai.openapi+json;version=3.1"));
    reply.json()
}

/// Method, path and description of every operation.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let methods = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(|(method, operation)| (method.to_ascii_uppercase(), path.clone(), operation))
    });
    methods.collect()
}

/// An answer must have a status, a kind and the headers that the operation says.
fn assert_described(reply: &Reply, operation: &Value, what: &str) {
    let described = &operation["responses"][reply.status.to_string()];
    assert!(described.is_object(), "{what}: {} is not described: {reply:?}", reply.status);
    if let Some(kind) = reply.header("content-type") {
        assert!(described["content"][kind].is_object(), "{what}: {} of {kind}", reply.status);
    } else {
        assert!(described["content"].is_null(), "{what}: {} has no content", reply.status);
    }
    let names = ["etag", "retry-after", "www-authenticate"];
    for name in names {
        let is_described = described["headers"]
            .as_object()
            .is_some_and(|headers| headers.keys().any(|described| described.eq_ignore_ascii_case(name)));
        assert!(reply.header(name).is_none() || is_described, "{what}: {} has {name}", reply.status);
    }
}

#[tokio::test]
async fn every_operation_answers_as_it_is_described() {
    let guarded = Auth::from_env_text(&format!("all:admin:{TOKEN}")).unwrap();
    let (open, guarded) = (Port::open().await, Port::with(guarded, Limits::default()).await);
    let document = document(&guarded).await;
    let bearer = format!("authorization: Bearer {TOKEN}");
    let mut asked = 0;
    for (method, path, operation) in operations(&document) {
        assert_eq!(open.post("/events", LINE).await.status, 200);
        let path = path.replace("{storyId}", STORY);
        let body: &[u8] = match method.as_str() {
            "PUT" => b"{}",
            "POST" if path.contains("query") => b"q=SHOW+DATABASES",
            "POST" => LINE.as_bytes(),
            _ => b"",
        };
        for (port, target, headers) in [
            (&open, path.clone(), &["if-none-match: *"][..]),
            (&open, path.clone(), &[]),
            (&open, format!("{path}?perod=today&limit=0&precision=x"), &[]),
            (&open, path.clone(), &["content-encoding: br", "accept: text/html"]),
            (&guarded, path.clone(), &[]),
            (&guarded, path.clone(), &["authorization: Bearer nothing"]),
            (&guarded, path.clone(), &[bearer.as_str()]),
        ] {
            let reply = port.ask(&method, &target, headers, body).await;
            assert_described(&reply, operation, &format!("{method} {target} {headers:?}"));
            asked += 1;
        }
        // Open to all is what says so.
        let is_open = operation["security"].as_array().unwrap().is_empty();
        let reply = guarded.ask(&method, &path, &[], body).await;
        assert_eq!(reply.status != 401, is_open, "{method} {path}: {reply:?}");
    }
    assert!(asked > 200, "{asked}");
}

#[tokio::test]
async fn every_route_of_the_list_is_in_the_document_and_on_the_page() {
    let port = Port::open().await;
    let (document, page) = (document(&port).await, port.get("/api").await);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let operations = operations(&document);
    let mut routes = 0;
    for line in port.get("/").await.body.lines().filter(|line| line.contains(" /")) {
        let mut words = line.split_whitespace();
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        if path.starts_with("/page/") || !path.starts_with('/') {
            continue;
        }
        let path = path.replace("{name}", "conversations.paid");
        let is_it = |(by, at, _): &(String, String, &Value)| by == method && *at == path;
        assert!(operations.iter().any(is_it), "{method} {path}");
        assert!(page.body.contains(&format!("<code>{method} {path}</code>")), "{method} {path}");
        routes += 1;
    }
    assert!(routes >= 20, "{routes}");
}

#[tokio::test]
async fn the_document_takes_the_parameters_that_the_reports_take_and_no_others() {
    let port = Port::open().await;
    let document = document(&port).await;
    let parameters = document["components"]["parameters"].as_object().unwrap();
    let in_query: Vec<&str> = parameters
        .values()
        .filter(|one| one["in"] == "query")
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    for (_, path, operation) in
        operations(&document).into_iter().filter(|(_, path, _)| path.starts_with("/reports/"))
    {
        let of_operation: Vec<&str> = operation["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|reference| {
                document.pointer(reference["$ref"].as_str().unwrap().strip_prefix('#').unwrap())
            })
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        for name in &in_query {
            // A value that none takes: who has the parameter says so, and who has not that there is none.
            let reply = port.get(&format!("{path}?{name}=%21")).await;
            let message = reply.json()["status"]["details"].to_string();
            let is_unknown = ["there is no such parameter", "does not have it", "a stream has one format"]
                .into_iter()
                .any(|words| message.contains(words));
            assert_eq!(is_unknown, !of_operation.contains(name), "{path} {name}: {message}");
        }
    }
}
