//! Converts `OpenMetrics` text to the classic Prometheus text format, whose parsers expect a family and its samples to
//! have the same name: `# TYPE x counter` with samples `x_total` would be a family without samples and samples without a type.

/// The same metrics in the classic format.
pub(super) fn from_openmetrics(text: &str) -> String {
    let mut classic = String::with_capacity(text.len().saturating_add(1024));
    // The HELP line of a family comes before the TYPE line that decides its name.
    let mut help = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let Some((name, kind)) = rest.split_once(' ') else { continue };
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            if let Some((_, words)) = help.take() {
                classic.extend(["# HELP ", name, suffix, " ", words, "\n"]);
            }
            classic.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
        } else if !line.starts_with('#') {
            classic.extend([line, "\n"]);
        }
    }
    classic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_openmetrics_names_families_as_their_samples() {
        let open = "\
# HELP a_build What is running.
# TYPE a_build info
a_build_info{version=\"1\"} 1
# HELP a_lines Lines.
# TYPE a_lines counter
a_lines_total{k=\"# TYPE\"} 3
# TYPE a_open gauge
a_open 2
# EOF
";
        let classic = "\
# HELP a_build_info What is running.
# TYPE a_build_info gauge
a_build_info{version=\"1\"} 1
# HELP a_lines_total Lines.
# TYPE a_lines_total counter
a_lines_total{k=\"# TYPE\"} 3
# TYPE a_open gauge
a_open 2
";
        assert_eq!(from_openmetrics(open), classic);
    }
}
