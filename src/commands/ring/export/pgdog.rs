//! The shards as a configuration of `PgDog`, which asks a shard for the owner of each key.
//!
//! Its documentation (docs.pgdog.dev, "Sharded tables") has the sections; `lookup_query` with `lookup_result = "shard"`, of version
//! 0.1.52, is documented in pgdog-config/src/sharding.rs. `PgDog` numbers its shards from 0 without gaps.

use std::fmt::Write as _;

use super::Exported;
use crate::error::Result;
use crate::model::json;
use crate::model::table::KeyType;

const HEAD: &str = include_str!("pgdog.toml");

/// The text of `pgdog.toml`. Fails for a shard on a Unix socket, which `PgDog` does not connect to.
pub(super) fn write(exported: &Exported) -> Result<String> {
    let mut text =
        HEAD.replace("@EPOCH@", &exported.epoch.to_string()).replace("@CLUSTER@", &exported.cluster);
    for (at, shard) in exported.shards.iter().enumerate() {
        let endpoints = shard.address.hosts_and_ports(&shard.name, "PgDog")?;
        let role = if endpoints.len() > 1 { "auto" } else { "primary" };
        for (host, port) in endpoints {
            let _ = write!(
                text,
                "\n# {}\n[[databases]]\nname = \"ringshard\"\nhost = {}\nport = {port}\nrole = \"{role}\"\nshard = {at}\n\
                 database_name = {}\nuser = {}\n",
                shard.name,
                json::string(&host),
                json::string(shard.address.database()),
                json::string(shard.address.user()),
            );
        }
    }
    let numbers: Vec<String> = exported.shards.iter().map(|shard| shard.number.to_string()).collect();
    for (table, key) in exported.tables.sharded() {
        let (schema, name) = table.parts();
        let data_type = match key.of {
            KeyType::Smallint | KeyType::Integer | KeyType::Bigint => "bigint",
            KeyType::Text | KeyType::Varchar => "varchar",
            KeyType::Uuid => "uuid",
        };
        let _ = write!(
            text,
            "\n[[sharded_tables]]\ndatabase = \"ringshard\"\nschema = {}\nname = {}\ncolumn = {}\ndata_type = \"{data_type}\"\n\
             lookup_query = \"SELECT array_position(ARRAY[{}], ringshard.shard_number($1::{})) - 1\"\n\
             lookup_result = \"shard\"\n",
            json::string(&schema),
            json::string(&name),
            json::string(&key.column),
            numbers.join(", "),
            key.of.as_sql(),
        );
    }
    Ok(text)
}
