//! Users as lines of a file.

use std::io::Write as _;

use super::FileFormat;
use crate::model::user::UserRef;

/// The first line of a CSV file.
pub const HEADER: &str = "user_id,name,region,email\n";

/// Writes a user as one line.
pub fn encode(format: FileFormat, user: UserRef<'_>, out: &mut Vec<u8>) {
    match format {
        FileFormat::Csv => {
            out.extend_from_slice(itoa::Buffer::new().format(user.user_id.number()).as_bytes());
            for text in [user.name, user.region, user.email] {
                out.push(b',');
                if let Some(text) = text {
                    csv_field(text, out);
                }
            }
            out.push(b'\n');
        }
        FileFormat::JsonLines => {
            write!(out, "{{\"user_id\": {}", user.user_id).expect("a vector takes all");
            for (name, text) in [("name", user.name), ("region", user.region), ("email", user.email)] {
                write!(out, ", \"{name}\": ").expect("a vector takes all");
                serde_json::to_writer(&mut *out, &text).expect("a text is JSON, and a vector takes all");
            }
            out.extend_from_slice(b"}\n");
        }
    }
}

/// A text that is there: in quotes if it is empty, or holds what separates fields and lines.
fn csv_field(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let is_plain = !bytes.is_empty() && !bytes.iter().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r'));
    if is_plain {
        out.extend_from_slice(bytes);
        return;
    }
    out.push(b'"');
    for (at, part) in text.split('"').enumerate() {
        if at > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(part.as_bytes());
    }
    out.push(b'"');
}
