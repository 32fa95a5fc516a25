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
    let text = layout::table(
        &report,
        &zone(&QueryArgs { timezone: timezone.map(Into::into), ..QueryArgs::default() }),
    );
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
