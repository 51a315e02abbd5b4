//! Makes one connection to an address: host by host, with TLS or without, as libpq does.
//!
//! Follows 34.1.1.3 ("Specifying Multiple Hosts"), `target_session_attrs` in 34.1.2 and `sslmode` in 34.19 of the
//! PostgreSQL documentation. `connect_error` says what a failure means.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use postgres::config::SslMode;
use postgres::tls::{MakeTlsConnect, TlsConnect};
use postgres::{Client, Config, NoTls, SimpleQueryMessage, Socket};
use r2d2::ManageConnection as _;
use r2d2_postgres::PostgresConnectionManager;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::active_sessions::CancelHandle;
use super::connect_error::{self, Refusal};
use super::conninfo::{Address, Endpoint, TargetServer};
use super::descriptors::{self, Room};
use super::location::Location;
use super::silent;
use super::tls::Mode;
use crate::error::Kind;
use crate::threads;

/// A connection, and the handle that cancels its queries.
pub(crate) struct Connected {
    pub(crate) client: Client,
    pub(crate) cancel: CancelHandle,
    /// Whether the server was given the marker of the session.
    pub(crate) is_marked: bool,
}

/// How a connection names itself.
#[derive(Clone, Copy)]
pub(crate) struct Names<'a> {
    pub(crate) application: &'a str,
    /// The value of [`MARKER`] that is sent with the startup packet. A backend that has it was started for this connection.
    pub(crate) marker: &'a str,
}

/// The setting that marks a backend.
pub(crate) const MARKER: &str = "ringshard.session";

impl Connected {
    fn new(client: Client, tls: Option<MakeRustlsConnect>) -> Self {
        let cancel = CancelHandle::new(client.cancel_token(), tls);
        Self { client, cancel, is_marked: true }
    }
}

/// Connects to the first endpoint that answers and matches `target_session_attrs`; otherwise returns one refusal for each
/// endpoint that was tried.
///
/// As in libpq, the next host is tried only after one that cannot be reached or does not match: a refused password or an
/// invalid certificate ends the search. The timeout applies to each host.
pub(crate) fn connect(address: &Address, names: Names<'_>) -> Result<Connected, Vec<Refusal>> {
    let mut endpoints: Vec<&Endpoint> = address.endpoints.iter().collect();
    if address.is_shuffled {
        let random = RandomState::new();
        endpoints.sort_by_cached_key(|endpoint| random.hash_one(endpoint.location.to_string()));
    }
    let passes: &[TargetServer] = match address.target {
        TargetServer::PreferStandby => &[TargetServer::Standby, TargetServer::Any],
        ref target => std::slice::from_ref(target),
    };
    let mut refusals = Vec::new();
    for target in passes {
        refusals.clear();
        for endpoint in &endpoints {
            match connect_in_time(address, endpoint, names, *target) {
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

/// libpq's timeout covers the whole handshake, the crate's only TCP. So the handshake runs on a thread of its own, in case
/// the server accepts and then sends nothing.
fn connect_in_time(
    address: &Address,
    endpoint: &Endpoint,
    names: Names<'_>,
    target: TargetServer,
) -> Result<Connected, Refusal> {
    // A pool waits for as long as the timeout, and then does not know why.
    let room = descriptors::for_connection(address.timeout / 2)
        .map_err(|cause| connect_error::exhausted(endpoint, &cause.to_string()))?;
    let begun = Instant::now();
    let (sender, receiver) = mpsc::sync_channel(1);
    let (address_copy, mut endpoint_copy) = (address.clone(), endpoint.clone());
    endpoint_copy.config.application_name(names.application);
    // Rows that a policy hides are an error, and not left out. A session may be idle for as long as it is kept.
    let limit = address.statement_timeout.map_or(0, |limit| limit.as_millis());
    let defaults = format!(
        "-c statement_timeout={limit} -c idle_session_timeout=0 -c idle_in_transaction_session_timeout=0"
    );
    // In this order, so that the text of the address counts where it sets one of the defaults.
    let own = endpoint.config.get_options().unwrap_or_default();
    let options = format!("{defaults} {own} -c {MARKER}={} -c row_security=off", names.marker);
    let work = move |(address, endpoint, _room): (Address, Endpoint, Room)| {
        open(&address, &endpoint, &options, target)
    };
    // After the timeout the send fails, and the connection is dropped with it.
    let started = threads::start_with((address_copy, endpoint_copy, room), {
        let work = work.clone();
        move |what| drop(sender.send(work(what)))
    });
    if let Err(what) = started {
        // Without a thread there is still the crate's timeout.
        return work(what);
    }
    let is_suspect = silent::was(address, endpoint);
    let patience = if is_suspect { address.timeout / silent::PATIENCE_PART } else { address.timeout };
    if let Ok(connected) = receiver.recv_timeout(patience) {
        silent::answered(endpoint);
        return connected;
    }
    if !is_suspect {
        silent::note(address, endpoint);
    }
    Err(connect_error::no_answer(address, endpoint, begun.elapsed().as_millis()))
}

fn open(
    address: &Address,
    endpoint: &Endpoint,
    options: &str,
    target: TargetServer,
) -> Result<Connected, Refusal> {
    let mut connected = open_with(address, endpoint, options)?;
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

/// With these options of the startup packet, or with those of the address alone if they are refused, as by `PgBouncer`, which
/// knows only a few parameters. An address that refused them once is not asked again.
fn open_with(address: &Address, endpoint: &Endpoint, options: &str) -> Result<Connected, Refusal> {
    let unmarked =
        || open_any(address, endpoint).map(|connected| Connected { is_marked: false, ..connected });
    if address.refuses_marker.load(Ordering::Relaxed) {
        return unmarked();
    }
    let mut marked = endpoint.clone();
    marked.config.options(options);
    match open_any(address, &marked) {
        Err(refusal) if refusal.refuses_parameters => {
            let connected = unmarked()?;
            address.refuses_marker.store(true, Ordering::Relaxed);
            Ok(connected)
        }
        result => result,
    }
}

/// Through the proxy override that is announced now, if there is one; otherwise directly.
fn open_any(address: &Address, endpoint: &Endpoint) -> Result<Connected, Refusal> {
    if let Some(proxy_override) = &address.proxy_override
        && let Some(location) = proxy_override.redirect(&endpoint.location)
    {
        let connected = open_at(address, endpoint, &location);
        // The proxy may just have ended.
        if connected.is_ok() || proxy_override.redirect(&endpoint.location).is_some() {
            return connected;
        }
    }
    open_at(address, endpoint, &endpoint.location)
}

/// With TLS or without, as `sslmode` says; `allow` and `prefer` try the other one second.
fn open_at(address: &Address, endpoint: &Endpoint, location: &Location) -> Result<Connected, Refusal> {
    let config = &location
        .config(&endpoint.config)
        .map_err(|cause| connect_error::unresolved(address, endpoint, &cause))?;
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

/// A failed attempt to connect with TLS.
struct Failed {
    cause: postgres::Error,
    /// Whether the server offered TLS, so that the failure happened under TLS.
    used_tls: bool,
}

fn secured(config: &Config, ssl_mode: SslMode, connector: MakeRustlsConnect) -> Result<Connected, Failed> {
    let used = Arc::new(AtomicBool::new(false));
    let recorder = UseRecorder { inner: connector.clone(), used: Arc::clone(&used) };
    let result = config.clone().ssl_mode(ssl_mode).connect(recorder);
    let used_tls = used.load(Ordering::Relaxed);
    match result {
        Ok(client) => Ok(Connected::new(client, used_tls.then_some(connector))),
        Err(cause) => Err(Failed { cause, used_tls }),
    }
}

/// Makes TLS connections, and records that it was used: then the server offers TLS.
#[derive(Clone)]
struct UseRecorder<T> {
    inner: T,
    used: Arc<AtomicBool>,
}

impl<T: MakeTlsConnect<Socket>> MakeTlsConnect<Socket> for UseRecorder<T> {
    type Stream = T::Stream;
    type TlsConnect = UseRecorder<T::TlsConnect>;
    type Error = T::Error;

    fn make_tls_connect(&mut self, host: &str) -> Result<Self::TlsConnect, T::Error> {
        Ok(UseRecorder { inner: self.inner.make_tls_connect(host)?, used: Arc::clone(&self.used) })
    }
}

impl<T: TlsConnect<Socket>> TlsConnect<Socket> for UseRecorder<T> {
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
    fn each_target_accepts_only_matching_servers() {
        // A primary, a primary that is read-only by default, a standby.
        let servers = [(false, false), (false, true), (true, true)];
        for (target, expected) in [
            (TargetServer::Any, [true, true, true]),
            (TargetServer::ReadWrite, [true, false, false]),
            (TargetServer::ReadOnly, [false, true, true]),
            (TargetServer::Primary, [true, true, false]),
            (TargetServer::Standby, [false, false, true]),
        ] {
            let accepted = servers.map(|(standby, read_only)| target.complaint(standby, read_only).is_none());
            assert_eq!(accepted, expected, "{target:?}");
        }
    }
}
