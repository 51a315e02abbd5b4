//! A part of a `HAProxy` configuration: a port for each shard, which leads to its primary.
//!
//! The check is made of the messages of the PostgreSQL protocol (55.2 and 55.7 of its documentation): a startup packet, and the query
//! `SELECT pg_is_in_recovery()`, whose answer on a primary is the row `f`. `option pgsql-check` would let a standby pass.

use std::fmt::Write as _;

use crate::commands::ring::freshest;
use crate::error::Result;
use crate::model::report::{Document, Report};
use crate::pg::cluster::Cluster;
use crate::pg::net::location::host_and_port;

const HEAD: &str = include_str!("haproxy.cfg");
/// The role as which `HAProxy` asks a server whether it is a primary.
const ROLE: &str = "haproxy_check";
/// The port of a shard is this one and its number.
const FIRST_PORT: i32 = 15_000;

/// The part as a document. Fails for a shard on a Unix socket.
pub(super) fn report(cluster: &Cluster) -> Result<Report> {
    let mut report = Report::list(&[]);
    let view = freshest(cluster, &mut report)?;
    let mut text = HEAD.replace("@ROLE@", ROLE);
    for name in cluster.shards().names() {
        let Some(number) = view.topology.number(&name).or_else(|| view.goal().number(&name)) else {
            continue;
        };
        let address = cluster.shards().address(&name)?;
        let _ = write!(
            text,
            "\nlisten {name}\n    bind 127.0.0.1:{}\n    mode tcp\n    balance first\n    option tcp-check\n    tcp-check connect\n    \
             tcp-check send-binary {}\n    tcp-check send-binary {}\n    tcp-check expect binary {}\n    \
             default-server check inter 2s fall 2 rise 1 on-marked-down shutdown-sessions\n",
            FIRST_PORT + number,
            startup(address.database()),
            message(b'Q', b"SELECT pg_is_in_recovery()\0"),
            // A row of one column, which has one byte.
            message(b'D', &[0, 1, 0, 0, 0, 1, b'f']),
        );
        let replicas = cluster.shards().replica_addresses(&name);
        let servers = std::iter::once(("primary".to_owned(), address))
            .chain((1..).map(|at| format!("replica_{at}")).zip(replicas));
        for (of, address) in servers {
            let endpoints = address.hosts_and_ports(&name, "HAProxy")?;
            let is_alone = endpoints.len() == 1;
            for (at, (host, port)) in endpoints.into_iter().enumerate() {
                let of = if is_alone { of.clone() } else { format!("{of}_{}", at + 1) };
                let _ = writeln!(text, "    server {of} {}", host_and_port(&host, port));
            }
        }
    }
    report.document = Some(Document::Text(text));
    Ok(report)
}

/// The startup packet for a database in version 3.0 of the protocol, in hexadecimal digits.
fn startup(database: &str) -> String {
    let parameters = format!("user\0{ROLE}\0database\0{database}\0\0");
    let length = u32::try_from(parameters.len() + 8).unwrap_or(u32::MAX);
    hex(&length.to_be_bytes()) + &hex(&[0, 3, 0, 0]) + &hex(parameters.as_bytes())
}

/// A message of the protocol in hexadecimal digits.
fn message(of: u8, content: &[u8]) -> String {
    let length = u32::try_from(content.len() + 4).unwrap_or(u32::MAX);
    hex(&[of]) + &hex(&length.to_be_bytes()) + &hex(content)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{ROLE, hex, startup};

    #[test]
    fn the_startup_packet_has_its_length_the_version_and_the_parameters() {
        let sent = startup("d");
        assert_eq!(sent.len() / 2, 8 + "user".len() + 1 + ROLE.len() + 1 + "database".len() + 1 + 3);
        assert_eq!(sent[..16], format!("{:08x}00030000", sent.len() / 2));
        assert!(sent.ends_with(&hex(b"\0database\0d\0\0")));
    }
}
