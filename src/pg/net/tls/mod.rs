//! TLS as in libpq: what `sslmode` requires, which files it uses, and what a failure means.
//!
//! Follows 34.19 of the PostgreSQL documentation. No file is read before a connection needs it, so that connections over
//! Unix sockets cost nothing.

mod files;
mod verifier;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::crypto::{CryptoProvider, ring};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{AlertDescription, CertificateError, ClientConfig, SupportedProtocolVersion};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::parameters::Parameters;
use crate::error::{Error, Kind, Result};
use files::FileSource;
use verifier::{Roots, Verifier};

/// The values of `sslmode`, from the weakest to the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    /// Never TLS.
    Disable,
    /// TLS only if the server refuses connections without it.
    Allow,
    /// TLS if the server has it.
    Prefer,
    /// TLS. The certificate is verified only if there is a root certificate, as in libpq.
    Require,
    /// TLS, with a certificate that a trusted authority signed.
    VerifyCa,
    /// As [`Mode::VerifyCa`], and the certificate must be for the host.
    VerifyFull,
}

const MODES: [(&str, Mode); 6] = [
    ("disable", Mode::Disable),
    ("allow", Mode::Allow),
    ("prefer", Mode::Prefer),
    ("require", Mode::Require),
    ("verify-ca", Mode::VerifyCa),
    ("verify-full", Mode::VerifyFull),
];

/// The source of the root certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Root {
    System,
    File(FileSource),
}

/// The TLS settings of one address.
pub(crate) struct Tls {
    mode: Mode,
    root: Root,
    certificate: FileSource,
    key: FileSource,
    /// A list of certificates that are revoked, which ringshard does not support: it must not exist if one is verified.
    revoked: FileSource,
    versions: Vec<&'static SupportedProtocolVersion>,
    sends_name: bool,
    /// Made for the first connection, and kept so that TLS sessions can be resumed.
    connector: OnceLock<MakeRustlsConnect>,
}

/// The message and the hint for a refused client certificate.
pub(crate) const CERTIFICATE_REFUSED: &str = "the server refused the client's certificate";
pub(crate) const CERTIFICATE_HINT: &str =
    "set `sslcert` and `sslkey` to a certificate that an authority in that server's ssl_ca_file signed";

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl Tls {
    /// No TLS, for the private server.
    pub(crate) fn none() -> Self {
        Self {
            mode: Mode::Disable,
            root: Root::File(FileSource::None),
            certificate: FileSource::None,
            key: FileSource::None,
            revoked: FileSource::None,
            versions: rustls::ALL_VERSIONS.to_vec(),
            sends_name: true,
            connector: OnceLock::new(),
        }
    }

    /// From the parameters. Reads no file.
    pub(crate) fn new(parameters: &Parameters) -> Result<Self> {
        let named = parameters.get("sslrootcert");
        let is_system = named == Some("system");
        let default = if is_system { Mode::VerifyFull } else { Mode::Prefer };
        let mode = parameters.one_of("sslmode", &MODES)?.unwrap_or(default);
        let weak = |what: &str, use_instead: &str| {
            let name = MODES.iter().find(|(_, known)| *known == mode).map_or("", |(name, _)| name);
            let message = format!("weak sslmode `{name}` may not be used with {what}");
            Err(Error::new(Kind::Configuration, message).hint(format!("set sslmode={use_instead}")))
        };
        if is_system && mode != Mode::VerifyFull {
            return weak("sslrootcert=system", "verify-full");
        }
        let is_direct = parameters.one_of("sslnegotiation", &[("postgres", false), ("direct", true)])?;
        if is_direct == Some(true) && mode < Mode::Require {
            return weak("sslnegotiation=direct", "require");
        }
        // ringshard has no Kerberos encryption, so `require` is refused.
        parameters.one_of("gssencmode", &[("disable", ()), ("prefer", ())])?;
        let sends_name = parameters.one_of("sslsni", &[("0", false), ("1", true)])?.unwrap_or(true);
        let root = if is_system { Root::System } else { Root::File(FileSource::new(named, "root.crt")) };
        let certificate_modes = [("disable", false), ("allow", true)];
        let certificate = match parameters.one_of("sslcertmode", &certificate_modes)? {
            Some(false) => FileSource::None,
            _ => FileSource::new(parameters.get("sslcert"), "postgresql.crt"),
        };
        Ok(Self {
            mode,
            root,
            certificate,
            key: FileSource::new(parameters.get("sslkey"), "postgresql.key"),
            revoked: FileSource::new(None, "root.crl"),
            versions: versions(parameters)?,
            sends_name,
            connector: OnceLock::new(),
        })
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// The connector. The first call reads the files.
    pub(crate) fn connector(&self) -> Result<MakeRustlsConnect> {
        if let Some(made) = self.connector.get() {
            return Ok(made.clone());
        }
        let made = self.make()?;
        Ok(self.connector.get_or_init(|| made).clone())
    }

    fn make(&self) -> Result<MakeRustlsConnect> {
        let provider = Arc::new(ring::default_provider());
        let verifier = Verifier {
            provider: Arc::clone(&provider),
            roots: self.roots()?,
            checks_name: self.mode == Mode::VerifyFull,
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&self.versions)
            .expect("ring has cipher suites for TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match self.identity(&provider)? {
            Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own))),
            None => builder.with_no_client_auth(),
        };
        config.enable_sni = self.sends_name;
        // As libpq 17; `sslnegotiation=direct` needs it.
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(MakeRustlsConnect::new(config))
    }

    /// The trusted roots; `None` if the certificate is not verified.
    fn roots(&self) -> Result<Option<Roots>> {
        if self.mode < Mode::Require {
            return Ok(None);
        }
        let what = "root certificate file";
        let read = |path: &Path| {
            if let Some(revoked) = self.revoked.existing() {
                let shown = revoked.display();
                let message = format!("ringshard does not support revocation lists, and there is `{shown}`");
                return Err(Error::new(Kind::Configuration, message)
                    .hint(format!("move `{shown}` elsewhere to connect without it")));
            }
            Ok(Some(Roots::new(files::certificates(what, "sslrootcert", path)?)))
        };
        match &self.root {
            Root::System => read(&files::system_bundle()?),
            Root::File(file) => match file.existing() {
                Some(path) => read(path),
                None if self.mode == Mode::Require => {
                    if let (true, Some(path)) = (file.is_named(), file.path()) {
                        log::warn!(
                            "The server's certificate is not verified: root certificate file {} does not exist",
                            path.display()
                        );
                    }
                    Ok(None)
                }
                None => {
                    let message = match file.path() {
                        Some(path) => format!("the {what} `{}` does not exist", path.display()),
                        None => format!("no {what} is named, and HOME is not set"),
                    };
                    Err(Error::new(Kind::Configuration, message).hint(
                        "save the server's authority there or set `sslrootcert` to its file, or trust the system's with \
                         sslrootcert=system, or set sslmode=require to skip the verification",
                    ))
                }
            },
        }
    }

    /// The client's certificate, if there is one.
    fn identity(&self, provider: &CryptoProvider) -> Result<Option<CertifiedKey>> {
        match self.read_identity(provider) {
            // A default file that is invalid is ignored unless the mode requires TLS.
            Err(error)
                if self.mode < Mode::Require && !self.certificate.is_named() && !self.key.is_named() =>
            {
                log::warn!("Ignored the client's certificate: {error}");
                Ok(None)
            }
            result => result,
        }
    }

    fn read_identity(&self, provider: &CryptoProvider) -> Result<Option<CertifiedKey>> {
        let path = match (&self.certificate, self.certificate.existing()) {
            (_, Some(path)) => path,
            (FileSource::Named(path), None) => path,
            _ => return Ok(None),
        };
        let certificates = files::certificates("client certificate", "sslcert", path)?;
        let Some(key_path) = self.key.path() else {
            let message = format!("there is a certificate `{}`, but no private key", path.display());
            return Err(Error::new(Kind::Configuration, message).hint("set `sslkey` to it"));
        };
        let key = provider.key_provider.load_private_key(files::key(key_path)?);
        let shown = key_path.display();
        let wrong = |why: String| {
            Error::new(Kind::Configuration, format!("the private key `{shown}` {why}"))
                .hint("correct `sslcert` and `sslkey` in the shard's URL")
        };
        let key = key.map_err(|cause| wrong(format!("cannot be used: {cause}")))?;
        // Compared here, as rustls does not parse certificates of X.509 version 1.
        if let (Some(of_key), Some(of_certificate)) =
            (key.public_key(), verifier::public_key(&certificates[0]))
            && of_key.as_ref() != of_certificate
        {
            return Err(wrong(format!("is not that of `{}`", path.display())));
        }
        Ok(Some(CertifiedKey::new(certificates, key)))
    }

    /// Whether the client sends a certificate.
    pub(crate) fn offers_certificate(&self) -> bool {
        self.mode != Mode::Disable && self.certificate.existing().is_some()
    }

    /// What a failed handshake means.
    pub(crate) fn explain(&self, cause: &rustls::Error) -> Explained {
        let explained = |kind, message: String, hint: String| Explained { kind, message, hint };
        match cause {
            rustls::Error::InvalidCertificate(why) => {
                let (message, hint) = self.explain_certificate(why);
                explained(Kind::Permission, message, hint)
            }
            rustls::Error::AlertReceived(alert) if is_about_the_client(*alert) => explained(
                Kind::Permission,
                format!("{CERTIFICATE_REFUSED}: {cause}"),
                CERTIFICATE_HINT.into(),
            ),
            rustls::Error::AlertReceived(_)
            | rustls::Error::PeerIncompatible(_)
            | rustls::Error::InvalidMessage(_) => explained(
                Kind::Configuration,
                format!("the server and ringshard support no common TLS version or cipher: {cause}"),
                "that server must offer TLS 1.2 or 1.3 (ssl_max_protocol_version, ssl_ciphers)".into(),
            ),
            _ => explained(
                Kind::Unreachable,
                format!("the TLS handshake failed: {cause}"),
                "see the log of that server".into(),
            ),
        }
    }

    fn explain_certificate(&self, why: &CertificateError) -> (String, String) {
        use CertificateError as Bad;
        let root = match &self.root {
            Root::System => "the system's root certificates".to_owned(),
            Root::File(file) => file.path().map_or_else(String::new, |path| format!("`{}`", path.display())),
        };
        let says = |what: &str| format!("the server's certificate is not valid: {what}");
        match why {
            Bad::UnknownIssuer | Bad::BadSignature => (
                says(&format!("no authority in {root} signed it")),
                "if this is the right server, set `sslrootcert` to the authority that signed its ssl_cert_file"
                    .into(),
            ),
            Bad::NotValidForNameContext { expected, presented } => {
                let names = presented.iter().map(|name| name_shown(name)).collect::<Vec<_>>().join(", ");
                let names = if names.is_empty() { "no host at all".into() } else { names };
                (
                    says(&format!("it is for {names}, not for `{}`", expected.to_str())),
                    "use the host name of the certificate in the URL, or set sslmode=verify-ca to check only the authority"
                        .into(),
                )
            }
            Bad::Expired | Bad::ExpiredContext { .. } => (
                says("it, or one of its issuers' certificates, has expired"),
                "renew ssl_cert_file of that server, and check the clock of this machine".into(),
            ),
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => (
                says("it, or one of its issuers' certificates, is not valid yet"),
                "check the clocks of this machine and of that server".into(),
            ),
            other => (
                says(&rustls::Error::InvalidCertificate(other.clone()).to_string()),
                format!("check ssl_cert_file of that server (it must be X.509 version 3), and {root}"),
            ),
        }
    }
}

/// The TLS versions between `ssl_min_protocol_version` and `ssl_max_protocol_version`. ringshard has none below 1.2.
fn versions(parameters: &Parameters) -> Result<Vec<&'static SupportedProtocolVersion>> {
    const NAMES: [&str; 4] = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];
    let limit = |keyword| {
        let rank = |value: &str| NAMES.iter().position(|name| name.eq_ignore_ascii_case(value));
        let wrong = || parameters.wrong_value(keyword, "one of `TLSv1`, `TLSv1.1`, `TLSv1.2`, `TLSv1.3`");
        parameters.get(keyword).map(|value| rank(value).ok_or_else(wrong)).transpose()
    };
    let (min, max) = (limit("ssl_min_protocol_version")?, limit("ssl_max_protocol_version")?);
    let allowed = min.unwrap_or_default()..=max.unwrap_or(NAMES.len());
    let known = [(2, &rustls::version::TLS12), (3, &rustls::version::TLS13)];
    let versions: Vec<_> =
        known.into_iter().filter(|(rank, _)| allowed.contains(rank)).map(|(_, version)| version).collect();
    if versions.is_empty() {
        let message =
            "`ssl_min_protocol_version` and `ssl_max_protocol_version` leave neither TLS 1.2 nor 1.3";
        return Err(Error::new(Kind::Configuration, message)
            .hint("correct them, or PGSSLMINPROTOCOLVERSION and PGSSLMAXPROTOCOLVERSION"));
    }
    Ok(versions)
}

/// A name in a certificate, without the wrapping of rustls (`DnsName("localhost")`).
fn name_shown(name: &str) -> String {
    let inner = name.split_once("(\"").and_then(|(_, rest)| rest.strip_suffix("\")"));
    let inner = inner.or_else(|| name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')));
    format!("`{}`", inner.unwrap_or(name))
}

/// What a failed handshake means.
pub(crate) struct Explained {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    pub(crate) hint: String,
}

/// Whether an alert is about the client's certificate, or the lack of one.
fn is_about_the_client(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    matches!(
        alert,
        Alert::NoCertificate
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError
            | Alert::CertificateRequired
    )
}
