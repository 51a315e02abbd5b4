//! `create-user`, `get-user`, `update-user`, `delete-user`.

use std::convert::Infallible;
use std::str::FromStr;

use clap::{ArgGroup, Args};

use super::any_table::users_of_other_columns;
use crate::commands::Context;
use crate::commands::sql::column;
use crate::error::{Error, Kind, Result};
use crate::model::report::{Cell, Column, Report};
use crate::model::table::{KeyType, ShardingKey, Table};
use crate::model::user::{Email, Name, Region, User, UserId, UserPatch, check_text};
use crate::pg::cluster::Cluster;
use crate::pg::rows::Router;
use crate::pg::rows::any_row::{GivenValues, RowKey, StoredRow};
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

/// A row of `users` with other columns than those of the Python prototype: those of the prototype first, then the others.
fn row_report(key_column: &str, row: StoredRow) -> Report {
    let first = [key_column, "name", "region", "email"];
    let mut of_row = row.columns;
    of_row
        .sort_by_key(|(column, _)| first.iter().position(|name| *name == column.name).unwrap_or(first.len()));
    let (columns, cells): (Vec<Column>, Vec<Cell>) =
        of_row.into_iter().map(|(of, cell)| (column(of), cell)).unzip();
    Report::one(&columns, cells)
}

/// The id of a user as it was given.
#[derive(Debug, Clone)]
pub struct IdText(String);

impl FromStr for IdText {
    type Err = Infallible;

    fn from_str(text: &str) -> std::result::Result<Self, Infallible> {
        Ok(Self(text.into()))
    }
}

/// The id of a user, as a flag or as an argument. A user of the Python prototype has a number.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true))]
pub struct WhichUser {
    /// The user's id
    #[arg(long = "id", value_name = "N", allow_negative_numbers = true, group = "which")]
    flag: Option<IdText>,
    /// The user's id
    #[arg(value_name = "ID", allow_negative_numbers = true, group = "which")]
    argument: Option<IdText>,
}

impl WhichUser {
    /// The id as it was given.
    pub(crate) fn text(&self) -> Result<&str> {
        self.flag.as_ref().or(self.argument.as_ref()).map(|id| id.0.as_str()).ok_or_else(id_is_missing)
    }

    pub(crate) fn id(&self) -> Result<UserId> {
        id(self.flag.as_ref(), self.argument.as_ref())?.ok_or_else(id_is_missing)
    }
}

pub(crate) fn id_is_missing() -> Error {
    Error::new(Kind::Usage, "the user id is missing").hint("add --id 1")
}

/// The number of a user, if one is given.
fn id(flag: Option<&IdText>, argument: Option<&IdText>) -> Result<Option<UserId>> {
    let (name, IdText(text)) = match (flag, argument) {
        (Some(text), _) => ("--id <N>", text),
        (None, Some(text)) => ("[ID]", text),
        (None, None) => return Ok(None),
    };
    let invalid = |why| {
        Error::new(Kind::Usage, format!("invalid value '{text}' for '{name}': {why}"))
            .hint("ringshard get-user 42")
    };
    text.parse().map(Some).map_err(invalid)
}

/// Serves `users` by its columns: with a number as id if it is the table of the Python prototype, else by the text of its key.
/// Asks the shards which it is only if it must.
pub(crate) fn by_columns<T>(
    context: &Context<'_>,
    id: Result<Option<UserId>>,
    of_prototype: impl FnOnce(&Cluster, Option<UserId>) -> Result<T>,
    of_row: impl Fn(&Cluster, &Table, &ShardingKey) -> Result<T>,
) -> Result<T> {
    let cluster = match context.cluster() {
        Err(error) => return Err(id.err().unwrap_or(error)),
        Ok(cluster) => cluster,
    };
    let mut failed = None;
    let mut known = users_of_other_columns(&cluster);
    if known.is_none() {
        match id.and_then(|id| of_prototype(&cluster, id)) {
            Err(error) if may_be_another_table(&error) => failed = Some(error),
            settled => return settled,
        }
        let _ = cluster.refresh();
        known = users_of_other_columns(&cluster);
    }
    while let Some(table) = known {
        let Some(key) = &table.key else { break };
        match of_row(&cluster, &table, key) {
            Err(error) if may_be_another_table(&error) => failed = Some(error),
            settled => return settled,
        }
        let _ = cluster.refresh();
        known = users_of_other_columns(&cluster).filter(|now| *now != table);
    }
    Err(failed.unwrap_or_else(id_is_missing))
}

/// Whether a failure may be due to a table `users` that is another one than this process knows.
fn may_be_another_table(error: &Error) -> bool {
    matches!(error.kind(), Kind::Usage | Kind::Configuration)
}

/// A key as Postgres writes it. Fails with `Usage` if the text is none.
pub(crate) fn row_key<'a>(table: &'a Table, key: &'a ShardingKey, text: &str) -> Result<RowKey<'a>> {
    let canonical = key.of.canonical(text).map_err(|why| {
        Error::new(Kind::Usage, why).hint("ringshard table list shows the type of each key")
    })?;
    Ok(RowKey::new(&table.name, &key.column, canonical))
}

/// A column and its value: `COLUMN=VALUE`.
#[derive(Debug, Clone)]
pub struct Assignment {
    column: String,
    value: String,
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (column, value) = text.split_once('=').ok_or("it is not COLUMN=VALUE")?;
        check_text(value, usize::MAX)?;
        Ok(Self { column: column.into(), value: value.into() })
    }
}

/// The values of columns by their names.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// Set any column of `users`, as in --set created_at=2026-01-31; may be given more than once
    #[arg(long = "set", value_name = "COLUMN=VALUE", group = "change")]
    assignments: Vec<Assignment>,
    /// Set a column to NULL; may be given more than once
    #[arg(long = "set-null", value_name = "COLUMN")]
    nulls: Vec<String>,
}

impl SetArgs {
    /// With the values of the other flags. Fails with `Usage` if a column is set twice.
    fn with(&self, flags: [(&str, Option<&str>); 3]) -> Result<GivenValues> {
        let mut values = GivenValues::new();
        let of_flags = flags.into_iter().filter_map(|(column, value)| Some((column, Some(value?))));
        let assigned = self.assignments.iter().map(|set| (set.column.as_str(), Some(set.value.as_str())));
        let nulls = self.nulls.iter().map(|column| (column.as_str(), None));
        for (column, value) in of_flags.chain(assigned).chain(nulls) {
            if values.insert(column.to_owned(), value.map(ToOwned::to_owned)).is_some() {
                return Err(set_twice(column));
            }
        }
        Ok(values)
    }
}

fn set_twice(column: &str) -> Error {
    Error::new(Kind::Usage, format!("the column `{column}` is set twice")).hint("leave one of both out")
}

/// Takes a value of a column of the Python prototype: `None` if it is not given, `Some(None)` for NULL. Fails with `Usage` if it does not fit.
#[expect(clippy::option_option, reason = "as in `UserPatch`")]
fn take<T: FromStr<Err = String>>(values: &mut GivenValues, column: &str) -> Result<Option<Option<T>>> {
    let Some(value) = values.remove(column) else { return Ok(None) };
    let value = value.map(|text| text.parse::<T>()).transpose();
    let invalid = |why| {
        Error::new(Kind::Usage, format!("invalid value for `{column}`: {why}"))
            .hint("ringshard create-user --help shows what each takes")
    };
    value.map(Some).map_err(invalid)
}

/// Fails with `Usage` if a value is left, as the table of the Python prototype has no such column.
fn require_none(values: &GivenValues) -> Result<()> {
    let Some(column) = values.keys().next() else { return Ok(()) };
    Err(Error::new(Kind::Usage, format!("`users` has no column `{column}`, as far as this cluster knows"))
        .hint("ringshard schema show users lists its columns; if it is one of them: ringshard table add users --key user_id"))
}

/// The arguments of `create-user`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true))]
pub struct CreateUserArgs {
    /// The user's id, which determines the shard [default: if it is a bigint, a new one, made by a shard]
    #[arg(long = "id", value_name = "N", allow_negative_numbers = true)]
    flag: Option<IdText>,
    /// The user's id
    #[arg(value_name = "ID", allow_negative_numbers = true, conflicts_with = "flag")]
    argument: Option<IdText>,
    /// The name, up to 100 characters
    #[arg(long, value_name = "S", group = "change")]
    name: Option<Name>,
    /// The region, such as EU, up to 50 characters
    #[arg(long, value_name = "S")]
    region: Option<Region>,
    /// The email address, up to 100 characters
    #[arg(long, value_name = "S")]
    email: Option<Email>,
    #[command(flatten)]
    set: SetArgs,
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
    let users = args.iter().map(|args| args.user(args.id().ok()??).ok());
    // A user without an id waits for it alone, and so does one of other columns.
    let Some(users) = users.collect::<Option<Vec<User>>>() else { return open() };
    // A problem of the cluster is reported by the first user that is run alone.
    let batch = match context.cluster() {
        Ok(cluster) if users_of_other_columns(&cluster).is_none() => Router(&cluster).create_users(&users),
        _ => BatchOutcome::NotStored,
    };
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
        let of_prototype = |cluster: &Cluster, id: Option<UserId>| {
            let router = Router(cluster);
            // What is wrong with the values is said before a shard makes an id.
            let user = self.user(id.unwrap_or(UserId::new(0)))?;
            let user = User { user_id: id.map_or_else(|| router.next_own_id(), Ok)?, ..user };
            let (stored, _) = router.create_user(&user)?;
            let is_as_given = stored == user;
            Ok(with_warning(report(stored), is_as_given))
        };
        let of_row = |cluster: &Cluster, table: &Table, key: &ShardingKey| {
            let (router, values) = (Router(cluster), self.values_of_row(key)?);
            let row = match self.text() {
                Some(text) => row_key(table, key, text)?,
                None if key.of == KeyType::Bigint => row_key(table, key, &router.next_own_id()?.to_string())?,
                None => return Err(id_is_missing()),
            };
            let stored = router.create_row(&row, &values)?;
            let is_as_given = stored.is_as_given;
            Ok(with_warning(row_report(&key.column, stored), is_as_given))
        };
        by_columns(context, self.id(), of_prototype, of_row)
    }

    /// The id as it was given, if it was.
    pub(crate) fn text(&self) -> Option<&str> {
        self.flag.as_ref().or(self.argument.as_ref()).map(|id| id.0.as_str())
    }

    /// The number of the user, if one is given. Fails with `Usage` if it is no number.
    pub fn id(&self) -> Result<Option<UserId>> {
        id(self.flag.as_ref(), self.argument.as_ref())
    }

    fn values(&self) -> Result<GivenValues> {
        self.set.with([
            ("name", self.name.as_ref().map(Name::as_str)),
            ("region", self.region.as_ref().map(Region::as_str)),
            ("email", self.email.as_ref().map(Email::as_str)),
        ])
    }

    /// The values to store besides the key.
    pub(crate) fn values_of_row(&self, key: &ShardingKey) -> Result<GivenValues> {
        let values = self.values()?;
        if values.contains_key(&key.column) {
            return Err(
                Error::new(Kind::Usage, format!("`{}` is the id", key.column)).hint("set it with --id")
            );
        }
        Ok(values)
    }

    /// The user to store. Fails with `Usage` if it has no name, or a column that the Python prototype does not have.
    pub(crate) fn user(&self, user_id: UserId) -> Result<User> {
        let mut values = self.values()?;
        let name = take::<Name>(&mut values, "name")?.flatten();
        let (region, email) = (take::<Region>(&mut values, "region")?, take::<Email>(&mut values, "email")?);
        require_none(&values)?;
        let name =
            name.ok_or_else(|| Error::new(Kind::Usage, "the name is missing").hint("add --name Alice"))?;
        Ok(User {
            user_id,
            name: Some(name.as_str().into()),
            region: region.flatten().map(|region| region.as_str().into()),
            email: email.flatten().map(|email| email.as_str().into()),
        })
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
        by_columns(
            context,
            self.which.id().map(Some),
            |cluster, id| Router(cluster).get_user(id.ok_or_else(id_is_missing)?).map(report),
            |cluster, table, key| {
                let row = row_key(table, key, self.which.text()?)?;
                Router(cluster).get_row(&row).map(|found| row_report(&key.column, found))
            },
        )
    }
}

/// The arguments of `update-user`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").arg("nulls").required(true).multiple(true))]
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
    #[command(flatten)]
    set: SetArgs,
}

impl UpdateUserArgs {
    /// Changes the user and shows the result.
    pub fn run(&self, context: &Context<'_>) -> Result<Report> {
        let of_prototype = |cluster: &Cluster, id: Option<UserId>| {
            let patch = self.patch()?;
            let (user, _) = Router(cluster).update_user(id.ok_or_else(id_is_missing)?, &patch)?;
            let is_as_given = patch.holds_for(&user);
            Ok(with_warning(report(user), is_as_given))
        };
        let of_row = |cluster: &Cluster, table: &Table, key: &ShardingKey| {
            let row = row_key(table, key, self.which.text()?)?;
            let updated = Router(cluster).update_row(&row, &self.values_of_row(key)?)?;
            let is_as_given = updated.is_as_given;
            Ok(with_warning(row_report(&key.column, updated), is_as_given))
        };
        by_columns(context, self.which.id().map(Some), of_prototype, of_row)
    }

    fn values(&self) -> Result<GivenValues> {
        let mut values = self.set.with([
            ("name", self.name.as_ref().map(Name::as_str)),
            ("region", self.region.as_ref().map(Region::as_str)),
            ("email", self.email.as_ref().map(Email::as_str)),
        ])?;
        for (column, is_removed) in [("region", self.no_region), ("email", self.no_email)] {
            if is_removed && values.insert(column.into(), None).is_some() {
                return Err(set_twice(column));
            }
        }
        Ok(values)
    }

    /// The columns to change. Fails with `Usage` if the key is one of them.
    pub(crate) fn values_of_row(&self, key: &ShardingKey) -> Result<GivenValues> {
        let values = self.values()?;
        if values.contains_key(&key.column) {
            let message =
                format!("`{}` is the id, which decides the shard and cannot be changed", key.column);
            return Err(Error::new(Kind::Usage, message).hint("create another user, and delete this one"));
        }
        Ok(values)
    }

    /// The fields to change. Fails with `Usage` if the Python prototype does not have one.
    pub(crate) fn patch(&self) -> Result<UserPatch> {
        let mut values = self.values()?;
        let name = take::<Name>(&mut values, "name")?;
        let patch = UserPatch {
            name: name.clone().flatten(),
            region: take(&mut values, "region")?,
            email: take(&mut values, "email")?,
        };
        require_none(&values)?;
        if name == Some(None) {
            return Err(Error::new(Kind::Usage, "the name cannot be removed").hint("set another with --name"));
        }
        Ok(patch)
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
        // After a lost connection it is known that the user is deleted, but not what it was.
        let unknown = |id: &str| {
            Report::note(format!("deleted user `{id}`; the connection was lost before its data arrived"))
        };
        by_columns(
            context,
            self.which.id().map(Some),
            |cluster, id| {
                let id = id.ok_or_else(id_is_missing)?;
                let (deleted, _) = Router(cluster).delete_user(id)?;
                Ok(deleted.map_or_else(|| unknown(&id.to_string()), report))
            },
            |cluster, table, key| {
                let row = row_key(table, key, self.which.text()?)?;
                let deleted = Router(cluster).delete_row(&row)?;
                Ok(deleted.map_or_else(|| unknown(row.text()), |found| row_report(&key.column, found)))
            },
        )
    }
}
