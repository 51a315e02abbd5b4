//! A chat for many workspaces, with messages in partitions (`schemas/chat.sql`), grown and shrunk under its writers.

use uuid::Uuid;

use crate::support::shard_clients::Refusal;
use crate::support::unsharded_copy::{Application, Work, Writer, with_tables};

const WORKSPACES: u64 = 40;

const CHAT: Application = Application {
    sharded: &[
        ("workspaces", "id", None),
        ("members", "workspace_id", None),
        ("channels", "workspace_id", None),
        ("messages", "workspace_id", None),
        ("reactions", "workspace_id", None),
        ("attachments", "workspace_id", None),
    ],
    references: &[],
    changes: &[
        "ALTER TABLE members ALTER COLUMN id SET DEFAULT ringshard.next_id()",
        "ALTER TABLE channels ALTER COLUMN id SET DEFAULT ringshard.next_id()",
        "ALTER TABLE messages ALTER COLUMN id SET DEFAULT ringshard.next_id()",
    ],
    step,
};

const TIME: &str = "('2023-01-01 UTC'::timestamptz + $2::bigint % 1500000 * interval '61 s 7 us')";

/// One transaction within a workspace of the writer's own.
fn step(writer: &mut Writer) {
    let number = u128::from(writer.own(WORKSPACES).unsigned_abs()) + 1;
    let workspace = Uuid::from_u128(number * 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
    let seed = writer.below(1 << 40);
    let Some(row) = writer.read(
        "SELECT (SELECT id FROM members WHERE workspace_id = $1 ORDER BY hashint8(id # $2::bigint), id LIMIT 1), \
                (SELECT id FROM channels WHERE workspace_id = $1 ORDER BY hashint8(id # $2::bigint), id LIMIT 1), \
                (SELECT id FROM messages WHERE workspace_id = $1 ORDER BY hashint8(id # $2::bigint), id LIMIT 1) FROM workspaces WHERE id = $1",
        &[&workspace, &seed],
    ) else {
        return writer.transact(|work| open(work, workspace, seed));
    };
    let (member, channel, message): (Option<i64>, Option<i64>, Option<i64>) =
        (row.get(0), row.get(1), row.get(2));
    match (writer.below(20), member, channel, message) {
        (0..=5, Some(member), Some(channel), _) => {
            writer.transact(|work| post(work, workspace, seed, channel, member));
        }
        (6..=8, Some(member), _, Some(message)) => writer.transact(|work| {
            let react = "INSERT INTO reactions SELECT workspace_id, id, posted_at, $3, '👍' || $4::bigint FROM messages \
                         WHERE (workspace_id, id) = ($1, $2)";
            work.write(react, &[&workspace, &message, &member, &seed])
        }),
        (9..=10, .., Some(message)) => writer.transact(|work| {
            let edit = format!(
                "UPDATE messages SET body = 'edited runs ' || $2::bigint, edited_at = {TIME} WHERE (workspace_id, id) = ($1, $3)"
            );
            work.write(&edit, &[&workspace, &seed, &message])
        }),
        (11, .., Some(message)) => writer.transact(|work| {
            // With its reactions and attachments.
            work.write("DELETE FROM messages WHERE (workspace_id, id) = ($1, $2)", &[&workspace, &message])
        }),
        (12, .., Some(message)) => writer.transact(|work| redate(work, workspace, seed, message)),
        (13, Some(member), ..) => writer.transact(|work| {
            // With all that is his.
            work.write("DELETE FROM members WHERE (workspace_id, id) = ($1, $2)", &[&workspace, &member])
        }),
        (14, _, Some(channel), _) if seed % 3 == 0 => writer.transact(|work| {
            work.write("DELETE FROM channels WHERE (workspace_id, id) = ($1, $2)", &[&workspace, &channel])
        }),
        (15, ..) if seed % 4 == 0 => {
            writer.transact(|work| work.write("DELETE FROM workspaces WHERE id = $1", &[&workspace]));
        }
        (16..=17, ..) => writer.transact(|work| add_channel(work, workspace, seed).map(drop)),
        (18, ..) => writer.transact(|work| {
            let theme = "UPDATE workspaces SET preferences = preferences || jsonb_build_object('theme', $2::bigint, 'null', NULL) WHERE id = $1";
            work.write(theme, &[&workspace, &seed])
        }),
        _ => writer.transact(|work| join(work, workspace, seed).map(drop)),
    }
}

fn open(work: &mut Work<'_, '_>, workspace: Uuid, seed: i64) -> Result<(), Refusal> {
    let insert = format!("INSERT INTO workspaces VALUES ($1, 'w-' || $2::bigint, {TIME})");
    work.write(&insert, &[&workspace, &seed])?;
    let member = join(work, workspace, seed)?;
    let channel = add_channel(work, workspace, seed)?;
    post(work, workspace, seed, channel, member)
}

fn join(work: &mut Work<'_, '_>, workspace: Uuid, seed: i64) -> Result<i64, Refusal> {
    let insert = format!(
        "INSERT INTO members (id, workspace_id, handle, role, joined_at) \
         VALUES (DEFAULT, $1, 'Zoë ' || $2::bigint, (ARRAY['owner', 'member', 'guest'])[$2 % 3 + 1]::role, {TIME}) RETURNING id"
    );
    work.insert(&insert, &[&workspace, &seed])
}

fn add_channel(work: &mut Work<'_, '_>, workspace: Uuid, seed: i64) -> Result<i64, Refusal> {
    let insert = "INSERT INTO channels (id, workspace_id, name, topics) \
                  VALUES (DEFAULT, $1, '#' || $2::bigint, ARRAY['a, \"b\"', NULL, '{}']) RETURNING id";
    work.insert(insert, &[&workspace, &seed])
}

/// Posts a message, perhaps with files.
fn post(
    work: &mut Work<'_, '_>,
    workspace: Uuid,
    seed: i64,
    channel: i64,
    author: i64,
) -> Result<(), Refusal> {
    let insert = format!(
        "INSERT INTO messages (id, workspace_id, posted_at, channel_id, author_id, body) \
         VALUES (DEFAULT, $1, {TIME}, $3, $4, E'The quick\\tfoxes \\\\ jumped\\n' || $2::bigint) RETURNING id"
    );
    let message = work.insert(&insert, &[&workspace, &seed, &channel, &author])?;
    let files = "INSERT INTO attachments SELECT workspace_id, id, posted_at, 'file ' || n, \
                     decode(repeat(md5(n::text) || '00ff5c0a', n::integer * 20), 'hex') \
                 FROM messages, generate_series(1, $3::bigint % 3) AS n WHERE (workspace_id, id) = ($1, $2)";
    work.execute(files, &[&workspace, &message, &seed]).map(drop)
}

/// Gives a message another time, and so perhaps another partition, without what refers to it.
fn redate(work: &mut Work<'_, '_>, workspace: Uuid, seed: i64, message: i64) -> Result<(), Refusal> {
    for table in ["reactions", "attachments"] {
        let delete = format!("DELETE FROM {table} WHERE (workspace_id, message_id) = ($1, $2)");
        work.execute(&delete, &[&workspace, &message])?;
    }
    let update = format!("UPDATE messages SET posted_at = {TIME} WHERE (workspace_id, id) = ($1, $3)");
    work.write(&update, &[&workspace, &seed, &message])
}

#[test]
fn a_chat_grows_to_four_shards_and_shrinks_to_two_while_it_is_used() {
    CHAT.grow_and_shrink(&with_tables(include_str!("schemas/chat.sql")), 120);
}
