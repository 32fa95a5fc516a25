#![expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "the module belongs to a measuring program, and a test may fail by panic"
)]
//! The pictures that `benches/load` draws: well formed, alike for like figures, and with every point in its place.

#[path = "../benches/load/picture.rs"]
mod picture;

use picture::Picture;

fn sample() -> Picture {
    let mut picture = Picture::new("Cost <by> \"size\" & more", "stories");
    for (size, cost) in [(1_000.0, 0.12), (10_000.0, 0.13), (100_000.0, 0.38)] {
        picture.panel("Ingest", "CPU s per million events").point("first & only", (size, cost));
        picture.panel("Ingest", "CPU s per million events").point("again", (size, cost * 1.01));
        picture.panel("Restart", "s").point("after kill -9", (size, size / 1e6));
    }
    picture
}

/// What the bench leaves beside its results.
fn write_to(folder: &std::path::Path) -> String {
    let path = folder.join("cost.svg");
    sample().write(&path);
    std::fs::read_to_string(path).unwrap()
}

/// Names of elements that are open, after all tags of the text; fails where tags do not match.
fn open_elements(svg: &str) -> Vec<&str> {
    let mut open = Vec::new();
    for piece in svg.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').expect("each tag ends");
        assert!(!text.contains('>'), "a bare > in {text:?}");
        let quotes = tag.matches('"').count();
        assert!(quotes.is_multiple_of(2), "an attribute without an end in {tag:?}");
        for part in [tag, text] {
            for entity in part.split('&').skip(1) {
                let name = entity.split(';').next().unwrap();
                assert!(["amp", "lt", "gt", "quot"].contains(&name), "a bare & in {part:?}");
            }
        }
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "the tag </{name}> ends something else");
        } else if !tag.ends_with('/') {
            open.push(tag.split([' ', '\n']).next().unwrap());
        }
    }
    open
}

/// The numbers of one attribute of all such elements.
fn numbers(svg: &str, element: &str, attribute: &str) -> Vec<f64> {
    let tags = svg.split('<').filter(|tag| tag.starts_with(&format!("{element} ")));
    let value = |tag: &str| {
        let (_, rest) = tag.split_once(&format!(" {attribute}=\""))?;
        rest.split('"').next()?.parse().ok()
    };
    tags.filter_map(value).collect()
}

#[test]
fn picture_is_well_formed_and_its_text_is_escaped() {
    let svg = sample().svg();
    assert_eq!(open_elements(&svg), Vec::<&str>::new());
    assert!(svg.starts_with("<svg ") && svg.contains("first &amp; only 0.38"));
    assert!(svg.contains("Cost &lt;by&gt; &quot;size&quot; &amp; more"));
}

#[test]
fn same_figures_make_the_same_picture_which_needs_no_other_file() {
    let svg = sample().svg();
    assert_eq!(svg, write_to(tempfile::tempdir().unwrap().path()));
    for word in ["href", "url(", "@import", "@font-face", "<script", "NaN", "inf"] {
        assert!(!svg.contains(word), "{word} in the picture");
    }
    assert!(svg.contains("prefers-color-scheme: dark"));
}

#[test]
fn points_stand_by_the_logarithm_of_size_and_cost() {
    let svg = sample().svg();
    let (x, y) = (numbers(&svg, "circle", "cx"), numbers(&svg, "circle", "cy"));
    // Three of each line, in the order of panels and lines.
    assert_eq!(x.len(), 9);
    for line in [0, 3, 6] {
        assert!(
            (x[line + 1] - x[line] - (x[line + 2] - x[line + 1])).abs() < 0.2,
            "a decade is as wide as the next"
        );
    }
    assert!((y[6] - y[7] - (y[7] - y[8])).abs() < 0.2 && y[6] > y[8], "ten times the cost is as high again");
    assert!(y[0] > y[2] && (y[0] - y[1]).abs() < 8.0, "what changes little looks like it");
}

#[test]
fn names_of_lines_that_end_together_stand_apart() {
    let svg = sample().svg();
    let labels = svg.lines().filter(|line| line.starts_with("<text class=\"c")).collect::<String>();
    let y = numbers(&labels, "text", "y");
    assert_eq!(y.len(), 3);
    assert!((y[0] - y[1]).abs() >= 14.9, "{} and {} are on one another", y[0], y[1]);
}

#[test]
fn cost_of_nothing_has_no_place() {
    let draw = |cost: f64| {
        std::panic::catch_unwind(|| Picture::new("", "").panel("", "").point("line", (1.0, cost))).is_ok()
    };
    assert!(draw(1.0) && !draw(0.0) && !draw(-1.0) && !draw(f64::NAN) && !draw(f64::INFINITY));
}
