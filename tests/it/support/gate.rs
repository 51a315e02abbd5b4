//! A TCP proxy of the server that delays a session at a chosen statement until the gate is opened.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::harness::socket_dir;

/// Delays the first session that sends a statement with a certain text.
pub(crate) struct Gate {
    port: u16,
    database: String,
    reached: Arc<AtomicBool>,
    open: Arc<AtomicBool>,
}

impl Gate {
    pub(crate) fn new(database: &str, text: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (reached, open) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (at_gate, is_open) = (Arc::clone(&reached), Arc::clone(&open));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (at_gate, is_open) = (Arc::clone(&at_gate), Arc::clone(&is_open));
                thread::spawn(move || serve(client, text, &at_gate, &is_open));
            }
        });
        Self { port, database: database.into(), reached, open }
    }

    pub(crate) fn url(&self) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{}?sslmode=disable", self.port, self.database)
    }

    /// Waits until a session is delayed.
    pub(crate) fn wait_until_reached(&self) {
        for _ in 0..4_000 {
            if self.reached.load(Ordering::SeqCst) {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("no session reached the gate");
    }

    /// Lets this session and all others pass.
    pub(crate) fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }
}

fn serve(mut client: TcpStream, text: &str, reached: &AtomicBool, open: &AtomicBool) {
    let Ok(mut server) = UnixStream::connect(socket_dir().join(".s.PGSQL.5432")) else { return };
    let (mut from_server, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let back = thread::spawn(move || {
        let _ = std::io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let mut buffer = vec![0; 65536];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        let hit = buffer[..count].windows(text.len()).any(|bytes| bytes == text.as_bytes());
        if hit && !reached.swap(true, Ordering::SeqCst) {
            while !open.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(2));
            }
        }
        if server.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
    let _ = back.join();
}
