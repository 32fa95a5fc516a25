//! Exported events, counted again from nothing, give the same export: the round trip is exact.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::intake::batching::Parser;
use crate::intake::wire::Arrival;
use crate::model::batch::Batch;
use crate::model::catalogue::{Catalogue, CatalogueLimits};
use crate::model::counters::{Counters, Writer};

/// A daemon's memory without the daemon.
struct Memory {
    catalogue: Arc<Catalogue>,
    counters: Arc<Counters>,
    writer: Writer,
}

impl Memory {
    fn new() -> Self {
        let (counters, writer) = Counters::new();
        let catalogue = Arc::new(Catalogue::new(CatalogueLimits::default()));
        Self { catalogue, counters, writer }
    }

    /// Counts a text; every line of it must be good.
    fn count(&mut self, text: &[u8]) {
        let mut parser = Parser::new(Arc::clone(&self.catalogue));
        let arrival = Arrival {
            unix_nanos: 1_793_954_970_000_000_000,
            max_future: Duration::from_hours(1),
            dropped_before: None,
        };
        let parsed = parser.parse_body(text, arrival, None);
        assert_eq!(parsed.rejections, [], "{}", String::from_utf8_lossy(text));
        self.apply(&parsed.batch);
    }

    fn apply(&mut self, batch: &Batch) {
        for definition in &batch.definitions {
            self.catalogue.mark_durable(definition);
            self.writer.define(definition.id, &definition.key);
        }
        for change in &batch.changes {
            assert!(self.catalogue.apply(change).is_empty());
        }
        self.writer.add(&batch.increments);
    }

    fn export(&self, format: Format) -> String {
        let mut out = Vec::new();
        write((&self.catalogue, &self.counters), format, &mut out).expect("written");
        String::from_utf8(out).expect("text")
    }
}

fn check(text: &str) {
    let mut first = Memory::new();
    first.count(text.as_bytes());
    for format in [Format::Line, Format::Json] {
        let exported = first.export(format);
        let mut second = Memory::new();
        second.count(exported.as_bytes());
        assert_eq!(second.export(format), exported, "of {text}");
        assert_eq!(second.export(Format::Line), first.export(Format::Line), "of {text}");
    }
}

const STORY: &str = "storyId=5b07ffafc2376e30306d9b16,source";

#[test]
fn counts_names_and_what_is_only_known_come_back() {
    check(&format!(
        "conversation,{STORY}=app count=3i,paid=true,storyName=\"A \\\"B\\\" \\\\ Ż\" 1552813200000000000\n\
         conversation,{STORY}=app count=4i 1552813200000000000\n\
         conversation,{STORY}=slack count=0i,paid=true 1552813200000000000\n\
         conversation,{STORY}=slack count=0i,paid=true 1552813200000000001\n\
         message,{STORY}=app count=4294967295i 1552813200000000000\n\
         message,{STORY}=app count=4294967295i 1552813200000000000\n\
         interaction,{STORY}=app,id=5b07ffafc2376e30306d9b17 count=0i,name=\"unused = , x\"\n\
         interaction,{STORY}=widget,type=contextFallback,parentId=5b07ffafc2376e30306d9b17 count=2i 1552813200000000000\n\
         interaction,{STORY}=widget,type=fallback count=1i 1552816800000000000\n\
         interaction,{STORY}=custom,type=welcome count=0i\n\
         message,storyId=ZZZZffafc2376e30306d9b16,source=livechat3 count=0i\n"
    ));
}

#[test]
fn paid_conversations_of_another_hour_are_events_of_their_own() {
    let mut memory = Memory::new();
    memory.count(
        format!(
            "conversation,{STORY}=app count=2i 1552813200000000000\n\
             conversation,{STORY}=app count=0i,paid=true 1552816800000000000\n"
        )
        .as_bytes(),
    );
    assert_eq!(
        memory.export(Format::Line),
        format!(
            "conversation,{STORY}=app count=0i\n\
             conversation,{STORY}=app count=2i 1552813200000000000\n\
             conversation,{STORY}=app count=0i,paid=true 1552816800000000000\n"
        )
    );
}

#[test]
fn nothing_known_is_an_empty_file() {
    assert_eq!(Memory::new().export(Format::Line), "");
}

prop_compose! {
    fn line()(
        what in prop::sample::select(vec![
            ("conversation", ""), ("conversation", ""), ("message", ""), ("interaction", ",type=fallback"),
            ("interaction", ",id=5b07ffafc2376e30306d9b17"), ("interaction", ",id=5b07ffafc2376e30306d9b18"),
            ("interaction", ",type=contextFallback,parentId=5b07ffafc2376e30306d9b17"),
        ]),
        story in prop::sample::select(vec!["5b07ffafc2376e30306d9b16", "5b07ffafc2376e30306d9b26"]),
        source in prop::sample::select(vec!["app", "slack", "custom"]),
        count in prop::sample::select(vec![0_u32, 0, 1, 2, 7, u32::MAX]),
        is_paid: bool,
        hour in 431_000_u64..431_010,
    ) -> String {
        let (measurement, tags) = what;
        let paid = if is_paid && measurement == "conversation" { ",paid=true" } else { "" };
        format!(
            "{measurement},storyId={story},source={source}{tags} count={count}i{paid} {}000000000\n",
            hour * 3_600
        )
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_events_come_back(lines in prop::collection::vec(line(), 0..60)) {
        check(&lines.concat());
    }
}
