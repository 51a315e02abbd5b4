//! A TCP proxy of the server that cuts the connection at a chosen statement.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::harness::socket_dir;

/// Where the connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The statement never reaches the server.
    Request,
    /// The server executes the statement, and its reply is dropped.
    Answer,
    /// The statement reaches the server, and then both ends are closed.
    Both,
}

/// Cuts the first connection that sends a statement with a certain text; lets all others pass.
pub(crate) struct Proxy {
    port: u16,
    database: String,
    armed: Arc<AtomicBool>,
    cuts: Arc<AtomicBool>,
}

impl Proxy {
    pub(crate) fn new(database: &str, text: &'static str, cut: Cut) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (armed, cuts) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let (for_thread, for_cuts) = (Arc::clone(&armed), Arc::clone(&cuts));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (armed, cuts) = (Arc::clone(&for_thread), Arc::clone(&for_cuts));
                thread::spawn(move || serve(client, text, cut, &armed, &cuts));
            }
        });
        Self { port, database: database.into(), armed, cuts }
    }

    pub(crate) fn url(&self) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{}?sslmode=disable", self.port, self.database)
    }

    /// Cuts once more.
    pub(crate) fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
        self.cuts.store(false, Ordering::SeqCst);
    }

    pub(crate) fn has_cut(&self) -> bool {
        self.cuts.load(Ordering::SeqCst)
    }
}

fn serve(mut client: TcpStream, text: &str, cut: Cut, armed: &AtomicBool, cuts: &AtomicBool) {
    let Ok(mut server) = UnixStream::connect(socket_dir().join(".s.PGSQL.5432")) else { return };
    let (mut from_server, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let swallow = Arc::new(AtomicBool::new(false));
    let swallowing = Arc::clone(&swallow);
    let back = thread::spawn(move || {
        let mut buffer = vec![0; 65536];
        while let Ok(count @ 1..) = from_server.read(&mut buffer) {
            if swallowing.load(Ordering::SeqCst) {
                // The reply has arrived, so the commit is done. It is dropped.
                break;
            }
            if to_client.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let mut buffer = vec![0; 65536];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        let hit = buffer[..count].windows(text.len()).any(|bytes| bytes == text.as_bytes());
        if hit && armed.swap(false, Ordering::SeqCst) {
            cuts.store(true, Ordering::SeqCst);
            if cut == Cut::Request {
                break;
            }
            if cut == Cut::Both {
                let _ = server.write_all(&buffer[..count]);
                break;
            }
            swallow.store(true, Ordering::SeqCst);
        }
        if server.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    if cut != Cut::Answer {
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    }
    let _ = back.join();
}
