//! The commands that ask or fill all shards.

use super::steps::{KnownCluster, Steps, listed};
use crate::commands::Context;
use crate::commands::load::LoadCommand;
use crate::commands::ring::verify::VerifyArgs;
use crate::commands::setup::init_shards::InitShardsArgs;
use crate::commands::sql::SqlArgs;
use crate::commands::users::count::{By, CountArgs};
use crate::commands::users::list_users::ListUsersArgs;
use crate::error::Result;
use crate::model::load::fake_users;
use crate::model::load::write_tag::CREATED;
use crate::model::names::ShardName;
use crate::model::rebalance::arbiter;
use crate::model::text::counted;
use crate::model::user::Region;
use crate::pg::pool::Shards;
use crate::pg::preview::{self, Statement};
use crate::pg::scan::list::Filter;
use crate::pg::sql::{self, Request};

/// A snapshot of each of these shards.
fn snapshots(steps: Steps, asked: &[ShardName], all: usize) -> Steps {
    steps
        .add("shards", format!("{} of {all} are asked at once: {}", asked.len(), listed(asked)))
        .add("snapshot", "on each shard: BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY, then the statement")
}

/// A read of all shards in snapshots whose arcs tile the ring.
fn scatter(context: &Context<'_>, statement: Statement) -> Result<Steps> {
    let known = KnownCluster::of(context)?;
    let (asked, all) = (known.holding(), known.cluster.shards().names().len());
    Ok(snapshots(known.steps, &asked, all)
        .statement(preview::snapshot())
        .add(
            "coverage",
            "one shard serves each arc, that of the later epoch; if none does, all snapshots are taken again",
        )
        .statement(statement))
}

pub(crate) fn list_users(args: &ListUsersArgs, context: &Context<'_>) -> Result<Steps> {
    scatter(context, preview::list_users(&args.filter()?))
}

pub(crate) fn count(args: &CountArgs, context: &Context<'_>) -> Result<Steps> {
    let region = args.region.as_ref().map(Region::as_str);
    let statement = preview::count(args.by == Some(By::Region), region);
    scatter(context, statement)
}

pub(crate) fn report(context: &Context<'_>) -> Result<Steps> {
    scatter(context, preview::count(true, None))
}

pub(crate) fn export(context: &Context<'_>) -> Result<Steps> {
    scatter(context, preview::list_users(&Filter::default()))
}

pub(crate) fn sql(args: &SqlArgs, context: &Context<'_>) -> Result<Steps> {
    let known = KnownCluster::of(context)?;
    let names = known.cluster.shards().names();
    let all = names.len();
    let asked = args.asked(names)?;
    if args.shard.is_empty() && !args.per_shard {
        let steps = known.steps.add("statement", preview::own_statement(&args.statement));
        let (sql, key) = (args.statement.as_str(), args.key.as_deref());
        let request = Request { sql, key, all_shards: args.all_shards, ..Request::default() };
        return Ok(steps.add("route", sql::route(known.view.topology.tables(), &request)?));
    }
    Ok(snapshots(known.steps, &asked, all).add("statement", preview::own_statement(&args.statement)))
}

pub(crate) fn verify(args: &VerifyArgs, context: &Context<'_>) -> Result<Steps> {
    let known = KnownCluster::of(context)?;
    let (asked, all) = (known.holding(), known.cluster.shards().names().len());
    let steps = snapshots(known.steps, &asked, all).statement(preview::snapshot());
    if !args.fix {
        return Ok(steps);
    }
    let first = arbiter(&known.view.topology);
    Ok(steps
        .add("lock", format!("on `{first}`; if another process changes the ring: exit code 75"))
        .add(
            "repair",
            "the owner stores a misplaced row first; then it is deleted, or put into ringshard.quarantine if the owner's \
             row differs",
        ))
}

/// The part of `import` and `load fill` that stores the users.
pub(crate) fn import(context: &Context<'_>) -> Result<Steps> {
    let known = KnownCluster::of(context)?;
    let names = known.holding();
    Ok(known.steps.add("shards", format!("a connection and a COPY to each: {}", listed(&names))).add(
        "batches",
        "one transaction each: the rows, the check that the shard owns them, and how far the import is",
    ))
}

pub(crate) fn load(command: &LoadCommand, context: &Context<'_>) -> Result<Steps> {
    match command {
        LoadCommand::Fill(args) => {
            let (first, last) = (args.start, args.last()?);
            let user = fake_users::user(args.seed, first);
            let fields = [user.name, user.region, user.email].map(Option::unwrap_or_default).join(", ");
            let count = counted(args.count, "user");
            Ok(import(context)?
                .add("users", format!("{count}, ids {first} to {last}; the first one: {fields}")))
        }
        LoadCommand::Run(args) => {
            let (keys, mix) = (args.keys_name(), &args.mix);
            let clients = counted(args.clients.into(), "client");
            let run =
                format!("{clients} for {:?}: {mix}, {keys} keys; each answer is checked", args.duration);
            let end = if args.keep {
                "the users that it creates are kept"
            } else {
                "the users that it creates are removed"
            };
            Ok(KnownCluster::of(context)?.steps.add("run", run).add("end", end))
        }
        LoadCommand::Clean(_) => {
            let steps = KnownCluster::of(context)?.steps;
            let found = format!(
                "users whose email is a tag of a run that created them, on all shards: LIKE '{CREATED}'"
            );
            Ok(steps.add("users", found).add("delete", "each as delete-user does"))
        }
    }
}

pub(crate) fn init_shards(args: &InitShardsArgs, context: &Context<'_>) -> Result<Steps> {
    let settings = context.settings();
    let entries = args.entries(&settings)?;
    let shards = Shards::new(entries, settings.private_server()?, settings.pool_options())?;
    let steps = shards.names().into_iter().try_fold(Steps::default(), |steps, name| {
        Ok(steps.add("shard", format!("`{name}` at {}", shards.address(&name)?.shown())))
    })?;
    Ok(steps.add("configuration", format!("`{}`", settings.file.value.display())))
}

pub(crate) fn shards(context: &Context<'_>) -> Result<Steps> {
    let known = KnownCluster::of(context)?;
    let names = known.cluster.shards().names();
    let asked = format!("{0} of {0} are asked at once: {1}", names.len(), listed(&names));
    Ok(known.steps.add("shards", asked).statement(preview::size()))
}

pub(crate) fn stats(context: &Context<'_>) -> Result<Steps> {
    let asked = format!("each on a connection of its own: {}", listed(&context.shards()?.names()));
    Ok(Steps::default().add("shards", asked).statement(preview::stats()))
}
