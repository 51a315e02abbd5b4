//! The preflight: the checks of `doctor` that must pass before rows move. It changes nothing.

use super::plan::Planned;
use crate::error::{Error, Kind, Result};
use crate::local::PrivateServer;
use crate::model::names::ShardName;
use crate::model::table::{ShardingKey, TableName, Tables};
use crate::pg::catalog::relation::Relation;
use crate::pg::cluster::Cluster;
use crate::pg::doctor::{self, ConfiguredBy, Finding};
use crate::pg::net::sqlstate;
use crate::pg::two_phase;

/// The checks that always count.
const CHECKS: [&str; 17] = [
    "reachable",
    "session",
    "version",
    "writable",
    "encoding",
    "sessions",
    "disk",
    "privileges",
    "table",
    "primary_key",
    "row_security",
    "catalog",
    "identity",
    "triggers",
    "functions",
    "arcs",
    "databases",
];
/// The checks that count too, unless a change is under way: a change makes them fail.
const STABLE_CHECKS: [&str; 3] = ["leftovers", "epoch", "ring"];

/// The checks that count too, unless the change goes back: whatever the tables have become, that must be possible.
const FORWARD_CHECKS: [&str; 4] = ["relation", "unique", "side_effects", "tables"];

/// Fails with the first check that does not pass, and the number of the others. `goes_back`: rows move back to where they were.
pub fn preflight(
    cluster: &Cluster,
    private: &PrivateServer,
    planned: &Planned,
    goes_back: bool,
) -> Result<()> {
    // They would hold the barrier.
    if let Some(error) = two_phase::finish(cluster).failed.into_iter().next() {
        return Err(error);
    }
    // Shards that have left do not matter.
    let (belonging, plan) = (cluster.belonging(), &planned.plan);
    let takes_part = |name: &ShardName| {
        belonging.contains(name) || plan.before.shard(name).or(plan.after.shard(name)).is_some()
    };
    for name in cluster.shards().names().iter().filter(|name| !takes_part(name)) {
        cluster.shards().remove(name);
    }
    let configured_by = ConfiguredBy::File("ringshard.toml".into());
    let examination = doctor::examine(cluster.shards(), private, cluster.id(), &configured_by)?;
    // An import that goes on after a change compares each row with what is stored; the progress that left with a shard is lost.
    let leaves = |name: &ShardName| plan.before.shard(name).is_some() && plan.after.shard(name).is_none();
    let counts = |finding: &&Finding| {
        finding.verdict.ok == Some(false)
            && ((finding.check == "imports" && finding.shard.as_ref().is_some_and(leaves))
                || CHECKS.contains(&finding.check)
                || (!goes_back && FORWARD_CHECKS.contains(&finding.check))
                || (!planned.is_under_way && STABLE_CHECKS.contains(&finding.check)))
    };
    let crosses: Vec<&Finding> = examination.findings.iter().filter(counts).collect();
    let Some(first) = crosses.first() else { return check_ownership(cluster) };
    let of = first.shard.as_ref().map_or(String::new(), |shard| format!(" of shard `{shard}`"));
    let more = match crosses.len() {
        1 => String::new(),
        count => format!("; {} more", count - 1),
    };
    let kind = match first.check {
        // As if the server stopped in the middle of the checks.
        _ if first.verdict.cause == Some(Kind::Unreachable) => Kind::Unreachable,
        "reachable" => Kind::Unreachable,
        "privileges" | "row_security" => Kind::Permission,
        "leftovers" | "imports" => Kind::Locked,
        "disk" | "sessions" => Kind::Failed,
        _ => Kind::Configuration,
    };
    let message = format!("nothing was moved: `{}`{of}: {}{more}", first.check, first.verdict.found);
    let hint = first.verdict.hint.clone().unwrap_or_else(|| "run ringshard doctor".into());
    let error = Error::new(kind, message).hint(format!("{hint}; ringshard doctor shows all"));
    Err(match &first.shard {
        Some(shard) => error.on_shard(shard),
        None => error,
    })
}

/// Checks that this role may build an index on each sharded table: it must own the table, and have CREATE on its schema.
fn check_ownership(cluster: &Cluster) -> Result<()> {
    let sql = "SELECT c.relname::text AS table, pg_catalog.quote_ident(n.nspname) AS schema, c.relowner::regrole::text AS owner, \
                      pg_catalog.quote_ident(current_user) AS role, pg_catalog.pg_has_role(c.relowner, 'USAGE') AS is_owner \
               FROM ringshard.sharded_parts() AS sharded JOIN pg_catalog.pg_class AS c ON c.oid = sharded.part \
               JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
               WHERE NOT (pg_catalog.pg_has_role(c.relowner, 'USAGE') AND pg_catalog.has_schema_privilege(n.oid, 'CREATE')) \
               ORDER BY 1 LIMIT 1";
    let checked = cluster.shards().on_each(&cluster.shards().names(), |name, session| {
        let rows = session
            .query(sql, &[])
            .map_err(|cause| sqlstate::doing("check the rights on the tables", name, &cause))?;
        let Some(row) = rows.first() else { return Ok(()) };
        let column = |column| row.get::<_, &str>(column);
        let (table, schema, owner, role) =
            (column("table"), column("schema"), column("owner"), column("role"));
        let (why, hint) = if row.get("is_owner") {
            (
                format!("{role} may not create an index in schema `{schema}` of shard `{name}`"),
                format!("run as the database's owner: GRANT CREATE ON SCHEMA {schema} TO {role}"),
            )
        } else {
            (
                format!("the table `{table}` of shard `{name}` belongs to {owner}, not to {role}"),
                format!("connect as its owner, or run as its owner: GRANT {owner} TO {role}"),
            )
        };
        let message = format!("nothing was moved: {why}");
        Err(Error::new(Kind::Permission, message).hint(hint).on_shard(name))
    });
    checked.into_iter().try_for_each(|(_, checked)| checked)
}

/// A warning for each publication of sharded tables, whose subscribers are not told that rows move.
pub fn publications(cluster: &Cluster) -> Result<Vec<Error>> {
    let sql = "SELECT published.pubname::text AS publication, pg_catalog.string_agg(DISTINCT sharded.name, ', ') AS tables \
               FROM ringshard.sharded_parts() AS sharded JOIN pg_catalog.pg_class AS c ON c.oid = sharded.part \
               JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
               JOIN pg_catalog.pg_publication_tables AS published \
                    ON published.schemaname = n.nspname AND published.tablename = c.relname \
               GROUP BY 1 ORDER BY 1";
    let read = cluster.shards().on_each(&cluster.shards().names(), |name, session| {
        session.query(sql, &[]).map_err(|cause| sqlstate::doing("read the publications", name, &cause))
    });
    let mut warnings = Vec::new();
    for (name, rows) in read {
        warnings.extend(rows?.iter().map(|row| {
            let (publication, tables) = (row.get::<_, &str>("publication"), row.get::<_, &str>("tables"));
            let message = format!(
                "the publication `{publication}` of shard `{name}` has {tables}: its subscribers see rows that move as deleted or inserted"
            );
            Error::new(Kind::Failed, message).on_shard(&name)
        }));
    }
    Ok(warnings)
}

/// Fails with `Configuration` if a table is not alike on these shards. The preflight checks it too, but before the run lock is held,
/// and the schema may have changed since then.
pub(crate) fn check_tables_alike(cluster: &Cluster, names: &[ShardName], tables: &Tables) -> Result<()> {
    let read = cluster.shards().on_each(names, |name, session| {
        let fail = |cause| sqlstate::doing("compare the tables", name, &cause);
        let definition = |(table, key): (&TableName, &ShardingKey)| {
            Relation::read(session.client(), table, &key.column).map(|found| found.map(|it| it.definition))
        };
        tables.sharded().map(definition).collect::<Result<Vec<_>, _>>().map_err(fail)
    });
    let mut first: Option<(ShardName, Vec<Option<Vec<String>>>)> = None;
    for (name, definitions) in read {
        let definitions = definitions?;
        let (other, expected) = first.get_or_insert_with(|| (name.clone(), definitions.clone()));
        if *expected != definitions {
            let message =
                format!("nothing was moved: the tables of shards `{other}` and `{name}` are not alike");
            return Err(Error::new(Kind::Configuration, message)
                .hint("ringshard schema diff shows how they differ")
                .on_shard(name));
        }
    }
    Ok(())
}
