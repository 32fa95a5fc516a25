//! Child processes under measurement, and what the kernel says of them.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
}

impl Server {
    pub(crate) fn new(child: Child) -> Self {
        Self { child }
    }

    /// CPU seconds, user and system, that the process has used so far.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("the server runs");
        let after_name = stat.rsplit_once(')').expect("a stat line").1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
        ticks / rustix::param::clock_ticks_per_second() as f64
    }

    /// Nanoseconds of processor time that all threads together have used so far.
    pub(crate) fn cpu_nanoseconds(&self) -> f64 {
        self.threads().into_iter().map(|thread| self.cpu_nanoseconds_of(thread)).sum()
    }

    /// The same of the thread that makes snapshots.
    pub(crate) fn fold_cpu_nanoseconds(&self) -> f64 {
        let is_snapshotter = |thread: &i32| {
            let path = format!("/proc/{}/task/{thread}/comm", self.child.id());
            std::fs::read_to_string(path).is_ok_and(|name| name.trim() == "snapshotter")
        };
        // A thread has its name from the moment it runs.
        self.threads().into_iter().find(is_snapshotter).map_or(0.0, |thread| self.cpu_nanoseconds_of(thread))
    }

    fn cpu_nanoseconds_of(&self, thread: i32) -> f64 {
        let path = format!("/proc/{}/task/{thread}/schedstat", self.child.id());
        // A thread may have ended since.
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.split(' ').next().and_then(|nanoseconds| nanoseconds.parse::<f64>().ok()).unwrap_or(0.0)
    }

    /// The ids of all threads.
    pub(crate) fn threads(&self) -> Vec<i32> {
        std::fs::read_dir(format!("/proc/{}/task", self.child.id()))
            .expect("the server runs")
            .map_while(Result::ok)
            .filter_map(|thread| thread.file_name().to_str()?.parse().ok())
            .collect()
    }

    /// Largest resident memory so far, in MB.
    pub(crate) fn peak_memory_mb(&self) -> f64 {
        self.status_kb("VmHWM:") * 1_024.0 / 1e6
    }

    /// Resident memory now, in MB.
    pub(crate) fn memory_mb(&self) -> f64 {
        self.status_kb("VmRSS:") * 1_024.0 / 1e6
    }

    fn status_kb(&self, key: &str) -> f64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the server runs");
        let line = status.lines().find(|line| line.starts_with(key)).expect("a known key");
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        if self.child.kill().is_ok() {
            self.child.wait().unwrap();
        }
    }
}

/// A tallyd in a directory of its own.
pub(crate) struct Tallyd {
    pub(crate) server: Server,
    pub(crate) http: SocketAddr,
    pub(crate) tcp: SocketAddr,
    data: tempfile::TempDir,
}

/// The directory of a tallyd that has stopped.
pub(crate) struct Stopped(tempfile::TempDir);

impl Tallyd {
    /// Starts a fresh daemon with the defaults and these arguments.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_program(None, arguments)
    }

    /// The same of another build, where its program is given.
    pub(crate) fn start_program(program: Option<&OsString>, arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), program, arguments)
    }

    /// Kills the daemon and starts another one on its directory; returns when that one listens.
    pub(crate) fn kill_and_restart(self) -> Self {
        drop(self.server);
        Stopped(self.data).restart()
    }

    /// Asks the daemon to stop; returns when it has.
    pub(crate) fn stop(mut self) -> Stopped {
        let id = rustix::process::Pid::from_child(&self.server.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        assert!(self.server.child.wait().unwrap().success());
        Stopped(self.data)
    }

    fn start_in(data: tempfile::TempDir, program: Option<&OsString>, arguments: &[&str]) -> Self {
        let this = OsString::from(env!("CARGO_BIN_EXE_tallyd"));
        let mut child = Command::new(program.unwrap_or(&this))
            .args(["serve", "--http-listen", "127.0.0.1:0", "--tcp-listen", "127.0.0.1:0", "--data-dir"])
            .arg(data.path())
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let server = Server::new(child);
        let (http, tcp) = stderr
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| Some((address(&line, "http=")?, address(&line, "tcp=")?)))
            .expect("the daemon says where it listens");
        std::thread::spawn(move || {
            stderr.map_while(Result::ok).for_each(|line| {
                if line.contains("WARN") || line.contains("ERROR") {
                    eprintln!("  | {line}");
                }
            });
        });
        Self { server, http, tcp, data }
    }

    /// Bytes of all files of the data directory, in MB.
    pub(crate) fn disk_mb(&self) -> f64 {
        bytes_below(self.data.path()) as f64 / 1e6
    }

    /// Bytes of the snapshot's files, the one before included, in MB.
    pub(crate) fn snapshot_mb(&self) -> f64 {
        bytes_below(&self.data.path().join("snapshot")) as f64 / 1e6
    }
}

impl Stopped {
    /// Bytes of all files that it left, in MB.
    pub(crate) fn disk_mb(&self) -> f64 {
        bytes_below(self.0.path()) as f64 / 1e6
    }

    /// Those in one of its folders.
    pub(crate) fn mb(&self, folder: &str) -> f64 {
        bytes_below(&self.0.path().join(folder)) as f64 / 1e6
    }

    /// Those of them that only keep room for a full disk.
    pub(crate) fn reserve_mb(&self) -> f64 {
        std::fs::metadata(self.0.path().join("reserve")).map_or(0.0, |file| file.len() as f64 / 1e6)
    }

    /// Starts a daemon on the directory; returns when it listens.
    pub(crate) fn restart(self) -> Tallyd {
        Tallyd::start_in(self.0, None, &[])
    }
}

fn bytes_below(directory: &Path) -> u64 {
    std::fs::read_dir(directory)
        .unwrap()
        .map_while(Result::ok)
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes_below(&entry.path()),
            Ok(meta) => meta.len(),
            // Deleted between listing and asking.
            Err(_) => 0,
        })
        .sum()
}

pub(crate) fn address(line: &str, key: &str) -> Option<SocketAddr> {
    line[line.find(key)? + key.len()..].split([' ', ',', '"']).next()?.parse().ok()
}
