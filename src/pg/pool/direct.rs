//! Connections outside the pools: to a shard, and to the server itself where a shard's URL leads to a connection pooler.

use super::Shards;
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::pg::net::conninfo::{Address, ConnectionString};
use crate::pg::net::session::Session;
use crate::pg::net::sqlstate;

impl Shards {
    /// Sets the URL of a shard's server itself, where its own URL leads to a connection pooler.
    pub fn set_direct_url(&self, name: &ShardName, url: &ConnectionString) -> Result<()> {
        let address = self.resolve(name, url)?;
        let _ = self.shard(name)?.direct.set(address);
        Ok(())
    }

    /// How to reach the server of a shard itself: by its direct URL if it has one.
    pub(crate) fn direct_address(&self, name: &ShardName) -> Result<Address> {
        let shard = self.shard(name)?;
        Ok(shard.direct.get().unwrap_or(&shard.address).clone())
    }

    /// A connection outside the pool, for a caller that keeps it for long or changes its settings.
    pub(crate) fn connect_unpooled(&self, name: &ShardName) -> Result<Session> {
        let shard = self.shard(name)?;
        self.connect(&shard)
    }

    /// A connection outside the pool to the server itself, for work whose locks and settings outlive a transaction: its backend
    /// serves nobody else. Fails with `Configuration` if there is a connection pooler, and no direct URL leads around it.
    pub(crate) fn connect_direct(&self, name: &ShardName) -> Result<Session> {
        let shard = self.shard(name)?;
        let direct = shard.direct.get();
        let mut session = match direct {
            Some(address) => Session::connect(name, address)?,
            None => self.connect(&shard)?,
        };
        let is_own = session.has_own_backend();
        if is_own.map_err(|cause| sqlstate::doing("prepare a connection", name, &cause))? {
            return Ok(session);
        }
        let (message, hint) = match direct {
            Some(_) => {
                (format!("`direct_url` of shard `{name}` leads to a connection pooler, too"), "set it to")
            }
            None => (
                format!(
                    "shard `{name}` is reached through a connection pooler, and this needs a session of its own: it \
                     has no `direct_url`"
                ),
                "add `direct_url = \"postgresql://USER@HOST/DATABASE\"` there, with",
            ),
        };
        Err(Error::new(Kind::Configuration, message)
            .hint(format!("ringshard config show names the file of [shards.{name}]; {hint} the address of the server itself"))
            .on_shard(name))
    }
}
