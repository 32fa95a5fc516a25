//! What a scrape shows.

use std::time::Duration;

use super::{Listener, MetricReading, MetricValue, Metrics};
use crate::intake::batching::Tally;
use crate::report::ReportName;

#[test]
fn render_shows_what_was_counted() {
    let metrics = Metrics::default();
    metrics.events(Listener::Http, &Tally { conversations: 3, messages: 2, interactions: 1, rejected: 4 });
    metrics.events_refused(Listener::Tcp, 7);
    metrics.bytes_received(Listener::Tcp, 95);
    metrics.connection_opened(Listener::Http);
    metrics.connection_opened(Listener::Http);
    metrics.connection_closed(Listener::Http);
    metrics.connection_refused(Listener::Tcp);
    metrics.answers_dropped(5);
    metrics.http_answered(204);
    metrics.http_answered(418);
    metrics.report_answered(ReportName::ALL[0], Duration::from_micros(30));
    let text = metrics.render(
        1_552_815_000_250,
        vec![
            ("journal_bytes", "Bytes", MetricValue::Counter(12)).into(),
            MetricReading::from(("answers", "Answers", MetricValue::Counter(3))).labelled("kind", "yes"),
            MetricReading::from(("answers", "Answers", MetricValue::Counter(4))).labelled("kind", "no"),
            ("series", "Series", MetricValue::Gauge(9)).into(),
            ("uptime_seconds", "Uptime", MetricValue::GaugeFloat(1.5)).into(),
        ],
    );
    for line in [
        r#"tallyd_events_total{listener="http",kind="conversation",outcome="accepted"} 3"#,
        r#"tallyd_events_total{listener="http",kind="unknown",outcome="rejected"} 4"#,
        r#"tallyd_events_total{listener="tcp",kind="unknown",outcome="refused"} 7"#,
        r#"tallyd_events_total{listener="tcp",kind="message",outcome="accepted"} 0"#,
        r#"tallyd_received_bytes_total{listener="tcp"} 95"#,
        r#"tallyd_connections{listener="http"} 1"#,
        r#"tallyd_connections_opened_total{listener="http"} 2"#,
        r#"tallyd_connections_refused_total{listener="tcp"} 1"#,
        "tallyd_tcp_answers_dropped_total 5",
        r#"tallyd_http_responses_total{status="204"} 1"#,
        r#"tallyd_http_responses_total{status="other"} 1"#,
        r#"tallyd_report_duration_seconds_count{report="conversations"} 1"#,
        r#"tallyd_report_duration_seconds_count{report="busiest-period"} 0"#,
        "tallyd_journal_bytes_total 12",
        "tallyd_series 9",
        "tallyd_uptime_seconds 1.5",
        "process_start_time_seconds 1552815000.25",
    ] {
        assert!(text.lines().any(|shown| shown == line), "no line `{line}` in\n{text}");
    }
    assert!(text.contains("# TYPE tallyd_events_total counter\n"), "{text}");
    let both = "# TYPE tallyd_answers_total counter\ntallyd_answers_total{kind=\"yes\"} 3\ntallyd_answers_total{kind=\"no\"} 4\n";
    assert!(text.contains(both), "{text}");
    assert!(text.contains("tallyd_build_info{version="), "{text}");
    assert!(text.contains("process_resident_memory_bytes "));
}
