//! Users as lines of a file.

use std::io::Write as _;

use super::FileFormat;
use crate::model::user::UserBytes;

/// The first line of a CSV file.
pub const HEADER: &str = "user_id,name,region,email\n";

/// Writes a user as one line, which is UTF-8 if its texts are.
pub fn encode(format: FileFormat, user: UserBytes<'_>, out: &mut Vec<u8>) {
    let mut number = itoa::Buffer::new();
    let id = number.format(user.user_id.number()).as_bytes();
    match format {
        FileFormat::Csv => {
            out.extend_from_slice(id);
            for text in [user.name, user.region, user.email] {
                out.push(b',');
                if let Some(text) = text {
                    csv_field(text, b',', out);
                }
            }
            out.push(b'\n');
        }
        FileFormat::JsonLines => {
            out.extend_from_slice(b"{\"user_id\": ");
            out.extend_from_slice(id);
            json_field(b", \"name\": ", user.name, out);
            json_field(b", \"region\": ", user.region, out);
            json_field(b", \"email\": ", user.email, out);
            out.extend_from_slice(b"}\n");
        }
    }
}

/// How a file writes its users: the separator of a CSV file, and the place of each column in its records.
#[derive(Debug, Clone)]
pub struct Layout {
    pub(super) format: FileFormat,
    pub(super) separator: u8,
    /// The places of `user_id`, name, region and email.
    pub(super) places: [Option<usize>; 4],
    pub(super) width: usize,
}

impl Layout {
    /// Writes a user as a record of that file, without the line's end. Columns that the file lacks are left out.
    pub fn encode(&self, user: UserBytes<'_>, out: &mut Vec<u8>) {
        if self.format == FileFormat::JsonLines {
            encode(self.format, user, out);
            out.pop();
            return;
        }
        let texts = [None, user.name, user.region, user.email];
        for at in 0..self.width {
            if at > 0 {
                out.push(self.separator);
            }
            match self.places.iter().position(|place| *place == Some(at)) {
                Some(0) => {
                    out.extend_from_slice(itoa::Buffer::new().format(user.user_id.number()).as_bytes());
                }
                Some(column) => {
                    if let Some(text) = texts[column] {
                        csv_field(text, self.separator, out);
                    }
                }
                None => {}
            }
        }
    }
}

/// The bytes that make CSV quote a field.
const IN_QUOTES: [bool; 256] = marked(b",\"\n\r", 0);
/// The bytes that JSON escapes.
const ESCAPED: [bool; 256] = marked(b"\"\\", 0x20);

/// A table with these bytes and all bytes below a bound.
const fn marked(bytes: &[u8], below: usize) -> [bool; 256] {
    let mut table = [false; 256];
    let mut at = 0;
    while at < bytes.len() {
        table[bytes[at] as usize] = true;
        at += 1;
    }
    let mut byte = 0;
    while byte < below {
        table[byte] = true;
        byte += 1;
    }
    table
}

/// Whether one of the bytes is in the table. Checks all bytes without a branch: texts are short, and most have none.
fn any(bytes: &[u8], table: &[bool; 256]) -> bool {
    bytes.iter().fold(false, |any, byte| any | table[usize::from(*byte)])
}

/// A text that is not missing: in quotes if it is empty or contains a separator or a quote, or in a tab-separated file a backslash.
fn csv_field(text: &[u8], separator: u8, out: &mut Vec<u8>) {
    let is_special = |byte: &u8| *byte == separator || separator == b'\t' && *byte == b'\\';
    if !text.is_empty() && !any(text, &IN_QUOTES) && (separator == b',' || !text.iter().any(is_special)) {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    for byte in text {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

/// A key as given, and a text or null.
fn json_field(key: &[u8], text: Option<&[u8]>, out: &mut Vec<u8>) {
    out.extend_from_slice(key);
    let Some(text) = text else { return out.extend_from_slice(b"null") };
    out.push(b'"');
    if any(text, &ESCAPED) {
        for byte in text {
            json_byte(*byte, out);
        }
    } else {
        out.extend_from_slice(text);
    }
    out.push(b'"');
}

fn json_byte(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        0..0x20 => write!(out, "\\u{byte:04x}").expect("writing to a vector cannot fail"),
        _ => out.push(byte),
    }
}
