//! `ring export`: the ring for other programs, as data or as a module of one file that looks owners up.
//!
//! A template of `export/` has `@NAME@` where the ring comes in.

mod pgdog;
mod plproxy;

use clap::builder::{EnumValueParser, TypedValueParser as _};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::freshest;
use crate::commands::{AnyFormat, Context};
use crate::error::{Error, Kind, Result};
use crate::model::json;
use crate::model::names::ShardName;
use crate::model::report::{Document, Report};
use crate::model::ring::position::Position;
use crate::model::ring::topology::ShardNumber;
use crate::model::table::Tables;
use crate::pg::net::conninfo::Address;

/// What the ring is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Data: shards, ranges, and some keys with their owners.
    Json,
    /// A module for Python 3.9 or later.
    Python,
    /// A module of Common JS for Node.
    Javascript,
    /// A package `ring`.
    Go,
    /// A class `Ring`, for Java 16 or later.
    Java,
    /// A module that needs the crate `md-5`.
    Rust,
    /// A file of C99 that needs libm.
    C,
    /// SQL for a proxy database of PL/Proxy.
    Plproxy,
    /// A pgdog.toml.
    Pgdog,
}

/// The arguments of `ring export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// What the ring is written as
    // In the place of the global option of this name, which has other values.
    #[arg(short = 'o', long, value_name = "FORMAT", required = true,
          value_parser = EnumValueParser::<ExportFormat>::new().map(AnyFormat::Ring))]
    pub(crate) format: AnyFormat,
}

/// The keys whose owners are among the data, so that a program can check its own lookup.
const VECTORS: [&str; 12] = [
    "",
    "0",
    "1",
    "42",
    "373",
    "-1",
    "9223372036854775807",
    "-9223372036854775808",
    "alice@example.com",
    "6f9619ff-8b86-d011-b42d-00c04fc964ff",
    "Zürich 東京 🦀",
    "a key that is longer than one block of MD5, which has sixty-four bytes, of which eight are for the length",
];
/// How many keys from 1 on are among them.
const VECTOR_IDS: u32 = 200;
impl ExportArgs {
    /// Writes the ring in force. A change that is planned or under way leads to another one, which a warning says.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let AnyFormat::Ring(format) = self.format else {
            unreachable!("the parser of the option gives no other");
        };
        let mut report = Report::list(&[]);
        let cluster = context.cluster()?;
        let view = freshest(&cluster, &mut report)?;
        if view.change.is_some() {
            let message = "a rebalance is under way; its end puts another ring in force";
            let warning = Error::new(Kind::Partial, message);
            report.warnings.push(warning.hint("ringshard rebalance completes it; then write the ring again"));
        }
        let number =
            |name: &ShardName| view.topology.number(name).expect("the ring has the shards of the topology");
        let mut shards = Vec::new();
        for name in view.topology.names() {
            shards.push(ExportedShard::new(name, number(name), cluster.shards().address(name)?));
        }
        if matches!(format, ExportFormat::Plproxy | ExportFormat::Pgdog) {
            // During a change a shard may send a key to one that joins.
            let goal = view.goal();
            for name in goal.names().filter(|name| view.topology.number(name).is_none()) {
                let number = goal.number(name).expect("a topology numbers its shards");
                shards.push(ExportedShard::new(name, number, cluster.shards().address(name)?));
            }
            shards.sort_by_key(|shard| shard.number);
        }
        let ranges = view.ring().arcs().iter().map(|owned| (owned.arc.last(), number(owned.shard))).collect();
        let exported = Exported {
            cluster: cluster.id().map(|id| id.to_string()).unwrap_or_default(),
            epoch: view.epoch.number(),
            virtual_nodes: view.topology.virtual_nodes(),
            shards,
            ranges,
            tables: view.topology.tables().clone(),
        };
        report.document = Some(Document::Text(exported.write(format)?));
        Ok(report)
    }
}

/// A shard for other programs.
#[derive(Debug, Serialize)]
struct ExportedShard {
    number: ShardNumber,
    name: ShardName,
    /// Without a password.
    url: String,
    /// The same as keywords of libpq.
    #[serde(skip)]
    keywords: Vec<(&'static str, String)>,
    #[serde(skip)]
    address: Address,
}

impl ExportedShard {
    fn new(name: &ShardName, number: ShardNumber, address: Address) -> Self {
        Self {
            number,
            name: name.clone(),
            url: address.shown().to_owned(),
            keywords: address.keywords(),
            address,
        }
    }
}

/// The ring for other programs.
#[derive(Debug)]
struct Exported {
    cluster: String,
    epoch: i64,
    virtual_nodes: u32,
    shards: Vec<ExportedShard>,
    /// The last position of each range, and the number of its owner.
    ranges: Vec<(Position, ShardNumber)>,
    tables: Tables,
}

impl Exported {
    fn write(&self, format: ExportFormat) -> Result<String> {
        let Some(template) = Template::of(format) else {
            return match format {
                ExportFormat::Plproxy => Ok(plproxy::write(self)),
                ExportFormat::Pgdog => pgdog::write(self),
                _ => Ok(self.json()),
            };
        };
        let shard = |of: &ExportedShard| {
            (template.shard)(of.number, &json::string(of.name.as_str()), &json::string(&of.url))
        };
        let shards: String = self.shards.iter().map(shard).collect();
        let parts = template.ranges.iter().map(|part| (part.name, part.write(&self.ranges)));
        // The URLs come last, as they could have such a name in them.
        let common =
            [("CLUSTER", self.cluster.clone()), ("EPOCH", self.epoch.to_string()), ("SHARDS", shards)];
        let put = |text: String, (name, part): (&str, String)| text.replace(&format!("@{name}@"), &part);
        Ok(parts.chain(common).fold(template.text.to_owned(), put))
    }

    /// As an object: the ranges as pairs, and keys with their hashes and owners by which a program can check its own lookup.
    fn json(&self) -> String {
        let ranges: Vec<(String, ShardNumber)> =
            self.ranges.iter().map(|(last, owner)| (hex(*last), *owner)).collect();
        let ids = (1..=VECTOR_IDS).map(|id| id.to_string());
        let keys = VECTORS.iter().map(|key| (*key).to_owned()).chain(ids);
        let vectors: Vec<serde_json::Value> = keys
            .map(|key| {
                let position = Position::of_key(&key);
                let at = self.ranges.partition_point(|(last, _)| *last < position);
                serde_json::json!({ "key": key, "hash": hex(position), "number": self.ranges[at].1 })
            })
            .collect();
        let whole = serde_json::json!({
            "cluster": self.cluster, "epoch": self.epoch, "hash": "md5", "virtual_nodes": self.virtual_nodes,
            "shards": self.shards, "ranges": ranges, "vectors": vectors,
        });
        whole.to_string() + "\n"
    }
}

/// How the ring stands in a language.
struct Template {
    text: &'static str,
    /// A shard: its number, and its name and URL as literals.
    shard: fn(ShardNumber, &str, &str) -> String,
    ranges: Vec<RangeLines>,
}

/// What a template has of the ranges, in lines of some ranges each.
struct RangeLines {
    name: &'static str,
    per_line: usize,
    begin: &'static str,
    separator: &'static str,
    end: &'static str,
    /// A range: its last position, and the number of its owner.
    range: fn(Position, ShardNumber) -> String,
}

impl RangeLines {
    /// The last positions in quotes, one a line; and beside them the owners.
    const fn lasts(begin: &'static str) -> Self {
        let range = |last: Position, _| format!("\"{}\"", hex(last));
        Self { name: "LAST", per_line: 1, begin, separator: "", end: ",\n", range }
    }

    const fn owners(begin: &'static str) -> Self {
        let range = |_, owner: ShardNumber| owner.to_string();
        Self { name: "OWNER", per_line: 20, begin, separator: ", ", end: ",\n", range }
    }

    /// Both, one range a line.
    const fn both(range: fn(Position, ShardNumber) -> String) -> Self {
        Self { name: "RING", per_line: 1, begin: "    ", separator: "", end: ",\n", range }
    }

    fn write(&self, ranges: &[(Position, ShardNumber)]) -> String {
        let line = |ranges: &[(Position, ShardNumber)]| {
            let each: Vec<String> = ranges.iter().map(|(last, owner)| (self.range)(*last, *owner)).collect();
            format!("{}{}{}", self.begin, each.join(self.separator), self.end)
        };
        ranges.chunks(self.per_line).map(line).collect()
    }
}

impl Template {
    /// `None`: the format is no language.
    fn of(format: ExportFormat) -> Option<Self> {
        Some(match format {
            ExportFormat::Json | ExportFormat::Plproxy | ExportFormat::Pgdog => return None,
            ExportFormat::Python => Self {
                text: include_str!("export/ring.py"),
                shard: |number, name, url| format!("    {number}: ({name}, {url}),\n"),
                ranges: vec![RangeLines::lasts("    "), RangeLines::owners("    ")],
            },
            ExportFormat::Javascript => Self {
                text: include_str!("export/ring.js"),
                shard: |number, name, url| format!("  [{number}, {{ name: {name}, url: {url} }}],\n"),
                ranges: vec![RangeLines::lasts("  "), RangeLines::owners("  ")],
            },
            ExportFormat::Go => Self {
                text: include_str!("export/ring.go"),
                shard: |number, name, url| format!("\t{number}: {{{name}, {url}}},\n"),
                ranges: vec![RangeLines::lasts("\t\t"), RangeLines::owners("\t\t")],
            },
            ExportFormat::Java => Self {
                text: include_str!("export/Ring.java"),
                shard: |number, name, url| {
                    format!("        SHARDS.put({number}, new Shard({name}, {url}));\n")
                },
                // A constant may have 65,535 bytes.
                ranges: vec![RangeLines {
                    name: "RANGES",
                    per_line: 500,
                    begin: "        \"",
                    separator: " ",
                    end: "\",\n",
                    range: |last, owner| format!("{}={owner}", hex(last)),
                }],
            },
            ExportFormat::Rust => Self {
                text: include_str!("export/ring.rust"),
                shard: |number, name, url| format!("    ({number}, {name}, {url}),\n"),
                ranges: vec![RangeLines::both(|last, owner| format!("(0x{}, {owner})", hex(last)))],
            },
            ExportFormat::C => Self {
                text: include_str!("export/ring.c"),
                shard: |number, name, url| format!("    {{{number}, {name}, {url}}},\n"),
                ranges: vec![RangeLines::both(|last, owner| {
                    let (high, low) = (last.number() >> 64, last.number() & u128::from(u64::MAX));
                    format!("{{0x{high:016x}, 0x{low:016x}, {owner}}}")
                })],
            },
        })
    }
}

/// A position in 32 hexadecimal digits, whose order is that of the positions.
fn hex(position: Position) -> String {
    format!("{:032x}", position.number())
}
