//! A daemon's HTTP port on a free port with a store in a temporary directory, and a client that hides nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tallyd::model::calendar::{ZoneDatabase, Zones};
use tallyd::model::catalogue::CatalogueLimits;
use tallyd::model::memory::MemoryCeiling;
use tallyd::net::Services;
use tallyd::net::auth::Auth;
use tallyd::net::condition::Conditions;
use tallyd::net::guessing::Guessing;
use tallyd::net::http::{self, Limits, Origins, Runtimes};
use tallyd::net::listener::Socket;
use tallyd::net::metrics::Metrics;
use tallyd::platform::clock::Clock;
use tallyd::platform::shutdown::{self, Trigger};
use tallyd::store::{Fsync, KeyLimits, Store, StoreOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// 2019-03-17T09:30:00Z, where every daemon of these tests stands.
pub(crate) const NOW_UNIX_NANOS: i64 = 1_552_815_000_000_000_000;
pub(crate) const STORY: &str = "5b07ffafc2376e30306d9b16";
/// One conversation in the hour of 09:00.
pub(crate) const LINE: &str =
    "conversation,storyId=5b07ffafc2376e30306d9b16,source=messenger count=1i 1552813200000000001\n";

/// Who may ask, and how much.
type Access = (Auth, Limits, Origins);

/// A served port. Dropping it fires the shutdown.
pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: Trigger,
    pub(crate) served: JoinHandle<()>,
    /// That of requests, not that of the store.
    pub(crate) clock: Clock,
    pub(crate) store: Option<Store>,
    pub(crate) auth: Arc<Auth>,
    _data_dir: tempfile::TempDir,
}

impl Port {
    pub(crate) async fn open() -> Self {
        Self::with(Auth::default(), Limits::default()).await
    }

    pub(crate) async fn with(auth: Auth, limits: Limits) -> Self {
        Self::below(auth, limits, |_| u64::MAX).await
    }

    /// With a ceiling of memory, made of what an empty store takes.
    pub(crate) async fn below(auth: Auth, limits: Limits, ceiling: impl FnOnce(u64) -> u64) -> Self {
        Self::with_keys(KeyLimits::default(), (auth, limits, Origins::default()), ceiling).await
    }

    /// With other origins whose pages may ask.
    pub(crate) async fn for_pages(auth: Auth, origins: &str) -> Self {
        let access = (auth, Limits::default(), Origins::parse(origins).unwrap());
        Self::with_keys(KeyLimits::default(), access, |_| u64::MAX).await
    }

    /// With a retry window.
    pub(crate) async fn with_window(retry_window: Duration) -> Self {
        let keys = KeyLimits { retry_window, ..KeyLimits::default() };
        let access = (Auth::default(), Limits::default(), Origins::default());
        Self::with_keys(keys, access, |_| u64::MAX).await
    }

    /// With room for so many keys.
    pub(crate) async fn with_few_keys(keys: usize) -> Self {
        let keys = KeyLimits { keys, ..KeyLimits::default() };
        Self::with_keys(keys, Access::default(), |_| u64::MAX).await
    }

    async fn with_keys(keys: KeyLimits, access: Access, ceiling: impl FnOnce(u64) -> u64) -> Self {
        let runtimes = Runtimes { requests: Handle::current(), heavy: Handle::current() };
        Self::start(runtimes, keys, access, ceiling).await
    }

    /// With all that is not quick on another runtime.
    pub(crate) async fn beside(requests: Handle) -> Self {
        let runtimes = Runtimes { requests, heavy: Handle::current() };
        let access = (Auth::default(), Limits::default(), Origins::default());
        Self::start(runtimes, KeyLimits::default(), access, |_| u64::MAX).await
    }

    async fn start(
        runtimes: Runtimes,
        keys: KeyLimits,
        (auth, limits, origins): Access,
        ceiling: impl FnOnce(u64) -> u64,
    ) -> Self {
        let data_dir = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            limits: CatalogueLimits::default(),
            keys,
            data_dir: data_dir.path().to_path_buf(),
            fsync: Fsync::Never,
            fsync_interval: Duration::from_secs(1),
            snapshot_interval: Duration::from_hours(1),
            clock: Clock::manual(NOW_UNIX_NANOS),
        };
        let (store, _) = Store::open(options, &mut || {}).unwrap();
        let memory =
            |bytes| MemoryCeiling::new(bytes, Arc::clone(store.catalogue()), Arc::clone(store.counters()));
        let used = memory(0).used_bytes();
        let (metrics, clock) = (Arc::new(Metrics::default()), Clock::manual(NOW_UNIX_NANOS));
        let auth = Arc::new(auth);
        let services = Services {
            write_handle: store.write_handle(),
            log: None,
            backups: store.backups(),
            catalogue: Arc::clone(store.catalogue()),
            counters: Arc::clone(store.counters()),
            memory: Arc::new(memory(ceiling(used))),
            store_status: store.status(),
            conditions: Arc::new(Conditions::new(clock.clone())),
            auth: Arc::clone(&auth),
            guessing: Arc::new(Guessing::new(Arc::clone(&metrics), clock.clone())),
            tls: None,
            origins: Arc::new(origins),
            metrics,
            zones: Arc::new(Zones::new(ZoneDatabase::bundled())),
            clock: clock.clone(),
            max_future: Duration::from_hours(1),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, watch) = shutdown::channel();
        let served = tokio::spawn(http::serve(Socket::Tcp(listener), services, limits, runtimes, watch));
        Self { address, shutdown, served, clock, store: Some(store), auth, _data_dir: data_dir }
    }

    pub(crate) async fn client(&self) -> Client {
        Client { stream: TcpStream::connect(self.address).await.unwrap(), unread: Vec::new() }
    }

    /// A connection whose kernel takes few bytes that are not read.
    pub(crate) async fn slow_client(&self) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 * 1024).unwrap();
        Client { stream: socket.connect(self.address).await.unwrap(), unread: Vec::new() }
    }

    /// One request on a connection of its own.
    pub(crate) async fn ask(&self, method: &str, target: &str, headers: &[&str], body: &[u8]) -> Reply {
        self.client().await.ask(method, target, headers, body).await
    }

    /// Method and path of every route, as `GET /` lists them.
    pub(crate) async fn routes(&self) -> Vec<(String, String)> {
        let listing = self.get("/").await.body;
        let rows = listing
            .lines()
            .filter(|line| line.split_whitespace().nth(1).is_some_and(|word| word.starts_with('/')));
        let routes: Vec<_> = rows
            .map(|row| {
                let mut words = row.split_whitespace();
                let (method, path) = (words.next().unwrap(), words.next().unwrap());
                let path = path.replace("{name}", "conversations").replace("{storyId}", STORY);
                let path = path.replace("{file}", &format!("{}/app.js", tallyd::page::tag()));
                (method.to_owned(), path)
            })
            .collect();
        assert!(routes.len() >= 16 && routes.iter().all(|(_, path)| !path.contains('{')), "{routes:?}");
        routes
    }

    pub(crate) async fn get(&self, target: &str) -> Reply {
        self.ask("GET", target, &[], b"").await
    }

    pub(crate) async fn post(&self, target: &str, body: &str) -> Reply {
        self.ask("POST", target, &[], body.as_bytes()).await
    }

    /// All conversations of the day of the tests, as the report tells them.
    pub(crate) async fn conversations(&self) -> u64 {
        let reply = self.get("/reports/conversations?period=today").await;
        reply.json()["summary"]["total"].as_u64().unwrap_or_else(|| panic!("{reply:?}"))
    }
}

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    pub(crate) async fn ask(&mut self, method: &str, target: &str, headers: &[&str], body: &[u8]) -> Reply {
        let mut request = format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\n");
        for header in headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        if method != "GET" && method != "HEAD" && !headers.iter().any(|header| is_framing(header)) {
            request.push_str("content-length: ");
            request.push_str(&body.len().to_string());
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        self.send(&bytes).await;
        self.reply(method == "HEAD").await
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next answer; of a stream the head alone.
    pub(crate) async fn reply(&mut self, is_head: bool) -> Reply {
        let mut reply = self.head().await;
        // What has no end of its own is read by those who ask for it.
        if reply.header("content-type") == Some("text/event-stream") {
            return reply;
        }
        let length = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
        if !is_head && reply.header("transfer-encoding") == Some("chunked") {
            let body = self.chunks().await;
            if reply.header("content-type") == Some("application/x-tar") {
                reply.packed = body;
            } else {
                reply.body = String::from_utf8(body).unwrap();
            }
        } else if !is_head {
            while self.unread.len() < length {
                assert!(self.fill().await, "closed within the body of {reply:?}");
            }
            let body = self.unread.drain(..length).collect();
            if reply.header("content-encoding").is_some() {
                reply.packed = body;
            } else {
                reply.body = String::from_utf8(body).unwrap();
            }
            reply.bytes += length;
        }
        reply
    }

    /// The head of the next answer.
    pub(crate) async fn head(&mut self) -> Reply {
        let head_end = loop {
            if let Some(at) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            assert!(self.fill().await, "closed without an answer; got {:?}", self.unread);
        };
        let head = String::from_utf8(self.unread[..head_end].to_vec()).unwrap();
        self.unread.drain(..head_end + 4);
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Reply { status, headers, body: String::new(), packed: Vec::new(), bytes: head_end + 4 }
    }

    /// A body in chunks.
    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await {
            body.extend_from_slice(&chunk);
        }
        body
    }

    /// The next chunk of a body; `None` after the last.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let line_end = loop {
            if let Some(at) = self.unread.windows(2).position(|two| two == b"\r\n") {
                break at;
            }
            assert!(self.fill().await, "closed before a chunk");
        };
        let size = std::str::from_utf8(&self.unread[..line_end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        let end = line_end + 2 + size;
        while self.unread.len() < end + 2 {
            assert!(self.fill().await, "closed within a chunk");
        }
        let chunk = self.unread[line_end + 2..end].to_vec();
        self.unread.drain(..end + 2);
        (size != 0).then_some(chunk)
    }

    async fn fill(&mut self) -> bool {
        let read = tokio::time::timeout(Duration::from_secs(20), self.stream.read_buf(&mut self.unread));
        read.await.expect("no answer within 20 s").unwrap() != 0
    }

    /// How many more bytes come before the daemon closes.
    pub(crate) async fn rest(&mut self) -> usize {
        let mut rest = std::mem::take(&mut self.unread);
        let read = tokio::time::timeout(Duration::from_secs(20), self.stream.read_to_end(&mut rest));
        // A reset is a close as well.
        let outcome = read.await.expect("not closed within 20 s");
        outcome.map_or(rest.len(), |_| rest.len())
    }
}

fn is_framing(header: &str) -> bool {
    let header = header.to_ascii_lowercase();
    header.starts_with("content-length:") || header.starts_with("transfer-encoding:")
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// The body instead, where it is packed, or an archive.
    pub(crate) packed: Vec<u8>,
    /// Head and body as sent; of one in chunks the head alone.
    pub(crate) bytes: usize,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Whether `Vary` names a header of requests.
    pub(crate) fn varies_by(&self, name: &str) -> bool {
        let lists = self.headers.iter().filter(|(header, _)| header == "vary");
        lists.flat_map(|(_, list)| list.split(", ")).any(|named| named.eq_ignore_ascii_case(name))
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn message(&self) -> String {
        self.json()["status"]["message"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }
}
