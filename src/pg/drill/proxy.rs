//! A proxy that delays: each direction forwards data after a delay, in order, and reads on meanwhile, so that it adds latency
//! without limiting the bandwidth.
//!
//! It does not parse the data.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream, ToSocketAddrs as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use std::{fs, thread};

use parking_lot::{Condvar, Mutex};

use crate::pg::net::location::Location;
use crate::pg::net::proxy_override::ProxyListener;
use crate::threads;

/// The size of one read.
const PIECE_BYTES: usize = 32 << 10;
/// How many pieces may be in transit in one direction.
const PIECES_MAX: usize = 256;

/// A connection to a server or a client.
enum Socket {
    Socket(UnixStream),
    Network(TcpStream),
}

impl Socket {
    fn connect(location: &Location) -> io::Result<Self> {
        let (host, address, port) = match location {
            Location::Socket { .. } => return UnixStream::connect(location.to_string()).map(Self::Socket),
            Location::Network { host, address, port } => (host, address, *port),
        };
        let connected = match address {
            Some(address) => TcpStream::connect((*address, port)),
            None => TcpStream::connect(&*(host.as_str(), port).to_socket_addrs()?.collect::<Vec<_>>()),
        };
        connected.and_then(Self::network)
    }

    /// Without Nagle's algorithm, so that due data is sent at once.
    fn network(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self::Network(stream))
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Socket(stream) => (&*stream).read(buffer),
            Self::Network(stream) => (&*stream).read(buffer),
        }
    }

    fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Socket(stream) => (&*stream).write_all(bytes),
            Self::Network(stream) => (&*stream).write_all(bytes),
        }
    }

    fn shut(&self, how: Shutdown) {
        // Fails only if it is already closed.
        let _ = match self {
            Self::Socket(stream) => stream.shutdown(how),
            Self::Network(stream) => stream.shutdown(how),
        };
    }
}

enum Listener {
    Socket(UnixListener),
    Network(TcpListener),
}

impl Listener {
    fn accept(&self) -> io::Result<Socket> {
        match self {
            Self::Socket(listener) => listener.accept().map(|(stream, _)| Socket::Socket(stream)),
            Self::Network(listener) => listener.accept().and_then(|(stream, _)| Socket::network(stream)),
        }
    }
}

/// Both ends of a connection through the proxy; dropping it closes them.
struct Connection {
    client: Socket,
    server: Socket,
    shared: Arc<ProxyShared>,
}

impl Connection {
    fn cut(&self) {
        self.client.shut(Shutdown::Both);
        self.server.shut(Shutdown::Both);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What all threads share.
struct ProxyShared {
    delay: Duration,
    /// Whether the delay is over.
    is_over: Mutex<bool>,
    over: Condvar,
    is_closed: AtomicBool,
    total: AtomicU64,
    open: AtomicU64,
    connections: Mutex<Vec<Weak<Connection>>>,
}

impl ProxyShared {
    /// Waits until this instant, or until the delay is over.
    fn wait_until(&self, due: Instant) {
        let mut is_over = self.is_over.lock();
        let left = due.saturating_duration_since(Instant::now());
        self.over.wait_while_for(&mut is_over, |is_over| !*is_over, left);
    }
}

/// Listens in place of servers, and delays. Dropping it cuts the remaining connections.
pub(crate) struct Proxy {
    shared: Arc<ProxyShared>,
    listeners: Vec<(Location, ProxyListener)>,
    folder: PathBuf,
}

impl Proxy {
    /// Listens in place of each of these locations: for a socket on one below `folder`, which only this user may enter; for a
    /// port on a local port, as other users can reach the server's port too.
    pub(crate) fn open(
        locations: impl IntoIterator<Item = Location>,
        folder: &Path,
        delay: Duration,
    ) -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;

        let shared = Arc::new(ProxyShared {
            delay,
            is_over: Mutex::new(false),
            over: Condvar::new(),
            is_closed: AtomicBool::new(false),
            total: AtomicU64::new(0),
            open: AtomicU64::new(0),
            connections: Mutex::default(),
        });
        // A killed process may have left files.
        let _ = fs::remove_dir_all(folder);
        fs::DirBuilder::new().mode(0o700).create(folder)?;
        let mut proxy = Self { shared, listeners: Vec::new(), folder: folder.to_owned() };
        for (number, location) in locations.into_iter().enumerate() {
            let (listener, through) = match &location {
                Location::Socket { port, .. } => {
                    let folder = folder.join(number.to_string());
                    fs::create_dir(&folder)?;
                    let socket = Location::Socket { folder: folder.clone(), port: *port };
                    (Listener::Socket(UnixListener::bind(socket.to_string())?), ProxyListener::Folder(folder))
                }
                Location::Network { .. } => {
                    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
                    let port = listener.local_addr()?.port();
                    (Listener::Network(listener), ProxyListener::Port(port))
                }
            };
            let (shared, server) = (Arc::clone(&proxy.shared), location.clone());
            threads::start(move || serve(&listener, &server, &shared)).map_err(io::Error::other)?;
            proxy.listeners.push((location, through));
        }
        Ok(proxy)
    }

    /// The listener for each location.
    pub(crate) fn listeners(&self) -> &[(Location, ProxyListener)] {
        &self.listeners
    }

    /// Ends the delay; connections stay open.
    pub(crate) fn stop_delaying(&self) {
        *self.shared.is_over.lock() = true;
        self.shared.over.notify_all();
    }

    /// The number of connections so far.
    pub(crate) fn total(&self) -> u64 {
        self.shared.total.load(Ordering::SeqCst)
    }

    /// The number of open connections.
    pub(crate) fn open_now(&self) -> u64 {
        self.shared.open.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_closed.store(true, Ordering::SeqCst);
        self.stop_delaying();
        let connections = std::mem::take(&mut *self.shared.connections.lock());
        for connection in connections.iter().filter_map(Weak::upgrade) {
            connection.cut();
        }
        for (location, through) in &self.listeners {
            // Wakes a listener that waits in `accept`, so that it ends.
            let _ = match through {
                ProxyListener::Folder(folder) => {
                    let socket = Location::Socket { folder: folder.clone(), port: location.port() };
                    UnixStream::connect(socket.to_string()).map(drop)
                }
                ProxyListener::Port(port) => TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).map(drop),
            };
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn serve(listener: &Listener, server: &Location, shared: &Arc<ProxyShared>) {
    loop {
        let accepted = listener.accept();
        if shared.is_closed.load(Ordering::SeqCst) {
            return;
        }
        let Ok(client) = accepted else {
            // For example too many open files, which may pass.
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        let (server, shared) = (server.clone(), Arc::clone(shared));
        // Without a thread the client's connection is closed.
        let _ = threads::start(move || relay(client, &server, &shared));
    }
}

/// Serves one connection. If the server cannot be reached, the client's connection is closed.
fn relay(client: Socket, server: &Location, shared: &Arc<ProxyShared>) {
    let Ok(server) = Socket::connect(server) else { return };
    shared.total.fetch_add(1, Ordering::SeqCst);
    shared.open.fetch_add(1, Ordering::SeqCst);
    let connection = Arc::new(Connection { client, server, shared: Arc::clone(shared) });
    {
        let mut connections = shared.connections.lock();
        connections.retain(|connection| connection.strong_count() > 0);
        connections.push(Arc::downgrade(&connection));
    }
    if shared.is_closed.load(Ordering::SeqCst) {
        return;
    }
    for (from, to) in [(PipeEnd::Client, PipeEnd::Server), (PipeEnd::Server, PipeEnd::Client)] {
        let (sender, receiver) = sync_channel(PIECES_MAX);
        let (reading, writing) = (Arc::clone(&connection), Arc::clone(&connection));
        let started = threads::start(move || take(&reading, from, &sender))
            .and_then(|()| threads::start(move || deliver(&writing, to, &receiver)));
        if started.is_err() {
            return connection.cut();
        }
    }
}

#[derive(Clone, Copy)]
enum PipeEnd {
    Client,
    Server,
}

impl Connection {
    fn socket(&self, end: PipeEnd) -> &Socket {
        match end {
            PipeEnd::Client => &self.client,
            PipeEnd::Server => &self.server,
        }
    }
}

/// Reads data, and passes it on with the instant at which it is due; an empty piece is the end.
fn take(connection: &Connection, from: PipeEnd, sender: &SyncSender<(Instant, Vec<u8>)>) {
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        let count = connection.socket(from).read(&mut buffer).unwrap_or(0);
        let due = Instant::now() + connection.shared.delay;
        if sender.send((due, buffer[..count].to_vec())).is_err() || count == 0 {
            return;
        }
    }
}

fn deliver(connection: &Connection, to: PipeEnd, receiver: &Receiver<(Instant, Vec<u8>)>) {
    while let Ok((due, piece)) = receiver.recv() {
        connection.shared.wait_until(due);
        if piece.is_empty() {
            connection.socket(to).shut(Shutdown::Write);
            return;
        }
        if connection.socket(to).write_all(&piece).is_err() {
            return connection.cut();
        }
    }
}
