//! The password file, `~/.pgpass`.
//!
//! Follows 34.16 ("The Password File") of the PostgreSQL documentation. As in libpq, its lines are bytes: one that is not
//! UTF-8 hides no other.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::environment;
use crate::model::secret::Secret;

/// The password file of a connection; it may not exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PasswordFile(Option<PathBuf>);

/// The server, database and user that a password is for.
pub(crate) struct Wanted<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) database: &'a str,
    pub(crate) user: &'a str,
}

impl PasswordFile {
    /// The file of the keyword `passfile`, of `PGPASSFILE`, or the default one.
    pub(crate) fn new(passfile: Option<&str>) -> Self {
        let named = passfile.map(PathBuf::from);
        let named = named.or_else(|| environment::raw_variable("PGPASSFILE").map(PathBuf::from));
        Self(named.or_else(|| Some(environment::home()?.join(".pgpass"))))
    }

    /// The path and why the file is ignored, if it exists and is.
    pub(crate) fn ignored(&self) -> Option<(&Path, &'static str)> {
        let path = self.0.as_deref()?;
        let metadata = fs::metadata(path).ok()?;
        if !metadata.is_file() {
            return Some((path, "it is not a plain file"));
        }
        (metadata.permissions().mode() & 0o077 != 0).then_some((path, "others may read it (chmod 0600 it)"))
    }

    /// The password of the first line that matches, if the file exists and is private.
    pub(crate) fn password(&self, wanted: &Wanted<'_>) -> Option<Secret<Vec<u8>>> {
        if let Some((path, why)) = self.ignored() {
            log::warn!("Ignored password file {}: {why}", path.display());
            return None;
        }
        let path = self.0.as_deref()?;
        match fs::read(path) {
            Ok(text) => find(&text, wanted),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => None,
            Err(cause) => {
                log::warn!("Ignored password file {}: {cause}", path.display());
                None
            }
        }
    }
}

/// An empty password counts as none, and ends the search too.
fn find(text: &[u8], wanted: &Wanted<'_>) -> Option<Secret<Vec<u8>>> {
    let port = wanted.port.to_string();
    let wanted = [wanted.host, &port, wanted.database, wanted.user];
    if wanted.iter().any(|text| text.is_empty()) {
        return None;
    }
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#"));
    let found = lines.into_iter().find_map(|line| {
        let end = line.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1);
        let mut rest = &line[..end];
        for wanted in wanted {
            let (pattern, after) = split_field(rest);
            let is_any = rest.starts_with(b"*:");
            rest = after.filter(|_| is_any || pattern == wanted.as_bytes())?;
        }
        Some(split_field(rest).0)
    });
    found.filter(|password| !password.is_empty()).map(Secret::of_bytes)
}

/// The text before the first colon, and the text behind it. `\` makes the next byte stand for itself; the last byte of a line
/// always does.
fn split_field(text: &[u8]) -> (Vec<u8>, Option<&[u8]>) {
    let mut field = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match (byte, text.get(at + 1)) {
            (b':', _) => return (field, Some(&text[at + 1..])),
            (b'\\', Some(next)) => {
                field.push(*next);
                at += 1;
            }
            (byte, _) => field.push(*byte),
        }
        at += 1;
    }
    (field, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &[u8], host: &str, port: u16, database: &str, user: &str) -> Option<Vec<u8>> {
        let found = find(text, &Wanted { host, port, database, user });
        found.map(|password| password.expose_bytes().to_owned())
    }

    #[test]
    fn the_first_matching_line_gives_the_password() {
        let text = b"# a comment\nh:5432:db:u:one\nh:*:*:u:t\\:w\\\\o\n*:*:*:*:three\nbroken";
        assert_eq!(found(text, "h", 5432, "db", "u").unwrap(), b"one");
        assert_eq!(found(text, "h", 5433, "db", "u").unwrap(), b"t:w\\o");
        assert_eq!(found(text, "x", 1, "y", "z").unwrap(), b"three");
        assert_eq!(found(b"h:1:d:u:p", "h", 2, "d", "u"), None);
    }

    #[test]
    fn lines_are_read_as_libpq_reads_them() {
        let cases: [(&[u8], Option<&[u8]>); 14] = [
            // Bytes that are not UTF-8: in a comment, in another line, in the password itself.
            (b"# Schl\xfcssel\nh:1:d:u:p", Some(b"p")),
            (b"other:1:d:u:p\xe4ss\nh:1:d:u:p", Some(b"p")),
            (b"h:1:d:u:p\xe4ss", Some(b"p\xe4ss")),
            (b"h:1:d:u:p\r\n", Some(b"p")),
            (b"h:1:d:u: p \n", Some(b" p ")),
            (b"h:1:d:u:p\\", Some(b"p\\")),
            (b"h:1:d:u:p\\\\", Some(b"p\\")),
            (b"h:1:d:u:p\\x:more", Some(b"px")),
            // An escaped star is no wildcard.
            (b"\\*:1:d:u:no\nh:1:d:u:p", Some(b"p")),
            (b"h*:1:d:u:no\n*:1:d:u:p", Some(b"p")),
            (b"\\h:1:\\d:u:p", Some(b"p")),
            (b"\xef\xbb\xbfh:1:d:u:p", None),
            (b"h:1:d:u", None),
            // The first match counts, even if its password is empty.
            (b"h:1:d:u:\nh:1:d:u:p", None),
        ];
        for (text, expected) in cases {
            assert_eq!(found(text, "h", 1, "d", "u").as_deref(), expected, "{}", text.escape_ascii());
        }
    }
}
