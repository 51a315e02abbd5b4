//! Settings: flags, then `RINGSHARD_*`, then the file, then defaults; each with its origin.
//!
//! Missing parts of a URL (`PG*`, the password file) are added by `pg::net::conninfo`.

mod file;
mod lookup;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;

use crate::error::{Error, Kind, Result};
use crate::files::atomic::folder_of;
use crate::local::PrivateServer;
use crate::model::names::{ClusterId, ClusterName, ShardName};
use crate::pg::net::conninfo::ConnectionString;
use crate::pg::net::proxy_override::ProxyOverrides;
use crate::pg::pool::PoolOptions;
use crate::pg::pool::read_routing::ReadFrom;
use crate::pg::rebalance::STANDBY_PATIENCE;
use file::ConfigFile;
use lookup::{Lookup, path_variable};

/// The output format of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table on a terminal, else TSV without a header.
    Auto,
    /// A table.
    Table,
    /// One object, or an array of them.
    Json,
    /// One object per line.
    Jsonl,
    /// Comma-separated values (RFC 4180).
    Csv,
    /// Tab-separated values, with the escapes of COPY in Postgres.
    Tsv,
    /// A table of Markdown (GitHub's).
    Markdown,
}

impl Format {
    /// Whether errors are JSON too.
    pub fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Jsonl)
    }
}

/// Whether reads may go to replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReadReplica {
    /// If the primary cannot be reached.
    Auto,
    /// Never: a shard whose primary is down fails.
    Never,
    /// If the shard has a replica that answers.
    Always,
}

impl From<ReadReplica> for ReadFrom {
    fn from(read_replica: ReadReplica) -> Self {
        match read_replica {
            ReadReplica::Auto => Self::PrimaryThenReplica,
            ReadReplica::Never => Self::Primary,
            ReadReplica::Always => Self::ReplicaThenPrimary,
        }
    }
}

/// Whether a hand-over waits for the standbys of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StandbyPolicy {
    /// It counts only when all standbys that may take the shard over have it.
    Wait,
    /// It does not wait: a failover to one of them may lose rows.
    Ignore,
}

/// Which commands run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Access {
    /// All.
    ReadWrite,
    /// Only those that write nothing.
    ReadOnly,
}

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The origin of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A flag of the command line.
    Flag(&'static str),
    /// A variable of the environment.
    Variable(&'static str),
    /// The configuration file.
    File(PathBuf),
    /// The built-in value.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Variable(name) => f.write_str(name),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value and its origin.
#[derive(Debug, Clone)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Its origin.
    pub origin: Origin,
}

impl<T> Sourced<T> {
    fn new(value: T, origin: Origin) -> Self {
        Self { value, origin }
    }
}

/// The settings of the command line.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--cluster`.
    pub cluster: Option<ClusterName>,
    /// `--format`.
    pub format: Option<Format>,
    /// `--read-only`.
    pub access: Option<Access>,
    /// `--color`.
    pub color: Option<ColorWhen>,
    /// `--log-file`.
    pub log_file: Option<PathBuf>,
    /// `--read-replica`.
    pub read_replica: Option<ReadReplica>,
}

/// All settings in force.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The configuration file: the one found, or the one that `init-shards` would create.
    pub file: Sourced<PathBuf>,
    /// The name of the cluster, if its configuration was found by that.
    pub cluster_name: Option<ClusterName>,
    /// The folder that `RINGSHARD_HOME` names.
    pub home: Option<PathBuf>,
    /// The folder of the cache of the topology and of other state.
    pub state_folder: Option<PathBuf>,
    /// The cluster's id.
    pub cluster: Option<Sourced<ClusterId>>,
    /// The shards, as written.
    pub shards: Vec<(ShardName, Sourced<ConnectionString>)>,
    /// The direct URLs of shards whose URL leads to a connection pooler; from the file alone.
    pub direct_urls: BTreeMap<ShardName, ConnectionString>,
    /// The replicas of each shard, as written; from the file alone.
    pub replicas: BTreeMap<ShardName, Vec<ConnectionString>>,
    /// The timeout for connecting.
    pub connect_timeout: Sourced<Duration>,
    /// The most connections to one shard.
    pub pool_size: Sourced<u32>,
    /// How long a server may take for a statement about a few rows; zero for no limit.
    pub statement_timeout: Sourced<Duration>,
    /// Whether reads may go to replicas.
    pub read_replica: Sourced<ReadReplica>,
    /// Whether a hand-over waits for the standbys of a shard.
    pub standbys: Sourced<StandbyPolicy>,
    /// How long it waits before the rebalance pauses.
    pub standby_timeout: Sourced<Duration>,
    /// The home of the private server that `local:` names; from the file alone.
    pub local_home: Option<PathBuf>,
    /// The folder of Postgres's programs, for the private server.
    pub pg_bin: Option<Sourced<PathBuf>>,
    /// Which commands run.
    pub access: Sourced<Access>,
    /// The output format.
    pub format: Sourced<Format>,
    /// When colours are used.
    pub color: Sourced<ColorWhen>,
    /// The log file, instead of stderr.
    pub log_file: Option<Sourced<PathBuf>>,
}

impl Settings {
    /// Reads the settings from all origins.
    pub fn load(flags: &Flags) -> Result<Self> {
        let home = path_variable("RINGSHARD_HOME").map(std::path::absolute).transpose().map_err(|cause| {
            Error::new(Kind::Configuration, format!("`RINGSHARD_HOME` is not a folder: {cause}"))
                .hint("set RINGSHARD_HOME to a folder")
        })?;
        let place = find_file(flags, home.as_deref())?;
        let file = ConfigFile::read(&place.value)?;
        let lookup = Lookup { file: &file, path: &place.value };
        let format = lookup.choice("RINGSHARD_FORMAT", "format")?;
        let color = lookup.choice("RINGSHARD_COLOR", "color")?;
        let log_file = lookup.path("RINGSHARD_LOG_FILE", "log_file")?;
        let read_replica = lookup.choice("RINGSHARD_READ_REPLICA", "read_replica")?;
        let access = lookup.choice("RINGSHARD_ACCESS", "access")?;
        let (shards, direct_urls, replicas) = lookup.shards()?;
        Ok(Self {
            state_folder: match &home {
                Some(home) => Some(home.join("state")),
                None => xdg_folder("XDG_STATE_HOME", ".local/state").map(|folder| folder.join("ringshard")),
            },
            home,
            cluster_name: flags.cluster.clone().filter(|_| flags.config.is_none()),
            cluster: lookup.parsed("RINGSHARD_CLUSTER", "cluster", "a UUID")?,
            shards,
            direct_urls,
            replicas,
            connect_timeout: lookup
                .number("RINGSHARD_CONNECT_TIMEOUT_MS", "connect_timeout_ms", 1..=600_000)?
                .map_or(Sourced::new(Duration::from_secs(2), Origin::Default), |ms| {
                    Sourced::new(Duration::from_millis(ms.value.into()), ms.origin)
                }),
            statement_timeout: lookup
                .number("RINGSHARD_STATEMENT_TIMEOUT_MS", "statement_timeout_ms", 0..=3_600_000)?
                .map_or(Sourced::new(Duration::from_secs(30), Origin::Default), |ms| {
                    Sourced::new(Duration::from_millis(ms.value.into()), ms.origin)
                }),
            pool_size: lookup
                .number("RINGSHARD_POOL_SIZE", "pool_size", 1..=1_000)?
                .unwrap_or(Sourced::new(4, Origin::Default)),
            read_replica: flag_first(flags.read_replica, "--read-replica", read_replica, ReadReplica::Never),
            standbys: lookup
                .choice("RINGSHARD_STANDBYS", "standbys")?
                .unwrap_or(Sourced::new(StandbyPolicy::Wait, Origin::Default)),
            standby_timeout: lookup
                .number("RINGSHARD_STANDBY_TIMEOUT_MS", "standby_timeout_ms", 1..=3_600_000)?
                .map_or(Sourced::new(STANDBY_PATIENCE, Origin::Default), |ms| {
                    Sourced::new(Duration::from_millis(ms.value.into()), ms.origin)
                }),
            local_home: file.text("local_home")?.map(|home| folder_of(&place.value).join(home)),
            pg_bin: lookup.path("RINGSHARD_PG_BIN", "pg_bin")?,
            access: flag_first(flags.access, "--read-only", access, Access::ReadWrite),
            format: flag_first(flags.format, "--format", format, Format::Auto),
            color: flag_first(flags.color, "--color", color, ColorWhen::Auto),
            log_file: flags
                .log_file
                .clone()
                .map(|path| Sourced::new(path, Origin::Flag("--log-file")))
                .or(log_file),
            file: place,
        })
    }

    /// The history file of the REPL, if there is a state folder.
    pub fn history_file(&self) -> Option<PathBuf> {
        self.state_folder.as_ref().map(|folder| folder.join("history"))
    }

    /// The init file of the REPL, if there is a folder for it.
    pub fn init_file(&self) -> Option<PathBuf> {
        match &self.home {
            Some(home) => Some(home.join("init")),
            None => xdg_folder("XDG_CONFIG_HOME", ".config").map(|folder| folder.join("ringshard/init")),
        }
    }

    /// The private Postgres that `local:` names. If the file names the shards, it is the one of `local_home` or in the
    /// file's folder, if there is one: the home of another cluster does not have them.
    pub fn private_server(&self) -> Result<PrivateServer> {
        let is_of_file = |(_, url): &(_, Sourced<ConnectionString>)| {
            matches!(url.origin, Origin::File(_)) && url.value.local_database().is_some()
        };
        if self.shards.iter().any(is_of_file) {
            for home in self.homes_of_file() {
                let server = self.server_at(Some(home))?;
                // One that this user may not look at is reported by the command that needs it.
                if server.exists().unwrap_or(true) {
                    return Ok(server);
                }
            }
        }
        self.server_at(self.home.as_deref().or(self.local_home.as_deref()))
    }

    /// The private Postgres that the commands of `local` are about: that in `RINGSHARD_HOME`, if that is set.
    pub fn local_server(&self) -> Result<PrivateServer> {
        if self.home.is_some() { self.server_at(self.home.as_deref()) } else { self.private_server() }
    }

    /// Whether the file lies in this server's home, so that they cannot be moved apart.
    pub fn file_is_in_home_of(&self, server: &PrivateServer) -> Result<bool> {
        Ok(self.server_at(Some(folder_of(&self.file.value)))?.home() == server.home())
    }

    /// Where the file says that its private server is.
    fn homes_of_file(&self) -> impl Iterator<Item = &Path> {
        self.local_home.as_deref().into_iter().chain([folder_of(&self.file.value)])
    }

    fn server_at(&self, home: Option<&Path>) -> Result<PrivateServer> {
        PrivateServer::at(home, self.pg_bin.as_ref().map(|sourced| sourced.value.as_path()))
    }

    /// The options of the connection pools.
    pub fn pool_options(&self) -> PoolOptions {
        let limit = self.statement_timeout.value;
        PoolOptions {
            connect_timeout: self.connect_timeout.value,
            size: self.pool_size.value,
            statement_timeout: (!limit.is_zero()).then_some(limit),
        }
    }

    /// How long a hand-over waits for standbys; `None` if it does not.
    pub fn standby_patience(&self) -> Option<Duration> {
        (self.standbys.value == StandbyPolicy::Wait).then_some(self.standby_timeout.value)
    }

    /// The folder of proxy overrides, if there is a state folder.
    pub fn proxy_overrides(&self) -> Option<ProxyOverrides> {
        self.state_folder.as_deref().map(ProxyOverrides::in_folder)
    }

    /// Writes the cluster and its shards into the configuration file; keeps its comments, mode 0600. Also writes where the
    /// private server is, if a shard is on it and it is not in the folder of the file.
    pub fn write_cluster(&self, cluster: ClusterId, shards: &[(ShardName, ConnectionString)]) -> Result<()> {
        let mut local_home = None;
        if shards.iter().any(|(_, url)| url.local_database().is_some()) {
            let server = self.private_server()?;
            let is_inside = self.file_is_in_home_of(&server)?;
            local_home = server.home().to_str().filter(|_| !is_inside).map(ToOwned::to_owned);
        }
        ConfigFile::edit(&self.file.value, |file| file.set_cluster(cluster, shards, local_home.as_deref()))
    }

    /// Writes the addresses of a shard and its replicas into the configuration file; keeps its comments.
    pub fn write_places(
        &self,
        name: &ShardName,
        url: &ConnectionString,
        replicas: &[ConnectionString],
    ) -> Result<()> {
        ConfigFile::edit(&self.file.value, |file| file.set_places(name, url, replicas))
    }

    /// Writes the direct URL of a shard into the configuration file; keeps its comments.
    pub fn write_direct_url(&self, name: &ShardName, url: &ConnectionString) -> Result<()> {
        ConfigFile::edit(&self.file.value, |file| file.set_direct_url(name, url))
    }

    /// Removes a shard from the configuration file unless it belongs to the ring, which is checked while the file is
    /// locked: a process that adds a shard to the ring writes the file afterwards. Returns whether it belongs.
    pub fn forget_shard(&self, name: &ShardName, belongs: impl FnOnce() -> Result<bool>) -> Result<bool> {
        ConfigFile::edit(&self.file.value, |file| {
            let stays = belongs()?;
            if !stays {
                file.remove_shard(name)?;
            }
            Ok(stays)
        })
    }

    /// Whether the environment names the shards, and not the file.
    pub fn shards_are_from_environment(&self) -> bool {
        self.shards.iter().any(|(_, url)| matches!(url.origin, Origin::Variable(_)))
    }
}

/// The name of a value as it is written in settings and flags.
pub fn value_name(value: &impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn flag_first<T>(flag: Option<T>, name: &'static str, other: Option<Sourced<T>>, default: T) -> Sourced<T> {
    flag.map(|value| Sourced::new(value, Origin::Flag(name)))
        .or(other)
        .unwrap_or(Sourced::new(default, Origin::Default))
}

fn xdg_folder(name: &str, below_home: &str) -> Option<PathBuf> {
    path_variable(name)
        .filter(|folder| folder.is_absolute())
        .or_else(|| path_variable("HOME").map(|home| home.join(below_home)))
}

/// The configuration file in force; if there is none, the path of a new one.
fn find_file(flags: &Flags, home: Option<&Path>) -> Result<Sourced<PathBuf>> {
    if let Some(path) = &flags.config {
        return Ok(Sourced::new(path.clone(), Origin::Flag("--config")));
    }
    if let Some(name) = &flags.cluster {
        let folder = clusters_folder(home).ok_or_else(|| {
            Error::new(Kind::Configuration, "there is no folder of configurations: HOME is not set")
                .hint("set HOME or RINGSHARD_HOME")
        })?;
        return Ok(Sourced::new(folder.join(format!("{name}.toml")), Origin::Flag("--cluster")));
    }
    Ok(find_unnamed(home))
}

/// The folder with a configuration file for each named cluster.
fn clusters_folder(home: Option<&Path>) -> Option<PathBuf> {
    let shared = || xdg_folder("XDG_CONFIG_HOME", ".config").map(|folder| folder.join("ringshard"));
    home.map(Path::to_owned).or_else(shared).map(|folder| folder.join("clusters"))
}

/// The names of the clusters that have a configuration file of their own, in order.
pub fn cluster_names() -> Vec<ClusterName> {
    let folder = clusters_folder(path_variable("RINGSHARD_HOME").as_deref());
    let files = folder.and_then(|folder| folder.read_dir().ok()).into_iter().flatten().flatten();
    let name = |file: std::fs::DirEntry| file.file_name().to_str()?.strip_suffix(".toml")?.parse().ok();
    let mut names: Vec<ClusterName> = files.filter_map(name).collect();
    names.sort_unstable();
    names
}

fn find_unnamed(home: Option<&Path>) -> Sourced<PathBuf> {
    if let Some(path) = path_variable("RINGSHARD_CONFIG") {
        return Sourced::new(path, Origin::Variable("RINGSHARD_CONFIG"));
    }
    let here = PathBuf::from("ringshard.toml");
    if here.is_file() {
        return Sourced::new(here, Origin::Default);
    }
    if let Some(home) = home {
        return Sourced::new(home.join("ringshard.toml"), Origin::Variable("RINGSHARD_HOME"));
    }
    let shared = xdg_folder("XDG_CONFIG_HOME", ".config").map(|folder| folder.join("ringshard/config.toml"));
    Sourced::new(shared.filter(|path| path.is_file()).unwrap_or(here), Origin::Default)
}
