//! The commands that ask or fill all shards at once.

use std::path::Path;

use super::steps::{KnownCluster, Steps, listed};
use crate::bulk::FileFormat;
use crate::commands::Context;
use crate::commands::monitoring::report::ReportArgs;
use crate::commands::ring::verify::VerifyArgs;
use crate::commands::sql::SqlArgs;
use crate::commands::users::count::{By, CountArgs};
use crate::commands::users::export::ExportArgs;
use crate::commands::users::import::{Conflict, ImportArgs};
use crate::commands::users::list_users::ListUsersArgs;
use crate::error::Result;
use crate::model::names::ShardName;
use crate::model::user::Region;
use crate::pg::preview;
use crate::pg::scan::list::Filter;

/// A snapshot on each of these shards.
fn snapshots(steps: Steps, asked: &[ShardName], all: usize) -> Steps {
    steps
        .add(
            "shards",
            format!(
                "{} of {all} are asked at once, each on a thread of its own: {}",
                asked.len(),
                listed(asked)
            ),
        )
        .add(
            "snapshot",
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY on each, and as the first thing in it:",
        )
        .statement(preview::snapshot())
}

/// Snapshots that tile the ring.
fn tiled(known: KnownCluster) -> Steps {
    let (asked, all) = (known.holding(), known.cluster.shards().names().len());
    snapshots(known.steps, &asked, all).add(
        "coverage",
        "from all answers: one owner serves its arcs; of two, that of the later epoch, and the other one's rows there are \
         left out; if nobody has an arc, it is between two snapshots, and all are opened anew",
    )
}

/// What becomes of the answer if a shard is down.
fn down(steps: Steps, allow_partial: bool) -> Steps {
    steps.add(
        "down",
        if allow_partial {
            "if a shard cannot be reached: what the others have, what is missing, and exit code 6"
        } else {
            "if a shard cannot be reached: exit code 69; --allow-partial shows what the others have"
        },
    )
}

const MERGE: &str =
    "4,000 rows at a time from each shard, merged by user_id as they come: each user once, memory stays flat";

pub(crate) fn list_users(args: &ListUsersArgs, context: &Context<'_>) -> Result<Steps> {
    let filter = args.filter();
    let steps = tiled(KnownCluster::of(context)?).statement(preview::list_users(&filter)).add("merge", MERGE);
    let steps = down(steps, args.partial.allow_partial);
    Ok(steps.add(
        "answer",
        match filter.limit {
            Some(limit) => {
                format!("the {limit} users with the smallest ids; each shard sends no more than these")
            }
            None => "a line a user, by id".into(),
        },
    ))
}

pub(crate) fn count(args: &CountArgs, context: &Context<'_>) -> Result<Steps> {
    let region = args.region.as_ref().map(Region::as_str);
    let statement = preview::count(args.by == Some(By::Region), region);
    let steps = tiled(KnownCluster::of(context)?).statement(statement);
    let steps = down(steps, args.partial.allow_partial);
    Ok(steps.add(
        "answer",
        match args.by {
            None => "the sum of what the shards count; exact, also while users are being moved",
            Some(By::Shard) => "what each shard counts, a line a shard",
            Some(By::Region) => "what the shards count, added up region by region",
        },
    ))
}

pub(crate) fn report(args: &ReportArgs, context: &Context<'_>) -> Result<Steps> {
    let mut known = KnownCluster::of(context)?;
    known.steps = known.steps.add("refresh", "all shards are asked for the topology");
    let steps = tiled(known)
        .statement(preview::count(true, None))
        .add("down", "of a shard that cannot be reached the page says so, and the exit code is 6")
        .add("runs", "the last load run and the last rebalance, as they were kept in the state folder of this computer");
    Ok(steps.add(
        "answer",
        if args.file == Path::new("-") {
            "one page of HTML on standard output, which fetches nothing and runs no script".to_owned()
        } else {
            format!(
                "one page of HTML, which fetches nothing and runs no script, written beside `{}` and put into its place when it \
                 is whole",
                args.file.display()
            )
        },
    ))
}

pub(crate) fn export(args: &ExportArgs, context: &Context<'_>) -> Result<Steps> {
    let format = match args.format(context)? {
        FileFormat::Csv => "CSV",
        FileFormat::JsonLines => "JSON lines",
    };
    let steps = tiled(KnownCluster::of(context)?)
        .statement(preview::list_users(&Filter::default()))
        .add("merge", MERGE);
    let steps = down(steps, args.partial.allow_partial);
    Ok(steps.add(
        "answer",
        if args.file == Path::new("-") {
            format!("{format} on standard output, by id")
        } else {
            format!(
                "{format}, by id, written beside `{}` and put into its place when it is whole",
                args.file.display()
            )
        },
    ))
}

pub(crate) fn sql(args: &SqlArgs, context: &Context<'_>) -> Result<Steps> {
    let known = KnownCluster::of(context)?;
    let names = known.cluster.shards().names();
    let all = names.len();
    args.check(&names)?;
    let is_asked = |name: &ShardName| args.shard.is_empty() || args.shard.contains(name);
    let asked: Vec<ShardName> = names.into_iter().filter(is_asked).collect();
    let steps = snapshots(known.steps, &asked, all)
        .add("statement", preview::own_statement(&args.statement))
        .add(
            "prepare",
            "one statement that returns rows, of the same columns on each shard; what writes is refused",
        )
        .add(
            "run",
            "through COPY, as a stream (EXPLAIN and SHOW as they are); rows are neither merged nor left out",
        );
    Ok(down(steps, args.partial.allow_partial)
        .add("answer", "the rows, shard by shard, with the shard in front"))
}

pub(crate) fn verify(args: &VerifyArgs, context: &Context<'_>) -> Result<Steps> {
    let known = KnownCluster::of(context)?;
    let (asked, all) = (known.holding(), known.cluster.shards().names().len());
    let mut steps = known.steps.add("refresh", "all shards are asked for the topology");
    if args.fix {
        steps = steps.add(
            "lock",
            "on the first shard, that of who changes the ring; held by somebody else: exit code 75",
        );
    }
    let steps = snapshots(steps, &asked, all)
        .add(
            "fit",
            "epochs, topologies and arcs must fit together; only what stays wrong for 1 s counts as a fault",
        )
        .add(
            "rows",
            "the ids of all shards stream here and are hashed: each must lie on an arc that its shard serves",
        )
        .add("misplaced", "what does not is looked for on its owner, in the same snapshots");
    let steps = if args.deep || args.fix {
        steps.add("compare", "where a user lies twice, the contents are compared")
    } else {
        steps
    };
    Ok(if args.fix {
        steps
            .add("question", "what is to be repaired is shown, and done only if that is agreed to (--yes)")
            .add(
                "repair",
                "a thousand users at a time: the owner stores what it lacks; when that is on disk, the stray is deleted if \
                 the owner has just the same, else it goes into ringshard.quarantine",
            )
            .add("answer", "a line a shard as it is then; exit code 1 if something is still wrong")
    } else {
        steps.add("answer", "a line a shard, nothing is changed; exit code 1 if something is wrong")
    })
}

pub(crate) fn import(args: &ImportArgs, context: &Context<'_>) -> Result<Steps> {
    let conflict = match args.on_conflict {
        Conflict::Error => "stops the import, and the line is named (exit code 5)",
        Conflict::Skip => "stays as it is",
        Conflict::Update => "gets the columns of the file",
    };
    let bad = if args.rejects.is_some() {
        "is collected by --rejects, and the import goes on"
    } else {
        "stops the import, and is named (exit code 65)"
    };
    let resumed = if args.restart {
        "what an interrupted import of this file wrote down is forgotten"
    } else {
        "what an interrupted import of this file has stored, by each shard's own word, is passed over"
    };
    let known = KnownCluster::of(context)?;
    let all = known.cluster.shards().names().len();
    Ok(known
        .steps
        .add(
            "file",
            format!("`{}` is read once, as it comes; a record that is no user {bad}", args.file.display()),
        )
        .add("shards", format!("up to {all} at once, a connection and a COPY each"))
        .add("resume", resumed)
        .add("hash", "md5 of each record's user_id, and with it the ring, say which shard it goes to")
        .add(
            "batches",
            "the records of each shard are packed in COPY's binary format; a full batch is one transaction",
        )
        .add(
            "arcs",
            "in it the shard proves that it still owns the rows; others go to their new owner afterwards",
        )
        .add("conflict", format!("a user that is there already {conflict}"))
        .add(
            "progress",
            "in the same transaction it writes down how far it has the file, so the import can be killed",
        )
        .add("answer", "how many were inserted, updated, skipped, rejected, and in already"))
}
