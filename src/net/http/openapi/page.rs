//! The operations as a page for people: plain HTML, under a policy that lets nothing run.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Operation, answers, parameters, scope_name};

const HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>API · tallyd</title>\n</head>\n<body>\n\
    <h1>tallyd: what can be asked</h1>\n<p>For tools: <a href=\"/openapi.json\">openapi.json</a> (OpenAPI 3.1). Each GET also \
    answers HEAD.</p>\n";

/// The page.
pub(super) fn html(operations: &[Operation]) -> String {
    let mut html = HEAD.to_owned();
    let shared = parameters::shared();
    for operation in operations {
        // Writing to a string cannot fail.
        if write_operation(&mut html, operation, &shared).is_err() {}
    }
    html.push_str("</body>\n</html>\n");
    html
}

fn write_operation(html: &mut String, operation: &Operation, shared: &Value) -> std::fmt::Result {
    let route = operation.route;
    writeln!(
        html,
        "<h2><code>{} {}</code></h2>\n<p>{}.",
        route.method,
        operation.path,
        escaped(route.words)
    )?;
    if route.scopes.is_empty() {
        writeln!(html, "Open to all.</p>")?;
    } else {
        let scopes: Vec<_> = route.scopes.iter().map(|scope| scope_name(*scope)).collect();
        writeln!(
            html,
            "Needs a token with the scope {}, where tokens are configured.</p>",
            scopes.join(" or ")
        )?;
    }
    let parameters = parameters::of(operation);
    if !parameters.is_empty() {
        writeln!(html, "<dl>")?;
        for reference in &parameters {
            let place = text(reference, "$ref").strip_prefix("#/components/parameters").unwrap_or_default();
            let parameter = shared.pointer(place).unwrap_or(&Value::Null);
            let schema = parameter.get("schema").map(Value::to_string).unwrap_or_default();
            let [name, words, schema] =
                [text(parameter, "name"), text(parameter, "description"), &schema].map(escaped);
            writeln!(html, "<dt><code>{name}</code></dt><dd>{words} <code>{schema}</code></dd>")?;
        }
        writeln!(html, "</dl>")?;
    }
    writeln!(html, "<ul>")?;
    for (status, answer) in answers::of(operation) {
        writeln!(html, "<li>{status}: {}</li>", escaped(text(&answer, "description")))?;
    }
    writeln!(html, "</ul>")
}

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
