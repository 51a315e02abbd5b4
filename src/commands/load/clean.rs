//! Removes the users that runs created: those of a run at its end, and `load clean` those that a killed run left.

use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Args;

use crate::commands::{Console, Context, Interrupts};
use crate::error::{Error, Kind, Result};
use crate::model::load::write_tag::{CREATED, WriteTag};
use crate::model::report::{Cell, Column, Report};
use crate::model::text::counted;
use crate::model::user::{User, UserId};
use crate::pg::cluster::Cluster;
use crate::pg::{rows, scan};
use crate::threads;

/// After how many users the progress is shown, and the removal can be stopped.
const CHUNK: usize = 1_000;

/// The arguments of `load clean`: none.
#[derive(Debug, Args)]
pub struct CleanArgs {}

impl CleanArgs {
    /// Removes what killed runs left. Fails with `Locked` while a run is at work.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let cluster = context.cluster_of_users()?;
        cluster.refresh()?;
        if rows::reserve_ids::are_reserved(&cluster)? {
            return Err(Error::new(Kind::Locked, "a load run is at work, and removes its users at its end")
                .hint("wait for it, then: ringshard load clean"));
        }
        let sql = format!("SELECT user_id FROM public.users WHERE email LIKE '{CREATED}'");
        let answers = scan::run_statement(&cluster, &sql, &cluster.shards().names(), false)?;
        let mut ids: Vec<UserId> = Vec::new();
        for row in answers.rows {
            let (_, cells) = row?;
            if let Some(Cell::Number(id)) = cells.first() {
                ids.extend(id.parse::<UserId>());
            }
        }
        let console = context.console();
        let interrupts = console.watch_interrupts();
        let threads = context.settings().pool_size.value;
        let removed = remove(&cluster, threads, &ids, console, &interrupts);
        let mut report = Report::one(&[Column::number("removed")], vec![removed.count.into()]);
        report.failure = removed.failure(ids.len());
        Ok(report)
    }
}

/// What was removed.
pub(crate) struct Removed {
    pub(crate) count: u64,
    first_error: Option<Error>,
}

impl Removed {
    /// Why not all of these were removed.
    pub(crate) fn failure(&self, all: usize) -> Option<Error> {
        let left = counted(all as u64 - self.count, "user");
        let clean = "ringshard load clean removes them";
        match &self.first_error {
            Some(error) => Some(
                error.clone().adding(&format!("; {left} that load runs created are still there: {clean}")),
            ),
            None if self.count < all as u64 => {
                let message = format!("stopped; {left} that load runs created are still there");
                Some(Error::new(Kind::Partial, message).hint(clean))
            }
            None => None,
        }
    }
}

/// Whether the user is one that a run created. Another program may have the id by now, or may have changed the user.
fn is_created(user: &User) -> bool {
    let tag = user.email.as_deref().and_then(WriteTag::read);
    tag.is_some_and(|tag| tag.is_created && tag.key == user.user_id)
}

/// Removes these users, with so many threads, if they still are as a run created them; others count as removed. Ends at the
/// first error of each thread.
pub(crate) fn remove(
    cluster: &Cluster,
    threads: u32,
    ids: &[UserId],
    console: &dyn Console,
    interrupts: &Interrupts,
) -> Removed {
    let (mut done, mut first_error) = (0, None);
    for chunk in ids.chunks(CHUNK) {
        let next = AtomicUsize::new(0);
        let removed = threads::at_once(0..threads, |_| {
            let mut count = 0;
            while let Some(id) = chunk.get(next.fetch_add(1, Ordering::Relaxed)) {
                let router = rows::Router(cluster);
                let removed = router.find_user(*id).and_then(|(user, _)| match user {
                    Some(user) if is_created(&user) => router.delete_user(*id).map(|_| ()),
                    _ => Ok(()),
                });
                match removed {
                    Err(error) if error.kind() != Kind::NotFound => return (count, Some(error)),
                    _ => count += 1,
                }
            }
            (count, None)
        });
        for (count, error) in removed {
            done += count;
            first_error = first_error.or(error);
        }
        console.status((done, ids.len() as u64), "removing the users of the run");
        if first_error.is_some() || interrupts.asked() {
            break;
        }
    }
    console.progress(None);
    Removed { count: done, first_error }
}
