//! The files of TLS: root certificates, and the client's certificate with its key.
//!
//! Follows 34.19.2 and 34.19.5 of the PostgreSQL documentation.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::{Error, Kind, Result};
use crate::pg::net::environment;

/// The bundles of trusted authorities: Debian, Red Hat, SUSE, Alpine and BSD, macOS.
const SYSTEM_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/opt/homebrew/etc/ca-certificates/cert.pem",
];

/// A file that a parameter names, or the default one, which may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileSource {
    Named(PathBuf),
    Default(PathBuf),
    /// No default, as there is no home folder.
    None,
}

impl FileSource {
    /// The file that a parameter names, or `default` in `~/.postgresql`.
    pub(crate) fn new(named: Option<&str>, default: &str) -> Self {
        match (named, environment::home()) {
            (Some(path), _) => Self::Named(path.into()),
            (None, Some(home)) => Self::Default(home.join(".postgresql").join(default)),
            (None, None) => Self::None,
        }
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Named(path) | Self::Default(path) => Some(path),
            Self::None => None,
        }
    }

    /// The path, if the file exists.
    pub(crate) fn existing(&self) -> Option<&Path> {
        self.path().filter(|path| path.exists())
    }

    pub(crate) fn is_named(&self) -> bool {
        matches!(self, Self::Named(_))
    }
}

fn wrong(message: String, hint: impl Into<String>) -> Error {
    Error::new(Kind::Configuration, message).hint(hint)
}

fn read(what: &str, parameter: &str, path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|cause| {
        let message = format!("cannot read the {what} `{}`: {cause}", path.display());
        wrong(message, format!("correct `{parameter}` in the shard's URL, or make that file readable"))
    })
}

/// All certificates of a file; an error if there is none.
pub(crate) fn certificates(what: &str, parameter: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let bytes = read(what, parameter, path)?;
    let certificates = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    certificates.ok().filter(|certificates| !certificates.is_empty()).ok_or_else(|| {
        let message = format!("the {what} `{}` holds no certificate in PEM form", path.display());
        wrong(message, format!("set `{parameter}` to a file with `-----BEGIN CERTIFICATE-----`"))
    })
}

/// The path of the system's bundle of trusted authorities.
pub(crate) fn system_bundle() -> Result<PathBuf> {
    let named = environment::variable("SSL_CERT_FILE").map(PathBuf::from);
    named.or_else(|| SYSTEM_BUNDLES.iter().map(PathBuf::from).find(|path| path.exists())).ok_or_else(|| {
        wrong(
            "the system's root certificates were not found".into(),
            "install ca-certificates, or set SSL_CERT_FILE or `sslrootcert` to a file",
        )
    })
}

/// The key of the client's certificate. It must be readable for its owner only, and not encrypted.
pub(crate) fn key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    let shown = path.display();
    if let Ok(found) = fs::metadata(path) {
        // libpq's rule: a key of root may be readable for its group.
        let (open_to, allowed) = if found.uid() == 0 { (0o037, "0640") } else { (0o077, "0600") };
        if found.mode() & open_to != 0 {
            let message = format!("the private key file `{shown}` has group or world access");
            return Err(wrong(message, format!("chmod {allowed} {shown}")));
        }
    }
    let bytes = read("private key", "sslkey", path)?;
    let text = String::from_utf8_lossy(&bytes);
    if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
        let message = format!("the private key `{shown}` is encrypted, which ringshard does not support");
        return Err(wrong(message, format!("openssl pkey -in {shown} -out NEW, and set `sslkey` to NEW")));
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| {
        let message = format!("the private key `{shown}` is not in PEM form (PKCS#8, PKCS#1 or SEC1)");
        wrong(message, "correct `sslkey` in the shard's URL")
    })
}
