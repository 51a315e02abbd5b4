//! What holds of all shards together: one cluster, one epoch, one ring, one database each. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::check_shard::{RingArcs, lacks_arcs};
use super::check_table::{primary_key, table};
use super::collect::Facts;
use super::{ConfiguredBy, Verdict};
use crate::error::Result;
use crate::local::ServerStatus;
use crate::model::names::{ClusterId, ShardName};
use crate::model::ring::arc::{Arc, TilingFault, check_tiling};
use crate::model::table::TableName;
use crate::pg::catalog::{self, SelfDescription};
use crate::pg::pool::NO_PRIVATE_SERVER;

type Answers<'a> = &'a [(ShardName, Result<Facts>)];

/// All checks of the whole. `cluster` is the id that the configuration has, `configured_by` says where the shards stand.
pub(crate) fn checks(
    answers: Answers<'_>,
    cluster: Option<ClusterId>,
    configured_by: &ConfiguredBy,
    private: Option<&Result<ServerStatus>>,
    rings: &RingArcs,
) -> Vec<(&'static str, Verdict)> {
    let mut checks = Vec::new();
    if let Some(private) = private {
        checks.push(("private_postgres", private_postgres(private)));
    }
    // Only what a shard says of itself as itself counts.
    let known: Vec<(&ShardName, &Facts, &SelfDescription)> = answers
        .iter()
        .filter_map(|(name, facts)| {
            let facts = facts.as_ref().ok()?;
            let description = facts.description.as_ref()?.as_ref().ok()?;
            catalog::check_identity(name, &facts.address, cluster, description.identity()).ok()?;
            Some((name, facts, description))
        })
        .collect();
    checks.push(("databases", databases(answers)));
    checks.push(("tables", tables(answers)));
    if known.is_empty() {
        return checks;
    }
    checks.push(("cluster", one_cluster(&known)));
    checks.push(("members", participants(answers, &known, configured_by)));
    // Whatever the arcs of a server that was not compared yet are, it serves none of them.
    let unconfirmed =
        known.iter().find(|(_, facts, _)| facts.timeline.as_ref().is_ok_and(|it| !it.is_confirmed));
    let unless_unconfirmed = |verdict: Verdict| match unconfirmed {
        Some((name, ..)) if verdict.ok == Some(false) => {
            Verdict::unknown(format!("see `timeline` of `{name}`"))
        }
        _ => verdict,
    };
    checks.push(("epoch", unless_unconfirmed(epoch(&known))));
    let is_known = |name: &ShardName| known.iter().any(|(other, ..)| *other == name);
    let is_whole = newest(&known).ring.topology.names().all(is_known);
    checks.push((
        "ring",
        if is_whole {
            unless_unconfirmed(ring(&known, rings))
        } else {
            Verdict::unknown("not all shards answer for themselves")
        },
    ));
    checks
}

/// All shards must accept the same rows, or a move fails half-way.
fn tables(answers: Answers<'_>) -> Verdict {
    // Of each table: the first shard that has it, and what it is there.
    let mut known: BTreeMap<&TableName, (&ShardName, BTreeSet<&String>)> = BTreeMap::new();
    let mut answer = Verdict::unknown("no shard answers");
    for (shard, facts) in answers {
        let Ok(Ok(tables)) = facts.as_ref().map(|facts| facts.tables.as_ref()) else { continue };
        answer = Verdict::good("alike on all shards");
        for found in tables {
            let (name, Some(relation)) = (&found.table.name, &found.relation) else { continue };
            // Its own check names what is wrong.
            let is_other = found.table.is_prototype
                && facts.as_ref().is_ok_and(|facts| {
                    facts
                        .columns
                        .as_ref()
                        .is_ok_and(|columns| table(columns, &|sql| sql.into()).ok != Some(true))
                        || facts
                            .indexes
                            .as_ref()
                            .is_ok_and(|all| primary_key(all, &|sql| sql.into()).ok != Some(true))
                });
            if is_other {
                continue;
            }
            let definition: BTreeSet<&String> = relation.definition.iter().collect();
            let (first, expected) = known.entry(name).or_insert_with(|| (shard, definition.clone()));
            if let Some(other) = expected.symmetric_difference(&definition).next() {
                let (has, lacks) = if definition.contains(other) { (shard, *first) } else { (*first, shard) };
                return Verdict::bad(
                    format!("`{name}` of `{has}` has `{other}`, and that of `{lacks}` has not"),
                    format!("ALTER TABLE {} on `{lacks}` or `{has}`, so that both are alike", name.as_sql()),
                );
            }
        }
    }
    answer
}

fn private_postgres(status: &Result<ServerStatus>) -> Verdict {
    match status {
        Ok(status) if status.running => {
            Verdict::good(format!("Postgres {} runs", status.version.as_deref().unwrap_or("?")))
        }
        Ok(status) if status.data.is_dir() => Verdict::bad("it is not running", "ringshard local start"),
        Ok(status) => {
            Verdict::bad(format!("there is none in `{}`", status.data.display()), NO_PRIVATE_SERVER)
        }
        Err(error) => {
            Verdict::bad(error.message(), error.hint_text().unwrap_or("ringshard local status tells more"))
        }
    }
}

/// No database under two names.
fn databases(answers: Answers<'_>) -> Verdict {
    let mut seen: BTreeMap<&str, &ShardName> = BTreeMap::new();
    let mut duplicates = Vec::new();
    for (name, facts) in answers {
        let Some(identity) = facts.as_ref().ok().and_then(|facts| facts.identity.as_deref().ok()) else {
            continue;
        };
        if let Some(other) = seen.insert(identity, name) {
            duplicates.push(format!("`{other}` and `{name}` are one database"));
        }
    }
    if duplicates.is_empty() {
        Verdict::good(format!("{} of their own", seen.len()))
    } else {
        Verdict::bad(
            duplicates.join("; "),
            "give each shard a database of its own: ringshard config show names where each URL comes from",
        )
    }
}

type KnownShards<'a> = &'a [(&'a ShardName, &'a Facts, &'a SelfDescription)];

fn one_cluster(known: KnownShards<'_>) -> Verdict {
    let first = &known[0].2.cluster;
    match known.iter().find(|(.., description)| description.cluster != *first) {
        None => Verdict::good(first.to_string()),
        Some((name, _, description)) => Verdict::bad(
            format!("`{}` belongs to {first}, and `{name}` to {}", known[0].0, description.cluster),
            "correct the URLs: ringshard config show names where each comes from",
        ),
    }
}

/// What the newest catalog says of the cluster.
fn newest(known: KnownShards<'_>) -> &SelfDescription {
    known
        .iter()
        .map(|(.., description)| *description)
        .max_by_key(|description| description.ring.epoch)
        .expect("somebody answered")
}

/// The topology names the shards that the configuration has.
fn participants(answers: Answers<'_>, known: KnownShards<'_>, configured_by: &ConfiguredBy) -> Verdict {
    let description = newest(known);
    let configured = |name: &ShardName| answers.iter().any(|(other, _)| other == name);
    if let Some(missing) = description.ring.topology.names().find(|name| !configured(name)) {
        let url = description.endpoints.get(missing).map_or("postgresql://…", |place| place.url.as_str());
        return Verdict::bad(
            format!("`{missing}` is in the topology and not in the configuration"),
            match configured_by {
                ConfiguredBy::File(file) => {
                    format!("add the lines `[shards.{missing}]` and `url = \"{url}\"` to `{file}`")
                }
                ConfiguredBy::Variable(name) => format!("{name}=\"${name} {missing}={url}\""),
            },
        );
    }
    // One that is to join, or that takes part in a change, is none too many.
    let first = description.ring.topology.names().next();
    let requested = known
        .iter()
        .find(|(name, ..)| first == Some(*name))
        .and_then(|(.., description)| description.ring.desired_topology.as_ref());
    let belongs = |name: &ShardName| {
        description.ring.topology.shard(name).is_some()
            || requested.is_some_and(|requested| requested.shard(name).is_some())
            || description.ring.change.as_ref().is_some_and(|change| change.participants.contains(name))
    };
    match answers.iter().find(|(name, _)| !belongs(name)) {
        Some((other, _)) => Verdict::bad(
            format!("`{other}` is in the configuration and not in the topology"),
            match configured_by {
                ConfiguredBy::File(file) => format!("take `[shards.{other}]` out of `{file}`"),
                ConfiguredBy::Variable(name) => format!("take `{other}` out of {name}"),
            },
        ),
        None => Verdict::good(format!("{} shards", answers.len())),
    }
}

/// One epoch, and one topology for it.
fn epoch(known: KnownShards<'_>) -> Verdict {
    let newest = newest(known);
    let (epoch, topology) = (newest.ring.epoch, &newest.ring.topology);
    let behind: Vec<String> = known
        .iter()
        .filter(|(.., description)| description.ring.epoch != epoch)
        .map(|(name, _, description)| format!("`{name}` is at {}", description.ring.epoch))
        .collect();
    let pending = known.iter().any(|(.., description)| description.ring.change.is_some());
    let knows_later = |name: &ShardName, own: &SelfDescription| {
        let endpoints = known.iter().filter_map(|(.., other)| other.endpoints.get(name));
        endpoints.map(|endpoint| endpoint.incarnation).any(|incarnation| incarnation > own.incarnation)
    };
    if let Some((name, ..)) = known.iter().find(|(name, _, own)| knows_later(name, own)) {
        return Verdict::bad(
            format!("the server of `{name}` is a stale primary: another one took the shard over"),
            "stop that server, or make it a standby of the new primary",
        );
    }
    if !behind.is_empty() {
        let found = format!("`{}` is at {epoch}, {}", newest.shard, behind.join(", "));
        let hint = if pending {
            "ringshard rebalance goes on with the change that is under way"
        } else {
            "a database was restored from an old backup, or copied: restore it from a newer one; then: ringshard verify"
        };
        return Verdict::bad(found, hint);
    }
    match known.iter().find(|(.., description)| description.ring.topology != *topology) {
        Some((name, ..)) => Verdict::bad(
            format!("{epoch}, and `{name}` has another topology than `{}`", newest.shard),
            "restore ringshard.meta of the one that is wrong from a backup: pg_restore --schema=ringshard --table=meta; then: ringshard verify",
        ),
        None => Verdict::good(epoch.to_string()),
    }
}

/// Each position has one owner. A fenced range counts for the shard that still has it, unless its peer owns it.
fn ring(known: KnownShards<'_>, rings: &RingArcs) -> Verdict {
    let mut owned: Vec<Arc> = Vec::new();
    let mut fenced: Vec<Arc> = Vec::new();
    for (_, facts, _) in known {
        let Ok(arcs) = &facts.arcs else { return Verdict::unknown("not all shards tell their arcs") };
        for held in arcs {
            if held.is_owned() { owned.push(held.arc) } else { fenced.push(held.arc) }
        }
    }
    fenced
        .retain(|arc| !owned.iter().any(|other| other.contains(arc.first()) || arc.contains(other.first())));
    // What lies in pieces at one shard alone is seen there, by the check `arcs`.
    if known.iter().any(|(name, facts, description)| lacks_arcs(name, facts, description, rings)) {
        return Verdict::unknown("see `arcs`");
    }
    match check_tiling(owned.into_iter().chain(fenced)) {
        Ok(()) => Verdict::good("each position has one owner"),
        Err(TilingFault::Gap(arc)) => Verdict::bad(
            format!("nobody owns {arc}"),
            "ringshard doctor again in a moment; if it stays, restore ringshard.arc from a backup; then: ringshard verify",
        ),
        Err(TilingFault::Overlap(arc)) => Verdict::bad(
            format!("more than one shard owns {arc}"),
            "ringshard doctor again in a moment; if it stays, restore ringshard.arc from a backup; then: ringshard verify",
        ),
    }
}
