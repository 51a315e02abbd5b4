//! An address as a URL without the password, which psql accepts as printed.

use std::fmt::Write as _;

use super::{Endpoint, PORT_DEFAULT};
use crate::pg::net::location::{Location, host_and_port};
use crate::pg::net::parameters::Parameters;

/// The parameters that are shown, each with the default at which it is not.
const SHOWN: [(&str, &str); 14] = [
    ("sslmode", "prefer"),
    ("sslrootcert", ""),
    ("sslcert", ""),
    ("sslkey", ""),
    ("sslcertmode", "allow"),
    ("ssl_min_protocol_version", "TLSv1.2"),
    ("ssl_max_protocol_version", ""),
    ("sslnegotiation", "postgres"),
    ("sslsni", "1"),
    ("channel_binding", "prefer"),
    ("target_session_attrs", "any"),
    ("load_balance_hosts", "disable"),
    ("options", ""),
    ("passfile", ""),
];

/// `postgresql://USER@HOST:PORT,HOST:PORT/DATABASE?…`; sockets are parameters after the `?`.
pub(crate) fn url(endpoints: &[Endpoint], parameters: &Parameters) -> String {
    let config = &endpoints[0].config;
    let mut out = String::from("postgresql://");
    if let Some(user) = config.get_user() {
        let _ = write!(out, "{}@", percent_encode(user));
    }
    let hosts: Vec<(String, u16)> = endpoints.iter().map(parts).collect();
    let mut query = Vec::new();
    let join = |items: Vec<String>| items.join(",");
    if endpoints.iter().any(|endpoint| endpoint.location.is_socket()) {
        query.push(format!("host={}", join(hosts.iter().map(|(host, _)| percent_encode(host)).collect())));
        if hosts.iter().any(|(_, port)| *port != PORT_DEFAULT) {
            query.push(format!("port={}", join(hosts.iter().map(|(_, port)| port.to_string()).collect())));
        }
    } else {
        out.push_str(&join(hosts.iter().map(|(host, port)| encoded_endpoint(host, *port)).collect()));
    }
    if let (Some(addresses), Some(_)) = (parameters.get("hostaddr"), parameters.get("host")) {
        query.push(format!("hostaddr={addresses}"));
    }
    let _ = write!(out, "/{}", percent_encode(config.get_dbname().unwrap_or_default()));
    for (keyword, default) in SHOWN {
        if let Some(value) = parameters.get(keyword).filter(|value| *value != default) {
            query.push(format!("{keyword}={}", percent_encode(value)));
        }
    }
    if !query.is_empty() {
        let _ = write!(out, "?{}", query.join("&"));
    }
    out
}

fn parts(endpoint: &Endpoint) -> (String, u16) {
    match &endpoint.location {
        Location::Network { host, port, .. } => (host.clone(), *port),
        Location::Socket { folder, port } => (folder.to_string_lossy().into_owned(), *port),
    }
}

fn encoded_endpoint(host: &str, port: u16) -> String {
    // In brackets, a colon stands for itself.
    host_and_port(&percent_encode(host).replace('/', "%2F").replace("%3A", ":"), port)
}

pub(crate) fn percent_encode(text: &str) -> String {
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
