//! The operations as a page for people: plain HTML in the style of the page at `/`, under its policy, with nothing that runs.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::{Operation, answers, id, parameters, scope_name};
use crate::page;

const STYLES: [&str; 2] = ["page.css", "api.css"];

/// The page.
pub(super) fn html(operations: &[Operation]) -> String {
    let mut html = String::new();
    // Writing to a string cannot fail.
    write_page(&mut html, operations).map(|()| html).unwrap_or_default()
}

fn write_page(html: &mut String, operations: &[Operation]) -> std::fmt::Result {
    write!(
        html,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>API · tallyd</title>\n\
         <link rel=\"icon\" type=\"image/svg+xml\" href=\"{}\">\n",
        page::path_of("icon.svg")
    )?;
    for style in STYLES {
        writeln!(html, "<link rel=\"stylesheet\" href=\"{}\">", page::path_of(style))?;
    }
    write!(
        html,
        "</head>\n<body>\n<main class=\"doc\">\n<header>\n<h1>tallyd: what can be asked</h1>\n\
         <p>For tools: <a href=\"/openapi.json\">openapi.json</a> (OpenAPI 3.1), of which this page is made. Each GET also \
         answers HEAD. The numbers themselves are on <a href=\"/\">the page</a>.</p>\n</header>\n<nav aria-label=\"Requests\">\n"
    )?;
    for operation in operations {
        writeln!(
            html,
            "<a href=\"#{}\">{} <code>{}</code></a>",
            id(operation),
            verb(operation),
            operation.path
        )?;
    }
    writeln!(html, "</nav>")?;
    let shared = parameters::shared();
    for operation in operations {
        write_operation(html, operation, &shared)?;
    }
    html.push_str("</main>\n</body>\n</html>\n");
    Ok(())
}

/// The method, marked where it changes something.
fn verb(operation: &Operation) -> String {
    let method = operation.route.method;
    let class = if method == "GET" { "verb" } else { "verb write" };
    format!("<span class=\"{class}\">{method}</span>")
}

fn write_operation(html: &mut String, operation: &Operation, shared: &Value) -> std::fmt::Result {
    let route = operation.route;
    writeln!(html, "<section class=\"card\" id=\"{}\">", id(operation))?;
    writeln!(html, "<h2>{} <code>{}</code></h2>", verb(operation), operation.path)?;
    writeln!(html, "<p>{}.", marked(&capitalized(route.words)))?;
    if route.scopes.is_empty() {
        writeln!(html, "Open to all.</p>")?;
    } else {
        let scopes: Vec<_> = route.scopes.iter().map(|scope| scope_name(*scope)).collect();
        let scopes = scopes.join(" or ");
        writeln!(html, "Needs a token with the scope {scopes}, where tokens are configured.</p>")?;
    }
    let parameters = parameters::of(operation);
    if !parameters.is_empty() {
        writeln!(html, "<h3>Parameters</h3>\n<dl>")?;
        for reference in &parameters {
            let place = text(reference, "$ref").strip_prefix("#/components/parameters").unwrap_or_default();
            let parameter = shared.pointer(place).unwrap_or(&Value::Null);
            let schema = parameter.get("schema").and_then(Value::as_object).map(shape).unwrap_or_default();
            let [name, words] = [text(parameter, "name"), text(parameter, "description")].map(marked);
            writeln!(
                html,
                "<dt><code>{name}</code></dt><dd>{words} <span class=\"shape\">{schema}</span></dd>"
            )?;
        }
        writeln!(html, "</dl>")?;
    }
    writeln!(html, "<h3>Answers</h3>\n<dl>")?;
    for (status, answer) in answers::of(operation) {
        writeln!(html, "<dt><code>{status}</code></dt><dd>{}</dd>", marked(text(&answer, "description")))?;
    }
    writeln!(html, "</dl>\n</section>")
}

/// A schema of one value in words: its type, what it may be, what it is where it is left out.
fn shape(schema: &Map<String, Value>) -> String {
    let code = |value: &Value| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("<code>{}</code>", escaped(&text))
    };
    let list = |values: &Vec<Value>| values.iter().map(code).collect::<Vec<_>>().join(", ");
    let mut parts = Vec::new();
    match (schema.get("enum").and_then(Value::as_array), schema.get("items").and_then(Value::as_object)) {
        (Some(values), _) => parts.push(format!("One of {}", list(values))),
        (None, Some(item)) => parts.push(format!("Any number. {}", shape(item))),
        (None, None) => match (schema.get("minimum"), schema.get("maximum")) {
            (Some(least), Some(most)) => parts.push(format!("{} to {}", code(least), code(most))),
            _ => parts.extend(schema.get("$ref").map(|_| "24 letters and digits".to_owned())),
        },
    }
    parts.extend(schema.get("default").map(|value| format!("else {}", code(value))));
    let examples = schema.get("examples").and_then(Value::as_array);
    parts.extend(examples.map(|values| format!("such as {}", list(values))));
    parts.join("; ")
}

fn capitalized(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}

/// What stands between backticks as code.
fn marked(text: &str) -> String {
    let escaped = escaped(text);
    let parts = escaped.split('`').enumerate();
    parts
        .map(|(at, part)| if at % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() })
        .collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
