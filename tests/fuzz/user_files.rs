//! Files of users: CSV and JSON lines.

use std::io::{self, Cursor, Read};

use proptest::prelude::*;
use proptest::sample::Index;

use ringshard::bulk::{FileFormat, HEADER, Records, encode};
use ringshard::error::{Error, Kind};
use ringshard::model::user::{EMAIL_CHARS_MAX, NAME_CHARS_MAX, REGION_CHARS_MAX, User, UserId, UserRef};

use crate::mistakes::{config, text_like};

const FILES: &[&str] = &[
    "user_id,name,region,email\n1,Ann,EU,a@b\r\n\r\n-2,\"L\"\"e\ne, x\",,\"\"\n3,,,\n",
    "\u{feff}email,user_id\n\"a,b\",7\n,8",
    "EMAIL;User_ID;;\r\n\"a;b\";7;;\r\n;;;\r\n;8\r\n ; ;\r\n",
    "{\"user_id\": 1, \"name\": \"\\u00e9\\n\", \"region\": \"EU\", \"email\": \"e\"}\n\n {\"email\": null, \"user_id\": -2}\r\n",
];

/// Gives a few bytes at a time. Panics when it is read again and again at its end.
struct Trickle {
    bytes: Cursor<Vec<u8>>,
    at_a_time: usize,
    reads_at_end: u32,
}

impl Read for Trickle {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.at_a_time.min(out.len());
        let count = self.bytes.read(&mut out[..count])?;
        self.reads_at_end += u32::from(count == 0);
        assert!(self.reads_at_end < 100, "the file is read for ever");
        Ok(count)
    }
}

/// A record of a file: its line, its bytes, and the user or what is wrong.
type ReadRecord = (u64, Vec<u8>, Result<User, String>);

fn read(bytes: &[u8], at_a_time: usize) -> Result<(FileFormat, Vec<ReadRecord>), Error> {
    let input = Trickle { bytes: Cursor::new(bytes.to_vec()), at_a_time, reads_at_end: 0 };
    let mut records = Records::new("f", Box::new(input))?;
    let mut all = Vec::new();
    while let Some(record) = records.next_record()? {
        all.push((record.line, record.raw.to_vec(), record.user.map(UserRef::to_user)));
        assert!(all.len() <= bytes.len(), "more records than bytes");
    }
    Ok((records.format(), all))
}

/// A file of this one user.
fn written(format: FileFormat, user: &User) -> Vec<u8> {
    let mut out = if format == FileFormat::Csv { HEADER.as_bytes().to_vec() } else { Vec::new() };
    let User { user_id, name, region, email } = user;
    let (name, region, email) = (name.as_deref(), region.as_deref(), email.as_deref());
    encode(format, UserRef { user_id: *user_id, name, region, email }.bytes(), &mut out);
    out
}

/// The fields of a CSV record, read one character at a time.
fn naive_fields(record: &str) -> Option<Vec<Option<String>>> {
    let mut fields = Vec::new();
    let mut rest = record.chars().peekable();
    loop {
        let mut text = String::new();
        let is_quoted = rest.next_if_eq(&'"').is_some();
        if is_quoted {
            loop {
                match rest.next()? {
                    '"' if rest.next_if_eq(&'"').is_none() => break,
                    c => text.push(c),
                }
            }
        } else {
            while let Some(c) = rest.next_if(|c| *c != ',') {
                text.push(c);
            }
        }
        if !is_quoted && text.contains('"') {
            return None;
        }
        fields.push((is_quoted || !text.is_empty()).then_some(text));
        match rest.next() {
            None => return Some(fields),
            Some(',') => {}
            Some(_) => return None,
        }
    }
}

/// The user of a CSV record with the columns of [`HEADER`], by [`naive_fields`]. Fields behind these must be missing.
fn naive_user(raw: &[u8]) -> Option<User> {
    let mut fields = naive_fields(str::from_utf8(raw).ok()?)?;
    while fields.len() > 4 && fields.last() == Some(&None) {
        fields.pop();
    }
    let fields: [Option<String>; 4] = fields.try_into().ok()?;
    let [id, name, region, email] = fields;
    for (text, chars_max) in [(&name, NAME_CHARS_MAX), (&region, REGION_CHARS_MAX), (&email, EMAIL_CHARS_MAX)]
    {
        let text = text.as_deref().unwrap_or_default();
        if text.chars().count() > chars_max || text.contains('\0') {
            return None;
        }
    }
    Some(User { user_id: UserId::new(id?.parse().ok()?), name, region, email })
}

/// Bytes like those of a file, some of them not UTF-8.
fn file_like() -> impl Strategy<Value = Vec<u8>> {
    let odd = prop::collection::vec((any::<u8>(), any::<Index>()), 0..3);
    (text_like(FILES), odd).prop_map(|(text, odd)| {
        let mut bytes = text.into_bytes();
        for (byte, at) in odd {
            let at = at.index(bytes.len() + 1);
            bytes.insert(at, byte);
        }
        bytes
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_size_of_reads_does_not_matter(bytes in file_like(), at_a_time in 1_usize..9) {
        let (whole, pieces) = (read(&bytes, usize::MAX), read(&bytes, at_a_time));
        prop_assert_eq!(&whole, &pieces);
        if let Err(error) = whole {
            prop_assert_eq!(error.kind(), Kind::BadInput);
        }
    }

    #[test]
    fn records_are_the_lines_of_a_file(bytes in file_like()) {
        let Ok((format, all)) = read(&bytes, usize::MAX) else { return Ok(()) };
        // Between records there are only empty rows.
        let in_empty_rows: &[u8] = if format == FileFormat::Csv { b"\r\n ,;\t|" } else { b"\r\n" };
        let is_empty_row = |byte: &u8| in_empty_rows.contains(byte);
        let mut at = 0;
        if format == FileFormat::Csv {
            // The header is the first line that is not empty.
            at = bytes.iter().position(|byte| !b"\r\n".contains(byte)).unwrap();
            at += bytes[at..].iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len() - at);
        }
        for (line, raw, _) in all {
            while !((at == 0 || bytes[at - 1] == b'\n') && bytes[at..].starts_with(&raw)) {
                prop_assert!(bytes.get(at).is_some_and(is_empty_row), "bytes were skipped");
                at += 1;
            }
            prop_assert_eq!(line, bytes[..at].split(|byte| *byte == b'\n').count() as u64);
            at += raw.len();
        }
        prop_assert!(bytes[at..].iter().all(is_empty_row), "the end was skipped");
    }

    #[test]
    fn users_that_are_read_can_be_written(bytes in file_like()) {
        let Ok((_, all)) = read(&bytes, usize::MAX) else { return Ok(()) };
        for user in all.into_iter().filter_map(|(_, _, user)| user.ok()) {
            for format in [FileFormat::Csv, FileFormat::JsonLines] {
                let (is, mut again) = read(&written(format, &user), usize::MAX).unwrap();
                prop_assert_eq!((is, again.len()), (format, 1));
                prop_assert_eq!(again.remove(0).2, Ok(user.clone()));
            }
        }
    }

    #[test]
    fn a_csv_record_is_what_a_naive_reader_makes_of_it(bytes in file_like()) {
        let (_, all) = read(&[HEADER.as_bytes(), &bytes].concat(), usize::MAX).unwrap();
        for (_, raw, user) in all {
            prop_assert_eq!(user.clone().ok(), naive_user(&raw), "{:?}", user);
        }
    }

    #[test]
    fn a_json_line_is_what_any_json_reader_makes_of_it(bytes in file_like()) {
        let (_, all) = read(&[b"{\n", bytes.as_slice()].concat(), usize::MAX).unwrap();
        for (_, raw, user) in all {
            let Ok(user) = user else { continue };
            let text = str::from_utf8(&raw).unwrap().trim_start_matches('\u{feff}');
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            prop_assert_eq!(value["user_id"].as_i64(), Some(user.user_id.number()));
            prop_assert_eq!(value["name"].as_str(), user.name.as_deref());
            prop_assert_eq!(value["region"].as_str(), user.region.as_deref());
            prop_assert_eq!(value["email"].as_str(), user.email.as_deref());
        }
    }

    #[test]
    fn a_good_line_is_read_whatever_is_before_it(bytes in file_like(), at_a_time in 1_usize..9) {
        let user = User { user_id: UserId::new(9), name: Some("a".into()), region: None, email: None };
        for (head, line) in [(HEADER, "9,a,,"), ("{\n", "{\"user_id\": 9, \"name\": \"a\"}")] {
            let file = [head.as_bytes(), &bytes, b"\n", line.as_bytes(), b"\n"].concat();
            let (_, all) = read(&file, at_a_time).unwrap();
            prop_assert_eq!(all.last().map(|(_, raw, user)| (raw.as_slice(), user.as_ref())), Some((line.as_bytes(), Ok(&user))));
        }
    }
}
