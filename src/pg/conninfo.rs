//! Connection strings, and the addresses that they resolve to.
//!
//! A [`ConnectionString`] is what a person wrote and may hold a password, so it cannot be shown. An
//! [`Address`] is what it means here and now: missing parts come from `PG*`, the password file and
//! libpq's defaults, and its text has no password.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use postgres::Config;
use postgres::config::{Host, SslMode};

use super::environment;
use crate::error::{Error, Kind, Result};
use crate::local::PrivateServer;
use crate::model::secret::Secret;

/// What stands before the database's name when the private server has it.
const LOCAL_PREFIX: &str = "local:";
/// Where a socket lies when nothing else is said: Debian's folder, then Postgres's own.
const SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];
const PORT_DEFAULT: u16 = 5432;
/// How long TCP may wait for an acknowledgement of what was sent.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);

/// A URL (`postgresql://…`), a `key=value` string, or `local:DATABASE`: as given, and so perhaps with a
/// password. It has no `Display`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionString(Secret);

impl ConnectionString {
    /// Takes any text; whether it means something is found out by [`ConnectionString::resolve`].
    pub fn new(text: impl Into<String>) -> Self {
        Self(Secret::new(text))
    }

    /// The private server's database of this name.
    pub fn local(database: &str) -> Self {
        Self::new(format!("{LOCAL_PREFIX}{database}"))
    }

    /// The text with its password: only for the configuration file.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The private server's database that this names, if it names one.
    pub fn local_database(&self) -> Option<&str> {
        self.expose().strip_prefix(LOCAL_PREFIX)
    }

    /// The same server, another database; for `init-shards --server`.
    pub fn with_database(&self, database: &str) -> Result<Self> {
        let given = parse(self.expose())?;
        let candidates = [self.with_path(database), Some(self.with_parameter(database))];
        // A URL can be written in many ways: what counts is what the parser makes of it.
        let is_right = |made: &Self| {
            parse(made.expose()).is_ok_and(|made| {
                made.get_dbname() == Some(database)
                    && made.get_hosts() == given.get_hosts()
                    && made.get_ports() == given.get_ports()
                    && made.get_user() == given.get_user()
                    && made.get_password() == given.get_password()
            })
        };
        candidates.into_iter().flatten().find(is_right).ok_or_else(|| {
            let message = format!("the server's URL cannot be pointed at the database `{database}`");
            Error::new(Kind::Configuration, message).hint("write it as `postgresql://USER@HOST:PORT`")
        })
    }

    /// `…/DATABASE`, where nothing follows the server's address but an old database.
    fn with_path(&self, database: &str) -> Option<Self> {
        let (scheme, rest) = self.expose().split_once("://")?;
        let (before, query) =
            rest.split_once('?').map_or((rest, None), |(before, query)| (before, Some(query)));
        let authority = before.split_once('/').map_or(before, |(authority, _)| authority);
        let query = query.map_or(String::new(), |query| format!("?{query}"));
        Some(Self::new(format!("{scheme}://{authority}/{}{query}", percent_encode(database))))
    }

    /// `…dbname=DATABASE`, which overrides what stands before it.
    fn with_parameter(&self, database: &str) -> Self {
        let text = self.expose();
        let Some((_, rest)) = text.split_once("://") else {
            return Self::new(format!("{text} dbname='{database}'"));
        };
        let behind_password = rest.split_once('@').map_or(rest, |(_, rest)| rest);
        let separator = if behind_password.contains('?') { '&' } else { '?' };
        Self::new(format!("{text}{separator}dbname={}", percent_encode(database)))
    }

    /// Where databases can be created from: the database that is named, or else `postgres`.
    pub fn for_maintenance(&self) -> Result<Self> {
        if parse(self.expose())?.get_dbname().is_some() {
            Ok(self.clone())
        } else {
            self.with_database("postgres")
        }
    }

    /// What the text means here: `local:` through the private server, the rest as libpq would.
    pub fn resolve(&self, server: &PrivateServer, timeout: Duration) -> Result<Address> {
        if let Some(database) = self.local_database() {
            let mut config = Config::new();
            config.host_path(server.socket_dir()).port(server.port());
            config.user(PrivateServer::USER).dbname(database).connect_timeout(timeout);
            config.application_name("ringshard");
            return Ok(Address { shown: show(&config), config, local: true, password_from: None });
        }
        let mut config = parse(self.expose())?;
        let password_from = complete(&mut config, self.expose(), timeout)?;
        Ok(Address { shown: show(&config), config, local: false, password_from })
    }
}

/// How to reach one database. Its text is a URL without the password, which psql understands.
#[derive(Debug, Clone)]
pub struct Address {
    pub(super) config: Config,
    shown: String,
    local: bool,
    password_from: Option<&'static str>,
}

impl Address {
    /// The URL without the password.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether the private server has this database.
    pub fn is_local(&self) -> bool {
        self.local
    }

    /// Where the password comes from, if there is one.
    pub fn password_from(&self) -> Option<&'static str> {
        self.password_from
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        self.config.get_dbname().unwrap_or_default()
    }
}

fn parse(text: &str) -> Result<Config> {
    let wrong = |why: &str| {
        Error::new(Kind::Configuration, format!("not a connection string: {why}"))
            .hint("write it as `postgresql://USER@HOST:PORT/DATABASE`, or as `host=HOST dbname=DATABASE`")
    };
    if text.contains("sslmode=verify") {
        return Err(wrong("this ringshard has no TLS, so `sslmode` is `disable` or `prefer`"));
    }
    // The parser's words may quote a piece of the text, which may be a piece of a password.
    let config = Config::from_str(text).map_err(|cause| {
        let why = std::error::Error::source(&cause).map_or_else(|| cause.to_string(), ToString::to_string);
        if text.contains('@') || text.contains("password") {
            wrong(
                "it has an option that is not known, or a password with characters that must be written otherwise \
                 (`@` as `%40`, `:` as `%3A`, `/` as `%2F`, `?` as `%3F`, `#` as `%23`)",
            )
        } else {
            wrong(&why)
        }
    })?;
    if config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(name) if name.contains('@'))) {
        return Err(wrong("there is more than one `@`; in a password it is written as `%40`"));
    }
    Ok(config)
}

/// Fills in what the text left out, in libpq's order. Returns where the password came from.
fn complete(config: &mut Config, text: &str, timeout: Duration) -> Result<Option<&'static str>> {
    let number = |name: &str| -> Result<Option<u16>> {
        environment::variable(name)
            .map(|value| {
                value.parse().map_err(|_| {
                    Error::new(Kind::Configuration, format!("`{name}` is `{value}`, which is no number"))
                        .hint(format!("unset {name}, or set it to a number"))
                })
            })
            .transpose()
    };
    if config.get_ports().is_empty() {
        config.port(number("PGPORT")?.unwrap_or(PORT_DEFAULT));
    }
    let port = config.get_ports()[0];
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        if let Some(hosts) = environment::variable("PGHOST") {
            for host in hosts.split(',') {
                config.host(host);
            }
        } else {
            let socket = format!(".s.PGSQL.{port}");
            let folder = SOCKET_FOLDERS.iter().find(|folder| Path::new(folder).join(&socket).exists());
            config.host(folder.copied().unwrap_or("localhost"));
        }
    }
    if config.get_user().is_none() {
        let name = environment::variable("PGUSER").map_or_else(operating_system_user, Ok)?;
        config.user(&name);
    }
    let user = config.get_user().unwrap_or_default().to_owned();
    if config.get_dbname().is_none() {
        config.dbname(&environment::variable("PGDATABASE").unwrap_or_else(|| user.clone()));
    }
    if config.get_application_name().is_none() {
        config.application_name(&environment::variable("PGAPPNAME").unwrap_or_else(|| "ringshard".into()));
    }
    // A peer that vanished is noticed after a while instead of never.
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(TCP_USER_TIMEOUT);
    }
    if config.get_options().is_none()
        && let Some(options) = environment::variable("PGOPTIONS")
    {
        config.options(&options);
    }
    if config.get_connect_timeout().is_none() {
        let seconds = number("PGCONNECT_TIMEOUT")?.filter(|seconds| *seconds > 0);
        config.connect_timeout(seconds.map_or(timeout, |seconds| Duration::from_secs(seconds.into())));
    }
    if !text.contains("sslmode")
        && let Some(mode) = environment::variable("PGSSLMODE")
    {
        config.ssl_mode(match mode.as_str() {
            "disable" => SslMode::Disable,
            "allow" | "prefer" => SslMode::Prefer,
            _ => SslMode::Require,
        });
    }
    Ok(find_password(config, &user, port))
}

fn find_password(config: &mut Config, user: &str, port: u16) -> Option<&'static str> {
    if config.get_password().is_some() {
        return Some("the URL");
    }
    if let Some(password) = environment::variable("PGPASSWORD") {
        config.password(password);
        return Some("PGPASSWORD");
    }
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        // The password file calls the usual socket folders `localhost`.
        Some(Host::Unix(path)) if SOCKET_FOLDERS.iter().any(|dir| Path::new(dir) == path) => {
            "localhost".into()
        }
        Some(Host::Unix(path)) => path.display().to_string(),
        None => config.get_hostaddrs().first().map(IpAddr::to_string).unwrap_or_default(),
    };
    let database = config.get_dbname().unwrap_or_default();
    let password = environment::password_from_file(&host, port, database, user)?;
    config.password(password.expose());
    Some("the password file")
}

fn operating_system_user() -> Result<String> {
    let id = rustix::process::geteuid().as_raw().to_string();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let of_passwd = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then(|| name.to_owned())
    });
    of_passwd.or_else(|| environment::variable("USER")).ok_or_else(|| {
        Error::new(Kind::Configuration, "no database user is named, and this process has no name of its own")
            .hint("put the user into the URL: `postgresql://USER@HOST/DATABASE`, or set PGUSER")
    })
}

/// A URL without the password.
fn show(config: &Config) -> String {
    let ports = config.get_ports();
    let port_of = |at: usize| ports.get(at).or(ports.first()).copied().unwrap_or(PORT_DEFAULT);
    let mut out = String::from("postgresql://");
    if let Some(user) = config.get_user() {
        let _ = write!(out, "{}@", percent_encode(user));
    }
    let mut query = Vec::new();
    let mut hosts = Vec::new();
    for (at, host) in config.get_hosts().iter().enumerate() {
        match host {
            Host::Tcp(name) if name.contains(':') => hosts.push(format!("[{name}]:{}", port_of(at))),
            Host::Tcp(name) => hosts.push(format!("{name}:{}", port_of(at))),
            Host::Unix(folder) => {
                query.push(format!("host={}", percent_encode(&folder.to_string_lossy())));
                if port_of(at) != PORT_DEFAULT {
                    query.push(format!("port={}", port_of(at)));
                }
            }
        }
    }
    if hosts.is_empty() && query.is_empty() {
        hosts.extend(config.get_hostaddrs().iter().enumerate().map(|(at, addr)| match addr {
            IpAddr::V4(addr) => format!("{addr}:{}", port_of(at)),
            IpAddr::V6(addr) => format!("[{addr}]:{}", port_of(at)),
        }));
    }
    let _ = write!(out, "{}/{}", hosts.join(","), percent_encode(config.get_dbname().unwrap_or_default()));
    if config.get_ssl_mode() == SslMode::Require {
        query.push("sslmode=require".into());
    } else if config.get_ssl_mode() == SslMode::Disable {
        query.push("sslmode=disable".into());
    }
    if !query.is_empty() {
        let _ = write!(out, "?{}", query.join("&"));
    }
    out
}

fn percent_encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
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
        ] {
            assert_eq!(shown(text), url);
            assert!(!shown(text).contains("crt"));
        }
    }

    #[test]
    fn another_database_of_the_same_server() {
        for (text, want) in [
            ("postgresql://u:p@h:1/a", "postgresql://u:p@h:1/shard_1"),
            ("postgres://u@h", "postgres://u@h/shard_1"),
            ("postgres://u@h/", "postgres://u@h/shard_1"),
            ("postgresql:///x?host=/run&dbname=y", "postgresql:///x?host=/run&dbname=y&dbname=shard_1"),
            ("postgresql://u:1?2@h/x", "postgresql://u:1?2@h/x?dbname=shard_1"),
            ("postgresql://u:12/34@h/db", "postgresql://u:12/34@h/db?dbname=shard_1"),
            ("postgresql://h/a?db%6Eame=o1", "postgresql://h/a?db%6Eame=o1&dbname=shard_1"),
            ("host=h user=u", "host=h user=u dbname='shard_1'"),
        ] {
            assert_eq!(ConnectionString::new(text).with_database("shard_1").unwrap().expose(), want);
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
