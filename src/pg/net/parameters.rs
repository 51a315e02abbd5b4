//! Parses a connection string into libpq's keywords, and adds what the environment sets.
//!
//! Follows "Connection Strings" and "Parameter Key Words" of the PostgreSQL documentation (34.1.1, 34.1.2). It never
//! connects, and no message quotes the text, which may hold a password.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::error::{Error, Kind, Result};
use crate::pg::net::environment;

/// The supported keywords, each with the variable that sets its default.
const KEYWORDS: [(&str, Option<&str>); 25] = [
    ("application_name", Some("PGAPPNAME")),
    ("channel_binding", Some("PGCHANNELBINDING")),
    ("connect_timeout", Some("PGCONNECT_TIMEOUT")),
    ("dbname", Some("PGDATABASE")),
    ("gssencmode", Some("PGGSSENCMODE")),
    ("host", Some("PGHOST")),
    ("hostaddr", Some("PGHOSTADDR")),
    ("keepalives", None),
    ("keepalives_count", None),
    ("keepalives_idle", None),
    ("keepalives_interval", None),
    ("load_balance_hosts", Some("PGLOADBALANCEHOSTS")),
    ("options", Some("PGOPTIONS")),
    ("password", Some("PGPASSWORD")),
    ("port", Some("PGPORT")),
    ("sslcert", Some("PGSSLCERT")),
    ("sslcompression", Some("PGSSLCOMPRESSION")),
    ("sslkey", Some("PGSSLKEY")),
    ("sslmode", Some("PGSSLMODE")),
    ("sslnegotiation", Some("PGSSLNEGOTIATION")),
    ("sslrootcert", Some("PGSSLROOTCERT")),
    ("sslsni", Some("PGSSLSNI")),
    ("target_session_attrs", Some("PGTARGETSESSIONATTRS")),
    ("tcp_user_timeout", None),
    ("user", Some("PGUSER")),
];

/// libpq's other keywords. They are refused, as ignoring one would change what the connection means.
const REFUSED: [&str; 20] = [
    "client_encoding",
    "fallback_application_name",
    "gssdelegation",
    "gsslib",
    "krbsrvname",
    "max_protocol_version",
    "min_protocol_version",
    "passfile",
    "replication",
    "require_auth",
    "requirepeer",
    "requiressl",
    "service",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcertmode",
    "sslcrl",
    "sslcrldir",
    "sslkeylogfile",
    "sslpassword",
];

/// The source of a parameter: the connection string, or an environment variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Text,
    Variable(&'static str),
}

/// Values by keyword. One may be a password, so this has no `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Parameters(BTreeMap<&'static str, (String, Option<Origin>)>);

impl Parameters {
    /// Parses a URL or `key=value` pairs. The last one of equal keywords counts.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let url = ["postgresql://", "postgres://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let mut found = Self::default();
        match url {
            Some(rest) => found.read_url(rest),
            None => found.read_pairs(text),
        }
        .map_err(|wrong| wrong.error(text))?;
        if found.get("host").is_some_and(|host| host.contains('@')) {
            return Err(MalformedText("there is more than one `@`; write `@` in a password as `%40`".into())
                .error(""));
        }
        Ok(found)
    }

    /// Adds the environment's values for keywords that the text does not set.
    pub(crate) fn complete_from_environment(&mut self) {
        for (keyword, variable) in KEYWORDS {
            let Some(variable) = variable else { continue };
            // PGHOSTADDR must not redirect a host that the text names.
            if self.0.contains_key(keyword) || (keyword == "hostaddr" && self.0.contains_key("host")) {
                continue;
            }
            if let Some(value) = environment::variable(variable) {
                self.0.insert(keyword, (value, Some(Origin::Variable(variable))));
            }
        }
    }

    /// A value that is set and not empty. An empty one means the default, as in libpq.
    pub(crate) fn get(&self, keyword: &str) -> Option<&str> {
        self.0.get(keyword).map(|(value, _)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// The source of a value.
    pub(crate) fn origin(&self, keyword: &str) -> Option<Origin> {
        self.0.get(keyword).and_then(|(_, origin)| *origin)
    }

    /// With another database.
    pub(crate) fn with_database(mut self, database: &str) -> Self {
        self.0.insert("dbname", (database.into(), Some(Origin::Text)));
        self
    }

    /// The comma-separated items of a value; an empty item means the default.
    pub(crate) fn list(&self, keyword: &str) -> Vec<&str> {
        self.get(keyword).map_or_else(Vec::new, |value| value.split(',').map(str::trim).collect())
    }

    /// A value as a number.
    pub(crate) fn number<T: FromStr>(&self, keyword: &str) -> Result<Option<T>> {
        self.get(keyword)
            .map(|value| value.trim().parse().map_err(|_| self.wrong_value(keyword, "a number that fits")))
            .transpose()
    }

    /// What a value means that must be one of these names.
    pub(crate) fn one_of<T: Copy>(&self, keyword: &str, names: &[(&str, T)]) -> Result<Option<T>> {
        let Some(value) = self.get(keyword) else { return Ok(None) };
        let meaning = names.iter().find(|(name, _)| *name == value).map(|(_, meaning)| *meaning);
        meaning.map(Some).ok_or_else(|| {
            let names: Vec<String> = names.iter().map(|(name, _)| format!("`{name}`")).collect();
            self.wrong_value(keyword, &format!("one of {}", names.join(", ")))
        })
    }

    /// The error for an invalid value. A value from the connection string is not shown.
    pub(crate) fn wrong_value(&self, keyword: &str, must: &str) -> Error {
        let (message, hint) = if let Some(Origin::Variable(variable)) = self.origin(keyword) {
            let value = self.get(keyword).unwrap_or_default();
            let message = format!("`{variable}` is `{value}`, which is not {must}");
            (message, format!("unset {variable}, or set it to {must}"))
        } else {
            let message = format!("`{keyword}` is not {must}");
            (message, format!("correct `{keyword}` in the connection string"))
        };
        Error::new(Kind::Configuration, message).hint(hint)
    }

    fn put(&mut self, keyword: &str, value: String) -> std::result::Result<(), MalformedText> {
        if value.contains('\0') {
            return Err(MalformedText("a value contains a NUL character".into()));
        }
        // The crate `postgres` has this name for it.
        let keyword = if keyword == "keepalives_retries" { "keepalives_count" } else { keyword };
        let known = KEYWORDS.iter().map(|(known, _)| *known).find(|known| *known == keyword);
        let known = known.ok_or_else(|| match REFUSED.iter().find(|refused| **refused == keyword) {
            Some(refused) => MalformedText(format!("`{refused}` is not supported by ringshard").into()),
            None => MalformedText::unknown(keyword),
        })?;
        self.0.insert(known, (value, Some(Origin::Text)));
        Ok(())
    }

    /// `USER:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?KEY=VALUE&…`. Everything before the first `@` is user and password, so that
    /// a password may have a bare `/` or `?`; libpq is stricter.
    fn read_url(&mut self, rest: &str) -> std::result::Result<(), MalformedText> {
        let rest = match rest.split_once('@') {
            None => rest,
            Some((credentials, rest)) => {
                let (user, password) =
                    credentials.split_once(':').map_or((credentials, None), |(u, p)| (u, Some(p)));
                self.put("user", decode(user)?)?;
                if let Some(password) = password {
                    self.put("password", decode(password)?)?;
                }
                rest
            }
        };
        let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, query)| (rest, query));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        if !authority.is_empty() {
            let endpoints =
                authority.split(',').map(split_port).collect::<std::result::Result<Vec<_>, _>>()?;
            let hosts =
                endpoints.iter().map(|(host, _)| decode(host)).collect::<std::result::Result<Vec<_>, _>>()?;
            self.put("host", hosts.join(","))?;
            if endpoints.iter().any(|(_, port)| port.is_some()) {
                let ports: Vec<&str> = endpoints.iter().map(|(_, port)| port.unwrap_or_default()).collect();
                self.put("port", decode(&ports.join(","))?)?;
            }
        }
        if !database.is_empty() {
            self.put("dbname", decode(database)?)?;
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (keyword, value) =
                pair.split_once('=').ok_or(MalformedText("a parameter after `?` has no `=`".into()))?;
            self.put(&decode(keyword)?, decode(value)?)?;
        }
        Ok(())
    }

    /// `KEY=VALUE KEY='a value'`; `\` escapes a quote or a backslash.
    fn read_pairs(&mut self, text: &str) -> std::result::Result<(), MalformedText> {
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (keyword, value) = rest
                .split_once('=')
                .ok_or(MalformedText("a parameter without `=`, or an invalid address".into()))?;
            let keyword = keyword.trim_end();
            if keyword.is_empty() || keyword.contains(char::is_whitespace) {
                return Err(MalformedText("a parameter without `=`, or an invalid address".into()));
            }
            let value = value.trim_start();
            let (value, after) = match value.strip_prefix('\'') {
                Some(quoted) => {
                    let (value, after) = read_until(quoted, |c| c == '\'');
                    let after = after.strip_prefix('\'');
                    (value, after.ok_or(MalformedText("a quote `'` is not closed".into()))?)
                }
                None => read_until(value, char::is_whitespace),
            };
            self.put(keyword, value)?;
            rest = after.trim_start();
        }
        Ok(())
    }
}

/// Why a text is not a connection string.
struct MalformedText(std::borrow::Cow<'static, str>);

impl MalformedText {
    fn unknown(keyword: &str) -> Self {
        Self(format!("unknown option `{keyword}`").into())
    }

    /// If the text may hold a password, an unknown keyword is not named, as it may be a part of the password.
    fn error(self, text: &str) -> Error {
        let is_risky = self.0.starts_with("unknown") && (text.contains('@') || text.contains("password"));
        let why = if is_risky {
            "it has an unknown option, or a password with characters that must be escaped \
             (`@` as `%40`, `:` as `%3A`, `/` as `%2F`, `?` as `%3F`, `#` as `%23`)"
        } else {
            &self.0
        };
        Error::new(Kind::Configuration, format!("not a connection string: {why}"))
            .hint("write it as `postgresql://USER@HOST:PORT/DATABASE`, or as `host=HOST dbname=DATABASE`")
    }
}

/// The text before the first unescaped character that `is_end` accepts, unescaped; and the text from that character on.
fn read_until(text: &str, is_end: impl Fn(char) -> bool) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            c if is_end(c) => return (value, &text[at..]),
            c => value.push(c),
        }
    }
    (value, "")
}

/// `HOST`, `HOST:PORT`, `[::1]` or `[::1]:PORT`.
fn split_port(endpoint: &str) -> std::result::Result<(&str, Option<&str>), MalformedText> {
    let Some(inner) = endpoint.strip_prefix('[') else {
        return Ok(endpoint.split_once(':').map_or((endpoint, None), |(host, port)| (host, Some(port))));
    };
    let (host, after) =
        inner.split_once(']').ok_or(MalformedText("a `[` before an address is not closed".into()))?;
    match after.strip_prefix(':') {
        None if !after.is_empty() => Err(MalformedText("there is text between `]` and the port".into())),
        port => Ok((host, port)),
    }
}

fn decode(text: &str) -> std::result::Result<String, MalformedText> {
    let wrong = || MalformedText("a `%` is not followed by two hexadecimal digits of UTF-8 text".into());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16)).ok_or_else(wrong);
        let number = digit()? * 16 + digit()?;
        bytes.push(u8::try_from(number).unwrap_or_default());
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(&'static str, String)> {
        let found = Parameters::parse(text).unwrap();
        found.0.into_iter().map(|(keyword, (value, _))| (keyword, value)).collect()
    }

    #[test]
    fn a_url_and_pairs_parse_to_the_same() {
        for (url, pairs) in [
            ("postgresql://u:p@h:1/d", "user=u password=p host=h port=1 dbname=d"),
            ("postgres://h1,h2:2/?sslmode=verify-full", "host=h1,h2 port=,2 sslmode = verify-full"),
            (
                "postgresql://h1:1,h2:2?target_session_attrs=primary",
                "host=h1,h2 port=1,2 target_session_attrs=primary",
            ),
            (
                "postgresql:///d?host=/run/x&sslrootcert=/a%20b/c.crt",
                r"host=/run/x dbname=d sslrootcert='/a b/c.crt'",
            ),
            ("postgresql://%2Frun%2Fx/d", "host=/run/x dbname=d"),
            ("postgresql://[::1]:7,[fe80::1]/d", "host=::1,fe80::1 port=7, dbname=d"),
            (
                "postgresql://h/d?options=-c%20statement_timeout%3D1234",
                "host=h dbname=d options='-c statement_timeout=1234'",
            ),
            ("postgresql://h:1/d?port=2&host=g", "host=g port=2 dbname=d"),
            ("postgresql://u:12/3?4@h/d", "user=u password=12/3?4 host=h dbname=d"),
            (r"postgresql://u:it's%20%5C%20x@h", r"user=u password='it\'s \\ x' host=h"),
            ("postgresql://h?p%6Frt=9", "  host=h   port = 9  "),
            (r"postgresql://h?sslkey=a%20b", r"host=h sslkey=a\ b"),
            ("postgresql://", ""),
        ] {
            assert_eq!(parsed(url), parsed(pairs), "{url}");
        }
    }

    #[test]
    fn an_error_does_not_quote_the_text() {
        for (text, expected) in [
            ("postgresql://h/d?sslcrl=hunter2", "`sslcrl` is not supported"),
            ("sslpassword='hunter2'", "`sslpassword` is not supported"),
            ("postgresql://h/d?colour=hunter2", "unknown option `colour`"),
            ("host=h password=x hunter2=y", "an unknown option"),
            ("host=h hunter2", "without `=`"),
            ("host=h password='hunter2", "not closed"),
            ("postgresql://u:%zzhunter2@h", "hexadecimal"),
            ("postgresql://u:%hunter2@h", "hexadecimal"),
            ("postgresql://u:%e4hunter2@h", "hexadecimal"),
            ("postgresql://u:x@hunter2@h/d", "more than one `@`"),
            ("postgresql://[::1/hunter2", "not closed"),
            ("postgresql://h/d?hunter2", "no `=`"),
            ("hunter2", "without `=`"),
            ("host=h password='hunter2\0'", "NUL"),
        ] {
            let Err(error) = Parameters::parse(text) else { panic!("{text}") };
            assert!(error.message().contains(expected), "{text}: {error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
            assert_eq!(error.kind(), Kind::Configuration);
        }
        let read = Parameters::parse("sslmode=hunter2 port=hunter2").unwrap();
        let error = read.one_of("sslmode", &[("disable", 1), ("require", 2)]).unwrap_err();
        assert_eq!(error.message(), "`sslmode` is not one of `disable`, `require`");
        assert!(!format!("{:?}", read.number::<u16>("port").unwrap_err()).contains("hunter2"));
    }
}
