//! Why a connection to a shard failed, as an [`Error`] of the right kind, with a hint.

use std::error::Error as _;
use std::io;

use postgres::error::SqlState;
use rustix::io::Errno;

use super::conninfo::{Address, Endpoint};
use super::descriptors;
use super::sqlstate::message_of;
use super::tls::{CERTIFICATE_HINT, CERTIFICATE_REFUSED, Mode};
use crate::error::{Error, Kind, without_numbers};
use crate::model::names::ShardName;

/// The crate's message for a failed TLS handshake.
const TLS_FAILED: &str = "error performing TLS handshake";

/// Why the connection to one endpoint failed.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "what a server did or did not do")]
pub(crate) struct Refusal {
    pub(crate) kind: Kind,
    endpoint: String,
    message: String,
    hint: String,
    /// Whether a server answered, and an immediate retry would get the same answer.
    is_lasting: bool,
    /// Whether a server answered at all.
    has_answered: bool,
    /// Whether it may have refused a parameter of the connection: some poolers accept only those that they know.
    pub(crate) refuses_parameters: bool,
    /// Whether it took the connection and said nothing until the timeout.
    is_late: bool,
    /// Whether the database accepts no connections, as a drill may have left it.
    is_closed: bool,
}

impl Refusal {
    fn new(endpoint: &Endpoint, kind: Kind, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.location.to_string(),
            kind,
            message: message.into(),
            hint: hint.into(),
            is_lasting: false,
            is_closed: false,
            is_late: false,
            has_answered: kind != Kind::Unreachable,
            refuses_parameters: false,
        }
    }

    /// Notes the SQLSTATE that the server answered with. A server that starts or stops may answer differently soon.
    fn answered(mut self, code: Option<&SqlState>) -> Self {
        let transient = [&SqlState::CANNOT_CONNECT_NOW, &SqlState::ADMIN_SHUTDOWN, &SqlState::CRASH_SHUTDOWN];
        self.is_lasting = code.is_some_and(|code| !transient.contains(&code));
        self.has_answered |= code.is_some();
        self.is_closed = code == Some(&SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
        self
    }

    /// Adds the message of another attempt at the same endpoint; `how` says what differed.
    pub(crate) fn beside(mut self, how: &str, other: &Self) -> Self {
        if self.message != other.message {
            self.message = format!("{}; {how}: {}", self.message, other.message);
        }
        self
    }
}

/// Why there is no connection.
pub(crate) struct Unconnected {
    pub(crate) error: Error,
    /// The message of the server or the network.
    pub(crate) message: String,
    /// Whether an immediate retry is pointless.
    pub(crate) is_lasting: bool,
    /// Whether any server answered.
    pub(crate) has_answered: bool,
    /// Whether a server took the connection and said nothing until the timeout.
    is_late: bool,
}

impl Unconnected {
    /// Whether the server may be down, so that starting it may help.
    pub(crate) fn may_be_down(&self) -> bool {
        self.error.kind() == Kind::Unreachable && !self.is_lasting && !self.is_late
    }

    /// Whether nothing was heard of a server within the timeout.
    pub(crate) fn is_silent(&self) -> bool {
        self.is_late && !self.has_answered
    }
}

/// The error for a failed connection. The last refusal decides its kind, as the search ends at the first one for which no
/// other host can help.
pub(crate) fn connecting(shard: &ShardName, address: &Address, refusals: &[Refusal]) -> Unconnected {
    let reason = match refusals {
        [only] => only.message.clone(),
        all => {
            let each: Vec<_> = all.iter().map(|one| format!("{}: {}", one.endpoint, one.message)).collect();
            each.join("; ")
        }
    };
    let reason = without_numbers(reason);
    let (kind, hint) = refusals.last().map_or_else(
        || (Kind::Unreachable, unreachable_hint(address)),
        |last| (last.kind, last.hint.clone()),
    );
    let hint = match refusals.last() {
        Some(last) if last.is_closed => {
            format!(
                "if a drill runs, wait until it ends; if none does: ringshard drill outage {shard} --undo"
            )
        }
        _ => hint,
    };
    let message = format!("cannot connect to shard `{shard}` at {}: {reason}", address.shown());
    let error = Error::new(kind, message).hint(hint).on_shard(shard);
    Unconnected {
        error,
        message: reason,
        is_lasting: refusals.last().is_some_and(|last| last.is_lasting),
        has_answered: refusals.iter().any(|refusal| refusal.has_answered),
        is_late: refusals.last().is_some_and(|last| last.is_late),
    }
}

/// The refusal of one endpoint, by the server or the network.
pub(crate) fn refusal(address: &Address, endpoint: &Endpoint, cause: &postgres::Error) -> Refusal {
    if let Some(cause) = tls_cause(cause) {
        let explained = address.tls.explain(cause);
        return Refusal::new(endpoint, explained.kind, explained.message, explained.hint);
    }
    // A server that refuses a certificate sends an alert and closes. A client that is still writing may see the closed
    // connection before it reads the alert.
    if !endpoint.location.is_socket() && address.tls.offers_certificate() && is_cut_off(cause) {
        let message = format!(
            "the server closed the connection: perhaps {CERTIFICATE_REFUSED} ({})",
            message_of(cause)
        );
        return Refusal::new(endpoint, Kind::Permission, message, CERTIFICATE_HINT);
    }
    if io_cause(cause).is_some_and(is_exhausted) {
        return exhausted(endpoint, &message_of(cause));
    }
    let (kind, hint) = kind_of_connect(address, cause);
    let refusal = Refusal::new(endpoint, kind, message_of(cause), hint).answered(cause.code());
    let refuses_parameters =
        matches!(cause.code(), Some(&(SqlState::PROTOCOL_VIOLATION | SqlState::FEATURE_NOT_SUPPORTED)));
    Refusal { refuses_parameters, ..refusal }
}

/// A file that TLS needs is missing or invalid.
pub(crate) fn setup(endpoint: &Endpoint, error: &Error) -> Refusal {
    Refusal::new(endpoint, error.kind(), error.message(), error.hint_text().unwrap_or_default())
}

/// The name of a host cannot be looked up.
pub(crate) fn unresolved(address: &Address, endpoint: &Endpoint, cause: &io::Error) -> Refusal {
    let message = format!("error connecting to server: {cause}");
    if is_exhausted(cause) {
        return exhausted(endpoint, &message);
    }
    Refusal::new(endpoint, Kind::Unreachable, message, unreachable_hint(address))
}

/// This process, or this machine, has no descriptors left.
pub(crate) fn exhausted(endpoint: &Endpoint, message: &str) -> Refusal {
    let message = format!("{message}; this process may have {}", descriptors::limit());
    // It has been raised to the hard limit already. This is enough for the most shards that a cluster has.
    let hint = "in another shell: ulimit -n 8192; if that is refused, raise the hard limit (nofile in \
                /etc/security/limits.conf, LimitNOFILE of systemd, --ulimit of a container)";
    Refusal::new(endpoint, Kind::Failed, message, hint)
}

/// Whether this process, or this machine, has no descriptors left.
fn is_exhausted(cause: &io::Error) -> bool {
    matches!(Errno::from_io_error(cause), Some(Errno::MFILE | Errno::NFILE))
}

/// A connection attempt that timed out.
pub(crate) fn no_answer(address: &Address, endpoint: &Endpoint, waited_ms: u128) -> Refusal {
    let message = format!("no answer in {waited_ms} ms");
    let refusal = Refusal::new(endpoint, Kind::Unreachable, message, unreachable_hint(address));
    Refusal { is_late: true, ..refusal }
}

/// A server that answers, but does not match `target_session_attrs`.
pub(crate) fn unfit(endpoint: &Endpoint, complaint: &str) -> Refusal {
    let hint = "name all hosts of that shard in its URL, or set another target_session_attrs";
    Refusal::new(endpoint, Kind::Unreachable, complaint, hint)
}

/// Whether the server refused the authentication: SQLSTATE class 28.
pub(crate) fn is_authentication(cause: &postgres::Error) -> bool {
    cause.code().is_some_and(|code| code.code().starts_with("28"))
}

/// Whether the TLS handshake failed.
pub(crate) fn is_handshake(cause: &postgres::Error) -> bool {
    cause.to_string() == TLS_FAILED
}

/// Whether TLS was required of a server that does not offer it.
pub(crate) fn is_without_tls(cause: &postgres::Error) -> bool {
    is_handshake(cause) && message_of(cause).ends_with("server does not support TLS")
}

/// Whether the server closed the connection while the client was sending.
fn is_cut_off(cause: &postgres::Error) -> bool {
    let kind = io_cause(cause).map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset))
}

fn io_cause(cause: &postgres::Error) -> Option<&io::Error> {
    cause.source().and_then(|source| source.downcast_ref())
}

/// The error of rustls, without the layers around it.
fn tls_cause(cause: &postgres::Error) -> Option<&rustls::Error> {
    let mut next = cause.source();
    while let Some(source) = next {
        if let Some(found) = source.downcast_ref() {
            return Some(found);
        }
        // `source` of an `io::Error` skips the error that it wraps.
        let wrapped = source.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map_or_else(|| source.source(), |wrapped| Some(wrapped));
    }
    None
}

fn kind_of_connect(address: &Address, cause: &postgres::Error) -> (Kind, String) {
    let Some(code) = cause.code() else {
        let message = message_of(cause);
        if message.contains("password missing") {
            return (Kind::Permission, no_password_hint(address));
        }
        if is_without_tls(cause) {
            let hint = "set ssl = on in that server's postgresql.conf, or sslmode=prefer in the shard's URL";
            return (Kind::Configuration, hint.into());
        }
        if message.starts_with("authentication error") {
            let hint = "channel_binding=require needs TLS and a scram-sha-256 password".into();
            return (Kind::Permission, hint);
        }
        return (Kind::Unreachable, unreachable_hint(address));
    };
    match *code {
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            (Kind::Permission, authentication_hint(address, cause))
        }
        SqlState::INSUFFICIENT_PRIVILEGE => {
            (Kind::Permission, format!("GRANT CONNECT ON DATABASE \"{}\" to this user", address.database()))
        }
        SqlState::INVALID_CATALOG_NAME => (
            Kind::Configuration,
            "ringshard init-shards (creates what is missing), or correct the URL".into(),
        ),
        SqlState::UNDEFINED_OBJECT | SqlState::INVALID_PARAMETER_VALUE | SqlState::SYNTAX_ERROR => (
            Kind::Configuration,
            "correct the setting in `options` of the shard's URL, or in PGOPTIONS".into(),
        ),
        SqlState::TOO_MANY_CONNECTIONS => (Kind::Unreachable, too_many_hint(address, cause)),
        _ if is_trouble(code) => {
            let hint = "that server runs, but cannot begin a session: look into its log, and at the room on its disk";
            (Kind::Unreachable, hint.into())
        }
        _ => (Kind::Unreachable, unreachable_hint(address)),
    }
}

/// Whether the server failed by itself: no resources, an error of its system, an internal error. A new session writes a
/// file now and then, and cannot begin on a full disk.
fn is_trouble(code: &SqlState) -> bool {
    ["53", "58", "XX"].iter().any(|class| code.code().starts_with(class))
}

/// Which limit was reached, by the function of the server that said so: its words may be in any language.
fn too_many_hint(address: &Address, cause: &postgres::Error) -> String {
    let others = "or close other sessions";
    match cause.as_db_error().and_then(postgres::error::DbError::routine) {
        Some("InitializeSessionUserId") => {
            format!("as a superuser: ALTER ROLE \"{}\" CONNECTION LIMIT -1; {others}", address.user())
        }
        Some("CheckMyDatabase") => {
            format!("as its owner: ALTER DATABASE \"{}\" CONNECTION LIMIT -1; {others}", address.database())
        }
        _ => format!("raise max_connections on that server, {others}"),
    }
}

fn authentication_hint(address: &Address, cause: &postgres::Error) -> String {
    let message = message_of(cause);
    if message.contains("client certificate") {
        return "set `sslcert` and `sslkey` in the shard's URL to the client's certificate and its key"
            .into();
    }
    if message.contains("no encryption") && address.tls.mode() < Mode::Require {
        return "if that server accepts only TLS connections, set sslmode=require in the shard's URL".into();
    }
    match address.password_from() {
        Some(origin) => format!(
            "the password came from {origin}; check role and password with psql '{}'",
            address.shown()
        ),
        None => no_password_hint(address),
    }
}

fn no_password_hint(address: &Address) -> String {
    match address.password_file().ignored() {
        Some((path, why)) => format!("the password file `{}` was ignored: {why}", path.display()),
        None => "no password was given: set it in ~/.pgpass (`host:port:database:user:password`, mode 0600) or PGPASSWORD".into(),
    }
}

fn unreachable_hint(address: &Address) -> String {
    if let Some(home) = address.home() {
        let home = home.display();
        format!(
            "RINGSHARD_HOME='{home}' ringshard local start starts its private Postgres; ringshard local status shows its state"
        )
    } else {
        format!(
            "is the server running? try psql '{}'; ringshard config show prints where the URL comes from",
            address.shown()
        )
    }
}
