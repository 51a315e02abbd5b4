//! Where a server listens.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postgres::Config;

/// A socket, or a host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// `FOLDER/.s.PGSQL.PORT`.
    Socket {
        /// The folder that it lies in.
        folder: PathBuf,
        /// What its name ends with.
        port: u16,
    },
    /// A port of a host.
    Network {
        /// The name that a certificate must bear.
        host: String,
        /// Where the host is, if that is not to be looked up.
        address: Option<IpAddr>,
        /// The port.
        port: u16,
    },
}

impl Location {
    /// As libpq reads `host`, `hostaddr` and `port`.
    pub(crate) fn new(host: &str, address: Option<IpAddr>, port: u16) -> Self {
        if host.starts_with('/') && address.is_none() {
            Self::Socket { folder: host.into(), port }
        } else {
            Self::Network { host: host.to_owned(), address, port }
        }
    }

    /// `HOST:PORT`, or the socket's path.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Socket { folder, port } => socket_path(folder, *port),
            Self::Network { host, port, .. } => host_and_port(host, *port),
        }
    }

    /// libpq uses no TLS on a socket, whatever `sslmode` says.
    pub(crate) fn is_socket(&self) -> bool {
        matches!(self, Self::Socket { .. })
    }

    /// Whether somebody listens there.
    pub(crate) fn accepts(&self, timeout: Duration) -> bool {
        match self {
            // Only these say that nobody does: a folder that may not be entered says nothing.
            Self::Socket { .. } => !UnixStream::connect(self.place()).is_err_and(|cause| {
                matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused)
            }),
            Self::Network { host, address, port } => {
                let places: Vec<SocketAddr> = match address {
                    Some(address) => vec![(*address, *port).into()],
                    None => (host.as_str(), *port)
                        .to_socket_addrs()
                        .map_or_else(|_| Vec::new(), Iterator::collect),
                };
                places.iter().any(|place| TcpStream::connect_timeout(place, timeout).is_ok())
            }
        }
    }

    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Socket { port, .. } | Self::Network { port, .. } => *port,
        }
    }

    /// All that is to be known for connecting: the rest, and the way there.
    pub(crate) fn config(&self, rest: &Config) -> Config {
        let mut config = rest.clone();
        config.port(self.port());
        match self {
            Self::Socket { folder, .. } => config.host_path(folder),
            Self::Network { host, address, .. } => {
                if let Some(address) = address {
                    config.hostaddr(*address);
                }
                config.host(host)
            }
        };
        config
    }
}

/// The file name of a server's socket.
pub(crate) fn socket_name(port: u16) -> String {
    format!(".s.PGSQL.{port}")
}

fn socket_path(folder: &Path, port: u16) -> String {
    folder.join(socket_name(port)).display().to_string()
}

/// `HOST:PORT`, with brackets where the host has colons.
pub(crate) fn host_and_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
