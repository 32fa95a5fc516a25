//! What a power cut, a failed sync and a missing right leave, on the memory disk, and that it is read as the real one.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{Disk, DiskError, DiskFault, MemoryDisk, Operation};

const SEEDS: u64 = 300;

fn file(name: &str) -> PathBuf {
    Path::new("/data").join(name)
}

/// A disk with a directory that is there for good.
fn begun(seed: u64) -> (MemoryDisk, Disk) {
    let memory = MemoryDisk::new(seed);
    let disk = memory.disk();
    disk.create_directory(Path::new("/data")).expect("the disk takes it");
    (memory, disk)
}

/// What is in a file after `act` and a power cut, from every seed.
fn left(act: impl Fn(&MemoryDisk, &Disk) -> Result<(), DiskError>) -> BTreeSet<Option<Vec<u8>>> {
    let outcomes = (0..SEEDS).map(|seed| {
        let (memory, disk) = begun(seed);
        act(&memory, &disk).expect("the disk takes it");
        memory.cut_power();
        match disk.read(&file("a")) {
            Ok(content) => Some(content),
            Err(error) if error.is_not_found() => None,
            Err(error) => panic!("{error}"),
        }
    });
    outcomes.collect()
}

#[test]
fn both_disks_read_alike() {
    let folder = tempfile::tempdir().expect("there is room");
    for (disk, root) in [(Disk::new(), folder.path()), (MemoryDisk::new(7).disk(), Path::new("/"))] {
        let (folder, path) = (root.join("x/y"), root.join("x/y/one"));
        disk.create_directory(&folder).expect("it can be made");
        disk.create_directory(&folder).expect("it is there");
        let opened = disk.create_new(&path).expect("it can be made");
        assert!(disk.create_new(&path).is_err());
        for _ in 0..100 {
            opened.append(&[7; 1000]).expect("there is room");
        }
        opened.truncate(70_000).expect("it is longer");
        disk.open_append(&path).expect("it is there").append(b"end").expect("there is room");
        disk.set_aside(&folder.join("room"), 5000).expect("there is room");
        assert_eq!(disk.read(&path).expect("it is there").len(), 70_003);
        disk.replace(&path, b"new").expect("it can be replaced");
        disk.rename(&path, &folder.join("two")).expect("it is there");
        assert!(disk.remove(&path).expect_err("it has another name").is_not_found());
        assert_eq!(disk.length(&path).expect("it can be asked for"), None);
        let listed = disk.list(&folder).expect("it is there");
        let listed: Vec<_> = listed.iter().map(|entry| (entry.name.as_str(), entry.bytes)).collect();
        assert_eq!(listed, [("room", 5000), ("two", 3)]);
        let opened = disk.open_read(&folder.join("two")).expect("it is there");
        disk.write_anew(&folder.join("two"), 1).expect("it can be written over");
        let mut bytes = [0; 8];
        assert_eq!(opened.read_at(&mut bytes, 1).expect("it can be read"), 2);
        assert_eq!(&bytes[..2], b"ew");
        let lock = disk.try_lock(&folder.join("LOCK")).expect("it can be locked");
        assert!(lock.is_some() && disk.try_lock(&folder.join("LOCK")).expect("it is there").is_none());
        drop(lock);
        assert!(disk.try_lock(&folder.join("LOCK")).expect("it is there").is_some());
    }
}

#[test]
fn power_cut_keeps_what_was_synced_and_any_part_of_the_rest() {
    let found = left(|_, disk| {
        let opened = disk.create_new(&file("a"))?;
        opened.append(&[1; 700])?;
        opened.sync()?;
        disk.sync_directory(Path::new("/data"))?;
        opened.append(&[2; 1500])
    });
    assert!(found.len() > 20, "{} outcomes", found.len());
    assert!(found.iter().flatten().all(|content| content.starts_with(&[1; 700])));
    let lengths: BTreeSet<usize> = found.iter().flatten().map(Vec::len).collect();
    assert!(lengths.contains(&700) && lengths.contains(&2200) && lengths.len() > 10, "{lengths:?}");
    let has_hole = |content: &&Vec<u8>| content.get(1024..1536) == Some(&[0; 512]) && content.ends_with(&[2]);
    assert!(found.iter().flatten().any(|content| has_hole(&content)), "no hole");
}

#[test]
fn power_cut_may_undo_every_name_that_its_directory_was_not_synced_for() {
    let replaced = left(|_, disk| {
        disk.replace(&file("a"), b"old")?;
        let other = disk.create_new(&file("b"))?;
        other.append(b"new")?;
        other.sync()?;
        disk.rename(&file("b"), &file("a"))
    });
    assert_eq!(replaced, [&b"old"[..], b"new"].map(|content| Some(content.to_vec())).into());
    let removed = left(|_, disk| {
        disk.replace(&file("a"), b"old")?;
        disk.remove(&file("a"))
    });
    assert_eq!(removed, BTreeSet::from([None, Some(b"old".to_vec())]));
    // The content is not the name's: a new name may stand for a file that was never written.
    let unsynced = left(|_, disk| {
        disk.create_new(&file("a"))?.append(b"new")?;
        disk.sync_directory(Path::new("/data"))
    });
    assert!(unsynced.contains(&Some(Vec::new())) && unsynced.contains(&Some(b"new".to_vec())));
}

#[test]
fn what_a_failed_sync_lost_is_read_until_the_power_is_cut_unless_it_is_written_anew() {
    let act = |_: &MemoryDisk, disk: &Disk| {
        disk.replace(&file("a"), b"kept")?;
        let broken = disk.clone().failing(|operation, _: &Path| {
            (operation == Operation::Sync).then_some(DiskFault::Fail(Errno::IO))
        });
        let opened = broken.open_append(&file("a"))?;
        opened.append(b"lost")?;
        assert!(opened.sync().is_err());
        assert_eq!(disk.read(&file("a"))?, b"keptlost");
        let opened = disk.open_append(&file("a"))?;
        opened.append(b"more")?;
        opened.sync()
    };
    let found = left(act);
    assert!(found.contains(&Some(b"kept\0\0\0\0more".to_vec())), "{found:?}");
    for seed in 0..SEEDS {
        let (memory, disk) = begun(seed);
        act(&memory, &disk).expect("the disk takes it");
        disk.write_anew(&file("a"), 4).expect("it can be written over");
        memory.cut_power();
        assert_eq!(disk.read(&file("a")).expect("it is there"), b"keptlostmore", "seed {seed}");
    }
}

#[test]
fn replaced_file_is_old_or_new_wherever_the_power_goes() {
    let mut found = BTreeSet::new();
    for seed in 0..SEEDS {
        for operations in 0..9 {
            found.append(&mut left_after(seed, operations));
        }
    }
    assert_eq!(found, BTreeSet::from([b"new".to_vec(), b"old".to_vec()]));
}

fn left_after(seed: u64, operations: u64) -> BTreeSet<Vec<u8>> {
    let (memory, disk) = begun(seed);
    disk.replace(&file("a"), b"old").expect("the power is on");
    memory.turn_off_after(operations);
    let is_done = disk.replace(&file("a"), b"new").is_ok();
    let is_off = memory.is_off();
    memory.cut_power();
    let content = disk.read(&file("a")).expect("one of the two is there");
    assert!(!is_done || content == b"new");
    assert!(is_done || is_off);
    BTreeSet::from([content])
}

#[test]
fn created_directory_is_there_with_all_its_parents_after_a_power_cut() {
    for seed in 0..SEEDS {
        for path in ["/a/b/c/d", "data"] {
            let memory = MemoryDisk::new(seed);
            let disk = memory.disk();
            disk.create_directory(Path::new(path)).expect("it can be made");
            memory.cut_power();
            disk.list(Path::new(path)).expect("it is still there");
        }
        // Whoever began to make it died before its entry was synced.
        let memory = MemoryDisk::new(seed);
        let stopped = memory.disk().failing(|operation, _: &Path| {
            (operation == Operation::SyncDirectory).then_some(DiskFault::Fail(Errno::ACCESS))
        });
        assert!(stopped.clone().create_directory(Path::new("/a")).is_err());
        memory.disk().create_directory(Path::new("/a/b")).expect("it can be made");
        memory.cut_power();
        memory.disk().list(Path::new("/a/b")).expect("it is still there");
        // Or was refused twice, and had made both names by then.
        let memory = MemoryDisk::new(seed);
        let refusing = memory.disk().failing(|operation, _: &Path| {
            (operation == Operation::SyncDirectory).then_some(DiskFault::Fail(Errno::IO))
        });
        for _ in 0..2 {
            refusing.create_directory(Path::new("/a/b")).expect_err("nothing can be synced");
        }
        memory.disk().create_directory(Path::new("/a/b")).expect("it can be made");
        memory.cut_power();
        memory.disk().list(Path::new("/a/b")).expect("it is still there");
    }
}

#[test]
fn directory_below_one_that_may_not_be_read_is_made_and_durable() {
    for seed in 0..SEEDS {
        let memory = MemoryDisk::new(seed);
        let disk = memory.disk().failing(|operation, path: &Path| {
            let is_unreadable = operation == Operation::SyncDirectory && path == Path::new("/");
            is_unreadable.then_some(DiskFault::Fail(Errno::ACCESS))
        });
        disk.create_directory(Path::new("/a/b")).expect("0711 is enough");
        memory.cut_power();
        disk.list(Path::new("/a/b")).expect("it is still there");
    }
    let folder = tempfile::tempdir().expect("there is room");
    let above = folder.path().to_owned();
    let unreadable = Disk::with_faults(move |operation, path: &Path| {
        (operation == Operation::SyncDirectory && path == above).then_some(DiskFault::Fail(Errno::ACCESS))
    });
    unreadable.create_directory(&folder.path().join("a")).expect("0711 is enough");
    assert!(folder.path().join("a").is_dir());
}

#[test]
fn lock_of_a_copy_without_the_right_to_write_is_taken() {
    let (memory, disk) = begun(1);
    drop(disk.try_lock(&file("LOCK")).expect("it can be made"));
    memory.make_read_only();
    assert!(disk.try_lock(&file("LOCK")).expect("it is only read").is_some());
    assert!(disk.try_lock(&file("OTHER")).is_err());
}

#[test]
fn full_disk_takes_a_part_and_refuses_the_rest() {
    let (memory, disk) = begun(1);
    let opened = disk.create_new(&file("a")).expect("there is room");
    memory.limit_room(Some(10));
    assert!(opened.append(&[1; 12]).expect_err("there is no room").is_no_space());
    assert_eq!(disk.length(&file("a")).expect("it is there"), Some(10));
    assert!(disk.set_aside(&file("b"), 1).expect_err("there is no room").is_no_space());
    memory.limit_room(None);
    opened.append(&[1; 2]).expect("there is room again");
}

#[test]
fn room_ahead_leaves_the_length_as_it_is_and_is_given_back() {
    const AHEAD: u64 = 1024 * 1024;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let blocks = || std::fs::metadata(&path).unwrap().blocks() * 512;
    let file = Disk::new().create_new(&path).unwrap();
    file.append(b"ab").unwrap();
    file.allocate_ahead(2, AHEAD).unwrap();
    assert_eq!(file.length().unwrap(), 2);
    assert!(blocks() >= AHEAD, "{} bytes are allocated", blocks());
    file.append(b"c").unwrap();
    assert_eq!(Disk::new().read(&path).unwrap(), b"abc");
    file.give_back_ahead().unwrap();
    assert!(blocks() < AHEAD, "{} bytes are still allocated", blocks());
    assert_eq!(Disk::new().read(&path).unwrap(), b"abc");
}
