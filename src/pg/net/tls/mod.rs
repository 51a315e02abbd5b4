//! TLS as libpq has it: what `sslmode` asks for, with which files, and what a failure means.
//!
//! After 34.19 of the PostgreSQL documentation. Nothing is read before a connection needs it, so that a
//! run over unix sockets pays nothing.

mod files;
mod verifier;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::crypto::{CryptoProvider, ring};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{AlertDescription, CertificateError, ClientConfig};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::parameters::Parameters;
use crate::error::{Error, Kind, Result};
use files::FileSource;
use verifier::{Roots, Verifier};

/// What `sslmode` asks for, from the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    /// Never TLS.
    Disable,
    /// TLS only if the server takes no other.
    Allow,
    /// TLS if the server has it.
    Prefer,
    /// TLS. The certificate is verified if there is a root certificate: libpq's backward compatibility.
    Require,
    /// TLS, with a certificate that an authority signed.
    VerifyCa,
    /// The same, for the host that is connected to.
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

/// Where the root certificates are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Root {
    System,
    File(FileSource),
}

/// How connections to one address are secured.
pub(crate) struct Tls {
    mode: Mode,
    root: Root,
    certificate: FileSource,
    key: FileSource,
    sends_name: bool,
    /// Made when a connection first needs it; kept, so that sessions can be resumed.
    connector: OnceLock<MakeRustlsConnect>,
}

/// What went wrong with the client's certificate, and what helps.
pub(crate) const CERTIFICATE_REFUSED: &str = "the server refused the client's certificate";
pub(crate) const CERTIFICATE_HINT: &str =
    "name one that an authority of that server's ssl_ca_file signed, as `sslcert` and `sslkey`";

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl Tls {
    /// No TLS, for the private server.
    pub(crate) fn none() -> Self {
        let nowhere = || FileSource::Nowhere;
        Self::with(Mode::Disable, Root::File(nowhere()), nowhere(), nowhere(), true)
    }

    fn with(mode: Mode, root: Root, certificate: FileSource, key: FileSource, sends_name: bool) -> Self {
        Self { mode, root, certificate, key, sends_name, connector: OnceLock::new() }
    }

    /// What the parameters ask for. Reads no file.
    pub(crate) fn new(parameters: &Parameters) -> Result<Self> {
        let named = parameters.get("sslrootcert");
        let is_system = named == Some("system");
        let usual = if is_system { Mode::VerifyFull } else { Mode::Prefer };
        let mode = parameters.word("sslmode", &MODES)?.unwrap_or(usual);
        let weak = |what: &str, use_instead: &str| {
            let name = MODES.iter().find(|(_, known)| *known == mode).map_or("", |(name, _)| name);
            let message = format!("weak sslmode `{name}` may not be used with {what}");
            Err(Error::new(Kind::Configuration, message).hint(format!("set sslmode={use_instead}")))
        };
        if is_system && mode != Mode::VerifyFull {
            return weak("sslrootcert=system", "verify-full");
        }
        let is_direct = parameters.word("sslnegotiation", &[("postgres", false), ("direct", true)])?;
        if is_direct == Some(true) && mode < Mode::Require {
            return weak("sslnegotiation=direct", "require");
        }
        // Kerberos encryption there is none, so nothing else may be demanded.
        parameters.word("gssencmode", &[("disable", ()), ("prefer", ())])?;
        let sends_name = parameters.word("sslsni", &[("0", false), ("1", true)])?.unwrap_or(true);
        let root = if is_system { Root::System } else { Root::File(FileSource::new(named, "root.crt")) };
        let certificate = FileSource::new(parameters.get("sslcert"), "postgresql.crt");
        let key = FileSource::new(parameters.get("sslkey"), "postgresql.key");
        Ok(Self::with(mode, root, certificate, key, sends_name))
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// What makes secured connections: reads the files when it is first asked.
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
            .with_safe_default_protocol_versions()
            .expect("ring has cipher suites for TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match self.identity(&provider)? {
            Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own))),
            None => builder.with_no_client_auth(),
        };
        config.enable_sni = self.sends_name;
        // What libpq 17 names, and `sslnegotiation=direct` needs.
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(MakeRustlsConnect::new(config))
    }

    /// Whom to believe; none where anybody will do.
    fn roots(&self) -> Result<Option<Roots>> {
        if self.mode < Mode::Require {
            return Ok(None);
        }
        let what = "root certificate file";
        let read = |path: &Path| Ok(Some(Roots::new(files::certificates(what, "sslrootcert", path)?)));
        match &self.root {
            Root::System => read(&files::system_bundle()?),
            Root::File(place) => match place.existing() {
                Some(path) => read(path),
                None if self.mode == Mode::Require => {
                    if let (true, Some(path)) = (place.is_named(), place.path()) {
                        log::warn!(
                            "The server's certificate is not verified: root certificate file {} does not exist",
                            path.display()
                        );
                    }
                    Ok(None)
                }
                None => {
                    let message = match place.path() {
                        Some(path) => format!("the {what} `{}` does not exist", path.display()),
                        None => format!("no {what} is named, and there is no HOME to look for one"),
                    };
                    Err(Error::new(Kind::Configuration, message).hint(
                        "put the server's authority there or name it as `sslrootcert`, or take the system's with \
                         sslrootcert=system, or set sslmode=require to verify nothing",
                    ))
                }
            },
        }
    }

    /// The client's own certificate, if there is one.
    fn identity(&self, provider: &CryptoProvider) -> Result<Option<CertifiedKey>> {
        match self.read_identity(provider) {
            // What nobody named and nothing demands may also be left out.
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
            return Err(Error::new(Kind::Configuration, message).hint("name it as `sslkey`"));
        };
        let key = provider.key_provider.load_private_key(files::key(key_path)?);
        let shown = key_path.display();
        let wrong = |why: String| {
            Error::new(Kind::Configuration, format!("the private key `{shown}` {why}"))
                .hint("correct `sslcert` and `sslkey` in the shard's URL")
        };
        let key = key.map_err(|cause| wrong(format!("cannot be used: {cause}")))?;
        // Compared here, as rustls would not look into a certificate of version 1.
        if let (Some(of_key), Some(of_certificate)) =
            (key.public_key(), verifier::public_key(&certificates[0]))
            && of_key.as_ref() != of_certificate
        {
            return Err(wrong(format!("is not that of `{}`", path.display())));
        }
        Ok(Some(CertifiedKey::new(certificates, key)))
    }

    /// Whether the server is shown a certificate of the client.
    pub(crate) fn offers_certificate(&self) -> bool {
        self.mode != Mode::Disable && self.certificate.existing().is_some()
    }

    /// What a failed handshake means: what is wrong, what kind of failure that is, and what helps.
    pub(crate) fn explain(&self, cause: &rustls::Error) -> Explained {
        let explained = |kind, words: String, hint: String| Explained { kind, words, hint };
        match cause {
            rustls::Error::InvalidCertificate(why) => {
                let (words, hint) = self.explain_certificate(why);
                explained(Kind::Permission, words, hint)
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
                format!("the server and ringshard agree on no TLS: {cause}"),
                "that server must offer TLS 1.2 or 1.3 (ssl_max_protocol_version, ssl_ciphers)".into(),
            ),
            _ => explained(
                Kind::Unreachable,
                format!("the TLS handshake failed: {cause}"),
                "the log of that server tells more".into(),
            ),
        }
    }

    fn explain_certificate(&self, why: &CertificateError) -> (String, String) {
        use CertificateError as Bad;
        let root = match &self.root {
            Root::System => "the system's root certificates".to_owned(),
            Root::File(place) => {
                place.path().map_or_else(String::new, |path| format!("`{}`", path.display()))
            }
        };
        let says = |what: &str| format!("the server could not prove who it is: {what}");
        match why {
            Bad::UnknownIssuer | Bad::BadSignature => (
                says(&format!("no authority in {root} signed its certificate")),
                "is this the right server? then let `sslrootcert` name the authority that signed its ssl_cert_file"
                    .into(),
            ),
            Bad::NotValidForNameContext { expected, presented } => {
                let names = presented.iter().map(|name| name_shown(name)).collect::<Vec<_>>().join(", ");
                let names = if names.is_empty() { "no host at all".into() } else { names };
                (
                    says(&format!("its certificate is for {names}, not for `{}`", expected.to_str())),
                    "name the host as its certificate does, or set sslmode=verify-ca to check the authority alone"
                        .into(),
                )
            }
            Bad::Expired | Bad::ExpiredContext { .. } => (
                says("its certificate, or one of those above it, has expired"),
                "renew ssl_cert_file of that server, and look at the clock of this machine".into(),
            ),
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => (
                says("its certificate, or one of those above it, is not valid yet"),
                "look at the clock of this machine and of that server".into(),
            ),
            other => (
                says(&rustls::Error::InvalidCertificate(other.clone()).to_string()),
                format!("look at ssl_cert_file of that server (it must be X.509 version 3), and at {root}"),
            ),
        }
    }
}

/// A name in a certificate, without rustls' wrapping (`DnsName("localhost")`).
fn name_shown(name: &str) -> String {
    let inner = name.split_once("(\"").and_then(|(_, rest)| rest.strip_suffix("\")"));
    let inner = inner.or_else(|| name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')));
    format!("`{}`", inner.unwrap_or(name))
}

/// What a failed handshake means.
pub(crate) struct Explained {
    pub(crate) kind: Kind,
    pub(crate) words: String,
    pub(crate) hint: String,
}

/// Whether an alert complains about the certificate that the client showed, or did not show.
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
