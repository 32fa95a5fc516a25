//! Answers in, tables out.

use super::*;

const SERIES: &str = r#"{"data":[{"date":"2019-03-16T23:00:00.000Z","value":1},{"date":"2019-03-17T23:00:00.000Z","value":2.5}],
    "summary":{"total":3.5,"min":1,"max":2.5,"avg":1.75}"#;
const POPULARITY: &str = r#"[{"name":"=cmd()","id":"5b07ffafc2376e30306d9b16","usage":66.67,"value":2},
    {"parentId":"5b07ffafc2376e30306d9b16","type":"contextFallback","name":"Fallback Interaction","usage":33.33,"value":1}]"#;

fn series(more: &str) -> String {
    format!("{SERIES}{more}}}")
}

fn lines(name: &str, body: &str, timezone: Option<&str>) -> Vec<String> {
    let report = read(name, None, body.as_bytes()).expect("a report");
    let zone = zone(&QueryArgs { timezone: timezone.map(Into::into), ..QueryArgs::default() });
    let text = layout::table(&report, &zone, Looks::Plain);
    text.lines().map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn path_repeats_values_and_escapes_them() {
    let query = QueryArgs {
        from: Some("2019-3-17".into()),
        timezone: Some("Europe/Warsaw".into()),
        source: vec!["app".into(), "slack,widget".into()],
        ..QueryArgs::default()
    };
    assert_eq!(
        path(("conversations", None), &query),
        "/reports/conversations?from=2019-3-17&timezone=Europe%2FWarsaw&source=app&source=slack%2Cwidget"
    );
    let csv = Some(FormatName::Csv);
    assert_eq!(path(("conversations", csv), &QueryArgs::default()), "/reports/conversations?format=csv");
    assert_eq!(path(("busiest-period", None), &QueryArgs::default()), "/reports/busiest-period");
}

#[test]
fn series_shows_local_dates_and_the_summary() {
    let shown = lines("conversations.average", &series(""), Some("Europe/Warsaw"));
    assert!(shown[0].contains("date (Europe/Warsaw)") && shown[0].contains("value"), "{shown:#?}");
    assert!(shown.iter().any(|line| line.contains("2019-03-17") && line.ends_with('1')), "{shown:#?}");
    assert!(shown.iter().any(|line| line.contains("2019-03-18") && line.ends_with("2.5")), "{shown:#?}");
    assert_eq!(shown.last().map(String::as_str), Some("total 3.5, min 1, max 2.5, avg 1.75"));
}

#[test]
fn series_shows_the_hour_where_units_do_not_begin_at_midnight() {
    let shown = lines("conversations.average", &series(""), None);
    assert!(shown.iter().any(|line| line.contains("2019-03-16 23:00")), "{shown:#?}");
}

#[test]
fn few_groups_are_columns_and_many_are_rows() {
    let group = r#"{"source":"app","data":[{"date":"2019-03-16T23:00:00.000Z","value":9},{"date":"2019-03-17T23:00:00.000Z","value":8}],
        "summary":{"total":17,"min":8,"max":9,"avg":8.5}}"#;
    let few =
        lines("conversations.average", &series(&format!(",\"groups\":[{group}],\"groupsOmitted\":3")), None);
    assert!(few[0].contains("all") && few[0].contains("app"), "{few:#?}");
    assert!(few.iter().any(|line| line.contains("2019-03-16 23:00") && line.ends_with('9')), "{few:#?}");
    assert!(few.iter().any(|line| line.starts_with("3 more groups")), "{few:#?}");
    let many =
        lines("conversations.average", &series(&format!(",\"groups\":[{}]", [group; 8].join(","))), None);
    assert_eq!(
        many.iter().filter(|line| line.contains("app") && line.contains("8.5")).count(),
        8,
        "{many:#?}"
    );
}

/// The text as a terminal shows it.
fn drawn(name: &str, body: &str, looks: Looks) -> String {
    layout::table(&read(name, None, body.as_bytes()).expect("a report"), &Zone::UTC, looks)
}

#[test]
fn terminals_show_bars_and_the_shape_and_files_do_not() {
    let plain = drawn("conversations.average", &series(""), Looks::Plain);
    assert!(!plain.contains('█') && !plain.contains('\u{1b}'), "{plain}");
    for looks in [Looks::Bars, Looks::Colours] {
        let text = drawn("conversations.average", &series(""), looks);
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert!(lines[2].ends_with(&format!("1   {}", "█".repeat(12))), "{text}");
        assert!(lines[3].ends_with(&format!("2.5   {}", "█".repeat(30))), "{text}");
        assert_eq!(lines.last(), Some(&"▄█"), "{text}");
    }
    let popularity = drawn("interactions.popularity", POPULARITY, Looks::Bars);
    assert!(popularity.lines().any(|line| line.trim_end().ends_with(&"█".repeat(30))), "{popularity}");
}

#[test]
fn comparisons_are_columns_and_a_line() {
    let compare = r#","compare":{"from":"2019-03-14T23:00:00.000Z","to":"2019-03-16T23:00:00.000Z","data":[
        {"date":"2019-03-14T23:00:00.000Z","value":2},{"date":"2019-03-15T23:00:00.000Z","value":0},
        {"date":"2019-03-16T22:00:00.000Z","value":7}],"summary":{"total":9,"min":0,"max":7,"avg":3}}"#;
    let shown = lines("conversations.average", &series(compare), Some("Europe/Warsaw"));
    assert!(shown[0].contains("before") && shown[0].ends_with("change"), "{shown:#?}");
    assert!(
        shown.iter().any(|line| line.contains("2019-03-17") && line.ends_with("2   ▼ 50 %")),
        "{shown:#?}"
    );
    assert!(shown.iter().any(|line| line.contains("2019-03-18") && line.ends_with("new")), "{shown:#?}");
    assert!(shown.iter().any(|line| line.trim() == "7"), "{shown:#?}");
    assert_eq!(
        shown.last().map(String::as_str),
        Some("2019-03-15 00:00 to 2019-03-17 00:00: total 9, min 0, max 7, avg 3; change ▼ 61 %")
    );
    let group = r#"{"source":"app","data":[],"summary":{"total":17,"min":8,"max":9,"avg":8.5},
        "compare":{"data":[],"summary":{"total":16,"min":8,"max":8,"avg":8}}}"#;
    let shown = lines("conversations.average", &series(&format!("{compare},\"groups\":[{group}]")), None);
    assert!(
        shown.iter().any(|line| line.starts_with(" app") && line.ends_with("16   ▲ 6.3 %")),
        "{shown:#?}"
    );
}

#[test]
fn hours_that_come_twice_are_told_apart() {
    let night = r#"{"data":[{"date":"2019-10-26T23:00:00.000Z","value":1},{"date":"2019-10-27T00:00:00.000Z","value":2},
        {"date":"2019-10-27T01:00:00.000Z","value":3},{"date":"2019-10-27T02:00:00.000Z","value":4}],
        "summary":{"total":10,"min":1,"max":4,"avg":2.5}}"#;
    let shown = lines("conversations", night, Some("Europe/Warsaw"));
    for (date, value) in [
        ("2019-10-27 01:00", '1'),
        ("2019-10-27 02:00+02:00", '2'),
        ("2019-10-27 02:00+01:00", '3'),
        ("2019-10-27 03:00", '4'),
    ] {
        let is_it = |line: &&String| line.trim().starts_with(&format!("{date} ")) && line.ends_with(value);
        assert_eq!(shown.iter().filter(is_it).count(), 1, "{shown:#?}");
    }
}

#[test]
fn watch_takes_seconds_and_no_format_of_files() {
    let parse = |arguments: &[&str]| {
        let command = <ReportArgs as clap::Args>::augment_args(clap::Command::new("report"));
        let matches = command.try_get_matches_from([&["report"], arguments].concat()).ok()?;
        <ReportArgs as clap::FromArgMatches>::from_arg_matches(&matches).ok().map(|args| args.watch)
    };
    assert_eq!(parse(&["conversations"]), Some(None));
    assert_eq!(parse(&["--watch", "conversations"]), Some(Some(2)));
    assert_eq!(parse(&["conversations", "--watch=10"]), Some(Some(10)));
    assert_eq!(parse(&["conversations", "--watch=0"]), None);
    assert_eq!(parse(&["conversations", "--watch", "--csv"]), None);
}

#[test]
fn average_shows_its_overall_value() {
    let shown = lines("conversations.average", &series(",\"overall\":2.33"), None);
    assert!(shown.last().is_some_and(|line| line.ends_with(", overall 2.33")), "{shown:#?}");
}

#[test]
fn busiest_period_has_a_row_for_each_weekday_and_names_the_top() {
    let days: Vec<String> = (0..7)
        .map(|day| {
            let hours: Vec<String> = (0..24)
                .map(|hour| {
                    let value = if (day, hour) == (3, 14) { 12 } else { 0 };
                    format!(
                        "{{\"day\":{day},\"hour\":{hour},\"value\":{value},\"usage\":{}}}",
                        value / 12 * 100
                    )
                })
                .collect();
            format!("[{}]", hours.join(","))
        })
        .collect();
    let shown = lines("busiest-period", &format!("[{}]", days.join(",")), None);
    for weekday in ["Sunday", "Monday", "Saturday"] {
        assert!(shown.iter().any(|line| line.contains(weekday)), "{shown:#?}");
    }
    assert_eq!(shown.last().map(String::as_str), Some("busiest: Wednesday 14:00, 12 conversations, 100 %"));
}

#[test]
fn popularity_has_a_row_for_each_interaction() {
    let shown = lines("interactions.popularity", POPULARITY, None);
    assert!(
        shown.iter().any(|line| line.contains("contextFallback") && line.ends_with("33.33")),
        "{shown:#?}"
    );
}

#[test]
fn omitted_counts_the_groups_beyond_the_limit() {
    for (omitted, words) in [
        (0, None),
        (1, Some("1 more group was left out by the limit")),
        (2, Some("2 more groups were left out by the limit")),
    ] {
        assert_eq!(layout::omitted(omitted).as_deref(), words);
    }
}

#[test]
fn answer_of_another_shape_is_refused() {
    assert!(read("conversations", None, b"[]").is_err());
    assert!(read("busiest-period", None, b"{}").is_err());
}

#[test]
fn command_takes_the_names_of_the_reports_and_no_other() {
    let command = || <ReportArgs as clap::Args>::augment_args(clap::Command::new("report"));
    for name in ReportName::ALL.map(ReportName::as_str) {
        assert!(command().try_get_matches_from(["report", name]).is_ok(), "{name}");
    }
    assert!(command().try_get_matches_from(["report", "conversation"]).is_err());
}
