//! libpq's keywords, and the variable that sets the default of each.
//!
//! Follows 34.1.2 ("Parameter Key Words") and 34.15 ("Environment Variables") of the PostgreSQL documentation.

/// The supported keywords, each with the variable that sets its default.
pub(crate) const KEYWORDS: [(&str, Option<&str>); 31] = [
    ("application_name", Some("PGAPPNAME")),
    ("channel_binding", Some("PGCHANNELBINDING")),
    ("connect_timeout", Some("PGCONNECT_TIMEOUT")),
    ("dbname", Some("PGDATABASE")),
    ("fallback_application_name", None),
    ("gssencmode", Some("PGGSSENCMODE")),
    ("host", Some("PGHOST")),
    ("hostaddr", Some("PGHOSTADDR")),
    ("keepalives", None),
    ("keepalives_count", None),
    ("keepalives_idle", None),
    ("keepalives_interval", None),
    ("load_balance_hosts", Some("PGLOADBALANCEHOSTS")),
    ("options", Some("PGOPTIONS")),
    // PGPASSFILE and PGPASSWORD may be no UTF-8, so `environment` reads them.
    ("passfile", None),
    ("password", None),
    ("port", Some("PGPORT")),
    // PGSERVICE is looked up before all other variables.
    ("service", None),
    ("ssl_max_protocol_version", Some("PGSSLMAXPROTOCOLVERSION")),
    ("ssl_min_protocol_version", Some("PGSSLMINPROTOCOLVERSION")),
    ("sslcert", Some("PGSSLCERT")),
    ("sslcertmode", Some("PGSSLCERTMODE")),
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

/// A keyword that ringshard does not support. It is refused, as ignoring it would change what the connection means.
pub(crate) struct Unsupported {
    pub(crate) keyword: &'static str,
    pub(crate) variable: Option<&'static str>,
    /// The values that ask for no more than what ringshard does anyway.
    harmless: &'static [&'static str],
}

impl Unsupported {
    const fn new(
        keyword: &'static str,
        variable: Option<&'static str>,
        harmless: &'static [&'static str],
    ) -> Self {
        Self { keyword, variable, harmless }
    }

    /// Whether ringshard does what this value asks for. An empty value means the default.
    pub(crate) fn is_harmless(&self, value: &str) -> bool {
        value.is_empty() || self.harmless.iter().any(|harmless| harmless.eq_ignore_ascii_case(value))
    }
}

pub(crate) const UNSUPPORTED: [Unsupported; 19] = [
    // Text goes to and from the server in UTF-8 always.
    Unsupported::new(
        "client_encoding",
        Some("PGCLIENTENCODING"),
        &["UTF8", "UTF-8", "UTF_8", "unicode", "auto"],
    ),
    Unsupported::new("gssdelegation", Some("PGGSSDELEGATION"), &["0"]),
    Unsupported::new("gsslib", Some("PGGSSLIB"), &[]),
    Unsupported::new("krbsrvname", Some("PGKRBSRVNAME"), &["postgres"]),
    Unsupported::new("max_protocol_version", Some("PGMAXPROTOCOLVERSION"), &["3.0", "3.2", "latest"]),
    Unsupported::new("min_protocol_version", Some("PGMINPROTOCOLVERSION"), &["3.0"]),
    Unsupported::new("oauth_client_id", None, &[]),
    Unsupported::new("oauth_client_secret", None, &[]),
    Unsupported::new("oauth_issuer", None, &[]),
    Unsupported::new("oauth_scope", None, &[]),
    Unsupported::new("replication", None, &["false", "off", "no", "0"]),
    Unsupported::new("require_auth", Some("PGREQUIREAUTH"), &[]),
    Unsupported::new("requirepeer", Some("PGREQUIREPEER"), &[]),
    Unsupported::new("scram_client_key", None, &[]),
    Unsupported::new("scram_server_key", None, &[]),
    Unsupported::new("sslcrl", Some("PGSSLCRL"), &[]),
    Unsupported::new("sslcrldir", Some("PGSSLCRLDIR"), &[]),
    Unsupported::new("sslkeylogfile", None, &[]),
    Unsupported::new("sslpassword", None, &[]),
];
