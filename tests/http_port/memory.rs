//! What happens at the ceiling of memory: what is counted already goes on, what is new is refused in words.

use tallyd::net::auth::Auth;
use tallyd::net::http::Limits;

use crate::support::{LINE, Port, STORY};

const OTHER: &str = "5b07ff77c2376e30306d9b12";
const MESSAGE: &str = "all of `memory-limit` is in use";

/// A port whose memory is used up as soon as the first story is there.
async fn nearly_full() -> Port {
    Port::below(Auth::default(), Limits::default(), |used| used + 1).await
}

#[tokio::test]
async fn known_cells_count_on_when_memory_is_used_up_and_new_ones_are_refused_with_a_reason() {
    let port = nearly_full().await;
    let paid = LINE.replace("count=1i", "count=1i,paid=true");
    assert_eq!(port.post("/events", &paid).await.status, 200);
    assert_eq!(port.post("/events", &format!("{LINE}{paid}")).await.status, 200, "the hour is known");
    let next_hour = LINE.replace("1552813200", "1552816800");
    let other_story = LINE.replace(STORY, OTHER);
    let other_kind = LINE.replace("conversation", "message");
    let named = LINE.replace("count=1i", "count=1i,storyName=\"new\"");
    let new_and_known = format!("{next_hour}{other_story}{LINE}{other_kind}{named}");
    let reply = port.post("/events", &new_and_known).await;
    assert_eq!(reply.status, 400);
    assert!(reply.body.contains("\"accepted\":1,\"rejected\":4"), "{}", reply.body);
    assert_eq!(reply.body.matches(MESSAGE).count(), 4, "{}", reply.body);
    assert_eq!(port.conversations().await, 4);
    let metrics = port.get("/metrics").await.body;
    assert!(metrics.contains("\ntallyd_memory_limit_refused_total 4\n"), "{metrics}");
}

#[tokio::test]
async fn a_line_that_makes_nothing_new_counts_though_memory_is_used_up() {
    let port = nearly_full().await;
    let named = LINE.replace("count=1i", "count=1i,storyName=\"old\"");
    assert_eq!(port.post("/events", &named).await.status, 200);
    let nothing = LINE.replace("count=1i", "count=0i").replace("1552813200", "1552816800");
    assert_eq!(port.post("/events", &format!("{named}{nothing}")).await.status, 200);
    assert_eq!(port.conversations().await, 2);
}

#[tokio::test]
async fn a_story_is_not_made_known_when_memory_is_used_up_but_can_be_deleted() {
    let port = nearly_full().await;
    assert_eq!(port.post("/events", LINE).await.status, 200);
    let put = port.ask("PUT", &format!("/stories/{OTHER}"), &[], b"{\"name\":\"Pizza\"}").await;
    assert_eq!(put.status, 422);
    assert!(put.body.contains(MESSAGE), "{}", put.body);
    assert_eq!(port.ask("DELETE", &format!("/stories/{STORY}"), &[], b"").await.status, 204);
}
