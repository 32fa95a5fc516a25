//! The files of `monitoring/` against the port: the dashboard's requests are sent as Grafana's Infinity data source sends
//! them, and every column, metric, alert and heading that the files name has to be there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use chrono::DateTime;
use serde_json::Value;
use tallyd::daemon::config::options::{Key, OPTIONS};
use tallyd::limits::{SERIES_MAX, STORIES_MAX};
use tallyd::model::event::Source;
use tallyd::net::auth::Auth;
use tallyd::net::http::Limits;
use tallyd::report::ReportName;

use crate::support::{Client, NOW_UNIX_NANOS, Port, STORY};

const TOKEN: &str = "tally_0123456789abcdef0123456789";
/// A story that nobody has sent events of.
const UNKNOWN: &str = "5b07ff77c2376e30306d9b12";
/// What both variables stand for where all is chosen.
const ALL: &str = ",";
const SERIES: [&str; 4] =
    ["conversations", "conversations.paid", "conversations.messages", "conversations.average"];
/// How the title of a panel begins that shows a report; the first that fits.
const TITLES: [(&str, &str); 6] = [
    ("Messages per conversation", "conversations.average"),
    ("Messages", "conversations.messages"),
    ("Paid conversations", "conversations.paid"),
    ("Conversations", "conversations"),
    ("Busiest hours", "busiest-period"),
    ("Interactions", "interactions.popularity"),
];
/// Two sources, two stories, one without a name; every kind of interaction.
const EVENTS: &str = "\
conversation,storyId=5b07ffafc2376e30306d9b16,source=messenger count=3i,paid=true,storyName=\"Pizza\" 1552813200000000000
conversation,storyId=5b07ffafc2376e30306d9b17,source=app count=4i 1552726800000000000
message,storyId=5b07ffafc2376e30306d9b16,source=messenger count=7i 1552813201000000000
message,storyId=5b07ffafc2376e30306d9b16,source=app count=2i 1552813201000000000
interaction,storyId=5b07ffafc2376e30306d9b16,source=messenger,id=5b07ffafc2376e30306d9b18 count=1i 1552813201000000000
interaction,storyId=5b07ffafc2376e30306d9b16,source=app,type=contextFallback,parentId=5b07ffafc2376e30306d9b18 count=1i 1552813201000000000
";

fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn dashboard() -> Value {
    serde_json::from_str(&file("monitoring/grafana/dashboard.json")).unwrap()
}

/// What Grafana puts in the place of its variables, by their name and format.
type View = BTreeMap<&'static str, String>;

fn view(days: i64, zone: &str, story: &str, source: &str) -> View {
    let to = NOW_UNIX_NANOS / 1_000_000;
    let from = to - days * 24 * 60 * 60 * 1000;
    let values = [from.to_string(), to.to_string(), zone.to_owned(), story.to_owned(), source.to_owned()];
    ["__from", "__to", "__timezone", "story", "source:csv"].into_iter().zip(values).collect()
}

/// Everything, in UTC.
fn all_of_two_days() -> View {
    view(2, "utc", ALL, ALL)
}

fn filled(text: &str, view: &View) -> String {
    let filled =
        view.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${{{name}}}"), value));
    assert!(!filled.contains('$'), "{text} has a variable that the dashboard does not have");
    filled
}

/// One request of the dashboard, by a panel or a variable.
#[derive(Clone, Debug)]
struct Target {
    title: String,
    query: Value,
}

/// What Infinity asks, in the order of panels; rows of panels are opened.
fn targets(board: &Value, plugin: &str) -> Vec<Target> {
    let panels = board["panels"].as_array().unwrap();
    let nested = panels.iter().filter_map(|panel| panel["panels"].as_array()).flatten();
    let of_panel = |panel: &Value| {
        let title = panel["title"].as_str().unwrap().to_owned();
        let queries = panel["targets"].as_array().cloned().unwrap_or_default();
        queries.into_iter().map(move |query| Target { title: title.clone(), query })
    };
    let is_of_plugin = |target: &Target| target.query["datasource"]["type"] == plugin;
    panels.iter().chain(nested).flat_map(of_panel).filter(is_of_plugin).collect()
}

fn variable(board: &Value, name: &str) -> Value {
    let list = board["templating"]["list"].as_array().unwrap();
    list.iter().find(|variable| variable["name"] == name).unwrap().clone()
}

const INFINITY: &str = "yesoreyeram-infinity-datasource";

/// The requests of all panels, and that of the variable that lists stories.
fn requests(board: &Value) -> Vec<Target> {
    let query = variable(board, "story")["query"]["infinityQuery"].clone();
    let mut requests = targets(board, INFINITY);
    requests.push(Target { title: "the variable story".to_owned(), query });
    requests
}

impl Target {
    fn parameters(&self) -> BTreeMap<&str, &str> {
        let list = self.query["url_options"]["params"].as_array().unwrap();
        let pairs = list.iter().map(|pair| (pair["key"].as_str().unwrap(), pair["value"].as_str().unwrap()));
        pairs.collect()
    }

    fn path(&self) -> &str {
        self.query["url"].as_str().unwrap()
    }

    fn is_series(&self) -> bool {
        self.query["format"] == "timeseries"
    }

    fn columns(&self) -> Vec<(&str, &str, &str)> {
        let columns = self.query["columns"].as_array().unwrap().iter();
        columns
            .map(|column| ["selector", "text", "type"].map(|key| column[key].as_str().unwrap()))
            .map(|[selector, text, kind]| (selector, text, kind))
            .collect()
    }

    /// Asks as the data source does, and gives the rows that its root selector finds.
    async fn rows(&self, client: &mut Client, view: &View) -> Vec<Value> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (key, value) in self.parameters() {
            query.append_pair(key, &filled(value, view));
        }
        let target = format!("{}?{}", self.path(), query.finish());
        let bearer = format!("authorization: Bearer {TOKEN}");
        let accept = "accept: application/json;q=0.9,text/plain";
        let reply = client.ask("GET", &target, &[&bearer, accept], b"").await;
        assert_eq!(reply.status, 200, "{}: {target}: {}", self.title, reply.body);
        let selector = self.query["root_selector"].as_str().unwrap();
        let pointer = selector.strip_prefix('$').unwrap_or(selector).replace('.', "/");
        let json = reply.json();
        let found = json.pointer(&pointer).unwrap_or_else(|| panic!("{}: no {selector}", self.title));
        found.as_array().cloned().unwrap_or_else(|| vec![found.clone()])
    }

    fn assert_columns(&self, rows: &[Value]) {
        for (row, (selector, text, kind)) in
            rows.iter().flat_map(|row| self.columns().into_iter().map(move |column| (row, column)))
        {
            let value = row.get(selector).unwrap_or_else(|| panic!("{}: no {selector} in {row}", self.title));
            // A label must be there; of a variable Grafana shows the value where there is no text.
            let may_be_null = !self.is_series() && text != "__value";
            let fits = match kind {
                "timestamp" => value.as_str().is_some_and(|date| DateTime::parse_from_rfc3339(date).is_ok()),
                "number" => value.is_number(),
                "string" => value.is_string() || (may_be_null && value.is_null()),
                _ => false,
            };
            assert!(fits, "{}: {selector} is no {kind} in {row}", self.title);
        }
    }
}

async fn port_with_events() -> Port {
    let auth = Auth::from_env_text(&format!("grafana:read+write:{TOKEN}")).unwrap();
    let port = Port::with(auth, Limits::default()).await;
    let bearer = format!("authorization: Bearer {TOKEN}");
    assert_eq!(port.ask("POST", "/events", &[&bearer], EVENTS.as_bytes()).await.status, 200);
    port
}

#[tokio::test]
async fn every_request_of_the_dashboard_is_answered_with_its_columns() {
    let (port, board) = (port_with_events().await, dashboard());
    let mut client = port.client().await;
    // What Grafana says where UTC or the browser's zone is chosen: the latter in the spelling of the browser.
    let zones = ["utc", "UTC", "Etc/UTC", "Europe/Berlin", "europe/berlin", "Asia/Calcutta", "Asia/Katmandu"];
    let stories = [ALL, STORY, UNKNOWN];
    let sources = [ALL, "messenger", "app,slack"];
    for target in requests(&board) {
        let rows = target.rows(&mut client, &all_of_two_days()).await;
        assert!(!rows.is_empty(), "{}: an empty answer shows nothing", target.title);
        let mut asked = 0;
        for (zone, story, source) in zones.into_iter().flat_map(|zone| {
            stories.into_iter().flat_map(move |story| sources.map(|source| (zone, story, source)))
        }) {
            let days = [1, 7, 90, 1_000][asked % 4];
            let rows = target.rows(&mut client, &view(days, zone, story, source)).await;
            target.assert_columns(&rows);
            asked += 1;
        }
        assert_eq!(asked, 63);
    }
}

#[tokio::test]
async fn panels_show_what_was_counted_for_the_chosen_stories_and_sources() {
    let (port, board) = (port_with_events().await, dashboard());
    let mut client = port.client().await;
    let views = [
        (all_of_two_days(), [7, 3, 9]),
        (view(2, "Europe/Berlin", STORY, ALL), [3, 3, 9]),
        (view(2, "utc", ALL, "app"), [4, 0, 2]),
        (view(2, "utc", ALL, "app,messenger"), [7, 3, 9]),
    ];
    let mut checked = 0;
    for (target, (view, expected)) in
        targets(&board, INFINITY).iter().flat_map(|target| views.iter().map(move |view| (target, view)))
    {
        let report = target.path().rsplit('/').next().unwrap();
        // An average is no sum, and the interactions have numbers of their own.
        let Some(place) = SERIES.iter().position(|name| *name == report).filter(|place| *place < 3) else {
            continue;
        };
        let number = target.columns().into_iter().find(|(_, _, kind)| *kind == "number").unwrap().0;
        let rows = target.rows(&mut client, view).await;
        let sum: u64 = rows.iter().map(|row| row[number].as_u64().unwrap()).sum();
        assert_eq!(sum, expected[place], "{}: {view:?}", target.title);
        checked += 1;
    }
    assert!(checked >= 4 * 6, "{checked}");
}

#[test]
fn the_dashboard_has_all_reports_each_with_the_range_the_zone_and_the_variables() {
    let board = dashboard();
    let targets = targets(&board, INFINITY);
    let reports: BTreeSet<&str> =
        targets.iter().map(|target| target.path().strip_prefix("/reports/").unwrap()).collect();
    assert_eq!(reports, ReportName::ALL.map(ReportName::as_str).into());
    let by_source: BTreeSet<&str> = targets
        .iter()
        .filter(|target| target.parameters().get("group") == Some(&"source"))
        .map(|target| target.path().strip_prefix("/reports/").unwrap())
        .collect();
    assert_eq!(by_source, SERIES.into());
    for target in &targets {
        let parameters = target.parameters();
        for (key, value) in [
            ("from", "${__from}"),
            ("to", "${__to}"),
            ("timezone", "${__timezone}"),
            ("storyId", "${story}"),
            ("source", "${source:csv}"),
        ] {
            assert_eq!(parameters.get(key), Some(&value), "{}", target.title);
        }
        let (_, promised) = TITLES.into_iter().find(|(title, _)| target.title.starts_with(title)).unwrap();
        assert_eq!(target.path(), format!("/reports/{promised}"), "{}", target.title);
        let is_table = target.query["format"] == "table";
        let is_whole = target.path().ends_with("/busiest-period") || target.path().contains("/interactions.");
        assert!(is_table || !is_whole, "{} is a table", target.title);
        let is_rows = parameters.get("format") == Some(&"rows");
        assert_eq!(is_rows, target.is_series() || is_whole, "{}", target.title);
    }
    assert_eq!(board["timezone"], "browser");
}

#[test]
fn every_request_of_the_dashboard_is_one_that_the_data_source_knows() {
    let board = dashboard();
    let uid = data_source()["datasources.uid"].clone();
    for Target { title, query } in &requests(&board) {
        for (key, value) in [("type", "json"), ("parser", "backend"), ("source", "url")] {
            assert_eq!(query[key], value, "{title}");
        }
        assert_eq!(query["url_options"]["method"], "GET", "{title}");
        assert_eq!(query["datasource"]["uid"], uid.as_str(), "{title}");
        let target = Target { title: title.clone(), query: query.clone() };
        let columns = target.columns();
        assert!(!columns.is_empty(), "{title}: columns are listed by hand");
        if target.is_series() {
            let kinds: Vec<&str> = columns.iter().map(|(_, _, kind)| *kind).collect();
            assert!(
                matches!(kinds[..], ["timestamp", "number"] | ["timestamp", "number", "string"]),
                "{title}"
            );
            assert_eq!(columns[0], ("date", "time", "timestamp"), "{title}");
            // A label of its own for each point would make a series of each.
            assert!(columns.iter().all(|(selector, ..)| *selector != "local"), "{title}");
        }
    }
    let story: Vec<_> =
        requests(&board).last().unwrap().columns().into_iter().map(|(_, text, _)| text.to_owned()).collect();
    assert_eq!(story, ["__text", "__value"]);
    for name in ["story", "source"] {
        let variable = variable(&board, name);
        assert_eq!((&variable["includeAll"], &variable["allValue"]), (&true.into(), &ALL.into()), "{name}");
    }
    let sources = Source::ALL.map(Source::as_str);
    assert_eq!(variable(&board, "source")["query"], sources.join(","));
}

/// What a YAML file says at each path of keys; lists of values are joined by spaces. It takes the plain part of YAML only.
fn data_source() -> BTreeMap<String, String> {
    let text = file("monitoring/grafana/datasource.yaml");
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut path: Vec<(usize, &str)> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.trim().starts_with('#')) {
        let item = line.trim_start_matches([' ', '-']);
        let indent = line.len() - item.len();
        while path.last().is_some_and(|(above, _)| *above >= indent) {
            path.pop();
        }
        let (key, value) = match item.split_once(':') {
            Some((key, value)) if value.is_empty() || value.starts_with(' ') => (Some(key), value.trim()),
            _ => (None, item),
        };
        path.extend(key.map(|key| (indent, key)));
        if !value.is_empty() {
            let names: Vec<&str> = path.iter().map(|(_, name)| *name).collect();
            let entry = found.entry(names.join(".")).or_default();
            if !entry.is_empty() {
                entry.push(' ');
            }
            entry.push_str(value);
        }
    }
    found
}

#[test]
fn the_data_source_has_the_keys_and_the_address_that_it_needs() {
    let option = OPTIONS.iter().find(|option| option.key == Key::HttpListen).unwrap();
    let address = format!("http://{}", option.default.unwrap());
    let expected = [
        ("apiVersion", "1"),
        ("datasources.name", "tallyd"),
        ("datasources.uid", "tallyd"),
        ("datasources.type", INFINITY),
        ("datasources.access", "proxy"),
        ("datasources.url", address.as_str()),
        ("datasources.jsonData.auth_method", "bearerToken"),
        ("datasources.jsonData.allowedHosts", address.as_str()),
        ("datasources.jsonData.timeoutInSeconds", "30"),
        ("datasources.secureJsonData.bearerToken", "$TALLYD_TOKEN"),
    ];
    let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(data_source(), expected.into());
}

/// The alerts' rules: what stands behind each `alert:`.
fn rules() -> Vec<(String, String)> {
    let text = file("monitoring/prometheus/alerts.yml");
    let rules = text.split("- alert: ").skip(1).map(|rule| rule.split_once('\n').unwrap());
    let rules: Vec<_> = rules.map(|(name, rule)| (name.to_owned(), rule.to_owned())).collect();
    assert!(rules.len() >= 12, "{rules:?}");
    rules
}

/// The text of a key of a rule, on its line or the indented ones below it.
fn value_of(rule: &str, key: &str) -> String {
    let heading = format!("{key}:");
    let mut lines = rule.lines().skip_while(|line| !line.trim_start().starts_with(&heading));
    let first = lines.next().unwrap_or_else(|| panic!("no {key} in {rule}"));
    let indent = first.len() - first.trim_start().len();
    let below = lines.take_while(|line| line.len() - line.trim_start().len() > indent);
    let rest = first.trim_start().strip_prefix(&heading).unwrap();
    let words = rest.trim().trim_start_matches(">-").to_owned();
    below.fold(words, |text, line| format!("{text} {}", line.trim()))
}

/// Each name of a metric in an expression, and each label of its own that it asks for.
fn names_in(expression: &str) -> (Vec<&str>, Vec<String>) {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let metrics = words.filter(|word| word.starts_with("tallyd_") || word.starts_with("process_")).collect();
    let matchers = expression.split('{').skip(1).filter_map(|text| text.split_once('}'));
    let labels = matchers
        .flat_map(|(matchers, _)| matchers.split(','))
        .map(|matcher| matcher.split_once('=').unwrap())
        .filter(|(label, _)| *label != "job")
        .flat_map(|(label, values)| {
            values.trim_matches(['~', '"']).split('|').map(move |value| format!("{label}=\"{value}\""))
        })
        .collect();
    (metrics, labels)
}

#[tokio::test]
async fn alerts_and_panels_ask_for_metrics_that_there_are() {
    let port = Port::open().await;
    let metrics = port.get("/metrics").await.body;
    let of_alerts = rules().into_iter().map(|(name, rule)| (name, value_of(&rule, "expr")));
    let board = dashboard();
    let of_panels = targets(&board, "prometheus")
        .into_iter()
        .map(|target| (target.title.clone(), target.query["expr"].as_str().unwrap().to_owned()));
    let mut asked = BTreeSet::new();
    for (name, expression) in of_alerts.chain(of_panels) {
        let (names, labels) = names_in(&expression);
        assert!(!names.is_empty() || expression.starts_with("up{"), "{name}: {expression}");
        for metric in names {
            let is_it =
                |line: &str| line.strip_prefix(metric).is_some_and(|rest| rest.starts_with(['{', ' ']));
            assert!(metrics.lines().any(is_it), "{name}: there is no {metric}");
            asked.insert(metric.to_owned());
        }
        for label in labels {
            assert!(metrics.contains(&label), "{name}: nothing has {label}");
        }
    }
    assert!(asked.len() >= 12, "{asked:?}");
}

#[test]
fn every_alert_is_explained_and_tested() {
    let (readme, tests) = (file("systemd/README.md"), file("monitoring/prometheus/alerts.test.yml"));
    let mut names = BTreeSet::new();
    for (name, rule) in rules() {
        assert_eq!(value_of(&rule, "runbook"), format!("systemd/README.md#{}", name.to_lowercase()));
        assert!(value_of(&rule, "summary").contains("{{ $labels.instance }}"), "{name}");
        assert!(value_of(&rule, "meaning").ends_with('.'), "{name}");
        let minutes = value_of(&rule, "for").strip_suffix('m').unwrap().parse::<u64>().unwrap();
        assert!(Duration::from_mins(minutes) >= 2 * Duration::from_secs(30), "{name}: two scrapes");
        assert!(["page", "ticket"].contains(&value_of(&rule, "severity").as_str()), "{name}");
        let case = format!("alertname: {name}\n        exp_alerts:");
        let cases: Vec<&str> = tests.split(&case).skip(1).collect();
        let silent = cases.iter().filter(|rest| rest.starts_with(" []")).count();
        assert!(silent > 0 && silent < cases.len(), "{name} has to fire in a test, and not to fire");
        names.insert(name);
    }
    let headings = readme.lines().filter_map(|line| line.strip_prefix("#### Tallyd"));
    assert_eq!(headings.map(|rest| format!("Tallyd{rest}")).collect::<BTreeSet<_>>(), names);
}

/// The names of metrics in the table of the page, as Prometheus has them.
fn metrics_of_the_page(page: &str) -> BTreeSet<String> {
    let table = page.split("\n| metric | what |\n").nth(1).unwrap().lines().skip(1);
    let cells = table.take_while(|line| line.starts_with('|')).map(|line| line.split('|').nth(1).unwrap());
    let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    names
        .filter(|name| name.contains('_') || !["key", "window"].contains(name))
        .map(|name| name.split('{').next().unwrap())
        .map(|name| if name.starts_with("process_") { name.to_owned() } else { format!("tallyd_{name}") })
        .collect()
}

#[tokio::test]
async fn page_has_every_metric_and_no_other() {
    let page = file("systemd/README.md");
    let metrics = Port::open().await.get("/metrics").await.body;
    // Those that a port alone has not: of TLS, and of the daemon that has loaded the time zones.
    let of_daemon = ["tallyd_tls_certificate_expires_days", "tallyd_tzdata_info"].map(str::to_owned);
    let there: BTreeSet<String> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .map(|(name, kind)| if kind == "info" { format!("{name}_info") } else { name.to_owned() })
        .chain(of_daemon)
        .collect();
    let named = metrics_of_the_page(&page);
    assert_eq!(named.symmetric_difference(&there).collect::<Vec<_>>(), Vec::<&String>::new());
    for text in [page, file("README.md")] {
        for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            let is_metric = word.starts_with("tallyd_") && word != "tallyd_";
            assert!(!is_metric || there.contains(word), "{word} is no metric");
        }
    }
}

#[test]
fn alerts_know_the_limits() {
    let expressions: Vec<String> = rules().iter().map(|(_, rule)| value_of(rule, "expr")).collect();
    for (metric, limit) in [("tallyd_stories", STORIES_MAX), ("tallyd_series_numbered", SERIES_MAX)] {
        let expected = format!("{metric} > 0.9 * {limit}");
        assert!(expressions.contains(&expected), "no {expected} in {expressions:?}");
    }
}
