//! Connection strings, and the addresses that they resolve to.
//!
//! A [`ConnectionString`] is the user's text. It may hold a password, so it has no `Display`. An [`Address`] is what the
//! text resolves to on this machine: missing parts come from a service, `PG*`, the password file and libpq's defaults. Its
//! text has no password.

mod base_config;
mod parts;
mod show;
mod target;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use postgres::Config;
use postgres::config::LoadBalanceHosts;

use super::environment;
use super::location::{Location, socket_name};
use super::parameters::{Origin, Parameters};
use super::password_file::{PasswordFile, Wanted};
use super::proxy_override::{ProxyOverride, ProxyOverrides};
use super::tls::Tls;
use crate::error::{Error, Kind, Result};
use crate::local::PrivateServer;
use crate::model::secret::Secret;
use base_config::base_config;
use show::percent_encode;
pub(crate) use target::TargetServer;

/// The prefix of a database name of the private server.
const LOCAL_PREFIX: &str = "local:";
/// The default folders of sockets: Debian's, then Postgres's.
const SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];
const PORT_DEFAULT: u16 = 5432;

/// A URL (`postgresql://…`), a `key=value` string, or `local:DATABASE`, as given. It may hold a password and has no
/// `Display`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionString(Secret);

impl ConnectionString {
    /// Takes any text; [`ConnectionString::resolve`] validates it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Secret::new(text))
    }

    /// A database of the private server.
    pub fn local(database: &str) -> Self {
        Self::new(format!("{LOCAL_PREFIX}{database}"))
    }

    /// The text with its password; only for the configuration file.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The name of the private server's database, if it is one.
    pub fn local_database(&self) -> Option<&str> {
        self.expose().strip_prefix(LOCAL_PREFIX)
    }

    /// Another database of the same server, for `init-shards --server`.
    pub fn with_database(&self, database: &str) -> Result<Self> {
        let requested = Parameters::parse(self.expose())?.with_database(database);
        let candidates = [self.with_path(database), Some(self.with_parameter(database))];
        // A URL can be written in many ways, so the candidates are compared after parsing.
        let is_right = |made: &Self| Parameters::parse(made.expose()).is_ok_and(|made| made == requested);
        candidates.into_iter().flatten().find(is_right).ok_or_else(|| {
            let message = format!("cannot change the database in the server's URL to `{database}`");
            Error::new(Kind::Configuration, message).hint("write it as `postgresql://USER@HOST:PORT`")
        })
    }

    /// With the path `/DATABASE`, instead of any other path.
    fn with_path(&self, database: &str) -> Option<Self> {
        let (scheme, rest) = self.expose().trim().split_once("://")?;
        let (before, query) =
            rest.split_once('?').map_or((rest, None), |(before, query)| (before, Some(query)));
        let authority = before.split_once('/').map_or(before, |(authority, _)| authority);
        let query = query.map_or(String::new(), |query| format!("?{query}"));
        Some(Self::new(format!("{scheme}://{authority}/{}{query}", percent_encode(database))))
    }

    /// With `dbname=DATABASE` at the end, which overrides an earlier database.
    fn with_parameter(&self, database: &str) -> Self {
        let text = self.expose();
        let Some((_, rest)) = text.split_once("://") else {
            return Self::new(format!("{text} dbname='{database}'"));
        };
        let text = text.trim();
        let after_password = rest.split_once('@').map_or(rest, |(_, rest)| rest);
        let separator = if after_password.contains('?') { '&' } else { '?' };
        Self::new(format!("{text}{separator}dbname={}", percent_encode(database)))
    }

    /// Where to run CREATE DATABASE: the named database, or `postgres`.
    pub fn for_maintenance(&self) -> Result<Self> {
        if Parameters::parse(self.expose())?.get("dbname").is_some() {
            Ok(self.clone())
        } else {
            self.with_database("postgres")
        }
    }

    /// Resolves `local:` through `server`, and anything else as libpq does. `timeout` applies unless the text sets
    /// `connect_timeout`. Fails with `Configuration` if the text is invalid.
    pub fn resolve(&self, server: &PrivateServer, timeout: Duration) -> Result<Address> {
        if let Some(database) = self.local_database() {
            return Ok(Address::local(server, database, timeout));
        }
        let mut parameters = Parameters::parse(self.expose())?;
        parameters.complete()?;
        Address::new(&parameters, timeout)
    }
}

/// One host and port of an address, with the password for it.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// Everything but host and port.
    pub(crate) config: Config,
    pub(crate) location: Location,
}

/// How to reach one database. Its text is a URL without the password, which psql accepts.
#[derive(Debug, Clone)]
pub struct Address {
    /// At least one, in the order in which they are tried.
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) tls: Arc<Tls>,
    pub(crate) target: TargetServer,
    /// The timeout of each endpoint.
    pub(crate) timeout: Duration,
    pub(crate) is_shuffled: bool,
    /// Where a proxy override of this address would be announced.
    pub(crate) proxy_override: Option<ProxyOverride>,
    /// `statement_timeout` of its sessions, unless the text sets it.
    pub(crate) statement_timeout: Option<Duration>,
    /// Whether the marker of a session was refused there.
    pub(crate) refuses_marker: Arc<AtomicBool>,
    shown: String,
    /// The home of the private server, if it is a database of that.
    private_home: Option<PathBuf>,
    password_from: Option<&'static str>,
    password_file: PasswordFile,
}

impl Address {
    fn local(server: &PrivateServer, database: &str, timeout: Duration) -> Self {
        let mut config = Config::new();
        config.user(PrivateServer::USER).dbname(database).connect_timeout(timeout);
        config.application_name("ringshard");
        let location = Location::Socket { folder: server.socket_dir().to_owned(), port: server.port() };
        let endpoint = Endpoint { config, location };
        let shown = show::url(std::slice::from_ref(&endpoint), &Parameters::default());
        let (tls, target) = (Arc::new(Tls::none()), TargetServer::Any);
        Self {
            endpoints: vec![endpoint],
            tls,
            target,
            timeout,
            is_shuffled: false,
            proxy_override: None,
            statement_timeout: None,
            refuses_marker: Arc::default(),
            shown,
            private_home: Some(server.home().to_owned()),
            password_from: None,
            password_file: PasswordFile::default(),
        }
    }

    fn new(parameters: &Parameters, timeout: Duration) -> Result<Self> {
        let seconds: Option<i32> = parameters.number("connect_timeout")?;
        let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok()).filter(|seconds| *seconds > 0);
        let timeout = seconds.map_or(timeout, Duration::from_secs);
        let shuffles = parameters.one_of("load_balance_hosts", &[("disable", false), ("random", true)])?;
        let is_shuffled = shuffles.unwrap_or(false);
        let mut base = base_config(parameters)?;
        base.connect_timeout(timeout);
        if is_shuffled {
            base.load_balance_hosts(LoadBalanceHosts::Random);
        }
        let password_file = PasswordFile::new(parameters.get("passfile"));
        let (endpoints, password_from) = endpoints(parameters, &base, &password_file)?;
        Ok(Self {
            tls: Arc::new(Tls::new(parameters)?),
            target: parameters
                .one_of("target_session_attrs", &TargetServer::NAMES)?
                .unwrap_or(TargetServer::Any),
            shown: show::url(&endpoints, parameters),
            endpoints,
            timeout,
            is_shuffled,
            proxy_override: None,
            statement_timeout: None,
            refuses_marker: Arc::default(),
            private_home: None,
            password_from,
            password_file,
        })
    }

    /// The URL without the password.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether it is a database of the private server.
    pub fn is_local(&self) -> bool {
        self.private_home.is_some()
    }

    /// The home of the private server that it names, by `local:` or by that server's socket.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        self.private_home.clone().or_else(|| match &self.endpoints[..] {
            [Endpoint { location: Location::Socket { folder, .. }, .. }] => {
                PrivateServer::of_socket_dir(folder).map(|server| server.home().to_owned())
            }
            _ => None,
        })
    }

    /// Where the password came from, if there is one.
    pub fn password_from(&self) -> Option<&'static str> {
        self.password_from
    }

    /// The password file in which a password was looked for.
    pub(crate) fn password_file(&self) -> &PasswordFile {
        &self.password_file
    }

    /// With the proxy overrides of this folder.
    #[must_use]
    pub(crate) fn with_proxy_overrides(self, proxy_overrides: &ProxyOverrides) -> Self {
        let proxy_override = Some(proxy_overrides.of(&self.shown));
        Self { proxy_override, ..self }
    }

    /// Without proxy overrides, and with at least this timeout.
    pub(crate) fn without_proxy(&self, timeout: Duration) -> Self {
        Self { proxy_override: None, timeout: self.timeout.max(timeout), ..self.clone() }
    }

    /// Whether a server listens at one of its endpoints, whatever it answers.
    pub(crate) fn accepts(&self, timeout: Duration) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.location.accepts(timeout))
    }

    /// With this `statement_timeout`.
    pub(crate) fn with_statement_timeout(self, statement_timeout: Option<Duration>) -> Self {
        Self { statement_timeout, ..self }
    }

    /// An address of each endpoint alone, whatever server it is.
    pub(crate) fn each_endpoint(&self) -> Vec<Self> {
        let alone = |endpoint: &Endpoint| Self {
            shown: endpoint.location.to_string(),
            endpoints: vec![endpoint.clone()],
            target: TargetServer::Any,
            ..self.clone()
        };
        self.endpoints.iter().map(alone).collect()
    }

    /// Another database of the same server, without proxy overrides; its shown text stays this one's.
    pub(crate) fn beside(&self, database: &str) -> Self {
        let mut other = Self { proxy_override: None, ..self.clone() };
        for endpoint in &mut other.endpoints {
            endpoint.config.dbname(database);
        }
        other
    }

    /// The `application_name`.
    pub(crate) fn application_name(&self) -> &str {
        self.endpoints[0].config.get_application_name().unwrap_or("ringshard")
    }

    /// The user's name.
    pub(crate) fn user(&self) -> &str {
        self.endpoints[0].config.get_user().unwrap_or_default()
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        self.endpoints[0].config.get_dbname().unwrap_or_default()
    }
}

/// The endpoints in order, and where the first password came from.
fn endpoints(
    parameters: &Parameters,
    base: &Config,
    password_file: &PasswordFile,
) -> Result<(Vec<Endpoint>, Option<&'static str>)> {
    let (hosts, addresses) = (parameters.list("host"), parameters.list("hostaddr"));
    let ports = parameters.list("port");
    let count = hosts.len().max(addresses.len()).max(1);
    for (keyword, items) in [("host", &hosts), ("hostaddr", &addresses), ("port", &ports)] {
        let is_right = items.is_empty() || items.len() == count || (keyword == "port" && items.len() == 1);
        if !is_right {
            let message = format!("`{keyword}` has {} items for {count} hosts", items.len());
            return Err(Error::new(Kind::Configuration, message)
                .hint(format!("give one `{keyword}` for each host, between commas")));
        }
    }
    let mut found = Vec::new();
    let mut password_from = None;
    for at in 0..count {
        let port = match ports.get(at).or(ports.first()).filter(|port| !port.is_empty()) {
            Some(port) => port
                .parse()
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(|| parameters.wrong_value("port", "a number from 1 to 65535"))?,
            None => PORT_DEFAULT,
        };
        let address = match addresses.get(at).filter(|address| !address.is_empty()) {
            Some(address) => {
                Some(address.parse().map_err(|_| parameters.wrong_value("hostaddr", "an IP address"))?)
            }
            None => None,
        };
        let host = hosts.get(at).filter(|host| !host.is_empty()).map(|host| (*host).to_owned());
        let host = host.or_else(|| address.as_ref().map(IpAddr::to_string));
        let host = host.unwrap_or_else(|| default_host(port));
        let location = Location::new(&host, address, port);
        let mut endpoint = Endpoint { config: base.clone(), location };
        let password = find_password(parameters, &host, port, base, password_file);
        if let Some((password, origin)) = password {
            endpoint.config.password(password.expose_bytes());
            password_from = password_from.or(Some(origin));
        }
        found.push(endpoint);
    }
    Ok((found, password_from))
}

/// The folder of the default socket if there is one, otherwise `localhost`.
fn default_host(port: u16) -> String {
    let has_socket = |folder: &&&str| Path::new(folder).join(socket_name(port)).exists();
    (*SOCKET_FOLDERS.iter().find(has_socket).unwrap_or(&"localhost")).to_owned()
}

/// The password for a host, and where it came from.
fn find_password(
    parameters: &Parameters,
    host: &str,
    port: u16,
    config: &Config,
    file: &PasswordFile,
) -> Option<(Secret<Vec<u8>>, &'static str)> {
    if let Some(password) = parameters.get("password") {
        let origin = match parameters.origin("password") {
            Some(Origin::Service) => "the service file",
            _ => "the URL",
        };
        return Some((Secret::of_bytes(password.into()), origin));
    }
    if let Some(password) = environment::raw_variable("PGPASSWORD").filter(|_| !parameters.is_set("password"))
    {
        return Some((Secret::of_bytes(password.into_encoded_bytes()), "PGPASSWORD"));
    }
    // The password file has `localhost` for the default socket folders.
    let host = if SOCKET_FOLDERS.contains(&host) { "localhost" } else { host };
    let (database, user) = (config.get_dbname().unwrap_or_default(), config.get_user().unwrap_or_default());
    file.password(&Wanted { host, port, database, user }).map(|found| (found, "the password file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let server = PrivateServer::at(Some(Path::new("/tmp/none")), None).unwrap();
        let address = ConnectionString::new(text).resolve(&server, Duration::from_secs(1)).unwrap();
        address.shown().to_owned()
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (text, url) in [
            ("postgresql://u:secret@h:5433/db", "postgresql://u@h:5433/db"),
            ("host=h port=1 user=u password=secret dbname=d", "postgresql://u@h:1/d"),
            (
                "postgresql://u:s%40crt@h1:1,h2:2/db?sslmode=require",
                "postgresql://u@h1:1,h2:2/db?sslmode=require",
            ),
            ("postgresql://u@/db?host=/run/x&port=6000", "postgresql://u@/db?host=/run/x&port=6000"),
            ("postgresql://u@[::1]:7/a%20b", "postgresql://u@[::1]:7/a%20b"),
            ("postgresql://u:secret@h/d?sslmode=prefer&target_session_attrs=any", "postgresql://u@h:5432/d"),
            (
                "host=h sslmode=verify-full sslrootcert='/a b/root.crt' sslcert=/c.crt sslkey=/c.key user=u dbname=d",
                "postgresql://u@h:5432/d?sslmode=verify-full&sslrootcert=/a%20b/root.crt&sslcert=/c.crt&sslkey=/c.key",
            ),
            (
                "postgresql://u@h1,h2:2/d?target_session_attrs=primary&options=-c%20a%3Db",
                "postgresql://u@h1:5432,h2:2/d?target_session_attrs=primary&options=-c%20a%3Db",
            ),
            ("host=/run/x,h port=1,2 user=u dbname=d", "postgresql://u@/d?host=/run/x,h&port=1,2"),
            ("host=h hostaddr=127.0.0.1 user=u dbname=d", "postgresql://u@h:5432/d?hostaddr=127.0.0.1"),
            ("hostaddr=127.0.0.1 user=u dbname=d", "postgresql://u@127.0.0.1:5432/d"),
            ("postgresql://u@h/d?sslrootcert=system", "postgresql://u@h:5432/d?sslrootcert=system"),
            ("host=a/b user=u dbname=d", "postgresql://u@a%2Fb:5432/d"),
            ("host=a:/b] user=u dbname=d", "postgresql://u@[a:%2Fb%5D]:5432/d"),
            (" postgresql://u@h/d\n", "postgresql://u@h:5432/d"),
            ("postgresql+psycopg://u:secret@h/d", "postgresql://u@h:5432/d"),
            ("postgresql://u@h/d?passfile=/p&sslcertmode=allow", "postgresql://u@h:5432/d?passfile=/p"),
        ] {
            assert_eq!(shown(text), url);
            assert!(!shown(text).contains("secret") && !shown(text).contains("s%40crt"));
        }
    }

    #[test]
    fn contradictory_parameters_are_refused() {
        let server = PrivateServer::at(Some(Path::new("/tmp/none")), None).unwrap();
        for (text, expected) in [
            ("postgresql://h/d?sslmode=verify", "`sslmode` is not one of `disable`, `allow`"),
            ("postgresql://h/d?sslmode=require&sslrootcert=system", "weak sslmode `require`"),
            ("postgresql://h/d?sslnegotiation=direct", "weak sslmode `prefer`"),
            ("postgresql://h/d?gssencmode=require", "`gssencmode` is not one of"),
            ("postgresql://h/d?target_session_attrs=master", "`target_session_attrs` is not one of"),
            ("host=a,b,c port=1,2 dbname=d", "`port` has 2 items for 3 hosts"),
            ("host=a,b hostaddr=127.0.0.1 dbname=d", "`hostaddr` has 1 items for 2 hosts"),
            ("postgresql://h:70000/d", "`port` is not a number from 1 to 65535"),
            ("postgresql://h/d?sslcrl=x", "`sslcrl` is not supported"),
            ("postgresql://h/d?sslcertmode=require", "`sslcertmode` is not one of `disable`, `allow`"),
            ("postgresql://h/d?ssl_min_protocol_version=SSLv3", "`ssl_min_protocol_version` is not one of"),
            ("postgresql://h/d?ssl_max_protocol_version=TLSv1.1", "leave neither TLS 1.2 nor 1.3"),
            (
                "postgresql://h/d?ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=tlsv1.2",
                "leave neither TLS 1.2 nor 1.3",
            ),
        ] {
            let refused = ConnectionString::new(text).resolve(&server, Duration::from_secs(1)).unwrap_err();
            assert!(refused.message().contains(expected), "{text}: {refused}");
            assert_eq!(refused.kind(), Kind::Configuration);
        }
    }

    #[test]
    fn another_database_of_the_same_server() {
        for (text, expected) in [
            ("postgresql://u:p@h:1/a", "postgresql://u:p@h:1/shard_1"),
            ("postgres://u@h", "postgres://u@h/shard_1"),
            ("postgresql+psycopg://u@h/a", "postgresql+psycopg://u@h/shard_1"),
            ("postgres://u@h/", "postgres://u@h/shard_1"),
            ("postgresql:///x?host=/run&dbname=y", "postgresql:///x?host=/run&dbname=y&dbname=shard_1"),
            ("postgresql://u:1?2@h/x", "postgresql://u:1?2@h/x?dbname=shard_1"),
            ("postgresql://u:12/34@h/db", "postgresql://u:12/34@h/db?dbname=shard_1"),
            (" postgresql://u@h/a\n", "postgresql://u@h/shard_1"),
            ("postgresql://u:1?2@h/x ", "postgresql://u:1?2@h/x?dbname=shard_1"),
            ("postgresql://h/a?db%6Eame=o1", "postgresql://h/a?db%6Eame=o1&dbname=shard_1"),
            ("host=h user=u", "host=h user=u dbname='shard_1'"),
        ] {
            assert_eq!(ConnectionString::new(text).with_database("shard_1").unwrap().expose(), expected);
        }
    }

    #[test]
    fn an_error_never_quotes_a_password() {
        for text in [
            "postgresql://u:hunter2?x@h/d",
            "password=hunter2 nonsense",
            "postgresql://u:hu/nter2@h:x/d",
            "postgresql://u:hunter2@x@h/d",
        ] {
            if let Err(error) = ConnectionString::new(text).with_database("d") {
                assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
            }
        }
        assert!(ConnectionString::new("nonsense").with_database("d").is_err());
    }
}
