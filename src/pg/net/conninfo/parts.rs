//! The parts of an address for the configuration of other programs: never a password.

use super::Address;
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::pg::net::location::Location;
use crate::pg::net::parameters::Parameters;

impl Address {
    /// The keywords of libpq that its URL has, without a password.
    pub fn keywords(&self) -> Vec<(&'static str, String)> {
        let parameters = Parameters::parse(self.shown()).unwrap_or_default();
        let all = parameters.all().filter(|(keyword, _)| *keyword != "password");
        all.map(|(keyword, value)| (keyword, value.to_owned())).collect()
    }

    /// Its hosts, or their IP addresses where they are given, with their ports. Fails with `Configuration` if one is a Unix socket,
    /// or a name that no host has; `program` is what would connect to `shard`.
    pub fn hosts_and_ports(&self, shard: &ShardName, program: &str) -> Result<Vec<(String, u16)>> {
        let hint = "ringshard config show tells where the URL is from; give it a host, as `postgresql://USER@HOST/DATABASE`";
        let wrong = |why: String| Error::new(Kind::Configuration, why).on_shard(shard).hint(hint);
        let host_and_port = |location: &Location| match location {
            Location::Socket { .. } => Err(wrong(format!(
                "`{shard}` is at the Unix socket `{location}`, and {program} needs a host and a port"
            ))),
            Location::Network { address: Some(address), port, .. } => Ok((address.to_string(), *port)),
            Location::Network { host, port, .. } => {
                let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_:%".contains(c);
                if host.chars().all(is_plain) {
                    Ok((host.clone(), *port))
                } else {
                    Err(wrong(format!(
                        "`{shard}` is at `{}`, which is no name of a host",
                        host.escape_debug()
                    )))
                }
            }
        };
        self.endpoints.iter().map(|endpoint| host_and_port(&endpoint.location)).collect()
    }
}
