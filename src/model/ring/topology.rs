//! The topology: the shards with their weights, and the number of virtual nodes.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Ring;
use crate::model::names::{ClusterId, ShardName};
use crate::model::table::Tables;

/// The default number of virtual nodes of a shard with weight 1.
pub const VIRTUAL_NODES_DEFAULT: u32 = 100;
/// The most virtual nodes of a shard with weight 1.
pub const VIRTUAL_NODES_MAX: u32 = 10_000;
/// The most shards of a cluster.
pub const SHARDS_MAX: usize = 1_000;

/// The number of a shard, 1 to [`SHARD_NUMBER_MAX`]: a part of each id that the shard makes, so no other shard of the cluster ever
/// has it, also after this one is removed.
pub type ShardNumber = i32;
/// The highest number of a shard: ids have ten bits for it.
pub const SHARD_NUMBER_MAX: ShardNumber = 1_023;

/// Grows by one with each change of the topology; 0 is a guess that no shard has confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Epoch(i64);

impl Epoch {
    /// The epoch of a guessed topology.
    pub const GUESSED: Self = Self(0);
    /// The epoch after `init-shards`.
    pub const FIRST: Self = Self(1);

    /// The epoch with this number.
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// The next epoch.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The epoch as Postgres stores it.
    pub const fn number(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The share of the ring that a shard gets, as a multiple of a shard with weight 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Weight(f64);

impl Weight {
    /// The default weight.
    pub const ONE: Self = Self(1.0);

    /// The weight as a number, 0.01 to 100.
    pub const fn number(self) -> f64 {
        self.0
    }

    /// Virtual nodes of a shard of this weight: `round(virtual_nodes × weight)`, at least one.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 1,000,000")]
    pub fn virtual_nodes(self, of_weight_one: u32) -> u32 {
        ((f64::from(of_weight_one) * self.0).round() as u32).max(1)
    }
}

impl TryFrom<f64> for Weight {
    type Error = String;

    fn try_from(number: f64) -> Result<Self, String> {
        if (0.01..=100.0).contains(&number) {
            Ok(Self(number))
        } else {
            Err("a weight is a number from 0.01 to 100".into())
        }
    }
}

impl From<Weight> for f64 {
    fn from(weight: Weight) -> Self {
        weight.0
    }
}

impl FromStr for Weight {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<f64>()
            .map_err(|_| "a weight is a number from 0.01 to 100".into())
            .and_then(Self::try_from)
    }
}

/// One shard of a topology.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShardSpec {
    /// Its name, which its virtual nodes are hashed from.
    pub name: ShardName,
    /// Its weight.
    pub weight: Weight,
}

/// The hash that makes positions; stored so that another one can be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hash {
    /// MD5, as in the Python prototype.
    Md5,
}

/// Shards, weights and virtual nodes: everything that determines the ring; the numbers of the shards; and the tables whose rows lie
/// on the ring. Shards are never empty; names are unique and sorted; numbers are unique.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", into = "Unchecked")]
pub struct Topology {
    virtual_nodes: u32,
    shards: Vec<ShardSpec>,
    /// Parallel to `shards`.
    numbers: Vec<ShardNumber>,
    tables: Tables,
}

#[derive(Serialize, Deserialize)]
struct Unchecked {
    hash: Hash,
    virtual_nodes: u32,
    shards: Vec<ShardSpec>,
    /// Missing if each shard has the number of its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    numbers: Option<Vec<ShardNumber>>,
    #[serde(default, skip_serializing_if = "Tables::is_default")]
    tables: Tables,
}

impl TryFrom<Unchecked> for Topology {
    type Error = String;

    fn try_from(raw: Unchecked) -> Result<Self, String> {
        let numbers = raw.numbers.unwrap_or_else(|| (1..).take(raw.shards.len()).collect());
        if numbers.len() != raw.shards.len() {
            return Err(format!("{} shards have {} numbers", raw.shards.len(), numbers.len()));
        }
        Self::numbered(raw.virtual_nodes, raw.shards.into_iter().zip(numbers).collect(), raw.tables)
    }
}

impl From<Topology> for Unchecked {
    fn from(topology: Topology) -> Self {
        let Topology { virtual_nodes, shards, numbers, tables } = topology;
        let numbers = Some(numbers).filter(|numbers| !numbers.iter().copied().eq((1..).take(numbers.len())));
        Self { hash: Hash::Md5, virtual_nodes, shards, numbers, tables }
    }
}

impl Topology {
    /// A topology of these shards, in any order, numbered by their names, and of the table `users`; fails with the reason if it is
    /// not valid.
    pub fn new(virtual_nodes: u32, mut shards: Vec<ShardSpec>) -> Result<Self, String> {
        shards.sort_by(|a, b| a.name.cmp(&b.name));
        Self::numbered(virtual_nodes, shards.into_iter().zip(1..).collect(), Tables::default())
    }

    fn numbered(
        virtual_nodes: u32,
        mut shards: Vec<(ShardSpec, ShardNumber)>,
        tables: Tables,
    ) -> Result<Self, String> {
        if virtual_nodes == 0 || virtual_nodes > VIRTUAL_NODES_MAX {
            return Err(format!("virtual nodes are 1 to {VIRTUAL_NODES_MAX} a shard, not {virtual_nodes}"));
        }
        if shards.is_empty() || shards.len() > SHARDS_MAX {
            return Err(format!("a cluster has 1 to {SHARDS_MAX} shards, not {}", shards.len()));
        }
        shards.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        let (shards, numbers): (Vec<ShardSpec>, Vec<ShardNumber>) = shards.into_iter().unzip();
        if let Some(twice) = shards.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(format!("shard `{}` is named twice", twice[0].name));
        }
        if let Some(bad) = numbers.iter().find(|number| !(1..=SHARD_NUMBER_MAX).contains(number)) {
            return Err(format!(
                "a shard has a number from 1 to {SHARD_NUMBER_MAX}, never used before, and not {bad}"
            ));
        }
        if numbers.iter().collect::<BTreeSet<_>>().len() < numbers.len() {
            return Err("two shards have the same number".into());
        }
        Ok(Self { virtual_nodes, shards, numbers, tables })
    }

    /// A topology of shards of weight 1.
    pub fn of_equals(virtual_nodes: u32, names: impl IntoIterator<Item = ShardName>) -> Result<Self, String> {
        let names: BTreeSet<ShardName> = names.into_iter().collect();
        Self::new(
            virtual_nodes,
            names.into_iter().map(|name| ShardSpec { name, weight: Weight::ONE }).collect(),
        )
    }

    /// Virtual nodes of a shard of weight 1.
    pub fn virtual_nodes(&self) -> u32 {
        self.virtual_nodes
    }

    /// The shards, sorted by name.
    pub fn shards(&self) -> &[ShardSpec] {
        &self.shards
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &ShardName> {
        self.shards.iter().map(|shard| &shard.name)
    }

    /// The shard of this name.
    pub fn shard(&self, name: &ShardName) -> Option<&ShardSpec> {
        self.shards.iter().find(|shard| shard.name == *name)
    }

    /// The tables.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// With these tables.
    #[must_use]
    pub fn with_tables(self, tables: Tables) -> Self {
        Self { tables, ..self }
    }

    /// Whether the ring is the same, whatever the tables.
    pub fn has_ring_of(&self, other: &Self) -> bool {
        (self.virtual_nodes, &self.shards) == (other.virtual_nodes, &other.shards)
    }

    /// The number of a shard.
    pub fn number(&self, name: &ShardName) -> Option<ShardNumber> {
        self.numbers_of_shards().find(|(shard, _)| shard.name == *name).map(|(_, number)| number)
    }

    /// The highest number of its shards.
    pub fn highest_number(&self) -> ShardNumber {
        self.numbers.iter().copied().max().expect("a topology has a shard")
    }

    fn numbers_of_shards(&self) -> impl Iterator<Item = (&ShardSpec, ShardNumber)> {
        self.shards.iter().zip(self.numbers.iter().copied())
    }

    /// With another shard, which gets the next number, or with another weight of an existing one.
    pub fn with(&self, spec: ShardSpec) -> Result<Self, String> {
        let number = self.number(&spec.name).unwrap_or(self.highest_number() + 1);
        self.with_number(spec, number)
    }

    /// With another shard, which has this number, or with another weight of an existing one.
    pub fn with_number(&self, spec: ShardSpec, number: ShardNumber) -> Result<Self, String> {
        let others = self.numbers_of_shards().filter(|(other, _)| other.name != spec.name);
        let others: Vec<_> = others.map(|(other, number)| (other.clone(), number)).collect();
        Self::numbered(self.virtual_nodes, [others, vec![(spec, number)]].concat(), self.tables.clone())
    }

    /// Without a shard; fails with the reason if no shard is left.
    pub fn without(&self, name: &ShardName) -> Result<Self, String> {
        let others = self.numbers_of_shards().filter(|(other, _)| other.name != *name);
        let others = others.map(|(other, number)| (other.clone(), number)).collect();
        Self::numbered(self.virtual_nodes, others, self.tables.clone())
    }

    /// The ring that this topology makes.
    pub fn ring(&self) -> Ring {
        Ring::new(
            self.shards
                .iter()
                .map(|shard| (shard.name.clone(), shard.weight.virtual_nodes(self.virtual_nodes))),
        )
    }
}

/// The id of a cluster, and its topology in force with the epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Membership {
    /// The cluster.
    pub cluster: ClusterId,
    /// The epoch of the topology.
    pub epoch: Epoch,
    /// The topology in force.
    pub topology: Topology,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, weight: f64) -> ShardSpec {
        ShardSpec { name: name.parse().unwrap(), weight: weight.try_into().unwrap() }
    }

    #[test]
    fn weights_round_and_never_vanish() {
        for (weight, points) in [(1.0, 100), (0.5, 50), (2.0, 200), (0.014, 1), (0.016, 2), (0.025, 3)] {
            assert_eq!(Weight::try_from(weight).unwrap().virtual_nodes(100), points, "{weight}");
        }
        assert_eq!(Weight::try_from(0.01).unwrap().virtual_nodes(1), 1);
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 100.5] {
            assert!(Weight::try_from(bad).is_err());
        }
    }

    #[test]
    fn a_topology_is_checked_when_made_and_when_read() {
        assert!(Topology::new(100, vec![]).is_err());
        assert!(Topology::new(0, vec![spec("a", 1.0)]).is_err());
        assert!(Topology::new(100, vec![spec("a", 1.0), spec("a", 2.0)]).is_err());
        let topology = Topology::new(100, vec![spec("b", 2.0), spec("a", 0.5)]).unwrap();
        let text = serde_json::to_string(&topology).unwrap();
        assert_eq!(
            text,
            r#"{"hash":"md5","virtual_nodes":100,"shards":[{"name":"a","weight":0.5},{"name":"b","weight":2.0}]}"#
        );
        assert_eq!(serde_json::from_str::<Topology>(&text).unwrap(), topology);
        assert!(serde_json::from_str::<Topology>(&text.replace("md5", "sha")).is_err());
        assert!(serde_json::from_str::<Topology>(&text.replace("\"b\"", "\"a\"")).is_err());
        assert!(serde_json::from_str::<Topology>(&text.replace("2.0", "-2.0")).is_err());
    }

    #[test]
    fn a_shard_keeps_its_number_whatever_joins_leaves_or_weighs() {
        let numbers = |topology: &Topology| -> Vec<(String, ShardNumber)> {
            topology.names().map(|name| (name.to_string(), topology.number(name).unwrap())).collect()
        };
        let expected = |all: &[(&str, ShardNumber)]| -> Vec<(String, ShardNumber)> {
            all.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
        };
        let three = Topology::new(1, ["d", "b", "f"].map(|name| spec(name, 1.0)).to_vec()).unwrap();
        assert_eq!(numbers(&three), expected(&[("b", 1), ("d", 2), ("f", 3)]));
        let four = three.with(spec("a", 1.0)).unwrap().with(spec("d", 2.0)).unwrap();
        assert_eq!(numbers(&four), expected(&[("a", 4), ("b", 1), ("d", 2), ("f", 3)]));
        let three = four.without(&"b".parse().unwrap()).unwrap();
        assert_eq!(numbers(&three), expected(&[("a", 4), ("d", 2), ("f", 3)]));
        let again = three.with_number(spec("b", 1.0), 9).unwrap();
        assert_eq!(numbers(&again), expected(&[("a", 4), ("b", 9), ("d", 2), ("f", 3)]));
        assert!(again.has_ring_of(&four.with(spec("b", 1.0)).unwrap()));
        assert_eq!(again.highest_number(), 9);

        let text = serde_json::to_string(&again).unwrap();
        assert!(text.ends_with(r#"{"name":"f","weight":1.0}],"numbers":[4,9,2,3]}"#), "{text}");
        assert_eq!(serde_json::from_str::<Topology>(&text).unwrap(), again);
        for bad in ["[4,9,2]", "[4,9,2,2]", "[4,9,2,0]", "[4,9,2,1024]"] {
            assert!(serde_json::from_str::<Topology>(&text.replace("[4,9,2,3]", bad)).is_err(), "{bad}");
        }
        assert!(again.with_number(spec("g", 1.0), SHARD_NUMBER_MAX).unwrap().with(spec("h", 1.0)).is_err());
    }
}
