//! `load fill`: synthetic users, stored as an import stores the users of a file.

use clap::Args;

use crate::commands::users::import::Conflict;
use crate::commands::{Context, Progress};
use crate::error::{Error, Kind, Result};
use crate::model::load::fake_users;
use crate::model::report::{Cell, Column, Report};
use crate::model::ring::position::Position;
use crate::model::text::counted;
use crate::model::user::{UserId, UserRef};
use crate::pg::import::{Feeder, Import, ImportOptions};
use crate::threads;

/// The arguments of `load fill`.
#[derive(Debug, Args)]
pub struct FillArgs {
    /// The number of users
    #[arg(value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: u64,
    /// The seed of the generator; the same seed gives the same user for an id
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,
    /// The id of the first user
    #[arg(long, value_name = "ID", default_value = "1", allow_negative_numbers = true)]
    pub(crate) start: UserId,
    /// What to do about a user that exists already
    #[arg(long, value_enum, value_name = "WHAT", default_value = "error")]
    pub(crate) on_conflict: Conflict,
}

impl FillArgs {
    /// Generates the users and stores them on all shards at once.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let (first, last) = (self.start.number(), self.last()?);
        let name = format!("load fill {} --seed {} --start {first}", self.count, self.seed);
        let options = ImportOptions {
            source: Position::of_key(&name),
            file: name,
            on_conflict: self.on_conflict.into(),
            has: [true; 3],
            restart: false,
            batch_bytes: None,
        };
        let cluster = context.cluster_of_users()?;
        let (import, feeder) = Import::begin(&cluster, options)?;
        let seed = self.seed;
        // Not joined: it ends when the import ends.
        threads::start(move || feed(feeder, seed, first, last))?;
        let console = context.console();
        let interrupts = console.watch_interrupts();
        let summary = import.run(
            &cluster,
            |rows| {
                let progress = Progress { rows, part: Some((rows, self.count)), at: String::new() };
                console.progress(Some(&progress));
                !interrupts.asked()
            },
            || Ok(()),
        );
        console.progress(None);
        let summary = summary.map_err(|error| match error.kind() {
            Kind::Conflict => hinted(
                &error,
                &format!(
                    "ringshard load fill {} --on-conflict skip keeps existing users (update overwrites them); --start sets \
                     another first id",
                    self.count
                ),
            ),
            Kind::Partial => hinted(&error, "run this again to continue"),
            _ => error,
        })?;
        let columns = [
            Column::number("users"),
            Column::number("inserted"),
            Column::number("updated"),
            Column::number("skipped"),
            Column::number("resumed"),
            Column::number("first_id"),
            Column::number("last_id"),
        ];
        let counts = [summary.records, summary.inserted, summary.updated, summary.skipped, summary.resumed];
        let mut row = counts.map(Cell::from).to_vec();
        row.extend([first.into(), last.into()]);
        let mut report = Report::one(&columns, row);
        if summary.resumed > 0 {
            let users = counted(summary.resumed, "user");
            report.notes.push(format!("already stored by the interrupted run of this command: {users}"));
        }
        Ok(report)
    }

    /// The last id.
    pub(crate) fn last(&self) -> Result<i64> {
        let first = self.start.number();
        let last = i64::try_from(self.count - 1).ok().and_then(|more| first.checked_add(more));
        last.ok_or_else(|| {
            let message = format!("there are no ids for {} users from id `{first}` on", self.count);
            Error::new(Kind::Usage, message)
                .hint(format!("choose a smaller number or --start; the greatest id is `{}`", i64::MAX))
        })
    }
}

/// The same error with a hint for this command.
fn hinted(error: &Error, hint: &str) -> Error {
    let new = Error::new(error.kind(), error.message()).hint(hint);
    match error.shard() {
        Some(shard) => new.on_shard(shard),
        None => new,
    }
}

fn feed(mut feeder: Feeder, seed: u64, first: i64, last: i64) {
    for (id, record) in (first..=last).zip(1..) {
        let user = fake_users::user(seed, UserId::new(id));
        let fields = UserRef {
            user_id: user.user_id,
            name: user.name.as_deref(),
            region: user.region.as_deref(),
            email: user.email.as_deref(),
        };
        if feeder.push(record, fields).is_err() {
            return;
        }
    }
    feeder.finish();
}
