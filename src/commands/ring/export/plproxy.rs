//! The ring as SQL for a proxy database of PL/Proxy.
//!
//! Its manual (doc/config.md, "Cluster configuration API") says which functions it calls, and that the number of partitions is a
//! power of two unless `modular_mapping` is on, which versions before 2.10 do not have.

use super::{Exported, hex};
use crate::model::ring::topology::ShardNumber;

/// The SQL, which replaces that of an earlier run in one transaction.
pub(super) fn write(exported: &Exported) -> String {
    let ring: Vec<String> =
        exported.ranges.iter().map(|(last, number)| format!("    ('{}', {number})", hex(*last))).collect();
    let numbers = exported.shards.iter().map(|shard| shard.number);
    let count = u32::try_from(numbers.max().unwrap_or(0) + 1).unwrap_or(1).next_power_of_two();
    let partitions: Vec<String> = (0..ShardNumber::try_from(count).unwrap_or(ShardNumber::MAX))
        .map(|number| {
            // An unused number leads to the first shard.
            let shard = exported.shards.iter().find(|shard| shard.number == number);
            let shard = shard.or_else(|| exported.shards.first());
            let connection = shard.map_or_else(String::new, |shard| connection(&shard.keywords));
            format!("    ({number}, '{}')", connection.replace('\'', "''"))
        })
        .collect();
    // The connections come last, as they could have such a name in them.
    include_str!("plproxy.sql")
        .replace("@EPOCH@", &exported.epoch.to_string())
        .replace("@CLUSTER@", &exported.cluster)
        .replace("@RING@", &ring.join(",\n"))
        .replace("@PARTITIONS@", &partitions.join(",\n"))
}

/// A connection string of libpq: PL/Proxy looks for `user=` in it, which a URL does not have.
fn connection(keywords: &[(&'static str, String)]) -> String {
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('\'', "\\'");
    let pairs: Vec<String> =
        keywords.iter().map(|(keyword, value)| format!("{keyword}='{}'", escaped(value))).collect();
    pairs.join(" ")
}

#[cfg(test)]
mod tests {
    use super::connection;

    #[test]
    fn a_value_is_quoted_as_libpq_reads_it() {
        let keywords = [("user", r"o'b\n".to_owned()), ("host", "/run/x y".to_owned())];
        assert_eq!(connection(&keywords), r"user='o\'b\\n' host='/run/x y'");
    }
}
