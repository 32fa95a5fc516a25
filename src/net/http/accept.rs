//! Which kind of answer the header `Accept` asks for. Pure.

use hyper::header::{ACCEPT, HeaderMap};

use super::accept_encoding::{WHOLE_WEIGHT, parse_weight};

/// Whether the client names `text/csv` and gives JSON less weight. `*/*` is JSON as well.
pub(super) fn prefers_csv(headers: &HeaderMap) -> bool {
    let given = || headers.get_all(ACCEPT).iter().map(hyper::header::HeaderValue::as_bytes);
    // Nearly nobody names it, and the rest of the work is only for those who do.
    let names_csv = |value: &[u8]| value.windows(8).any(|part| part.eq_ignore_ascii_case(b"text/csv"));
    if !given().any(names_csv) {
        return false;
    }
    let mut csv = 0;
    // By how exactly the range names JSON, then its weight.
    let mut json = (0, 0);
    for range in
        given().filter_map(|value| std::str::from_utf8(value).ok()).flat_map(|value| value.split(','))
    {
        let mut parts = range.split(';').map(str::trim);
        let Some(kind) = parts.next() else { continue };
        let weight = parts.find(|part| part.starts_with(['q', 'Q']));
        let weight = weight.map_or(WHOLE_WEIGHT, |text| parse_weight(text).unwrap_or(0));
        let exactness = match kind.to_ascii_lowercase().as_str() {
            "text/csv" => {
                csv = csv.max(weight);
                continue;
            }
            "application/json" => 3,
            "application/*" => 2,
            "*/*" => 1,
            _ => continue,
        };
        json = json.max((exactness, weight));
    }
    csv > json.1
}

/// Whether `Accept` has HTML by name, and not with the weight 0.
pub(super) fn takes_html(asked: &HeaderMap) -> bool {
    let lists = asked.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_html = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("text/html"));
        is_html && parts.filter(|part| part.starts_with(['q', 'Q'])).all(|part| parse_weight(part) != Some(0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_sent_where_it_is_named_with_more_weight_than_json() {
        for (values, expected) in [
            (&[][..], false),
            (&["*/*"], false),
            (&["text/*"], false),
            (&["application/json"], false),
            (&["text/csv"], true),
            (&["TEXT/CSV; header=present"], true),
            (&["text/csv, application/json"], false),
            (&["text/csv, */*"], false),
            (&["text/csv, */*;q=0.9"], true),
            (&["text/csv", "application/json;q=0.5"], true),
            (&["text/csv;q=0.5, application/json"], false),
            (&["text/csv;q=0.5, application/json;q=0.4"], true),
            (&["text/csv;q=0.55, application/json;q=0.551"], false),
            // The range that names JSON more exactly decides about it.
            (&["text/csv;q=0.5, application/json;q=0.1, */*"], true),
            (&["text/csv;q=0.5, application/*;q=0.6, */*;q=0.1"], false),
            (&["text/csv;q=0"], false),
            (&["text/csv;header=present;q=0.0"], false),
            (&["text/html,application/xhtml+xml,*/*;q=0.8"], false),
            (&["text/csvx"], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(ACCEPT, value.parse().expect("a value"));
            }
            assert_eq!(prefers_csv(&headers), expected, "{values:?}");
        }
    }

    fn check_html(list: &'static str, expected: bool) {
        let asked = HeaderMap::from_iter([(ACCEPT, hyper::header::HeaderValue::from_static(list))]);
        assert_eq!(takes_html(&asked), expected, "{list}");
    }

    #[test]
    fn html_is_taken_where_it_is_named() {
        check_html("text/html", true);
        check_html("application/xhtml+xml, Text/HTML;q=0.9 , */*;q=0.8", true);
        check_html("text/html; level=1", true);
        check_html("*/*", false);
        check_html("text/*", false);
        check_html("text/html;q=0", false);
        check_html("text/html; Q=0.000", false);
        check_html("text/html;level=2; q=0.1", true);
        check_html("text/htmlx", false);
        check_html("", false);
    }
}
