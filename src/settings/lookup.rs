//! Looks settings up in the environment and in the configuration file.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::ValueEnum;

use super::file::{ConfigFile, ShardEntry};
use super::{Origin, Sourced, value_name};
use crate::error::{Error, Kind, Result};
use crate::model::names::ShardName;
use crate::pg::net::conninfo::ConnectionString;

/// A variable that is set and not empty. One that is not UTF-8 is an error, because it must not be ignored.
pub(super) fn variable(name: &str) -> Result<Option<String>> {
    match env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => {
            Err(Error::new(Kind::Configuration, format!("`{name}` in the environment is not UTF-8"))
                .hint(format!("set {name} again, or unset it")))
        }
    }
}

pub(super) fn path_variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The shards, their direct URLs, and the replicas of each.
pub(super) type Shards = (
    Vec<(ShardName, Sourced<ConnectionString>)>,
    BTreeMap<ShardName, ConnectionString>,
    BTreeMap<ShardName, Vec<ConnectionString>>,
);

/// Looks settings up: variables first, then the file.
pub(super) struct Lookup<'a> {
    pub(super) file: &'a ConfigFile,
    pub(super) path: &'a Path,
}

impl Lookup<'_> {
    fn text(&self, variable_name: &'static str, key: &str) -> Result<Option<Sourced<String>>> {
        if let Some(value) = variable(variable_name)? {
            return Ok(Some(Sourced::new(value, Origin::Variable(variable_name))));
        }
        let text = self.file.text(key)?;
        Ok(text.map(|text| Sourced::new(text, Origin::File(self.path.to_owned()))))
    }

    fn wrong(&self, name: &str, key: &str, origin: &Origin, why: &str) -> Error {
        let (setting, place) = match origin {
            Origin::Variable(_) => (name, "the environment".to_owned()),
            _ => (key, self.path.display().to_string()),
        };
        Error::new(Kind::Configuration, format!("`{setting}` in {place} is wrong: {why}"))
            .hint(format!("correct `{setting}` in {place}, or remove it"))
    }

    /// `what`: what the value must be.
    pub(super) fn parsed<T: FromStr>(
        &self,
        name: &'static str,
        key: &str,
        what: &str,
    ) -> Result<Option<Sourced<T>>> {
        let Some(Sourced { value, origin }) = self.text(name, key)? else { return Ok(None) };
        let why = format!("`{value}` is not {what}");
        let value = value.parse().map_err(|_| self.wrong(name, key, &origin, &why))?;
        Ok(Some(Sourced::new(value, origin)))
    }

    pub(super) fn choice<T: ValueEnum>(&self, name: &'static str, key: &str) -> Result<Option<Sourced<T>>> {
        let Some(Sourced { value, origin }) = self.text(name, key)? else { return Ok(None) };
        let value = T::from_str(&value, false).map_err(|_| {
            let names: Vec<String> = T::value_variants().iter().map(value_name).collect();
            self.wrong(name, key, &origin, &format!("`{value}` is not one of {}", names.join(", ")))
        })?;
        Ok(Some(Sourced::new(value, origin)))
    }

    pub(super) fn number(
        &self,
        name: &'static str,
        key: &str,
        range: std::ops::RangeInclusive<u32>,
    ) -> Result<Option<Sourced<u32>>> {
        let Some(Sourced { value, origin }) = self.text(name, key)? else { return Ok(None) };
        let number = value.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
            let why = format!("`{value}` is not a whole number from {} to {}", range.start(), range.end());
            self.wrong(name, key, &origin, &why)
        })?;
        Ok(Some(Sourced::new(number, origin)))
    }

    pub(super) fn path(&self, name: &'static str, key: &str) -> Result<Option<Sourced<PathBuf>>> {
        if let Some(path) = path_variable(name) {
            return Ok(Some(Sourced::new(path, Origin::Variable(name))));
        }
        let path = self.file.text(key)?;
        Ok(path.map(|path| Sourced::new(path.into(), Origin::File(self.path.to_owned()))))
    }

    /// `RINGSHARD_SHARDS` ("NAME=URL NAME=URL …") instead of the file's shards.
    pub(super) fn shards(&self) -> Result<Shards> {
        const NAME: &str = "RINGSHARD_SHARDS";
        let Some(text) = variable(NAME)? else {
            let (mut shards, mut direct_urls, mut replicas) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
            for ShardEntry { name, url, direct_url, replicas: of_shard } in self.file.shards()? {
                shards.push((name.clone(), Sourced::new(url, Origin::File(self.path.to_owned()))));
                direct_urls.extend(direct_url.map(|url| (name.clone(), url)));
                replicas.insert(name, of_shard);
            }
            return Ok((shards, direct_urls, replicas));
        };
        let origin = Origin::Variable(NAME);
        let wrong = |why: &str| self.wrong(NAME, "", &origin, why);
        let mut shards: Vec<(ShardName, Sourced<ConnectionString>)> = Vec::new();
        for pair in text.split_whitespace() {
            let (name, url) = pair
                .split_once('=')
                .filter(|(_, url)| !url.is_empty())
                .ok_or_else(|| wrong("it is not a list of NAME=URL, separated by spaces"))?;
            let name: ShardName = name.parse().map_err(|why: String| wrong(&why))?;
            if shards.iter().any(|(other, _)| *other == name) {
                return Err(wrong(&format!("`{name}` is named twice")));
            }
            shards.push((name, Sourced::new(ConnectionString::new(url), origin.clone())));
        }
        Ok((shards, BTreeMap::new(), BTreeMap::new()))
    }
}
