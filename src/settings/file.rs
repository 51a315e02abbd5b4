//! `ringshard.toml`: read, and edited in place with its comments kept.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item, Table, TableLike, value};

use crate::error::{Error, Kind, Result};
use crate::files::{self, atomic};
use crate::model::names::{ClusterId, ShardName};
use crate::pg::net::conninfo::ConnectionString;

/// The header of a new file.
const HEADER: &str = "\
# How ringshard reaches its shards. `ringshard config show` prints the settings in force and their origins.
# URLs may hold passwords: keep this file to yourself (mode 0600), or use ~/.pgpass instead.
";

/// The top-level keys of the file.
const KEYS: [&str; 14] = [
    "cluster",
    "shards",
    "format",
    "color",
    "log_file",
    "connect_timeout_ms",
    "statement_timeout_ms",
    "pool_size",
    "read_replica",
    "access",
    "standbys",
    "standby_timeout_ms",
    "pg_bin",
    "local_home",
];

/// A shard in the file.
#[derive(Debug)]
pub(super) struct ShardEntry {
    pub(super) name: ShardName,
    pub(super) url: ConnectionString,
    pub(super) direct_url: Option<ConnectionString>,
    pub(super) replicas: Vec<ConnectionString>,
}

/// A configuration file. A missing file counts as empty.
#[derive(Debug, Default)]
pub(super) struct ConfigFile {
    document: DocumentMut,
    path: PathBuf,
}

impl ConfigFile {
    /// Reads a file, if it exists.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == ErrorKind::NotFound => String::new(),
            Err(cause) => {
                let kind = files::kind_of(&cause, Kind::Configuration);
                return Err(Error::new(kind, format!("cannot read `{}`: {cause}", path.display()))
                    .hint("name another file with --config"));
            }
        };
        let document: DocumentMut = text.parse().map_err(|cause: toml_edit::TomlError| {
            // The parser's full message quotes the line, which may hold a password: only its place is reported.
            let line =
                cause.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
            Error::new(Kind::Configuration, format!("{}:{line}: {}", path.display(), cause.message()))
                .hint("correct that line; strings need double quotes")
        })?;
        let file = Self { document, path: path.to_owned() };
        if let Some((key, _)) = file.document.iter().find(|(key, _)| !KEYS.contains(key)) {
            return Err(file.wrong(key, "unknown setting", &format!("the settings are {}", KEYS.join(", "))));
        }
        Ok(file)
    }

    /// Reads a file and changes it, while other processes are locked out.
    pub(super) fn edit<T>(path: &Path, change: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        // The folder is locked, because the file is replaced. If the folder cannot be locked, or does not exist, the
        // change itself fails or creates it.
        let lock = File::open(atomic::folder_of(path)).ok();
        if let Some(lock) = &lock {
            let _ = lock.lock();
        }
        change(&mut Self::read(path)?)
    }

    fn wrong(&self, key: &str, why: &str, hint: &str) -> Error {
        Error::new(Kind::Configuration, format!("{}: `{key}`: {why}", self.path.display())).hint(hint)
    }

    /// The text of a setting; a number counts as text.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>> {
        let Some(item) = self.document.get(key) else { return Ok(None) };
        let text = item.as_str().map(ToOwned::to_owned).or_else(|| item.as_integer().map(|n| n.to_string()));
        text.map(Some).ok_or_else(|| {
            self.wrong(key, "neither a string nor a whole number", "write it as `key = \"value\"`")
        })
    }

    /// The shards of `[shards.NAME]`, in order.
    pub(super) fn shards(&self) -> Result<Vec<ShardEntry>> {
        let Some(item) = self.document.get("shards") else { return Ok(Vec::new()) };
        let example = "write it as\n  [shards.shard_1]\n  url = \"postgresql://USER@HOST/DATABASE\"";
        let table =
            item.as_table_like().ok_or_else(|| self.wrong("shards", "not a table of shards", example))?;
        let mut shards = Vec::new();
        for (name, item) in table.iter() {
            let key = format!("shards.{name}");
            let shard: ShardName = name.parse().map_err(|why: String| self.wrong(&key, &why, example))?;
            let fields = item.as_table_like().ok_or_else(|| self.wrong(&key, "not a table", example))?;
            let is_known = |field| ["url", "direct_url", "replicas"].contains(&field);
            if let Some((other, _)) = fields.iter().find(|(field, _)| !is_known(field)) {
                return Err(self.wrong(&format!("{key}.{other}"), "unknown setting of a shard", example));
            }
            let url = fields
                .get("url")
                .and_then(Item::as_str)
                .ok_or_else(|| self.wrong(&key, "`url` is missing", example))?;
            let direct_url = match fields.get("direct_url") {
                None => None,
                Some(item) => Some(ConnectionString::new(item.as_str().ok_or_else(|| {
                    let example = "write it as `direct_url = \"postgresql://USER@HOST/DATABASE\"`";
                    self.wrong(&format!("{key}.direct_url"), "not a URL", example)
                })?)),
            };
            let replicas = match fields.get("replicas") {
                None => Vec::new(),
                Some(item) => self.replicas(&format!("{key}.replicas"), item)?,
            };
            shards.push(ShardEntry { name: shard, url: ConnectionString::new(url), direct_url, replicas });
        }
        Ok(shards)
    }

    fn replicas(&self, key: &str, item: &Item) -> Result<Vec<ConnectionString>> {
        let urls: Option<Vec<&str>> =
            item.as_array().and_then(|list| list.iter().map(toml_edit::Value::as_str).collect());
        let example = "write it as `replicas = [\"postgresql://USER@HOST/DATABASE\"]`";
        let urls = urls.ok_or_else(|| self.wrong(key, "not a list of URLs", example))?;
        Ok(urls.into_iter().map(ConnectionString::new).collect())
    }

    /// Writes the addresses of a shard and its replicas, and keeps everything else, but for the direct URL of another server.
    pub(super) fn set_places(
        &mut self,
        name: &ShardName,
        url: &ConnectionString,
        replicas: &[ConnectionString],
    ) -> Result<()> {
        let fields = self.set_url(name, url);
        if replicas.is_empty() {
            fields.remove("replicas");
        } else {
            let list: toml_edit::Array = replicas.iter().map(ConnectionString::expose).collect();
            fields.insert("replicas", value(list));
        }
        self.write()
    }

    /// Writes the cluster and its shards, and keeps everything else.
    pub(super) fn set_cluster(
        &mut self,
        cluster: ClusterId,
        shards: &[(ShardName, ConnectionString)],
        local_home: Option<&str>,
    ) -> Result<()> {
        if self.document.iter().next().is_none() {
            // In a file without keys, comments would end up behind the first key.
            let comments = self.document.trailing().as_str().unwrap_or_default().to_owned();
            let above = if comments.trim().is_empty() { HEADER } else { &comments };
            self.document.set_trailing("");
            self.document["cluster"] = value(cluster.to_string());
            if let Some(mut key) = self.document.key_mut("cluster") {
                key.leaf_decor_mut().set_prefix(above);
            }
        } else {
            set_text(&mut self.document["cluster"], &cluster.to_string());
        }
        if let Some(home) = local_home {
            set_text(&mut self.document["local_home"], home);
        }
        for (name, url) in shards {
            self.set_url(name, url);
        }
        self.write()
    }

    /// Writes the direct URL of a shard that is in the file, and keeps everything else.
    pub(super) fn set_direct_url(&mut self, name: &ShardName, url: &ConnectionString) -> Result<()> {
        let shards = self.document.get_mut("shards").and_then(Item::as_table_like_mut);
        let shard = shards.and_then(|shards| shards.get_mut(name.as_str()));
        if let Some(fields) = shard.and_then(Item::as_table_like_mut) {
            set_text(fields.entry("direct_url").or_insert(Item::None), url.expose());
        }
        self.write()
    }

    /// Sets the URL of a shard, which is added if it is new, and returns its table.
    fn set_url(&mut self, name: &ShardName, url: &ConnectionString) -> &mut dyn TableLike {
        let table = self.document.entry("shards").or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        });
        let table = table.as_table_like_mut().expect("`shards` was read as a table");
        let entry = table.entry(name.as_str()).or_insert_with(|| Item::Table(Table::new()));
        let fields = entry.as_table_like_mut().expect("a shard was read as a table");
        let before = fields.get("url").and_then(Item::as_str);
        if before.is_some_and(|before| before != url.expose()) {
            fields.remove("direct_url");
        }
        set_text(fields.entry("url").or_insert(Item::None), url.expose());
        fields
    }

    /// Removes a shard, and keeps everything else. Returns whether it was in the file.
    pub(super) fn remove_shard(&mut self, name: &ShardName) -> Result<bool> {
        let table = self.document.get_mut("shards").and_then(Item::as_table_like_mut);
        if table.is_none_or(|table| table.remove(name.as_str()).is_none()) {
            return Ok(false);
        }
        self.write().map(|()| true)
    }

    /// Replaces the file atomically. A new one has mode 0600.
    fn write(&self) -> Result<()> {
        let fail = |cause: std::io::Error| {
            let kind = files::kind_of(&cause, Kind::Configuration);
            Error::new(kind, format!("cannot write `{}`: {cause}", self.path.display()))
                .hint("name another file with --config")
        };
        let write = || {
            fs::create_dir_all(atomic::folder_of(&self.path))?;
            let (mut file, place) = atomic::create(&self.path, 0o600)?;
            file.write_all(self.document.to_string().as_bytes())?;
            file.sync_all()?;
            place.take(file)?;
            let target = fs::canonicalize(&self.path)?;
            File::open(atomic::folder_of(&target))?.sync_all()
        };
        write().map_err(fail)
    }
}

/// Sets a text, and keeps its comments; an equal text is not touched.
fn set_text(item: &mut Item, text: &str) {
    if item.as_str() == Some(text) {
        return;
    }
    match item.as_value_mut() {
        Some(old) => {
            let decor = old.decor().clone();
            *old = text.into();
            *old.decor_mut() = decor;
        }
        None => *item = value(text),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const CLUSTER: &str = "0d6fcd9b-6cbf-4f5e-9c8b-0123456789ab";

    fn shard(name: &str, url: &str) -> (ShardName, ConnectionString) {
        (name.parse().unwrap(), ConnectionString::new(url))
    }

    #[test]
    fn a_new_file_has_a_header_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/ringshard.toml");
        let mut file = ConfigFile::read(&path).unwrap();
        file.set_cluster(CLUSTER.parse().unwrap(), &[shard("a", "local:a"), shard("b", "local:b")], None)
            .unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let body = format!(
            "cluster = \"{CLUSTER}\"\n\n[shards.a]\nurl = \"local:a\"\n\n[shards.b]\nurl = \"local:b\"\n"
        );
        assert_eq!(text, format!("{HEADER}{body}"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(ConfigFile::read(&path).unwrap().shards().unwrap().len(), 2);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary files");
    }

    #[test]
    fn an_edit_keeps_comments_and_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        let before = "# mine\npool_size = 7 # small\n\n[shards.b] # the second\nurl = \"x\" # old\n";
        fs::write(&path, before).unwrap();
        let mut file = ConfigFile::read(&path).unwrap();
        file.set_cluster(CLUSTER.parse().unwrap(), &[shard("b", "y"), shard("c", "z")], None).unwrap();
        let after = fs::read_to_string(&path).unwrap();
        assert_eq!(
            after,
            format!(
                "# mine\npool_size = 7 # small\ncluster = \"{CLUSTER}\"\n\n[shards.b] # the second\nurl = \"y\" # old\n\n[shards.c]\nurl = \"z\"\n"
            )
        );
    }

    #[test]
    fn a_shard_is_removed_and_the_rest_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        fs::write(&path, "# mine\n\n[shards.a] # first\nurl = \"x\"\n\n[shards.b]\nurl = \"y\"\n").unwrap();
        let mut file = ConfigFile::read(&path).unwrap();
        assert!(file.remove_shard(&"b".parse().unwrap()).unwrap());
        assert!(!file.remove_shard(&"b".parse().unwrap()).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "# mine\n\n[shards.a] # first\nurl = \"x\"\n");
    }

    #[test]
    fn comments_of_a_file_without_keys_stay_above() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        fs::write(&path, "# my own\n\n# thoughts\n").unwrap();
        ConfigFile::read(&path)
            .unwrap()
            .set_cluster(CLUSTER.parse().unwrap(), &[shard("a", "x")], None)
            .unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# my own\n\n# thoughts\ncluster = "), "{text}");
    }

    #[test]
    fn mistakes_are_named_with_their_place_and_never_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        for (text, words) in [
            ("pool_size = 1\n\nurl = postgresql://u:hunter2@h", ":3:"),
            ("pool = 1", "`pool`: unknown setting"),
            ("[shards.x]\nurll = \"postgresql://u:hunter2@h\"", "`shards.x.urll`"),
            ("[shards.\"a b\"]\nurl = \"x\"", "`shards.a b`"),
            ("shards = 1", "not a table"),
        ] {
            fs::write(&path, text).unwrap();
            let error = ConfigFile::read(&path).and_then(|file| file.shards()).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
            assert_eq!(error.kind(), Kind::Configuration);
        }
    }
}
