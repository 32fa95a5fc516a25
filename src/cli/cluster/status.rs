//! `tallyd cluster status`: what nodes that share a log say of themselves, side by side, and whether that goes together.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::cli::client::{AccessArgs, Call, Client, ConnectionArgs};
use crate::cli::{Exit, output};

/// Compare nodes that share a log: how far each has read it, what it has read, and what it made of that.
///
/// Two nodes at the same place must have the same chain (they have read the same) and the same digest (they have made the same of it); nodes at different
/// places are compared at the last place whose digest both have kept. Exits with 1 where nodes differ, follow different logs, have stopped or
/// cannot be asked.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// Where each node listens for HTTP
    #[arg(value_name = "URL", required = true)]
    pub(crate) urls: Vec<String>,
    /// As whom.
    #[command(flatten)]
    pub(crate) access: AccessArgs,
}

/// Asks each node, and compares. Blocks.
pub(crate) fn run(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let (mut nodes, mut faults) = (Vec::new(), Vec::new());
    for url in &args.urls {
        match ask(args, url) {
            Ok(node) => nodes.push((url.as_str(), node)),
            Err(error) => faults.push(format!("{url} cannot be asked: {}", crate::cli::explain(&error))),
        }
    }
    let mut text = String::new();
    for (url, node) in &nodes {
        text.push_str(&line(url, node));
    }
    faults.extend(differences(&nodes));
    for fault in &faults {
        text.push_str(fault);
        text.push('\n');
    }
    output::print(text.as_bytes())?;
    Ok(if faults.is_empty() { Exit::Done } else { Exit::Failed }.into())
}

fn ask(args: &StatusArgs, url: &str) -> anyhow::Result<Value> {
    let connection = ConnectionArgs { url: url.to_owned(), access: args.access.clone() };
    let mut client = Client::new(&connection)?;
    let answer = client.call(&Call::get("/cluster"))?;
    if !answer.status.is_success() {
        bail!("{}", answer.explanation());
    }
    serde_json::from_slice(&answer.body).context("its answer is not understood")
}

fn text<'a>(node: &'a Value, name: &str) -> &'a str {
    node.get(name).and_then(Value::as_str).unwrap_or("none")
}

fn number(node: &Value, name: &str) -> u64 {
    node.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn line(url: &str, node: &Value) -> String {
    let lag = node.get("lag_seconds").and_then(Value::as_f64).unwrap_or_default();
    let (role, log, chain, digest) =
        (text(node, "role"), text(node, "log"), text(node, "chain"), text(node, "digest"));
    let (position, last) = (number(node, "position"), number(node, "last"));
    format!(
        "{url}  {role}  log {log}  place {position} of {last}  lag {lag:.1} s  chain {chain}  digest {digest}\n"
    )
}

/// What does not go together, in words.
fn differences(nodes: &[(&str, Value)]) -> Vec<String> {
    let mut faults = Vec::new();
    for (url, node) in nodes {
        if let Some(why) = node.get("stopped").and_then(Value::as_str) {
            faults.push(format!("{url} has stopped: {why}"));
        }
    }
    let Some(((first_url, first), others)) = nodes.split_first() else { return faults };
    for (url, node) in others {
        if text(node, "log") != text(first, "log") {
            faults.push(format!("{url} follows another log than {first_url}"));
        } else if number(node, "position") == number(first, "position") {
            if text(node, "chain") != text(first, "chain") {
                faults.push(format!("{url} has read another log than {first_url}"));
            } else if text(node, "digest") != text(first, "digest")
                || node.get("writers") != first.get("writers")
            {
                faults.push(format!("{url} has made something else of the log than {first_url}"));
            }
        } else if last_shared(first, node) == Some(false) {
            faults.push(format!("{url} has made something else of the log than {first_url}"));
        }
    }
    faults
}

/// Whether the digests at the last place that both have kept are equal; `None` where there is no such place.
fn last_shared(one: &Value, other: &Value) -> Option<bool> {
    let digests = |node: &Value| node.get("digests").and_then(Value::as_array).cloned().unwrap_or_default();
    let of_other = digests(other);
    digests(one).iter().rev().find_map(|kept| {
        let place = kept.get(0)?;
        let same_place = of_other.iter().find(|other| other.get(0) == Some(place))?;
        Some(kept.get(1) == same_place.get(1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(position: u64, chain: &str, digest: &str) -> Value {
        json!({"log": "l", "position": position, "chain": chain, "digest": digest, "writers": [], "digests": [[1024, "a"], [2048, "b"]]})
    }

    fn words(one: Value, other: Value) -> String {
        differences(&[("http://a", one), ("http://b", other)]).join("; ")
    }

    #[test]
    fn nodes_that_have_read_and_made_the_same_go_together() {
        assert_eq!(words(node(9, "c", "d"), node(9, "c", "d")), "");
        assert_eq!(words(node(9, "c", "d"), node(8, "e", "f")), "", "places that are not shared say nothing");
    }

    #[test]
    fn each_difference_is_named() {
        assert_eq!(
            words(node(9, "c", "d"), node(9, "x", "d")),
            "http://b has read another log than http://a"
        );
        let other = "http://b has made something else of the log than http://a";
        assert_eq!(words(node(9, "c", "d"), node(9, "c", "x")), other);
        let mut behind = node(8, "e", "f");
        behind["digests"] = json!([[1024, "a"], [2048, "x"]]);
        assert_eq!(words(node(9, "c", "d"), behind), other);
        let mut elsewhere = node(9, "c", "d");
        elsewhere["log"] = json!("m");
        assert_eq!(words(node(9, "c", "d"), elsewhere), "http://b follows another log than http://a");
        let mut stopped = node(9, "c", "d");
        stopped["stopped"] = json!("a gap");
        assert_eq!(words(node(9, "c", "d"), stopped), "http://b has stopped: a gap");
        let mut marks = node(9, "c", "d");
        marks["writers"] = json!([["w", 1]]);
        assert_eq!(words(node(9, "c", "d"), marks), other);
    }
}
