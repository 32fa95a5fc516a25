//! The catalogue's routes.

use crate::support::{LINE, Port, STORY};

const OTHER: &str = "5b07ff77c2376e30306d9b12";

async fn put(port: &Port, story: &str, body: &str) -> crate::support::Reply {
    port.ask("PUT", &format!("/stories/{story}"), &[], body.as_bytes()).await
}

#[tokio::test]
async fn a_story_is_made_known_listed_and_removed() {
    let port = Port::open().await;
    let body = format!(r#"{{"name":"Pizza","interactions":[{{"id":"{OTHER}","name":"foo"}}]}}"#);
    let reply = put(&port, STORY, &body).await;
    let fresh = format!(
        r#"{{"storyId":"{STORY}","name":"Pizza","firstEvent":null,"lastEvent":null,"conversations":0,"messages":0}}"#
    );
    assert_eq!((reply.status, &reply.body), (200, &fresh));
    let popularity = port.get(&format!("/reports/interactions.popularity?storyId={STORY}")).await.body;
    assert!(popularity.contains("\"foo\""), "{popularity}");

    let messages = LINE.replace("conversation", "message").replace("1552813200", "1552806000");
    assert_eq!(port.post("/events", &format!("{LINE}{messages}{messages}")).await.status, 200);
    let counted = format!(
        "{{\"storyId\":\"{STORY}\",\"name\":\"Pizza\",\"firstEvent\":\"2019-03-17T07:00:00.000Z\",\
         \"lastEvent\":\"2019-03-17T09:00:00.000Z\",\"conversations\":1,\"messages\":2}}"
    );
    assert_eq!(port.get(&format!("/stories/{STORY}")).await.body, counted);
    assert_eq!(port.get("/stories").await.body, format!("{{\"stories\":[{counted}],\"next\":null}}"));

    let path = format!("/stories/{STORY}");
    let deleted = port.ask("DELETE", &path, &[], b"").await;
    assert_eq!((deleted.status, deleted.body.as_str()), (204, ""));
    assert_eq!(port.get(&path).await.status, 404);
    assert_eq!(port.ask("DELETE", &path, &[], b"").await.status, 404);
    assert_eq!(port.get("/stories").await.body, "{\"stories\":[],\"next\":null}");
    assert_eq!(port.conversations().await, 0);
}

#[tokio::test]
async fn pages_walk_all_stories_latest_first() {
    let port = Port::open().await;
    for number in 0..5 {
        let name = if number == 3 { "A Pizza bot" } else { "other" };
        let story = format!("{number:024}");
        assert_eq!(put(&port, &story, &format!("{{\"name\":\"{name}\"}}")).await.status, 200);
    }
    let line = LINE.replace(STORY, &format!("{:024}", 4));
    assert_eq!(port.post("/events", &line).await.status, 200);
    let mut walked = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = port.get(&format!("/stories?limit=2{cursor}")).await.json();
        for story in page["stories"].as_array().unwrap() {
            walked.push(story["storyId"].as_str().unwrap().trim_start_matches('0').to_owned());
        }
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(walked, ["4", "", "1", "2", "3"]);
    let found = port.get("/stories?search=pizza").await.json();
    assert_eq!(found["stories"].as_array().unwrap().len(), 1);
    assert_eq!(found["stories"][0]["storyId"], format!("{:024}", 3));
}

#[tokio::test]
async fn bad_requests_name_what_is_wrong() {
    let port = Port::open().await;
    for (story, body, part) in [
        ("short", "{}", "`storyId`"),
        (STORY, "", "JSON"),
        (STORY, "{\"name\":5}", "`name`"),
        (STORY, "{\"interactions\":[{\"id\":\"x\"}]}", "`interactions[0].id`"),
    ] {
        let reply = put(&port, story, body).await;
        assert_eq!(reply.status, 400, "{reply:?}");
        assert!(reply.message().contains(part), "{reply:?}");
    }
    let reply = port.get("/stories?limit=0").await;
    assert_eq!(reply.json()["status"]["details"][0]["parameter"], "limit");
    assert_eq!(port.get("/stories").await.json()["stories"].as_array().unwrap().len(), 0);
}
