//! Parses a connection string into libpq's keywords, and adds what the service file and the environment set.
//!
//! Follows "Connection Strings" of the PostgreSQL documentation (34.1.1). It never connects, and no message quotes the text,
//! which may hold a password.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::error::{Error, Kind, Result};
use crate::pg::net::keywords::{KEYWORDS, UNSUPPORTED, Unsupported};
use crate::pg::net::{environment, service};

/// The source of a parameter: the connection string, the service file, or an environment variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Text,
    Service,
    Variable(&'static str),
}

/// Values by keyword. One may be a password, so this has no `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Parameters(BTreeMap<&'static str, (String, Option<Origin>)>);

impl Parameters {
    /// Parses a URL or `key=value` pairs. The last one of equal keywords counts.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        // Blanks around a URL are not part of it.
        let trimmed = text.trim();
        let url = trimmed.split_once("://").and_then(|(scheme, rest)| {
            // SQLAlchemy's URLs name a driver of Python, as in `postgresql+psycopg://`.
            let base = scheme.split_once('+').map_or(scheme, |(base, _)| base);
            ["postgresql", "postgres"].contains(&base).then_some(rest)
        });
        let mut found = Self::default();
        match url {
            Some(rest) => found.read_url(rest),
            None => refuse_other_schemes(trimmed).and_then(|()| found.read_pairs(text)),
        }
        .map_err(|wrong| wrong.error(text, url.is_some()))?;
        if found.get("host").is_some_and(|host| host.contains('@')) {
            return Err(MalformedText::new("there is more than one `@`; write `@` in a password as `%40`")
                .error("", true));
        }
        Ok(found)
    }

    /// Adds what the text leaves out: first what the service sets, then the environment's values. Fails if one of them
    /// demands what ringshard does not support.
    pub(crate) fn complete(&mut self) -> Result<()> {
        let service = if self.is_set("service") {
            self.get("service").map(str::to_owned)
        } else {
            service::of_environment()?
        };
        if let Some(name) = service {
            for setting in service::settings(&name)? {
                if !self.0.contains_key(canonical(&setting.keyword)) {
                    let put = self.put(&setting.keyword, setting.value.clone(), Origin::Service);
                    put.map_err(|wrong| setting.error(&wrong.why))?;
                }
            }
            self.0.insert("service", (name, None));
        }
        for (keyword, variable) in KEYWORDS {
            let Some(variable) = variable else { continue };
            // PGHOSTADDR must not redirect a host that the text names.
            if self.0.contains_key(keyword) || (keyword == "hostaddr" && self.0.contains_key("host")) {
                continue;
            }
            if let Some(value) = environment::text_variable(variable)? {
                self.0.insert(keyword, (value, Some(Origin::Variable(variable))));
            }
        }
        // An older name of PGSSLMODE=require.
        if !self.0.contains_key("sslmode")
            && environment::text_variable("PGREQUIRESSL")?.is_some_and(|value| value.starts_with('1'))
        {
            let require = ("require".into(), Some(Origin::Variable("PGREQUIRESSL")));
            self.0.insert("sslmode", require);
        }
        UNSUPPORTED.iter().try_for_each(|unsupported| self.refuse_variable(unsupported))
    }

    fn refuse_variable(&self, unsupported: &Unsupported) -> Result<()> {
        let Some(variable) = unsupported.variable.filter(|_| !self.0.contains_key(unsupported.keyword))
        else {
            return Ok(());
        };
        if environment::text_variable(variable)?.is_none_or(|value| unsupported.is_harmless(&value)) {
            return Ok(());
        }
        let message = format!("`{variable}` is set, and ringshard does not support it");
        Err(Error::new(Kind::Configuration, message).hint(format!("unset {variable}")))
    }

    /// Whether the text, the service or the environment sets this, even if to nothing.
    pub(crate) fn is_set(&self, keyword: &str) -> bool {
        self.0.contains_key(keyword)
    }

    /// A value that is set and not empty. An empty one means the default, as in libpq.
    pub(crate) fn get(&self, keyword: &str) -> Option<&str> {
        self.0.get(keyword).map(|(value, _)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// All that are set and not empty.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.keys().filter_map(|keyword| Some((*keyword, self.get(keyword)?)))
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
        let (message, hint) = match (self.origin(keyword), self.get("service")) {
            (Some(Origin::Variable(variable)), _) => {
                let value = self.get(keyword).unwrap_or_default();
                let message = format!("`{variable}` is `{value}`, which is not {must}");
                (message, format!("unset {variable}, or set it to {must}"))
            }
            (Some(Origin::Service), Some(service)) => (
                format!("`{keyword}` of the service `{service}` is not {must}"),
                format!("correct `{keyword}` in the service file"),
            ),
            _ => (
                format!("`{keyword}` is not {must}"),
                format!("correct `{keyword}` in the connection string"),
            ),
        };
        Error::new(Kind::Configuration, message).hint(hint)
    }

    fn put(
        &mut self,
        keyword: &str,
        value: String,
        origin: Origin,
    ) -> std::result::Result<(), MalformedText> {
        if value.contains('\0') {
            return Err(MalformedText::new("a value contains a NUL character"));
        }
        // As in libpq, an older name of `sslmode`.
        let value = match (keyword, value.starts_with('1')) {
            ("requiressl", true) => "require".to_owned(),
            ("requiressl", false) => "prefer".to_owned(),
            _ => value,
        };
        let keyword = canonical(keyword);
        let unsupported = UNSUPPORTED.iter().find(|unsupported| unsupported.keyword == keyword);
        if unsupported.is_some_and(|unsupported| !unsupported.is_harmless(&value)) {
            return Err(MalformedText::unsupported(keyword));
        }
        let supported = KEYWORDS.iter().map(|(known, _)| *known).find(|known| *known == keyword);
        let known = supported.or(unsupported.map(|unsupported| unsupported.keyword));
        let known = known.ok_or_else(|| MalformedText::unknown(keyword))?;
        self.0.insert(known, (value, Some(origin)));
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
                self.put("user", decode(user)?, Origin::Text)?;
                if let Some(password) = password {
                    self.put("password", decode(password)?, Origin::Text)?;
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
            self.put("host", hosts.join(","), Origin::Text)?;
            if endpoints.iter().any(|(_, port)| port.is_some()) {
                let ports: Vec<&str> = endpoints.iter().map(|(_, port)| port.unwrap_or_default()).collect();
                self.put("port", decode(&ports.join(","))?, Origin::Text)?;
            }
        }
        if !database.is_empty() {
            self.put("dbname", decode(database)?, Origin::Text)?;
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (keyword, value) =
                pair.split_once('=').ok_or(MalformedText::new("a parameter after `?` has no `=`"))?;
            self.put(&decode(keyword)?, decode(value)?, Origin::Text)?;
        }
        Ok(())
    }

    /// `KEY=VALUE KEY='a value'`; `\` escapes a quote or a backslash.
    fn read_pairs(&mut self, text: &str) -> std::result::Result<(), MalformedText> {
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (keyword, value) = rest
                .split_once('=')
                .ok_or(MalformedText::new("a parameter without `=`, or an invalid address"))?;
            let keyword = keyword.trim_end();
            if keyword.is_empty() || keyword.contains(char::is_whitespace) {
                return Err(MalformedText::new("a parameter without `=`, or an invalid address"));
            }
            let value = value.trim_start();
            let (value, after) = match value.strip_prefix('\'') {
                Some(quoted) => {
                    let (value, after) = read_until(quoted, |c| c == '\'');
                    let after = after.strip_prefix('\'');
                    (value, after.ok_or(MalformedText::new("a quote `'` is not closed"))?)
                }
                None => read_until(value, char::is_whitespace),
            };
            self.put(keyword, value, Origin::Text)?;
            rest = after.trim_start();
        }
        Ok(())
    }
}

/// Why a text is not a connection string, and what to do about it.
struct MalformedText {
    why: std::borrow::Cow<'static, str>,
    hint: Option<String>,
    /// Whether the reason quotes a word that may be a part of a password.
    names_unknown: bool,
}

impl MalformedText {
    fn new(why: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self { why: why.into(), hint: None, names_unknown: false }
    }

    fn unknown(keyword: &str) -> Self {
        let hint = Some(format!("remove `{keyword}` from the connection string, or correct its name"));
        Self { hint, names_unknown: true, ..Self::new(format!("unknown option `{keyword}`")) }
    }

    fn unsupported(keyword: &str) -> Self {
        let hint = Some(format!("remove `{keyword}` from the connection string"));
        Self { hint, ..Self::new(format!("`{keyword}` is not supported by ringshard")) }
    }

    /// If the text may hold a password with characters that are not escaped, an unknown keyword is not named, as it may be a
    /// part of the password. In a URL with one `@` it stands after that, so it is not.
    fn error(self, text: &str, is_url: bool) -> Error {
        let is_risky =
            text.matches('@').count() > usize::from(is_url) || text.to_lowercase().contains("password");
        let (why, hint) = if self.names_unknown && is_risky {
            let why = "it has an unknown option, or a password with characters that must be escaped \
                       (`@` as `%40`, `:` as `%3A`, `/` as `%2F`, `?` as `%3F`, `#` as `%23`)";
            (why.into(), None)
        } else {
            (self.why, self.hint)
        };
        let write_it =
            || "write it as `postgresql://USER@HOST/DATABASE`, or as `host=HOST dbname=DATABASE`".into();
        Error::new(Kind::Configuration, format!("not a connection string: {why}"))
            .hint(hint.unwrap_or_else(write_it))
    }
}

/// The keyword under which a value is stored.
fn canonical(keyword: &str) -> &str {
    match keyword {
        // The crate `postgres` has this name for it.
        "keepalives_retries" => "keepalives_count",
        "requiressl" => "sslmode",
        keyword => keyword,
    }
}

/// Refuses the URLs of other programs, as `jdbc:postgresql://`, and a URL in quotes.
fn refuse_other_schemes(text: &str) -> std::result::Result<(), MalformedText> {
    let refused =
        |why: String, hint: &str| Err(MalformedText { hint: Some(hint.into()), ..MalformedText::new(why) });
    let Some((scheme, _)) = text.split_once("://") else { return Ok(()) };
    if scheme.starts_with(['"', '\'']) {
        return refused("it begins with a quote".into(), "remove the quotes around the URL");
    }
    let name = scheme.strip_prefix("jdbc:").unwrap_or(scheme);
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(is_scheme) {
        return Ok(());
    }
    let why = format!("a URL of Postgres does not begin with `{scheme}://`");
    refused(why, "begin it with `postgresql://`, and leave the rest as it is")
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
        inner.split_once(']').ok_or(MalformedText::new("a `[` before an address is not closed"))?;
    match after.strip_prefix(':') {
        None if !after.is_empty() => Err(MalformedText::new("there is text between `]` and the port")),
        port => Ok((host, port)),
    }
}

fn decode(text: &str) -> std::result::Result<String, MalformedText> {
    let wrong = || MalformedText::new("a `%` is not followed by two hexadecimal digits of UTF-8 text");
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
            (r"postgresql+psycopg://h?sslkey=a%20b", r"host=h sslkey=a\ b"),
            (r"postgres+asyncpg://h?sslkey=a%20b", r"host=h sslkey=a\ b"),
            ("postgresql://", ""),
            ("postgresql://h?requiressl=1", "host=h sslmode=require"),
            ("postgresql://h?requiressl=0", "host=h sslmode=prefer"),
            ("postgresql:///d?service=a%20b&passfile=/x", "dbname=d service='a b' passfile=/x"),
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
            ("postgresql://u:p@ss?hunter2=x@h/d", "an unknown option"),
            ("postgresql://u@h/d?pool_size=hunter2", "unknown option `pool_size`"),
            ("require_auth='hunter2'", "`require_auth` is not supported"),
            ("mysql+pymysql://u:hunter2@h/d", "not begin with `mysql+pymysql://`"),
            ("jdbc:postgresql://h/d?user=u&password=hunter2", "not begin with `jdbc:postgresql://`"),
            ("POSTGRES://u:hunter2@h/d", "not begin with `POSTGRES://`"),
            ("'postgresql://u:hunter2@h/d'", "it begins with a quote"),
            ("u:hunter2://h/d", "without `=`"),
            ("postgresql//u:?hunter2?@h/d?sslmode=x", "an unknown option"),
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
