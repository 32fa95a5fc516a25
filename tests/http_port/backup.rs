//! `POST /backup`: the archive, what it leaves out, whom it is refused, and that one is read at a time.

use std::path::Path;
use std::time::Duration;

use tallyd::model::catalogue::CatalogueLimits;
use tallyd::platform::disk::Disk;
use tallyd::store::backup::Target;
use tallyd::store::recover::load_read_only;
use tallyd::store::verify::verify;

use super::support::{LINE, Port, Reply};

async fn backup(port: &Port, body: &str) -> Reply {
    port.ask("POST", "/backup", &[], body.as_bytes()).await
}

/// Makes a copy of the archive.
fn receive(archive: &[u8], directory: &Path) -> u64 {
    let target = Target::open(&Disk::new(), directory, &mut || ()).unwrap();
    target.receive(archive, &mut |_| ()).unwrap().listing.position
}

fn conversations(directory: &Path) -> u64 {
    let report = verify(&Disk::new(), directory, CatalogueLimits::default(), &mut || ()).unwrap();
    assert!(report.is_sound(), "{report}");
    report.totals.conversations
}

#[tokio::test]
async fn an_archive_is_a_data_directory_of_what_was_counted_before() {
    let port = Port::open().await;
    for _ in 0..3 {
        assert_eq!(port.post("/events", LINE).await.status, 200);
    }
    let reply = backup(&port, "").await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/x-tar")));
    assert_eq!(port.post("/events", LINE).await.status, 200);
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(receive(&reply.packed, &folder.path().join("copy")), 3);
    assert_eq!(conversations(&folder.path().join("copy")), 3);
    // What `tar x` makes of it is one as well.
    let unpacked = folder.path().join("unpacked");
    tar::Archive::new(reply.packed.as_slice()).unpack(&unpacked).unwrap();
    assert_eq!(conversations(&unpacked), 3);
    load_read_only(&Disk::new(), &unpacked, CatalogueLimits::default(), &mut || ()).unwrap();
    let metrics = port.get("/metrics").await.body;
    for line in
        ["tallyd_backups_total 1", "tallyd_backup_last_position 3", "tallyd_backups_broken_off_total 0"]
    {
        assert!(metrics.lines().any(|it| it == line), "{line} is not in {metrics}");
    }
}

#[tokio::test]
async fn what_the_client_has_already_is_left_out() {
    let port = Port::open().await;
    assert_eq!(port.post("/events", LINE).await.status, 200);
    let folder = tempfile::tempdir().unwrap();
    let first = backup(&port, "").await.packed;
    receive(&first, folder.path());
    let stands = Target::open(&Disk::new(), folder.path(), &mut || ()).unwrap().stands().to_vec();
    assert!(!stands.is_empty());
    let body = serde_json::json!({ "stands": stands }).to_string();
    let second = backup(&port, &body).await.packed;
    assert!(second.len() < first.len(), "{} {}", first.len(), second.len());
    // Without what it leaves out it makes no copy.
    let other = tempfile::tempdir().unwrap();
    let target = Target::open(&Disk::new(), other.path(), &mut || ()).unwrap();
    assert!(target.receive(second.as_slice(), &mut |_| ()).is_err());
    receive(&second, folder.path());
    assert_eq!(conversations(folder.path()), 1);
}

#[tokio::test]
async fn requests_that_say_anything_else_are_refused() {
    let port = Port::open().await;
    let reply = port.ask("POST", "/backup?full=true", &[], b"").await;
    assert_eq!(
        (reply.status, reply.message()),
        (400, "`full` is not known; this path takes no parameters".into())
    );
    let reply = backup(&port, "[1]").await;
    assert!(reply.status == 400 && reply.message().starts_with("the body must be JSON"), "{reply:?}");
    assert_eq!(port.get("/backup").await.status, 405);
}

#[tokio::test]
async fn one_is_read_at_a_time() {
    let port = Port::open().await;
    let backups = port.store.as_ref().unwrap().backups();
    let held = tokio::task::spawn_blocking(move || backups.begin(&[])).await.unwrap().unwrap();
    let second = backup(&port, "").await;
    assert_eq!((second.status, second.message()), (503, "another backup is being read".into()));
    assert!(second.header("retry-after").is_some());
    drop(held);
    assert_eq!(backup(&port, "").await.status, 200);
    let metrics = port.get("/metrics").await.body;
    assert!(metrics.contains("tallyd_backups_broken_off_total 1\n"), "{metrics}");
    assert!(metrics.contains("tallyd_overloads_total{bound=\"backups\"} 1\n"), "{metrics}");
}

#[tokio::test]
async fn whoever_has_an_answer_may_ask_for_the_next_at_once() {
    let port = Port::open().await;
    let backups = port.store.as_ref().unwrap().backups();
    for _ in 0..20 {
        assert_eq!(backup(&port, "").await.status, 200);
        let backups = backups.clone();
        let held = tokio::task::spawn_blocking(move || backups.begin(&[])).await.unwrap().unwrap();
        assert_eq!(backup(&port, "").await.status, 503);
        drop(held);
    }
}

#[tokio::test]
async fn a_store_that_is_closed_gives_no_archive() {
    let mut port = Port::open().await;
    let store = port.store.take().unwrap();
    tokio::task::spawn_blocking(move || store.close(Duration::from_mins(1))).await.unwrap().unwrap();
    let reply = backup(&port, "").await;
    assert_eq!((reply.status, reply.message()), (503, "the daemon is stopping".into()));
}
