//! Connection strings: URLs, pairs, and `local:`.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

use ringshard::error::{Error, Kind};
use ringshard::local::PrivateServer;
use ringshard::pg::net::conninfo::{Address, ConnectionString};

use crate::mistakes::{any_value, config, edited, edits, text_like};

/// A part of each password.
const SECRET: &str = "hunter2";

const CONNECTION_STRINGS: &[&str] = &[
    "postgresql://u:p%40ss@h:5433/db?sslmode=require",
    "postgres://h1:1,h2:2,[::1]:7/d?target_session_attrs=primary&options=-c%20a%3Db",
    "postgresql:///d?host=/run/x&port=6000&connect_timeout=3",
    "postgresql://%2Frun%2Fx/d",
    "host=h port=1,2 user=u password='it\\'s \\\\ x' dbname=d",
    "host=a,b hostaddr=127.0.0.1,::1 sslrootcert='/a b/c.crt' keepalives_idle=5",
    "local:shard_1",
];

fn resolved(text: &str) -> Result<Address, Error> {
    let server = PrivateServer::at(Some(Path::new("/nonexistent")), None).unwrap();
    ConnectionString::new(text).resolve(&server, Duration::from_secs(1))
}

/// A value in a URL, with each byte escaped.
fn in_url(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// A value in pairs.
fn in_quotes(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A password with the secret in it.
fn any_password() -> impl Strategy<Value = String> {
    (any_value(), any_value()).prop_map(|(before, after)| format!("{before}{SECRET}{after}"))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_shown_url_means_the_same(text in text_like(CONNECTION_STRINGS)) {
        let given = ConnectionString::new(text.as_str());
        prop_assert_eq!(given.expose(), &text);
        for made in [given.for_maintenance(), given.with_database("shard_1")] {
            if let Err(error) = made {
                prop_assert_eq!(error.kind(), Kind::Configuration);
            }
        }
        match resolved(&text) {
            Ok(address) if address.is_local() => prop_assert!(text.starts_with("local:")),
            Ok(address) => {
                let again = resolved(address.shown());
                prop_assert!(again.is_ok(), "{} is refused: {again:?}", address.shown());
                let again = again.unwrap();
                prop_assert_eq!(again.shown(), address.shown());
                prop_assert_eq!(again.database(), address.database());
            }
            Err(error) => prop_assert_eq!(error.kind(), Kind::Configuration),
        }
    }

    #[test]
    fn another_database_is_the_last_one_named(text in text_like(CONNECTION_STRINGS), first in any_value(), second in any_value()) {
        let given = ConnectionString::new(text);
        let Ok(one) = given.with_database(&first) else { return Ok(()) };
        let Ok(both) = one.with_database(&second) else { return Ok(()) };
        let direct = given.with_database(&second).unwrap();
        let Ok(address) = resolved(direct.expose()) else { return Ok(()) };
        prop_assert_eq!(address.database(), &second);
        let both = resolved(both.expose()).unwrap();
        prop_assert_eq!(both.shown(), address.shown());
    }

    #[test]
    fn an_error_never_quotes_a_password(
        form in select(&[
            ("postgresql://u", ":", "@", "h:1/d?sslmode=require"),
            ("postgresql://h1,h2/d?sslmode=disable&", "password=", "&", "user=u"),
            ("host=h user=u ", "password=", " ", "dbname=d port=1"),
            ("host=h user=u ", "password='", "' ", "dbname=d port=1"),
        ][..]),
        password in any_password(),
        mistakes in (edits(), edits()),
    ) {
        let (before, open, close, behind) = form;
        let (before, behind) = (edited(before, &mistakes.0), edited(behind, &mistakes.1));
        // As a person types it who does not know what must be escaped.
        let text = format!("{before}{open}{password}{close}{behind}");
        let given = ConnectionString::new(text.as_str());
        let errors = [given.for_maintenance().err(), given.with_database("d").err(), resolved(&text).err()];
        for error in errors.into_iter().flatten() {
            prop_assert!(!format!("{error:?}").contains(SECRET), "{error:?}");
        }
        let debug = format!("{given:?}");
        prop_assert!(!debug.contains(SECRET));
    }

    #[test]
    fn a_url_and_pairs_say_the_same(
        user in any_value(),
        password in any_password(),
        host in prop_oneof!["[a-z][a-z0-9.-]{0,9}", "/[a-z ]{1,9}", Just("::1".to_owned())],
        port in 1_u16..,
        database in any_value(),
        options in any_value(),
    ) {
        let place = if host.contains(':') { format!("[{host}]") } else { in_url(&host) };
        let url = format!(
            "postgresql://{}:{}@{place}:{port}/{}?options={}",
            in_url(&user), in_url(&password), in_url(&database), in_url(&options),
        );
        let pairs = format!(
            "user={} password={} host={} port={port} dbname={} options = {}",
            in_quotes(&user), in_quotes(&password), in_quotes(&host), in_quotes(&database), in_quotes(&options),
        );
        let (of_url, of_pairs) = (resolved(&url).unwrap(), resolved(&pairs).unwrap());
        prop_assert_eq!(format!("{of_url:?}"), format!("{of_pairs:?}"));
        prop_assert_eq!((of_url.database(), of_pairs.database()), (database.as_str(), database.as_str()));
        prop_assert_eq!((of_url.password_from(), of_pairs.password_from()), (Some("the URL"), Some("the URL")));
        let debug = format!("{of_url:?}");
        prop_assert!(!debug.contains(SECRET), "{debug}");
        // The shown URL has everything but the password.
        let without = resolved(&url.replace(&format!(":{}@", in_url(&password)), "@")).unwrap();
        let (without, again) = (format!("{without:?}"), format!("{:?}", resolved(of_url.shown()).unwrap()));
        prop_assert_eq!(without, again);
    }
}
