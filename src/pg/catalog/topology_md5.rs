//! The digest by which a client and a shard know that they have the same topology.

use std::fmt::Write as _;

use serde_json::Value;
use uuid::Uuid;

use crate::model::ring::position::Position;
use crate::model::ring::topology::Topology;

/// Identifies a topology in the catalog: the MD5 of its text as Postgres writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopologyMd5(pub Uuid);

impl TopologyMd5 {
    /// Of this topology. Where the catalog has the same, it has the same topology: so a topology that was read from a cache may
    /// be relied on if a shard compares this. (If the text differed from that of Postgres, the comparison would only fail.)
    pub fn of(topology: &Topology) -> Option<Self> {
        let mut text = String::new();
        write_jsonb(&serde_json::to_value(topology).ok()?, &mut text);
        Some(Self(Position::of_key(&text).into()))
    }
}

/// Writes the text of a `jsonb`: short keys first, and a space after each comma and colon (`JsonbToCString` and
/// `lengthCompareJsonbStringValue` in PostgreSQL's `jsonb.c` and `jsonb_util.c`).
fn write_jsonb(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| (name.len(), *name));
            out.push('{');
            for (at, (name, value)) in fields.into_iter().enumerate() {
                let comma = if at == 0 { "" } else { ", " };
                let _ = write!(out, "{comma}{}: ", Value::from(name.as_str()));
                write_jsonb(value, out);
            }
            out.push('}');
        }
        Value::Array(values) => {
            out.push('[');
            for (at, value) in values.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { ", " });
                write_jsonb(value, out);
            }
            out.push(']');
        }
        scalar => {
            let _ = write!(out, "{scalar}");
        }
    }
}
