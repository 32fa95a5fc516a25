//! Starts, stops and kills real daemons on free ports.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::http::Client;

/// How long a start or a stop may take before the test gives up.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running daemon; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) http: SocketAddr,
    pub(crate) tcp: SocketAddr,
}

impl Daemon {
    /// Starts a daemon on the directory and waits until it listens.
    pub(crate) fn start(data_dir: &Path, arguments: &[&str]) -> Self {
        match Self::try_start(data_dir, arguments, &[]) {
            Ok(daemon) => daemon,
            Err(output) => panic!("the daemon did not start:\n{output}"),
        }
    }

    /// As [`Daemon::start`], but gives what the daemon said where it ends instead of listening.
    pub(crate) fn try_start(
        data_dir: &Path,
        arguments: &[&str],
        env: &[(&str, &str)],
    ) -> Result<Self, String> {
        Self::spawn(command(data_dir).args(arguments).envs(env.iter().copied()))
    }

    /// Starts a daemon on sockets that stay open when it ends, as a service manager does: the one of HTTP, and that of lines.
    pub(crate) fn start_on(data_dir: &Path, arguments: &[&str], sockets: [&TcpListener; 2]) -> Self {
        // The shell moves its first two descriptors to where the daemon looks for sockets, and becomes the daemon.
        let script = "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=http:lines exec \"$0\" \"$@\" 3<&0 4<&1 </dev/null >/dev/null";
        let [http, lines] = sockets.map(|socket| OwnedFd::from(socket.try_clone().unwrap()));
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_tallyd"), "serve", "--data-dir"]).arg(data_dir);
        command.args(arguments).stdin(http).stdout(lines).stderr(Stdio::piped());
        Self::spawn(&mut command).unwrap_or_else(|output| panic!("the daemon did not start:\n{output}"))
    }

    fn spawn(command: &mut Command) -> Result<Self, String> {
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, receiver) = mpsc::sync_channel(1024);
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                eprintln!("  | {line}");
                // Past the first lines nobody listens any more; the pipe is emptied all the same.
                if sender.try_send(line).is_err() {}
            }
        });
        let mut said = String::new();
        while let Ok(line) = receiver.recv_timeout(PATIENCE) {
            if let (Some(http), Some(tcp)) = (address(&line, "http="), address(&line, "tcp=")) {
                return Ok(Self { child, http, tcp });
            }
            said.push_str(&line);
            said.push('\n');
        }
        child.kill().unwrap();
        let status = child.wait().unwrap();
        Err(format!("{status}\n{said}"))
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.http)
    }

    pub(crate) fn lines(&self) -> Lines {
        Lines::connect(self.tcp).unwrap()
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, then waits for the end.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        self.child.wait().unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        let status =
            Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already, which is what the test wanted.
        if self.child.kill().is_ok() {
            self.child.wait().unwrap();
        }
    }
}

fn command(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tallyd"));
    command
        .args(["serve", "--http-listen", "127.0.0.1:0", "--tcp-listen", "127.0.0.1:0", "--data-dir"])
        .arg(data_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Runs `tallyd verify` on a directory that no daemon uses.
pub(crate) fn verify(data_dir: &Path) -> Result<String, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_tallyd"))
        .args(["verify", "--data-dir"])
        .arg(data_dir)
        .output()
        .unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(text) } else { Err(text) }
}

fn address(line: &str, key: &str) -> Option<SocketAddr> {
    let rest = &line[line.find(key)? + key.len()..];
    rest.split([' ', ',', '"']).next()?.parse().ok()
}

/// A connection to the line port.
pub(crate) struct Lines {
    stream: BufReader<TcpStream>,
}

impl Lines {
    pub(crate) fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_ref().write_all(bytes)
    }

    /// The next answer, without its line feed.
    pub(crate) fn answer(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Asks for `!sync`; gives (accepted, rejected), and passes `ERR` answers on to `complain`.
    pub(crate) fn sync(&mut self, mut complain: impl FnMut(&str)) -> std::io::Result<(u64, u64)> {
        self.send(b"!sync\n")?;
        loop {
            let answer = self.answer()?;
            match answer.split(' ').collect::<Vec<_>>()[..] {
                ["OK", accepted, rejected] => {
                    return Ok((accepted.parse().unwrap(), rejected.parse().unwrap()));
                }
                _ => complain(&answer),
            }
        }
    }
}
