//! Pictures of cost against size: panels of lines, both axes logarithmic, in one SVG file that needs no font, script or
//! other file, and has colours for a light and a dark background. The same figures make the same bytes.
//!
//! In such a panel a cost that follows the size is a straight line: flat where it is of one unit of the size, and up by a
//! decade for each decade of the size where it is of all of them.

use std::fmt::{self, Write as _};
use std::path::Path;

const COLUMNS: usize = 2;
/// Width and height of what the lines are drawn on, in pixels.
const PLOT: (f64, f64) = (300.0, 170.0);
/// Room above it for its title, below it for the sizes, left of it for the costs.
const ABOVE: f64 = 44.0;
const BELOW: f64 = 46.0;
const BESIDE: f64 = 62.0;
/// Room above all panels for the title of the picture.
const HEAD: f64 = 44.0;
/// Least distance between the names of two lines, one above the other.
const NAME_HEIGHT: f64 = 15.0;
/// About as wide as a letter of them.
const LETTER_WIDTH: f64 = 6.9;
/// Steps of an axis within a decade.
const STEPS: [f64; 3] = [1.0, 2.0, 5.0];
/// Steps of a decade are named up to so many decades; above, only the decades are.
const DECADES_WITH_STEPS: f64 = 2.1;
/// Of the lines, in turn: on light and on dark.
const COLOURS: [(&str, &str); 6] = [
    ("#2456c8", "#86abff"),
    ("#a1490e", "#f0a35a"),
    ("#007a5d", "#5fcf97"),
    ("#9c2f8a", "#e08fd2"),
    ("#6b5b00", "#d8c24a"),
    ("#464e5c", "#b9c1cd"),
];

/// Costs against one size.
pub(crate) struct Picture {
    title: String,
    /// What is counted along the horizontal axis of all panels.
    size: String,
    panels: Vec<Panel>,
}

/// The costs that are measured in one unit.
pub(crate) struct Panel {
    title: String,
    unit: String,
    lines: Vec<Line>,
}

struct Line {
    name: String,
    /// Size and cost.
    points: Vec<(f64, f64)>,
}

impl Picture {
    pub(crate) fn new(title: &str, size: &str) -> Self {
        Self { title: title.to_owned(), size: size.to_owned(), panels: Vec::new() }
    }

    /// The panel of this title, which is added where there is none.
    pub(crate) fn panel(&mut self, title: &str, unit: &str) -> &mut Panel {
        let found = self.panels.iter().position(|panel| panel.title == title);
        let index = found.unwrap_or(self.panels.len());
        if found.is_none() {
            self.panels.push(Panel { title: title.to_owned(), unit: unit.to_owned(), lines: Vec::new() });
        }
        &mut self.panels[index]
    }

    pub(crate) fn write(&self, path: &Path) {
        std::fs::write(path, self.svg()).expect("the picture can be written");
    }

    /// The text of the file.
    pub(crate) fn svg(&self) -> String {
        let names = self.panels.iter().flat_map(|panel| &panel.lines).map(Line::label);
        let longest = names.map(|name| name.chars().count()).max().unwrap_or(0);
        let panel_width = BESIDE + PLOT.0 + 20.0 + longest as f64 * LETTER_WIDTH;
        let panel_height = ABOVE + PLOT.1 + BELOW;
        let rows = self.panels.len().div_ceil(COLUMNS);
        let width = panel_width * COLUMNS.min(self.panels.len()).max(1) as f64;
        let height = HEAD + panel_height * rows as f64;
        let mut svg = String::new();
        self.write_head(&mut svg, (width, height)).expect("a string takes everything");
        for (index, panel) in self.panels.iter().enumerate() {
            let left = panel_width * (index % COLUMNS) as f64 + BESIDE;
            let top = HEAD + panel_height * (index / COLUMNS) as f64 + ABOVE;
            panel.write(&mut svg, (left, top), &self.size).expect("a string takes everything");
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn write_head(&self, svg: &mut String, (width, height): (f64, f64)) -> fmt::Result {
        let title = escaped(&self.title);
        writeln!(
            svg,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}" role="img" aria-label="{title}">"#
        )?;
        writeln!(svg, "<title>{title}</title>\n<style>")?;
        writeln!(svg, "text {{ font: 12px system-ui, sans-serif; fill: #464e5c; }}")?;
        writeln!(svg, "text.title {{ font-size: 16px; font-weight: 600; fill: #161a22; }}")?;
        writeln!(svg, "text.panel {{ font-size: 13px; font-weight: 600; fill: #161a22; }}")?;
        writeln!(
            svg,
            ".page {{ fill: #ffffff; }} .grid {{ stroke: #dfe3e9; }} .frame {{ stroke: #8a93a3; }}"
        )?;
        writeln!(svg, ".line {{ fill: none; stroke-width: 2; stroke-linejoin: round; }}")?;
        for (index, (light, _)) in COLOURS.iter().enumerate() {
            writeln!(
                svg,
                ".line.c{index} {{ stroke: {light}; }} circle.c{index}, text.c{index} {{ fill: {light}; }}"
            )?;
        }
        writeln!(svg, "@media (prefers-color-scheme: dark) {{")?;
        writeln!(svg, "text {{ fill: #b9c1cd; }} text.title, text.panel {{ fill: #e9ecf2; }}")?;
        writeln!(
            svg,
            ".page {{ fill: #161a21; }} .grid {{ stroke: #2b323d; }} .frame {{ stroke: #8691a2; }}"
        )?;
        for (index, (_, dark)) in COLOURS.iter().enumerate() {
            writeln!(
                svg,
                ".line.c{index} {{ stroke: {dark}; }} circle.c{index}, text.c{index} {{ fill: {dark}; }}"
            )?;
        }
        writeln!(svg, "}}\n</style>\n<rect class=\"page\" width=\"100%\" height=\"100%\"/>")?;
        writeln!(svg, r#"<text class="title" x="{BESIDE}" y="30">{title}</text>"#)
    }
}

impl Panel {
    /// Adds what so much costs to the line of this name, which is added where there is none. Sizes come in order.
    pub(crate) fn point(&mut self, line: &str, (size, cost): (f64, f64)) {
        assert!(size > 0.0 && cost > 0.0 && size * cost < f64::MAX, "{line}: no place for {cost} at {size}");
        let found = self.lines.iter().position(|known| known.name == line);
        let index = found.unwrap_or(self.lines.len());
        if found.is_none() {
            self.lines.push(Line { name: line.to_owned(), points: Vec::new() });
        }
        self.lines[index].points.push((size, cost));
    }

    fn write(&self, svg: &mut String, (left, top): (f64, f64), size: &str) -> fmt::Result {
        let (sizes, costs) =
            (Axis::of_decades(&self.all(|point| point.0)), Axis::of_steps(&self.all(|point| point.1)));
        let at = |size: f64| left + PLOT.0 * sizes.share(size);
        let height = |cost: f64| top + PLOT.1 * (1.0 - costs.share(cost));
        let (right, bottom) = (left + PLOT.0, top + PLOT.1);
        writeln!(
            svg,
            r#"<text class="panel" x="{left:.1}" y="{:.1}">{}</text>"#,
            top - 24.0,
            escaped(&self.title)
        )?;
        writeln!(svg, r#"<text x="{left:.1}" y="{:.1}">{}</text>"#, top - 9.0, escaped(&self.unit))?;
        for cost in costs.ticks() {
            let y = height(cost);
            writeln!(svg, r#"<path class="grid" d="M{left:.1} {y:.1}H{right:.1}"/>"#)?;
            let (x, y, number) = (left - 7.0, y + 4.0, number(cost));
            writeln!(svg, r#"<text text-anchor="end" x="{x:.1}" y="{y:.1}">{number}</text>"#)?;
        }
        for size in sizes.ticks() {
            let x = at(size);
            writeln!(svg, r#"<path class="grid" d="M{x:.1} {top:.1}V{bottom:.1}"/>"#)?;
            let (y, number) = (bottom + 17.0, number(size));
            writeln!(svg, r#"<text text-anchor="middle" x="{x:.1}" y="{y:.1}">{number}</text>"#)?;
        }
        let (x, y) = (left + PLOT.0 / 2.0, bottom + 34.0);
        writeln!(svg, r#"<text text-anchor="middle" x="{x:.1}" y="{y:.1}">{}</text>"#, escaped(size))?;
        writeln!(svg, r#"<path class="frame" fill="none" d="M{left:.1} {top:.1}V{bottom:.1}H{right:.1}"/>"#)?;
        for (index, line) in self.lines.iter().enumerate() {
            let colour = index % COLOURS.len();
            let path: Vec<_> = line
                .points
                .iter()
                .map(|&(size, cost)| format!("{:.1} {:.1}", at(size), height(cost)))
                .collect();
            writeln!(svg, r#"<path class="line c{colour}" d="M{}"/>"#, path.join("L"))?;
            for &(size, cost) in &line.points {
                let text = format!("{}: {} at {}", line.name, number(cost), number(size));
                let (x, y, text) = (at(size), height(cost), escaped(&text));
                writeln!(
                    svg,
                    r#"<circle class="c{colour}" cx="{x:.1}" cy="{y:.1}" r="3"><title>{text}</title></circle>"#
                )?;
            }
        }
        let ends: Vec<f64> = self.lines.iter().map(|line| height(line.last().1)).collect();
        for ((index, line), y) in self.lines.iter().enumerate().zip(apart(&ends)) {
            let (colour, x, y) = (index % COLOURS.len(), at(line.last().0) + 9.0, y + 4.0);
            writeln!(
                svg,
                r#"<text class="c{colour}" x="{x:.1}" y="{y:.1}">{}</text>"#,
                escaped(&line.label())
            )?;
        }
        Ok(())
    }

    /// One number of each point of every line.
    fn all(&self, part: impl Fn(&(f64, f64)) -> f64) -> Vec<f64> {
        self.lines.iter().flat_map(|line| &line.points).map(part).collect()
    }
}

impl Line {
    fn last(&self) -> (f64, f64) {
        *self.points.last().expect("a line begins with a point")
    }

    /// Stands beside the last point.
    fn label(&self) -> String {
        format!("{} {}", self.name, number(self.last().1))
    }
}

/// A logarithmic axis, by its least and its greatest value.
struct Axis {
    least: f64,
    most: f64,
}

impl Axis {
    /// From a power of ten to another one.
    fn of_decades(values: &[f64]) -> Self {
        let (least, most) = extremes(values);
        // Rounding must not take a power of ten for a little more or less than it is.
        let first = (least.log10() + 1e-9).floor();
        let end = (most.log10() - 1e-9).ceil().max(first + 1.0);
        Self { least: 10_f64.powf(first), most: 10_f64.powf(end) }
    }

    /// From a step to another one, a decade at least, so that what changes little looks like it.
    fn of_steps(values: &[f64]) -> Self {
        let (least, most) = extremes(values);
        let steps = |first: f64, last: f64| {
            let decades = first.log10().floor() as i32 - 1..=last.log10().ceil() as i32 + 1;
            decades.flat_map(|decade| STEPS.map(|step| step * 10_f64.powi(decade))).collect::<Vec<_>>()
        };
        let near = steps(least, most);
        let below = near.iter().copied().filter(|step| *step <= least * 1.000_001).fold(f64::MIN, f64::max);
        let above = near.iter().copied().filter(|step| *step >= most * 0.999_999).fold(f64::MAX, f64::min);
        let mut axis = Self { least: below, most: above };
        while axis.most / axis.least < 9.9 {
            let around = steps(axis.least / 10.0, axis.most * 10.0);
            let is_below = axis.most / most > least / axis.least;
            if is_below {
                let next = around.iter().copied().filter(|step| *step < axis.least * 0.999);
                axis.least = next.fold(f64::MIN, f64::max);
            } else {
                let next = around.iter().copied().filter(|step| *step > axis.most * 1.001);
                axis.most = next.fold(f64::MAX, f64::min);
            }
        }
        axis
    }

    /// How far along the axis the value is: 0 … 1.
    fn share(&self, value: f64) -> f64 {
        (value / self.least).log10() / (self.most / self.least).log10()
    }

    /// The values that are named.
    fn ticks(&self) -> Vec<f64> {
        let (first, last) = (self.least.log10().floor() as i32, self.most.log10().ceil() as i32);
        let steps: &[f64] = if f64::from(last - first) > DECADES_WITH_STEPS { &STEPS[..1] } else { &STEPS };
        (first..=last)
            .flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade)))
            .filter(|value| (self.least * 0.999..=self.most * 1.001).contains(value))
            .collect()
    }
}

fn extremes(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(*value), most.max(*value)))
}

/// The heights of names beside lines that end at these, moved down so that none is on another one.
fn apart(ends: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..ends.len()).collect();
    order.sort_by(|a, b| ends[*a].total_cmp(&ends[*b]));
    let mut heights = ends.to_vec();
    let mut limit = f64::MIN;
    for index in order {
        heights[index] = heights[index].max(limit);
        limit = heights[index] + NAME_HEIGHT;
    }
    heights
}

/// A number for people: three digits of it, with its thousands apart, and millions by name.
fn number(value: f64) -> String {
    let (value, unit) = if value >= 1e6 { (value / 1e6, " M") } else { (value, "") };
    let decimals = (2 - value.log10().floor() as i32).clamp(0, 9) as usize;
    let text = format!("{value:.decimals$}");
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    let mut apart = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            apart.push(',');
        }
        apart.push(digit);
    }
    let rest = rest.trim_end_matches('0');
    let point = if rest.is_empty() { "" } else { "." };
    format!("{apart}{point}{rest}{unit}")
}

/// The text as it may stand in an element or in an attribute with quotation marks.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
