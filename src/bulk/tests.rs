//! Round trips of hostile values, and bad records.

use std::io::{self, Cursor, Read};

use proptest::prelude::*;

use super::{FileFormat, HEADER, Records, encode};
use crate::model::user::{User, UserId, UserRef};

/// Returns a few bytes at a time, so that records span several reads.
struct Trickle(Cursor<Vec<u8>>, usize);

impl Read for Trickle {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.1.min(out.len());
        self.0.read(&mut out[..count])
    }
}

fn read(bytes: &[u8], at_a_time: usize) -> Vec<(u64, Result<User, String>)> {
    let input = Trickle(Cursor::new(bytes.to_vec()), at_a_time);
    let mut records = Records::new("f", Box::new(input)).unwrap();
    let mut all = Vec::new();
    while let Some(record) = records.next_record().unwrap() {
        all.push((record.line, record.user.map(UserRef::to_user)));
    }
    all
}

fn reason(text: &str) -> String {
    let (_, user) = read(text.as_bytes(), usize::MAX).remove(0);
    user.unwrap_err()
}

fn refused(bytes: &[u8]) -> String {
    let input = Cursor::new(bytes.to_vec());
    let error = Records::new("f", Box::new(input)).err().unwrap();
    assert_eq!(error.kind(), crate::error::Kind::BadInput);
    error.to_string()
}

fn user(id: i64, name: Option<&str>, region: Option<&str>, email: Option<&str>) -> User {
    UserRef { user_id: UserId::new(id), name, region, email }.to_user()
}

fn text() -> impl Strategy<Value = Option<String>> {
    let hostile =
        prop::sample::select(vec!['"', ',', '\n', '\r', '\\', 'N', '\'', '\t', '\u{202e}', 'é', '😀', ' ']);
    let any = any::<char>().prop_filter("Postgres cannot store it", |c| *c != '\0');
    let characters = prop::collection::vec(prop_oneof![hostile, any], 0..50);
    prop::option::of(characters.prop_map(|characters| characters.into_iter().collect()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back(
        users in prop::collection::vec((any::<i64>(), text(), text(), text()), 1..20),
        at_a_time in 1_usize..40,
    ) {
        let users: Vec<User> = users
            .into_iter()
            .map(|(id, name, region, email)| User { user_id: UserId::new(id), name, region, email })
            .collect();
        for format in [FileFormat::Csv, FileFormat::JsonLines] {
            let mut bytes = if format == FileFormat::Csv { HEADER.as_bytes().to_vec() } else { Vec::new() };
            for user in &users {
                let User { user_id, name, region, email } = user;
                let (name, region, email) = (name.as_deref(), region.as_deref(), email.as_deref());
                encode(format, UserRef { user_id: *user_id, name, region, email }.bytes(), &mut bytes);
            }
            let back: Vec<User> = read(&bytes, at_a_time).into_iter().map(|(_, user)| user.unwrap()).collect();
            prop_assert_eq!(&back, &users);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), at_a_time in 1_usize..40) {
        let with_header = [HEADER.as_bytes(), &bytes].concat();
        read(&with_header, at_a_time);
        let Ok(mut records) = Records::new("f", Box::new(Cursor::new(bytes))) else { return Ok(()) };
        while records.next_record().unwrap().is_some() {}
    }
}

#[test]
fn a_header_may_have_any_order_and_leave_columns_out() {
    let (first, second) = (user(7, Some("a\"b\nc"), None, Some("e@x")), user(-8, Some(""), None, None));
    let all = read(b"\xef\xbb\xbfemail,user_id,name\r\ne@x,7,\"a\"\"b\nc\"\r\n\r\n,-8,\"\"", 3);
    assert_eq!(all, [(2, Ok(first)), (5, Ok(second))]);
}

#[test]
fn the_files_of_spreadsheets_are_read() {
    let expected = [user(1, Some("A;b"), Some("EU"), None), user(2, None, None, None)];
    for text in [
        "user_id,name,region\n1,A;b,EU\n2,,\n",
        "user_id;name;region\n1;\"A;b\";EU\n2;;\n",
        "user_id\tname\tregion\r\n1\tA;b\tEU\r\n2\t\t\r\n",
        "user_id|name|region\n1|A;b|EU\n2||",
        "sep=;\r\nuser_id;name;region\r\n1;\"A;b\";EU\r\n2;;\r\n",
        "\u{feff}\"sep=|\"\nuser_id|name|region\n1|A;b|EU\n2||\n",
        "SEP=:\nuser_id:name:region\n1:A;b:EU\n2::\n",
        // Columns without a name at the end, fields behind the last column, empty rows, capitals, blanks.
        "user_id,name,region,,\n1,A;b,EU,,\n2,,,,\n,,,,\n",
        "User_ID, Name ,REGION\n,,,,\n1,A;b,EU,\n\n  , \n2,,,,,\n\n,,\n",
        "\"USER_ID\";\"NAME\";\"Region\"\n1;\"A;b\";EU\n2;;\n;;\n",
    ] {
        for at_a_time in [1, usize::MAX] {
            let all = read(text.as_bytes(), at_a_time).into_iter().map(|(_, user)| user.unwrap());
            assert_eq!(all.collect::<Vec<_>>(), expected, "{text}");
        }
    }
    // The number of a line counts the lines before it, whatever they hold.
    assert_eq!(read(b"sep=;\nuser_id;name\n;\n7;x\n", 3), [(4, Ok(user(7, Some("x"), None, None)))]);
    for (text, why) in [
        ("user_id;nme;region\n", "f:1: the header has the column `nme`"),
        ("user_id,,name\n", "f:1: column 2 of the header has no name"),
        (",,\n", "f:1: the header lacks the column `user_id`"),
        ("user_id;USER_ID\n", "the column `USER_ID` twice"),
        ("sep=;\nuser_id,name\n", "f:2: the header has the column `user_id,name`"),
        ("sep=;\n", "the file ends after its line `sep=`"),
        ("user_id,name\r1,a\r2,b\r", "f:1: the lines end with a carriage return alone"),
        ("u\0s\0e\0r\0", "UTF-16 without a byte order mark"),
        ("\0{\0\"\0u", "UTF-16 without a byte order mark"),
    ] {
        assert!(refused(text.as_bytes()).contains(why), "{}", refused(text.as_bytes()));
    }
    let extra = read(b"user_id,name\n1,a,b\n2,a,\"\"\n3\n", 7);
    assert!(
        extra.iter().all(|(_, user)| user.as_ref().unwrap_err().contains("but the header has 2")),
        "{extra:?}"
    );
    assert_eq!(extra.len(), 3);
}

#[test]
fn a_layout_writes_what_its_file_is_read_as() {
    let all = [
        user(-1, Some("a;b,c|d\te"), Some(""), None),
        user(2, Some("\"q\"\r\n"), None, Some("e@x")),
        user(3, None, Some(" "), Some("\\N")),
    ];
    for header in [
        "user_id,name,region,email",
        "email;USER_ID;region;name;;",
        "region|user_id|email|name",
        "name\tuser_id\temail\tregion",
        "sep=:\nname:user_id:email:region",
        "{\"user_id\": 0}",
    ] {
        let records = Records::new("f", Box::new(Cursor::new(header.as_bytes().to_vec()))).unwrap();
        let mut file = records.header().map_or_else(Vec::new, |header| [header, b"\n"].concat());
        for User { user_id, name, region, email } in &all {
            let (name, region, email) = (name.as_deref(), region.as_deref(), email.as_deref());
            records.layout().encode(UserRef { user_id: *user_id, name, region, email }.bytes(), &mut file);
            file.push(b'\n');
        }
        let back: Vec<User> = read(&file, 5).into_iter().map(|(_, user)| user.unwrap()).collect();
        assert_eq!(back, all, "{header}");
    }
}

#[test]
fn a_bad_record_has_a_reason_and_the_next_one_is_read() {
    let lines = [
        ("1,a,b", "3 fields, but the header has 4"),
        ("x,a,b,c", "`x`: a user id is a whole number"),
        (",a,b,c", "no user_id"),
        ("9223372036854775808,a,b,c", "a whole number from"),
        ("1,a\"b,\"c,d", "a quote in the middle of a field"),
        ("1,\"a\"b,c,d", "text after a closing quote"),
        (&format!("1,{},b,c", "é".repeat(101)), "name: 101 characters, and the column holds 100"),
        ("1,a\0,b,c", "NUL"),
    ];
    for (line, why) in lines {
        let all = read(format!("{HEADER}{line}\n2,a,b,c\n").as_bytes(), 7);
        assert_eq!(all.len(), 2, "{line}: {all:?}");
        assert!(all[0].1.as_ref().unwrap_err().contains(why), "{line}: {all:?}");
        assert_eq!(all[1], (3, Ok(user(2, Some("a"), Some("b"), Some("c")))));
    }
    assert_eq!(read(b"user_id,name\n1,\xff", 3), [(2, Err("not UTF-8".into()))]);
}

#[test]
fn a_backslash_in_tab_separated_text_must_be_quoted() {
    let all = read(b"user_id\tname\n1\t\\N\n2\t\"a\\tb\"\n", 7);
    assert!(all[0].1.as_ref().unwrap_err().starts_with("a backslash in a tab-separated field"), "{all:?}");
    assert_eq!(all[1], (3, Ok(user(2, Some("a\\tb"), None, None))));
    assert_eq!(read(b"user_id,name\n1,\\N\n", 7), [(2, Ok(user(1, Some("\\N"), None, None)))]);
}

#[test]
fn errors_of_json_have_no_words_of_rust() {
    for (line, why) in [
        (r#"{"user_id": "82"}"#, "invalid type: string \"82\", expected a whole number at column 16"),
        (r#"{"user_id": 1.5}"#, "expected a whole number"),
        (r#"{"user_id": 1, "name": 5}"#, "expected a string"),
    ] {
        assert!(reason(line).contains(why), "{line}: {}", reason(line));
    }
}

#[test]
fn an_open_quote_spoils_only_its_own_line() {
    let rest = "2,a,b,c\n".repeat(200_000);
    let all = read(format!("{HEADER}1,\"a,b,c\n{rest}").as_bytes(), usize::MAX);
    assert_eq!(all[0], (2, Err("a quote is not closed".into())));
    assert_eq!(all.len(), 200_001);
    let all = read(format!("{HEADER}1,\"a,b,c\n2,a,b,c").as_bytes(), usize::MAX);
    assert_eq!(all[0], (2, Err("a quote is not closed".into())));
    assert_eq!(all[1], (3, Ok(user(2, Some("a"), Some("b"), Some("c")))));
}

#[test]
fn a_line_that_is_too_long_is_one_bad_record() {
    let long = "x".repeat(3 << 20);
    for at_a_time in [1_000, usize::MAX] {
        let all = read(format!("{HEADER}1,{long},b,c\n2,a,b,c\n").as_bytes(), at_a_time);
        assert_eq!(all.len(), 2);
        assert_eq!(all[0], (2, Err("the line is longer than 1 MiB".into())));
        assert_eq!(all[1], (3, Ok(user(2, Some("a"), Some("b"), Some("c")))));
    }
}

#[test]
fn json_lines_are_strict_about_names_and_types() {
    let good = "{\"user_id\": 1, \"name\": \"\\u00e9\"}\n\n {\"email\": null, \"user_id\": -2}";
    let all = read(good.as_bytes(), 5);
    assert_eq!(all, [(1, Ok(user(1, Some("é"), None, None))), (3, Ok(user(-2, None, None, None)))]);
    for (line, why) in [
        ("{\"user_id\": 1, \"age\": 2}", "unknown field `age`"),
        ("{\"name\": \"x\"}", "missing field `user_id`"),
        ("{\"user_id\": \"1\"}", "invalid type"),
        ("{\"user_id\": 1.5}", "invalid type"),
        ("{\"user_id\": 1, \"user_id\": 2}", "duplicate field"),
        ("{\"user_id\": 1", "EOF while parsing an object at column"),
        ("{\"user_id\": 1, \"name\": \"\\ud800\"}", "at column"),
    ] {
        assert!(reason(line).contains(why), "{line}: {}", reason(line));
    }
}

#[test]
fn a_file_without_users_is_refused_at_once() {
    for (bytes, why) in [
        (&b""[..], "f:1: the file is empty"),
        (b"\n\n", "the file is empty"),
        (b"[{\"user_id\": 1}]", "f:1: the file is a JSON array"),
        (b"1,Alice,US,\n", "the column `1`"),
        (b"name,region\n", "lacks the column `user_id`"),
        (b"user_id,name,name\n", "`name` twice"),
        (b"user_id,\xff\n", "not UTF-8"),
    ] {
        assert!(refused(bytes).contains(why), "{}", refused(bytes));
    }
}
