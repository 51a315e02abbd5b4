//! One connection to an address: host by host, with TLS or without, as libpq does it.
//!
//! After 34.1.1.3 ("Specifying Multiple Hosts"), `target_session_attrs` in 34.1.2 and `sslmode` in 34.19 of
//! the PostgreSQL documentation. What the failures mean is the business of `failure`.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use postgres::config::SslMode;
use postgres::tls::{MakeTlsConnect, TlsConnect};
use postgres::{Client, Config, NoTls, SimpleQueryMessage, Socket};
use r2d2::ManageConnection as _;
use r2d2_postgres::PostgresConnectionManager;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::active_sessions::CancelHandle;
use super::connect_error;
use super::connect_error::Refusal;
use super::conninfo::{Address, Endpoint, TargetServer};
use super::tls::Mode;
use crate::error::Kind;

/// A connection, and how what runs on it can be cancelled.
pub(crate) struct Connected {
    pub(crate) client: Client,
    pub(crate) cancel: CancelHandle,
}

impl Connected {
    fn new(client: Client, tls: Option<MakeRustlsConnect>) -> Self {
        let cancel = CancelHandle::new(client.cancel_token(), tls);
        Self { client, cancel }
    }
}

/// Connects to the first endpoint that answers and fits. If none does, tells of each that was tried.
///
/// As in libpq, the next host is tried only after one that cannot be reached or does not fit: a server that
/// refuses a password, or cannot prove who it is, ends the search. Each host has the whole time for itself.
pub(crate) fn connect(address: &Address, application_name: &str) -> Result<Connected, Vec<Refusal>> {
    let mut endpoints: Vec<&Endpoint> = address.endpoints.iter().collect();
    if address.is_shuffled {
        let random = RandomState::new();
        endpoints.sort_by_cached_key(|endpoint| random.hash_one(endpoint.location.place()));
    }
    let passes: &[TargetServer] = match address.target {
        TargetServer::PreferStandby => &[TargetServer::Standby, TargetServer::Any],
        ref target => std::slice::from_ref(target),
    };
    let mut refusals = Vec::new();
    for target in passes {
        refusals.clear();
        for endpoint in &endpoints {
            match connect_in_time(address, endpoint, application_name, *target) {
                Ok(connected) => return Ok(connected),
                Err(refusal) => {
                    let is_final = refusal.kind != Kind::Unreachable;
                    refusals.push(refusal);
                    if is_final {
                        return Err(refusals);
                    }
                }
            }
        }
    }
    Err(refusals)
}

/// libpq's timeout covers a whole handshake; the crate's covers only TCP, so a server that accepts and then
/// says nothing is waited for on a thread.
fn connect_in_time(
    address: &Address,
    endpoint: &Endpoint,
    application_name: &str,
    target: TargetServer,
) -> Result<Connected, Refusal> {
    let begun = Instant::now();
    let (sender, receiver) = mpsc::sync_channel(1);
    let (address_there, mut endpoint_there) = (address.clone(), endpoint.clone());
    endpoint_there.config.application_name(application_name);
    // If nobody waits any more, the connection is dropped with the failed send.
    thread::spawn(move || drop(sender.send(open(&address_there, &endpoint_there, target))));
    receiver
        .recv_timeout(address.timeout)
        .unwrap_or_else(|_| Err(connect_error::no_answer(address, endpoint, begun.elapsed().as_millis())))
}

fn open(address: &Address, endpoint: &Endpoint, target: TargetServer) -> Result<Connected, Refusal> {
    let mut connected = open_any(address, endpoint)?;
    if target == TargetServer::Any {
        return Ok(connected);
    }
    let sql =
        "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('default_transaction_read_only')";
    let rows = connected
        .client
        .simple_query(sql)
        .map_err(|cause| connect_error::refusal(address, endpoint, &cause))?;
    let row = rows.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((row.get(0) == Some("t"), row.get(1) == Some("on"))),
        _ => None,
    });
    let (is_standby, is_read_only) = row.unwrap_or_default();
    match target.complaint(is_standby, is_standby || is_read_only) {
        Some(complaint) => Err(connect_error::unfit(endpoint, complaint)),
        None => Ok(connected),
    }
}

/// By the proxy override that is announced now, if there is one; else straight.
fn open_any(address: &Address, endpoint: &Endpoint) -> Result<Connected, Refusal> {
    if let Some(proxy_override) = &address.proxy_override
        && let Some(location) = proxy_override.around(&endpoint.location)
    {
        let connected = open_at(address, endpoint, &location.config(&endpoint.config));
        // It may just have ended.
        if connected.is_ok() || proxy_override.around(&endpoint.location).is_some() {
            return connected;
        }
    }
    open_at(address, endpoint, &endpoint.location.config(&endpoint.config))
}

/// With TLS or without: what `sslmode` asks for, and the other way where it leaves that open.
fn open_at(address: &Address, endpoint: &Endpoint, config: &Config) -> Result<Connected, Refusal> {
    let mode = if endpoint.location.is_socket() { Mode::Disable } else { address.tls.mode() };
    let refusal = |cause: &postgres::Error| connect_error::refusal(address, endpoint, cause);
    let secure = |ssl_mode| {
        let connector = address.tls.connector().map_err(|error| connect_error::setup(endpoint, &error))?;
        Ok(secured(config, ssl_mode, connector))
    };
    match mode {
        Mode::Disable => plain(config).map_err(|cause| refusal(&cause)),
        Mode::Allow => {
            let first = match plain(config) {
                Ok(connected) => return Ok(connected),
                Err(first) => first,
            };
            if !connect_error::is_authentication(&first) {
                return Err(refusal(&first));
            }
            secure(SslMode::Require)?.map_err(|second| {
                if connect_error::is_without_tls(&second.cause) {
                    return refusal(&first);
                }
                refusal(&second.cause).beside("without TLS", &refusal(&first))
            })
        }
        Mode::Prefer => {
            let first = match secure(SslMode::Prefer)? {
                Ok(connected) => return Ok(connected),
                Err(first) => first,
            };
            let is_about_tls =
                connect_error::is_authentication(&first.cause) || connect_error::is_handshake(&first.cause);
            if !(first.used_tls && is_about_tls) {
                return Err(refusal(&first.cause));
            }
            plain(config).map_err(|second| refusal(&first.cause).beside("without TLS", &refusal(&second)))
        }
        Mode::Require | Mode::VerifyCa | Mode::VerifyFull => {
            secure(SslMode::Require)?.map_err(|failed| refusal(&failed.cause))
        }
    }
}

fn plain(config: &Config) -> Result<Connected, postgres::Error> {
    let mut config = config.clone();
    config.ssl_mode(SslMode::Disable);
    let client = PostgresConnectionManager::new(config, NoTls).connect()?;
    Ok(Connected::new(client, None))
}

/// A connection that was to have TLS, and failed.
struct Failed {
    cause: postgres::Error,
    /// Whether the server had TLS, so that the failure was one under it.
    used_tls: bool,
}

fn secured(config: &Config, ssl_mode: SslMode, connector: MakeRustlsConnect) -> Result<Connected, Failed> {
    let used = Arc::new(AtomicBool::new(false));
    let noting = Noting { inner: connector.clone(), used: Arc::clone(&used) };
    let result = config.clone().ssl_mode(ssl_mode).connect(noting);
    let used_tls = used.load(Ordering::Relaxed);
    match result {
        Ok(client) => Ok(Connected::new(client, used_tls.then_some(connector))),
        Err(cause) => Err(Failed { cause, used_tls }),
    }
}

/// Makes TLS connections, and notes that it was asked for one: the server has TLS.
#[derive(Clone)]
struct Noting<T> {
    inner: T,
    used: Arc<AtomicBool>,
}

impl<T: MakeTlsConnect<Socket>> MakeTlsConnect<Socket> for Noting<T> {
    type Stream = T::Stream;
    type TlsConnect = Noting<T::TlsConnect>;
    type Error = T::Error;

    fn make_tls_connect(&mut self, host: &str) -> Result<Self::TlsConnect, T::Error> {
        Ok(Noting { inner: self.inner.make_tls_connect(host)?, used: Arc::clone(&self.used) })
    }
}

impl<T: TlsConnect<Socket>> TlsConnect<Socket> for Noting<T> {
    type Stream = T::Stream;
    type Error = T::Error;
    type Future = T::Future;

    fn connect(self, socket: Socket) -> T::Future {
        self.used.store(true, Ordering::Relaxed);
        self.inner.connect(socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_takes_the_servers_that_it_names() {
        // A primary, a primary that is read-only by default, a standby.
        let servers = [(false, false), (false, true), (true, true)];
        for (target, takes) in [
            (TargetServer::Any, [true, true, true]),
            (TargetServer::ReadWrite, [true, false, false]),
            (TargetServer::ReadOnly, [false, true, true]),
            (TargetServer::Primary, [true, true, false]),
            (TargetServer::Standby, [false, false, true]),
        ] {
            let taken = servers.map(|(standby, read_only)| target.complaint(standby, read_only).is_none());
            assert_eq!(taken, takes, "{target:?}");
        }
    }
}
