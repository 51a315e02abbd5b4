//! Where a server listens: a Unix socket, or a host and a port.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use postgres::Config;

/// A socket, or a host and a port. Its `Display` is `HOST:PORT`, or the socket's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// `FOLDER/.s.PGSQL.PORT`.
    Socket {
        /// The folder of the socket.
        folder: PathBuf,
        /// The port, with which the socket's name ends.
        port: u16,
    },
    /// A port of a host.
    Network {
        /// The host name, which a certificate must match.
        host: String,
        /// The host's IP address, if the name is not to be resolved.
        address: Option<IpAddr>,
        /// The port.
        port: u16,
    },
}

impl Location {
    /// Reads `host`, `hostaddr` and `port` as libpq does.
    pub(crate) fn new(host: &str, address: Option<IpAddr>, port: u16) -> Self {
        if host.starts_with('/') && address.is_none() {
            Self::Socket { folder: host.into(), port }
        } else {
            Self::Network { host: host.to_owned(), address, port }
        }
    }

    /// Whether it is a Unix socket: libpq uses no TLS there, whatever `sslmode` says.
    pub(crate) fn is_socket(&self) -> bool {
        matches!(self, Self::Socket { .. })
    }

    /// Whether a server listens there. Each IP address gets the whole timeout.
    pub(crate) fn accepts(&self, timeout: Duration) -> bool {
        match self {
            // Only these errors prove that no server listens; a permission error does not.
            Self::Socket { folder, port } => !UnixStream::connect(folder.join(socket_name(*port)))
                .is_err_and(|cause| {
                    matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused)
                }),
            Self::Network { host, address, port } => {
                let addresses: Vec<SocketAddr> = match address {
                    Some(address) => vec![(*address, *port).into()],
                    None => (host.as_str(), *port)
                        .to_socket_addrs()
                        .map_or_else(|_| Vec::new(), Iterator::collect),
                };
                addresses.iter().any(|address| TcpStream::connect_timeout(address, timeout).is_ok())
            }
        }
    }

    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Socket { port, .. } | Self::Network { port, .. } => *port,
        }
    }

    /// `base` with this host and port. A host is looked up here: the crate would do it on a thread, and panic where none can
    /// be started.
    pub(crate) fn config(&self, base: &Config) -> io::Result<Config> {
        let mut config = base.clone();
        config.port(self.port());
        match self {
            Self::Socket { folder, .. } => drop(config.host_path(folder)),
            Self::Network { host, address, port } => {
                let addresses = match address {
                    Some(address) => vec![*address],
                    None => (host.as_str(), *port).to_socket_addrs()?.map(|found| found.ip()).collect(),
                };
                for address in addresses {
                    config.host(host).hostaddr(address);
                }
            }
        }
        Ok(config)
    }
}

/// The file name of a server's socket.
pub(crate) fn socket_name(port: u16) -> String {
    format!(".s.PGSQL.{port}")
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket { folder, port } => folder.join(socket_name(*port)).display().fmt(f),
            Self::Network { host, port, .. } => f.write_str(&host_and_port(host, *port)),
        }
    }
}

/// `HOST:PORT`; the host in brackets if it has colons.
pub(crate) fn host_and_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
