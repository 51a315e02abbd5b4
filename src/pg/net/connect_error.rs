//! Why a connection to a shard could not be made, as an [`Error`] of the right kind.

use std::error::Error as _;

use postgres::error::SqlState;

use super::conninfo::{Address, Endpoint};
use super::environment;
use super::sqlstate::words_of;
use super::tls::{CERTIFICATE_HINT, CERTIFICATE_REFUSED, Mode};
use crate::error::{Error, Kind};
use crate::model::names::ShardName;

/// How the crate calls a failure of TLS.
const TLS_FAILED: &str = "error performing TLS handshake";

/// Why one endpoint gave no connection.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) kind: Kind,
    place: String,
    words: String,
    hint: String,
    /// Whether a server answered that it will not have this session, now or a little later.
    is_lasting: bool,
    /// Whether a server answered at all.
    is_there: bool,
}

impl Refusal {
    fn new(endpoint: &Endpoint, kind: Kind, words: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            place: endpoint.location.place(),
            kind,
            words: words.into(),
            hint: hint.into(),
            is_lasting: false,
            is_there: kind != Kind::Unreachable,
        }
    }

    /// The same, of a server that answered with this code: one that starts or stops may answer otherwise soon.
    fn answered(mut self, code: Option<&SqlState>) -> Self {
        let passing = [&SqlState::CANNOT_CONNECT_NOW, &SqlState::ADMIN_SHUTDOWN, &SqlState::CRASH_SHUTDOWN];
        self.is_lasting = code.is_some_and(|code| !passing.contains(&code));
        self.is_there |= code.is_some();
        self
    }

    /// The same, with what another attempt at the same endpoint met.
    pub(crate) fn beside(mut self, how: &str, other: &Self) -> Self {
        if self.words != other.words {
            self.words = format!("{}; {how}: {}", self.words, other.words);
        }
        self
    }
}

/// Why there is no connection.
pub(crate) struct Unconnected {
    pub(crate) error: Error,
    /// What the server, or the network, said.
    pub(crate) words: String,
    /// Whether it makes no sense to try again at once.
    pub(crate) is_lasting: bool,
    /// Whether a server was there, and refused.
    pub(crate) is_there: bool,
}

/// A failed connection: what the server, or the network, said. The last refusal decides what kind of failure
/// it is: the search ends at the first that no other host can repair.
pub(crate) fn connecting(shard: &ShardName, address: &Address, refusals: &[Refusal]) -> Unconnected {
    let words = match refusals {
        [only] => only.words.clone(),
        all => {
            let each: Vec<_> = all.iter().map(|one| format!("{}: {}", one.place, one.words)).collect();
            each.join("; ")
        }
    };
    let (kind, hint) = refusals.last().map_or_else(
        || (Kind::Unreachable, unreachable_hint(address)),
        |last| (last.kind, last.hint.clone()),
    );
    let message = format!("cannot connect to shard `{shard}` at {}: {words}", address.shown());
    let error = Error::new(kind, message).hint(hint).on_shard(shard);
    Unconnected {
        error,
        words,
        is_lasting: refusals.last().is_some_and(|last| last.is_lasting),
        is_there: refusals.iter().any(|refusal| refusal.is_there),
    }
}

/// What the server, or the way to it, said at one endpoint.
pub(crate) fn refusal(address: &Address, endpoint: &Endpoint, cause: &postgres::Error) -> Refusal {
    if let Some(cause) = tls_cause(cause) {
        let explained = address.tls.explain(cause);
        return Refusal::new(endpoint, explained.kind, explained.words, explained.hint);
    }
    // A server that refuses a certificate says so and hangs up; who is still writing may find the line cut before
    // the word about it is read.
    if !endpoint.location.is_socket() && address.tls.offers_certificate() && is_cut_off(cause) {
        let words =
            format!("the server closed the connection: perhaps {CERTIFICATE_REFUSED} ({})", words_of(cause));
        return Refusal::new(endpoint, Kind::Permission, words, CERTIFICATE_HINT);
    }
    let (kind, hint) = kind_of_connect(address, cause);
    Refusal::new(endpoint, kind, words_of(cause), hint).answered(cause.code())
}

/// A file that TLS needs is not there, or not right.
pub(crate) fn setup(endpoint: &Endpoint, error: &Error) -> Refusal {
    Refusal::new(endpoint, error.kind(), error.message(), error.hint_text().unwrap_or_default())
}

/// A connection that neither came nor failed in time.
pub(crate) fn no_answer(address: &Address, endpoint: &Endpoint, waited_ms: u128) -> Refusal {
    let words = format!("no answer in {waited_ms} ms");
    Refusal::new(endpoint, Kind::Unreachable, words, unreachable_hint(address))
}

/// A server that is there, and is not what `target_session_attrs` asks for.
pub(crate) fn unfit(endpoint: &Endpoint, complaint: &str) -> Refusal {
    let hint = "name all hosts of that shard in its URL, or set another target_session_attrs";
    Refusal::new(endpoint, Kind::Unreachable, complaint, hint)
}

/// Whether the server refused who asks, or how: the class 28 of SQLSTATE.
pub(crate) fn is_authentication(cause: &postgres::Error) -> bool {
    cause.code().is_some_and(|code| code.code().starts_with("28"))
}

/// Whether the handshake of TLS failed.
pub(crate) fn is_handshake(cause: &postgres::Error) -> bool {
    cause.to_string() == TLS_FAILED
}

/// Whether TLS was requested of a server that has none.
pub(crate) fn is_without_tls(cause: &postgres::Error) -> bool {
    is_handshake(cause) && words_of(cause).ends_with("server does not support TLS")
}

/// Whether the peer closed the line while something was being sent.
fn is_cut_off(cause: &postgres::Error) -> bool {
    let kind =
        cause.source().and_then(|source| source.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
    matches!(kind, Some(std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::ConnectionReset))
}

/// What rustls said, below the layers that it is wrapped in.
fn tls_cause(cause: &postgres::Error) -> Option<&rustls::Error> {
    let mut next = cause.source();
    while let Some(source) = next {
        if let Some(found) = source.downcast_ref() {
            return Some(found);
        }
        // What an `io::Error` wraps is not its source.
        let wrapped = source.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = wrapped.map_or_else(|| source.source(), |wrapped| Some(wrapped));
    }
    None
}

fn kind_of_connect(address: &Address, cause: &postgres::Error) -> (Kind, String) {
    let Some(code) = cause.code() else {
        let words = words_of(cause);
        if words.contains("password missing") {
            return (Kind::Permission, no_password_hint());
        }
        if is_without_tls(cause) {
            let hint =
                "turn on ssl in that server's postgresql.conf, or set sslmode=prefer in the shard's URL";
            return (Kind::Configuration, hint.into());
        }
        if words.starts_with("authentication error") {
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
        SqlState::TOO_MANY_CONNECTIONS => {
            (Kind::Unreachable, "raise max_connections on that server, or close other sessions".into())
        }
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE => {
            let database = address.database();
            let hint = format!(
                "ALTER DATABASE \"{database}\" ALLOW_CONNECTIONS true, in another database of that server"
            );
            (Kind::Unreachable, hint)
        }
        _ => (Kind::Unreachable, unreachable_hint(address)),
    }
}

fn authentication_hint(address: &Address, cause: &postgres::Error) -> String {
    let words = words_of(cause);
    if words.contains("client certificate") {
        return "name the client's certificate and its key as `sslcert` and `sslkey` in the shard's URL"
            .into();
    }
    if words.contains("no encryption") && address.tls.mode() < Mode::Require {
        return "if that server takes only TLS connections, set sslmode=require in the shard's URL".into();
    }
    match address.password_from() {
        Some(origin) => format!("the password came from {origin}; try it with psql '{}'", address.shown()),
        None => no_password_hint(),
    }
}

fn no_password_hint() -> String {
    match environment::ignored_password_file() {
        Some(path) => format!("`{0}` was ignored, as others may read it: chmod 0600 {0}", path.display()),
        None => "no password was given: put it into ~/.pgpass (`host:port:database:user:password`, mode 0600) or PGPASSWORD".into(),
    }
}

fn unreachable_hint(address: &Address) -> String {
    if address.is_local() {
        "ringshard local start starts the private Postgres; ringshard local status tells more".into()
    } else {
        format!(
            "is the server up? psql '{}'; ringshard config show names where the URL comes from",
            address.shown()
        )
    }
}
