//! The `OpenAPI` document against the port that it describes.

use serde_json::{Value, json};
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
    assert!(policy.starts_with("default-src 'none'") && policy.contains("style-src 'self'"), "{policy}");
    let style =
        page.body.split("<link rel=\"stylesheet\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(port.get(style).await.status, 200, "{style}");
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
        assert!(page.body.contains(&format!("{method}</span> <code>{path}</code></h2>")), "{method} {path}");
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
            if is_unknown || path.ends_with("/stream") {
                continue;
            }
            // Nothing is as good as no parameter, and the document says so.
            let described = parameters.values().find(|one| one["name"] == **name).unwrap();
            let is_taken = port.get(&format!("{path}?{name}=")).await.status == 200;
            assert_eq!(described["allowEmptyValue"] == true, is_taken, "{path}?{name}=");
        }
    }
}

fn bound(wanted: &Value) -> usize {
    usize::try_from(wanted.as_u64().unwrap()).unwrap()
}

/// Whether a value is one of the schema, by the keywords that the rows are described with.
fn is_of(document: &Value, schema: &Value, value: &Value) -> bool {
    let has_type = |name: &Value| match name.as_str() {
        Some("string") => value.is_string(),
        Some("null") => value.is_null(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_u64(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        other => panic!("no type {other:?}"),
    };
    let keyword = |(name, wanted): (&String, &Value)| match name.as_str() {
        "$ref" => {
            let place = wanted.as_str().unwrap().strip_prefix('#').unwrap();
            is_of(document, document.pointer(place).unwrap(), value)
        }
        "type" => wanted.as_array().map_or_else(|| has_type(wanted), |names| names.iter().any(has_type)),
        "const" => value == wanted,
        "enum" => wanted.as_array().unwrap().contains(value),
        "anyOf" => wanted.as_array().unwrap().iter().any(|one| is_of(document, one, value)),
        "oneOf" => wanted.as_array().unwrap().iter().filter(|one| is_of(document, one, value)).count() == 1,
        "items" => value.as_array().into_iter().flatten().all(|item| is_of(document, wanted, item)),
        "minItems" => value.as_array().is_none_or(|list| list.len() >= bound(wanted)),
        "maxItems" => value.as_array().is_none_or(|list| list.len() <= bound(wanted)),
        "minLength" => value.as_str().is_none_or(|text| text.len() >= bound(wanted)),
        "maxLength" => value.as_str().is_none_or(|text| text.len() <= bound(wanted)),
        "required" => {
            wanted.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some())
        }
        "properties" => value
            .as_object()
            .into_iter()
            .flatten()
            .all(|(name, member)| wanted.get(name).is_none_or(|schema| is_of(document, schema, member))),
        "additionalProperties" => {
            let known = &schema["properties"];
            wanted == true
                || value.as_object().into_iter().flatten().all(|(name, _)| known.get(name).is_some())
        }
        "maximum" => value.as_f64().is_none_or(|number| number <= wanted.as_f64().unwrap()),
        "minimum" => value.as_f64().is_none_or(|number| number >= wanted.as_f64().unwrap()),
        "pattern" | "format" | "examples" | "description" => true,
        other => panic!("no keyword {other}"),
    };
    schema.as_object().unwrap().iter().all(keyword)
}

#[tokio::test]
async fn what_a_story_takes_is_of_its_schema_and_null_is_as_if_left_out() {
    let port = Port::open().await;
    let document = document(&port).await;
    let schema = &document["components"]["schemas"]["StoryUpsert"];
    let id = STORY;
    for (body, is_taken) in [
        (json!({}), true),
        (json!({"name": null, "interactions": null}), true),
        (
            json!({"name": "a", "interactions": [{"id": id, "name": null}, {"id": "5b07ff77c2376e30306d9b12"}]}),
            true,
        ),
        (json!({"name": ""}), false),
        (json!({"name": 1}), false),
        (json!({"interactions": {}}), false),
        (json!({"interactions": [{"name": "a"}]}), false),
        (json!({"interactions": [null]}), false),
        (json!([]), false),
    ] {
        let reply = port.ask("PUT", &format!("/stories/{STORY}"), &[], body.to_string().as_bytes()).await;
        assert_eq!(reply.status == 200, is_taken, "{body}: {reply:?}");
        assert_eq!(is_of(&document, schema, &body), is_taken, "{body}");
    }
}

#[tokio::test]
async fn rows_of_every_report_are_as_their_schema_says_and_no_others_are() {
    let port = Port::open().await;
    let document = document(&port).await;
    let interaction =
        format!("interaction,storyId={STORY},source=app,id={STORY} count=1i 1552813200000000000");
    let within = format!(
        "interaction,storyId={STORY},source=app,type=contextFallback,parentId={STORY} count=1i 1552813200000000000"
    );
    assert_eq!(port.post("/events", &format!("{LINE}\n{interaction}\n{within}")).await.status, 200);
    let mut seen = 0;
    for (method, path, operation) in operations(&document) {
        let Some(name) = path.strip_prefix("/reports/").filter(|name| !name.ends_with("/stream")) else {
            continue;
        };
        assert_eq!(method, "GET");
        let schemas = &operation["responses"]["200"]["content"]["application/json"]["schema"]["anyOf"];
        let rows = schemas
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["$ref"].as_str().unwrap().ends_with("Rows"))
            .unwrap();
        let is_series = name.starts_with("conversations");
        for group in
            ["", "&group=source", "&group=storyId"].iter().filter(|group| is_series || group.is_empty())
        {
            // March is longer than February, so that the range before has empty cells, and the other way round.
            for compare in ["", "&compare=previous"].iter().filter(|compare| is_series || compare.is_empty())
            {
                for range in ["from=2019-03-01&to=2019-03-31", "from=2019-02-01&to=2019-02-28"] {
                    let reply = port.get(&format!("{path}?{range}{group}{compare}&format=rows")).await;
                    assert_eq!(reply.status, 200, "{path} {group} {compare}");
                    let mut found = reply.json();
                    assert!(is_of(&document, rows, &found), "{path} {range} {group} {compare}: {found}");
                    seen += found.as_array().unwrap().len();
                    let Some(row) = found.pointer_mut("/0").and_then(Value::as_object_mut) else { continue };
                    row.insert("other".to_owned(), Value::Null);
                    assert!(!is_of(&document, rows, &found), "{path} with a column that it does not have");
                    found
                        .pointer_mut("/0")
                        .and_then(Value::as_object_mut)
                        .unwrap()
                        .retain(|name, _| name != "value" && name != "other");
                    assert!(!is_of(&document, rows, &found), "{path} without a column");
                }
            }
        }
    }
    assert!(seen > 1_000, "{seen}");
}
