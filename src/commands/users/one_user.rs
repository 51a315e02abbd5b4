//! `create-user`, `get-user`, `update-user`, `delete-user`.

use clap::{ArgGroup, Args};

use crate::commands::Context;
use crate::error::{Error, Kind, Result};
use crate::model::report::{Cell, Column, Report};
use crate::model::user::{Email, Name, Region, User, UserId, UserPatch};
use crate::pg::rows::Router;
use crate::pg::rows::batch_create::{BatchOutcome, UserOutcome};

/// The columns of users: the fields of the data model.
pub(crate) const COLUMNS: [Column; 4] =
    [Column::number("user_id"), Column::text("name"), Column::text("region"), Column::text("email")];

/// A user as a row.
pub(crate) fn cells(user: User) -> Vec<Cell> {
    vec![Cell::Integer(user.user_id.number()), user.name.into(), user.region.into(), user.email.into()]
}

fn report(user: User) -> Report {
    Report::one(&COLUMNS, cells(user))
}

/// Adds a warning if the row is not stored as it was given: only a trigger can do that.
fn with_warning(mut report: Report, is_as_given: bool) -> Report {
    if !is_as_given {
        let message = "a trigger of `users` stored other values than were given";
        report.warnings.push(Error::new(Kind::Failed, message));
    }
    report
}

/// The id of a user, as a flag or as an argument.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true))]
pub struct WhichUser {
    /// The user's id
    #[arg(long = "id", value_name = "N", allow_negative_numbers = true, group = "which")]
    flag: Option<UserId>,
    /// The user's id
    #[arg(value_name = "ID", allow_negative_numbers = true, group = "which")]
    argument: Option<UserId>,
}

impl WhichUser {
    pub(crate) fn id(&self) -> Result<UserId> {
        self.flag
            .or(self.argument)
            .ok_or_else(|| Error::new(Kind::Usage, "the user id is missing").hint("add --id 1"))
    }
}

/// The arguments of `create-user`.
#[derive(Debug, Args)]
pub struct CreateUserArgs {
    /// The user's id, which determines the shard [default: a new one, made by a shard]
    #[arg(long = "id", value_name = "N", allow_negative_numbers = true)]
    flag: Option<UserId>,
    /// The user's id
    #[arg(value_name = "ID", allow_negative_numbers = true, conflicts_with = "flag")]
    argument: Option<UserId>,
    /// The name, up to 100 characters
    #[arg(long, value_name = "S")]
    name: Name,
    /// The region, such as EU, up to 50 characters
    #[arg(long, value_name = "S")]
    region: Option<Region>,
    /// The email address, up to 100 characters
    #[arg(long, value_name = "S")]
    email: Option<Email>,
}

/// The outcome for one of many users.
pub enum CreateOutcome {
    /// It is stored.
    Stored(Report),
    /// It was not tried: `create-user` must still be run.
    Open,
    /// It is not stored, or whether it is stored is not known.
    Failed(Error),
}

/// Stores many users at once: all or none, unless a connection is lost at the wrong moment. The caller runs those
/// that are `Open` one by one, in order, which finds the user that fails and why.
pub fn create_together(args: &[&CreateUserArgs], context: &Context<'_>) -> Vec<CreateOutcome> {
    let open = || args.iter().map(|_| CreateOutcome::Open).collect();
    let users = args.iter().map(|args| args.id().map(|id| args.user(id)));
    // A user without an id waits for it alone.
    let Some(users) = users.collect::<Option<Vec<User>>>() else { return open() };
    // A problem of the cluster is reported by the first user that is run alone.
    let batch =
        context.cluster().map_or(BatchOutcome::NotStored, |cluster| Router(&cluster).create_users(&users));
    let stored = |user: User| CreateOutcome::Stored(report(user));
    match batch {
        BatchOutcome::Stored => users.into_iter().map(stored).collect(),
        BatchOutcome::NotStored => open(),
        BatchOutcome::Partial(outcomes) => {
            let outcome = |(user, outcome)| match outcome {
                UserOutcome::Stored => stored(user),
                UserOutcome::Absent => CreateOutcome::Open,
                UserOutcome::Failed(error) => CreateOutcome::Failed(error),
            };
            users.into_iter().zip(outcomes).map(outcome).collect()
        }
    }
}

impl CreateUserArgs {
    /// Stores the user and shows it.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let cluster = context.cluster()?;
        let router = Router(&cluster);
        let user = self.user(self.id().map_or_else(|| router.next_own_id(), Ok)?);
        let (stored, _) = router.create_user(&user)?;
        let is_as_given = stored == user;
        Ok(with_warning(report(stored), is_as_given))
    }

    /// The id, if one is given.
    pub fn id(&self) -> Option<UserId> {
        self.flag.or(self.argument)
    }

    /// The user to store.
    pub(crate) fn user(&self, user_id: UserId) -> User {
        User {
            user_id,
            name: Some(self.name.as_str().into()),
            region: self.region.as_ref().map(|region| region.as_str().into()),
            email: self.email.as_ref().map(|email| email.as_str().into()),
        }
    }
}

/// The arguments of `get-user`.
#[derive(Debug, Args)]
pub struct GetUserArgs {
    #[command(flatten)]
    pub(crate) which: WhichUser,
}

impl GetUserArgs {
    /// Shows the user.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        Router(&*context.cluster()?).get_user(self.which.id()?).map(report)
    }
}

/// The arguments of `update-user`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true))]
pub struct UpdateUserArgs {
    #[command(flatten)]
    pub(crate) which: WhichUser,
    /// The new name
    #[arg(long, value_name = "S", group = "change")]
    name: Option<Name>,
    /// The new region
    #[arg(long, value_name = "S", group = "change")]
    region: Option<Region>,
    /// Remove the region
    #[arg(long, group = "change", conflicts_with = "region")]
    no_region: bool,
    /// The new email
    #[arg(long, value_name = "S", group = "change")]
    email: Option<Email>,
    /// Remove the email
    #[arg(long, group = "change", conflicts_with = "email")]
    no_email: bool,
}

impl UpdateUserArgs {
    /// Changes the user and shows the result.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let patch = self.patch();
        let (user, _) = Router(&*context.cluster()?).update_user(self.which.id()?, &patch)?;
        let is_as_given = patch.holds_for(&user);
        Ok(with_warning(report(user), is_as_given))
    }

    /// The fields to change.
    pub(crate) fn patch(&self) -> UserPatch {
        UserPatch {
            name: self.name.clone(),
            region: if self.no_region { Some(None) } else { self.region.clone().map(Some) },
            email: if self.no_email { Some(None) } else { self.email.clone().map(Some) },
        }
    }
}

/// The arguments of `delete-user`.
#[derive(Debug, Args)]
pub struct DeleteUserArgs {
    #[command(flatten)]
    pub(crate) which: WhichUser,
}

impl DeleteUserArgs {
    /// Deletes the user and shows it as it was.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let id = self.which.id()?;
        // After a lost connection it is known that the user is deleted, but not what it was.
        let (deleted, _) = Router(&*context.cluster()?).delete_user(id)?;
        Ok(deleted.map_or_else(
            || Report::note(format!("deleted user `{id}`; the connection was lost before its data arrived")),
            report,
        ))
    }
}
