//! Batches of creates with faults: an unanswered commit, a shard that cannot be reached.

use std::time::{Duration, Instant};

use ringshard::model::user::User;
use ringshard::pg::cluster::Cluster;
use ringshard::pg::rows::Router;
use ringshard::pg::rows::batch_create::{BatchOutcome, UserOutcome};

use crate::support::harness::Test;
use crate::support::library::{all_ids, cluster, cluster_of, user, users};
use crate::support::proxy::{Cut, Proxy};
use crate::support::rings::{ids_of, owner};

/// The commit's statement, and no other.
const COMMIT: &str = "; COMMIT";

fn through(test: &Test, shard: usize, proxy: &Proxy) -> Cluster {
    cluster_of(test, |number| if number == shard { proxy.url() } else { test.url(number) })
}

/// Completes a batch as a caller does: absent users are created one at a time. The ids that are stored in the end.
fn finish(cluster: &Cluster, users: &[User], batch: BatchOutcome) -> Vec<i64> {
    let outcomes = match batch {
        BatchOutcome::Stored => vec![UserOutcome::Stored; users.len()],
        BatchOutcome::NotStored => vec![UserOutcome::Absent; users.len()],
        BatchOutcome::Partial(outcomes) => outcomes,
    };
    assert_eq!(outcomes.len(), users.len());
    let is_stored = |user: &User, outcome: &UserOutcome| match outcome {
        UserOutcome::Stored => true,
        UserOutcome::Absent => Router(cluster).create_user(user).is_ok(),
        UserOutcome::Failed(_) => false,
    };
    let stored = users.iter().zip(&outcomes).filter(|(user, outcome)| is_stored(user, outcome));
    stored.map(|(user, _)| user.user_id.number()).collect()
}

/// The outcomes if the users of one shard have this one, and all others are stored.
fn outcomes(users: &[User], shard: usize, outcome: &UserOutcome) -> Vec<UserOutcome> {
    let of = |user: &User| {
        if owner(user.user_id.number()) == shard { outcome.clone() } else { UserOutcome::Stored }
    };
    users.iter().map(of).collect()
}

#[test]
fn an_unanswered_commit_is_looked_up() {
    let test = Test::initialised();
    let requested = users(1..=40);
    for cut in [Cut::Answer, Cut::Request, Cut::Both] {
        let proxy = Proxy::new(&test.database(2), COMMIT, cut);
        let cluster = through(&test, 2, &proxy);
        let batch = Router(&cluster).create_users(&requested);
        assert!(proxy.has_cut(), "the connection was not cut");
        match cut {
            Cut::Answer => assert_eq!(batch, BatchOutcome::Stored),
            Cut::Request => {
                assert_eq!(batch, BatchOutcome::Partial(outcomes(&requested, 2, &UserOutcome::Absent)));
            }
            Cut::Both => {
                let absent = BatchOutcome::Partial(outcomes(&requested, 2, &UserOutcome::Absent));
                assert!([BatchOutcome::Stored, absent].contains(&batch), "{batch:?}");
            }
        }
        // The outcome is right.
        let expected = if batch == BatchOutcome::Stored { 40 } else { 40 - ids_on_two().len() };
        assert_eq!(all_ids(&test).len(), expected, "{cut:?}");
        assert_eq!(finish(&cluster, &requested, batch), (1..=40).collect::<Vec<_>>(), "{cut:?}");
        assert_eq!(all_ids(&test), (1..=40).collect::<Vec<_>>(), "{cut:?}");
        for number in 1..=3 {
            test.execute(number, "DELETE FROM users");
        }
    }
}

fn ids_on_two() -> Vec<i64> {
    ids_of(2, 1, 40).into_iter().filter(|id| *id <= 40).collect()
}

#[test]
fn a_lost_commit_on_a_single_shard_stores_nothing() {
    let test = Test::initialised();
    let proxy = Proxy::new(&test.database(2), COMMIT, Cut::Request);
    let cluster = through(&test, 2, &proxy);
    assert_eq!(Router(&cluster).create_users(&users(ids_on_two())), BatchOutcome::NotStored);
    assert!(proxy.has_cut() && all_ids(&test).is_empty());
    assert_eq!(Router(&cluster).create_users(&users(ids_on_two())), BatchOutcome::Stored);
}

#[test]
fn a_connection_cut_before_the_commit_stores_nothing() {
    let test = Test::initialised();
    for (statement, cut) in [
        ("BEGIN ISOLATION", Cut::Answer),
        ("INSERT INTO public.users", Cut::Answer),
        ("INSERT INTO public.users", Cut::Request),
        ("INSERT INTO public.users", Cut::Both),
    ] {
        let proxy = Proxy::new(&test.database(2), statement, cut);
        let cluster = through(&test, 2, &proxy);
        assert_eq!(
            Router(&cluster).create_users(&users(1..=40)),
            BatchOutcome::NotStored,
            "{statement} {cut:?}"
        );
        assert!(proxy.has_cut(), "{statement} {cut:?}");
        assert!(all_ids(&test).is_empty(), "{statement} {cut:?}");
        // No session is left behind that holds the rows: this would wait for it.
        test.execute(2, "SET lock_timeout = '5s'; BEGIN; LOCK TABLE users; COMMIT");
        assert_eq!(
            Router(&cluster).create_users(&users(1..=40)),
            BatchOutcome::Stored,
            "{statement} {cut:?}"
        );
        for number in 1..=3 {
            test.execute(number, "DELETE FROM users");
        }
    }
}

/// A busy server does not notice a cut connection, and would keep the rows locked.
#[test]
fn a_lost_session_is_terminated() {
    let test = Test::initialised();
    test.execute(
        2,
        "CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             PERFORM pg_sleep(60); RETURN NEW; END $$; \
         CREATE TRIGGER sleep BEFORE INSERT ON users FOR EACH STATEMENT EXECUTE FUNCTION sleep()",
    );
    let proxy = Proxy::new(&test.database(2), "INSERT INTO public.users", Cut::Both);
    let cluster = through(&test, 2, &proxy);
    let begun = Instant::now();
    assert_eq!(Router(&cluster).create_users(&users(1..=40)), BatchOutcome::NotStored);
    assert!(proxy.has_cut() && begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    test.execute(2, "SET lock_timeout = '5s'; DROP TRIGGER sleep ON users");
    assert_eq!(Router(&cluster).create_users(&users(1..=40)), BatchOutcome::Stored);
}

/// A session that waits within its commit does not notice a cut connection.
#[test]
fn a_waiting_commit_is_terminated_before_its_outcome_is_reported() {
    let test = Test::initialised();
    test.execute(
        2,
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             PERFORM set_config('lock_timeout', '60s', true), pg_advisory_xact_lock(5); RETURN NULL; END $$; \
         CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON users DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW EXECUTE FUNCTION wait()",
    );
    let mut holder = test.client(2);
    holder.batch_execute("SELECT pg_advisory_lock(5)").unwrap();
    let proxy = Proxy::new(&test.database(2), COMMIT, Cut::Both);
    let requested = users(1..=40);
    let batch = Router(&through(&test, 2, &proxy)).create_users(&requested);
    assert!(proxy.has_cut());
    assert_eq!(batch, BatchOutcome::Partial(outcomes(&requested, 2, &UserOutcome::Absent)));
    holder.batch_execute("SELECT pg_advisory_unlock(5)").unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(test.ids(2).is_empty(), "a late commit stored users");
}

#[test]
fn a_failed_commit_rolls_back_one_shard_only() {
    let test = Test::initialised();
    test.execute(
        2,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             RAISE EXCEPTION 'not today'; END $$; \
         CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON users DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW EXECUTE FUNCTION refuse()",
    );
    let cluster = cluster(&test);
    let requested = users(1..=40);
    let batch = Router(&cluster).create_users(&requested);
    assert_eq!(batch, BatchOutcome::Partial(outcomes(&requested, 2, &UserOutcome::Absent)));
    assert!(test.ids(2).is_empty());
    let elsewhere: Vec<i64> = (1..=40).filter(|id| owner(*id) != 2).collect();
    assert_eq!(finish(&cluster, &requested, batch), elsewhere);
    assert_eq!(all_ids(&test), elsewhere);
    // The connection is still usable, and a single create reports the cause.
    let error = Router(&cluster).create_user(&user(ids_on_two()[0])).unwrap_err();
    assert!(error.message().contains("not today"), "{error}");
}

#[test]
fn an_undeterminable_outcome_is_reported_as_unknown() {
    let test = Test::initialised();
    let proxy = Proxy::new(&test.database(2), COMMIT, Cut::Answer);
    let cluster = through(&test, 2, &proxy);
    // Open sessions stay; new ones are refused.
    let database = test.database(2);
    test.execute(1, &format!("ALTER DATABASE {database} ALLOW_CONNECTIONS false"));
    let requested = users(1..=40);
    let begun = Instant::now();
    let batch = Router(&cluster).create_users(&requested);
    test.execute(1, &format!("ALTER DATABASE {database} ALLOW_CONNECTIONS true"));
    assert!(proxy.has_cut() && begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    let BatchOutcome::Partial(outcomes) = batch else { panic!("{batch:?}") };
    for (user, outcome) in requested.iter().zip(&outcomes) {
        let id = user.user_id.number();
        match outcome {
            UserOutcome::Stored => assert_ne!(owner(id), 2, "user {id}"),
            UserOutcome::Absent => panic!("the outcome of user {id} cannot be known"),
            UserOutcome::Failed(error) => {
                assert_eq!(owner(id), 2, "user {id}");
                assert!(error.message().contains(&format!("user `{id}`")), "{error}");
                assert!(error.message().contains("the outcome is unknown"), "{error}");
            }
        }
    }
    assert_eq!(all_ids(&test), (1..=40).collect::<Vec<_>>(), "the commit was lost");
}

#[test]
fn an_unreachable_shard_stores_nothing_and_does_not_affect_others() {
    let test = Test::initialised();
    let dead = "postgresql://postgres@127.0.0.1:1/x";
    let unreachable =
        cluster_of(&test, |number| if number == 3 { dead.to_owned() } else { test.url(number) });
    let begun = Instant::now();
    assert_eq!(Router(&unreachable).create_users(&users(1..=40)), BatchOutcome::NotStored);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert!(all_ids(&test).is_empty());
    assert_eq!(
        Router(&unreachable).create_users(&users(ids_on_two())),
        BatchOutcome::Stored,
        "shard 2 is reachable"
    );
    // A shard whose sessions were terminated without notice.
    let cluster = cluster(&test);
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()";
    assert!(!test.query(3, end, &[&test.database(3)]).is_empty());
    let batch = Router(&cluster).create_users(&users(101..=140));
    assert_eq!(
        all_ids(&test),
        if batch == BatchOutcome::Stored {
            [ids_on_two(), (101..=140).collect()].concat()
        } else {
            ids_on_two()
        }
    );
    if batch != BatchOutcome::Stored {
        assert_eq!(
            Router(&cluster).create_users(&users(101..=140)),
            BatchOutcome::Stored,
            "the pool has not reconnected"
        );
    }
}
