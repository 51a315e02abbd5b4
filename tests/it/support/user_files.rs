//! Files of users, and what an import stored of them.

use std::collections::BTreeMap;
use std::fs;

use ringshard::bulk::{FileFormat, HEADER, encode};
use ringshard::model::user::{UserId, UserRef};

use super::harness::{Ran, Test};

pub(crate) type Fields = (Option<String>, Option<String>, Option<String>);

fn user(id: i64) -> Fields {
    let region = ["EU", "US", "APAC"][usize::try_from(id.rem_euclid(3)).unwrap()];
    (Some(format!("Name {id}")), Some(region.into()), Some(format!("user{id}@example.com")))
}

pub(crate) fn users(ids: impl IntoIterator<Item = i64>) -> BTreeMap<i64, Fields> {
    ids.into_iter().map(|id| (id, user(id))).collect()
}

pub(crate) fn file_of(users: &BTreeMap<i64, Fields>, format: FileFormat) -> Vec<u8> {
    let mut bytes = if format == FileFormat::Csv { HEADER.as_bytes().to_vec() } else { Vec::new() };
    for (id, (name, region, email)) in users {
        let (name, region, email) = (name.as_deref(), region.as_deref(), email.as_deref());
        encode(format, UserRef { user_id: UserId::new(*id), name, region, email }.bytes(), &mut bytes);
    }
    bytes
}

pub(crate) fn write(test: &Test, name: &str, bytes: impl AsRef<[u8]>) {
    fs::write(test.home.path().join(name), bytes).unwrap();
}

/// All users on all shards. Asserts that each is on its owner alone.
pub(crate) fn stored(test: &Test) -> BTreeMap<i64, Fields> {
    let mut all = BTreeMap::new();
    for number in 1..=3 {
        for row in test.query(number, "SELECT user_id, name, region, email FROM users", &[]) {
            let id: i64 = row.get(0);
            let before = all.insert(id, (row.get(1), row.get(2), row.get(3)));
            assert_eq!(before, None, "user {id} is stored twice");
            let holds = "SELECT count(*) FROM ringshard.arc WHERE state = 'owned' \
                         AND first <= md5($1)::uuid AND last >= md5($1)::uuid";
            if all.len() % 50 == 1 {
                let held: i64 = test.query(number, holds, &[&id.to_string()])[0].get(0);
                assert_eq!(held, 1, "user {id} is not on its owner");
            }
        }
    }
    all
}

/// Imports `f.csv` with this text up to the record of a user whose id is damaged, in batches of so many KiB.
pub(crate) fn import_up_to(test: &Test, text: &str, id: i64, batch_kib: u32) -> Ran {
    write(test, "f.csv", text.replacen(&format!("\n{id},"), "\nxxx,", 1));
    test.run(&["import", "f.csv", "--batch-kib", &batch_kib.to_string()]).fails(65)
}

/// The columns of an import's report behind `file`: records, inserted, updated, skipped, rejected, resumed.
pub(crate) fn counts(ran: &Ran) -> Vec<u64> {
    ran.fields()[0][1..].iter().map(|number| number.parse().unwrap()).collect()
}

pub(crate) fn unfinished(test: &Test) -> i64 {
    (1..=3).map(|n| test.query(n, "SELECT count(*) FROM ringshard.import", &[])[0].get::<_, i64>(0)).sum()
}

pub(crate) fn empty(test: &Test) {
    for number in 1..=3 {
        test.execute(number, "TRUNCATE users; DELETE FROM ringshard.import");
    }
}
