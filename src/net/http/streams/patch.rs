//! What has changed between two states of a report, as a JSON Patch (RFC 6902): numbers that are replaced, and what is added at
//! the end of a list. Pure, from text to text; knows nothing of reports.
//!
//! INVARIANT: a patch applied to the state before gives the state after.

use memchr::memchr2;

/// The patch that makes `after` of `before`, both JSON without white space. `None` where it would be longer than `after`, and
/// where something else has changed: a text, the members of an object, the order of a list, which it would be cut from.
pub(super) fn between(before: &[u8], after: &[u8]) -> Option<Vec<u8>> {
    let mut walk = Walk { before, after, path: Vec::new(), patch: vec![b'['], bytes_max: after.len() };
    walk.value()?;
    walk.patch.push(b']');
    let is_over = walk.before.is_empty() && walk.after.is_empty();
    (is_over && walk.patch.len() <= walk.bytes_max).then_some(walk.patch)
}

/// Both texts from the place on up to which they are compared.
struct Walk<'t> {
    before: &'t [u8],
    after: &'t [u8],
    /// Of the place, as a JSON Pointer.
    path: Vec<u8>,
    patch: Vec<u8>,
    bytes_max: usize,
}

impl Walk<'_> {
    /// Compares the values that come next. Recursion is as deep as reports are.
    fn value(&mut self) -> Option<()> {
        match (self.before.first()?, self.after.first()?) {
            (b'{', b'{') => self.object(),
            (b'[', b'[') => self.list(),
            _ => {
                let (before, after) = (take_value(&mut self.before)?, take_value(&mut self.after)?);
                if before == after {
                    return Some(());
                }
                (is_figure(before) && is_figure(after)).then(|| self.note("replace", "", after))?
            }
        }
    }

    fn object(&mut self) -> Option<()> {
        while !self.closes(b'}')? {
            let (before, after) = (take_value(&mut self.before)?, take_value(&mut self.after)?);
            let name = after.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
            let is_plain = !name.iter().any(|byte| matches!(byte, b'\\' | b'/' | b'~'));
            if before != after || !is_plain || self.both_skip()? != (b':', b':') {
                return None;
            }
            self.within(name, Self::value)?;
        }
        Some(())
    }

    fn list(&mut self) -> Option<()> {
        let mut index = itoa::Buffer::new();
        for place in 0_u64.. {
            if self.closes(b']')? {
                return Some(());
            }
            // Most of a long list is as it was.
            let (mut before, mut after) = (self.before, self.after);
            if take_value(&mut before)? == take_value(&mut after)? {
                (self.before, self.after) = (before, after);
            } else {
                self.within(index.format(place).as_bytes(), Self::value)?;
            }
            if self.before.first() == Some(&b']') && self.after.first() == Some(&b',') {
                return self.added();
            }
        }
        None
    }

    /// Notes what the list after has more than the one before, and skips the ends of both.
    fn added(&mut self) -> Option<()> {
        while self.after.first() == Some(&b',') {
            skip(&mut self.after)?;
            let value = take_value(&mut self.after)?;
            self.note("add", "/-", value)?;
        }
        (self.both_skip()? == (b']', b']')).then_some(())
    }

    /// Skips what stands before the next member: the bracket that opens, or a comma. Whether both close instead, which is skipped
    /// too; `None` where only one does.
    fn closes(&mut self, bracket: u8) -> Option<bool> {
        let opened = self.both_skip()?;
        if opened == (bracket, bracket) {
            return Some(true);
        }
        let is_empty = (self.before.first()? == &bracket, self.after.first()? == &bracket);
        match (opened, is_empty) {
            ((b'{' | b'[', _), (true, true)) => {
                self.both_skip()?;
                Some(true)
            }
            ((one, other), (false, false)) if one == other => Some(false),
            _ => None,
        }
    }

    fn within(&mut self, name: &[u8], walk: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        let outside = self.path.len();
        self.path.push(b'/');
        self.path.extend_from_slice(name);
        walk(self)?;
        self.path.truncate(outside);
        Some(())
    }

    fn note(&mut self, operation: &str, place: &str, value: &[u8]) -> Option<()> {
        if self.patch.len() > 1 {
            self.patch.push(b',');
        }
        self.patch.extend_from_slice(b"{\"op\":\"");
        self.patch.extend_from_slice(operation.as_bytes());
        self.patch.extend_from_slice(b"\",\"path\":\"");
        self.patch.extend_from_slice(&self.path);
        self.patch.extend_from_slice(place.as_bytes());
        self.patch.extend_from_slice(b"\",\"value\":");
        self.patch.extend_from_slice(value);
        self.patch.push(b'}');
        (self.patch.len() < self.bytes_max).then_some(())
    }

    fn both_skip(&mut self) -> Option<(u8, u8)> {
        Some((skip(&mut self.before)?, skip(&mut self.after)?))
    }
}

/// Whether a value is a number, or `null` in the place of one.
fn is_figure(value: &[u8]) -> bool {
    value == b"null" || value.first().is_some_and(|first| matches!(first, b'0'..=b'9' | b'-'))
}

fn skip(text: &mut &[u8]) -> Option<u8> {
    let (first, rest) = text.split_first()?;
    *text = rest;
    Some(*first)
}

/// The value that comes next, with all that is in it.
fn take_value<'t>(text: &mut &'t [u8]) -> Option<&'t [u8]> {
    let mut depth = 0_usize;
    let mut end = 0_usize;
    loop {
        match text.get(end) {
            Some(b'"') => end = string_end(text, end)?,
            Some(b'{' | b'[') => depth = depth.saturating_add(1),
            Some(b'}' | b']') if depth > 0 => depth = depth.saturating_sub(1),
            Some(b',' | b':' | b'}' | b']') | None if depth == 0 => break,
            None => return None,
            Some(_) => {}
        }
        end = end.saturating_add(1);
    }
    let (value, rest) = text.split_at_checked(end)?;
    *text = rest;
    (!value.is_empty()).then_some(value)
}

/// Where the string that starts at `start` has its last quote.
fn string_end(text: &[u8], start: usize) -> Option<usize> {
    let mut from = start.saturating_add(1);
    loop {
        let at = from.saturating_add(memchr2(b'"', b'\\', text.get(from..)?)?);
        if text.get(at) == Some(&b'"') {
            return Some(at);
        }
        // The byte behind a backslash is no end, whatever it is.
        from = at.saturating_add(2);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn check(before: &str, after: &str, expected: Option<&str>) {
        let patch = between(before.as_bytes(), after.as_bytes());
        assert_eq!(patch.as_deref().map(|patch| std::str::from_utf8(patch).unwrap()), expected, "{after}");
    }

    /// So long that patches are shorter.
    const NAME: &str =
        r#""name":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx""#;

    #[test]
    fn figures_are_replaced_and_points_are_added() {
        let report =
            |data: &str, total: &str| format!(r#"{{{NAME},"data":[{data}],"summary":{{"total":{total}}}}}"#);
        let check = |before: (&str, &str), after: (&str, &str), expected: Option<&str>| {
            check(&report(before.0, before.1), &report(after.0, after.1), expected);
        };
        check((r#"{"v":1}"#, "1"), (r#"{"v":1}"#, "1"), Some("[]"));
        check(
            (r#"{"v":1},{"v":1}"#, "1"),
            (r#"{"v":1},{"v":2}"#, "1"),
            Some(r#"[{"op":"replace","path":"/data/1/v","value":2}]"#),
        );
        check(("1", "1"), ("1", "null"), Some(r#"[{"op":"replace","path":"/summary/total","value":null}]"#));
        check(("1", "null"), ("1", "0.5"), Some(r#"[{"op":"replace","path":"/summary/total","value":0.5}]"#));
        check(("1", "1"), ("1,[2]", "1"), Some(r#"[{"op":"add","path":"/data/-","value":[2]}]"#));
        check(
            ("1", "1"),
            ("2,3", "1"),
            Some(r#"[{"op":"replace","path":"/data/0","value":2},{"op":"add","path":"/data/-","value":3}]"#),
        );
    }

    #[test]
    fn all_other_changes_are_told_by_the_whole() {
        let padded = |text: &str| format!("[{text},\"{}\"]", "x".repeat(200));
        for (before, after) in [
            (r#"{"a":"x"}"#, r#"{"a":"y"}"#),
            (r#"{"a":"x"}"#, r#"{"a":1}"#),
            (r#"{"a":true}"#, r#"{"a":false}"#),
            (r#"{"a":1}"#, r#"{"b":1}"#),
            (r#"{"a":1}"#, r#"{"a":1,"b":1}"#),
            (r#"{"a":1,"b":1}"#, r#"{"a":1}"#),
            (r#"{"a":1}"#, r"{}"),
            (r"{}", r#"{"a":1}"#),
            (r#"{"a/b":1}"#, r#"{"a/b":2}"#),
            (r#"{"a~":1}"#, r#"{"a~":2}"#),
            (r#"{"a\"":1}"#, r#"{"a\"":2}"#),
            ("[1,2]", "[1]"),
            ("[1]", "[]"),
            ("[]", "[1]"),
            ("[]", "{}"),
            ("1", "[1]"),
        ] {
            check(&padded(before), &padded(after), None);
        }
        // What is no JSON is no reason to panic.
        for text in ["", "[", "]", "{\"a\"", "{\"a\":", "[1", "[1,", "\"", "\"\\", ",", "[1}", "1]"] {
            check(text, "[1]", None);
            check("[1]", text, None);
        }
    }

    #[test]
    fn a_patch_that_is_longer_than_the_report_is_none() {
        check("[1,2]", "[1,3]", None);
        let list = |first: u32| format!("[{first},\"{}\"]", "x".repeat(34));
        assert_eq!(list(2).len(), 40);
        check(&list(1), &list(2), Some(r#"[{"op":"replace","path":"/0","value":2}]"#));
        check(&list(1).replacen('x', "", 1), &list(2).replacen('x', "", 1), None);
    }

    fn apply(state: &mut Value, patch: &Value) {
        for operation in patch.as_array().unwrap() {
            let (place, value) = (operation["path"].as_str().unwrap(), operation["value"].clone());
            match operation["op"].as_str().unwrap() {
                "replace" => *state.pointer_mut(place).unwrap() = value,
                "add" => {
                    let list = place.strip_suffix("/-").unwrap();
                    state.pointer_mut(list).unwrap().as_array_mut().unwrap().push(value);
                }
                other => panic!("{other}"),
            }
        }
    }

    fn scalar() -> impl Strategy<Value = Value> {
        prop_oneof![
            4 => (0_u64..4).prop_map(Value::from),
            1 => any::<u64>().prop_map(Value::from),
            1 => (0_u32..300).prop_map(|hundredths| Value::from(f64::from(hundredths) / 100.0)),
            1 => Just(Value::Null),
            1 => prop_oneof![Just(""), Just("x"), Just("\"\\/"), Just("},{"), Just("a]\\")].prop_map(Value::from),
        ]
    }

    /// Values of few shapes and names, so that two of them often differ in little.
    fn json() -> impl Strategy<Value = Value> {
        scalar().prop_recursive(3, 24, 5, |inner| {
            prop_oneof![
                3 => prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| serde_json::json!({"date": a, "value": b})),
                1 => inner.prop_map(|a| serde_json::json!({"a/b~": a})),
            ]
        })
    }

    /// The same with some numbers changed, and some lists longer.
    fn grown(value: &Value, steps: &mut impl Iterator<Item = u8>) -> Value {
        match value {
            Value::Number(_) if steps.next() == Some(1) => Value::from(7_u64),
            Value::Array(list) => {
                let mut list: Vec<Value> = list.iter().map(|inner| grown(inner, steps)).collect();
                if !list.is_empty() && steps.next() == Some(2) {
                    list.extend([Value::from("new"), Value::from(1_u64)]);
                }
                list.into()
            }
            Value::Object(members) => Value::Object(
                members.iter().map(|(name, inner)| (name.clone(), grown(inner, steps))).collect(),
            ),
            other => other.clone(),
        }
    }

    fn assert_holds(before: &Value, after: &Value, must_be_patch: bool) {
        // Long enough for any patch.
        let text = |value: &Value| serde_json::json!([value, "x".repeat(20_000)]).to_string();
        let patch = between(text(before).as_bytes(), text(after).as_bytes());
        assert!(patch.is_some() || !must_be_patch, "no patch from {before} to {after}");
        if let Some(patch) = patch {
            let mut state = serde_json::json!([before]);
            apply(&mut state, &serde_json::from_slice(&patch).unwrap());
            assert_eq!(state[0], *after, "from {before} by {}", String::from_utf8_lossy(&patch));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_patch_makes_the_state_after_of_the_state_before(before in json(), after in json()) {
            assert_holds(&before, &after, false);
            assert_holds(&before, &before, true);
        }

        #[test]
        fn what_has_only_grown_is_told_by_a_patch(before in json(), steps in prop::collection::vec(0_u8..4, 0..40)) {
            let is_plain = !before.to_string().contains("a/b~");
            assert_holds(&before, &grown(&before, &mut steps.into_iter()), is_plain);
        }

        #[test]
        fn no_text_makes_it_panic(before in "[\\[\\]{}\",:\\\\a1]{0,12}", after in "[\\[\\]{}\",:\\\\a1]{0,12}") {
            let _patch = between(before.as_bytes(), after.as_bytes());
        }
    }
}
