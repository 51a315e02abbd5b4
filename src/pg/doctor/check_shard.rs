//! Evaluates the facts of one shard: for each check a verdict, with a hint if it failed. Pure.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::check_table::{
    ExistingTable, primary_key, region_index, relation, row_security, side_effects, table, triggers, unique,
};
use super::collect::{Facts, Function, Idle, Index, Right, ServerFacts, ShardedTable, Timeline, in_one_line};
use super::{INIT, Verdict};
use crate::error::{Error, Kind, Result};
use crate::model::names::{ClusterId, ShardName};
use crate::model::ring::arc::{Arc, ShardArc, merged};
use crate::model::ring::topology::Topology;
use crate::model::text::bytes;
use crate::pg::catalog::imports::OpenImport;
use crate::pg::catalog::inspect::{OLDEST_VERSION, utf8_hint};
use crate::pg::catalog::{self, CATALOG_VERSION, POSITION_INDEX, SelfDescription, functions, quoted};

/// The largest accepted difference of a server's clock.
const CLOCK_OFF_MS_MAX: f64 = 2_000.0;
/// The least accepted free disk space.
const DISK_FREE_BYTES_MIN: u64 = 1 << 30;
/// The largest accepted share of sessions in use.
const SESSIONS_SHARE_MAX: f64 = 0.9;

/// For how long a process may finish a transaction on several shards that it has prepared.
const FINISHING_SECONDS: i64 = 10;

/// The verdict for a fact that could not be collected.
fn failed(error: &Error) -> Verdict {
    let hint = error.hint_text().unwrap_or("ringshard doctor -v shows the statements");
    Verdict { cause: Some(error.kind()), ..Verdict::bad(in_one_line(error), hint) }
}

fn check<T>(answer: &Result<T>, verdict: impl FnOnce(&T) -> Verdict) -> Verdict {
    answer.as_ref().map_or_else(failed, verdict)
}

fn timeline(timeline: &Timeline) -> Verdict {
    let Timeline { is_confirmed, current } = timeline;
    if *is_confirmed {
        return Verdict::good(current);
    }
    Verdict::bad(
        format!(
            "another server became the primary, on timeline {current}, and was not compared with the others yet"
        ),
        "ringshard verify compares it, and says what it lacks",
    )
}

/// All checks of a shard that could be reached, in order. `cluster`: the id in the configuration.
pub(crate) fn shard(
    name: &ShardName,
    facts: &Facts,
    cluster: Option<ClusterId>,
    rings: &RingArcs,
) -> Vec<(&'static str, Verdict)> {
    let psql = |sql: &str| format!("psql '{}' -c '{}'", facts.address.shown(), sql.replace('\'', "'\\''"));
    let of_server = |verdict: fn(&ServerFacts) -> Verdict| check(&facts.server, verdict);
    let mut checks = vec![
        ("reachable", Verdict::good(format!("{:.1} ms", facts.connected_after.as_secs_f64() * 1_000.0))),
        ("session", check(&facts.session, |how| Verdict::good(*how))),
        ("version", of_server(version)),
        ("writable", check(&facts.server, |server| writable(server, facts, &psql))),
        ("encoding", check(&facts.server, |server| encoding(name, server))),
        ("durability", check(&facts.server, |server| durability(server, &psql))),
        ("sessions", of_server(sessions)),
        ("clock", check(&facts.clock_ahead_ms, |ahead| clock(*ahead))),
        ("disk", disk(facts)),
        ("privileges", check(&facts.rights, |rights| privileges(rights, facts))),
    ];
    let has_users = facts.server.as_ref().is_ok_and(|server| server.has_users);
    let of_users = facts.tables.iter().flatten().find(|found| found.table.is_prototype);
    if has_users && of_users.is_some() {
        checks.push(("table", check(&facts.columns, |columns| table(columns, &psql))));
        checks.push(("primary_key", check(&facts.indexes, |indexes| primary_key(indexes, &psql))));
    }
    for (name, verdict) in [
        (
            "relation",
            &(|found: &ExistingTable<'_>| relation(found, &psql)) as &dyn Fn(&ExistingTable<'_>) -> Verdict,
        ),
        ("row_security", &row_security),
        ("unique", &|found: &ExistingTable<'_>| unique(found, &psql)),
    ] {
        if has_users || of_users.is_none() {
            checks.push((name, check(&facts.tables, |tables| of_each_table(tables, verdict))));
        }
    }
    checks.push(("catalog", catalog_version(facts, has_users || of_users.is_none(), cluster)));
    let Some(description) = &facts.description else { return checks };
    // A catalog of a newer ringshard cannot be checked.
    let is_newer = description.as_ref().is_err_and(|error| error.kind() == Kind::Configuration);
    let of_catalog = |verdict: Verdict| if is_newer { Verdict::unknown("see `catalog`") } else { verdict };
    let identity = with_description(description, |description| identity(name, facts, description, cluster));
    let is_itself = identity.ok == Some(true);
    let has_function =
        |name: &str| facts.functions.as_ref().is_ok_and(|found| found.iter().any(|it| it.name == name));
    checks.push(("identity", identity));
    let timeline = if has_function("is_confirmed") {
        check(&facts.timeline, timeline)
    } else {
        Verdict::unknown("see `functions`")
    };
    checks.push(("timeline", of_catalog(timeline)));
    if of_users.is_some() {
        checks.push(("region_index", check(&facts.indexes, |indexes| region_index(indexes))));
    }
    checks.push(("triggers", of_catalog(check(&facts.tables, |tables| of_each_table(tables, &triggers)))));
    checks.push((
        "side_effects",
        of_catalog(if has_function("side_effects") {
            check(&facts.side_effects, |effects| side_effects(effects))
        } else {
            Verdict::unknown("see `functions`")
        }),
    ));
    checks.push(("functions", of_catalog(check(&facts.functions, |found| functions(found)))));
    checks.push((
        "arcs",
        match description {
            Ok(description) if is_itself => check(&facts.arcs, |held| arcs(name, held, description, rings)),
            Ok(_) => Verdict::unknown("see `identity`"),
            Err(_) => Verdict::unknown("see `catalog`"),
        },
    ));
    checks.push(("leftovers", of_catalog(leftovers(facts, description.as_ref().ok(), &psql))));
    // Its query needs the current version of the catalog.
    let is_current =
        description.as_ref().is_ok_and(|description| description.catalog_version == CATALOG_VERSION);
    let of_imports = || check(&facts.imports, |imports| self::imports(imports));
    checks.push(("imports", if is_current { of_imports() } else { Verdict::unknown("see `catalog`") }));
    checks.push(("position_index", check(&facts.indexes, |indexes| position_index(indexes))));
    checks
}

/// The first verdict about a sharded table that is not good; or all good ones, each text once.
fn of_each_table(tables: &[ShardedTable], verdict: &dyn Fn(&ExistingTable<'_>) -> Verdict) -> Verdict {
    let mut good: Vec<String> = Vec::new();
    for found in tables {
        let Some(existing) = ExistingTable::of(found) else {
            return Verdict::bad(
                format!("the table `{}` is missing", found.table.name),
                "restore that database from a backup",
            );
        };
        let found = verdict(&existing);
        if found.ok != Some(true) {
            return found;
        }
        if !good.contains(&found.found) {
            good.push(found.found);
        }
    }
    Verdict::good(if good.is_empty() { "no table is sharded".to_owned() } else { good.join("; ") })
}

/// A check that needs the description; without one, the check `catalog` has the reason.
fn with_description(
    description: &Result<SelfDescription>,
    verdict: impl FnOnce(&SelfDescription) -> Verdict,
) -> Verdict {
    description.as_ref().map_or_else(|_| Verdict::unknown("see `catalog`"), verdict)
}

fn version(server: &ServerFacts) -> Verdict {
    if server.version_number < OLDEST_VERSION {
        Verdict::bad(&server.version, "move the database to a server with Postgres 14 or newer")
    } else {
        Verdict::good(&server.version)
    }
}

fn writable(server: &ServerFacts, facts: &Facts, psql: &dyn Fn(&str) -> String) -> Verdict {
    if server.in_recovery {
        return Verdict::bad(
            "a replica",
            "set the shard's URL to the primary: ringshard config show prints where it comes from",
        );
    }
    if let Some(source) = &server.read_only_by {
        let (database, role) = (quoted(facts.address.database()), quoted(&server.role));
        // What is set nearer to the session wins.
        let of = match source.as_str() {
            "client" => None,
            "user" => Some(format!("ROLE {role}")),
            "database user" => Some(format!("ROLE {role} IN DATABASE {database}")),
            _ => Some(format!("DATABASE {database}")),
        };
        let hint = match of {
            Some(of) => format!(
                "{} -c 'ALTER {of} SET default_transaction_read_only = off'",
                psql("SET default_transaction_read_only = off")
            ),
            None => {
                "remove default_transaction_read_only from `options` in the shard's URL, and from PGOPTIONS"
                    .to_owned()
            }
        };
        return Verdict::bad("default_transaction_read_only is on", hint);
    }
    Verdict::good("primary")
}

fn encoding(name: &ShardName, server: &ServerFacts) -> Verdict {
    if server.encoding == "UTF8" {
        Verdict::good("UTF8")
    } else {
        Verdict::bad(&server.encoding, utf8_hint(name))
    }
}

fn durability(server: &ServerFacts, psql: &dyn Fn(&str) -> String) -> Verdict {
    for (setting, is_on) in [("fsync", server.fsync), ("full_page_writes", server.full_page_writes)] {
        if !is_on {
            let found = format!("{setting} is off: a crash of that machine may destroy all data");
            let sql = format!("ALTER SYSTEM SET {setting} = on");
            return Verdict::bad(found, format!("{} and reload the server", psql(&sql)));
        }
    }
    Verdict::good(match server.synchronous_commit.as_str() {
        "off" | "local" => format!(
            "synchronous_commit is {}: writes of ringshard turn it on, those of others may be lost in a crash",
            server.synchronous_commit
        ),
        other => format!("synchronous_commit is {other}"),
    })
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53 sessions")]
fn sessions(server: &ServerFacts) -> Verdict {
    let found = format!("{} of {} in use", server.sessions, server.sessions_most);
    if server.sessions as f64 > server.sessions_most as f64 * SESSIONS_SHARE_MAX {
        Verdict::bad(found, "raise max_connections on that server, or close other sessions")
    } else {
        Verdict::good(found)
    }
}

fn clock(ahead_ms: f64) -> Verdict {
    let found = format!("{ahead_ms:+.1} ms");
    if ahead_ms.abs() > CLOCK_OFF_MS_MAX {
        Verdict::bad(found, "synchronize the clocks of that machine and this one: timedatectl set-ntp true")
    } else {
        Verdict::good(found)
    }
}

fn disk(facts: &Facts) -> Verdict {
    let Some(disk) = facts.disk else {
        return Verdict::unknown("unknown, as the server is on another machine");
    };
    let free_bytes = disk.total_bytes.saturating_sub(disk.used_bytes);
    let found = format!("{} of {} free", bytes(free_bytes), bytes(disk.total_bytes));
    if free_bytes < DISK_FREE_BYTES_MIN {
        Verdict::bad(found, "free disk space on that server")
    } else {
        Verdict::good(found)
    }
}

fn privileges(rights: &[Right], facts: &Facts) -> Verdict {
    let role = facts.server.as_ref().map_or_else(|_| "this role".into(), |server| quoted(&server.role));
    let mut missing: Vec<(&str, Vec<&str>)> = Vec::new();
    for right in rights.iter().filter(|right| !right.held) {
        match missing.last_mut() {
            Some((object, privileges)) if *object == right.object => privileges.push(&right.privilege),
            _ => missing.push((&right.object, vec![&right.privilege])),
        }
    }
    if missing.is_empty() {
        return Verdict::good(format!("all that role {role} needs"));
    }
    let list = |join: &str| -> Vec<String> {
        missing
            .iter()
            .map(|(object, privileges)| format!("{} {join} {object}", privileges.join(", ")))
            .collect()
    };
    let grants: Vec<String> = list("ON").iter().map(|grant| format!("GRANT {grant} TO {role}")).collect();
    Verdict::bad(
        format!("{role} lacks {}", list("on").join("; ")),
        format!("run as the owner, in database {}: {}", quoted(facts.address.database()), grants.join("; ")),
    )
}

fn functions(found: &[Function]) -> Verdict {
    let expected = functions::expected();
    let faults: Vec<String> = expected
        .iter()
        .filter_map(|ours| {
            let fault = match found.iter().find(|function| function.name == ours.name) {
                None => "is missing",
                Some(found) if found.source != ours.source || found.is_definer != ours.is_definer => {
                    "is not that of this ringshard"
                }
                Some(_) => return None,
            };
            Some(format!("`{}` {fault}", ours.name))
        })
        .collect();
    if faults.is_empty() {
        Verdict::good(format!("all {}", expected.len()))
    } else {
        Verdict::bad(faults.join("; "), INIT)
    }
}

fn catalog_version(facts: &Facts, has_users: bool, cluster: Option<ClusterId>) -> Verdict {
    match &facts.description {
        // If the cluster is known, a database without a catalog is the wrong one, or has lost its data.
        None if cluster.is_some() => Verdict::bad(
            "none",
            "correct its URL (ringshard config show), or restore that database from a backup",
        ),
        None => Verdict::bad("none", INIT),
        Some(Err(error)) => failed(error),
        Some(Ok(_)) if !has_users => {
            Verdict::bad("the table `users` is missing", "restore that database from a backup")
        }
        Some(Ok(description)) if description.catalog_version < CATALOG_VERSION => {
            let found =
                format!("version {}; this ringshard needs {CATALOG_VERSION}", description.catalog_version);
            Verdict::bad(found, INIT)
        }
        Some(Ok(description)) => Verdict::good(format!("version {}", description.catalog_version)),
    }
}

fn identity(
    name: &ShardName,
    facts: &Facts,
    description: &SelfDescription,
    cluster: Option<ClusterId>,
) -> Verdict {
    match catalog::check_identity(name, &facts.address, cluster, description.identity()) {
        Ok(()) => Verdict::good(description.shard.as_str()),
        Err(error) => failed(&error),
    }
}

/// Without a change, a shard has exactly its arcs of the ring. (During a change the check `ring` of the cluster counts.)
fn arcs(name: &ShardName, held: &[ShardArc], description: &SelfDescription, rings: &RingArcs) -> Verdict {
    let mine = merged(held.iter().map(|held| held.arc));
    // The sum of nothing is -0.0.
    let share = mine.iter().map(|arc| arc.share()).sum::<f64>() + 0.0;
    let found = format!("{} arcs, {:.2} % of the ring", mine.len(), share * 100.0);
    if description.ring.change.is_some() {
        return Verdict::good(format!("{found}, during a change of the ring"));
    }
    let requested = rings.of(&description.ring.topology, name);
    if mine == requested {
        return Verdict::good(found);
    }
    let share: f64 = requested.iter().map(|arc| arc.share()).sum();
    Verdict::bad(
        format!("{found}; its topology has {}, {:.2} %", requested.len(), share * 100.0),
        "restore the table ringshard.arc of that database from a backup: pg_restore --schema=ringshard --table=arc; then: ringshard verify",
    )
}

/// Whether the check `arcs` of a shard fails.
pub(crate) fn lacks_arcs(
    name: &ShardName,
    facts: &Facts,
    description: &SelfDescription,
    rings: &RingArcs,
) -> bool {
    facts.arcs.as_ref().is_ok_and(|held| arcs(name, held, description, rings).ok == Some(false))
}

/// The arcs that each topology gives to each shard. Shards that agree on the topology share one ring.
#[derive(Default)]
pub(crate) struct RingArcs(RefCell<Vec<(Topology, ArcsByShard)>>);

type ArcsByShard = BTreeMap<ShardName, Vec<Arc>>;

impl RingArcs {
    fn of(&self, topology: &Topology, shard: &ShardName) -> Vec<Arc> {
        let mut rings = self.0.borrow_mut();
        let at = rings.iter().position(|(of, _)| of == topology).unwrap_or_else(|| {
            let ring = topology.ring();
            let by_shard = ring.arcs_by_shard().into_iter().map(|(name, arcs)| (name.clone(), merged(arcs)));
            rings.push((topology.clone(), by_shard.collect()));
            rings.len() - 1
        });
        rings[at].1.get(shard).cloned().unwrap_or_default()
    }
}

/// Unfinished changes, imports, transactions and index builds.
fn leftovers(facts: &Facts, description: Option<&SelfDescription>, psql: &dyn Fn(&str) -> String) -> Verdict {
    let mut found = Vec::new();
    let mut hints: Vec<String> = Vec::new();
    let fenced = facts.arcs.as_ref().map_or(0, |arcs| arcs.iter().filter(|held| !held.is_owned()).count());
    if description.is_some_and(|description| description.ring.change.is_some()) {
        found.push("a change of the ring is not finished".into());
    }
    if fenced > 0 {
        found.push(format!("{fenced} fenced {}", if fenced == 1 { "arc" } else { "arcs" }));
    }
    if !found.is_empty() {
        hints.push("ringshard rebalance continues, ringshard rebalance cancel goes back".into());
    }
    if let Err(error) = &facts.idle {
        return failed(error);
    }
    let is_young = |idle: &&Idle| idle.is_on_several_shards() && idle.seconds < FINISHING_SECONDS;
    let (young, old): (Vec<&Idle>, Vec<&Idle>) = facts.idle.iter().flatten().partition(is_young);
    for idle in old {
        let (what, hint) = idle_left(idle, psql);
        found.push(what);
        hints.push(hint);
    }
    let is_other = |index: &&Index| !index.is_valid && index.name != POSITION_INDEX;
    for index in facts.indexes.iter().flatten().filter(is_other) {
        found.push(format!("the index `{}` is not valid", index.name));
        hints.push(psql(&format!("REINDEX INDEX CONCURRENTLY {}", index.name)));
    }
    if !found.is_empty() {
        return Verdict::bad(found.join("; "), hints.join("; "));
    }
    match young.first() {
        None => Verdict::good("none"),
        Some(idle) => Verdict::good(idle_left(idle, psql).0),
    }
}

/// Imports that were interrupted; those that run are good.
fn imports(imports: &[OpenImport]) -> Verdict {
    let (running, left): (Vec<&OpenImport>, Vec<&OpenImport>) =
        imports.iter().partition(|import| import.is_running);
    let texts = |of: &[&OpenImport], state: &str| -> Vec<String> {
        let name =
            |import: &OpenImport| import.file.as_ref().map_or("one".into(), |file| format!("`{file}`"));
        of.iter().map(|import| format!("{} {state}, at record {}", name(import), import.records)).collect()
    };
    if left.is_empty() {
        let running = texts(&running, "is running");
        return Verdict::good(if running.is_empty() { "none".into() } else { running.join("; ") });
    }
    let forget: Vec<String> =
        left.iter().map(|import| format!("ringshard import forget {}", import.id())).collect();
    Verdict::bad(
        texts(&left, "was interrupted").join("; "),
        format!("run ringshard import with the same file to continue (to discard it: {})", forget.join("; ")),
    )
}

/// The index of an interrupted rebalance, which the next one builds anew.
fn position_index(indexes: &[Index]) -> Verdict {
    match indexes.iter().find(|index| index.name == POSITION_INDEX) {
        Some(index) if !index.is_valid => Verdict::bad(
            format!("the index `{}` is not valid: its build was interrupted, or is running", index.name),
            "ringshard rebalance",
        ),
        Some(_) => Verdict::good("left by a rebalance, or in use"),
        None => Verdict::good("none"),
    }
}

fn idle_left(idle: &Idle, psql: &dyn Fn(&str) -> String) -> (String, String) {
    if idle.is_prepared {
        let what = format!(
            "the transaction `{}` of role `{}`, prepared {} s ago",
            idle.name, idle.role, idle.seconds
        );
        if idle.is_on_several_shards() {
            return (
                what,
                "ringshard doctor finishes it once the shard that decides about it answers".into(),
            );
        }
        let sql = format!("ROLLBACK PREPARED '{}'", idle.name.replace('\'', "''"));
        return (what, format!("{} (or COMMIT PREPARED)", psql(&sql)));
    }
    (
        format!(
            "session {} of role `{}`, idle in a transaction for {} s",
            idle.name, idle.role, idle.seconds
        ),
        psql(&format!("SELECT pg_terminate_backend({})", idle.name)),
    )
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
