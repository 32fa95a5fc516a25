//! Reports as comma-separated values: a heading, then one row a value. Names come from clients, so no cell begins like a
//! formula of a sheet, and control characters are spelled out.

use super::ReportPart;
use super::number::{write_figure, write_whole};
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
                out.text().extend_from_slice(groups.by().as_str().as_bytes());
                out.text().extend_from_slice(b",name,date,value\n");
            }
        },
        ReportPart::Group(report, _, group) => write_group(report, group, out),
        ReportPart::Weekday(report, day, hours) => {
            let text = out.text();
            if day == 0 {
                text.extend_from_slice(b"day,hour,value,usage\n");
            }
            for (hour, value) in (0_u64..).zip(hours) {
                write_whole(u64::try_from(day).unwrap_or(0), text);
                text.push(b',');
                write_whole(hour, text);
                text.push(b',');
                write_whole(*value, text);
                text.push(b',');
                write_figure(report.usage(*value), text);
                text.push(b'\n');
            }
        }
        ReportPart::Interaction(place, row) => {
            let text = out.text();
            if place == 0 {
                text.extend_from_slice(INTERACTIONS);
            }
            write_interaction(row, text);
        }
        ReportPart::End(super::Report::Popularity(report)) if report.rows().is_empty() => {
            out.text().extend_from_slice(INTERACTIONS);
        }
        ReportPart::End(_) => {}
    }
}

const INTERACTIONS: &[u8] = b"type,id,parentId,name,value,usage\n";

fn write_group(report: &SeriesReport, group: &Group, out: &mut TextOutput) {
    let mut head = Vec::new();
    head.extend_from_slice(group.key().text().as_bytes());
    head.push(b',');
    write_cell(group.name().unwrap_or_default(), &mut head);
    head.push(b',');
    write_points(&head, group.points(), report, out);
}

/// Writes a row for each point; every row begins with `head`.
fn write_points(head: &[u8], points: &Points, report: &SeriesReport, out: &mut TextOutput) {
    let mut instants = Instants::default();
    let mut date = [0; 24];
    let mut figures = points.figures();
    for starts in report.dates().chunks(POINTS_AT_A_TIME) {
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
    let (kind, id, parent) = match row.node() {
        Node::Interaction(id) => ("interaction", id.0.as_str(), ""),
        Node::ContextFallback(parent) => ("contextFallback", "", parent.0.as_str()),
        Node::Fallback => ("fallback", "", ""),
        Node::Welcome => ("welcome", "", ""),
    };
    for cell in [kind, id, parent] {
        text.extend_from_slice(cell.as_bytes());
        text.push(b',');
    }
    write_cell(row.name(), text);
    text.push(b',');
    write_whole(row.value(), text);
    text.push(b',');
    write_figure(row.usage(), text);
    text.push(b'\n');
}

/// Writes a text that came from outside.
fn write_cell(text: &str, out: &mut Vec<u8>) {
    let shown = printable(text);
    let guard = if shown.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
    // No carriage return or line feed is left in it.
    if shown.contains([',', '"']) {
        out.extend_from_slice(format!("\"{guard}{}\"", shown.replace('"', "\"\"")).as_bytes());
    } else {
        out.extend_from_slice(guard.as_bytes());
        out.extend_from_slice(shown.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::write_cell;

    #[test]
    fn cells_that_look_like_formulas_or_have_commas_are_quoted() {
        for (text, cell) in [
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
            let mut out = Vec::new();
            write_cell(text, &mut out);
            assert_eq!(out, cell.as_bytes());
        }
    }
}
