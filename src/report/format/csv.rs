//! Reports as comma-separated values: a heading, then one row a value. Names come from clients, so no cell begins like a
//! formula of a sheet, and control characters are spelled out.

use super::ReportPart;
use super::number::write_figure;
use super::output::TextOutput;
use crate::model::calendar::Instants;
use crate::model::event::Node;
use crate::model::excerpt::printable;
use crate::report::columns::Points;
use crate::report::groups::Group;
use crate::report::popularity::PopularityRow;
use crate::report::series::SeriesReport;

/// Points that are written at a time; between them a part may end.
const POINTS_AT_A_TIME: usize = 1_024;

pub(super) fn write(part: ReportPart<'_>, out: &mut TextOutput) {
    match part {
        ReportPart::Whole(report) => match &report.groups {
            None => {
                out.text().extend_from_slice(b"date,value\n");
                write_points(b"", &report.points, report, out);
            }
            // A sheet of groups has only the groups, so that its columns add up to the whole.
            Some(groups) => {
                out.text().extend_from_slice(groups.by.as_str().as_bytes());
                out.text().extend_from_slice(b",name,date,value\n");
            }
        },
        ReportPart::Group(report, _, group) => write_group(report, group, out),
        ReportPart::Weekday(report, day, hours) => {
            let text = out.text();
            if day == 0 {
                text.extend_from_slice(b"day,hour,value,usage\n");
            }
            for (hour, value) in hours.iter().enumerate() {
                let usage = report.usage(*value);
                text.extend_from_slice(format!("{day},{hour},{value},{usage}\n").as_bytes());
            }
        }
        ReportPart::Interaction(place, row) => {
            let text = out.text();
            if place == 0 {
                text.extend_from_slice(INTERACTIONS);
            }
            write_interaction(row, text);
        }
        ReportPart::End(super::Report::Popularity(report)) if report.rows.is_empty() => {
            out.text().extend_from_slice(INTERACTIONS);
        }
        ReportPart::End(_) => {}
    }
}

const INTERACTIONS: &[u8] = b"type,id,parentId,name,value,usage\n";

fn write_group(report: &SeriesReport, group: &Group, out: &mut TextOutput) {
    let head = format!("{},{},", group.key.text(), cell(group.name.as_deref().unwrap_or_default()));
    write_points(head.as_bytes(), &group.points, report, out);
}

/// Writes a row for each point; every row begins with `head`.
fn write_points(head: &[u8], points: &Points, report: &SeriesReport, out: &mut TextOutput) {
    let mut instants = Instants::default();
    let mut date = [0; 24];
    let mut figures = points.figures();
    for starts in report.starts.chunks(POINTS_AT_A_TIME) {
        let text = out.text();
        for (start, figure) in starts.iter().zip(figures.by_ref()) {
            instants.write(*start, &mut date);
            text.extend_from_slice(head);
            text.extend_from_slice(&date);
            text.push(b',');
            write_figure(figure, text);
            text.push(b'\n');
        }
    }
}

fn write_interaction(row: &PopularityRow, text: &mut Vec<u8>) {
    let (kind, id, parent) = match &row.node {
        Node::Interaction(id) => ("interaction", id.0.as_str(), ""),
        Node::ContextFallback(parent) => ("contextFallback", "", parent.0.as_str()),
        Node::Fallback => ("fallback", "", ""),
        Node::Welcome => ("welcome", "", ""),
    };
    let (name, value, usage) = (cell(row.name()), row.value, row.usage());
    text.extend_from_slice(format!("{kind},{id},{parent},{name},{value},{usage}\n").as_bytes());
}

/// A text that came from outside, as a cell.
fn cell(text: &str) -> String {
    let shown = printable(text);
    let guard = if shown.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
    // No carriage return or line feed is left in it.
    if shown.contains([',', '"']) {
        format!("\"{guard}{}\"", shown.replace('"', "\"\""))
    } else {
        format!("{guard}{shown}")
    }
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn cells_that_look_like_formulas_or_have_commas_are_quoted() {
        for (text, expected) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@a", "'@a"),
            ("a=1", "a=1"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("@shop, \"main\"", "\"'@shop, \"\"main\"\"\""),
            ("a\nb\u{202e}", "a\\u{a}b\\u{202e}"),
        ] {
            assert_eq!(cell(text), expected);
        }
    }
}
