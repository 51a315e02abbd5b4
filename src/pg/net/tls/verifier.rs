//! Verifies a server's certificate as libpq does.
//!
//! Follows 34.19.1 of the PostgreSQL documentation. webpki, which rustls uses, is stricter than OpenSSL in three ways, and
//! certificates made after 18.9.5 of that documentation fail all three: webpki refuses an authority's certificate as the
//! server's own, ignores the common name, and does not parse X.509 version 1, which has no extensions. All three are
//! accepted here, as libpq accepts them. The signature of the handshake is always verified: the server must have the key of
//! its certificate.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{AlgorithmIdentifier, CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::{Certificate, Version};

/// The subject attribute that names the host in certificates without alternative names.
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// The trusted root certificates.
#[derive(Debug)]
pub(crate) struct Roots {
    store: RootCertStore,
    /// The same certificates as in the file: a server may have one of them as its own.
    certificates: Vec<CertificateDer<'static>>,
}

impl Roots {
    pub(crate) fn new(certificates: Vec<CertificateDer<'static>>) -> Self {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(certificates.iter().cloned());
        Self { store, certificates }
    }
}

/// What of a certificate is verified.
#[derive(Debug)]
pub(crate) struct Verifier {
    pub(crate) provider: Arc<CryptoProvider>,
    /// `None`: nothing is verified, as for `sslmode=require` without a root certificate.
    pub(crate) roots: Option<Roots>,
    /// Whether the certificate must be for the host.
    pub(crate) checks_name: bool,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(roots) = &self.roots else { return Ok(ServerCertVerified::assertion()) };
        if roots.certificates.iter().any(|root| root == own) {
            verify_dates(own, now)?;
        } else {
            self.verify_chain(roots, own, intermediates, now).map_err(|cause| {
                if is_own_issuer(own) { CertificateError::UnknownIssuer.into() } else { cause }
            })?;
        }
        if self.checks_name {
            verify_name(own, host)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if is_version_1(own) {
            return self.verify_signature_with_bare_key(message, own, signed);
        }
        verify_tls12_signature(message, own, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        if is_version_1(own) {
            let key = public_key(own).ok_or(CertificateError::BadEncoding)?;
            return verify_tls13_signature_with_raw_key(message, &key.as_slice().into(), signed, algorithms);
        }
        verify_tls13_signature(message, own, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl Verifier {
    fn verify_chain(
        &self,
        roots: &Roots,
        own: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        if is_version_1(own) {
            verify_dates(own, now)?;
            return self.verify_signed_by_root(roots, own);
        }
        let algorithms = self.provider.signature_verification_algorithms.all;
        let parsed = ParsedCertificate::try_from(own)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots.store, intermediates, now, algorithms)
    }

    /// Verifies a certificate of X.509 version 1, of which only the signature can be checked: a root must have made it.
    fn verify_signed_by_root(&self, roots: &Roots, own: &CertificateDer<'_>) -> Result<(), Error> {
        let own = decode(own)?;
        let (Ok(message), Some(signature), Ok(algorithm)) =
            (own.tbs_certificate.to_der(), own.signature.as_bytes(), own.signature_algorithm.to_der())
        else {
            return Err(CertificateError::BadEncoding.into());
        };
        let is_signed_by = |root: &Certificate| {
            let key = &root.tbs_certificate.subject_public_key_info;
            let (Ok(key_algorithm), Some(key)) = (key.algorithm.to_der(), key.subject_public_key.as_bytes())
            else {
                return false;
            };
            root.tbs_certificate.subject == own.tbs_certificate.issuer
                && self.provider.signature_verification_algorithms.all.iter().any(|known| {
                    is_same(&algorithm, known.signature_alg_id())
                        && is_same(&key_algorithm, known.public_key_alg_id())
                        && known.verify_signature(key, &message, signature).is_ok()
                })
        };
        if roots.certificates.iter().filter_map(|root| decode(root).ok()).any(|root| is_signed_by(&root)) {
            Ok(())
        } else {
            Err(CertificateError::UnknownIssuer.into())
        }
    }

    /// Verifies a TLS 1.2 handshake with the key of a certificate that webpki does not parse.
    fn verify_signature_with_bare_key(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = decode(own)?.tbs_certificate.subject_public_key_info;
        let (Ok(key_algorithm), Some(key)) = (key.algorithm.to_der(), key.subject_public_key.as_bytes())
        else {
            return Err(CertificateError::BadEncoding.into());
        };
        let mapping = self.provider.signature_verification_algorithms.mapping;
        let fitting = mapping.iter().filter(|(scheme, _)| *scheme == signed.scheme);
        let is_valid = fitting.flat_map(|(_, algorithms)| algorithms.iter()).any(|known| {
            is_same(&key_algorithm, known.public_key_alg_id())
                && known.verify_signature(key, message, signed.signature()).is_ok()
        });
        if is_valid {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(CertificateError::BadSignature.into())
        }
    }
}

/// The public key of a certificate, with its algorithm.
pub(crate) fn public_key(own: &CertificateDer<'_>) -> Option<Vec<u8>> {
    decode(own).ok()?.tbs_certificate.subject_public_key_info.to_der().ok()
}

fn is_version_1(own: &CertificateDer<'_>) -> bool {
    decode(own).is_ok_and(|own| own.tbs_certificate.version == Version::V1)
}

/// Whether a DER sequence is this algorithm, whose bytes lack the header of the sequence.
fn is_same(sequence: &[u8], algorithm: AlgorithmIdentifier) -> bool {
    match sequence {
        [0x30, length, rest @ ..] => usize::from(*length) == rest.len() && rest == algorithm.as_ref(),
        _ => false,
    }
}

fn decode(own: &CertificateDer<'_>) -> Result<Certificate, Error> {
    Certificate::from_der(own).map_err(|_| CertificateError::BadEncoding.into())
}

/// Whether a certificate is self-issued. webpki reports another error for such a certificate.
fn is_own_issuer(own: &CertificateDer<'_>) -> bool {
    decode(own).is_ok_and(|own| own.tbs_certificate.issuer == own.tbs_certificate.subject)
}

fn verify_dates(own: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let validity = decode(own)?.tbs_certificate.validity;
    let not_before = UnixTime::since_unix_epoch(validity.not_before.to_unix_duration());
    let not_after = UnixTime::since_unix_epoch(validity.not_after.to_unix_duration());
    if now < not_before {
        return Err(CertificateError::NotValidYetContext { time: now, not_before }.into());
    }
    if now > not_after {
        return Err(CertificateError::ExpiredContext { time: now, not_after }.into());
    }
    Ok(())
}

/// Checks the alternative names; the common name counts only if there are none.
fn verify_name(own: &CertificateDer<'_>, host: &ServerName<'_>) -> Result<(), Error> {
    let parsed = ParsedCertificate::try_from(own);
    let refused = match parsed.and_then(|parsed| verify_server_name(&parsed, host)) {
        Ok(()) => return Ok(()),
        Err(refused) => refused,
    };
    let certificate = decode(own)?.tbs_certificate;
    let alternatives = certificate.get::<SubjectAltName>().map_err(|_| CertificateError::BadEncoding)?;
    let names_hosts = alternatives.is_some_and(|(_, names)| {
        names.0.iter().any(|name| matches!(name, GeneralName::DnsName(_) | GeneralName::IpAddress(_)))
    });
    if names_hosts {
        return Err(refused);
    }
    let attributes = certificate.subject.0.iter().flat_map(|relative| relative.0.iter());
    let common_names: Vec<String> = attributes
        .filter(|attribute| attribute.oid == COMMON_NAME)
        .filter_map(|attribute| String::from_utf8(attribute.value.value().to_vec()).ok())
        .collect();
    if common_names.iter().any(|name| matches_host(name, host)) {
        return Ok(());
    }
    let expected = host.to_owned();
    Err(CertificateError::NotValidForNameContext { expected, presented: common_names }.into())
}

/// Whether a common name matches a host. `*.` matches exactly one label, and never a part of an IP address.
fn matches_host(name: &str, host: &ServerName<'_>) -> bool {
    let text = host.to_str();
    if name.eq_ignore_ascii_case(&text) {
        return true;
    }
    let ServerName::DnsName(_) = host else { return false };
    match (name.strip_prefix("*."), text.split_once('.')) {
        (Some(domain), Some((label, rest))) => {
            domain.contains('.') && !label.is_empty() && domain.eq_ignore_ascii_case(rest)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_common_name_matches_a_host_or_one_label_below_it() {
        for (name, host, fits) in [
            ("db.example.com", "DB.example.com", true),
            ("*.example.com", "db.example.com", true),
            ("*.example.com", "a.db.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.com", "example.com", false),
            ("*", "localhost", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("*.0.0.1", "127.0.0.1", false),
            ("example.com", "example.com.evil.net", false),
        ] {
            assert_eq!(matches_host(name, &ServerName::try_from(host).unwrap()), fits, "{name} {host}");
        }
    }
}
