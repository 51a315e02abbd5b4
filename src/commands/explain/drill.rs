//! `explain drill`.

use super::steps::{KnownCluster, Steps};
use crate::commands::Context;
use crate::commands::failover::drill::DrillCommand;
use crate::error::Result;

pub(crate) fn of(command: &DrillCommand, context: &Context<'_>) -> Result<Steps> {
    let shard = match command {
        DrillCommand::KillConnections(args) => &args.shard,
        DrillCommand::Outage(args) => &args.shard,
        DrillCommand::Slow(args) => &args.shard,
    };
    let steps = KnownCluster::of(context)?.steps.add(
        "look",
        format!("shard `{shard}` must be this cluster's; who is connected to its database is listed"),
    );
    let ask = "what will be hurt is shown, and done only if that is agreed to (--yes)";
    Ok(match command {
        DrillCommand::KillConnections(_) => steps
            .add("reach", "this role must be allowed to end all of these sessions, else none is ended (77)")
            .add("question", ask)
            .add("end", "pg_terminate_backend for each client's session on that database, but this one")
            .add("answer", "how many were ended, by application; who wants to connects again"),
        DrillCommand::Outage(args) => steps
            .add("rights", "this role must own the database and be allowed to end its sessions, else nothing is done (77)")
            .add("question", ask)
            .add(
                "dead man",
                "a session in another database waits to open this one again: when the drill lets go of a lock, is killed, or \
                 its time is up",
            )
            .add("close", "ALTER DATABASE … ALLOW_CONNECTIONS false; all its sessions are ended")
            .add("wait", format!("{} s, or until Ctrl-C; a session that slipped in is ended", args.length.length.as_secs_f64()))
            .add("open", "the dead man opens it: ALTER DATABASE … ALLOW_CONNECTIONS true; a connection is tried")
            .add("answer", "how long it was closed, and how many sessions were ended; exit code 6 after Ctrl-C"),
        DrillCommand::Slow(args) => steps
            .add("question", ask)
            .add("proxy", format!("a thread a connection, in this process, that delivers everything {} ms later, each way", args.delay.as_millis()))
            .add(
                "proxy_override",
                "a file in the state folder, locked as long as this process lives: each ringshard of this user that connects to \
                 the shard goes through the proxy; other programs do not",
            )
            .add("divert", "idle sessions of ringshard on that database are ended, so that they come back that way")
            .add("wait", format!("{} s, or until Ctrl-C", args.length.length.as_secs_f64()))
            .add("undo", "the file goes, nothing is delayed any more, idle sessions are ended; busy ones have 10 s to finish")
            .add("answer", "how long it was slow, and for how many connections; exit code 6 after Ctrl-C"),
    })
}
