//! The whole daemon under load: `cargo bench --bench load`.
//!
//! Starts the release daemon, drives the same events into it by every entrance, asks for every report, and measures
//! beside it, in the same minutes, what the machine and other programs reach. Absolute figures of a shared machine
//! mean little; the ratios within one run are what to quote.
#![expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a measuring program: it prints, reads clocks, rounds, and stops at the first surprise"
)]

mod against;
mod backup;
mod ceilings;
mod cells;
mod clock;
#[cfg(feature = "cluster")]
mod cluster;
mod daemon;
mod dear;
mod duckdb;
mod encrypted;
mod fold;
mod footprint;
mod growth;
mod http;
mod ingest;
mod keys;
mod open;
mod open_peers;
mod peer_reports;
mod peers;
mod picture;
mod placement;
#[path = "../support/random.rs"]
mod random;
mod reports;
mod sizes;
mod start;
mod stories;
mod streams;
mod table;
mod workload;

use clap::Parser;

use table::Table;
use workload::{Shape, Workload};

/// Measures the release daemon: ingest by every entrance, every report, the machine's ceilings, other programs.
#[derive(Debug, Parser)]
struct Arguments {
    /// Parts to run; all where none is named: ceilings, ingest, fsync, single, reports, busy, peers,
    /// peer-reports, fold, cells, dear, keys, tls,
    /// streams, stories, start, open, sizes, series, footprint, duckdb, growth, backup, cluster.
    parts: Vec<String>,
    /// Events of the workload.
    #[arg(long, default_value_t = 2_000_000)]
    events: usize,
    /// Stories of the workload.
    #[arg(long, default_value_t = 1_000)]
    stories: usize,
    /// How often each ingest figure is taken; the median is printed.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Measures nothing but this build beside the program of another one, in turn.
    #[arg(long)]
    against: Option<std::ffi::OsString>,
    /// Of the parts `ingest`, `fsync`, `cells`, `growth`, `dear` and `open`, and of `--against`, takes only the figures whose names contain this.
    #[arg(long, default_value = "")]
    only: String,
    /// A file for the picture of the part that draws one: `sizes` or `growth`.
    #[arg(long)]
    picture: Option<std::path::PathBuf>,
    #[command(flatten)]
    cells: cells::Wanted,
    #[command(flatten)]
    open: open::Wanted,
    /// Given by cargo, ignored.
    #[arg(long, hide = true)]
    bench: bool,
    /// Runs as the bare HTTP server that answers are compared with, on a free port.
    #[arg(long, hide = true)]
    bare_http: bool,
}

fn main() {
    let arguments = Arguments::parse();
    if arguments.bare_http {
        ceilings::serve_bare_http();
        return;
    }
    let wanted = |part: &str| arguments.parts.is_empty() || arguments.parts.iter().any(|name| name == part);
    let shape = Shape { events: arguments.events, stories: arguments.stories };
    let workload = Workload::generate(shape);
    println!("{}", workload.describe());
    let mut table = Table::new();
    if let Some(other) = arguments.against.clone() {
        let (runs, only) = (arguments.runs, arguments.only.as_str());
        against::Against { workload: &workload, other, runs, only, table: &mut table }.measure();
        println!("{}", table.render());
        return;
    }
    if wanted("ceilings") {
        ceilings::measure(&workload, &mut table);
    }
    if wanted("ingest") {
        ingest::measure(ingest::Taker::new(&workload, &arguments.only, arguments.runs, &mut table));
    }
    if wanted("fsync") {
        ingest::measure_fsync(ingest::Taker::new(&workload, &arguments.only, arguments.runs, &mut table));
    }
    if wanted("single") {
        ingest::measure_single_events(&workload, &mut table);
    }
    if wanted("reports") {
        reports::measure_idle(&workload, &mut table);
    }
    if wanted("busy") {
        reports::measure_busy(&workload, &mut table);
    }
    if wanted("peers") {
        peers::measure(&workload, arguments.runs, &mut table);
    }
    if wanted("peer-reports") {
        peer_reports::measure(&workload, &mut table);
    }
    if wanted("fold") {
        fold::measure(&workload, arguments.runs, &mut table);
    }
    if wanted("cells") {
        cells::measure(&arguments.cells, &arguments.only, &mut table);
    }
    measure_more(&arguments, &workload, wanted, &mut table);
    println!("{}", table.render());
}

/// The other half of the parts.
fn measure_more(
    arguments: &Arguments,
    workload: &Workload,
    wanted: impl Fn(&str) -> bool,
    table: &mut Table,
) {
    if wanted("growth") {
        let chosen = (arguments.only.as_str(), arguments.picture.as_deref());
        growth::measure(&arguments.cells, chosen, table);
    }
    if wanted("keys") {
        keys::measure(workload, arguments.runs, table);
    }
    if wanted("tls") {
        encrypted::measure(workload, arguments.runs, table);
    }
    if wanted("backup") {
        backup::measure(workload, arguments.runs, table);
    }
    #[cfg(feature = "cluster")]
    if wanted("cluster") {
        cluster::measure(workload, arguments.runs, table);
    }
    if wanted("streams") {
        streams::measure(workload, arguments.runs, table);
    }
    if wanted("stories") {
        stories::measure(workload, table);
    }
    if wanted("start") {
        start::measure(arguments.runs, table);
    }
    if wanted("open") {
        open::measure(workload, (&arguments.open, &arguments.only), table);
    }
    if wanted("dear") {
        dear::measure(arguments.events, &arguments.only, table);
    }
    // With the other programs as well, where these are asked for.
    if wanted("duckdb") || wanted("peers") {
        duckdb::measure(workload, arguments.runs, table);
    }
    if wanted("footprint") {
        footprint::measure(workload, arguments.runs, table);
    }
    if wanted("sizes") {
        sizes::measure(workload.shape, arguments.picture.as_deref(), table);
    }
    if wanted("series") {
        sizes::measure_series(arguments.stories, table);
    }
}
