//! Which codings a client takes (`Accept-Encoding`, RFC 9110, section 12.5.3). Pure; knows nothing of answers.

use hyper::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};

use super::inflate::Encoding;

/// How much a client wants a coding, in thousandths; nothing at 0.
type Weight = u16;
pub(super) const WHOLE_WEIGHT: Weight = 1_000;

/// What a client says of the codings that tallyd has; `None` where it says nothing of one.
#[derive(Clone, Copy, Debug, Default)]
struct Wanted {
    gzip: Option<Weight>,
    zstd: Option<Weight>,
    identity: Option<Weight>,
    others: Option<Weight>,
}

/// The coding that the client wants most; of two that it wants alike, `preferred`. As it is where it names none, wants that
/// more, or cannot be understood.
pub(super) fn wanted(asked: &HeaderMap, preferred: Encoding) -> Encoding {
    let mut wanted = Wanted::default();
    for list in asked.get_all(ACCEPT_ENCODING).iter().filter_map(|list| HeaderValue::to_str(list).ok()) {
        list.split(',').for_each(|element| wanted.note(element));
    }
    let weight = |named: Option<Weight>| named.or(wanted.others).unwrap_or(0);
    let (gzip, zstd) = (weight(wanted.gzip), weight(wanted.zstd));
    let prefers_zstd = zstd > gzip || (zstd == gzip && preferred == Encoding::Zstd);
    let (encoding, weight) = if prefers_zstd { (Encoding::Zstd, zstd) } else { (Encoding::Gzip, gzip) };
    if weight == 0 || wanted.identity > Some(weight) { Encoding::Identity } else { encoding }
}

impl Wanted {
    /// Takes one element of the list; of a coding that is named twice the last counts.
    fn note(&mut self, element: &str) {
        let (coding, parameters) = element.split_once(';').map_or((element, None), |(c, p)| (c, Some(p)));
        let place = match coding.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => &mut self.gzip,
            "zstd" => &mut self.zstd,
            "identity" => &mut self.identity,
            "*" => &mut self.others,
            _ => return,
        };
        *place = Some(parameters.map_or(WHOLE_WEIGHT, |text| parse_weight(text).unwrap_or(0)));
    }
}

/// `q=0.5`: at most three digits after the point.
pub(super) fn parse_weight(text: &str) -> Option<Weight> {
    let text = text.trim();
    let number = text.strip_prefix("q=").or_else(|| text.strip_prefix("Q="))?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: Weight = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(WHOLE_WEIGHT),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lists: &[&str], preferred: Encoding, expected: Encoding) {
        let mut asked = HeaderMap::new();
        for list in lists {
            asked.append(ACCEPT_ENCODING, HeaderValue::from_str(list).unwrap());
        }
        assert_eq!(wanted(&asked, preferred), expected, "{lists:?}, {preferred:?} rather");
    }

    #[test]
    fn a_coding_is_used_where_it_is_asked_for() {
        use Encoding::{Gzip, Identity, Zstd};
        for preferred in [Gzip, Zstd] {
            check(&[], preferred, Identity);
            for (list, expected) in [
                ("", Identity),
                ("gzip", Gzip),
                ("X-GZIP", Gzip),
                ("zstd", Zstd),
                ("deflate, br", Identity),
                ("br, gzip;q=0.5", Gzip),
                ("gzip;q=0", Identity),
                ("gzip;q=0.000", Identity),
                ("gzip;q=0.001", Gzip),
                ("gzip ; q=1.000", Gzip),
                ("gzip;q=1.001", Identity),
                ("gzip;q=0.0001", Identity),
                ("gzip;q=-1", Identity),
                ("gzip;q=", Identity),
                ("gzip;level=9", Identity),
                ("gzip;q=0.5, zstd;q=0.6", Zstd),
                ("gzip, zstd;q=0.999", Gzip),
                ("identity, gzip;q=0.9", Identity),
                ("identity;q=0.5, gzip;q=0.5", Gzip),
                ("identity;q=0", Identity),
                ("*;q=0, gzip", Gzip),
                ("*, zstd;q=0", Gzip),
                ("gzip;q=0, *;q=0.1", Zstd),
            ] {
                check(&[list], preferred, expected);
            }
            for list in ["gzip, deflate, br, zstd", "*", "zstd;q=0.7,gzip;q=0.7"] {
                check(&[list], preferred, preferred);
            }
            check(&["br", "zstd"], preferred, Zstd);
        }
    }
}
