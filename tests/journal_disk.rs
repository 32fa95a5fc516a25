//! The disk's promises: a replaced file is old or new whatever fails, a lock excludes, room set aside is taken.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustix::io::Errno;
use tallyd::platform::disk::{Disk, DiskFault, Operation};

#[test]
fn replace_leaves_the_old_or_the_new_content_wherever_it_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let mut failed = 0;
    loop {
        fs::write(&path, "old").unwrap();
        let left = Arc::new(AtomicUsize::new(failed));
        let disk = Disk::with_faults(move |operation, _: &Path| {
            let fail = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            let errno = if operation == Operation::Write { Errno::NOSPC } else { Errno::IO };
            fail.is_err().then_some(DiskFault::Short { bytes: 2, errno })
        });
        let outcome = disk.replace(&path, b"newer");
        let content = fs::read_to_string(&path).unwrap();
        // Only the last step, which makes the new name last, comes after the new content is there.
        let error = outcome.err().map(|error| error.operation);
        match error {
            None => {
                assert_eq!(content, "newer");
                break;
            }
            Some(Operation::SyncDirectory) => assert_eq!(content, "newer"),
            Some(operation) => assert_eq!(content, "old", "{operation:?}"),
        }
        failed += 1;
    }
    assert_eq!(failed, 6, "remove, create, write, sync, rename, sync directory");
    let names: Vec<String> =
        Disk::new().list(folder.path()).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["file"]);
}

#[test]
fn errors_name_operation_path_and_reason() {
    let error = Disk::new().open_read(Path::new("/nowhere/file")).unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(error.to_string(), "cannot open /nowhere/file: No such file or directory (os error 2)");
    assert_eq!(Disk::new().length(Path::new("/nowhere/file")).unwrap(), None);
}

#[test]
fn lock_is_held_until_it_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("LOCK");
    let disk = Disk::new();
    let lock = disk.try_lock(&path).unwrap();
    assert!(lock.is_some());
    assert!(disk.try_lock(&path).unwrap().is_none());
    drop(lock);
    assert!(disk.try_lock(&path).unwrap().is_some());
}

#[test]
fn appends_go_on_behind_what_was_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let file = Disk::new().create_new(&path).unwrap();
    file.append(b"one two").unwrap();
    file.truncate(4).unwrap();
    file.append(b"three").unwrap();
    file.sync().unwrap();
    assert_eq!(Disk::new().read(&path).unwrap(), b"one three");
    assert!(Disk::new().create_new(&path).is_err());
    let mut part = [0; 8];
    assert_eq!(Disk::new().open_read(&path).unwrap().read_at(&mut part, 4).unwrap(), 5);
    assert_eq!(&part, b"three\0\0\0");
}

#[test]
fn set_aside_takes_room_or_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("room");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let disk = Disk::with_faults(move |operation, _: &Path| {
        seen.lock().unwrap().push(operation);
        (operation == Operation::Reserve).then_some(DiskFault::Fail(Errno::NOSPC))
    });
    assert!(disk.set_aside(&path, 8192).unwrap_err().is_no_space());
    assert!(!path.exists());
    assert!(asked.lock().unwrap().contains(&Operation::Reserve));
    Disk::new().set_aside(&path, 8192).unwrap();
    assert_eq!(Disk::new().length(&path).unwrap(), Some(8192));
}
