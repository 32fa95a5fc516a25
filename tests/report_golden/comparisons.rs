//! Series beside an earlier range: the documented cases, and what a request about that range is answered.

use super::*;

#[test]
fn comparison_of_the_documented_case_comes_out_as_documented() {
    let mut world = documented();
    world.add(STORY, Source::App, Metric::Conversations, ("2019-02-01T09:00:00Z", 9));
    world.add(STORY, Source::App, Metric::Conversations, ("2019-02-28T23:00:00Z", 4));
    let check = |with: &str, from: &str, summary: &str, points: usize| {
        let text = world.json("conversations", &format!("from=2019-03-01&to=2019-03-27&compare={with}"), NOW);
        let plain = world.json("conversations", "from=2019-03-01&to=2019-03-27", NOW);
        let dates = format!("\"from\":\"{from}T00:00:00.000Z\",\"to\":\"2019-03-01T00:00:00.000Z\"");
        let begins = format!(
            "{},\"compare\":{{{dates},\"data\":[{{\"date\":\"{from}T",
            plain.strip_suffix('}').unwrap()
        );
        assert!(text.starts_with(&begins), "{text}");
        assert!(text.ends_with(&format!("],\"summary\":{summary}}}}}")), "{text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["compare"]["data"].as_array().unwrap().len(), points);
    };
    check("previous", "2019-02-02", r#"{"total":4,"min":0,"max":4,"avg":0.15}"#, 27);
    // Until 28 February, but not with it: 27 days of 28.
    let text = world.json("conversations", "from=2019-03-01&to=2019-03-27&compare=weekday", NOW);
    let dates = r#""from":"2019-02-01T00:00:00.000Z","to":"2019-02-28T00:00:00.000Z""#;
    assert!(text.contains(&format!(r#","compare":{{{dates},"data":[{{"date":"2019-02-01T"#)), "{text}");
    assert!(text.ends_with(r#"],"summary":{"total":9,"min":0,"max":9,"avg":0.33}}}"#), "{text}");
}

#[test]
fn what_is_too_early_to_compare_is_empty() {
    let early = "2019-03-27T00:10:00Z";
    let text =
        documented().json("conversations.average", "period=today&compare=previous&group=source", early);
    let summary = r#""summary":{"total":0,"min":0,"max":0,"avg":0},"overall":0"#;
    let at = r#""from":"2019-03-26T00:00:00.000Z","to":"2019-03-26T00:00:00.000Z""#;
    assert!(text.contains(&format!(r#","compare":{{{at},"data":[],{summary}}},"groups":[]"#)), "{text}");
}

#[test]
fn a_comparison_of_groups_is_of_the_groups_that_are_shown() {
    let mut world = documented();
    world.add(STORY, Source::App, Metric::Conversations, ("2019-02-20T09:00:00Z", 5));
    world.add(OTHER, Source::Messenger, Metric::Conversations, ("2019-02-21T09:00:00Z", 3));
    let query = "from=2019-03-01&to=2019-03-27&compare=previous&dimension=month&group=source";
    let text = world.json("conversations", query, NOW);
    let point = |month: u32, value: u32| {
        let data = format!(r#""data":[{{"date":"2019-0{month}-01T00:00:00.000Z","value":{value}}}]"#);
        format!(r#"{data},"summary":{{"total":{value},"min":{value},"max":{value},"avg":{value}}}"#)
    };
    let dates = r#""from":"2019-02-02T00:00:00.000Z","to":"2019-03-01T00:00:00.000Z""#;
    let group = format!(r#"{{"source":"messenger",{},"compare":{{{}}}}}"#, point(3, 28), point(2, 3));
    let whole = format!(r#"{{{},"compare":{{{dates},{}}},"groups":[{group}]}}"#, point(3, 28), point(2, 8));
    assert_eq!(text, whole);
}

/// Events of three stories and all sources, here and there from 2018 to 2019.
fn scattered() -> World {
    let mut world = World::new();
    let first = hour("2018-01-01T00:00:00Z").get();
    for step in 0..900_u32 {
        let metric = [Metric::Conversations, Metric::Messages, Metric::PaidConversations];
        let key = SeriesKey {
            story: story_id([STORY, OTHER, THIRD][(step * 7 % 3) as usize]),
            source: Source::ALL[(step * 5 % 7) as usize],
            metric: metric[(step / 3 % 3) as usize],
        };
        world.add_in_hour(key, Hour::new(first + step * step * 31 % 11_000), step % 5);
    }
    world
}

/// A moment as it is asked for again.
fn asked_again(comparison: &Value) -> String {
    format!("from={}&to={}", comparison["from"].as_str().unwrap(), comparison["to"].as_str().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A comparison is what a request with its `from` and `to` is answered, for the groups that are shown.
    #[test]
    fn a_comparison_is_what_its_range_is_answered(
        report in prop::sample::select(ReportName::ALL.map(ReportName::as_str)[..4].to_vec()),
        with in prop::sample::select(vec!["previous", "year", "weekday"]),
        dates in prop::sample::select(vec![
            "period=today", "period=yesterday", "period=last7days", "period=lastMonth", "period=last3Months",
            "from=2019-03-01&to=2019-03-27", "from=2019-02-01&to=2019-03-31", "from=2019-03-01",
            "from=2019-03-30T10:20:00Z&to=2019-04-02T03:00:00Z", "from=2018-10-28&to=2018-10-28",
        ]),
        zone in prop::sample::select(vec!["UTC", "Europe/Warsaw", "Asia/Kolkata", "Australia/Lord_Howe"]),
        unit in prop::sample::select(vec!["hour", "day", "month", "year"]),
        group in prop::sample::select(vec!["", "&group=source", "&group=storyId&limit=2"]),
        about in prop::sample::select(vec![
            String::new(), format!("&storyId={STORY},{OTHER}"), "&source=app,slack,custom".to_owned(),
        ]),
        now in prop::sample::select(vec!["2019-03-27T12:34:56Z", "2019-03-31T23:40:00Z", "2019-04-01T00:10:00Z"]),
    ) {
        let world = scattered();
        let value = |query: &str| -> Value { serde_json::from_str(&world.json(report, query, now)).unwrap() };
        let rest = format!("&dimension={unit}&timezone={zone}{about}");
        let answer = value(&format!("{dates}{rest}{group}&compare={with}"));
        let plain = value(&format!("{dates}{rest}{group}"));
        let comparison = &answer["compare"];
        let members = ["data", "summary", "overall"];
        prop_assert!(members.iter().all(|member| answer[member] == plain[member]));
        let again = value(&format!("{}{rest}", asked_again(comparison)));
        for member in members {
            prop_assert_eq!(&comparison[member], &again[member], "{}", member);
        }
        let groups = |answer: &Value| answer["groups"].as_array().cloned().unwrap_or_default();
        prop_assert_eq!(groups(&answer).len(), groups(&plain).len());
        for (group, plain) in groups(&answer).iter().zip(groups(&plain)) {
            let named = ["source", "storyId"].into_iter().find(|name| !group[name].is_null()).unwrap();
            prop_assert_eq!(&group[named], &plain[named]);
            // The last of several values of one parameter does not win, so the group takes the place of what names others.
            let kept = rest.split('&').filter(|pair| !pair.starts_with(&format!("{named}=")));
            let rest = kept.collect::<Vec<_>>().join("&");
            let of_group =
                value(&format!("{}&{rest}&{named}={}", asked_again(comparison), group[named].as_str().unwrap()));
            for member in members {
                prop_assert_eq!(&group["compare"][member], &of_group[member], "{} of {}", member, group[named]);
            }
        }
    }
}
